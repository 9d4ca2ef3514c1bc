//! A device's long-term key pair (spec §1.3, §2.1).

use core::fmt;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::curve::{IdentityKey, InvalidSignature, KeyPair, Point, PrivateKey, PublicKeyError, Signature};
use crate::label;

/// A device's long-term key pair. It agrees in X3DH and PQXDH, signs prekeys and acknowledges the account's other
/// identity; nothing else, unless `hazmat` is used.
pub struct IdentityKeyPair {
    pair: KeyPair,
    public: IdentityKey,
}

impl IdentityKeyPair {
    /// Draws 32 random bytes.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self::from_pair(KeyPair::generate(rng))
    }

    /// Restores a pair from its private key: 32 bytes, clamped if they are not (spec §1.3). The public half is computed.
    #[must_use]
    pub fn from_private_key(bytes: &[u8; 32]) -> Self {
        Self::from_pair(KeyPair::from_private(PrivateKey::from_bytes(bytes)))
    }

    fn from_pair(pair: KeyPair) -> Self {
        let public = IdentityKey::from_point(pair.public());
        Self { pair, public }
    }

    /// The private key, 32 bytes, for the caller's storage; wiped when dropped.
    #[must_use]
    pub fn private_key(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(*self.pair.private().as_bytes())
    }

    /// What peers know this device by.
    #[must_use]
    pub const fn public_key(&self) -> &IdentityKey {
        &self.public
    }

    /// Signs that `other` is an identity of the same account (spec §1.8): Signal's apps link an account's phone-number
    /// identity with its main one so. Draws 64 random bytes.
    #[must_use]
    pub fn sign_alternate_identity(&self, other: &IdentityKey, rng: &mut impl CryptoRng) -> Signature {
        self.pair.sign(&[label::ALTERNATE_IDENTITY.as_bytes(), &other.to_bytes()], rng)
    }

    pub(crate) const fn pair(&self) -> &KeyPair {
        &self.pair
    }
}

impl IdentityKey {
    /// Checks that this identity acknowledges `other` as one of the same account (spec §1.8).
    ///
    /// # Errors
    /// [`InvalidSignature`]: it does not.
    pub fn verify_alternate_identity(&self, other: &Self, signature: &Signature) -> Result<(), InvalidSignature> {
        let point = self.encoded().point().map_err(|_| InvalidSignature)?;
        point.verify(&[label::ALTERNATE_IDENTITY.as_bytes(), &other.to_bytes()], signature)
    }

    /// The Montgomery form of an Ed25519 public key (RFC 7748 §4.1), as the key of a [`Fingerprint`](crate::Fingerprint).
    ///
    /// The sign is lost: a key and its negative give the same. So the stable id beside it must tell them apart, as
    /// Waxwing's account id does (spec §9.4).
    ///
    /// # Errors
    /// [`PublicKeyError`]: not the canonical encoding of a point of large prime order.
    pub fn from_ed25519(public_key: &[u8; 32]) -> Result<Self, PublicKeyError> {
        let point = Point::parse_edwards(public_key)?.require_torsion_free()?;
        Ok(Self::from_point(&point))
    }
}

impl fmt::Debug for IdentityKeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pair: _, public } = self;
        f.debug_struct("IdentityKeyPair").field("public", public).finish_non_exhaustive()
    }
}
