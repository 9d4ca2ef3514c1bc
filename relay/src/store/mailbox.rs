//! One mailbox in memory: its ledger, what is on its way to the disk, who listens. Implements spec/17-relay.md §17.5.
use core::ops::{Deref, DerefMut};
use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard},
};

use waxwing_wire::{
    id::{DeliveryId, MailboxId},
    time::Timestamp,
};

use super::{Commit, Unavailable, Watcher, budget::Budget, disk::Content, lock};
use crate::ledger::Ledger;

/// A mailbox. What never changes stands outside the lock.
pub struct Mailbox {
    pub(crate) number: u64,
    pub(crate) id: MailboxId,
    pub(crate) owner_key: [u8; 32],
    pub(crate) close_hash: [u8; 32],
    /// The run of the store in which it was made (spec §17.4).
    pub(crate) born: u64,
    inner: Mutex<Inner>,
    budget: Arc<Budget>,
}

pub(crate) struct Inner {
    pub(crate) ledger: Ledger,
    pub(crate) pending: VecDeque<Pending>,
    pub(crate) watcher: Option<Arc<dyn Watcher>>,
    /// When the calendar looks here next.
    pub(crate) scheduled: Timestamp,
    /// The newest of what was asked to be forgotten.
    pub(crate) forgetting: Commit,
    /// The newest number when a watcher went: up to it, things have been shown.
    pub(crate) shown: u64,
    /// Closed or deleted.
    pub(crate) ended: bool,
}

/// An envelope that is not on stable storage yet: it is read from here.
pub(crate) struct Pending {
    pub(crate) sequence: u64,
    pub(crate) delivery: DeliveryId,
    pub(crate) content: Content,
    pub(crate) commit: Commit,
}

impl Mailbox {
    pub(crate) fn new(
        number: u64,
        id: MailboxId,
        owner_key: [u8; 32],
        close_hash: [u8; 32],
        born: u64,
        ledger: Ledger,
        budget: &Arc<Budget>,
    ) -> Self {
        let inner = Inner {
            ledger,
            pending: VecDeque::new(),
            watcher: None,
            scheduled: Timestamp(u64::MAX),
            forgetting: Commit::done(),
            shown: 0,
            ended: false,
        };
        Self { number, id, owner_key, close_hash, born, inner: Mutex::new(inner), budget: Arc::clone(budget) }
    }

    pub(crate) fn lock(&self) -> Locked<'_> {
        let inner = lock(&self.inner);
        Locked { before: inner.ledger.usage().bytes, budget: &self.budget, inner }
    }

    /// An insert is on stable storage, or is not.
    pub(crate) fn settle(&self, sequence: u64, outcome: Result<(), Unavailable>) {
        let mut inner = self.lock();
        if let Ok(index) = inner.pending.binary_search_by_key(&sequence, |pending| pending.sequence) {
            inner.pending.remove(index);
        }
        if outcome.is_err() {
            inner.ledger.withdraw(sequence);
        }
    }
}

/// A mailbox's lock. What its ledger holds more or less when it goes counts for all mailboxes together, whatever was done.
pub(crate) struct Locked<'m> {
    inner: MutexGuard<'m, Inner>,
    before: u64,
    budget: &'m Budget,
}

impl Deref for Locked<'_> {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.inner
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Inner {
        &mut self.inner
    }
}

impl Locked<'_> {
    /// Counts what has changed so far.
    pub(super) fn count(&mut self) {
        let now = self.inner.ledger.usage().bytes;
        self.budget.change(self.before, now);
        self.before = now;
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.count();
    }
}

impl Inner {
    pub(crate) fn pending(&self, sequence: u64) -> Option<&Pending> {
        let index = self.pending.binary_search_by_key(&sequence, |pending| pending.sequence).ok()?;
        self.pending.get(index)
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").field("number", &self.number).finish_non_exhaustive()
    }
}
