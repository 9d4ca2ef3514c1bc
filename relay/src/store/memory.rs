//! A store in memory, for tests, simulated worlds and relays that may forget. Nothing in it outlives the process.
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use waxwing_wire::{
    id::DeliveryId,
    relay::{RegisterEntry, VersionHash},
};

use super::{
    Commit, Unavailable,
    disk::{Access, BlobFile, Change, Content, Disk, Fetched, Insert, Settle, Spot, Ticket, Urgency},
    lock,
    mailboxes::Mailboxes,
    rules::Rules,
};

/// Mailboxes in memory.
pub type MemoryStore = Mailboxes<Memory>;

impl MemoryStore {
    /// An empty one.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self::empty(Memory::default(), rules)
    }

    /// One that begins as after so many openings of a disk: its numbers are above those of all runs before (spec §17.4), so that mailboxes of
    /// earlier runs can be imported.
    #[must_use]
    pub fn of_run(rules: Rules, run: u64) -> Self {
        Self::at_run(Memory::default(), rules, run)
    }
}

/// Envelopes by place.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    last: u64,
    envelopes: HashMap<u64, (DeliveryId, Content)>,
    versions: BTreeMap<(u64, u64), (VersionHash, RegisterEntry)>,
    blobs: HashMap<u64, Arc<Mutex<Vec<u8>>>>,
}

impl Disk for Memory {
    type Blob = BytesOfBlob;

    async fn room(&self, _: usize) -> Result<(), Unavailable> {
        Ok(())
    }

    fn spare(&self, _: usize) {}

    fn body(&self) -> u64 {
        let mut kept = lock(&self.0);
        kept.last = kept.last.saturating_add(1);
        kept.last
    }

    fn insert(&self, insert: Insert) -> Option<Ticket> {
        let mut kept = lock(&self.0);
        kept.last = kept.last.saturating_add(1);
        let place = kept.last;
        kept.envelopes.insert(place, (insert.delivery, insert.content));
        // The body goes with the last of those who share it, without a place.
        Some(Ticket { place, back: 0, commit: Commit::done() })
    }

    fn forget(&self, gone: Vec<Spot>, _: Urgency) -> Commit {
        let mut kept = lock(&self.0);
        gone.iter().for_each(|spot| drop(kept.envelopes.remove(&spot.place)));
        Commit::done()
    }

    fn change(&self, change: Change, settle: Settle) -> Commit {
        let mut kept = lock(&self.0);
        match change {
            Change::CreateRegister { version, .. } | Change::WriteRegister { version } => {
                let evicted = (version.register, 0)..(version.register, version.keep_from);
                kept.versions.extract_if(evicted, |_, _| true).for_each(drop);
                kept.versions.insert((version.register, version.version), (version.before, version.entry));
            }
            Change::DeleteRegister { register } => {
                kept.versions.extract_if((register, 0)..=(register, u64::MAX), |_, _| true).for_each(drop);
            }
            _ => {}
        }
        drop(kept);
        settle(Ok(()));
        Commit::done()
    }

    async fn fetch(&self, spots: &[Spot]) -> Result<Vec<Fetched>, Unavailable> {
        let kept = lock(&self.0);
        let fetched = spots.iter().filter_map(|spot| {
            let (delivery, content) = kept.envelopes.get(&spot.place)?;
            Some(Fetched { place: spot.place, delivery: *delivery, envelope: content.whole() })
        });
        Ok(fetched.collect())
    }

    async fn versions(
        &self,
        register: u64,
        first: u64,
        count: u32,
    ) -> Result<(VersionHash, Vec<RegisterEntry>), Unavailable> {
        let kept = lock(&self.0);
        let versions = kept.versions.range((register, first)..=(register, u64::MAX));
        let versions: Vec<_> = versions.take(usize::try_from(count).unwrap_or(usize::MAX)).collect();
        let starts = versions.first().filter(|((_, version), _)| *version == first);
        let Some((_, (before, _))) = starts else { return Ok((VersionHash::NONE, Vec::new())) };
        Ok((*before, versions.iter().map(|(_, (_, entry))| entry.clone()).collect()))
    }
    async fn open_blob(&self, blob: u64, access: Access) -> Result<BytesOfBlob, Unavailable> {
        let bytes = Arc::clone(lock(&self.0).blobs.entry(blob).or_default());
        Ok(BytesOfBlob { bytes, _access: Arc::new(access) })
    }

    fn forgetting(&self) -> u64 {
        0
    }

    fn remove_blob(&self, blob: u64) {
        lock(&self.0).blobs.remove(&blob);
    }
}

/// The bytes of a blob.
#[derive(Clone, Debug)]
pub struct BytesOfBlob {
    bytes: Arc<Mutex<Vec<u8>>>,
    _access: Arc<Access>,
}

impl BlobFile for BytesOfBlob {
    async fn write(&self, at: u64, bytes: Vec<u8>) -> Result<(), Unavailable> {
        let at = usize::try_from(at).map_err(|_| Unavailable)?;
        let mut kept = lock(&self.bytes);
        kept.truncate(at);
        kept.resize(at, 0);
        kept.extend(bytes);
        Ok(())
    }

    async fn sync(&self) -> Result<(), Unavailable> {
        Ok(())
    }

    async fn cut(&self, length: u64) -> Result<(), Unavailable> {
        lock(&self.bytes).truncate(usize::try_from(length).unwrap_or(usize::MAX));
        Ok(())
    }

    async fn read(&self, at: u64, count: usize) -> Result<Vec<u8>, Unavailable> {
        let at = usize::try_from(at).map_err(|_| Unavailable)?;
        let kept = lock(&self.bytes);
        let bytes = kept.get(at..at.checked_add(count).ok_or(Unavailable)?);
        bytes.map(<[u8]>::to_vec).ok_or(Unavailable)
    }
}
