//! What is remembered of acked envelopes for a day. Implements spec/17-relay.md §17.3.5.
//!
//! ```text
//! acked ──▶ current ──(a day later)──▶ previous ──(a day later)──▶ forgotten         so: at least a day, at most two
//! ```
//! Invariants: in memory only; bounded: when half of the bound has come within a day, the older half goes early. Duplicates that
//! come later still are the receiver's to recognise.
use core::time::Duration;
use std::{collections::HashMap, hash::BuildHasherDefault};

use waxwing_wire::time::Timestamp;

use super::{Tag, TagHasher};

/// Tags of acked envelopes.
#[derive(Debug)]
pub struct Remembered {
    current: Tags,
    previous: Tags,
    since: Timestamp,
    /// The most in one of the two.
    most: usize,
}

impl Remembered {
    /// Remembers at most so many.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { current: Tags::default(), previous: Tags::default(), since: Timestamp::EPOCH, most: (most / 2).max(1) }
    }

    /// An envelope was acked.
    pub fn insert(&mut self, tag: Tag, now: Timestamp) {
        self.turn(now);
        if self.current.len() >= self.most {
            self.previous = core::mem::take(&mut self.current);
            self.since = now;
        }
        self.current.insert(tag.id, tag.check);
    }

    /// [`Tag::check`] of the envelope of this [`Tag::id`] that was acked.
    pub fn check(&mut self, id: u64, now: Timestamp) -> Option<u32> {
        self.turn(now);
        self.current.get(&id).or_else(|| self.previous.get(&id)).copied()
    }

    fn turn(&mut self, now: Timestamp) {
        let age = now.since(self.since);
        if age < DAY {
            return;
        }
        let current = core::mem::take(&mut self.current);
        let silent = age >= DAY.saturating_mul(2);
        self.previous = if silent { Tags::default() } else { current };
        self.since = if silent { now } else { self.since.saturating_add(DAY) };
    }
}

type Tags = HashMap<u64, u32, BuildHasherDefault<TagHasher>>;

const DAY: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    fn tag(id: u64) -> Tag {
        Tag { id, check: 7 }
    }

    #[test]
    fn a_tag_is_remembered_for_a_day_and_for_two_at_most() {
        let mut remembered = Remembered::new(100);
        let start = 1_000 * HOUR;
        for offset in [0, 5, 23] {
            remembered.insert(tag(offset), Timestamp(start + offset * HOUR));
        }
        assert_eq!(remembered.check(5, Timestamp(start + 29 * HOUR)), Some(7));
        assert_eq!(remembered.check(23, Timestamp(start + 47 * HOUR)), Some(7));
        assert_eq!(remembered.check(0, Timestamp(start + 48 * HOUR)), None);
        assert_eq!(remembered.check(23, Timestamp(start + 71 * HOUR)), None);
    }

    #[test]
    fn a_long_silence_forgets_everything() {
        let mut remembered = Remembered::new(100);
        remembered.insert(tag(1), Timestamp(HOUR * 24));
        assert_eq!(remembered.check(1, Timestamp(HOUR * 24 * 30)), None);
    }

    #[test]
    fn e3_a_flood_of_acks_stays_within_the_bound_and_forgets_the_oldest() {
        let mut remembered = Remembered::new(100);
        (0..10_000).for_each(|id| remembered.insert(tag(id), Timestamp(HOUR)));
        assert!(remembered.current.len() + remembered.previous.len() <= 100);
        assert_eq!(remembered.check(9_999, Timestamp(HOUR)), Some(7));
        assert_eq!(remembered.check(9_950, Timestamp(HOUR)), Some(7));
        assert_eq!(remembered.check(0, Timestamp(HOUR)), None);
    }
}
