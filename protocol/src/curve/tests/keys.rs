//! Edge keys by construction (ATTACKS A8, A9): the classifier says what they are, and every role obeys spec §1.2.

use alloc::vec::Vec;

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::scalar::Scalar;
use num_bigint::BigUint;

use super::agreement::assert_rule;
use super::classify::{Class, classify, modulus, to_le_32};
use crate::curve::{IdentityKey, PublicKeyError, RatchetKey};

/// The u-coordinates of order 1, 2, 4 and 8 on curve and twist, as everybody lists them (cr.yp.to/ecdh.html).
const LOW_ORDER: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

#[test]
fn the_seven_low_order_coordinates_are_refused_in_every_role() {
    let classes: Vec<Class> = LOW_ORDER.iter().map(|u| refuse(&hex::decode(u).unwrap().try_into().unwrap())).collect();
    let (small, twist, again) = (Class::SmallOrder, Class::Twist, Class::NonCanonical);
    // p - 1 has order 4 on the twist; p and p + 1 are 0 and 1 again.
    assert_eq!(classes, [small, small, small, small, twist, again, again]);
}

/// p, ..., 2^255 - 1 are the 19 values that fit 255 bits and have a smaller name; with the top bit set every value has.
#[test]
fn every_non_canonical_coordinate_is_refused_in_every_role() {
    let p = modulus();
    let high = BigUint::from(1_u8) << 255;
    let mut count = 0;
    for offset in 0_u8..19 {
        let u = &p + offset;
        assert!(u < high);
        // Without and with the top bit, and the small value that it is another name of, with the top bit.
        for u in [u.clone(), u + &high, &high + offset] {
            assert_eq!(refuse(&to_le_32(&u)), Class::NonCanonical);
            count += 1;
        }
    }
    assert_eq!(&p + 19_u8, high, "there is no twentieth");
    assert_eq!(count, 57);
    // The value below p is canonical, and the highest of all.
    assert_ne!(classify(&to_le_32(&(p - 1_u8))), Class::NonCanonical);
}

#[test]
fn mixed_order_points_are_ratchet_keys_at_most() {
    let torsion = EIGHT_TORSION.iter().skip(1);
    assert_eq!(torsion.len(), 7);
    for (index, torsion) in torsion.enumerate() {
        for k in [1_u8, 2, 9, 200] {
            let u = (ED25519_BASEPOINT_POINT * Scalar::from(k) + torsion).to_montgomery().to_bytes();
            assert_eq!(classify(&u), Class::MixedOrder, "torsion point {index}, {k} times the base point");
            assert_rule(&u, Class::MixedOrder);
        }
    }
}

#[test]
fn points_of_the_twist_are_refused_in_every_role() {
    // Half of the small numbers are: found by the classifier, refused by the parser.
    let twist: Vec<_> = (2_u8..=255).map(|u| to_le_32(&u.into())).filter(|u| classify(u) == Class::Twist).collect();
    assert!(twist.len() > 100);
    for u in &twist {
        refuse(u);
    }
}

#[test]
fn only_33_bytes_that_begin_with_5_are_a_key() {
    let honest = key(&to_le_32(&BigUint::from(9_u8)));
    assert!(IdentityKey::parse(&honest).is_ok() && RatchetKey::parse(&honest).is_ok());
    for len in (0..honest.len()).chain([34, 35, 64, 66, 1569]) {
        let mut bytes = honest.to_vec();
        bytes.resize(len, 0);
        let error = PublicKeyError::Length { expected: 33, got: len };
        assert_eq!(IdentityKey::parse(&bytes), Err(error));
        assert_eq!(RatchetKey::parse(&bytes), Err(error));
    }
    for got in (0..=255).filter(|got| *got != 0x05) {
        let mut bytes = honest;
        bytes[0] = got;
        let error = PublicKeyError::KeyType { expected: 0x05, got };
        assert_eq!(IdentityKey::parse(&bytes), Err(error));
        assert_eq!(RatchetKey::parse(&bytes), Err(error));
    }
}

/// Asserts that no role takes `u`, and says what it is.
fn refuse(u: &[u8; 32]) -> Class {
    let class = classify(u);
    assert!(matches!(class, Class::NonCanonical | Class::Twist | Class::SmallOrder), "{u:02x?} is {class:?}");
    assert_rule(u, class);
    class
}

fn key(u: &[u8; 32]) -> [u8; 33] {
    let mut bytes = [0x05; 33];
    bytes[1..].copy_from_slice(u);
    bytes
}
