//! The symmetric chain: one step per message (Double Ratchet, `KDF_CK`; spec §5.3).

use alloc::boxed::Box;
use core::fmt;

use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::message_keys::MessageSeed;
use crate::crypto::hmac;
use crate::label;

/// A chain key and the number of the message it makes.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct ChainKey {
    key: Box<[u8; 32]>,
    index: u32,
}

/// 2^32 - 1 messages without a ratchet step.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("the chain has no numbers left")]
pub(crate) struct ChainExhausted;

impl ChainKey {
    pub(crate) fn new(key: &[u8; 32], index: u32) -> Self {
        Self { key: Box::new(*key), index }
    }

    pub(crate) const fn index(&self) -> u32 {
        self.index
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.key
    }

    /// What the message of this index is keyed from.
    pub(crate) fn message_seed(&self) -> MessageSeed {
        MessageSeed::from_bytes(&hmac(&self.key, &[label::MESSAGE_SEED.as_bytes()]))
    }

    /// A copy to walk ahead on, so that a message that turns out forged has moved nothing.
    pub(crate) fn duplicate(&self) -> Self {
        Self::new(&self.key, self.index)
    }

    /// The chain one message on.
    pub(crate) fn next(&self) -> Result<Self, ChainExhausted> {
        let index = self.index.checked_add(1).ok_or(ChainExhausted)?;
        Ok(Self::new(&hmac(&self.key, &[label::NEXT_CHAIN_KEY.as_bytes()]), index))
    }
}

impl fmt::Debug for ChainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key: _, index } = self;
        f.debug_struct("ChainKey").field("index", index).finish_non_exhaustive()
    }
}
