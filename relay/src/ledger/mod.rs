//! One mailbox's state: lanes and their shares, what waits, numbers, identity. Implements spec/17-relay.md §17.2 to §17.4.
//!
//! ```text
//! put ──▶ lane by hash ──▶ identity ──▶ size ──▶ shares ──▶ Slot (a number) ──▶ take(place)      withdraw(number): the commit failed
//! ack ──▶ Vec<Held>: what the store may forget                                        expire(now) ──▶ likewise
//! ```
//! Invariants: pure: time is an argument, nothing here waits, reads a clock or knows a disk; numbers ascend and are never given
//! twice; what is refused changes nothing but the count of what was turned away; the sum of all guaranteed shares is the quota.
//! Not here: bytes of envelopes, who may ask, mailboxes by id (`store`).
use core::time::Duration;

use waxwing_wire::{
    delivery::LaneHash,
    frame::ErrorCode,
    padding::EnvelopeSize,
    relay::{Ack, AddLane, EndLane, LaneNumber, MailboxState, RotateLane},
    time::Timestamp,
};

mod held;
mod lanes;
mod remembered;
mod shares;

use crate::rate::Rate;
pub use held::{Held, Tag};
use held::{Queue, TagHasher};
pub use lanes::{LaneChange, LaneRow, Lineage};
use lanes::{Lanes, Turned};
pub use remembered::Remembered;
pub use shares::{Pool, Quota, Usage};

/// What shows that an envelope may enter.
#[derive(Clone, Copy, Debug)]
pub enum Via {
    /// A delivery key, whose hash this is.
    Lane(LaneHash),
    /// Work, which the service has verified: the strangers' lane.
    Strangers,
}

/// How long an envelope is kept.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Life {
    /// 1 day.
    Day,
    /// 14 days.
    Fortnight,
}

impl Life {
    /// How long.
    #[must_use]
    pub const fn duration(self) -> Duration {
        match self {
            Self::Day => DAY,
            Self::Fortnight => FORTNIGHT,
        }
    }
}

/// What a mailbox looks at before it takes an envelope in.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// By which right.
    pub via: Via,
    /// Its identity.
    pub tag: Tag,
    /// What is remembered of an envelope of this delivery id that was acked: [`Tag::check`].
    pub acked: Option<u32>,
    /// Its size.
    pub size: EnvelopeSize,
    /// How often its share takes one.
    pub rate: Rate,
}

/// An arrival may enter, or is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Admission {
    /// It may enter, with this number; call [`Ledger::take`].
    New(Slot),
    /// This very envelope waits under this number.
    Waiting(u64),
    /// This very envelope was here, and was acked.
    Acked,
}

/// A number that is spent as soon as it is made, whether or not it is taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Slot {
    /// The number.
    pub sequence: u64,
    /// The lane.
    pub lane: LaneNumber,
    /// Whose share it counts against.
    pub pool: Pool,
    /// How many envelopes the introduction token of this lane has admitted with this one.
    pub admitted: Option<u32>,
}

/// Why an arrival may not enter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Denied {
    /// No lane has this key.
    Refused,
    /// The delivery id came with other bytes.
    Conflict,
    /// The lane takes none of this size.
    Size,
    /// The lane's share is used up.
    Full(Full),
    /// Its share has taken as many as it does at once; it takes the next one after so long.
    TooOften(Duration),
    /// No number is left: 2^32 were given since the store was opened.
    Numbers,
}

/// A lane that turned something away.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Full {
    /// Which.
    pub lane: LaneNumber,
    /// How often it has by now.
    pub turned_away: u64,
    /// For the first time since it had room.
    pub first: bool,
    /// When something of its share ends, so that it may have room again.
    pub room_at: Option<Timestamp>,
}

/// The store that was opened has given fewer numbers than somebody knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ahead;

/// The state of one mailbox (spec §17.2).
#[derive(Debug)]
pub struct Ledger {
    quota: Quota,
    lanes: Lanes,
    held: Queue,
    used: Usage,
    newest: u64,
    last: u64,
    /// Nothing held ends before this.
    earliest: Timestamp,
}

impl Ledger {
    /// An empty mailbox, whose numbers begin after `base` (spec §17.4).
    #[must_use]
    pub fn new(quota: Quota, base: u64) -> Self {
        Self {
            quota,
            lanes: Lanes::new(),
            held: Queue::default(),
            used: Usage::default(),
            newest: base,
            last: base.saturating_add(NUMBERS_OF_A_RUN),
            earliest: NEVER,
        }
    }

    /// As [`Self::new`], with the lanes that a store has kept.
    #[must_use]
    pub fn with_lanes(quota: Quota, base: u64, next: u32, rows: Vec<LaneRow>) -> Self {
        let mut ledger = Self::new(quota, base);
        ledger.lanes = Lanes::of_rows(next, rows);
        ledger
    }

    /// Puts back what a store has kept. It comes in ascending order and not above the base; otherwise it is not taken.
    #[must_use]
    pub fn restore(&mut self, held: Held) -> bool {
        let fits = held.sequence <= self.newest && self.held.last().is_none_or(|last| last < held.sequence);
        if fits {
            self.charge(&held);
        }
        fits
    }

    /// Looks at an arrival (spec §17.3). Only [`Self::take`] adds it.
    ///
    /// # Errors
    /// [`Denied`]; nothing has changed but what [`Full`] counts.
    pub fn admit(&mut self, arrival: &Arrival, now: Timestamp) -> Result<Admission, Denied> {
        let Self { quota, lanes, held, newest, last, .. } = self;
        let lane = lanes.find(arrival.via, now).ok_or(Denied::Refused)?;
        if let Some(one) = held.tagged(arrival.tag.id) {
            let same = one.tag().check == arrival.tag.check;
            return if same { Ok(Admission::Waiting(one.sequence)) } else { Err(Denied::Conflict) };
        }
        if let Some(check) = arrival.acked {
            return if check == arrival.tag.check { Ok(Admission::Acked) } else { Err(Denied::Conflict) };
        }
        if !lanes.takes_size(lane, arrival.size) {
            return Err(Denied::Size);
        }
        match lanes.room(lane, arrival.size, quota) {
            Ok(()) => {}
            Err(turned) => return Err(Denied::Full(Self::turn_away(lanes, held, lane, turned))),
        }
        let sequence = newest.checked_add(1).filter(|next| *next <= *last).ok_or(Denied::Numbers)?;
        // Last, so that it costs who is admitted and nobody else, and says nothing to whoever is refused.
        lanes.pay(lane, arrival.rate, now).map_err(Denied::TooOften)?;
        *newest = sequence;
        Ok(Admission::New(lanes.slot(lane, sequence)))
    }

    /// Adds an arrival under the number that it was given. `place` and `back` are the store's (spec §17.5).
    pub fn take(&mut self, slot: &Slot, arrival: &Arrival, place: u64, back: u16, ends: Timestamp) {
        let (tag, size) = (arrival.tag, arrival.size);
        self.lanes.admitted(slot.lane);
        self.charge(&Held::new(slot.sequence, place, back, slot.lane, slot.pool, size, tag, ends));
    }

    /// Takes back what was not committed.
    pub fn withdraw(&mut self, sequence: u64) {
        if let Some(held) = self.held.remove(sequence) {
            self.lanes.withdrawn(held.lane);
            self.release(&held);
        }
    }

    /// The lane that an online-only envelope goes by (spec §17.3.6).
    ///
    /// # Errors
    /// [`Denied::Refused`], [`Denied::Size`], [`Denied::TooOften`].
    pub fn pass(&mut self, via: Via, size: EnvelopeSize, rate: Rate, now: Timestamp) -> Result<LaneNumber, Denied> {
        let lane = self.lanes.find(via, now).ok_or(Denied::Refused)?;
        if !self.lanes.takes_size(lane, size) {
            return Err(Denied::Size);
        }
        self.lanes.pay(lane, rate, now).map_err(Denied::TooOften)?;
        Ok(self.lanes.number(lane))
    }

    /// Forgets what is acked, and says what that was.
    ///
    /// # Errors
    /// [`Ahead`] if it names a number above [`Self::newest`]; nothing has changed.
    pub fn ack(&mut self, ack: &Ack) -> Result<Vec<Held>, Ahead> {
        if ack.also().last().copied().unwrap_or_default().max(ack.up_to()) > self.newest {
            return Err(Ahead);
        }
        let mut gone = self.held.remove_up_to(ack.up_to());
        gone.extend(ack.also().iter().filter_map(|sequence| self.held.remove(*sequence)));
        gone.iter().for_each(|held| self.release(held));
        Ok(gone)
    }

    /// Forgets what has ended, and says what that was.
    pub fn expire(&mut self, now: Timestamp) -> Vec<Held> {
        if now < self.earliest {
            return Vec::new();
        }
        let gone = self.held.remove_ended(now);
        gone.iter().for_each(|held| self.release(held));
        self.earliest = self.held.iter_after(0).map(|held| held.ends).min().unwrap_or(NEVER);
        gone
    }

    /// Forgets everything, and says what that was.
    pub fn clear(&mut self) -> Vec<Held> {
        let gone = self.held.remove_up_to(u64::MAX);
        gone.iter().for_each(|held| self.release(held));
        gone
    }

    /// The first moment at which something that waits may have ended; none if nothing waits.
    #[must_use]
    pub fn earliest_end(&self) -> Option<Timestamp> {
        if self.used.envelopes == 0 { None } else { Some(self.earliest) }
    }

    /// The highest number that may have been given.
    #[must_use]
    pub const fn newest(&self) -> u64 {
        self.newest
    }

    /// How many wait above a number.
    #[must_use]
    pub fn waiting(&self, after: u64) -> u32 {
        self.held.count_after(after)
    }

    /// What waits above a number, ascending.
    pub fn held_after(&self, after: u64) -> impl Iterator<Item = &Held> {
        self.held.iter_after(after)
    }

    /// What waits, and what is past its time and not swept yet.
    #[must_use]
    pub const fn usage(&self) -> Usage {
        self.used
    }

    /// What the owner may know (spec §14.5).
    pub fn state(&mut self, now: Timestamp) -> MailboxState {
        self.lanes.drop_ended(now);
        MailboxState {
            envelopes: self.used.envelopes,
            bytes: self.used.bytes,
            most_envelopes: self.quota.envelopes,
            most_bytes: self.quota.bytes,
            oldest: self.held.iter_after(0).next().map_or(0, |held| held.sequence),
            newest: self.newest,
            lanes: self.lanes.listed(),
        }
    }

    /// As [`Self::with_lanes`] takes them: the number of the next lane, and lanes.
    pub fn lanes(&mut self, now: Timestamp) -> (u32, Vec<LaneRow>) {
        self.lanes.rows(now)
    }

    /// What adding a lane changes (spec §17.2.4). [`Self::apply`] makes it so.
    ///
    /// # Errors
    /// The code that spec §13.5 has for it.
    pub fn add_lane(&mut self, lane: &AddLane, now: Timestamp) -> Result<LaneChange, ErrorCode> {
        self.lanes.add(lane, now)
    }

    /// What rotating a lane changes (spec §17.2.5).
    ///
    /// # Errors
    /// As [`Self::add_lane`].
    pub fn rotate_lane(&mut self, lane: &RotateLane, now: Timestamp) -> Result<LaneChange, ErrorCode> {
        self.lanes.rotate(lane, now)
    }

    /// What ending a lane changes (spec §17.2.6).
    ///
    /// # Errors
    /// As [`Self::add_lane`].
    pub fn end_lane(&mut self, lane: &EndLane, now: Timestamp) -> Result<LaneChange, ErrorCode> {
        self.lanes.end(lane, now)
    }

    /// Makes a change so.
    pub fn apply(&mut self, change: &LaneChange) {
        self.lanes.apply(change);
    }

    fn turn_away(lanes: &mut Lanes, held: &Queue, lane: usize, turned: Turned) -> Full {
        let pool = lanes.pool(lane);
        lanes.turn_away(lane, turned, || held.iter_after(0).filter(|one| one.pool == pool).map(|one| one.ends).min())
    }

    fn charge(&mut self, held: &Held) {
        self.lanes.charge(held);
        self.used.add(held.size);
        self.earliest = self.earliest.min(held.ends);
        self.held.push(*held);
    }

    fn release(&mut self, held: &Held) {
        self.lanes.release(held);
        self.used.remove(held.size);
    }
}

/// How long an ending key is admitted at most.
pub const ENDING: Duration = FORTNIGHT;
/// Envelopes that an introduction token admits.
pub const INTRODUCTION_ENVELOPES: u32 = 64;
/// How long the hash of a closed mailbox's capability is kept.
pub const CLOSED: Duration = Duration::from_secs(60 * 86_400);

const DAY: Duration = Duration::from_secs(86_400);
const FORTNIGHT: Duration = Duration::from_secs(14 * 86_400);
const NEVER: Timestamp = Timestamp(u64::MAX);
/// Numbers that a mailbox gives between two openings of its store; the next opening begins above them (spec §17.4).
pub const NUMBERS_OF_A_RUN: u64 = 0xffff_ffff;
