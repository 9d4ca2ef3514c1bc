//! Why a session operation failed, and what the caller does about it. All are safe to log.

use thiserror::Error;

use crate::agreement::RespondError;
use crate::curve::PublicKeyError;
use crate::ratchet::ChainExhausted;

/// Why a message was not sealed.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum SealError {
    /// The peer has not answered for 30 days (spec §5.5): fetch a fresh bundle and start anew.
    #[error("the peer has not acknowledged the session for too long")]
    UnacknowledgedTooLong,
    /// 2^32 - 1 messages without an answer: start anew.
    #[error("the sending chain has no numbers left")]
    ChainExhausted,
    /// The message would be longer than [`MAX_MESSAGE_LEN`](crate::MAX_MESSAGE_LEN) allows: send it another way.
    #[error("a plaintext of {got} bytes is too long")]
    TooLong {
        /// The plaintext's size.
        got: usize,
    },
}

/// Why a message was not opened. The session is as it was.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum OpenError {
    /// Forged, corrupted, or meant for another session or recipient; which one is not observable.
    #[error("the message failed authentication")]
    Forged,
    /// Its key was already used, or dropped as too old (spec §5.7): a duplicate or a replay. Drop the message.
    #[error("message {counter} was already opened, or is too old")]
    Duplicate {
        /// The message's number.
        counter: u32,
    },
    /// It claims to be further ahead than honest peers get (spec §5.7).
    #[error("message {counter} is {ahead} messages ahead")]
    TooFarAhead {
        /// The message's number.
        counter: u32,
        /// How many numbers lie between.
        ahead: u32,
    },
    /// It is of another suite than the session: never a reason to fall back.
    #[error("the message is of another suite than the session")]
    WrongSuite,
    /// Its ratchet key is no valid point.
    #[error("ratchet key: {0}")]
    RatchetKey(PublicKeyError),
}

/// Why a first message was not accepted. Nothing was consumed.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum AcceptError {
    /// The agreement did not take place.
    #[error(transparent)]
    Respond(#[from] RespondError),
    /// The agreement took place, but the message inside did not open.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl From<ChainExhausted> for SealError {
    fn from(_: ChainExhausted) -> Self {
        Self::ChainExhausted
    }
}
