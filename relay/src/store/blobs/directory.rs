//! All blobs by id, when they end, and what they take together.
use core::sync::atomic::{AtomicU64, Ordering};
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use waxwing_wire::{
    id::BlobId,
    relay::{Capability, Verifier, VerifierKind},
    sealed::ChunkSize,
    time::Timestamp,
};

use super::{Blob, Verifiers};
use crate::store::lock;

#[derive(Debug)]
pub(crate) struct BlobDirectory {
    blobs: RwLock<HashMap<BlobId, Arc<Blob>>>,
    /// Each blob at or before the moment at which it ends.
    dates: Mutex<BTreeSet<(Timestamp, BlobId)>>,
    /// Bytes that count.
    used: AtomicU64,
    /// Stands for every blob that is not there.
    nobody: Arc<Blob>,
}

impl BlobDirectory {
    pub(crate) fn new([write, read, _]: [[u8; 32]; 3]) -> Self {
        let verifiers = Verifiers { write: Verifier::from_bytes(write), read: Verifier::from_bytes(read) };
        let (id, never) = (BlobId::from_bytes([0; 16]), Timestamp(u64::MAX));
        let nobody = Arc::new(Blob::new((0, id), verifiers, (ChunkSize::K64, 1), (0, never)));
        Self { blobs: RwLock::default(), dates: Mutex::default(), used: AtomicU64::new(0), nobody }
    }

    /// How many, and the bytes that count.
    pub(crate) fn usage(&self) -> (usize, u64) {
        (self.blobs.read().unwrap_or_else(PoisonError::into_inner).len(), self.used.load(Ordering::Relaxed))
    }

    pub(crate) fn all(&self) -> Vec<Arc<Blob>> {
        self.blobs.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(super) fn find(&self, id: &BlobId) -> Option<Arc<Blob>> {
        self.blobs.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    pub(crate) fn insert(&self, blob: Arc<Blob>) {
        let state = blob.state();
        self.used.fetch_add(blob.bytes_before(state.written), Ordering::Relaxed);
        self.look_at(state.ends, blob.id);
        self.blobs.write().unwrap_or_else(PoisonError::into_inner).insert(blob.id, blob);
    }

    /// It is no more, and counts no more.
    pub(super) fn remove(&self, blob: &Blob) {
        let counted = blob.end();
        self.give_back(blob, counted);
        let mut blobs = self.blobs.write().unwrap_or_else(PoisonError::into_inner);
        // Another may have its id by now.
        if blobs.get(&blob.id).is_some_and(|found| found.number == blob.number) {
            blobs.remove(&blob.id);
        }
    }

    /// The blob that one of the capabilities is of. Absent, past its time and wrong take the same way.
    pub(super) fn admitted(
        &self,
        id: &BlobId,
        capability: &Capability,
        kinds: &[VerifierKind],
        now: Timestamp,
    ) -> Option<Arc<Blob>> {
        let found = self.find(id).filter(|blob| !blob.is_over(now));
        let blob = found.as_ref().unwrap_or(&self.nobody);
        // Each is tried, whatever the others say.
        let admits = kinds.iter().fold(false, |admits, kind| blob.admits(capability, *kind) | admits);
        found.filter(|_| admits)
    }

    /// Whether so many more bytes fit; then they count.
    pub(super) fn take(&self, bytes: u64, total: u64) -> bool {
        let fits = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= total);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }

    pub(super) fn give_back(&self, blob: &Blob, chunks: u32) {
        let bytes = blob.bytes_before(chunks);
        let less = |used: u64| Some(used.saturating_sub(bytes));
        let _ = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    pub(super) fn look_at(&self, at: Timestamp, id: BlobId) {
        lock(&self.dates).insert((at, id));
    }

    /// At most so many whose date has come; whether there are more.
    pub(super) fn due(&self, now: Timestamp, most: usize) -> (Vec<BlobId>, bool) {
        let mut dates = lock(&self.dates);
        let mut due = Vec::new();
        let is_due = |dates: &BTreeSet<(Timestamp, BlobId)>| dates.first().is_some_and(|(at, _)| *at <= now);
        while due.len() < most && is_due(&dates) {
            due.extend(dates.pop_first().map(|(_, blob)| blob));
        }
        let more = is_due(&dates);
        (due, more)
    }
}
