//! Why a session operation failed, and what the caller does about it. All are safe to log.

use thiserror::Error;

use super::budget::Exhausted;
use crate::agreement::RespondError;
use crate::curve::PublicKeyError;
use crate::ratchet::ChainExhausted;
use crate::spqr;

/// Why a message was not sealed. The session is as it was.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum SealError {
    /// There is no current state: fetch a bundle and initiate.
    #[error("there is no session")]
    NoSession,
    /// The peer has not answered for 30 days (spec §5.5): fetch a fresh bundle and initiate.
    #[error("the peer has not acknowledged the session for too long")]
    UnacknowledgedTooLong,
    /// 2^32 - 1 messages without an answer: initiate anew.
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
    /// There is no state it could belong to.
    #[error("there is no session for the message")]
    NoSession,
    /// Forged, corrupted, meant for another session or recipient, or two epochs of the post-quantum ratchet too late; which
    /// one is not observable.
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
    /// No state is of the message's suite: never a reason to fall back.
    #[error("the message is of another suite than the session")]
    WrongSuite,
    /// Its ratchet key is no valid point.
    #[error("ratchet key: {0}")]
    RatchetKey(PublicKeyError),
    /// It is of a peer without the post-quantum ratchet, which the session has: forged, or a first message of a peer older
    /// than the official library's 0.74. Accept the latter by the function that is named so if the peer is known to have
    /// nothing better; never because a message says so.
    #[error("the message has no part of the post-quantum ratchet")]
    NoPostQuantumRatchet,
    /// Its part of the post-quantum ratchet is malformed; or the message is authentic, and the part of the exchange that it
    /// carries is wrong (spec §6.8): the peer is broken. Drop the message; start a new session if it goes on.
    #[error("the message's part of the post-quantum ratchet is wrong")]
    PostQuantumRatchet,
    /// Trying it would cost more than the caller's [`Budget`](crate::Budget) has left: keep it and try again later.
    #[error("the budget for messages that fail is used up")]
    OverBudget,
}

/// Why a first message was not accepted. Nothing was consumed; the session is as it was.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum AcceptError {
    /// The agreement did not take place.
    #[error(transparent)]
    Respond(#[from] RespondError),
    /// The agreement took place, but the message inside did not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The message names a state that exists: [`Session::open_first`](crate::Session::open_first) it.
    #[error("the message belongs to a session that exists")]
    KnownSession,
}

/// Why records are no session or sender key: the caller's storage is damaged, incomplete, or newer than this crate. Safe to log.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum RecordError {
    /// A record has a version that this crate does not know: it was written by a newer one.
    #[error("a record has unknown version {got}")]
    Version {
        /// The version that was read.
        got: u8,
    },
    /// A record's bytes or key are malformed.
    #[error("a record is malformed")]
    Malformed,
    /// A record that the head refers to is not there.
    #[error("a record is missing")]
    Missing,
    /// A record is there that nothing refers to.
    #[error("a record belongs to nothing")]
    Stray,
}

impl From<spqr::KeyError> for SealError {
    fn from(_: spqr::KeyError) -> Self {
        Self::ChainExhausted
    }
}

impl From<ChainExhausted> for SealError {
    fn from(_: ChainExhausted) -> Self {
        Self::ChainExhausted
    }
}

impl From<Exhausted> for OpenError {
    fn from(_: Exhausted) -> Self {
        Self::OverBudget
    }
}
