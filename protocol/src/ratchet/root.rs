//! The root key and its step (Double Ratchet, `KDF_RK`; spec §5.2).

use alloc::boxed::Box;
use core::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::chain::ChainKey;
use crate::crypto::{Salt, hkdf};
use crate::curve::{NonContributory, Point, PrivateKey};
use crate::label;

/// What the next DH ratchet step starts from.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct RootKey(Box<[u8; 32]>);

impl RootKey {
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Box::new(*bytes))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// One DH ratchet step: the next root key and a fresh chain at index 0.
    pub(crate) fn step(&self, ours: &PrivateKey, theirs: &Point) -> Result<(Self, ChainKey), NonContributory> {
        let agreed = ours.agree(theirs)?;
        let output = hkdf::<2>(Salt::Key(&self.0), &[agreed.as_bytes()], label::ROOT_STEP);
        let [root, chain] = &*output;
        Ok((Self::from_bytes(root), ChainKey::new(chain, 0)))
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey(..)")
    }
}
