//! Ed25519, strictly. Implements spec/10-wire-conventions.md §10.5 and §10.6.
//!
//! ```text
//! Signed { body, signature } ──verify(key, label)──▶ the body may be believed
//!          label ‖ 0x00 ‖ body is what was signed
//! ```
//! Invariants: the only place that verifies or makes an Ed25519 signature; a public key that exists is canonical and not of
//! small order; keys of different roles are different types.
//! Not here: what a body means.
use alloc::{boxed::Box, vec::Vec};
use core::fmt;

use ed25519_dalek::{Signer as _, Verifier as _};
use rand_core::CryptoRng;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    canonical::{self, CanonicalError, Mode},
    label::Label,
    proto,
};

/// An Ed25519 signature: R ‖ s, 64 bytes. Carries no promise until it was verified.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct Signature([u8; 64]);

impl Signature {
    /// Takes the bytes as they are.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// R ‖ s.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(..)")
    }
}

/// Why a signature or a key was refused (spec §10.6).
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum SignatureError {
    /// 32 bytes that are no canonical point, or one of small order.
    #[error("§10.6.1: not a public key")]
    Key,
    /// The signature is not this key's over these bytes.
    #[error("§10.6.2: the signature does not verify")]
    Forged,
}

/// An Ed25519 public key that is canonical and not of small order. Roles wrap it.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) struct VerifyingKey(ed25519_dalek::VerifyingKey);

impl VerifyingKey {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, SignatureError> {
        let bytes = <&[u8; 32]>::try_from(bytes).map_err(|_| SignatureError::Key)?;
        if !is_reduced(bytes) {
            return Err(SignatureError::Key);
        }
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| SignatureError::Key)?;
        if key.is_weak() { Err(SignatureError::Key) } else { Ok(Self(key)) }
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The u-coordinate of the same point (RFC 7748 §4.1), for the safety number.
    pub(crate) fn to_montgomery(self) -> [u8; 32] {
        self.0.to_montgomery().to_bytes()
    }

    /// The one verification of this crate: accepts exactly what `ed25519_dalek`'s `verify_strict` accepts.
    ///
    /// `verify_strict` decompresses R to see whether its order is small. Here R is compared with the eight encodings
    /// instead: a signature passes only if R equals a freshly compressed point, so a small-order R has one of those eight.
    /// That saves one square root in about ten, and a test holds both against each other.
    pub(crate) fn verify(&self, label: Label, body: &[u8], signature: &Signature) -> Result<(), SignatureError> {
        let Signature(bytes) = signature;
        if SMALL_ORDER.iter().any(|point| bytes.starts_with(point)) {
            return Err(SignatureError::Forged);
        }
        let signature = ed25519_dalek::Signature::from_bytes(bytes);
        self.0.verify(&label.with(body), &signature).map_err(|_| SignatureError::Forged)
    }
}

/// An Ed25519 private key, from its 32-byte seed (RFC 8032). Roles wrap it.
pub(crate) struct SigningKey(Box<ed25519_dalek::SigningKey>);

impl SigningKey {
    pub(crate) fn from_seed(seed: &[u8; 32]) -> Self {
        Self(Box::new(ed25519_dalek::SigningKey::from_bytes(seed)))
    }

    pub(crate) fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut());
        Self::from_seed(&seed)
    }

    pub(crate) fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    pub(crate) fn verifying(&self) -> VerifyingKey {
        VerifyingKey(self.0.verifying_key())
    }

    pub(crate) fn sign(&self, label: Label, body: &[u8]) -> Signature {
        Signature(self.0.sign(&label.with(body)).to_bytes())
    }
}

/// Defines the two types of one role of an Ed25519 key: the public one, and the private one that signs.
macro_rules! role {
    ($(#[$public_doc:meta])* $public:ident, $(#[$private_doc:meta])* $private:ident) => {
        $(#[$public_doc])*
        #[derive(Clone, Copy, Eq, PartialEq)]
        pub struct $public(pub(crate) $crate::signature::VerifyingKey);

        impl $public {
            /// Reads 32 bytes (RFC 8032 §5.1.5).
            ///
            /// # Errors
            /// If they are no canonical point, or one of small order (spec §10.6.1).
            pub fn from_bytes(bytes: &[u8]) -> Result<Self, $crate::signature::SignatureError> {
                $crate::signature::VerifyingKey::parse(bytes).map(Self)
            }

            /// The 32 bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 32] {
                self.0.as_bytes()
            }
        }

        impl core::fmt::Debug for $public {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, "{}({})", stringify!($public), $crate::base32::encode(self.as_bytes()))
            }
        }

        $(#[$private_doc])*
        pub struct $private(pub(crate) $crate::signature::SigningKey);

        impl $private {
            /// The key of a 32-byte seed, which the caller has stored.
            #[must_use]
            pub fn from_seed(seed: &[u8; 32]) -> Self {
                Self($crate::signature::SigningKey::from_seed(seed))
            }

            /// A new key.
            pub fn generate(rng: &mut impl rand_core::CryptoRng) -> Self {
                Self($crate::signature::SigningKey::generate(rng))
            }

            /// The seed, for storing it encrypted.
            #[must_use]
            pub fn seed(&self) -> zeroize::Zeroizing<[u8; 32]> {
                self.0.seed()
            }

            /// The public half.
            #[must_use]
            pub fn public_key(&self) -> $public {
                $public(self.0.verifying())
            }
        }

        impl core::fmt::Debug for $private {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(concat!(stringify!($private), "(..)"))
            }
        }
    };
}
pub(crate) use role;

/// A body and a signature over it, as they travel (spec §10.5). Nothing in it is verified.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct SignedIn {
    pub(crate) body: Vec<u8>,
    pub(crate) signature: Signature,
}

impl SignedIn {
    /// Reads `Signed {body, signature}`, at most `size` bytes of body.
    pub(crate) fn decode(bytes: &[u8], size: usize) -> Result<Self, CanonicalError> {
        // The ceiling of this kind of object is checked before the body is copied out: 72 bytes frame any body.
        if bytes.len() > size.saturating_add(72) {
            return Err(CanonicalError::TooLong { message: "Signed", field: 0 });
        }
        let proto::identity::Signed { body, signature } = canonical::decode(bytes, Mode::Strict)?;
        let signature = <[u8; 64]>::try_from(signature.as_slice())
            .map_err(|_| CanonicalError::TooLong { message: "Signed", field: 2 })?;
        if body.len() > size {
            return Err(CanonicalError::TooLong { message: "Signed", field: 1 });
        }
        Ok(Self { body, signature: Signature(signature) })
    }

    /// The bytes that travel.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let Self { body, signature } = self;
        let signed = proto::identity::Signed { body: body.clone(), signature: signature.0.to_vec() };
        prost::Message::encode_to_vec(&signed)
    }

    /// Signs `body`.
    pub(crate) fn sign(key: &SigningKey, label: Label, body: Vec<u8>) -> Self {
        let signature = key.sign(label, &body);
        Self { body, signature }
    }

    /// Checks the signature over the body.
    pub(crate) fn verify(&self, key: &VerifyingKey, label: Label) -> Result<(), SignatureError> {
        key.verify(label, &self.body, &self.signature)
    }
}

/// y < 2^255 - 19. (That x = 0 has no sign bit needs no check: those two points have small order.)
fn is_reduced(bytes: &[u8; 32]) -> bool {
    let [first, middle @ .., last] = bytes;
    *first < 0xed || middle.iter().any(|byte| *byte != 0xff) || last & 0x7f != 0x7f
}

/// The canonical encodings of the eight points whose order divides 8.
const SMALL_ORDER: [[u8; 32]; 8] = {
    let (mut one, mut minus_one, mut zero_sign) = ([0; 32], [0xff; 32], [0; 32]);
    one[0] = 1;
    minus_one[0] = 0xec;
    minus_one[31] = 0x7f;
    zero_sign[31] = 0x80;
    [one, minus_one, [0; 32], zero_sign, ORDER_8_A, signed(ORDER_8_A), ORDER_8_B, signed(ORDER_8_B)]
};

const ORDER_8_A: [u8; 32] = [
    0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac,
    0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
];
const ORDER_8_B: [u8; 32] = [
    0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53,
    0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
];

const fn signed(mut point: [u8; 32]) -> [u8; 32] {
    point[31] |= 0x80;
    point
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
    use proptest::prelude::*;

    use super::*;

    const LABEL: Label = Label("waxwing/1 test");

    #[test]
    fn the_table_holds_exactly_the_points_of_small_order() {
        let mut points: Vec<_> = EIGHT_TORSION.iter().map(|point| point.compress().to_bytes()).collect();
        let mut table = SMALL_ORDER.to_vec();
        points.sort_unstable();
        table.sort_unstable();
        assert_eq!(points, table);
    }

    #[test]
    fn keys_that_are_not_reduced_or_of_small_order_do_not_exist() {
        for point in SMALL_ORDER {
            assert_eq!(VerifyingKey::parse(&point).err(), Some(SignatureError::Key));
        }
        // y = p + 3 decompresses to the same point as y = 3, which is on the curve; only the reduced form counts.
        let mut three = [0; 32];
        three[0] = 3;
        assert!(VerifyingKey::parse(&three).is_ok());
        let mut unreduced = [0xff; 32];
        (unreduced[0], unreduced[31]) = (0xed + 3, 0x7f);
        assert!(ed25519_dalek::VerifyingKey::from_bytes(&unreduced).is_ok(), "dalek alone takes it");
        assert_eq!(VerifyingKey::parse(&unreduced).err(), Some(SignatureError::Key));
        assert_eq!(VerifyingKey::parse(&[9; 31]).err(), Some(SignatureError::Key));
    }

    #[test]
    fn a_signature_with_r_of_small_order_is_refused_as_verify_strict_does() {
        // With a mixed-order key A + T the equation holds for R of small order whenever s = k·a and the torsion cancels;
        // try messages until plain `verify` accepts, then both strict ways must refuse.
        let seed = [7; 32];
        let expanded = ed25519_dalek::hazmat::ExpandedSecretKey::from(&seed);
        let point = ED25519_BASEPOINT_POINT * expanded.scalar + EIGHT_TORSION[1];
        let key = ed25519_dalek::VerifyingKey::from(point);
        let ours = VerifyingKey::parse(key.as_bytes()).expect("mixed order is not small order");
        let mut accepted = 0;
        for counter in 0u32..400 {
            let body = counter.to_be_bytes();
            for torsion in EIGHT_TORSION {
                let r = torsion.compress();
                let challenge = challenge(r.as_bytes(), key.as_bytes(), &LABEL.with(&body));
                let s = challenge * expanded.scalar;
                let signature = ed25519_dalek::Signature::from_components(r.to_bytes(), s.to_bytes());
                if key.verify(&LABEL.with(&body), &signature).is_ok() {
                    accepted += 1;
                    assert!(key.verify_strict(&LABEL.with(&body), &signature).is_err());
                    let signature = Signature::from_bytes(signature.to_bytes());
                    assert_eq!(ours.verify(LABEL, &body, &signature), Err(SignatureError::Forged));
                }
            }
        }
        assert!(accepted > 0, "the lax check accepted none, so nothing was shown");
    }

    #[test]
    fn s_that_is_not_reduced_is_refused() {
        let key = SigningKey::from_seed(&[1; 32]);
        let Signature(mut bytes) = key.sign(LABEL, b"body");
        // Adding the group order to s gives the other s that satisfies the equation.
        let order = curve25519_dalek::scalar::Scalar::ZERO - curve25519_dalek::scalar::Scalar::ONE;
        let mut carry = 1u16;
        for (byte, order) in bytes[32..].iter_mut().zip(order.to_bytes()) {
            let sum = u16::from(*byte) + u16::from(order) + carry;
            *byte = u8::try_from(sum & 0xff).unwrap();
            carry = sum >> 8;
        }
        assert_eq!(key.verifying().verify(LABEL, b"body", &Signature(bytes)), Err(SignatureError::Forged));
    }

    fn challenge(r: &[u8], key: &[u8], message: &[u8]) -> curve25519_dalek::scalar::Scalar {
        use sha2::Digest as _;
        let hash = sha2::Sha512::new().chain_update(r).chain_update(key).chain_update(message).finalize();
        curve25519_dalek::scalar::Scalar::from_bytes_mod_order_wide(&hash.into())
    }

    proptest! {
        #[test]
        fn we_accept_exactly_what_verify_strict_accepts(
            seed: [u8; 32], body: Vec<u8>, flips in proptest::collection::vec(0usize..512, 0..3),
        ) {
            let key = SigningKey::from_seed(&seed);
            let Signature(mut bytes) = key.sign(LABEL, &body);
            for flip in flips {
                bytes[flip / 8] ^= 1 << (flip % 8);
            }
            let strict = key.0.verifying_key()
                .verify_strict(&LABEL.with(&body), &ed25519_dalek::Signature::from_bytes(&bytes)).is_ok();
            prop_assert_eq!(key.verifying().verify(LABEL, &body, &Signature(bytes)).is_ok(), strict);
        }

        #[test]
        fn a_signature_for_one_label_is_none_for_another(seed: [u8; 32], body: Vec<u8>) {
            let key = SigningKey::from_seed(&seed);
            let signature = key.sign(LABEL, &body);
            prop_assert!(key.verifying().verify(LABEL, &body, &signature).is_ok());
            prop_assert!(key.verifying().verify(Label("waxwing/1 tes"), &body, &signature).is_err());
        }
    }
}
