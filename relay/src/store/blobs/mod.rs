//! Blobs: large sealed objects in chunks, written in order, read anywhere. Implements spec/17-relay.md §17.9.
//!
//! ```text
//! write_blob ─▶ claim (whoever wrote before is told) ─▶ turn ─▶ Upload: pieces ─▶ file ─▶ sync of whole chunks ─▶ row: written ─▶ memory
//! read_blob  ─▶ Download: pieces of what is written                (the next piece comes while a sync is under way)
//! ```
//! Invariants: a chunk counts when it is on stable storage and its blob's row says so; one upload of a blob at a time; no blob is ever
//! whole in memory; a row goes before its file does.
//! Not here: files ([`super::disk::BlobFile`]), streams (the server's).
use core::{fmt, time::Duration};
use std::future::Future;

use waxwing_wire::{
    id::BlobId,
    relay::{BlobState, Capability, TransferBlob, Verifier},
    sealed::ChunkSize,
    time::Timestamp,
};

use super::Unavailable;

mod blob;
mod directory;
mod download;
mod requests;
mod upload;

pub(crate) use blob::{Blob, Recorded, Turn, Verifiers};
pub(crate) use directory::BlobDirectory;
pub use download::Download;
pub use upload::Upload;

/// Where blobs live. The same conformance suite says what every implementation does.
pub trait Blobs: Send + Sync + 'static {
    /// Chunks on their way in.
    type Upload: Uploading;
    /// Chunks on their way out.
    type Download: Downloading;

    /// Makes a blob without chunks; the same again is no error and spends no invitation.
    fn create_blob(
        &self,
        new: NewBlob,
        now: Timestamp,
    ) -> impl Future<Output = Result<BlobState, BlobCreateError>> + Send;

    /// How much is there, for who may write or read.
    ///
    /// # Errors
    /// [`BlobError::Refused`].
    fn blob_state(&self, blob: &BlobId, capability: &Capability, now: Timestamp) -> Result<BlobState, BlobError>;

    /// Begins to write at the first chunk that is not there. Whoever was writing this blob hears [`BlobWriteError::Superseded`]: a client that
    /// comes back need not wait until its old connection is known to be dead.
    fn write_blob(
        &self,
        transfer: &TransferBlob,
        now: Timestamp,
    ) -> impl Future<Output = Result<Self::Upload, BlobWriteError>> + Send;

    /// Begins to read chunks that are there.
    fn read_blob(
        &self,
        transfer: &TransferBlob,
        now: Timestamp,
    ) -> impl Future<Output = Result<(BlobState, Self::Download), BlobReadError>> + Send;

    /// Ends a blob, for who may write it.
    fn delete_blob(
        &self,
        blob: &BlobId,
        capability: &Capability,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), BlobError>> + Send;
}

/// Chunks on their way in. Dropped, it leaves what is recorded by then; [`Self::finish`] leaves what is whole.
pub trait Uploading: Send + 'static {
    /// Bytes of the announced chunks that have not come yet.
    fn left(&self) -> u64;

    /// Whether no chunk has come in part.
    fn is_between_chunks(&self) -> bool;

    /// Takes the next bytes. When this returns they are in the file, not more; now and then whole chunks are recorded meanwhile.
    fn write(&mut self, bytes: Vec<u8>, now: Timestamp) -> impl Future<Output = Result<(), BlobWriteError>> + Send;

    /// Goes on with what is being recorded, and returns when nothing is. Cancel-safe.
    fn settle(&mut self) -> impl Future<Output = Result<(), BlobWriteError>> + Send;

    /// Resolves when somebody else writes or ended the blob.
    fn superseded(&self) -> impl Future<Output = ()> + Send + 'static;

    /// Brings every whole chunk onto stable storage, and forgets the rest.
    fn finish(self, now: Timestamp) -> impl Future<Output = Result<BlobState, BlobWriteError>> + Send;
}

/// Chunks on their way out.
pub trait Downloading: Send + 'static {
    /// The next bytes, at most so many; none when all that was asked for has gone.
    fn next(&mut self, most: usize) -> impl Future<Output = Result<Option<Vec<u8>>, BlobError>> + Send;
}

/// A blob to be made.
#[derive(Clone)]
pub struct NewBlob {
    /// Its id.
    pub blob: BlobId,
    /// Size of every chunk.
    pub chunk: ChunkSize,
    /// How many there will be.
    pub count: u32,
    /// For writing and deleting.
    pub write_verifier: Verifier,
    /// For reading.
    pub read_verifier: Verifier,
    /// SHA-256 over the invitation that is spent for it, if it is admitted by one.
    pub invite: Option<[u8; 32]>,
}

impl fmt::Debug for NewBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewBlob").field("blob", &self.blob).finish_non_exhaustive()
    }
}

/// Why no blob was made, in order of precedence.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, thiserror::Error, PartialEq)]
pub enum BlobCreateError {
    /// No chunk, or more bytes than a blob may have.
    #[error("a blob of that size is not taken")]
    Size,
    /// The id has another blob.
    #[error("the blob exists otherwise")]
    Taken,
    /// The invitation is unknown or spent.
    #[error("the invitation is unknown or spent")]
    Invite,
    /// See [`Unavailable`]; also when there is no room for blobs.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why a blob did not answer.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, thiserror::Error, PartialEq)]
pub enum BlobError {
    /// It is absent or past its time, or the capability is not its.
    #[error("refused")]
    Refused,
    /// See [`Unavailable`].
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why chunks are not read, in order of precedence.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, thiserror::Error, PartialEq)]
pub enum BlobReadError {
    /// It is absent or past its time, or the capability is not its.
    #[error("refused")]
    Refused,
    /// No chunk, or more than the blob has.
    #[error("no such chunks")]
    Range,
    /// They are not all there yet.
    #[error("not written yet")]
    Incomplete,
    /// See [`Unavailable`].
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why chunks are not written, in order of precedence.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, thiserror::Error, PartialEq)]
pub enum BlobWriteError {
    /// It is absent or past its time, or the capability is not its.
    #[error("refused")]
    Refused,
    /// No chunk, more than the blob has, or not the first that is not there.
    #[error("no such chunks")]
    Range,
    /// Somebody else writes now: whoever came later.
    #[error("somebody else writes this blob")]
    Superseded,
    /// See [`Unavailable`]; also when there is no room for blobs.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// What blobs may take (spec §17.9).
#[derive(Clone, Copy, Debug)]
pub struct BlobRules {
    /// Bytes of one.
    pub bytes: u64,
    /// Bytes of all together.
    pub total: u64,
    /// How long one lives after its last chunk was written.
    pub lifetime: Duration,
    /// How long one lives that has no chunk.
    pub empty: Duration,
}

impl Default for BlobRules {
    /// 2 GiB, 64 GiB, 30 days, 1 day.
    fn default() -> Self {
        let day = Duration::from_secs(86_400);
        Self { bytes: 2 << 30, total: 64 << 30, lifetime: day.saturating_mul(30), empty: day }
    }
}
