//! What waits to be written. Implements spec/17-relay.md §17.5.
//!
//! ```text
//! push ──▶ [segment][segment][segment: open]  ──▶ writer, one segment a transaction         later ──▶ some of it with each
//! ```
//! Invariants: segments are written in the order of pushing; places ascend in that order; one promise a segment; bytes of envelopes
//! that wait are bounded by [`Queue::room`], and what is not written when the queue ends has failed.
use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::{Notify, Semaphore};

use crate::store::{
    Unavailable,
    commit::{Commit, Promise},
    disk::{Change, Content, Insert, Settle, Spot, Ticket},
    lock,
};

/// Something to write.
#[derive(Debug)]
pub(super) enum Job {
    Insert { place: u64, insert: Insert },
    Change(Change),
}

/// One transaction.
pub(super) struct Segment {
    pub(super) work: Work,
    pub(super) settles: Vec<Settle>,
    pub(super) promise: Promise,
    rows: usize,
    units: u32,
}

/// What a transaction writes.
#[derive(Default)]
pub(super) struct Work {
    pub(super) jobs: Vec<Job>,
    /// Forgotten because somebody acked.
    pub(super) gone: Vec<Spot>,
    /// Forgotten because it was time.
    pub(super) later: Vec<Later>,
}

impl Work {
    pub(super) fn forgotten(&self) -> impl Iterator<Item = Spot> {
        self.gone.iter().chain(self.later.iter().flat_map(|later| later.spots.iter())).copied()
    }
}

/// Something to forget where it delays nobody.
pub(super) struct Later {
    pub(super) spots: Vec<Spot>,
    pub(super) promise: Option<Promise>,
}

impl Segment {
    fn new() -> Self {
        Self { work: Work::default(), settles: Vec::new(), promise: Promise::new(), rows: 0, units: 0 }
    }
}

/// How a queue ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum End {
    /// When everything is written.
    Drained,
    /// At once.
    Now,
}

pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    wake: Notify,
    room: Semaphore,
    ended: AtomicBool,
}

struct Waiting {
    segments: VecDeque<Segment>,
    later: VecDeque<Later>,
    /// Forgotten in a transaction that failed.
    owed: VecDeque<Spot>,
    last: u64,
    end: Option<End>,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

impl Queue {
    pub(super) fn new(last_place: u64) -> Self {
        let waiting = Waiting {
            segments: VecDeque::new(),
            later: VecDeque::new(),
            owed: VecDeque::new(),
            last: last_place,
            end: None,
        };
        Self {
            waiting: Mutex::new(waiting),
            wake: Notify::new(),
            room: Semaphore::new(usize::try_from(MOST_UNITS).unwrap_or(usize::MAX)),
            ended: AtomicBool::new(false),
        }
    }

    /// Waits until so many bytes may be pushed.
    pub(super) async fn room(&self, bytes: usize) -> Result<(), Unavailable> {
        let permit = self.room.acquire_many(units(bytes)).await.map_err(|_| Unavailable)?;
        permit.forget();
        Ok(())
    }

    /// Gives back what [`Self::room`] gave and nothing was pushed for.
    pub(super) fn spare(&self, bytes: usize) {
        self.room.add_permits(usize::try_from(units(bytes)).unwrap_or_default());
    }

    /// A place that nothing else has.
    pub(super) fn place(&self) -> u64 {
        let mut waiting = lock(&self.waiting);
        waiting.last = waiting.last.saturating_add(1);
        waiting.last
    }

    pub(super) fn insert(&self, insert: Insert) -> Option<Ticket> {
        let mut waiting = lock(&self.waiting);
        let place = waiting.last.saturating_add(1);
        let (units, back) = match &insert.content {
            Content::Whole(envelope) => (units(envelope.size().bytes()), 0),
            // The room for what is shared is the fan-out's.
            Content::Part { body, .. } => (0, u16::try_from(place.saturating_sub(*body)).ok()?),
        };
        waiting.last = place;
        let commit = self.push(&mut waiting, 1, units, |segment| segment.work.jobs.push(Job::Insert { place, insert }));
        Some(Ticket { place, back, commit })
    }

    pub(super) fn change(&self, change: Change, settle: Settle) -> Commit {
        self.push(&mut lock(&self.waiting), 1, 0, |segment| {
            segment.work.jobs.push(Job::Change(change));
            segment.settles.push(settle);
        })
    }

    pub(super) fn forget(&self, gone: Vec<Spot>) -> Commit {
        self.push(&mut lock(&self.waiting), gone.len(), 0, |segment| segment.work.gone.extend(gone))
    }

    pub(super) fn forget_later(&self, gone: &[Spot]) -> Commit {
        let mut waiting = lock(&self.waiting);
        let mut commit = Commit::done();
        for piece in gone.chunks(PIECE) {
            let promise = Promise::new();
            commit = promise.commit();
            waiting.later.push_back(Later { spots: piece.to_vec(), promise: Some(promise) });
        }
        self.wake.notify_one();
        commit
    }

    /// Forgotten in a transaction that failed: to be tried again with the next ones. Wakes nobody, or a full disk would be tried
    /// without a pause.
    pub(super) fn owe(&self, gone: impl IntoIterator<Item = Spot>) {
        lock(&self.waiting).owed.extend(gone);
    }

    /// Whether nothing waits to be forgotten but what somebody just asked for.
    pub(super) fn owes_nothing(&self) -> bool {
        let waiting = lock(&self.waiting);
        waiting.later.is_empty() && waiting.owed.is_empty()
    }

    /// How many envelopes are to be deleted, and are not yet.
    pub(super) fn forgetting(&self) -> u64 {
        let waiting = lock(&self.waiting);
        let asked = waiting.segments.iter().map(|segment| segment.work.gone.len());
        let later = waiting.later.iter().map(|later| later.spots.len());
        let all = asked.chain(later).chain([waiting.owed.len()]).fold(0_usize, usize::saturating_add);
        u64::try_from(all).unwrap_or(u64::MAX)
    }

    /// The next transaction; none when the queue has ended.
    pub(super) async fn next(&self) -> Option<Segment> {
        loop {
            if let Some(next) = self.take() {
                return next;
            }
            self.wake.notified().await;
        }
    }

    /// The next transaction, if there is something to write now.
    pub(super) fn ready(&self) -> Option<Segment> {
        self.take().flatten()
    }

    pub(super) fn end(&self, end: End) {
        let mut waiting = lock(&self.waiting);
        waiting.end = Some(end);
        self.ended.store(true, Ordering::Release);
        self.room.close();
        if end == End::Now {
            // Dropped promises have failed.
            waiting.segments.clear();
            waiting.later.clear();
        }
        drop(waiting);
        self.wake.notify_one();
    }

    fn push(&self, waiting: &mut Waiting, rows: usize, units: u32, add: impl FnOnce(&mut Segment)) -> Commit {
        if self.ended.load(Ordering::Acquire) {
            // Into a segment that nobody will write.
            let mut nowhere = Segment::new();
            add(&mut nowhere);
            return nowhere.promise.commit();
        }
        let full = |segment: &Segment| {
            segment.rows.saturating_add(rows) > MOST_ROWS || segment.units.saturating_add(units) > MOST_UNITS
        };
        if waiting.segments.back().is_none_or(|segment| segment.rows > 0 && full(segment)) {
            waiting.segments.push_back(Segment::new());
        }
        let Some(segment) = waiting.segments.back_mut() else { return Commit::done() };
        let first = segment.rows == 0;
        segment.rows = segment.rows.saturating_add(rows);
        segment.units = segment.units.saturating_add(units);
        add(segment);
        if first {
            self.wake.notify_one();
        }
        segment.promise.commit()
    }

    /// The next transaction if there is one; the inner none: there never will be.
    fn take(&self) -> Option<Option<Segment>> {
        let mut waiting = lock(&self.waiting);
        if waiting.segments.is_empty() && waiting.later.is_empty() {
            // What is owed alone is not tried: the disk has just failed. It may be delivered again (spec §17.5.4).
            return if waiting.end.is_some() { Some(None) } else { None };
        }
        let mut segment = waiting.segments.pop_front().unwrap_or_else(Segment::new);
        self.room.add_permits(usize::try_from(segment.units).unwrap_or_default());
        let owed = waiting.owed.len().min(MOST_ROWS);
        segment.work.gone.extend(waiting.owed.drain(..owed));
        let mut pieces = LATER;
        while pieces > 0 {
            let Some(later) = waiting.later.pop_front() else { break };
            segment.work.later.push(later);
            pieces = pieces.saturating_sub(1);
        }
        Some(Some(segment))
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

const UNIT: usize = 512;
/// 4 MiB.
const MOST_UNITS: u32 = 8_192;
const MOST_ROWS: usize = 4_096;
/// What is forgotten where it delays nobody: rows of a piece, and pieces that go with one transaction.
const PIECE: usize = 256;
const LATER: u8 = 4;
