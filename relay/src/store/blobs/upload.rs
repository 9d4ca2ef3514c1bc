//! Chunks on their way in.
//!
//! ```text
//! piece ─▶ file            every few MiB:  whole chunks ─▶ sync ─▶ row ─▶ memory       (one at a time, beside the next pieces)
//! ```
//! Invariants: what is recorded was synced before; nobody else touches the file while anything of this upload is at work on it, because each
//! piece of work holds the file, and the file holds the blob's turn.
use core::{fmt, future::poll_fn, task::Poll};
use std::sync::Arc;

use futures_util::{FutureExt as _, future::BoxFuture};
use waxwing_wire::{relay::BlobState, time::Timestamp};

use super::{
    Blob, BlobWriteError, Recorded, Uploading,
    blob::{Claim, Turn},
};
use crate::store::{
    Unavailable,
    disk::{Access, BlobFile as _, Change, Disk},
    mailboxes::Shared,
};

/// Chunks of a blob on a disk, on their way in.
pub struct Upload<D: Disk> {
    shared: Arc<Shared<D>>,
    blob: Arc<Blob>,
    claim: Claim,
    file: D::Blob,
    /// Bytes of the blob that are in the file, and where what was announced ends.
    at: u64,
    end: u64,
    /// Chunks that are recorded, or were asked to be.
    recorded: u32,
    recording: Option<BoxFuture<'static, Result<(), Unavailable>>>,
}

impl<D: Disk> Upload<D> {
    /// `turn` is the blob's, and the chunk is the first that is not there.
    pub(super) async fn begin(
        shared: &Arc<Shared<D>>,
        blob: Arc<Blob>,
        (claim, turn): (Claim, Turn),
        (first, end): (u32, u32),
    ) -> Result<Self, Unavailable> {
        let at = blob.bytes_before(first);
        if let Some(recorded) = blob.doubtful() {
            // The row may say more than memory: it must not when what it speaks of is written over.
            shared.disk.change(Change::RecordBlob(recorded), Box::new(|_| {})).await?;
            blob.certain();
        }
        let file = shared.disk.open_blob(blob.number, Access::Write(turn)).await?;
        // Of an upload that was cut off there may be more than what was recorded.
        file.cut(at).await?;
        blob.begin();
        let end = blob.bytes_before(end);
        Ok(Self { shared: Arc::clone(shared), blob, claim, file, at, end, recorded: first, recording: None })
    }

    fn chunks(&self, bytes: u64) -> u32 {
        let chunks = bytes.checked_div(self.blob.chunk.bytes().into()).unwrap_or_default();
        u32::try_from(chunks).unwrap_or(u32::MAX)
    }

    /// The chunks that these bytes are of count from here on.
    fn count(&self, end: u64) -> Result<(), Unavailable> {
        let chunks = self.chunks(end.saturating_add(u64::from(self.blob.chunk.bytes()).saturating_sub(1)));
        let more = self.blob.count_to(chunks);
        if self.shared.blobs.take(self.blob.bytes_before(more), self.shared.rules.blobs.total) {
            return Ok(());
        }
        self.blob.uncount(more);
        tracing::warn!("blobs take all that they may; a chunk was turned away");
        Err(Unavailable)
    }

    /// Begins to record the chunks that are whole, if there are enough new ones and none are being recorded.
    fn record(&mut self, enough: u64, now: Timestamp) {
        let whole = self.chunks(self.at);
        let new = self.blob.bytes_before(whole.saturating_sub(self.recorded));
        if self.recording.is_some() || new == 0 || new < enough {
            return;
        }
        self.recorded = whole;
        self.blob.record(whole);
        let ends = now.saturating_add(self.shared.rules.blobs.lifetime);
        let recorded = Recorded { blob: self.blob.number, written: whole, ends };
        let (shared, file) = (Arc::clone(&self.shared), self.file.clone());
        let promise = Promised { shared: Arc::clone(&shared), blob: Arc::clone(&self.blob), recorded, kept: false };
        let recording = async move {
            let promise = promise;
            file.sync().await?;
            let settle = move |outcome| {
                promise.keep(outcome);
                // Nobody else writes before it is known what became of the row.
                drop(file);
            };
            shared.disk.change(Change::RecordBlob(recorded), Box::new(settle)).await
        };
        self.recording = Some(recording.boxed());
    }
}

impl<D: Disk> Uploading for Upload<D> {
    fn left(&self) -> u64 {
        self.end.saturating_sub(self.at)
    }

    fn is_between_chunks(&self) -> bool {
        self.at == self.blob.bytes_before(self.chunks(self.at))
    }

    async fn write(&mut self, bytes: Vec<u8>, now: Timestamp) -> Result<(), BlobWriteError> {
        if self.blob.is_superseded(self.claim) {
            return Err(BlobWriteError::Superseded);
        }
        let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if count > self.left() {
            return Err(BlobWriteError::Range);
        }
        let next = self.at.saturating_add(count);
        self.count(next)?;
        // What is in the file and not on stable storage is the kernel's memory.
        if next.saturating_sub(self.blob.bytes_before(self.recorded)) > MOST_UNSYNCED {
            self.settle().await?;
        }
        let writing = self.file.write(self.at, bytes);
        beside(&mut self.recording, writing).await?;
        self.at = next;
        self.record(ENOUGH, now);
        Ok(())
    }

    async fn settle(&mut self) -> Result<(), BlobWriteError> {
        if let Some(recording) = &mut self.recording {
            let outcome = recording.await;
            self.recording = None;
            outcome?;
        }
        Ok(())
    }

    fn superseded(&self) -> impl Future<Output = ()> + Send + 'static {
        Arc::clone(&self.blob).superseded(self.claim)
    }

    async fn finish(mut self, now: Timestamp) -> Result<BlobState, BlobWriteError> {
        self.settle().await?;
        self.record(0, now);
        self.settle().await?;
        let whole = self.blob.bytes_before(self.recorded);
        if self.at > whole {
            self.file.cut(whole).await?;
        }
        Ok(self.blob.state())
    }
}

impl<D: Disk> Drop for Upload<D> {
    fn drop(&mut self) {
        // A sync that nobody drives any more is not recorded.
        self.recording = None;
        self.shared.blobs.give_back(&self.blob, self.blob.rest());
    }
}

/// Does `work`, and goes on with what is being recorded meanwhile, whose failure comes first.
async fn beside(
    recording: &mut Option<BoxFuture<'static, Result<(), Unavailable>>>,
    work: impl Future<Output = Result<(), Unavailable>>,
) -> Result<(), Unavailable> {
    let mut work = std::pin::pin!(work);
    poll_fn(|context| {
        if let Some(Poll::Ready(outcome)) = recording.as_mut().map(|recording| recording.poll_unpin(context)) {
            *recording = None;
            if outcome.is_err() {
                return Poll::Ready(outcome);
            }
        }
        work.as_mut().poll(context)
    })
    .await
}

/// Tells the blob what became of what was to be recorded, also if nobody waits for that any more.
struct Promised<D: Disk> {
    shared: Arc<Shared<D>>,
    blob: Arc<Blob>,
    recorded: Recorded,
    kept: bool,
}

impl<D: Disk> Promised<D> {
    fn keep(mut self, outcome: Result<(), Unavailable>) {
        self.kept = true;
        self.tell(outcome);
    }

    fn tell(&self, outcome: Result<(), Unavailable>) {
        let less = self.blob.recorded(self.recorded, outcome);
        self.shared.blobs.give_back(&self.blob, less);
    }
}

impl<D: Disk> Drop for Promised<D> {
    fn drop(&mut self) {
        if !self.kept {
            self.tell(Err(Unavailable));
        }
    }
}

impl<D: Disk> fmt::Debug for Upload<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("blob", &self.blob).field("left", &self.left()).finish_non_exhaustive()
    }
}

/// So many bytes of new whole chunks are recorded while more come.
const ENOUGH: u64 = 8 << 20;
/// So many are in the file at most without being synced.
const MOST_UNSYNCED: u64 = 32 << 20;
