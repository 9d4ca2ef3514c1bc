//! One blob in memory: everything but its bytes.
use core::{
    fmt,
    sync::atomic::{AtomicU32, Ordering},
};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use waxwing_wire::{
    id::BlobId,
    relay::{BlobState, Capability, Verifier, VerifierKind},
    sealed::ChunkSize,
    time::Timestamp,
};

use super::NewBlob;
use crate::store::{Unavailable, lock};

/// A blob, without its bytes.
pub struct Blob {
    pub(crate) number: u64,
    pub(crate) id: BlobId,
    pub(crate) verifiers: Verifiers,
    pub(crate) chunk: ChunkSize,
    pub(crate) count: u32,
    inner: Mutex<Inner>,
    /// How often somebody wanted to write or end it. Whoever has an older number has been superseded.
    claims: AtomicU32,
    claimed: Notify,
    /// Whoever writes or ends it. Held until the last work on its file is over, also that of an upload that was dropped.
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Verifiers {
    pub(crate) write: Verifier,
    pub(crate) read: Verifier,
}

#[derive(Debug)]
struct Inner {
    written: u32,
    ends: Timestamp,
    /// Chunks that count against what all blobs may take: those written, and those that an upload began.
    counted: u32,
    /// Whether an upload is under way; then what it began stays counted.
    uploading: bool,
    /// Up to where chunks are being recorded; 0: they are not.
    recording: u32,
    /// Recording failed: the row may say it all the same.
    doubtful: bool,
    gone: bool,
}

/// How much of a blob is on stable storage, for its row.
#[derive(Clone, Copy, Debug)]
pub struct Recorded {
    pub(crate) blob: u64,
    pub(crate) written: u32,
    pub(crate) ends: Timestamp,
}

pub(crate) type Turn = tokio::sync::OwnedMutexGuard<()>;

/// The number of a claim.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Claim(u32);

impl Blob {
    pub(crate) fn new(
        (number, id): (u64, BlobId),
        verifiers: Verifiers,
        (chunk, count): (ChunkSize, u32),
        (written, ends): (u32, Timestamp),
    ) -> Self {
        let inner =
            Inner { written, ends, counted: written, uploading: false, recording: 0, doubtful: false, gone: false };
        Self {
            number,
            id,
            verifiers,
            chunk,
            count,
            inner: Mutex::new(inner),
            claims: AtomicU32::new(0),
            claimed: Notify::new(),
            turn: Arc::default(),
        }
    }

    pub(super) fn is_as(&self, new: &NewBlob) -> bool {
        let NewBlob { blob, chunk, count, write_verifier, read_verifier, invite: _ } = new;
        let verifiers = Verifiers { write: *write_verifier, read: *read_verifier };
        (self.id, self.verifiers, self.chunk, self.count) == (*blob, verifiers, *chunk, *count)
    }

    /// Constant time for each verifier.
    pub(super) fn admits(&self, capability: &Capability, kind: VerifierKind) -> bool {
        let verifier = match kind {
            VerifierKind::WriteBlob => &self.verifiers.write,
            _ => &self.verifiers.read,
        };
        verifier.admits(capability, kind, self.id.as_bytes())
    }

    pub(crate) fn state(&self) -> BlobState {
        let Inner { written, ends, .. } = *lock(&self.inner);
        BlobState { chunk: self.chunk, count: self.count, written, ends }
    }

    /// Bytes up to a chunk.
    pub(crate) fn bytes_before(&self, chunk: u32) -> u64 {
        u64::from(self.chunk.bytes()).saturating_mul(chunk.into())
    }

    /// Its file has no more than so many bytes, whatever its row says.
    pub(crate) fn lost_beyond(&self, bytes: u64) {
        let chunks = bytes.checked_div(self.chunk.bytes().into()).unwrap_or_default();
        let chunks = u32::try_from(chunks).unwrap_or(u32::MAX);
        let mut inner = lock(&self.inner);
        inner.written = inner.written.min(chunks);
        inner.counted = inner.written;
        // The row says more, until something is recorded.
        inner.doubtful = true;
    }

    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        let inner = lock(&self.inner);
        inner.gone || inner.ends <= now
    }

    pub(super) fn is_gone(&self) -> bool {
        lock(&self.inner).gone
    }

    /// It is no more; how many chunks of it counted.
    pub(super) fn end(&self) -> u32 {
        let mut inner = lock(&self.inner);
        inner.gone = true;
        core::mem::take(&mut inner.counted)
    }

    /// Supersedes whoever writes, and waits until that is over.
    pub(super) async fn claim(&self) -> (Claim, Turn) {
        let claim = Claim(self.claims.fetch_add(1, Ordering::AcqRel).wrapping_add(1));
        self.claimed.notify_waiters();
        (claim, Arc::clone(&self.turn).lock_owned().await)
    }

    pub(super) fn is_superseded(&self, Claim(claim): Claim) -> bool {
        self.claims.load(Ordering::Acquire) != claim
    }

    /// Resolves when somebody else has claimed it.
    pub(super) async fn superseded(self: Arc<Self>, claim: Claim) {
        loop {
            let mut claimed = std::pin::pin!(self.claimed.notified());
            claimed.as_mut().enable();
            if self.is_superseded(claim) {
                return;
            }
            claimed.await;
        }
    }

    /// An upload begins: it counts from what is written on.
    pub(super) fn begin(&self) {
        lock(&self.inner).uploading = true;
    }

    /// How many chunks more count if it has so many.
    pub(super) fn count_to(&self, chunks: u32) -> u32 {
        let mut inner = lock(&self.inner);
        if inner.gone {
            return 0;
        }
        let more = chunks.saturating_sub(inner.counted);
        inner.counted = inner.counted.max(chunks);
        more
    }

    /// They do not fit.
    pub(super) fn uncount(&self, chunks: u32) {
        let mut inner = lock(&self.inner);
        inner.counted = inner.counted.saturating_sub(chunks);
    }

    /// What its row must say before anything is written over, if that is not known.
    pub(super) fn doubtful(&self) -> Option<Recorded> {
        let inner = lock(&self.inner);
        inner.doubtful.then_some(Recorded { blob: self.number, written: inner.written, ends: inner.ends })
    }

    pub(super) fn certain(&self) {
        lock(&self.inner).doubtful = false;
    }

    /// An upload is over; how many chunks count no more.
    pub(super) fn rest(&self) -> u32 {
        let mut inner = lock(&self.inner);
        inner.uploading = false;
        inner.trim()
    }

    /// So many chunks are being recorded.
    pub(super) fn record(&self, chunks: u32) {
        lock(&self.inner).recording = chunks;
    }

    /// They are, or not; how many chunks count no more.
    pub(super) fn recorded(&self, recorded: Recorded, outcome: Result<(), Unavailable>) -> u32 {
        let mut inner = lock(&self.inner);
        inner.recording = 0;
        if outcome.is_ok() {
            inner.written = inner.written.max(recorded.written);
            inner.ends = recorded.ends;
        } else {
            inner.doubtful = true;
        }
        if inner.uploading { 0 } else { inner.trim() }
    }
}

impl Inner {
    fn trim(&mut self) -> u32 {
        let keep = self.written.max(self.recording);
        if self.gone || self.counted <= keep {
            return 0;
        }
        core::mem::replace(&mut self.counted, keep).saturating_sub(keep)
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blob").field("number", &self.number).finish_non_exhaustive()
    }
}
