//! What an agreement yields (spec §3.3).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::crypto::{Salt, hkdf};
use crate::curve::SharedSecret;
use crate::kyber::KemSecret;
use crate::label;
use crate::ratchet::{ChainKey, RootKey};

/// The keys that a session starts from: root key, first chain key and, with PQXDH, the key that authenticates the sparse
/// post-quantum ratchet (32 bytes each; spec §3.3).
pub struct SessionSecrets {
    pub(crate) root_key: RootKey,
    pub(crate) chain_key: ChainKey,
    pub(crate) pq_ratchet_key: Option<PqRatchetKey>,
}

/// The third key of PQXDH's output.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct PqRatchetKey(pub(crate) Box<[u8; 32]>);

/// The Diffie-Hellman outputs in the order of spec §3.3; the fourth only with a one-time prekey.
pub(super) struct Agreed {
    pub(super) dh1: SharedSecret,
    pub(super) dh2: SharedSecret,
    pub(super) dh3: SharedSecret,
    pub(super) dh4: Option<SharedSecret>,
}

impl Agreed {
    /// X3DH: 64 bytes of output.
    pub(super) fn into_x3dh(self) -> SessionSecrets {
        let output = hkdf::<2>(Salt::None, &self.key_material(None), label::X3DH);
        let [root, chain] = &*output;
        SessionSecrets { root_key: RootKey::from_bytes(root), chain_key: ChainKey::new(chain, 0), pq_ratchet_key: None }
    }

    /// PQXDH: 96 bytes of output.
    pub(super) fn into_pqxdh(self, kem: &KemSecret) -> SessionSecrets {
        let output = hkdf::<3>(Salt::None, &self.key_material(Some(kem)), label::PQXDH);
        let [root, chain, pq_ratchet] = &*output;
        SessionSecrets {
            root_key: RootKey::from_bytes(root),
            chain_key: ChainKey::new(chain, 0),
            pq_ratchet_key: Some(PqRatchetKey(Box::new(*pq_ratchet))),
        }
    }

    fn key_material<'a>(&'a self, kem: Option<&'a KemSecret>) -> Vec<&'a [u8]> {
        let Self { dh1, dh2, dh3, dh4 } = self;
        let mut parts: Vec<&[u8]> = Vec::with_capacity(6);
        parts.push(label::AGREEMENT_PREFIX.as_bytes());
        parts.extend([dh1, dh2, dh3].map(|secret| &secret.as_bytes()[..]));
        parts.extend(dh4.as_ref().map(|secret| &secret.as_bytes()[..]));
        parts.extend(kem.map(|secret| &secret.as_bytes()[..]));
        parts
    }
}

/// For auditors who compare them with another implementation: whoever has them reads the session.
#[cfg(feature = "hazmat")]
impl SessionSecrets {
    /// 32 bytes.
    #[must_use]
    pub fn root_key(&self) -> &[u8; 32] {
        self.root_key.as_bytes()
    }

    /// 32 bytes, at index 0.
    #[must_use]
    pub fn chain_key(&self) -> &[u8; 32] {
        self.chain_key.as_bytes()
    }

    /// 32 bytes, with PQXDH.
    #[must_use]
    pub fn pq_ratchet_key(&self) -> Option<&[u8; 32]> {
        self.pq_ratchet_key.as_ref().map(|key| &*key.0)
    }
}

impl fmt::Debug for SessionSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionSecrets(..)")
    }
}
