//! What waits in a mailbox, without its bytes. Implements spec/17-relay.md §17.3.
//!
//! Invariants: numbers ascend; taking one out of the middle costs no move of the rest (it leaves a hole, and holes are fewer than
//! what is held, or than a handful).
use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasherDefault, Hasher},
};

use waxwing_wire::{padding::EnvelopeSize, relay::LaneNumber, time::Timestamp};

use super::Pool;

/// An envelope's identity as the ledger keeps it: keyed hashes, whose key the store has in memory and makes anew when it opens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tag {
    /// Of mailbox and delivery id.
    pub id: u64,
    /// Of the envelope hash.
    pub check: u32,
}

/// An envelope that waits: 48 bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Held {
    /// Its number in the mailbox.
    pub sequence: u64,
    /// Its number in the store.
    pub place: u64,
    /// When it ends.
    pub ends: Timestamp,
    id: u64,
    check: u32,
    /// The lane it came by.
    pub lane: LaneNumber,
    /// How far before its place the body is that it shares; 0 if it has its own.
    pub back: u16,
    /// Whose share it counts against.
    pub pool: Pool,
    /// Its size.
    pub size: EnvelopeSize,
    hole: bool,
}

impl Held {
    /// One that waits.
    #[must_use]
    #[allow(clippy::too_many_arguments, reason = "a row")]
    pub fn new(
        sequence: u64,
        place: u64,
        back: u16,
        lane: LaneNumber,
        pool: Pool,
        size: EnvelopeSize,
        tag: Tag,
        ends: Timestamp,
    ) -> Self {
        let Tag { id, check } = tag;
        Self { sequence, place, ends, id, check, lane, back, pool, size, hole: false }
    }

    /// Its identity.
    #[must_use]
    pub const fn tag(&self) -> Tag {
        Tag { id: self.id, check: self.check }
    }
}

/// What waits, ascending.
#[derive(Debug, Default)]
pub(super) struct Queue {
    entries: VecDeque<Held>,
    holes: usize,
    /// Number by identity, once there are too many to look at each.
    numbers: Option<HashMap<u64, u64, BuildHasherDefault<TagHasher>>>,
}

impl Queue {
    pub(super) fn push(&mut self, held: Held) {
        debug_assert!(self.entries.back().is_none_or(|last| last.sequence < held.sequence), "numbers ascend");
        self.entries.push_back(held);
        match &mut self.numbers {
            Some(numbers) => drop(numbers.insert(held.id, held.sequence)),
            None if self.entries.len() > LOOKED_AT => {
                let live = self.entries.iter().filter(|held| !held.hole);
                self.numbers = Some(live.map(|held| (held.id, held.sequence)).collect());
            }
            None => {}
        }
    }

    /// The highest number, of what waits or has waited lately.
    pub(super) fn last(&self) -> Option<u64> {
        self.entries.back().map(|held| held.sequence)
    }

    pub(super) fn tagged(&self, id: u64) -> Option<&Held> {
        match &self.numbers {
            Some(numbers) => numbers.get(&id).and_then(|sequence| self.find(*sequence)),
            None => self.entries.iter().find(|held| held.id == id && !held.hole),
        }
    }

    pub(super) fn remove(&mut self, sequence: u64) -> Option<Held> {
        let index = self.entries.binary_search_by_key(&sequence, |held| held.sequence).ok()?;
        let entry = self.entries.get_mut(index).filter(|held| !held.hole)?;
        let held = *entry;
        entry.hole = true;
        self.holes = self.holes.saturating_add(1);
        self.forget(&held);
        self.tidy();
        Some(held)
    }

    pub(super) fn remove_up_to(&mut self, sequence: u64) -> Vec<Held> {
        let count = self.entries.partition_point(|held| held.sequence <= sequence);
        let gone: Vec<_> = self.entries.drain(..count).filter(|held| !held.hole).collect();
        self.holes = self.holes.saturating_sub(count.saturating_sub(gone.len()));
        gone.iter().for_each(|held| self.forget(held));
        self.tidy();
        gone
    }

    pub(super) fn remove_ended(&mut self, now: Timestamp) -> Vec<Held> {
        let gone: Vec<_> = self.entries.iter().filter(|held| !held.hole && held.ends <= now).copied().collect();
        self.entries.retain(|held| !held.hole && held.ends > now);
        self.holes = 0;
        gone.iter().for_each(|held| self.forget(held));
        self.tidy();
        gone
    }

    pub(super) fn iter_after(&self, after: u64) -> impl Iterator<Item = &Held> {
        let start = self.entries.partition_point(|held| held.sequence <= after);
        self.entries.range(start..).filter(|held| !held.hole)
    }

    pub(super) fn count_after(&self, after: u64) -> u32 {
        let all = after == 0;
        let count = if all { self.entries.len().saturating_sub(self.holes) } else { self.iter_after(after).count() };
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    fn find(&self, sequence: u64) -> Option<&Held> {
        let index = self.entries.binary_search_by_key(&sequence, |held| held.sequence).ok()?;
        self.entries.get(index).filter(|held| !held.hole)
    }

    fn forget(&mut self, held: &Held) {
        if let Some(numbers) = &mut self.numbers {
            numbers.remove(&held.id);
        }
    }

    /// Keeps holes few, and gives memory back once nothing waits.
    fn tidy(&mut self) {
        while self.entries.front().is_some_and(|held| held.hole) {
            self.entries.pop_front();
            self.holes = self.holes.saturating_sub(1);
        }
        if self.holes > LOOKED_AT.max(self.entries.len() / 2) {
            self.entries.retain(|held| !held.hole);
            self.holes = 0;
        }
        if self.entries.is_empty() && self.entries.capacity() > LOOKED_AT {
            *self = Self::default();
        }
    }
}

/// Takes a tag as its own hash. A tag is a keyed hash already, so nobody can choose tags that collide (E11).
#[derive(Debug, Default)]
pub(super) struct TagHasher(u64);

impl Hasher for TagHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        debug_assert!(false, "only tags are hashed by this");
    }

    fn write_u64(&mut self, tag: u64) {
        self.0 = tag;
    }
}

const LOOKED_AT: usize = 32;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "small numbers")]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn held(sequence: u64, ends: u64) -> Held {
        let tag = Tag { id: sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15), check: 1 };
        Held::new(sequence, sequence, 0, LaneNumber(1), Pool::Contacts, EnvelopeSize::B2560, tag, Timestamp(ends))
    }

    #[test]
    fn what_waits_takes_48_bytes() {
        assert_eq!(size_of::<Held>(), 48);
    }

    proptest! {
        #[test]
        fn a_queue_is_a_sorted_map(steps in prop::collection::vec((0_u8..6, 0_u64..200), 0..400)) {
            let (mut queue, mut model, mut next) = (Queue::default(), BTreeMap::new(), 0);
            for (step, at) in steps {
                match step {
                    0..3 => {
                        next += 1 + at % 3;
                        queue.push(held(next, at));
                        model.insert(next, held(next, at));
                    }
                    3 => prop_assert_eq!(queue.remove(at), model.remove(&at)),
                    4 => {
                        let rest = model.split_off(&(at / 4 + 1));
                        let gone: Vec<_> = std::mem::replace(&mut model, rest).into_values().collect();
                        prop_assert_eq!(queue.remove_up_to(at / 4), gone);
                    }
                    _ => {
                        let gone: Vec<_> = model.values().filter(|held| held.ends.0 <= at / 10).copied().collect();
                        model.retain(|_, held| held.ends.0 > at / 10);
                        prop_assert_eq!(queue.remove_ended(Timestamp(at / 10)), gone);
                    }
                }
                prop_assert!(queue.iter_after(0).eq(model.values()));
                prop_assert!(queue.iter_after(at).eq(model.range(at + 1..).map(|(_, held)| held)));
                prop_assert_eq!(usize::try_from(queue.count_after(0)).unwrap(), model.len());
                prop_assert!(model.values().all(|held| queue.tagged(held.id) == Some(held)));
                prop_assert_eq!(queue.tagged(held(at, 0).id).copied(), model.get(&at).copied());
                prop_assert!(queue.holes <= LOOKED_AT.max(queue.entries.len() / 2));
            }
        }
    }
}
