//! Mailboxes on a disk: what every store does alike. Implements spec/17-relay.md §17.2 to §17.6.
//!
//! ```text
//! id ──▶ Directory ──▶ Mailbox (its lock: Ledger, what is pending, Watcher) ──▶ Disk::insert, forget      in the order of the lock
//! create, lanes, close: one after another for a mailbox ──▶ Disk::change ──▶ settle: memory follows the disk
//! ```
//! Invariants: no lock is held across an await; of two locks a mailbox's is the outer one; memory never says what the disk has
//! not, except that an envelope is shown to its owner beside the commit.
use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use subtle::ConstantTimeEq;
use waxwing_wire::{
    frame::ErrorCode,
    id::{DeliveryId, MailboxId},
    padding::EnvelopeHash,
    relay::{Ack, AddLane, EndLane, LaneNumber, MailboxState, RotateLane, mailbox_id},
    time::Timestamp,
};

use super::{
    AckError, Admitted, Commit, CreateError, LaneError, MailboxError, NewEnvelope, NewFanOut, NewMailbox, PutError,
    Stats, Store, StoredEnvelope, Unavailable, UnblockError, WatchError, Watched, Watcher,
    blobs::BlobDirectory,
    budget::Budget,
    calendar::Calendar,
    directory::{Directory, Entry, NOBODYS_NUMBER, SHARDS},
    disk::{Change, Closed, Content, Disk, Spot, Urgency},
    invites::Invites,
    lock,
    mailbox::{Inner, Mailbox},
    registers::RegisterDirectory,
    rules::Rules,
};
use crate::ledger::{CLOSED, Held, LaneChange, Ledger, NUMBERS_OF_A_RUN, Remembered, Tag};

/// Mailboxes whose bytes a disk keeps. Clones are the same store.
#[derive(Debug)]
pub struct Mailboxes<D> {
    pub(crate) shared: Arc<Shared<D>>,
}

impl<D> Clone for Mailboxes<D> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

#[derive(Debug)]
pub(crate) struct Shared<D> {
    pub(crate) disk: D,
    pub(crate) rules: Rules,
    /// This opening of the store (spec §17.4).
    pub(crate) run: u64,
    pub(crate) directory: Directory,
    pub(crate) registers: RegisterDirectory,
    pub(crate) blobs: BlobDirectory,
    pub(crate) calendar: Calendar,
    pub(crate) tags: Tags,
    pub(crate) budget: Arc<Budget>,
    pub(crate) invites: Mutex<Invites>,
    /// Mailboxes that are being imported, by number: in no directory yet.
    pub(crate) arriving: Mutex<HashMap<u64, Arc<Mailbox>>>,
    pub(super) counts: Counts,
    /// The number of the next mailbox, register or blob.
    pub(crate) next: AtomicU64,
    pub(super) remembered: Vec<Mutex<Remembered>>,
    /// Who changes a mailbox's rows waits for whoever does at the moment.
    turns: Vec<Arc<tokio::sync::Mutex<()>>>,
}

/// What happened since the store was opened.
#[derive(Debug, Default)]
pub(super) struct Counts {
    expired: AtomicU64,
    pub(super) turned_away: AtomicU64,
    shown_again: AtomicU64,
}

/// Keyed hashes of identities.
#[derive(Debug, Default)]
pub(crate) struct Tags(RandomState);

impl Tags {
    /// Of the first half of an envelope hash, which is what is stored.
    pub(crate) fn tag(&self, mailbox: &MailboxId, delivery: &DeliveryId, identity: &[u8; 16]) -> Tag {
        let check = self.0.hash_one(identity) & u64::from(u32::MAX);
        let id = self.0.hash_one((mailbox.as_bytes(), delivery.as_bytes()));
        Tag { id, check: u32::try_from(check).unwrap_or_default() }
    }

    fn secret(&self) -> [[u8; 32]; 3] {
        let mut count = 0_u64;
        let mut word = || {
            count = count.wrapping_add(1);
            self.0.hash_one(("nobody", count)).to_be_bytes()
        };
        core::array::from_fn(|_| {
            let words: [[u8; 8]; 4] = core::array::from_fn(|_| word());
            let mut secret = [0; 32];
            secret.iter_mut().zip(words.iter().flatten()).for_each(|(target, byte)| *target = *byte);
            secret
        })
    }
}

/// The half of an envelope hash that is kept.
pub(crate) fn identity(hash: &EnvelopeHash) -> [u8; 16] {
    hash.as_bytes().first_chunk().copied().unwrap_or_default()
}

impl<D: Disk> Mailboxes<D> {
    pub(crate) fn empty(disk: D, rules: Rules) -> Self {
        Self::at_run(disk, rules, 0)
    }

    pub(crate) fn at_run(disk: D, rules: Rules, run: u64) -> Self {
        let tags = Tags::default();
        let each = rules.remembered.div_ceil(SHARDS);
        let shared = Shared {
            disk,
            rules,
            run,
            directory: Directory::new(tags.secret()),
            registers: RegisterDirectory::new(tags.secret()),
            blobs: BlobDirectory::new(tags.secret()),
            calendar: Calendar::default(),
            tags,
            budget: Arc::new(Budget::new(rules.total)),
            invites: Mutex::default(),
            arriving: Mutex::default(),
            counts: Counts::default(),
            next: AtomicU64::new(1),
            remembered: (0..SHARDS).map(|_| Mutex::new(Remembered::new(each))).collect(),
            turns: (0..SHARDS).map(|_| Arc::default()).collect(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Ends a mailbox, also one that is not there, until [`Self::unblock`]: everything in it is forgotten, and nobody makes it anew.
    ///
    /// # Errors
    /// [`Unavailable`]; it is not blocked.
    pub async fn block(&self, id: &MailboxId) -> Result<(), Unavailable> {
        let turn = self.shared.turn(id.as_bytes()).await?;
        // The hash of a capability that nobody has.
        let close_hash = *self.shared.directory.nobodys_close_hash();
        let closed = Closed { mailbox: *id, close_hash, until: FOR_GOOD };
        if let Some(found) = self.shared.directory.live(id) {
            return self.remove(&found, Some(closed), turn).await;
        }
        self.close_absent(closed, turn).await
    }

    /// What remains of a mailbox that is not there. `turn` is its own.
    pub(crate) fn close_absent(&self, closed: Closed, turn: Turn) -> Commit {
        let shared = Arc::clone(&self.shared);
        self.shared.disk.change(
            Change::Close(closed),
            Box::new(move |outcome| {
                if outcome.is_ok() {
                    shared.directory.insert(closed.mailbox, Entry::Closed(closed));
                    shared.calendar.add(closed.until, closed.mailbox);
                }
                drop(turn);
            }),
        )
    }

    /// Lets the mailbox be made again.
    ///
    /// # Errors
    /// [`UnblockError`]; nothing has changed.
    pub async fn unblock(&self, id: &MailboxId) -> Result<(), UnblockError> {
        let turn = self.shared.turn(id.as_bytes()).await?;
        match self.shared.directory.entry(id) {
            Some(Entry::Closed(closed)) if closed.until == FOR_GOOD => {}
            _ => return Err(UnblockError::NotBlocked),
        }
        let (shared, mailbox) = (Arc::clone(&self.shared), *id);
        let commit = self.shared.disk.change(
            Change::ForgetClosed { mailbox },
            Box::new(move |outcome| {
                if outcome.is_ok() {
                    shared.directory.remove(&mailbox);
                }
                drop(turn);
            }),
        );
        Ok(commit.await?)
    }

    async fn change_lanes(
        &self,
        id: &MailboxId,
        plan: impl FnOnce(&mut Ledger) -> Result<LaneChange, ErrorCode> + Send,
    ) -> Result<LaneNumber, LaneError> {
        let turn = self.shared.turn(id.as_bytes()).await?;
        let mailbox = self.shared.directory.live(id).ok_or(LaneError::Rule(ErrorCode::Refused))?;
        let change = plan(&mut mailbox.lock().ledger).map_err(LaneError::Rule)?;
        let answer = change.answer;
        if change.is_empty() {
            return Ok(answer);
        }
        let row = Change::Lanes { mailbox: mailbox.number, change: change.clone() };
        let commit = self.shared.disk.change(
            row,
            Box::new(move |outcome| {
                if outcome.is_ok() {
                    mailbox.lock().ledger.apply(&change);
                }
                drop(turn);
            }),
        );
        commit.await?;
        Ok(answer)
    }

    /// Takes a mailbox away. `turn` is its own.
    fn remove(&self, mailbox: &Arc<Mailbox>, closed: Option<Closed>, turn: Turn) -> Commit {
        let (shared, mailbox) = (Arc::clone(&self.shared), Arc::clone(mailbox));
        let row = Change::Remove { mailbox: mailbox.number, closed };
        self.shared.disk.change(
            row,
            Box::new(move |outcome| {
                if outcome.is_ok() {
                    shared.removed(&mailbox, closed);
                }
                drop(turn);
            }),
        )
    }
}

pub(crate) type Turn = tokio::sync::OwnedMutexGuard<()>;

impl<D: Disk> Shared<D> {
    pub(crate) async fn turn(&self, id: &[u8; 16]) -> Result<Turn, Unavailable> {
        let [first, ..] = id;
        let turn = self.turns.get(usize::from(*first) % SHARDS).ok_or(Unavailable)?;
        Ok(Arc::clone(turn).lock_owned().await)
    }

    /// The number above which a mailbox that was made in a run begins in this one (spec §17.4).
    pub(crate) fn base(&self, born: u64) -> u64 {
        self.run.saturating_sub(born).saturating_mul(NUMBERS_OF_A_RUN.saturating_add(1))
    }

    fn removed(&self, mailbox: &Mailbox, closed: Option<Closed>) {
        match closed {
            Some(closed) => {
                self.directory.insert(mailbox.id, Entry::Closed(closed));
                self.calendar.add(closed.until, mailbox.id);
            }
            None => self.directory.remove(&mailbox.id),
        }
        let mut inner = mailbox.lock();
        inner.ended = true;
        let gone = inner.ledger.clear();
        self.forget(&mut inner, &gone, Urgency::Later);
        if let Some(watcher) = inner.watcher.take() {
            watcher.ended();
        }
    }

    pub(crate) fn forget(&self, inner: &mut Inner, gone: &[Held], urgency: Urgency) {
        if !gone.is_empty() {
            let spots = gone.iter().map(|held| Spot { place: held.place, back: held.back }).collect();
            inner.forgetting = self.disk.forget(spots, urgency);
        }
    }

    /// Forgets what has ended, and looks here again when the next of it does.
    pub(crate) fn sweep(&self, inner: &mut Inner, id: MailboxId, now: Timestamp) {
        let gone = inner.ledger.expire(now);
        self.counts.expired.fetch_add(u64::try_from(gone.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.forget(inner, &gone, Urgency::Later);
        self.schedule(inner, id);
    }

    pub(crate) fn schedule(&self, inner: &mut Inner, id: MailboxId) {
        match inner.ledger.earliest_end() {
            Some(earliest) if earliest < inner.scheduled => {
                inner.scheduled = earliest;
                self.calendar.add(earliest, id);
            }
            _ => {}
        }
    }

    /// One mailbox that the calendar names; what was asked to be forgotten.
    fn look_again(&self, id: &MailboxId, now: Timestamp) -> Option<Commit> {
        match self.directory.entry(id)? {
            Entry::Live(mailbox) => {
                let mut inner = mailbox.lock();
                inner.scheduled = Timestamp(u64::MAX);
                let before = inner.ledger.waiting(0);
                self.sweep(&mut inner, *id, now);
                (inner.ledger.waiting(0) < before).then(|| inner.forgetting.clone())
            }
            Entry::Closed(closed) if closed.until <= now => {
                self.directory.remove(id);
                Some(self.disk.change(Change::ForgetClosed { mailbox: *id }, Box::new(|_| {})))
            }
            Entry::Closed(_) => None,
        }
    }
}

impl<D: Disk> Store for Mailboxes<D> {
    async fn create_mailbox(&self, new: NewMailbox, now: Timestamp) -> Result<(), CreateError> {
        let id = mailbox_id(&new.owner_key);
        let shared = &self.shared;
        let turn = shared.turn(id.as_bytes()).await?;
        match shared.directory.entry(&id) {
            Some(Entry::Live(mailbox)) => {
                let same = mailbox.owner_key == new.owner_key && mailbox.close_hash == new.close_hash;
                return if same { Ok(()) } else { Err(CreateError::Taken) };
            }
            Some(Entry::Closed(closed)) if closed.until > now => return Err(CreateError::Taken),
            Some(Entry::Closed(_)) | None => {}
        }
        let invite = match new.invite.map(|hash| lock(&shared.invites).take(&hash)) {
            None => None,
            Some(taken) => Some(taken.ok_or(CreateError::Invite)?),
        };
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        let ledger = Ledger::new(shared.rules.quota, 0);
        let mailbox =
            Arc::new(Mailbox::new(number, id, new.owner_key, new.close_hash, shared.run, ledger, &shared.budget));
        let (keeping, row) = (
            Arc::clone(shared),
            Change::Create { mailbox: Arc::clone(&mailbox), invite: invite.map(|taken| taken.id) },
        );
        let commit = shared.disk.change(
            row,
            Box::new(move |outcome| {
                match (outcome, invite) {
                    (Ok(()), _) => keeping.directory.insert(id, Entry::Live(mailbox)),
                    (Err(Unavailable), Some(taken)) => lock(&keeping.invites).give_back(taken),
                    (Err(Unavailable), None) => {}
                }
                drop(turn);
            }),
        );
        Ok(commit.await?)
    }

    async fn add_invite(&self, hash: [u8; 32]) -> Result<(), Unavailable> {
        // Below none, nothing else can be the matter.
        self.mint(hash, None).await.map(drop).map_err(|_| Unavailable)
    }

    fn stats(&self) -> Stats {
        let shared = &self.shared;
        let (blobs, blob_bytes) = shared.blobs.usage();
        let Counts { expired, turned_away, shown_again } = &shared.counts;
        let mut stats = Stats {
            forgetting: shared.disk.forgetting(),
            expired: expired.load(Ordering::Relaxed),
            turned_away: turned_away.load(Ordering::Relaxed),
            shown_again: shown_again.load(Ordering::Relaxed),
            blobs: u64::try_from(blobs).unwrap_or(u64::MAX),
            blob_bytes,
            registers: u64::try_from(shared.registers.count()).unwrap_or(u64::MAX),
            open_invitations: u64::try_from(lock(&shared.invites).open()).unwrap_or(u64::MAX),
            ..Stats::default()
        };
        shared.directory.each_live(|mailbox| {
            let inner = mailbox.lock();
            let (used, ends) = (inner.ledger.usage(), inner.ledger.earliest_end());
            drop(inner);
            stats.first_end = stats.first_end.into_iter().chain(ends).min();
            stats.mailboxes = stats.mailboxes.saturating_add(1);
            stats.envelopes = stats.envelopes.saturating_add(used.envelopes.into());
            stats.envelope_bytes = stats.envelope_bytes.saturating_add(used.bytes);
        });
        stats
    }

    async fn probe(&self) -> Result<(), Unavailable> {
        self.shared.disk.forget(Vec::new(), Urgency::Now).await
    }

    fn owner_key(&self, mailbox: &MailboxId) -> Option<[u8; 32]> {
        // Also whoever is absent is looked at, where it lies in memory (E9).
        let found = self.shared.directory.live_or_nobody(mailbox)?;
        (found.number != NOBODYS_NUMBER).then_some(found.owner_key)
    }

    async fn add_lane(&self, mailbox: &MailboxId, lane: AddLane, now: Timestamp) -> Result<LaneNumber, LaneError> {
        self.change_lanes(mailbox, move |ledger| ledger.add_lane(&lane, now)).await
    }

    async fn rotate_lane(
        &self,
        mailbox: &MailboxId,
        lane: RotateLane,
        now: Timestamp,
    ) -> Result<LaneNumber, LaneError> {
        self.change_lanes(mailbox, move |ledger| ledger.rotate_lane(&lane, now)).await
    }

    async fn end_lane(&self, mailbox: &MailboxId, lane: EndLane, now: Timestamp) -> Result<(), LaneError> {
        self.change_lanes(mailbox, move |ledger| ledger.end_lane(&lane, now)).await.map(drop)
    }

    async fn state(&self, mailbox: &MailboxId, now: Timestamp) -> Result<MailboxState, MailboxError> {
        let found = self.shared.directory.live(mailbox).ok_or(MailboxError::Refused)?;
        let mut inner = found.lock();
        self.shared.sweep(&mut inner, *mailbox, now);
        if inner.ended { Err(MailboxError::Refused) } else { Ok(inner.ledger.state(now)) }
    }

    async fn close_mailbox(
        &self,
        mailbox: &MailboxId,
        close_hash: [u8; 32],
        now: Timestamp,
    ) -> Result<(), MailboxError> {
        let turn = self.shared.turn(mailbox.as_bytes()).await?;
        let is_its = |hash: &[u8; 32]| bool::from(hash.ct_eq(&close_hash));
        match self.shared.directory.entry(mailbox) {
            Some(Entry::Live(found)) if is_its(&found.close_hash) => {
                let closed = Closed { mailbox: *mailbox, close_hash, until: now.saturating_add(CLOSED) };
                Ok(self.remove(&found, Some(closed), turn).await?)
            }
            Some(Entry::Closed(closed)) if is_its(&closed.close_hash) && closed.until > now => Ok(()),
            Some(_) => Err(MailboxError::Refused),
            None if is_its(self.shared.directory.nobodys_close_hash()) => Err(MailboxError::Refused),
            None => Err(MailboxError::Refused),
        }
    }

    async fn delete_mailbox(&self, mailbox: &MailboxId, _: Timestamp) -> Result<(), MailboxError> {
        let turn = self.shared.turn(mailbox.as_bytes()).await?;
        let found = self.shared.directory.live(mailbox).ok_or(MailboxError::Refused)?;
        Ok(self.remove(&found, None, turn).await?)
    }

    async fn put(&self, envelope: NewEnvelope, now: Timestamp) -> Result<Admitted, PutError> {
        self.shared.accept(envelope, now).await
    }

    async fn fan_out(&self, new: NewFanOut, now: Timestamp) -> Result<Vec<Result<Admitted, PutError>>, Unavailable> {
        self.shared.accept_each(new, now).await
    }

    fn put_online(&self, new: NewEnvelope, now: Timestamp) -> Result<(), PutError> {
        self.shared.pass(new, now)
    }

    async fn watch(
        &self,
        mailbox: &MailboxId,
        after: u64,
        watcher: Arc<dyn Watcher>,
        now: Timestamp,
    ) -> Result<Watched, WatchError> {
        let found = self.shared.directory.live(mailbox).ok_or(WatchError::Refused)?;
        let mut inner = found.lock();
        if inner.ended {
            return Err(WatchError::Refused);
        }
        self.shared.sweep(&mut inner, *mailbox, now);
        let newest = inner.ledger.newest();
        if after > newest {
            return Err(WatchError::CursorAhead);
        }
        let waiting = inner.ledger.waiting(after);
        if let Some(before) = inner.watcher.replace(watcher) {
            inner.shown = newest;
            before.superseded();
        }
        let again = waiting.saturating_sub(inner.ledger.waiting(after.max(inner.shown)));
        self.shared.counts.shown_again.fetch_add(again.into(), Ordering::Relaxed);
        Ok(Watched { newest, waiting })
    }

    fn unwatch(&self, mailbox: &MailboxId, watcher: &Arc<dyn Watcher>) {
        if let Some(found) = self.shared.directory.live(mailbox) {
            let mut inner = found.lock();
            let is_it = inner.watcher.as_ref().is_some_and(|current| Arc::ptr_eq(current, watcher));
            let taken = if is_it { inner.watcher.take() } else { None };
            if is_it {
                inner.shown = inner.ledger.newest();
            }
            // Whatever a watcher does when it is dropped, it does without the lock.
            drop(inner);
            drop(taken);
        }
    }

    async fn read(
        &self,
        mailbox: &MailboxId,
        after: u64,
        up_to: u64,
        most: u32,
        now: Timestamp,
    ) -> Result<Vec<StoredEnvelope>, MailboxError> {
        let wanted = self.shared.wanted(mailbox, after, up_to, most, now)?;
        let spots: Vec<_> = wanted.iter().filter_map(|(_, source)| source.spot()).collect();
        let mut fetched = if spots.is_empty() { Vec::new() } else { self.shared.disk.fetch(&spots).await? };
        fetched.sort_unstable_by_key(|one| one.place);
        let whole = wanted.into_iter().filter_map(|(held, source)| {
            let (delivery, envelope) = match source {
                Source::Memory(delivery, content) => (delivery, content.whole()),
                Source::Disk(spot) => {
                    let index = fetched.binary_search_by_key(&spot.place, |one| one.place).ok()?;
                    let one = fetched.get(index)?;
                    (one.delivery, Arc::clone(&one.envelope))
                }
            };
            Some(StoredEnvelope { sequence: held.sequence, lane: held.lane, delivery, envelope })
        });
        Ok(whole.collect())
    }

    async fn ack(&self, mailbox: &MailboxId, ack: &Ack, now: Timestamp) -> Result<Commit, AckError> {
        let found = self.shared.directory.live(mailbox).ok_or(AckError::Refused)?;
        let mut inner = found.lock();
        if inner.ended {
            return Err(AckError::Refused);
        }
        self.shared.sweep(&mut inner, *mailbox, now);
        let gone = inner.ledger.ack(ack).map_err(|_| AckError::CursorAhead)?;
        if let Some(watcher) = &inner.watcher {
            watcher.acked(ack);
        }
        self.shared.remember(&gone, now);
        self.shared.forget(&mut inner, &gone, Urgency::Now);
        if inner.forgetting.outcome() == Some(Err(Unavailable)) {
            // What could not be forgotten then goes with the next transaction: this one.
            inner.forgetting = self.shared.disk.forget(Vec::new(), Urgency::Now);
        }
        Ok(inner.forgetting.clone())
    }

    async fn expire(&self, now: Timestamp) -> Result<bool, Unavailable> {
        let (due, more) = self.shared.calendar.due(now, AT_ONCE);
        let commits: Vec<_> = due.iter().filter_map(|id| self.shared.look_again(id, now)).collect();
        for commit in commits {
            commit.await?;
        }
        Ok(self.expire_blobs(now, AT_ONCE).await? || more)
    }
}

/// Where an envelope's bytes are.
enum Source {
    Memory(DeliveryId, Content),
    Disk(Spot),
}

impl Source {
    const fn spot(&self) -> Option<Spot> {
        match self {
            Self::Memory(..) => None,
            Self::Disk(spot) => Some(*spot),
        }
    }
}

impl<D: Disk> Shared<D> {
    fn wanted(
        &self,
        mailbox: &MailboxId,
        after: u64,
        up_to: u64,
        most: u32,
        now: Timestamp,
    ) -> Result<Vec<(Held, Source)>, MailboxError> {
        let found = self.directory.live(mailbox).ok_or(MailboxError::Refused)?;
        let mut inner = found.lock();
        if inner.ended {
            return Err(MailboxError::Refused);
        }
        self.sweep(&mut inner, *mailbox, now);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let held = inner.ledger.held_after(after).take_while(|held| held.sequence <= up_to).take(most);
        let source = |held: &Held| match inner.pending(held.sequence) {
            Some(pending) => Source::Memory(pending.delivery, pending.content.clone()),
            None => Source::Disk(Spot { place: held.place, back: held.back }),
        };
        Ok(held.map(|held| (*held, source(held))).collect())
    }
}

/// Mailboxes that one call of `expire` looks at, recipients that a fan-out takes without a pause.
pub(super) const AT_ONCE: usize = 64;
/// The end of what ends only when the operator says so; the largest that a row takes.
pub(crate) const FOR_GOOD: Timestamp = Timestamp(i64::MAX.unsigned_abs());
