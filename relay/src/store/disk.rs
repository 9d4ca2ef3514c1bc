//! What the mailboxes of a store ask of whatever keeps their bytes. Implements spec/17-relay.md §17.5.
//!
//! Invariants: what is pushed is done in the order of pushing, each push whole or not at all; a push never waits; `place` ascends
//! with the order of insertion and is never given twice.
//! Not here: what the rows mean (`ledger`), who holds them in memory (`mailboxes`).
use std::{future::Future, sync::Arc};

use waxwing_wire::{
    id::{DeliveryId, MailboxId},
    padding::{Envelope, EnvelopeHash, EnvelopeHeader, EnvelopeSize, SharedPart},
    relay::{LaneNumber, RegisterEntry, VersionHash},
    time::Timestamp,
};

use super::{
    Commit, Unavailable,
    blobs::{Blob, Recorded, Turn},
    invites::InviteId,
    mailbox::Mailbox,
    registers::{Register, Version},
};
use crate::ledger::{LaneChange, LaneRow, Pool};

/// Keeps envelopes by place, rows about mailboxes, and blobs by number.
pub trait Disk: Send + Sync + 'static {
    /// An open file of a blob.
    type Blob: BlobFile;

    /// Waits until there is room for so many bytes among what is pushed and not written yet.
    fn room(&self, bytes: usize) -> impl Future<Output = Result<(), Unavailable>> + Send;

    /// Gives back what [`Self::room`] gave and no insert used.
    fn spare(&self, bytes: usize);

    /// A place for a body that several envelopes will share.
    fn body(&self) -> u64;

    /// Adds an envelope. If the commit is not known yet when this returns, [`Mailbox::settle`] will be called. None if the body it
    /// shares is too far away.
    fn insert(&self, insert: Insert) -> Option<Ticket>;

    /// Forgets envelopes. What could not be forgotten is tried again, so there is nothing to take back.
    fn forget(&self, gone: Vec<Spot>, urgency: Urgency) -> Commit;

    /// Changes rows about mailboxes; then `settle` is called, before anybody hears of the commit.
    fn change(&self, change: Change, settle: Settle) -> Commit;

    /// The envelopes of these places, in any order, without those that are no longer there.
    fn fetch(&self, spots: &[Spot]) -> impl Future<Output = Result<Vec<Fetched>, Unavailable>> + Send;

    /// So many versions of a register from one on, fewer if they are no longer there; and the hash of the one before.
    fn versions(
        &self,
        register: u64,
        first: u64,
        count: u32,
    ) -> impl Future<Output = Result<(VersionHash, Vec<RegisterEntry>), Unavailable>> + Send;

    /// The file of a blob; made for who writes, if it is not there.
    fn open_blob(&self, blob: u64, access: Access) -> impl Future<Output = Result<Self::Blob, Unavailable>> + Send;

    /// How many envelopes are to be forgotten, and are still there.
    fn forgetting(&self) -> u64;

    /// Removes the file of a blob whose row is gone, at some time.
    fn remove_blob(&self, blob: u64);
}

/// An open file of a blob. Clones are the same one, and so is whatever goes on with it after the future that asked for it is dropped: only
/// when all of that is over is the writer's turn given back.
pub trait BlobFile: Clone + Send + Sync + 'static {
    /// Writes all of it.
    fn write(&self, at: u64, bytes: Vec<u8>) -> impl Future<Output = Result<(), Unavailable>> + Send;

    /// Brings what is in the file, and the file's name, onto stable storage.
    fn sync(&self) -> impl Future<Output = Result<(), Unavailable>> + Send;

    /// Makes it no longer than this.
    fn cut(&self, length: u64) -> impl Future<Output = Result<(), Unavailable>> + Send;

    /// So many bytes.
    fn read(&self, at: u64, count: usize) -> impl Future<Output = Result<Vec<u8>, Unavailable>> + Send;
}

/// What a blob's file is opened for.
#[derive(Debug)]
pub enum Access {
    /// Whoever has the blob's turn.
    Write(Turn),
    /// Anybody.
    Read,
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
    pub(crate) content: Content,
    /// How many envelopes the lane's token has admitted by now.
    pub(crate) admitted: Option<u32>,
}

/// The bytes of an envelope.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// All of them.
    Whole(Arc<Envelope>),
    /// Its own header, and a body at a place of its own that others share.
    Part { header: EnvelopeHeader, shared: Arc<SharedPart>, body: u64 },
}

impl Content {
    pub(crate) fn size(&self) -> EnvelopeSize {
        match self {
            Self::Whole(envelope) => envelope.size(),
            Self::Part { shared, .. } => shared.size(),
        }
    }

    pub(crate) fn whole(&self) -> Arc<Envelope> {
        match self {
            Self::Whole(envelope) => Arc::clone(envelope),
            Self::Part { header, shared, .. } => Arc::new(Envelope::of_parts(header, shared)),
        }
    }
}

/// Where an envelope was put, and when that holds.
#[derive(Debug)]
pub struct Ticket {
    pub(crate) place: u64,
    /// How far before its place its body is; 0 if that is its own.
    pub(crate) back: u16,
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
    Create { mailbox: Arc<Mailbox>, invite: Option<InviteId> },
    /// A mailbox of another relay, with its lanes; what waits in it was inserted before.
    Import { mailbox: Arc<Mailbox>, next_lane: u32, lanes: Vec<LaneRow> },
    /// Its lanes.
    Lanes { mailbox: u64, change: LaneChange },
    /// It is no more; what remains is the hash of its close capability, if it was closed.
    Remove { mailbox: u64, closed: Option<Closed> },
    /// What remains of one that is not there.
    Close(Closed),
    /// Nor is that.
    ForgetClosed { mailbox: MailboxId },
    /// An invitation, by its hash, and below which.
    Mint { id: InviteId, hash: [u8; 32], below: Option<InviteId> },
    /// Invitations that are not to serve.
    Revoke { tree: Vec<InviteId> },
    /// A register with its first version, and the invitation that is spent for it.
    CreateRegister { register: Arc<Register>, version: Version, invite: Option<InviteId> },
    /// A version, and what is evicted for it.
    WriteRegister { version: Version },
    /// A register is no more.
    DeleteRegister { register: u64 },
    /// A blob without chunks, and the invitation that is spent for it.
    CreateBlob { blob: Arc<Blob>, invite: Option<InviteId> },
    /// How much of a blob is there.
    RecordBlob(Recorded),
    /// A blob is no more; its file goes afterwards.
    DeleteBlob { blob: u64 },
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
