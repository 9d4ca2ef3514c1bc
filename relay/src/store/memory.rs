//! A store in memory, for tests, simulated worlds and relays that may forget. Nothing in it outlives the process.
use std::{collections::HashMap, sync::Arc, sync::Mutex};

use waxwing_wire::{id::DeliveryId, padding::Envelope};

use super::{
    Commit, Unavailable,
    disk::{Change, Disk, Fetched, Insert, Settle, Spot, Ticket, Urgency},
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
    envelopes: HashMap<u64, (DeliveryId, Arc<Envelope>)>,
}

impl Disk for Memory {
    async fn room(&self, _: usize) -> Result<(), Unavailable> {
        Ok(())
    }

    fn spare(&self, _: usize) {}

    fn insert(&self, insert: Insert) -> Ticket {
        let mut kept = lock(&self.0);
        kept.last = kept.last.saturating_add(1);
        let place = kept.last;
        kept.envelopes.insert(place, (insert.delivery, insert.envelope));
        Ticket { place, commit: Commit::done() }
    }

    fn forget(&self, gone: Vec<Spot>, _: Urgency) -> Commit {
        let mut kept = lock(&self.0);
        gone.iter().for_each(|spot| drop(kept.envelopes.remove(&spot.place)));
        Commit::done()
    }

    fn change(&self, _: Change, settle: Settle) -> Commit {
        settle(Ok(()));
        Commit::done()
    }

    async fn fetch(&self, spots: &[Spot]) -> Result<Vec<Fetched>, Unavailable> {
        let kept = lock(&self.0);
        let fetched = spots.iter().filter_map(|spot| {
            let (delivery, envelope) = kept.envelopes.get(&spot.place)?;
            Some(Fetched { place: spot.place, delivery: *delivery, envelope: Arc::clone(envelope) })
        });
        Ok(fetched.collect())
    }
}
