//! Public keys that no honest device has (ATTACKS A8, A9), each with what every role must say. They are made, or named, here
//! and not asked of the crate.

use curve25519_dalek::EdwardsPoint;
use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::scalar::Scalar;
use waxwing_protocol::PublicKeyError;

use crate::initiator::encoded;

pub struct EdgeKey {
    pub name: String,
    /// 33 bytes, or more where that is what is wrong.
    pub bytes: Vec<u8>,
    pub error: PublicKeyError,
}

impl EdgeKey {
    /// Whether a ratchet key is refused for it too.
    pub fn is_refused_everywhere(&self) -> bool {
        self.error != PublicKeyError::MixedOrder
    }
}

pub fn edge_keys() -> Vec<EdgeKey> {
    let mut keys = Vec::new();
    let mut push = |name: String, bytes: &[u8], error| keys.push(EdgeKey { name, bytes: bytes.to_vec(), error });

    for (index, u) in LOW_ORDER.iter().enumerate() {
        let u: [u8; 32] = hex::decode(u).unwrap().try_into().unwrap();
        let error = match index {
            0..4 => PublicKeyError::SmallOrder,
            4 => PublicKeyError::NotOnCurve,
            _ => PublicKeyError::NonCanonical,
        };
        push(format!("low order {index}"), &encoded(&u), error);
    }
    // p to 2^255 - 1: only the lowest byte counts up.
    for low in 0xED..=0xFF {
        let mut u = [0xFF; 32];
        (u[0], u[31]) = (low, 0x7F);
        push(format!("p + {}", low - 0xED), &encoded(&u), PublicKeyError::NonCanonical);
        u[31] = 0xFF;
        push(format!("p + {} with the top bit", low - 0xED), &encoded(&u), PublicKeyError::NonCanonical);
    }
    for (torsion, point) in EIGHT_TORSION.into_iter().enumerate() {
        let honest = ED25519_BASEPOINT_POINT * Scalar::from(77_u8);
        let mut u = u_of(honest + point);
        if torsion > 0 {
            push(format!("honest + torsion {torsion}"), &encoded(&u), PublicKeyError::MixedOrder);
        }
        u[31] |= 0x80;
        push(format!("honest + torsion {torsion} with the top bit"), &encoded(&u), PublicKeyError::NonCanonical);
    }
    // Found in big integers: u³ + 486662u² + u is no square for these.
    for u in TWIST {
        let mut bytes = [0; 32];
        bytes[0] = u;
        push(format!("twist {u}"), &encoded(&bytes), PublicKeyError::NotOnCurve);
    }

    let honest = encoded(&u_of(ED25519_BASEPOINT_POINT));
    for key_type in [0x00, 0x04, 0x06, 0x08, 0x85] {
        let mut bytes = honest;
        bytes[0] = key_type;
        push(format!("type {key_type:#04x}"), &bytes, PublicKeyError::KeyType { expected: 0x05, got: key_type });
    }
    for got in [0, 1, 32, 34, 65, 1569] {
        let mut bytes = honest.to_vec();
        bytes.resize(got, 0);
        push(format!("{got} bytes"), &bytes, PublicKeyError::Length { expected: 33, got });
    }
    keys
}

fn u_of(point: EdwardsPoint) -> [u8; 32] {
    point.to_montgomery().to_bytes()
}

/// 0, 1, the two of order 8, p - 1 (of order 4 on the twist), p, p + 1.
const LOW_ORDER: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

const TWIST: [u8; 8] = [2, 3, 5, 12, 14, 20, 21, 22];
