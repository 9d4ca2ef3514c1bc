//! Why an operation with a sender key failed, and what the caller does about it. All are safe to log.

use thiserror::Error;

use crate::ratchet::ChainExhausted;
use crate::session::record_parts::Exhausted;

/// Why a group message was not sealed. The sender key is as it was.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum GroupSealError {
    /// 2^32 - 1 messages under one chain: generate another sender key and distribute it.
    #[error("the sender key has no numbers left")]
    ChainExhausted,
    /// The message would be longer than [`MAX_MESSAGE_LEN`](crate::MAX_MESSAGE_LEN) allows: send it another way.
    #[error("a plaintext of {got} bytes is too long")]
    TooLong {
        /// The plaintext's size.
        got: usize,
    },
}

/// Why a group message was not opened. What is kept of the sender is as it was.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum GroupOpenError {
    /// The message is of another distribution id: look the sender's keys up by the message's.
    #[error(transparent)]
    WrongDistribution(#[from] WrongDistribution),
    /// The chain is not known, or five newer ones displaced it. Keep the message and ask the sender for its distribution
    /// message, with a [`DecryptionErrorMessage`](crate::DecryptionErrorMessage).
    #[error("there is no sender key with chain id {chain_id}")]
    UnknownChain {
        /// As the message has it.
        chain_id: u32,
    },
    /// Not signed by the sender key's owner: forged, corrupted, or another member's; which one is not observable.
    #[error("the message's signature is not the sender's")]
    Forged,
    /// Its key was already used, or dropped as too old, or it is older than the distribution message (spec §7.4). Drop
    /// the message.
    #[error("message {iteration} was already opened, or is too old")]
    Duplicate {
        /// The message's number.
        iteration: u32,
    },
    /// It is further ahead than honest senders get (spec §7.4).
    #[error("message {iteration} is {ahead} messages ahead")]
    TooFarAhead {
        /// The message's number.
        iteration: u32,
        /// How many numbers lie between.
        ahead: u32,
    },
    /// The sender signed it, and yet it does not decrypt: the sender is broken, or distributed another chain key to us
    /// than it uses.
    #[error("message {iteration} is the sender's and does not decrypt")]
    Undecryptable {
        /// The message's number.
        iteration: u32,
    },
    /// Trying it would cost more than the caller's [`Budget`](crate::Budget) has left: keep it and try again later.
    #[error("the budget for messages that fail is used up")]
    OverBudget,
}

/// A message is of another distribution id than the keys it was given to. Nothing changed.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("the message is of another distribution id")]
pub struct WrongDistribution;

impl From<ChainExhausted> for GroupSealError {
    fn from(_: ChainExhausted) -> Self {
        Self::ChainExhausted
    }
}

impl From<Exhausted> for GroupOpenError {
    fn from(_: Exhausted) -> Self {
        Self::OverBudget
    }
}
