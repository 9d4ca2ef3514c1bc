//! One mailbox from one store to another. Implements spec/17-relay.md §17.25.
//!
//! ```text
//! export: a barrier ──▶ snapshot under the mailbox's lock ──▶ bodies, so many at a time
//! import: envelopes, in transactions as puts are ──▶ a barrier ──▶ mailbox and lanes, one transaction: from here on it is there
//! ```
//! Invariants: until its last transaction an import is nobody's: rows that hang from no mailbox, which are forgotten if it is given up, and by the
//! next opening of the store if the process ends; what is exported was accepted.
use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
};

use waxwing_wire::{id::MailboxId, relay::mailbox_id, time::Timestamp};

use super::{
    Commit, Unavailable,
    directory::Entry,
    disk::{Change, Closed, Content, Disk, Insert, Spot, Urgency},
    lock,
    mailbox::Mailbox,
    mailboxes::{FOR_GOOD, Mailboxes, Shared, Turn, identity},
};
use crate::{
    ledger::{CLOSED, Held, LaneRow, Ledger, Life, NUMBERS_OF_A_RUN, Quota},
    portable::{Head, LiveHead, Parcel},
};

/// Why a mailbox is not exported.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, thiserror::Error, PartialEq)]
pub enum ExportError {
    /// It was never made, or deleted.
    #[error("there is no such mailbox")]
    Absent,
    /// See [`Unavailable`].
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why a mailbox is not imported. Nothing of it is here.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, thiserror::Error, PartialEq)]
pub enum ImportError {
    /// It is here, or is known to have been closed or blocked here.
    #[error("that mailbox is here already, or was closed or blocked here; nothing has changed")]
    Exists,
    /// The numbers that this store would give are not above those that the mailbox has given.
    #[error("the mailbox has given numbers that this relay has not come to; is its clock right?")]
    Numbers,
    /// All mailboxes together would hold more than they may.
    #[error(
        "there is no room for it within limits.mailboxes_total; raise that, or wait until others have fetched theirs"
    )]
    Full,
    /// See [`Unavailable`].
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl<D: Disk> Mailboxes<D> {
    /// A mailbox as it is at this moment: everything that was accepted before, and has been neither acked nor past its time.
    ///
    /// # Errors
    /// [`ExportError`].
    pub async fn export(&self, id: &MailboxId, now: Timestamp) -> Result<Export<D>, ExportError> {
        // What a sender heard of is on stable storage, and not pending any more.
        self.shared.disk.forget(Vec::new(), Urgency::Now).await?;
        let (head, wanted) = match self.shared.directory.entry(id) {
            Some(Entry::Live(mailbox)) => self.shared.snapshot(&mailbox, now).ok_or(ExportError::Absent)?,
            Some(Entry::Closed(Closed { mailbox, close_hash, until })) if until > now => {
                let blocked = until == FOR_GOOD;
                let head = if blocked { Head::Blocked(mailbox) } else { Head::Closed { mailbox, close_hash, until } };
                (head, VecDeque::new())
            }
            Some(Entry::Closed(_)) | None => return Err(ExportError::Absent),
        };
        Ok(Export { shared: Arc::clone(&self.shared), head, wanted })
    }

    /// What a mailbox of this store holds at most.
    #[must_use]
    pub fn quota(&self) -> Quota {
        self.shared.rules.quota
    }

    /// Begins to take a mailbox in. It is there when [`Import::finish`] says so.
    ///
    /// # Errors
    /// [`ImportError`].
    pub fn import(&self, head: Head, now: Timestamp) -> Result<Import<D>, ImportError> {
        let id = match &head {
            Head::Live(live) => mailbox_id(&live.owner_key),
            Head::Blocked(mailbox) | Head::Closed { mailbox, .. } => *mailbox,
        };
        // Looked at again at the end; this saves the reading of a file.
        self.shared.is_free(&id)?;
        let subject = match head {
            Head::Live(live) => Subject::Live(Staged::new(&self.shared, id, live)?),
            Head::Blocked(mailbox) => {
                // The hash of a capability that nobody has.
                let close_hash = *self.shared.directory.nobodys_close_hash();
                Subject::Closed(Closed { mailbox, close_hash, until: FOR_GOOD })
            }
            Head::Closed { mailbox, close_hash, until } => {
                Subject::Closed(Closed { mailbox, close_hash, until: until.min(now.saturating_add(CLOSED)) })
            }
        };
        Ok(Import { store: self.clone(), subject, now })
    }
}

impl<D: Disk> Shared<D> {
    fn snapshot(&self, mailbox: &Mailbox, now: Timestamp) -> Option<(Head, VecDeque<Held>)> {
        let mut inner = mailbox.lock();
        if inner.ended {
            return None;
        }
        self.sweep(&mut inner, mailbox.id, now);
        let (next_lane, lanes) = inner.ledger.lanes(now);
        let head = LiveHead {
            owner_key: mailbox.owner_key,
            close_hash: mailbox.close_hash,
            newest: inner.ledger.newest(),
            next_lane,
            lanes,
        };
        // What is pending was accepted by nobody yet.
        let held = inner.ledger.held_after(0).filter(|held| inner.pending(held.sequence).is_none()).copied().collect();
        Some((Head::Live(head), held))
    }

    fn is_free(&self, id: &MailboxId) -> Result<(), ImportError> {
        if self.directory.entry(id).is_some() { Err(ImportError::Exists) } else { Ok(()) }
    }
}

/// A mailbox on its way out.
#[derive(Debug)]
pub struct Export<D> {
    shared: Arc<Shared<D>>,
    head: Head,
    wanted: VecDeque<Held>,
}

impl<D: Disk> Export<D> {
    /// What it is, without what waits in it.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The next envelopes, without those that were acked meanwhile; none when there are no more.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn next(&mut self) -> Result<Option<Vec<Parcel>>, Unavailable> {
        if self.wanted.is_empty() {
            return Ok(None);
        }
        let wanted: Vec<_> = self.wanted.drain(..self.wanted.len().min(AT_ONCE)).collect();
        let spots: Vec<_> = wanted.iter().map(|held| Spot { place: held.place, back: held.back }).collect();
        let mut fetched = self.shared.disk.fetch(&spots).await?;
        fetched.sort_unstable_by_key(|one| one.place);
        let parcel = |held: &Held| {
            let at = fetched.binary_search_by_key(&held.place, |one| one.place).ok()?;
            let one = fetched.get(at)?;
            let Held { sequence, lane, pool, ends, .. } = *held;
            Some(Parcel { sequence, lane, pool, ends, delivery: one.delivery, envelope: (*one.envelope).clone() })
        };
        Ok(Some(wanted.iter().filter_map(parcel).collect()))
    }
}

/// A mailbox on its way in. Dropped, it leaves nothing.
#[derive(Debug)]
#[must_use = "nothing is imported before `finish`"]
pub struct Import<D: Disk> {
    store: Mailboxes<D>,
    subject: Subject<D>,
    now: Timestamp,
}

#[derive(Debug)]
enum Subject<D: Disk> {
    Live(Staged<D>),
    Closed(Closed),
}

impl<D: Disk> Import<D> {
    /// Takes the next envelope in; they come in the order of their numbers.
    ///
    /// # Errors
    /// [`ImportError`].
    pub async fn add(&mut self, parcel: Parcel) -> Result<(), ImportError> {
        match &mut self.subject {
            Subject::Live(staged) => staged.add(parcel, self.now).await,
            Subject::Closed(_) => Ok(()),
        }
    }

    /// Makes it so, on stable storage; how many envelopes there are. Also if what this returns is dropped, the mailbox is there whole or not at all.
    ///
    /// # Errors
    /// [`ImportError`].
    pub async fn finish(self) -> Result<u64, ImportError> {
        let Self { store, subject, .. } = self;
        match subject {
            Subject::Live(staged) => staged.finish(&store).await,
            Subject::Closed(closed) => {
                let turn = store.shared.turn(closed.mailbox.as_bytes()).await?;
                store.shared.is_free(&closed.mailbox)?;
                store.close_absent(closed, turn).await?;
                Ok(0)
            }
        }
    }
}

/// A mailbox that nobody knows yet. Dropped before it is settled, everything in it is forgotten.
#[derive(Debug)]
struct Staged<D: Disk> {
    shared: Arc<Shared<D>>,
    mailbox: Arc<Mailbox>,
    lanes: (u32, Vec<LaneRow>),
    added: u64,
    is_settled: bool,
}

impl<D: Disk> Staged<D> {
    fn new(shared: &Arc<Shared<D>>, id: MailboxId, head: LiveHead) -> Result<Self, ImportError> {
        let LiveHead { owner_key, close_hash, newest, next_lane, lanes } = head;
        // As if it had been made here so long ago that every number it gave is one of an earlier run (spec §17.4).
        let runs = newest.div_ceil(NUMBERS_OF_A_RUN.saturating_add(1));
        let born = shared.run.checked_sub(runs).ok_or(ImportError::Numbers)?;
        let ledger = Ledger::with_lanes(shared.rules.quota, shared.base(born), next_lane, lanes.clone());
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        let mailbox = Arc::new(Mailbox::new(number, id, owner_key, close_hash, born, ledger, &shared.budget));
        lock(&shared.arriving).insert(number, Arc::clone(&mailbox));
        Ok(Self { shared: Arc::clone(shared), mailbox, lanes: (next_lane, lanes), added: 0, is_settled: false })
    }

    async fn add(&mut self, parcel: Parcel, now: Timestamp) -> Result<(), ImportError> {
        let Parcel { sequence, lane, pool, ends, delivery, envelope } = parcel;
        // Nothing is kept for longer than what is put here.
        let ends = ends.min(now.saturating_add(Life::Fortnight.duration()));
        let (hash, size) = (envelope.hash(), envelope.size());
        if !self.shared.budget.admits(size.bytes()) {
            return Err(ImportError::Full);
        }
        self.shared.disk.room(size.bytes()).await?;
        let mut inner = self.mailbox.lock();
        let tag = self.shared.tags.tag(&self.mailbox.id, &delivery, &identity(&hash));
        let ticket = self.shared.disk.insert(Insert {
            mailbox: Arc::clone(&self.mailbox),
            sequence,
            lane,
            pool,
            ends,
            delivery,
            hash,
            content: Content::Whole(Arc::new(envelope)),
            admitted: None,
        });
        let ticket = ticket.ok_or(Unavailable)?;
        let held = Held::new(sequence, ticket.place, ticket.back, lane, pool, size, tag, ends);
        if !inner.ledger.restore(held) {
            self.shared.forget(&mut inner, &[held], Urgency::Now);
            return Err(ImportError::Numbers);
        }
        self.added = self.added.saturating_add(1);
        Ok(())
    }

    async fn finish(self, store: &Mailboxes<D>) -> Result<u64, ImportError> {
        let turn = self.shared.turn(self.mailbox.id.as_bytes()).await?;
        self.shared.is_free(&self.mailbox.id)?;
        // Every envelope is on stable storage, or was withdrawn from the ledger.
        self.shared.disk.forget(Vec::new(), Urgency::Now).await?;
        let held = self.mailbox.lock().ledger.usage().envelopes;
        if u64::from(held) != self.added {
            return Err(Unavailable.into());
        }
        let added = self.added;
        self.there(store, turn).await?;
        Ok(added)
    }

    fn there(mut self, store: &Mailboxes<D>, turn: Turn) -> Commit {
        let (next_lane, lanes) = core::mem::take(&mut self.lanes);
        let row = Change::Import { mailbox: Arc::clone(&self.mailbox), next_lane, lanes };
        // Whatever becomes of whoever asked: this alone knows what became of the row.
        let settle = move |outcome: Result<(), Unavailable>| {
            if outcome.is_ok() {
                self.is_settled = true;
                let Self { shared, mailbox, .. } = &self;
                shared.directory.insert(mailbox.id, Entry::Live(Arc::clone(mailbox)));
                shared.schedule(&mut mailbox.lock(), mailbox.id);
            }
            drop(self);
            drop(turn);
        };
        store.shared.disk.change(row, Box::new(settle))
    }
}

impl<D: Disk> Drop for Staged<D> {
    fn drop(&mut self) {
        lock(&self.shared.arriving).remove(&self.mailbox.number);
        if self.is_settled {
            return;
        }
        let mut inner = self.mailbox.lock();
        inner.ended = true;
        let gone = inner.ledger.clear();
        // Behind the inserts, of which some may still wait: what is forgotten later could be forgotten before them.
        gone.chunks(AT_ONCE).for_each(|part| self.shared.forget(&mut inner, part, Urgency::Now));
    }
}

/// Envelopes that are read, or forgotten, at a time.
const AT_ONCE: usize = 64;
