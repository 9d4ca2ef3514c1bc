//! All mailboxes by id, in memory. Implements spec/17-relay.md §17.5.
//!
//! Invariants: absent and present take the same way: whoever is not there is a mailbox that admits nobody (E9), and one of
//! many, so that it is as far from the processor as those that are there.
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use waxwing_wire::{delivery::LaneHash, id::MailboxId, relay::LaneNumber};

use super::{disk::Closed, mailbox::Mailbox};
use crate::ledger::{LaneRow, Ledger, Lineage, Pool, Quota};

/// A mailbox, or what remains of a closed one.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    Live(Arc<Mailbox>),
    Closed(Closed),
}

#[derive(Debug)]
pub(crate) struct Directory {
    shards: Vec<RwLock<HashMap<MailboxId, Entry>>>,
    /// Stand for mailboxes that are not there.
    nobodies: Vec<Arc<Mailbox>>,
    /// Of a capability that nobody has.
    close_hash: [u8; 32],
}

impl Directory {
    pub(crate) fn new(secret: [[u8; 32]; 3]) -> Self {
        let shards = (0..SHARDS).map(|_| RwLock::default()).collect();
        let nobodies = (0..NOBODIES).map(|_| Arc::new(nobody(secret))).collect();
        let [_, _, close_hash] = secret;
        Self { shards, nobodies, close_hash }
    }

    pub(crate) fn entry(&self, id: &MailboxId) -> Option<Entry> {
        self.read(id)?.get(id).cloned()
    }

    pub(crate) fn live(&self, id: &MailboxId) -> Option<Arc<Mailbox>> {
        match self.read(id)?.get(id) {
            Some(Entry::Live(mailbox)) => Some(Arc::clone(mailbox)),
            _ => None,
        }
    }

    /// The mailbox, or one that has ended.
    pub(crate) fn live_or_nobody(&self, id: &MailboxId) -> Option<Arc<Mailbox>> {
        self.live(id).or_else(|| self.nobodies.get(nobody_of(id)).map(Arc::clone))
    }

    /// The hash of a capability that nobody has.
    pub(crate) const fn nobodys_close_hash(&self) -> &[u8; 32] {
        &self.close_hash
    }

    /// Every mailbox that is there, a shard at a time.
    pub(crate) fn each_live(&self, mut each: impl FnMut(&Mailbox)) {
        for shard in &self.shards {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            let live = shard
                .values()
                .filter_map(|entry| if let Entry::Live(mailbox) = entry { Some(Arc::clone(mailbox)) } else { None });
            let live: Vec<_> = live.collect();
            // Whoever counts holds up nobody who comes or goes.
            drop(shard);
            live.iter().for_each(|mailbox| each(mailbox));
        }
    }

    pub(crate) fn insert(&self, id: MailboxId, entry: Entry) {
        if let Some(mut shard) = self.write(&id) {
            shard.insert(id, entry);
        }
    }

    pub(crate) fn remove(&self, id: &MailboxId) {
        if let Some(mut shard) = self.write(id) {
            shard.remove(id);
        }
    }

    fn read(&self, id: &MailboxId) -> Option<RwLockReadGuard<'_, HashMap<MailboxId, Entry>>> {
        Some(self.shards.get(shard(id))?.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, id: &MailboxId) -> Option<RwLockWriteGuard<'_, HashMap<MailboxId, Entry>>> {
        Some(self.shards.get(shard(id))?.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A mailbox with the lanes that most have, and keys that nobody knows.
fn nobody([contacts, groups, own]: [[u8; 32]; 3]) -> Mailbox {
    let row = |number, pool, kind, hash| LaneRow {
        number: LaneNumber(number),
        kind,
        lineage: Lineage { pool, parent: None, halvings: 0 },
        hash: LaneHash::from_bytes(hash),
        ends: None,
        admitted: 0,
    };
    let rows = vec![
        row(1, Pool::Contacts, waxwing_wire::relay::LaneKind::Contacts, contacts),
        row(2, Pool::Groups, waxwing_wire::relay::LaneKind::Groups, groups),
        row(3, Pool::Own, waxwing_wire::relay::LaneKind::Own, own),
    ];
    let ledger = Ledger::with_lanes(Quota::default(), 0, 4, rows);
    let mailbox =
        Mailbox::new(NOBODYS_NUMBER, MailboxId::from_bytes([0; 16]), contacts, own, 0, ledger, &Arc::default());
    mailbox.lock().ended = true;
    mailbox
}

fn shard(id: &MailboxId) -> usize {
    let [first, ..] = id.as_bytes();
    usize::from(*first) % SHARDS
}

fn nobody_of(id: &MailboxId) -> usize {
    let [_, high, low, ..] = id.as_bytes();
    usize::from(u16::from_be_bytes([*high, *low])) % NOBODIES
}

/// Others are numbered from 1.
pub(crate) const NOBODYS_NUMBER: u64 = 0;
/// Some 600 kB.
const NOBODIES: usize = 1_024;
pub(crate) const SHARDS: usize = 64;
