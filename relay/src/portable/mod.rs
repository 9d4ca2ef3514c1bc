//! One mailbox as a file, to bring it to another relay. Implements spec/17-relay.md §17.25.
//!
//! ```text
//! name ‖ version ‖ state ─┬─ live: owner, lanes ‖ (1 ‖ envelope)* ‖ 0 ─┐
//!                         ├─ blocked: mailbox ─────────────────────────┼─▶ SHA-256 of all that
//!                         └─ closed: mailbox, capability's hash, until ┘
//! ```
//! Invariants: one mailbox has one encoding; a file is read once, front to back, and never more than one envelope of it at a time; nothing that it
//! says is to be believed for good before [`Reader::next`] has returned none, which it does only after the digest.
//! Not here: where files lie (`carry`), what a store makes of one (`store`).
use std::io;

use waxwing_wire::{
    id::{DeliveryId, MailboxId},
    padding::Envelope,
    relay::LaneNumber,
    time::Timestamp,
};

use crate::ledger::{LaneRow, Pool};

mod lanes;
mod read;
mod write;

pub use read::Reader;
pub use write::Writer;

/// What a file says before its envelopes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Head {
    /// A mailbox that is there; its envelopes follow.
    Live(LiveHead),
    /// One that an operator blocked.
    Blocked(MailboxId),
    /// One that was closed, as long as that is known.
    Closed {
        /// Whose.
        mailbox: MailboxId,
        /// SHA-256 over the close capability.
        close_hash: [u8; 32],
        /// How long it is known.
        until: Timestamp,
    },
}

/// A mailbox without its envelopes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LiveHead {
    /// Ed25519; the id follows from it.
    pub owner_key: [u8; 32],
    /// SHA-256 over the close capability.
    pub close_hash: [u8; 32],
    /// No number above this was given.
    pub newest: u64,
    /// The number that the next lane will get.
    pub next_lane: u32,
    /// All but the strangers' lane, ascending.
    pub lanes: Vec<LaneRow>,
}

/// An envelope with its place in the mailbox.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Parcel {
    /// Its number.
    pub sequence: u64,
    /// The lane it came by.
    pub lane: LaneNumber,
    /// Whose share it counts against.
    pub pool: Pool,
    /// When it ends.
    pub ends: Timestamp,
    /// The sender's id for it.
    pub delivery: DeliveryId,
    /// The bytes.
    pub envelope: Envelope,
}

/// Why a file is no mailbox's.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It begins otherwise.
    #[error("this is no file of a mailbox")]
    Foreign,
    /// A later version of this program wrote it.
    #[error("the file is of version {0}, which this relay does not know")]
    Version(u32),
    /// It ends too early, or goes on after its end.
    #[error("the file is cut off, or something was added to it")]
    Length,
    /// Its digest is not that of its bytes.
    #[error("the file is damaged: its digest is another")]
    Damaged,
    /// It says what no relay says of a mailbox.
    #[error("the file breaks a rule: {0}")]
    Rule(&'static str),
    /// There is more in it than this relay's quota.
    #[error("the mailbox has more in it than this relay lets a mailbox have")]
    Quota,
    /// It cannot be read.
    #[error("the file cannot be read: {0}")]
    Disk(#[source] io::Error),
}

const NAME: &[u8; 16] = b"waxwing-mailbox\0";
const VERSION: u32 = 1;
const LIVE: u8 = 1;
const BLOCKED: u8 = 2;
const CLOSED: u8 = 3;
const MORE: u8 = 1;
const END: u8 = 0;
/// Lanes besides the strangers'.
const MOST_LANES: usize = 16;
