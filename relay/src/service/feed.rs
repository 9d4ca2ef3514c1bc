//! What a subscription has pushed and has still to push. Implements spec/17-relay.md §17.14.
//!
//! ```text
//!  numbers   ──────────────┬───────────────────────┬──────────────────────▶
//!            cursor        │ newest at subscribe   │ newest now
//!            backlog: read from the store          │ live: the queue while it suffices, else read from the store
//! ```
//! Invariants: each of the two parts is pushed in order and without gaps; at most `window` numbers are pushed and not acked; what
//! waits in memory is bounded, and what does not fit is read from the store later; nothing here waits or does I/O.
//! Not here: reading and sending ([`super::subscription`]).
use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, futures::Notified};
use waxwing_wire::{
    padding::Envelope,
    relay::{Ack, LaneNumber},
};

use crate::store::{StoredEnvelope, Watched, Watcher};

/// One subscription, between the mailbox that fills it and the two tasks that empty it.
#[derive(Debug)]
pub(crate) struct Feed {
    state: Mutex<State>,
    changed: Notify,
}

/// What the live part does next.
#[derive(Debug)]
pub(crate) enum LiveStep {
    /// Push it; it counts as pushed.
    Push(StoredEnvelope),
    /// Push it; it has no number.
    Online(LaneNumber, Arc<Envelope>),
    /// Say it.
    LaneFull(LaneNumber, u64),
    /// Read this from the store, give each to [`Feed::take_live`], then call [`Feed::read_live`].
    Read(Range),
    /// Wait for a change.
    Wait,
    /// It is over.
    End(End),
}

/// What the backlog does next.
#[derive(Debug)]
pub(crate) enum BacklogStep {
    /// Read this from the store, give each to [`Feed::take_backlog`], then call [`Feed::read_backlog`].
    Read(Range),
    /// Say that the backlog, which ends with this number, is through; it is said once.
    Through(u64),
    /// Wait for a change.
    Wait,
    /// Nothing is left to do.
    End,
}

/// Numbers to read: above `after`, up to `up_to`, at most `room` of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Range {
    pub(crate) after: u64,
    pub(crate) up_to: u64,
    pub(crate) room: u32,
}

/// Why a subscription is over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// Another connection took the mailbox: say so.
    Superseded,
    /// The mailbox was closed or deleted: the connection ends.
    Ended,
    /// This connection subscribed again, or is over: say nothing.
    Replaced,
}

#[derive(Debug)]
struct State {
    window: usize,
    backlog: Part,
    /// The backlog's last number; none until the store has told.
    backlog_end: Option<u64>,
    backlog_through: bool,
    live: Part,
    /// The newest number that the mailbox told of.
    newest: u64,
    /// What follows `live.cursor`, without a gap.
    queue: VecDeque<StoredEnvelope>,
    queue_bytes: usize,
    /// What is above the queue has to be read from the store.
    behind: bool,
    online: VecDeque<(LaneNumber, Arc<Envelope>)>,
    lanes_full: VecDeque<(LaneNumber, u64)>,
    /// Acks of what this subscription has not pushed: the client had it before.
    acked_up_to: u64,
    acked_ahead: BTreeSet<u64>,
    end: Option<End>,
}

/// One of the two parts.
#[derive(Debug, Default)]
struct Part {
    /// Everything up to here was pushed, or will not be.
    cursor: u64,
    /// Pushed and not acked.
    outstanding: BTreeSet<u64>,
}

impl Feed {
    /// A subscription to what is above `after`, before the store knows of it.
    pub(crate) fn new(after: u64, window: u32) -> Self {
        let state = State {
            window: usize::try_from(window).unwrap_or(1).max(1),
            backlog: Part { cursor: after, outstanding: BTreeSet::new() },
            backlog_end: None,
            backlog_through: false,
            live: Part::default(),
            newest: 0,
            queue: VecDeque::new(),
            queue_bytes: 0,
            behind: false,
            online: VecDeque::new(),
            lanes_full: VecDeque::new(),
            acked_up_to: 0,
            acked_ahead: BTreeSet::new(),
            end: None,
        };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    /// The store told where the backlog ends and the live part begins.
    pub(crate) fn begin(&self, watched: Watched) {
        self.change(|state| {
            state.backlog_end = Some(watched.newest);
            state.live.cursor = watched.newest;
            state.newest = state.newest.max(watched.newest);
        });
    }

    /// Resolves after the next change from now on. Take it before looking for a step.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// The live part's next step.
    pub(crate) fn live(&self) -> LiveStep {
        let mut state = self.lock();
        if let Some(end) = state.end {
            return LiveStep::End(end);
        }
        if let Some((lane, turned_away)) = state.lanes_full.pop_front() {
            return LiveStep::LaneFull(lane, turned_away);
        }
        if let Some((lane, envelope)) = state.online.pop_front() {
            return LiveStep::Online(lane, envelope);
        }
        loop {
            if state.backlog_end.is_none() || state.live_room() == 0 {
                return LiveStep::Wait;
            }
            let Some(envelope) = state.queue.pop_front() else { break };
            state.queue_bytes = state.queue_bytes.saturating_sub(envelope.envelope.size().bytes());
            if state.take_live(envelope.sequence) {
                return LiveStep::Push(envelope);
            }
        }
        if state.behind && state.live.cursor < state.newest {
            let room = u32::try_from(state.live_room()).unwrap_or(u32::MAX);
            return LiveStep::Read(Range { after: state.live.cursor, up_to: state.newest, room });
        }
        state.behind = false;
        LiveStep::Wait
    }

    /// Whether an envelope that was read for the live part is to be pushed; it counts as pushed then.
    pub(crate) fn take_live(&self, sequence: u64) -> bool {
        self.lock().take_live(sequence)
    }

    /// A whole range was read: there is nothing more up to its end.
    pub(crate) fn read_live(&self, up_to: u64) {
        self.change(|state| {
            state.live.cursor = state.live.cursor.max(up_to);
            if state.live.cursor >= state.newest {
                state.behind = false;
            }
        });
    }

    /// The backlog's next step.
    pub(crate) fn backlog(&self) -> BacklogStep {
        let mut state = self.lock();
        if state.end.is_some() || state.backlog_through {
            return BacklogStep::End;
        }
        let Some(end) = state.backlog_end else { return BacklogStep::Wait };
        if state.backlog.cursor >= end {
            state.backlog_through = true;
            drop(state);
            // The live part has the whole window from now on.
            self.changed.notify_waiters();
            return BacklogStep::Through(end);
        }
        match u32::try_from(state.backlog_room()).unwrap_or(u32::MAX) {
            0 => BacklogStep::Wait,
            room => BacklogStep::Read(Range { after: state.backlog.cursor, up_to: end, room }),
        }
    }

    /// Whether an envelope that was read for the backlog is to be pushed; it counts as pushed then.
    pub(crate) fn take_backlog(&self, sequence: u64) -> bool {
        let mut state = self.lock();
        let known = state.is_acked(sequence);
        state.backlog.take(sequence, known)
    }

    /// A whole range was read: there is nothing more up to its end.
    pub(crate) fn read_backlog(&self, up_to: u64) {
        self.change(|state| state.backlog.cursor = state.backlog.cursor.max(up_to));
    }

    /// It is over; the first reason counts.
    pub(crate) fn stop(&self, end: End) {
        self.change(|state| {
            state.end.get_or_insert(end);
            state.queue = VecDeque::new();
            state.online = VecDeque::new();
        });
    }

    /// Whether it is over.
    pub(crate) fn ended(&self) -> Option<End> {
        self.lock().end
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held; a state is whole at each release.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// How much more of the live part may be pushed: half of the window while the backlog is not through, so that neither part
    /// keeps the other from going on, whatever order the client acks in.
    fn live_room(&self) -> usize {
        let share = if self.backlog_through {
            self.window.saturating_sub(self.backlog.outstanding.len())
        } else {
            self.window.checked_div(2).unwrap_or(0)
        };
        share.saturating_sub(self.live.outstanding.len())
    }

    fn backlog_room(&self) -> usize {
        let share = self.window.saturating_sub(self.window.checked_div(2).unwrap_or(0));
        share.saturating_sub(self.backlog.outstanding.len())
    }

    fn take_live(&mut self, sequence: u64) -> bool {
        let known = self.is_acked(sequence);
        self.live.take(sequence, known)
    }

    fn is_acked(&mut self, sequence: u64) -> bool {
        sequence <= self.acked_up_to || self.acked_ahead.remove(&sequence)
    }
}

impl Part {
    fn take(&mut self, sequence: u64, acked: bool) -> bool {
        if sequence <= self.cursor {
            return false;
        }
        self.cursor = sequence;
        !acked && self.outstanding.insert(sequence)
    }
}

impl Watcher for Feed {
    fn admitted(&self, envelope: StoredEnvelope) {
        self.change(|state| {
            state.newest = state.newest.max(envelope.sequence);
            let bytes = state.queue_bytes.saturating_add(envelope.envelope.size().bytes());
            let fits = state.queue.is_empty() || (state.queue.len() < QUEUE && bytes <= QUEUE_BYTES);
            if state.behind || !fits || state.end.is_some() {
                state.behind = true;
            } else {
                state.queue_bytes = bytes;
                state.queue.push_back(envelope);
            }
        });
    }

    fn online(&self, lane: LaneNumber, envelope: Arc<Envelope>) {
        self.change(|state| {
            // Whoever does not keep up misses what is only for those who are there.
            if state.online.len() < ONLINE && state.end.is_none() {
                state.online.push_back((lane, envelope));
            }
        });
    }

    fn lane_full(&self, lane: LaneNumber, turned_away: u64) {
        self.change(|state| {
            state.lanes_full.retain(|(other, _)| *other != lane);
            state.lanes_full.push_back((lane, turned_away));
        });
    }

    fn acked(&self, ack: &Ack) {
        self.change(|state| {
            state.acked_up_to = state.acked_up_to.max(ack.up_to());
            state.acked_ahead = state.acked_ahead.split_off(&ack.up_to().saturating_add(1));
            for part in [&mut state.backlog, &mut state.live] {
                part.outstanding = part.outstanding.split_off(&ack.up_to().saturating_add(1));
            }
            for number in ack.also() {
                let pushed = state.backlog.outstanding.remove(number) || state.live.outstanding.remove(number);
                if !pushed && state.acked_ahead.len() < ACKED_AHEAD {
                    state.acked_ahead.insert(*number);
                }
            }
        });
    }

    fn superseded(&self) {
        self.stop(End::Superseded);
    }

    fn ended(&self) {
        self.stop(End::Ended);
    }
}

/// Envelopes that wait in memory.
const QUEUE: usize = 64;
/// Their bytes: two of the largest, or the whole queue of the smallest.
const QUEUE_BYTES: usize = 163_840;
/// Online-only envelopes that wait.
const ONLINE: usize = 16;
/// Acks of what was not pushed yet that are remembered; beyond them it is pushed once more.
const ACKED_AHEAD: usize = 4_096;
