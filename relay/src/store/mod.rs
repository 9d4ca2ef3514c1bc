//! What a relay keeps, behind one trait. Implements the durable half of spec/17-relay.md.
//!
//! ```text
//! put ──▶ mailbox's ledger (in memory: lane, share, identity, number) ──▶ Watcher::admitted   beside the commit
//!                                   └──▶ writer: whatever waits, one transaction, one fsync ──▶ Commit
//! ```
//! Invariants: a [`Commit`] that succeeds means stable storage; numbers of a mailbox ascend and are never given twice, not even
//! over a crash; whatever fails leaves the store as it was; no method blocks on another mailbox.
//! Not here: who may ask (the service proves owners and work), connections, clocks: `now` is an argument.
#![cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "a disk needs what memory does not"))]
use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use waxwing_wire::{
    delivery::LaneHash,
    frame::ErrorCode,
    id::{DeliveryId, MailboxId},
    padding::{Envelope, EnvelopeHash, EnvelopeHeader, SharedPart},
    relay::{Ack, AddLane, EndLane, LaneNumber, MailboxState, RotateLane},
    time::Timestamp,
};

mod arrivals;
mod blobs;
mod budget;
mod calendar;
mod carried;
mod commit;
mod directory;
mod disk;
mod invites;
mod mailbox;
mod mailboxes;
mod memory;
mod registers;
mod rules;
#[cfg(feature = "sqlite")]
mod sqlite;

pub use blobs::{
    BlobCreateError, BlobError, BlobReadError, BlobRules, BlobWriteError, Blobs, Download, Downloading, NewBlob,
    Upload, Uploading,
};
pub use carried::{Export, ExportError, Import, ImportError};
pub use commit::Commit;
pub use invites::{Invitation, InvitationState, InviteError, InviteId};
pub use mailboxes::Mailboxes;
pub use memory::{Memory, MemoryStore};
pub use registers::{NewRegister, RegisterCreateError, RegisterError, RegisterRules, RegisterWriteError, Registers};
pub use rules::{PUTS_OF_MAILBOX, Rules};
#[cfg(feature = "sqlite")]
pub use sqlite::{Commits, Finding, OpenError, Sqlite, SqliteStore};

pub use crate::ledger::{Life, Quota, Via};

/// Where mailboxes live. One conformance suite (`relay/tests/it/conformance`) says what every implementation does.
pub trait Store: Registers + Blobs {
    /// Makes a mailbox with a strangers' lane and nothing else; the same owner key and close hash again is no error and
    /// spends no invitation. An invitation is spent in the same transaction.
    fn create_mailbox(
        &self,
        mailbox: NewMailbox,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), CreateError>> + Send;

    /// Adds an invitation, by its hash. It serves once; the same again, before or after, is another one.
    fn add_invite(&self, hash: [u8; 32]) -> impl Future<Output = Result<(), Unavailable>> + Send;

    /// The owner's key, from memory: absent and present take the same time. None for absent, closed and deleted ones.
    fn owner_key(&self, mailbox: &MailboxId) -> Option<[u8; 32]>;

    /// Adds a lane (spec §14.5).
    fn add_lane(
        &self,
        mailbox: &MailboxId,
        lane: AddLane,
        now: Timestamp,
    ) -> impl Future<Output = Result<LaneNumber, LaneError>> + Send;

    /// A new key in an old lane's place, and an end for the old one, in one transaction (spec §14.5.4).
    fn rotate_lane(
        &self,
        mailbox: &MailboxId,
        lane: RotateLane,
        now: Timestamp,
    ) -> impl Future<Output = Result<LaneNumber, LaneError>> + Send;

    /// An end for a lane (spec §14.5).
    fn end_lane(
        &self,
        mailbox: &MailboxId,
        lane: EndLane,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), LaneError>> + Send;

    /// Usage and lanes (spec §14.5).
    fn state(
        &self,
        mailbox: &MailboxId,
        now: Timestamp,
    ) -> impl Future<Output = Result<MailboxState, MailboxError>> + Send;

    /// Closes a mailbox for whoever knows the capability; the same again is done for 60 days (spec §14.5.5).
    fn close_mailbox(
        &self,
        mailbox: &MailboxId,
        close_hash: [u8; 32],
        now: Timestamp,
    ) -> impl Future<Output = Result<(), MailboxError>> + Send;

    /// Deletes a mailbox and what is in it.
    fn delete_mailbox(
        &self,
        mailbox: &MailboxId,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), MailboxError>> + Send;

    /// Takes an envelope in. When this returns, the mailbox's watcher knows of it; the sender may hear of it only after
    /// [`Admitted::commit`].
    fn put(&self, envelope: NewEnvelope, now: Timestamp) -> impl Future<Output = Result<Admitted, PutError>> + Send;

    /// Takes one shared part in for many mailboxes: as so many puts, but the part is stored once. Outcomes in the order of the
    /// recipients; commits as of [`Self::put`].
    fn fan_out(
        &self,
        fan_out: NewFanOut,
        now: Timestamp,
    ) -> impl Future<Output = Result<Vec<Result<Admitted, PutError>>, Unavailable>> + Send;

    /// The lane that an online-only envelope goes by; it is shown to the watcher and never stored (spec §14.6.2).
    ///
    /// # Errors
    /// [`PutError::Refused`], [`PutError::Size`], [`PutError::TooOften`].
    fn put_online(&self, envelope: NewEnvelope, now: Timestamp) -> Result<(), PutError>;

    /// Makes `watcher` the one that hears of the mailbox; the one before hears [`Watcher::superseded`]. From here on the watcher
    /// gets everything above [`Watched::newest`]; when this returns, everything up to it can be read.
    fn watch(
        &self,
        mailbox: &MailboxId,
        after: u64,
        watcher: Arc<dyn Watcher>,
        now: Timestamp,
    ) -> impl Future<Output = Result<Watched, WatchError>> + Send;

    /// Takes `watcher` away, if it still is the mailbox's.
    fn unwatch(&self, mailbox: &MailboxId, watcher: &Arc<dyn Watcher>);

    /// Stored envelopes above `after` and up to `up_to`, in order, at most so many, neither expired nor acked.
    fn read(
        &self,
        mailbox: &MailboxId,
        after: u64,
        up_to: u64,
        most: u32,
        now: Timestamp,
    ) -> impl Future<Output = Result<Vec<StoredEnvelope>, MailboxError>> + Send;

    /// Forgets what is acked; idempotent (spec §14.9.3).
    fn ack(
        &self,
        mailbox: &MailboxId,
        ack: &Ack,
        now: Timestamp,
    ) -> impl Future<Output = Result<Commit, AckError>> + Send;

    /// How much there is. Looks at every mailbox: for operators, not for requests.
    fn stats(&self) -> Stats;

    /// Whether a transaction goes through.
    fn probe(&self) -> impl Future<Output = Result<(), Unavailable>> + Send;

    /// Forgets what is past its time, a bounded piece of work; whether there is more.
    fn expire(&self, now: Timestamp) -> impl Future<Output = Result<bool, Unavailable>> + Send;
}

/// Hears of a mailbox's envelopes in their order. Called under the mailbox's lock: it must neither block nor call the store.
pub trait Watcher: Send + Sync {
    /// A stored envelope was taken in. It may not be on stable storage yet.
    fn admitted(&self, envelope: StoredEnvelope);
    /// An online-only envelope came by.
    fn online(&self, lane: LaneNumber, envelope: Arc<Envelope>);
    /// A lane turned something away for the first time since it had room (spec §14.9.4).
    fn lane_full(&self, lane: LaneNumber, turned_away: u64);
    /// The owner acked, over whatever connection.
    fn acked(&self, ack: &Ack);
    /// Another watcher took the mailbox.
    fn superseded(&self);
    /// The mailbox was closed or deleted.
    fn ended(&self);
}

/// A mailbox to be made.
#[derive(Clone, Debug)]
pub struct NewMailbox {
    /// Ed25519; the id follows from it.
    pub owner_key: [u8; 32],
    /// SHA-256 over the close capability (spec §11.2.5).
    pub close_hash: [u8; 32],
    /// SHA-256 over the invitation that is spent for it, if it is admitted by one.
    pub invite: Option<[u8; 32]>,
}

/// An envelope on its way in.
#[derive(Clone, Debug)]
pub struct NewEnvelope {
    /// Whose.
    pub mailbox: MailboxId,
    /// By which right.
    pub via: Via,
    /// The sender's random id for it.
    pub delivery: DeliveryId,
    /// Its hash: with mailbox and delivery id, its identity (spec §14.6.6).
    pub hash: EnvelopeHash,
    /// How long it is kept. Without a meaning for [`Store::put_online`].
    pub life: Life,
    /// The bytes.
    pub envelope: Arc<Envelope>,
}

/// A shared part on its way in.
#[derive(Clone, Debug)]
pub struct NewFanOut {
    /// The sender's random id for it, at each mailbox.
    pub delivery: DeliveryId,
    /// How long each envelope is kept.
    pub life: Life,
    /// What all get.
    pub shared: Arc<SharedPart>,
    /// Who gets it; no mailbox twice.
    pub recipients: Vec<Recipient>,
}

/// One recipient of a fan-out.
#[derive(Clone, Copy, Debug)]
pub struct Recipient {
    /// Whose.
    pub mailbox: MailboxId,
    /// By which key: its hash.
    pub lane: LaneHash,
    /// What goes before the shared part.
    pub header: EnvelopeHeader,
}

/// An envelope with its place in the mailbox.
#[derive(Clone, Debug)]
pub struct StoredEnvelope {
    /// Its number.
    pub sequence: u64,
    /// The lane it came by.
    pub lane: LaneNumber,
    /// The sender's id for it.
    pub delivery: DeliveryId,
    /// The bytes.
    pub envelope: Arc<Envelope>,
}

/// An envelope was taken in, or was there before.
#[derive(Debug)]
#[must_use = "nothing is accepted before the commit"]
pub struct Admitted {
    /// Whether this very envelope was there before; nothing was added, and nobody was told.
    pub repeated: bool,
    /// Stable storage.
    pub commit: Commit,
}

/// Where a subscription begins (spec §14.9.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Watched {
    /// The newest number; what is above it comes through the watcher.
    pub newest: u64,
    /// How many envelopes wait above the cursor and up to `newest`.
    pub waiting: u32,
}

/// How much a store holds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Stats {
    /// Mailboxes that are there.
    pub mailboxes: u64,
    /// Envelopes that wait, or are past their time and not swept yet.
    pub envelopes: u64,
    /// Their bytes.
    pub envelope_bytes: u64,
    /// Registers.
    pub registers: u64,
    /// Blobs.
    pub blobs: u64,
    /// Bytes of their chunks.
    pub blob_bytes: u64,
    /// Invitations that have not served.
    pub open_invitations: u64,
    /// When the first of what waits ends: an envelope that waits for its owner longest, or one that lives a day.
    pub first_end: Option<Timestamp>,
    /// Acked or past their time, and not deleted from the disk yet.
    pub forgetting: u64,
    /// Since the store was opened: envelopes that ended unacked.
    pub expired: u64,
    /// Likewise: envelopes that were turned away because there was no room for them.
    pub turned_away: u64,
    /// Likewise: envelopes that an earlier subscription was shown, and a later one again.
    pub shown_again: u64,
}

/// The store did not do it; nothing was accepted, nothing changed. Try again.
#[derive(Clone, Copy, Debug, Eq, thiserror::Error, PartialEq)]
#[error("the store is unavailable; nothing was accepted")]
pub struct Unavailable;

/// Why no mailbox was made.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, thiserror::Error, PartialEq)]
pub enum CreateError {
    /// The invitation is unknown or spent.
    #[error("the invitation is unknown or spent")]
    Invite,
    /// The same owner key with another close capability, or a mailbox that was closed.
    #[error("the mailbox exists or has existed otherwise")]
    Taken,
    /// See [`Unavailable`].
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why a mailbox did not answer.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, thiserror::Error, PartialEq)]
pub enum MailboxError {
    /// It is absent, closed, or the capability is not its.
    #[error("refused")]
    Refused,
    /// See [`Unavailable`].
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why a mailbox was not unblocked.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, thiserror::Error, PartialEq)]
pub enum UnblockError {
    /// It is not blocked.
    #[error("that mailbox is not blocked")]
    NotBlocked,
    /// See [`Unavailable`].
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why a lane was not changed. The code is the wire's (spec §13.5: 103 to 105, 12, 3).
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, thiserror::Error, PartialEq)]
pub enum LaneError {
    /// The rules of spec §14.5 refuse it.
    #[error("{0}")]
    Rule(ErrorCode),
    /// See [`Unavailable`].
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why an envelope was not taken in.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, thiserror::Error, PartialEq)]
pub enum PutError {
    /// Absent mailbox, wrong key, ended lane: one answer.
    #[error("refused")]
    Refused,
    /// The delivery id came with other bytes before (spec §14.6.6).
    #[error("the delivery id was used for other bytes")]
    Conflict,
    /// The lane's share is used up.
    #[error("the lane is full")]
    LaneFull {
        /// When it has room again if nobody acks, where that is known.
        retry_after: Option<core::time::Duration>,
    },
    /// Its share of the mailbox has taken as many as it does at once (spec §17.3.8).
    #[error("too many envelopes at once")]
    TooOften {
        /// When it takes the next one.
        retry_after: core::time::Duration,
    },
    /// The lane takes no envelope of this size (FLOWS: introductions up to 16,384 bytes).
    #[error("the lane takes no envelope of this size")]
    Size,
    /// See [`Unavailable`].
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why a mailbox is not watched.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, thiserror::Error, PartialEq)]
pub enum WatchError {
    /// The cursor is above what was ever given: a restored store (spec §13.5, 106).
    #[error("the cursor is ahead of the mailbox")]
    CursorAhead,
    /// Absent or ended.
    #[error("refused")]
    Refused,
    /// See [`Unavailable`].
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why nothing was forgotten.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, thiserror::Error, PartialEq)]
pub enum AckError {
    /// It names a number that was never given (spec §14.9.3).
    #[error("the ack is ahead of the mailbox")]
    CursorAhead,
    /// Absent or ended.
    #[error("refused")]
    Refused,
    /// See [`Unavailable`].
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Nothing panics while it holds a lock of this module, so a poisoned one is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
