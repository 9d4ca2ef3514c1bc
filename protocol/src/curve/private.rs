//! Private keys and what they agree on (spec §1.3, §1.4).

use alloc::boxed::Box;
use core::fmt;

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::montgomery::MontgomeryPoint;
use curve25519_dalek::scalar::clamp_integer;
use rand_core::CryptoRng;
use subtle::{Choice, ConditionallyNegatable, ConstantTimeEq};
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::point::Point;
use super::public::{EncodedKey, RatchetKey};

/// 32 bytes, clamped (RFC 7748 §5). Boxed so that a move leaves no copy behind.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct PrivateKey(Box<[u8; 32]>);

/// The u-coordinate two parties agree on. Only ever key material for a KDF.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct SharedSecret(Box<[u8; 32]>);

/// An agreement came out as zero: the peer's key contributes nothing (RFC 7748 §6.1).
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("the key agreement came out as zero")]
pub(crate) struct NonContributory;

impl PrivateKey {
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Box::new(clamp_integer(*bytes)))
    }

    pub(crate) fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(bytes.as_mut());
        Self::from_bytes(&bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The public half of a key that only ever agrees: the Edwards form and its sign, which signatures need, are not made,
    /// and that saves an inversion.
    pub(crate) fn public(&self) -> EncodedKey {
        EncodedKey::from_canonical(MontgomeryPoint::mul_base_clamped(*self.0).to_bytes())
    }

    /// X25519 (RFC 7748 §5): the same bytes as the ladder gives, through the peer's Edwards form. Constant time.
    ///
    /// No point that [`Point::parse`] lets through can make it zero; the check stands all the same, because what
    /// follows depends on it.
    pub(crate) fn agree(&self, theirs: &Point) -> Result<SharedSecret, NonContributory> {
        let mut product = theirs.edwards().mul_clamped(*self.0);
        let secret = SharedSecret(Box::new(product.to_montgomery().to_bytes()));
        product.zeroize();
        if bool::from(secret.0.ct_eq(&[0; 32])) { Err(NonContributory) } else { Ok(secret) }
    }
}

impl SharedSecret {
    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A private key with its public point and the sign that its Edwards form really has, which XEdDSA needs.
pub(crate) struct KeyPair {
    private: PrivateKey,
    public: Point,
    /// The private key times the base point as Ed25519 encodes it, with the sign it really has. Not secret: every
    /// signature shows it. Kept because each signature hashes it.
    edwards: [u8; 32],
}

impl KeyPair {
    pub(crate) fn from_private(private: PrivateKey) -> Self {
        let mut edwards = EdwardsPoint::mul_base_clamped(*private.as_bytes());
        let encoded = edwards.compress().to_bytes();
        let [.., last] = encoded;
        edwards.conditional_negate(Choice::from(last >> 7));
        Self { private, public: Point::from_edwards(edwards), edwards: encoded }
    }

    pub(crate) fn generate(rng: &mut impl CryptoRng) -> Self {
        Self::from_private(PrivateKey::generate(rng))
    }

    pub(crate) fn private(&self) -> &PrivateKey {
        &self.private
    }

    pub(crate) fn public(&self) -> &Point {
        &self.public
    }

    /// The public half as Ed25519 encodes it, sign bit on top.
    pub(super) const fn edwards_encoding(&self) -> &[u8; 32] {
        &self.edwards
    }

    pub(crate) fn agree(&self, theirs: &Point) -> Result<SharedSecret, NonContributory> {
        self.private.agree(theirs)
    }
}

/// A key pair of the Double Ratchet, which only ever agrees ([`PrivateKey::public`]).
pub(crate) struct RatchetPair {
    pub(crate) private: PrivateKey,
    pub(crate) public: RatchetKey,
}

impl RatchetPair {
    pub(crate) fn generate(rng: &mut impl CryptoRng) -> Self {
        Self::from_private(PrivateKey::generate(rng))
    }

    pub(crate) fn from_private(private: PrivateKey) -> Self {
        let public = RatchetKey::from_stored(private.public());
        Self { private, public }
    }

    /// A second owner of the same keys: the responder's signed prekey is also its first ratchet key.
    pub(crate) fn of_prekey(pair: &KeyPair) -> Self {
        let private = PrivateKey::from_bytes(pair.private.as_bytes());
        Self { private, public: RatchetKey::from_point(&pair.public) }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSecret(..)")
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { private: _, public, edwards: _ } = self;
        f.debug_struct("KeyPair").field("public", public).finish_non_exhaustive()
    }
}

impl fmt::Debug for RatchetPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { private: _, public } = self;
        f.debug_struct("RatchetPair").field("public", public).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratchet_pair_has_the_public_key_of_any_other_pair() {
        for seed in 0..64 {
            let bytes = [seed; 32];
            let pair = KeyPair::from_private(PrivateKey::from_bytes(&bytes));
            let ratchet = RatchetPair::from_private(PrivateKey::from_bytes(&bytes));
            assert_eq!(ratchet.public, RatchetKey::from_point(pair.public()), "{seed}");
            let copy = RatchetPair::of_prekey(&pair);
            assert_eq!((copy.public, copy.private.as_bytes()), (ratchet.public, ratchet.private.as_bytes()), "{seed}");
        }
    }
}
