//! A device's long-term key pair (spec §1.3, §2.1).

use core::fmt;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::curve::{IdentityKey, KeyPair, PrivateKey};

/// A device's long-term key pair. It agrees in X3DH and PQXDH and signs prekeys; nothing else, unless `hazmat` is used.
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

    pub(crate) const fn pair(&self) -> &KeyPair {
        &self.pair
    }
}

impl fmt::Debug for IdentityKeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pair: _, public } = self;
        f.debug_struct("IdentityKeyPair").field("public", public).finish_non_exhaustive()
    }
}
