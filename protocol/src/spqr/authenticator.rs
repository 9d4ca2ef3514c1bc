//! The authenticator: MACs over headers and ciphertexts, keyed by every secret so far. Implements spec/06-spqr.md §6.4
//! (ML-KEM Braid, "Authenticator").
//!
//! ```text
//! (root, MAC key) ──update(epoch, secret)──▶ (root', MAC key')
//! ```
//! Invariants: a MAC is compared in constant time and never shortened.

use alloc::sync::Arc;
use core::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::Epoch;
use crate::crypto::{Salt, hkdf_with, hmac};
use crate::label;

/// Bytes of a MAC.
pub(crate) const MAC: usize = 32;

/// Root and MAC key. Cloning shares them.
#[derive(Clone)]
pub(crate) struct Authenticator(Arc<Keys>);

#[derive(Zeroize, ZeroizeOnDrop)]
struct Keys([[u8; 32]; 2]);

impl Authenticator {
    /// As it is at the start of epoch 1.
    pub(crate) fn new(auth_key: &[u8; 32]) -> Self {
        Self::from_keys(&[0; 32], &[0; 32]).update(Epoch::FIRST, auth_key)
    }

    pub(crate) fn from_keys(root: &[u8; 32], mac_key: &[u8; 32]) -> Self {
        Self(Arc::new(Keys([*root, *mac_key])))
    }

    /// Root, MAC key.
    pub(crate) fn keys(&self) -> &[[u8; 32]; 2] {
        &self.0.0
    }

    /// Mixes an epoch's secret in.
    pub(crate) fn update(&self, epoch: Epoch, secret: &[u8; 32]) -> Self {
        let [root, _] = self.keys();
        let info = [label::SPQR_AUTHENTICATOR.as_bytes(), &epoch.to_bytes()];
        let [root, mac_key] = &*hkdf_with::<2>(Salt::None, &[root, secret], &info);
        Self::from_keys(root, mac_key)
    }

    pub(crate) fn header_mac(&self, epoch: Epoch, header: &[u8]) -> [u8; MAC] {
        let [_, mac_key] = self.keys();
        *hmac(mac_key, &[label::SPQR_HEADER.as_bytes(), &epoch.to_bytes(), header])
    }

    pub(crate) fn ciphertext_mac(&self, epoch: Epoch, ct1: &[u8], ct2: &[u8]) -> [u8; MAC] {
        let [_, mac_key] = self.keys();
        *hmac(mac_key, &[label::SPQR_CIPHERTEXT.as_bytes(), &epoch.to_bytes(), ct1, ct2])
    }
}

/// Whether a MAC is the one that was computed; in constant time.
pub(crate) fn is_equal(computed: &[u8; MAC], received: &[u8]) -> bool {
    computed[..].ct_eq(received).into()
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authenticator(..)")
    }
}
