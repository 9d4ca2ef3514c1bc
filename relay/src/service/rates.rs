//! How often a source may make things. Implements spec/17-relay.md §17.11.5.
//!
//! Invariants: a bucket is one number, so that millions fit; memory is bounded whatever comes; what is forgotten for age was full
//! again. Keys of maps are hashed with a secret of the process (attack E11).
use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use waxwing_wire::time::Timestamp;

/// Where a connection comes from, as rates see it: a number that means nothing elsewhere and does not outlive the process.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Source(pub u64);

/// A token bucket: `burst` at once, and one more after each `interval`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate {
    /// How many at once. 0 means none, ever.
    pub burst: u32,
    /// Until the next one. Zero means no limit.
    pub interval: Duration,
}

impl Rate {
    /// No limit.
    pub const UNLIMITED: Self = Self { burst: u32::MAX, interval: Duration::ZERO };

    const fn new(burst: u32, seconds: u64) -> Self {
        Self { burst, interval: Duration::from_secs(seconds) }
    }

    fn full_after(self) -> u64 {
        millis(self.interval).saturating_mul(u64::from(self.burst))
    }
}

/// What a source may make.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rates {
    /// Mailboxes.
    pub mailboxes: Rate,
    /// Registers, by whatever admission.
    pub registers: Rate,
    /// Blobs, by whatever admission.
    pub blobs: Rate,
}

impl Default for Rates {
    /// 10 mailboxes at once and one a minute; 64 registers at once and one a minute; 64 blobs at once and one each 10 s.
    fn default() -> Self {
        Self { mailboxes: Rate::new(10, 60), registers: Rate::new(64, 60), blobs: Rate::new(64, 10) }
    }
}

impl Rates {
    /// None at all: for load generators and relays behind something that limits.
    pub const UNLIMITED: Self = Self { mailboxes: Rate::UNLIMITED, registers: Rate::UNLIMITED, blobs: Rate::UNLIMITED };
}

/// The buckets of one process.
#[derive(Debug)]
pub(crate) struct Buckets {
    pub(super) mailboxes: Bucket<Source>,
    pub(super) registers: Bucket<Source>,
    pub(super) blobs: Bucket<Source>,
}

impl Buckets {
    pub(super) fn new(rates: Rates) -> Self {
        Self {
            mailboxes: Bucket::new(rates.mailboxes),
            registers: Bucket::new(rates.registers),
            blobs: Bucket::new(rates.blobs),
        }
    }
}

/// A rate for each of many keys.
#[derive(Debug)]
pub(crate) struct Bucket<K> {
    rate: Rate,
    most: usize,
    levels: Mutex<Levels<K>>,
}

/// For each key, when its bucket would be full again, in milliseconds; absent: full. What was not touched since the last turn
/// stands in `old`.
#[derive(Debug)]
struct Levels<K> {
    young: HashMap<K, u64>,
    old: HashMap<K, u64>,
    turned: u64,
}

impl<K: Eq + Hash> Bucket<K> {
    fn new(rate: Rate) -> Self {
        let levels = Levels { young: HashMap::new(), old: HashMap::new(), turned: 0 };
        Self { rate, most: MOST_KEYS, levels: Mutex::new(levels) }
    }

    /// Takes one out of `key`'s bucket.
    ///
    /// # Errors
    /// How long until there is one.
    pub(super) fn take(&self, key: K, now: Timestamp) -> Result<(), Duration> {
        let interval = millis(self.rate.interval);
        if interval == 0 {
            return Ok(());
        }
        let now = now.as_millis();
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        levels.turn(now, self.rate.full_after(), self.most);
        let full_after = self.rate.full_after();
        // A level beyond an empty bucket's was written before the clock was set back: it waits no longer than an empty bucket.
        let level = levels.level(&key).clamp(now, now.saturating_add(full_after));
        let next = level.saturating_add(interval);
        let short = next.saturating_sub(now).saturating_sub(full_after);
        if short > 0 {
            return Err(Duration::from_millis(short).min(LONGEST_WAIT));
        }
        levels.old.remove(&key);
        levels.young.insert(key, next);
        Ok(())
    }

    /// Puts one back that was not used.
    pub(super) fn give_back(&self, key: &K) {
        let interval = millis(self.rate.interval);
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        let Levels { young, old, .. } = &mut *levels;
        if let Some(level) = young.get_mut(key).or_else(|| old.get_mut(key)) {
            *level = level.saturating_sub(interval);
        }
    }
}

impl<K: Eq + Hash> Levels<K> {
    fn level(&self, key: &K) -> u64 {
        self.young.get(key).or_else(|| self.old.get(key)).copied().unwrap_or(0)
    }

    /// Forgets `old` when everything in it is full again, or sooner if there are too many keys.
    fn turn(&mut self, now: u64, full_after: u64, most: usize) {
        let aged = now.saturating_sub(self.turned) > full_after;
        if aged || self.young.len() >= most {
            self.old = std::mem::take(&mut self.young);
            self.turned = now;
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Keys in one half of a bucket's memory: at most some 20 MiB for the largest keys.
const MOST_KEYS: usize = 131_072;
/// What `retry_after` can say (spec §13.5).
const LONGEST_WAIT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a panic is the report")]
mod tests {
    use super::*;

    const EVERY_10_S: Rate = Rate::new(3, 10);

    fn at(seconds: u64) -> Timestamp {
        Timestamp(1_000_000 + seconds * 1_000)
    }

    #[test]
    fn a_burst_passes_and_then_one_each_interval() {
        let bucket = Bucket::new(EVERY_10_S);
        (0..3).for_each(|_| assert_eq!(bucket.take(1, at(0)), Ok(())));
        assert_eq!(bucket.take(1, at(0)), Err(Duration::from_secs(10)));
        assert_eq!(bucket.take(1, at(4)), Err(Duration::from_secs(6)));
        assert_eq!(bucket.take(2, at(4)), Ok(()), "another key has its own");
        assert_eq!(bucket.take(1, at(10)), Ok(()));
        assert!(bucket.take(1, at(11)).is_err(), "what is refused costs nothing, what passes one");
        (0..3).for_each(|_| assert_eq!(bucket.take(1, at(100)), Ok(()), "full again, and no fuller"));
        assert!(bucket.take(1, at(100)).is_err());
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let bucket = Bucket::new(EVERY_10_S);
        (0..3).for_each(|_| bucket.take(1, at(0)).unwrap());
        bucket.give_back(&1);
        assert_eq!(bucket.take(1, at(0)), Ok(()));
        assert!(bucket.take(1, at(0)).is_err());
    }

    #[test]
    fn a_bucket_that_is_not_full_survives_the_turns_and_a_clock_that_goes_back() {
        let bucket = Bucket::new(EVERY_10_S);
        (0..3).for_each(|_| bucket.take(1, at(0)).unwrap());
        // 30 s is when it would be full; a turn happens at 31 s at the earliest, and what is in `old` counts.
        bucket.take(2, at(31)).unwrap();
        assert_eq!(bucket.take(1, at(5)), Err(Duration::from_secs(5)));
        assert_eq!(
            bucket.take(1, Timestamp(0)),
            Err(Duration::from_secs(10)),
            "set back, it waits as an empty one does"
        );
    }

    #[test]
    fn e3_memory_is_bounded_however_many_keys_come() {
        let mut bucket = Bucket::new(EVERY_10_S);
        bucket.most = 100;
        for key in 0..10_000 {
            let _ = bucket.take(key, at(0));
            let levels = bucket.levels.lock().unwrap();
            assert!(levels.young.len() + levels.old.len() <= 200);
        }
    }

    #[test]
    fn zero_means_no_limit_for_the_interval_and_nothing_at_all_for_the_burst() {
        assert!((0..10_000).all(|_| Bucket::new(Rate::UNLIMITED).take(1, at(0)).is_ok()));
        assert!(Bucket::new(Rate::new(0, 10)).take(1, at(0)).is_err());
    }
}
