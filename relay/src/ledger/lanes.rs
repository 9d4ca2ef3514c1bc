//! The lanes of a mailbox: who may enter, how much, until when. Implements spec/17-relay.md §17.2.
//!
//! ```text
//! pool (a share of the quota) ─┬─ live lane ─┬─ split: half of what it splits
//!                              │             └─ split
//!                              └─ ending lanes: together at most the strangers' share
//! ```
//! Invariants: at most 17 lanes stand here, the strangers' first, ascending by number; a lane past its end is gone as soon as
//! anybody looks; what is charged to a lane is charged to whatever it splits, and to its pool.
use core::time::Duration;

use waxwing_wire::{
    delivery::LaneHash,
    frame::ErrorCode,
    padding::EnvelopeSize,
    relay::{AddLane, EndLane, Lane, LaneKind, LaneNumber, NewLane, RotateLane},
    time::Timestamp,
};

use crate::rate::{Level, Rate};

use super::{ENDING, Full, Held, INTRODUCTION_ENVELOPES, Pool, Quota, Slot, Usage, Via};

/// A lane as a store keeps it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LaneRow {
    /// Its number; never 0.
    pub number: LaneNumber,
    /// For whom.
    pub kind: LaneKind,
    /// Where it stands among the others.
    pub lineage: Lineage,
    /// Of its key.
    pub hash: LaneHash,
    /// When it ends, if it does.
    pub ends: Option<Timestamp>,
    /// How many envelopes it has admitted, if it is an introduction token's.
    pub admitted: u32,
}

/// Where a lane's share comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lineage {
    /// Whose share it is part of.
    pub pool: Pool,
    /// The lane that it splits.
    pub parent: Option<LaneNumber>,
    /// How often the pool's share was halved on the way here.
    pub halvings: u8,
}

/// What changes of a mailbox's lanes, for the store to write and then to [apply](super::Ledger::apply).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LaneChange {
    /// The lane that the request is about: the new one, if there is one.
    pub answer: LaneNumber,
    /// The number that the next lane will get.
    pub next: u32,
    /// A new lane.
    pub added: Option<LaneRow>,
    /// A lane whose end is another.
    pub ends: Option<(LaneNumber, Timestamp)>,
    /// Lanes that are there no more.
    pub gone: Vec<LaneNumber>,
}

impl LaneChange {
    /// Whether there is nothing to write: the request was one that was done before.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.added.is_none() && self.ends.is_none()
    }
}

/// What a lane has no room for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Turned {
    /// Its share is used up.
    Full,
    /// The token has admitted all that it does.
    Spent,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    number: LaneNumber,
    kind: LaneKind,
    lineage: Lineage,
    hash: Option<LaneHash>,
    ends: Option<Timestamp>,
    admitted: u32,
    /// What came by this lane.
    used: Usage,
    /// That, and what came by whatever splits it.
    below: Usage,
    turned_away: u64,
    /// What the owner was told: the lane is full.
    told: Option<Option<Timestamp>>,
}

impl Place {
    fn of(row: &LaneRow) -> Self {
        let LaneRow { number, kind, lineage, hash, ends, admitted } = *row;
        let (used, below) = (Usage::default(), Usage::default());
        Self { number, kind, lineage, hash: Some(hash), ends, admitted, used, below, turned_away: 0, told: None }
    }

    fn strangers() -> Self {
        let lineage = Lineage { pool: Pool::Strangers, parent: None, halvings: 0 };
        let (used, below) = (Usage::default(), Usage::default());
        Self {
            number: LaneNumber::STRANGERS,
            kind: LaneKind::Strangers,
            lineage,
            hash: None,
            ends: None,
            admitted: 0,
            used,
            below,
            turned_away: 0,
            told: None,
        }
    }

    /// A key of an audience that has an end. (A token always has one, and is open until then.)
    fn is_ending(&self) -> bool {
        self.ends.is_some() && self.kind != LaneKind::Introduction
    }

    /// An introduction token or a split without an end.
    fn is_open(&self) -> bool {
        matches!(self.kind, LaneKind::Introduction | LaneKind::Split) && !self.is_ending()
    }

    fn is_audience(&self) -> bool {
        matches!(self.kind, LaneKind::Contacts | LaneKind::Groups | LaneKind::Own)
    }
}

/// All lanes of a mailbox.
#[derive(Debug)]
pub(super) struct Lanes {
    places: Vec<Place>,
    pools: [Usage; Pool::ALL.len()],
    /// How much of its rate each pool has used.
    paces: [Level; Pool::ALL.len()],
    next: u32,
    /// No lane ends before this.
    first_end: Timestamp,
    /// Lanes that are past their end, and that the store still has.
    stale: Vec<LaneNumber>,
}

impl Lanes {
    pub(super) fn new() -> Self {
        Self {
            places: vec![Place::strangers()],
            pools: Default::default(),
            paces: Default::default(),
            next: 1,
            first_end: Timestamp(u64::MAX),
            stale: Vec::new(),
        }
    }

    pub(super) fn of_rows(next: u32, mut rows: Vec<LaneRow>) -> Self {
        let mut lanes = Self::new();
        rows.sort_unstable_by_key(|row| row.number);
        lanes.places.extend(rows.iter().map(Place::of));
        lanes.next = rows.last().map_or(next, |row| next.max(row.number.0.saturating_add(1)));
        lanes.first_end = lanes.earliest_end();
        lanes
    }

    /// As [`Self::of_rows`] takes them: the next number, and all lanes but the strangers' that have not ended.
    pub(super) fn rows(&mut self, now: Timestamp) -> (u32, Vec<LaneRow>) {
        self.drop_ended(now);
        let row = |lane: &Place| {
            let Place { number, kind, lineage, hash, ends, admitted, .. } = *lane;
            Some(LaneRow { number, kind, lineage, hash: hash?, ends, admitted })
        };
        (self.next, self.places.iter().filter_map(row).collect())
    }

    /// The lane of a key that has not ended. Looks at each lane, whichever it is.
    pub(super) fn find(&mut self, via: Via, now: Timestamp) -> Option<usize> {
        self.drop_ended(now);
        let hash = match via {
            Via::Lane(hash) => Some(hash),
            Via::Strangers => None,
        };
        let matching = self.places.iter().enumerate().filter(|(_, lane)| lane.hash == hash);
        matching.fold(None, |_, (index, _)| Some(index))
    }

    pub(super) fn takes_size(&self, lane: usize, size: EnvelopeSize) -> bool {
        let kind = self.places.get(lane).map(|lane| lane.kind);
        !matches!(kind, Some(LaneKind::Introduction | LaneKind::Strangers)) || size <= EnvelopeSize::B16384
    }

    /// Whether one more of this size stays within every share that it counts against (spec §17.2.2).
    pub(super) fn room(&self, lane: usize, size: EnvelopeSize, quota: &Quota) -> Result<(), Turned> {
        let Some(lane) = self.places.get(lane) else { return Err(Turned::Full) };
        if lane.kind == LaneKind::Introduction && lane.admitted >= INTRODUCTION_ENVELOPES {
            return Err(Turned::Spent);
        }
        let share = quota.share(lane.lineage.pool);
        let used = self.pools.get(pool_index(lane.lineage.pool)).copied().unwrap_or_default();
        let within = used.admits(size, &share)
            && self.line(lane).all(|one| one.below.admits(size, &share.halved(one.lineage.halvings)))
            && (!lane.is_ending() || self.ending(lane.lineage.pool).admits(size, &quota.share(Pool::Strangers)));
        if within { Ok(()) } else { Err(Turned::Full) }
    }

    /// Takes one out of the bucket of the lane's pool (spec §17.3.8).
    pub(super) fn pay(&mut self, lane: usize, rate: Rate, now: Timestamp) -> Result<(), Duration> {
        let pool = pool_index(self.pool(lane));
        if let Some(level) = self.paces.get_mut(pool) {
            *level = rate.take(*level, 1, now)?;
        }
        Ok(())
    }

    /// Counts a refusal. `room_at` is asked once for as long as there is no room.
    pub(super) fn turn_away(
        &mut self,
        lane: usize,
        turned: Turned,
        room_at: impl FnOnce() -> Option<Timestamp>,
    ) -> Full {
        let Some(lane) = self.places.get_mut(lane) else {
            return Full { lane: LaneNumber::STRANGERS, turned_away: 0, first: false, room_at: None };
        };
        lane.turned_away = lane.turned_away.saturating_add(1);
        let first = lane.told.is_none();
        let room_at = *lane.told.get_or_insert_with(|| if turned == Turned::Full { room_at() } else { None });
        Full { lane: lane.number, turned_away: lane.turned_away, first, room_at }
    }

    pub(super) fn slot(&self, lane: usize, sequence: u64) -> Slot {
        let lane = self.places.get(lane).copied().unwrap_or_else(Place::strangers);
        let is_token = lane.kind == LaneKind::Introduction;
        let admitted = if is_token { Some(lane.admitted.saturating_add(1)) } else { None };
        Slot { sequence, lane: lane.number, pool: lane.lineage.pool, admitted }
    }

    pub(super) fn number(&self, lane: usize) -> LaneNumber {
        self.places.get(lane).map_or(LaneNumber::STRANGERS, |lane| lane.number)
    }

    pub(super) fn pool(&self, lane: usize) -> Pool {
        self.places.get(lane).map_or(Pool::Strangers, |lane| lane.lineage.pool)
    }

    pub(super) fn admitted(&mut self, number: LaneNumber) {
        if let Some(lane) = self.by_number_mut(number) {
            lane.admitted = lane.admitted.saturating_add(1);
        }
    }

    pub(super) fn withdrawn(&mut self, number: LaneNumber) {
        if let Some(lane) = self.by_number_mut(number) {
            lane.admitted = lane.admitted.saturating_sub(1);
        }
    }

    pub(super) fn charge(&mut self, held: &Held) {
        if let Some(pool) = self.pools.get_mut(pool_index(held.pool)) {
            pool.add(held.size);
        }
        if let Some(lane) = self.by_number_mut(held.lane) {
            lane.used.add(held.size);
        }
        self.for_line(held.lane, |lane| lane.below.add(held.size));
    }

    pub(super) fn release(&mut self, held: &Held) {
        if let Some(pool) = self.pools.get_mut(pool_index(held.pool)) {
            pool.remove(held.size);
        }
        if let Some(lane) = self.by_number_mut(held.lane) {
            lane.used.remove(held.size);
        }
        self.for_line(held.lane, |lane| lane.below.remove(held.size));
        let of_pool = self.places.iter_mut().filter(|lane| lane.lineage.pool == held.pool);
        // A spent token gets no room by an ack: its owner was told once and for all.
        of_pool.filter(|lane| lane.told.is_some_and(|room_at| room_at.is_some())).for_each(|lane| lane.told = None);
    }

    /// Lanes as their owner sees them.
    pub(super) fn listed(&self) -> Vec<Lane> {
        let listed = |lane: &Place| Lane {
            lane: lane.number,
            kind: lane.kind,
            ends: lane.ends,
            envelopes: lane.used.envelopes,
            bytes: lane.used.bytes,
            turned_away: lane.turned_away,
        };
        self.places.iter().map(listed).collect()
    }

    pub(super) fn add(&mut self, lane: &AddLane, now: Timestamp) -> Result<LaneChange, ErrorCode> {
        self.drop_ended(now);
        let (kind, lineage) = self.lineage(lane.lane)?;
        if let Some(same) = self.places.iter().find(|one| one.hash == Some(lane.hash)) {
            let is_same = same.kind == kind && same.lineage.parent == lineage.parent;
            return if is_same { Ok(self.unchanged(same.number)) } else { Err(ErrorCode::Taken) };
        }
        let ends = if kind == LaneKind::Introduction { lane.ends } else { lane.ends.map(|ends| clamped(ends, now)) };
        let row = self.row(kind, lineage, lane.hash, ends);
        let place = Place::of(&row);
        if place.is_audience() && ends.is_none() && self.live(kind).is_some() {
            return Err(ErrorCode::LaneExists);
        }
        if place.is_open() && self.places.iter().filter(|one| one.is_open()).count() >= OPEN {
            return Err(ErrorCode::LanesExhausted);
        }
        if lineage.parent.is_some() && self.splits_of(lineage.parent) >= 2 {
            return Err(ErrorCode::LanesExhausted);
        }
        self.adding(row, None, now)
    }

    pub(super) fn rotate(&mut self, rotate: &RotateLane, now: Timestamp) -> Result<LaneChange, ErrorCode> {
        self.drop_ended(now);
        let old = *self.by_number(rotate.lane).ok_or(ErrorCode::NoSuchLane)?;
        if let Some(same) = self.places.iter().find(|one| one.hash == Some(rotate.hash)) {
            let was_done = old.is_ending() && same.kind == old.kind && same.ends.is_none();
            return if was_done { Ok(self.unchanged(same.number)) } else { Err(ErrorCode::Taken) };
        }
        if !old.is_audience() || old.is_ending() {
            return Err(ErrorCode::NoSuchLane);
        }
        let row = self.row(old.kind, old.lineage, rotate.hash, None);
        self.adding(row, Some((old.number, clamped(rotate.old_ends, now))), now)
    }

    pub(super) fn end(&mut self, end: &EndLane, now: Timestamp) -> Result<LaneChange, ErrorCode> {
        self.drop_ended(now);
        let lane = self.by_number(end.lane).filter(|lane| lane.kind != LaneKind::Strangers);
        let lane = *lane.ok_or(ErrorCode::NoSuchLane)?;
        let ends = if lane.kind == LaneKind::Introduction { end.ends } else { clamped(end.ends, now) };
        if lane.ends == Some(ends) {
            return Ok(self.unchanged(lane.number));
        }
        let mut gone = self.stale.clone();
        gone.extend((ends <= now).then_some(lane.number));
        Ok(LaneChange { answer: lane.number, next: self.next, added: None, ends: Some((lane.number, ends)), gone })
    }

    pub(super) fn apply(&mut self, change: &LaneChange) {
        if change.is_empty() {
            return;
        }
        let LaneChange { answer: _, next, added, ends, gone } = change;
        self.next = self.next.max(*next);
        if let Some((number, ends)) = ends
            && let Some(lane) = self.by_number_mut(*number)
        {
            lane.ends = Some(*ends);
            lane.told = None;
        }
        gone.iter().for_each(|number| self.remove(*number));
        self.stale.retain(|number| !gone.contains(number));
        if let Some(row) = added {
            self.places.push(Place::of(row));
        }
        self.first_end = self.earliest_end();
    }

    /// A lane past its end is gone; what waits in it stays, and counts against its pool alone.
    pub(super) fn drop_ended(&mut self, now: Timestamp) {
        if now < self.first_end {
            return;
        }
        let ended = self.places.iter().filter(|lane| lane.ends.is_some_and(|ends| ends <= now));
        for number in ended.map(|lane| lane.number).collect::<Vec<_>>() {
            self.remove(number);
            self.stale.push(number);
        }
        self.first_end = self.earliest_end();
    }

    /// Adds a row, and makes room for it if there are 16 already: the ending one nearest its end goes.
    fn adding(
        &self,
        row: LaneRow,
        ends: Option<(LaneNumber, Timestamp)>,
        now: Timestamp,
    ) -> Result<LaneChange, ErrorCode> {
        let mut gone = self.stale.clone();
        let end_of = |lane: &Place| match ends {
            Some((number, ends)) if number == lane.number => Some(ends),
            _ => lane.ends,
        };
        let mut ended: Vec<_> = self.places.iter().filter(|lane| lane.kind != LaneKind::Introduction).collect();
        ended.retain(|lane| end_of(lane).is_some_and(|ends| ends <= now));
        gone.extend(ended.iter().map(|lane| lane.number));
        if self.places.len().saturating_sub(ended.len()) > LANES {
            let ending = self.places.iter().filter(|lane| lane.kind != LaneKind::Introduction);
            let ending = ending.filter(|lane| !gone.contains(&lane.number));
            let first = ending.filter_map(|lane| Some((end_of(lane)?, lane.number))).min();
            gone.push(first.ok_or(ErrorCode::LanesExhausted)?.1);
        }
        let next = row.number.0.checked_add(1).ok_or(ErrorCode::LanesExhausted)?;
        let is_over = row.ends.is_some_and(|ends| ends <= now);
        gone.extend(is_over.then_some(row.number));
        Ok(LaneChange { answer: row.number, next, added: Some(row), ends, gone })
    }

    fn lineage(&self, lane: NewLane) -> Result<(LaneKind, Lineage), ErrorCode> {
        let whole = |pool| Lineage { pool, parent: None, halvings: 0 };
        match lane {
            NewLane::Contacts => Ok((LaneKind::Contacts, whole(Pool::Contacts))),
            NewLane::Groups => Ok((LaneKind::Groups, whole(Pool::Groups))),
            NewLane::Own => Ok((LaneKind::Own, whole(Pool::Own))),
            NewLane::Introduction => {
                Ok((LaneKind::Introduction, Lineage { pool: Pool::Tokens, parent: None, halvings: TOKENS }))
            }
            NewLane::Split { parent } => {
                let parent = self.by_number(parent).filter(|lane| lane.is_audience() || lane.kind == LaneKind::Split);
                let parent = parent.ok_or(ErrorCode::NoSuchLane)?;
                let Lineage { pool, parent: _, halvings } = parent.lineage;
                let halvings = halvings.saturating_add(1);
                Ok((LaneKind::Split, Lineage { pool, parent: Some(parent.number), halvings }))
            }
        }
    }

    const fn row(&self, kind: LaneKind, lineage: Lineage, hash: LaneHash, ends: Option<Timestamp>) -> LaneRow {
        LaneRow { number: LaneNumber(self.next), kind, lineage, hash, ends, admitted: 0 }
    }

    fn unchanged(&self, answer: LaneNumber) -> LaneChange {
        LaneChange { answer, next: self.next, added: None, ends: None, gone: Vec::new() }
    }

    fn live(&self, kind: LaneKind) -> Option<&Place> {
        self.places.iter().find(|lane| lane.kind == kind && lane.ends.is_none())
    }

    fn splits_of(&self, parent: Option<LaneNumber>) -> usize {
        self.places.iter().filter(|lane| lane.lineage.parent == parent && lane.is_open()).count()
    }

    fn ending(&self, pool: Pool) -> Usage {
        let mut sum = Usage::default();
        let ending = self.places.iter().filter(|lane| lane.lineage.pool == pool && lane.is_ending());
        ending.for_each(|lane| sum.merge(&lane.used));
        sum
    }

    /// A lane, what it splits, what that splits, for as long as those stand here.
    fn line<'l>(&'l self, lane: &'l Place) -> impl Iterator<Item = &'l Place> {
        let parent = |lane: &&'l Place| lane.lineage.parent.and_then(|number| self.by_number(number));
        core::iter::successors(Some(lane), parent).take(LANES)
    }

    fn for_line(&mut self, number: LaneNumber, mut each: impl FnMut(&mut Place)) {
        let mut next = Some(number);
        for _ in 0..LANES {
            let Some(lane) = next.and_then(|number| self.by_number_mut(number)) else { return };
            each(lane);
            next = lane.lineage.parent;
        }
    }

    fn remove(&mut self, number: LaneNumber) {
        let Some(index) = self.places.iter().position(|lane| lane.number == number) else { return };
        let lane = self.places.remove(index);
        if let Some(parent) = lane.lineage.parent {
            self.for_line(parent, |above| above.below.part(&lane.below));
        }
    }

    fn by_number(&self, number: LaneNumber) -> Option<&Place> {
        self.places.iter().find(|lane| lane.number == number)
    }

    fn by_number_mut(&mut self, number: LaneNumber) -> Option<&mut Place> {
        self.places.iter_mut().find(|lane| lane.number == number)
    }

    fn earliest_end(&self) -> Timestamp {
        self.places.iter().filter_map(|lane| lane.ends).min().unwrap_or(Timestamp(u64::MAX))
    }
}

fn clamped(ends: Timestamp, now: Timestamp) -> Timestamp {
    ends.min(now.saturating_add(ENDING))
}

const fn pool_index(pool: Pool) -> usize {
    match pool {
        Pool::Contacts => 0,
        Pool::Groups => 1,
        Pool::Own => 2,
        Pool::Tokens => 3,
        Pool::Strangers => 4,
    }
}

/// Lanes besides the strangers'.
const LANES: usize = 16;
/// Introduction tokens and splits that are open.
const OPEN: usize = 8;
/// A token has an eighth of the tokens' share: eight can be open.
const TOKENS: u8 = 3;
