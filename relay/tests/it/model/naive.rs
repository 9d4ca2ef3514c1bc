//! Spec §17.1 to §17.4 and §17.6, as plainly as they can be said: nothing is counted ahead, everything is looked up again.
use std::{collections::BTreeMap, time::Duration};

use waxwing_relay::store::{Life, PutError, Quota};
use waxwing_wire::{
    frame::ErrorCode,
    padding::EnvelopeSize,
    relay::{LaneKind, NewLane},
    time::Timestamp,
};

use crate::scene::DAY;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Pool {
    Contacts,
    Groups,
    Own,
    Tokens,
    Strangers,
}

#[derive(Clone, Debug)]
pub(crate) struct Lane {
    pub(crate) number: u32,
    pub(crate) kind: LaneKind,
    pool: Pool,
    parent: Option<u32>,
    halvings: u32,
    /// The key; none for strangers.
    pub(crate) key: Option<u8>,
    pub(crate) ends: Option<Timestamp>,
    admitted: u32,
    pub(crate) turned_away: u64,
    told: Option<Option<Timestamp>>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Envelope {
    pub(crate) sequence: u64,
    pub(crate) lane: u32,
    pool: Pool,
    pub(crate) delivery: u8,
    pub(crate) bytes: u8,
    pub(crate) size: EnvelopeSize,
    ends: Timestamp,
}

#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) key: Option<u8>,
    pub(crate) delivery: u8,
    pub(crate) bytes: u8,
    pub(crate) size: EnvelopeSize,
    pub(crate) life: Life,
}

/// What a put does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Put {
    New {
        sequence: u64,
        lane: u32,
    },
    Repeated,
    /// The ack was so long ago that it may be forgotten: as one that is remembered, or as a fresh one.
    Either {
        same: bool,
        fresh: Box<Self>,
    },
    Denied {
        error: PutError,
        told: Option<(u32, u64)>,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Mailbox {
    quota: Quota,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) waiting: Vec<Envelope>,
    pub(crate) newest: u64,
    next: u32,
    /// By delivery id: the bytes, and when it was acked.
    acked: BTreeMap<u8, (u8, Timestamp)>,
}

impl Mailbox {
    pub(crate) fn new(quota: Quota) -> Self {
        let strangers = Lane {
            number: 0,
            kind: LaneKind::Strangers,
            pool: Pool::Strangers,
            parent: None,
            halvings: 0,
            key: None,
            ends: None,
            admitted: 0,
            turned_away: 0,
            told: None,
        };
        Self { quota, lanes: vec![strangers], waiting: Vec::new(), newest: 0, next: 1, acked: BTreeMap::new() }
    }

    /// What is past its time is gone.
    pub(crate) fn at(&mut self, now: Timestamp) -> &mut Self {
        let (ended, waiting) = std::mem::take(&mut self.waiting).into_iter().partition(|one| one.ends <= now);
        self.waiting = waiting;
        self.released(&ended);
        self.lanes.retain(|lane| lane.ends.is_none_or(|ends| ends > now));
        self
    }

    pub(crate) fn restarted(&mut self, newest: u64) {
        self.newest = newest;
        self.acked.clear();
        self.lanes.iter_mut().for_each(|lane| (lane.turned_away, lane.told) = (0, None));
    }

    pub(crate) fn put(&mut self, arrival: &Arrival, now: Timestamp) -> Put {
        let denied = |error| Put::Denied { error, told: None };
        let Some(lane) = self.lanes.iter().position(|lane| lane.key == arrival.key) else {
            return denied(PutError::Refused);
        };
        if let Some(same) = self.waiting.iter().find(|one| one.delivery == arrival.delivery) {
            let is_same = same.bytes == arrival.bytes && same.size == arrival.size;
            return if is_same { Put::Repeated } else { denied(PutError::Conflict) };
        }
        let acked = self.acked.get(&arrival.delivery).map(|(bytes, at)| (*bytes == class(arrival), now.since(*at)));
        let doubtful = match acked {
            Some((true, age)) if age < Duration::from_millis(DAY) => return Put::Repeated,
            Some((false, age)) if age < Duration::from_millis(DAY) => return denied(PutError::Conflict),
            Some((same, age)) if age < Duration::from_millis(3 * DAY) => Some(same),
            _ => None,
        };
        let fresh = self.fresh(lane, arrival, now);
        doubtful.map_or(fresh.clone(), |same| Put::Either { same, fresh: Box::new(fresh) })
    }

    fn fresh(&mut self, lane: usize, arrival: &Arrival, now: Timestamp) -> Put {
        let denied = |error| Put::Denied { error, told: None };
        let kind = self.lanes[lane].kind;
        let (token, strangers) = (kind == LaneKind::Introduction, kind == LaneKind::Strangers);
        if (token || strangers) && arrival.size > EnvelopeSize::B16384 {
            return denied(PutError::Size);
        }
        let spent = token && self.lanes[lane].admitted >= 64;
        if spent || !self.fits(lane, arrival.size) {
            let pool = self.lanes[lane].pool;
            let first_end = self.waiting.iter().filter(|one| one.pool == pool).map(|one| one.ends).min();
            let lane = &mut self.lanes[lane];
            lane.turned_away += 1;
            let told = lane.told.is_none().then_some((lane.number, lane.turned_away));
            let room_at = *lane.told.get_or_insert(if spent { None } else { first_end });
            let retry_after = room_at.map(|at| at.since(now)).filter(|after| *after <= Duration::from_millis(7 * DAY));
            return Put::Denied { error: PutError::LaneFull { retry_after }, told };
        }
        Put::New { sequence: self.newest + 1, lane: self.lanes[lane].number }
    }

    /// The put was a new one.
    pub(crate) fn took(&mut self, arrival: &Arrival, now: Timestamp) -> Envelope {
        self.newest += 1;
        let lane = self.lanes.iter_mut().find(|lane| lane.key == arrival.key).unwrap();
        lane.admitted += 1;
        let days = if arrival.life == Life::Day { 1 } else { 14 };
        let envelope = Envelope {
            sequence: self.newest,
            lane: lane.number,
            pool: lane.pool,
            delivery: arrival.delivery,
            bytes: arrival.bytes,
            size: arrival.size,
            ends: Timestamp(now.0 + days * DAY),
        };
        self.waiting.push(envelope.clone());
        envelope
    }

    pub(crate) fn ack(&mut self, up_to: u64, also: &[u64], now: Timestamp) -> Option<Vec<Envelope>> {
        if up_to.max(also.last().copied().unwrap_or_default()) > self.newest {
            return None;
        }
        let is_acked = |one: &Envelope| one.sequence <= up_to || also.contains(&one.sequence);
        let (gone, waiting): (Vec<_>, _) = std::mem::take(&mut self.waiting).into_iter().partition(is_acked);
        self.waiting = waiting;
        for one in &gone {
            self.acked.insert(one.delivery, (class_of(one.bytes, one.size), now));
        }
        self.released(&gone);
        Some(gone)
    }

    pub(crate) fn add_lane(
        &mut self,
        lane: NewLane,
        key: u8,
        ends: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<u32, ErrorCode> {
        let (kind, pool, parent, halvings) = match lane {
            NewLane::Contacts => (LaneKind::Contacts, Pool::Contacts, None, 0),
            NewLane::Groups => (LaneKind::Groups, Pool::Groups, None, 0),
            NewLane::Own => (LaneKind::Own, Pool::Own, None, 0),
            NewLane::Introduction => (LaneKind::Introduction, Pool::Tokens, None, 3),
            NewLane::Split { parent } => {
                let parent = self.lanes.iter().find(|lane| lane.number == parent.0).ok_or(ErrorCode::NoSuchLane)?;
                if matches!(parent.kind, LaneKind::Introduction | LaneKind::Strangers) {
                    return Err(ErrorCode::NoSuchLane);
                }
                (LaneKind::Split, parent.pool, Some(parent.number), parent.halvings + 1)
            }
        };
        if let Some(same) = self.lanes.iter().find(|lane| lane.key == Some(key)) {
            let is_same = same.kind == kind && same.parent == parent;
            return if is_same { Ok(same.number) } else { Err(ErrorCode::Taken) };
        }
        let latest = Timestamp(now.0 + 14 * DAY);
        let ends = if kind == LaneKind::Introduction { ends } else { ends.map(|ends| ends.min(latest)) };
        let audience = matches!(kind, LaneKind::Contacts | LaneKind::Groups | LaneKind::Own);
        if audience && ends.is_none() && self.lanes.iter().any(|one| one.kind == kind && one.ends.is_none()) {
            return Err(ErrorCode::LaneExists);
        }
        let open =
            |lane: &&Lane| lane.kind == LaneKind::Introduction || lane.kind == LaneKind::Split && lane.ends.is_none();
        let is_open = kind == LaneKind::Introduction || kind == LaneKind::Split && ends.is_none();
        if is_open && self.lanes.iter().filter(open).count() >= 8 {
            return Err(ErrorCode::LanesExhausted);
        }
        if parent.is_some() && self.lanes.iter().filter(open).filter(|one| one.parent == parent).count() >= 2 {
            return Err(ErrorCode::LanesExhausted);
        }
        Ok(self.insert(kind, pool, parent, halvings, key, ends, now))
    }

    pub(crate) fn rotate_lane(
        &mut self,
        lane: u32,
        key: u8,
        old_ends: Timestamp,
        now: Timestamp,
    ) -> Result<u32, ErrorCode> {
        let old = self.lanes.iter().find(|one| one.number == lane).ok_or(ErrorCode::NoSuchLane)?.clone();
        let audience = matches!(old.kind, LaneKind::Contacts | LaneKind::Groups | LaneKind::Own);
        if let Some(same) = self.lanes.iter().find(|one| one.key == Some(key)) {
            let ending = old.ends.is_some() && old.kind != LaneKind::Introduction;
            let done = ending && same.kind == old.kind && same.ends.is_none();
            return if done { Ok(same.number) } else { Err(ErrorCode::Taken) };
        }
        if !audience || old.ends.is_some() {
            return Err(ErrorCode::NoSuchLane);
        }
        let ends = old_ends.min(Timestamp(now.0 + 14 * DAY));
        let one = self.lanes.iter_mut().find(|one| one.number == lane).unwrap();
        (one.ends, one.told) = (Some(ends), None);
        Ok(self.insert(old.kind, old.pool, None, 0, key, None, now))
    }

    pub(crate) fn end_lane(&mut self, lane: u32, ends: Timestamp, now: Timestamp) -> Result<(), ErrorCode> {
        let one = self.lanes.iter_mut().find(|one| one.number == lane && lane > 0).ok_or(ErrorCode::NoSuchLane)?;
        let latest = Timestamp(now.0 + 14 * DAY);
        let ends = if one.kind == LaneKind::Introduction { ends } else { ends.min(latest) };
        if one.ends != Some(ends) {
            (one.ends, one.told) = (Some(ends), None);
        }
        self.at(now);
        Ok(())
    }

    #[allow(clippy::too_many_arguments, reason = "a row")]
    fn insert(
        &mut self,
        kind: LaneKind,
        pool: Pool,
        parent: Option<u32>,
        halvings: u32,
        key: u8,
        ends: Option<Timestamp>,
        now: Timestamp,
    ) -> u32 {
        self.at(now);
        if self.lanes.len() > 16 {
            let ending = self.lanes.iter().filter(|lane| lane.kind != LaneKind::Introduction);
            let (_, first) = ending.filter_map(|lane| Some((lane.ends?, lane.number))).min().expect("one is ending");
            self.lanes.retain(|lane| lane.number != first);
        }
        let number = self.next;
        self.next += 1;
        let key = Some(key);
        let lane = Lane { number, kind, pool, parent, halvings, key, ends, admitted: 0, turned_away: 0, told: None };
        self.lanes.push(lane);
        self.at(now);
        number
    }

    fn fits(&self, lane: usize, size: EnvelopeSize) -> bool {
        let lane = &self.lanes[lane];
        let share = self.share(lane.pool);
        let admits = |used: (u64, u64), share: (u64, u64)| used.0 < share.0 && used.1 + size.bytes() as u64 <= share.1;
        let sum = |counts: &dyn Fn(&Envelope) -> bool| {
            let counted = self.waiting.iter().filter(|one| counts(one));
            counted.fold((0, 0), |(count, bytes), one| (count + 1, bytes + one.size.bytes() as u64))
        };
        let halved = |halvings: u32| (share.0 >> halvings, share.1 >> halvings);
        let pool_fits = admits(sum(&|one| one.pool == lane.pool), share);
        let line_fits = self.line(lane.number).iter().all(|above| {
            let halvings = self.lanes.iter().find(|one| one.number == *above).unwrap().halvings;
            admits(sum(&|one| self.line(one.lane).contains(above)), halved(halvings))
        });
        let is_ending = |lane: &Lane| lane.ends.is_some() && lane.kind != LaneKind::Introduction;
        let of_ending = |one: &Envelope| {
            self.lanes.iter().any(|other| other.number == one.lane && other.pool == lane.pool && is_ending(other))
        };
        pool_fits && line_fits && (!is_ending(lane) || admits(sum(&of_ending), self.share(Pool::Strangers)))
    }

    /// A lane and what it splits, as far as they are there.
    fn line(&self, lane: u32) -> Vec<u32> {
        match self.lanes.iter().find(|one| one.number == lane) {
            None => Vec::new(),
            Some(lane) => {
                let mut line = vec![lane.number];
                line.extend(lane.parent.map(|parent| self.line(parent)).unwrap_or_default());
                line
            }
        }
    }

    fn share(&self, pool: Pool) -> (u64, u64) {
        let percent = match pool {
            Pool::Contacts => 40,
            Pool::Groups => 35,
            Pool::Own => 15,
            Pool::Tokens | Pool::Strangers => 5,
        };
        let most = if pool == Pool::Strangers { 256 } else { u64::MAX };
        ((u64::from(self.quota.envelopes) * percent / 100).min(most), self.quota.bytes * percent / 100)
    }

    fn released(&mut self, gone: &[Envelope]) {
        for one in gone {
            for lane in self.lanes.iter_mut().filter(|lane| lane.pool == one.pool) {
                if matches!(lane.told, Some(Some(_))) {
                    lane.told = None;
                }
            }
        }
    }
}

/// Bytes and size together, as what an identity tells apart.
fn class(arrival: &Arrival) -> u8 {
    class_of(arrival.bytes, arrival.size)
}

fn class_of(bytes: u8, size: EnvelopeSize) -> u8 {
    let size = EnvelopeSize::ALL.iter().position(|one| *one == size).unwrap();
    bytes * 6 + u8::try_from(size).unwrap()
}
