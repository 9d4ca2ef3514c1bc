//! The owner's half: private prekeys, made and signed here, kept by the caller (spec §2.2 to §2.4).

use core::fmt;

use rand_core::CryptoRng;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::curve::{InvalidSignature, KeyPair, PrekeyPublic, PrivateKey, Signature};
use crate::identity::IdentityKeyPair;
use crate::kyber::{self, KyberPublicKey, KyberSecretKey, KyberSecretKeyError};

/// Declares a prekey id. Ids of different kinds of prekeys are independent numbers.
macro_rules! prekey_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(pub u32);
    };
}

prekey_id! {
    /// Names a [`SignedPrekey`] among its owner's; any `u32` (Signal's services use 24 bits).
    SignedPrekeyId
}
prekey_id! {
    /// Names a [`OneTimePrekey`] among its owner's; any `u32`. Draw it at random: a sequence tells a server how many
    /// sessions the owner starts (ATTACKS A6).
    OneTimePrekeyId
}
prekey_id! {
    /// Names a [`KyberPrekey`] among its owner's; any `u32`. Draw it at random, as [`OneTimePrekeyId`].
    KyberPrekeyId
}

/// Why a stored prekey could not be restored: the caller's storage is damaged, or mixed up two owners. Safe to log.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum PrekeyError {
    /// The stored signature is not this identity's over this key.
    #[error("the stored signature does not belong to this identity and prekey")]
    Signature,
    /// The stored Kyber secret key is malformed.
    #[error("the stored secret key: {0}")]
    SecretKey(#[from] KyberSecretKeyError),
}

impl From<InvalidSignature> for PrekeyError {
    fn from(_: InvalidSignature) -> Self {
        Self::Signature
    }
}

/// A medium-term X25519 prekey, signed by the identity key; doubles as the responder's first ratchet key (spec §2.2).
pub struct SignedPrekey {
    id: SignedPrekeyId,
    pair: KeyPair,
    signature: Signature,
}

/// An X25519 prekey for one session. Delete the private half once a first message consumed it (spec §2.3).
pub struct OneTimePrekey {
    id: OneTimePrekeyId,
    pair: KeyPair,
}

/// A Kyber1024 prekey, signed by the identity key (spec §2.4): for one session, or as last resort for many.
///
/// Whether a given key is for one session or the last resort is the owner's own note, not on the wire: say it when
/// answering a first message, with [`KyberPrekeyRef`](crate::KyberPrekeyRef).
pub struct KyberPrekey {
    id: KyberPrekeyId,
    public: KyberPublicKey,
    secret: KyberSecretKey,
    signature: Signature,
}

impl SignedPrekey {
    /// Makes a pair and signs its 33 public bytes.
    #[must_use]
    pub fn generate(id: SignedPrekeyId, identity: &IdentityKeyPair, rng: &mut impl CryptoRng) -> Self {
        let pair = KeyPair::generate(rng);
        let signature = identity.pair().sign(&[&PrekeyPublic::from_point(pair.public()).to_bytes()], rng);
        Self { id, pair, signature }
    }

    /// Restores a prekey from the caller's storage and checks that the signature is `identity`'s.
    ///
    /// # Errors
    /// [`PrekeyError::Signature`]: the storage is damaged, or the prekey is another identity's.
    pub fn restore(
        id: SignedPrekeyId,
        private_key: &[u8; 32],
        signature: Signature,
        identity: &IdentityKeyPair,
    ) -> Result<Self, PrekeyError> {
        let prekey = Self { id, pair: KeyPair::from_private(PrivateKey::from_bytes(private_key)), signature };
        identity.pair().public().verify(&[&prekey.public_key().to_bytes()], &signature)?;
        Ok(prekey)
    }

    /// Its number.
    #[must_use]
    pub const fn id(&self) -> SignedPrekeyId {
        self.id
    }

    /// What is published.
    #[must_use]
    pub fn public_key(&self) -> PrekeyPublic {
        PrekeyPublic::from_point(self.pair.public())
    }

    /// The identity's signature over the public key's 33 bytes.
    #[must_use]
    pub const fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The private key, 32 bytes, for the caller's storage; wiped when dropped.
    #[must_use]
    pub fn private_key(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(*self.pair.private().as_bytes())
    }

    pub(crate) const fn pair(&self) -> &KeyPair {
        &self.pair
    }
}

impl OneTimePrekey {
    /// Makes a pair.
    #[must_use]
    pub fn generate(id: OneTimePrekeyId, rng: &mut impl CryptoRng) -> Self {
        Self { id, pair: KeyPair::generate(rng) }
    }

    /// Restores a prekey from the caller's storage.
    #[must_use]
    pub fn restore(id: OneTimePrekeyId, private_key: &[u8; 32]) -> Self {
        Self { id, pair: KeyPair::from_private(PrivateKey::from_bytes(private_key)) }
    }

    /// Its number.
    #[must_use]
    pub const fn id(&self) -> OneTimePrekeyId {
        self.id
    }

    /// What is published.
    #[must_use]
    pub fn public_key(&self) -> PrekeyPublic {
        PrekeyPublic::from_point(self.pair.public())
    }

    /// The private key, 32 bytes, for the caller's storage; wiped when dropped.
    #[must_use]
    pub fn private_key(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(*self.pair.private().as_bytes())
    }

    pub(crate) const fn pair(&self) -> &KeyPair {
        &self.pair
    }
}

impl KyberPrekey {
    /// Makes a pair and signs its 1,569 public bytes.
    #[must_use]
    pub fn generate(id: KyberPrekeyId, identity: &IdentityKeyPair, rng: &mut impl CryptoRng) -> Self {
        let (public, secret) = kyber::generate(rng);
        let signature = identity.pair().sign(&[&public.to_bytes()], rng);
        Self { id, public, secret, signature }
    }

    /// Restores a prekey from the caller's storage and checks that the signature is `identity`'s.
    ///
    /// # Errors
    /// [`PrekeyError`]: the storage is damaged, or the prekey is another identity's.
    pub fn restore(
        id: KyberPrekeyId,
        secret_key: &[u8],
        signature: Signature,
        identity: &IdentityKeyPair,
    ) -> Result<Self, PrekeyError> {
        let secret = KyberSecretKey::parse(secret_key)?;
        let public = secret.public_key();
        identity.pair().public().verify(&[&public.to_bytes()], &signature)?;
        Ok(Self { id, public, secret, signature })
    }

    /// Its number.
    #[must_use]
    pub const fn id(&self) -> KyberPrekeyId {
        self.id
    }

    /// What is published.
    #[must_use]
    pub const fn public_key(&self) -> &KyberPublicKey {
        &self.public
    }

    /// The identity's signature over the public key's 1,569 bytes.
    #[must_use]
    pub const fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The secret key, for the caller's storage.
    #[must_use]
    pub const fn secret_key(&self) -> &KyberSecretKey {
        &self.secret
    }
}

impl fmt::Debug for SignedPrekey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, pair: _, signature: _ } = self;
        f.debug_struct("SignedPrekey").field("id", id).finish_non_exhaustive()
    }
}

impl fmt::Debug for OneTimePrekey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, pair: _ } = self;
        f.debug_struct("OneTimePrekey").field("id", id).finish_non_exhaustive()
    }
}

impl fmt::Debug for KyberPrekey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, public: _, secret: _, signature: _ } = self;
        f.debug_struct("KyberPrekey").field("id", id).finish_non_exhaustive()
    }
}
