//! XEdDSA signatures under Curve25519 keys, in the official library's variant. Implements spec/01-keys.md §1.5.
//!
//! The published XEdDSA text negates the private scalar so that the public point's sign bit is 0. Signal's library does
//! not: it carries the sign bit in the otherwise unused top bit of the signature. A signature made as published has that
//! bit clear, so one verification function serves both.

use core::fmt;

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use rand_core::CryptoRng;
use sha2::{Digest, Sha512};
use subtle::{Choice, ConditionallyNegatable};
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use super::point::Point;
use super::private::KeyPair;
use super::public::EncodedKey;
use crate::label;

#[cfg(test)]
mod tests;

/// An XEdDSA signature: R ‖ s, 64 bytes, with the sign of the signer's Edwards point in the top bit (spec §1.5).
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Signature([u8; 64]);

/// A signature does not belong to this message and key: forged, corrupted or made for something else.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("the signature does not match")]
pub struct InvalidSignature;

/// A public key that verifies many signatures: with the point its Edwards encoding is kept, which each signature hashes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VerifyingKey {
    point: Point,
    /// Of the point with sign bit 0.
    encoding: [u8; 32],
}

impl Signature {
    /// Takes 64 bytes from outside. They mean nothing until verified.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The 64 bytes as they travel.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl KeyPair {
    /// Signs the concatenation of `message`'s parts. The nonce hashes key, message and 64 random bytes: a broken random
    /// number generator costs nothing but determinism.
    pub(crate) fn sign(&self, message: &[&[u8]], rng: &mut impl CryptoRng) -> Signature {
        let mut random = Zeroizing::new([0; 64]);
        rng.fill_bytes(random.as_mut());
        let nonce_hash =
            Sha512::new().chain_update(label::XEDDSA_NONCE.as_bytes()).chain_update(self.private().as_bytes());
        let mut nonce = scalar_of(with_message(nonce_hash, message).chain_update(random.as_ref()));

        let commitment = EdwardsPoint::mul_base(&nonce).compress();
        let challenge = challenge(&commitment, self.edwards_encoding(), message);

        let mut secret = Scalar::from_bytes_mod_order(*self.private().as_bytes());
        let response = nonce + challenge * secret;
        nonce.zeroize();
        secret.zeroize();

        let mut signature = [0; 64];
        let (r, s) = signature.split_at_mut(32);
        r.copy_from_slice(commitment.as_bytes());
        s.copy_from_slice(response.as_bytes());
        let ([.., last], [.., sign]) = (&mut signature, self.edwards_encoding());
        *last |= sign & 0x80;
        Signature(signature)
    }
}

impl Point {
    /// As [`VerifyingKey::verify`], for a key that verifies one signature.
    pub(crate) fn verify(&self, message: &[&[u8]], signature: &Signature) -> Result<(), InvalidSignature> {
        VerifyingKey::new(self).verify(message, signature)
    }
}

impl VerifyingKey {
    pub(crate) fn new(point: &Point) -> Self {
        Self { point: *point, encoding: point.edwards().compress().to_bytes() }
    }

    /// What peers know the key by.
    pub(crate) const fn encoded(&self) -> EncodedKey {
        EncodedKey::from_point(&self.point)
    }

    /// The one function that decides whether a signature is valid: cofactorless, s < l, R canonical and of large order.
    pub(crate) fn verify(&self, message: &[&[u8]], signature: &Signature) -> Result<(), InvalidSignature> {
        let mut bytes = signature.0;
        let [.., last] = &mut bytes;
        let sign = *last >> 7;
        *last &= 0x7F;

        let mut public = *self.point.edwards();
        public.conditional_negate(Choice::from(sign));
        let mut encoding = self.encoding;
        let [.., last] = &mut encoding;
        *last |= sign << 7;
        verify_edwards(&public, &encoding, message, &bytes)
    }
}

/// Ed25519's equation R = sB - hA for an Edwards public point and its encoding.
fn verify_edwards(
    public: &EdwardsPoint,
    encoding: &[u8; 32],
    message: &[&[u8]],
    signature: &[u8; 64],
) -> Result<(), InvalidSignature> {
    let (commitment, s) = signature.split_first_chunk::<32>().ok_or(InvalidSignature)?;
    let s: [u8; 32] = s.try_into().map_err(|_| InvalidSignature)?;
    let s = Option::<Scalar>::from(Scalar::from_canonical_bytes(s)).ok_or(InvalidSignature)?;
    let commitment = CompressedEdwardsY(*commitment);
    let challenge = challenge(&commitment, encoding, message);
    let expected = EdwardsPoint::vartime_double_scalar_mul_basepoint(&challenge, &-public, &s);
    // Comparing encodings refuses every non-canonical R; a small-order R is never made by an honest signer.
    if expected.compress() == commitment && !expected.is_small_order() { Ok(()) } else { Err(InvalidSignature) }
}

fn challenge(commitment: &CompressedEdwardsY, public: &[u8; 32], message: &[&[u8]]) -> Scalar {
    let hash = Sha512::new().chain_update(commitment.as_bytes()).chain_update(public);
    scalar_of(with_message(hash, message))
}

fn with_message(hash: Sha512, message: &[&[u8]]) -> Sha512 {
    message.iter().fold(hash, |hash, part| hash.chain_update(part))
}

fn scalar_of(hash: Sha512) -> Scalar {
    let wide = Zeroizing::new(<[u8; 64]>::from(hash.finalize()));
    Scalar::from_bytes_mod_order_wide(&wide)
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(")?;
        for byte in &self.0 {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}
