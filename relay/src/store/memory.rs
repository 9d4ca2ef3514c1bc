//! A store in memory, for tests, simulated worlds and relays that may forget. Nothing in it outlives the process.
use std::{
    collections::{BTreeMap, HashMap},
    sync::Mutex,
};

use waxwing_wire::{
    id::DeliveryId,
    relay::{RegisterEntry, VersionHash},
};

use super::{
    Commit, Unavailable,
    disk::{Change, Content, Disk, Fetched, Insert, Settle, Spot, Ticket, Urgency},
    lock,
    mailboxes::{Mailboxes, Rules},
};

/// Mailboxes in memory.
pub type MemoryStore = Mailboxes<Memory>;

impl MemoryStore {
    /// An empty one.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self::empty(Memory::default(), rules)
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
}

impl Disk for Memory {
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
}
