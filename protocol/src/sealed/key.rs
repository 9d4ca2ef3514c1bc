//! Keys that sign certificates: trust roots and servers (spec §8.1).

use core::fmt;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::curve::{KeyPair, PrivateKey, public_key};

public_key! {
    /// The public half of a trust root or of a server that certifies senders.
    CertificateKey, unique
}

/// A trust root's or server's key pair. It signs certificates and nothing else.
pub struct CertificateKeyPair {
    pair: KeyPair,
    public: CertificateKey,
}

impl CertificateKeyPair {
    /// Draws 32 random bytes.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self::from_pair(KeyPair::generate(rng))
    }

    /// Restores a pair from its private key: 32 bytes, clamped if they are not (spec §1.3).
    #[must_use]
    pub fn from_private_key(bytes: &[u8; 32]) -> Self {
        Self::from_pair(KeyPair::from_private(PrivateKey::from_bytes(bytes)))
    }

    fn from_pair(pair: KeyPair) -> Self {
        let public = CertificateKey::from_point(pair.public());
        Self { pair, public }
    }

    /// The private key, 32 bytes, for the caller's storage; wiped when dropped.
    #[must_use]
    pub fn private_key(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(*self.pair.private().as_bytes())
    }

    /// What verifies this pair's certificates.
    #[must_use]
    pub const fn public_key(&self) -> &CertificateKey {
        &self.public
    }

    pub(super) const fn pair(&self) -> &KeyPair {
        &self.pair
    }
}

impl fmt::Debug for CertificateKeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pair: _, public } = self;
        f.debug_struct("CertificateKeyPair").field("public", public).finish_non_exhaustive()
    }
}
