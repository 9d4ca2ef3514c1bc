//! What the mailboxes of a store ask of whatever keeps their bytes. Implements spec/17-relay.md §17.5.
//!
//! Invariants: what is pushed is done in the order of pushing, each push whole or not at all; a push never waits; `place` ascends
//! with the order of insertion and is never given twice.
//! Not here: what the rows mean (`ledger`), who holds them in memory (`mailboxes`).
use std::{future::Future, sync::Arc};

use waxwing_wire::{
    id::{DeliveryId, MailboxId},
    padding::{Envelope, EnvelopeHash},
    relay::LaneNumber,
    time::Timestamp,
};

use super::{Commit, Unavailable, mailbox::Mailbox};
use crate::ledger::{LaneChange, Pool};

/// Keeps envelopes by place, and rows about mailboxes.
pub trait Disk: Send + Sync + 'static {
    /// Waits until there is room for so many bytes among what is pushed and not written yet.
    fn room(&self, bytes: usize) -> impl Future<Output = Result<(), Unavailable>> + Send;

    /// Gives back what [`Self::room`] gave and no insert used.
    fn spare(&self, bytes: usize);

    /// Adds an envelope. If the commit is not known yet when this returns, [`Mailbox::settle`] will be called.
    fn insert(&self, insert: Insert) -> Ticket;

    /// Forgets envelopes. What could not be forgotten is tried again, so there is nothing to take back.
    fn forget(&self, gone: Vec<Spot>, urgency: Urgency) -> Commit;

    /// Changes rows about mailboxes; then `settle` is called, before anybody hears of the commit.
    fn change(&self, change: Change, settle: Settle) -> Commit;

    /// The envelopes of these places, in any order, without those that are no longer there.
    fn fetch(&self, spots: &[Spot]) -> impl Future<Output = Result<Vec<Fetched>, Unavailable>> + Send;
}

/// An envelope to be kept.
#[derive(Debug)]
pub struct Insert {
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) sequence: u64,
    pub(crate) lane: LaneNumber,
    pub(crate) pool: Pool,
    pub(crate) ends: Timestamp,
    pub(crate) delivery: DeliveryId,
    pub(crate) hash: EnvelopeHash,
    pub(crate) envelope: Arc<Envelope>,
    /// How many envelopes the lane's token has admitted by now.
    pub(crate) admitted: Option<u32>,
}

/// Where an envelope was put, and when that holds.
#[derive(Debug)]
pub struct Ticket {
    pub(crate) place: u64,
    pub(crate) commit: Commit,
}

/// Where an envelope is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Spot {
    pub(crate) place: u64,
    pub(crate) back: u16,
}

/// An envelope that was kept.
#[derive(Debug)]
pub struct Fetched {
    pub(crate) place: u64,
    pub(crate) delivery: DeliveryId,
    pub(crate) envelope: Arc<Envelope>,
}

/// How soon something is to be done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Urgency {
    /// Somebody waits for it.
    Now,
    /// Only where it delays nobody.
    Later,
}

/// A change of rows that are not envelopes.
#[derive(Debug)]
pub enum Change {
    /// A mailbox, and the invitation that is spent for it.
    Create { mailbox: Arc<Mailbox>, invite: Option<[u8; 32]> },
    /// Its lanes.
    Lanes { mailbox: u64, change: LaneChange },
    /// It is no more; what remains is the hash of its close capability, if it was closed.
    Remove { mailbox: u64, closed: Option<Closed> },
    /// Nor is that.
    ForgetClosed { mailbox: MailboxId },
    /// An invitation, by its hash.
    Invite { hash: [u8; 32] },
}

/// What is known of a closed mailbox.
#[derive(Clone, Copy, Debug)]
pub struct Closed {
    pub(crate) mailbox: MailboxId,
    pub(crate) close_hash: [u8; 32],
    pub(crate) until: Timestamp,
}

/// Makes a change so in memory, once it is on disk; or not, if that failed.
pub(super) type Settle = Box<dyn FnOnce(Result<(), Unavailable>) + Send>;
