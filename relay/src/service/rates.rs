//! How often a source may make things. Implements spec/17-relay.md §17.11.5.
//!
//! Invariants: a bucket is one number, so that millions fit; memory is bounded whatever comes; what is forgotten for age was full
//! again. Keys of maps are hashed with a secret of the process (attack E11).
use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use waxwing_wire::time::Timestamp;

use super::counters::Limit;
pub use crate::rate::Rate;
use crate::{rate::Level, store::PUTS_OF_MAILBOX};

/// Where a connection comes from, as rates see it: a number that means nothing elsewhere and does not outlive the process.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Source(pub u64);

/// What may be made and put, and how often.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rates {
    /// Mailboxes, by a source.
    pub mailboxes: Rate,
    /// Registers, by a source, by whatever admission.
    pub registers: Rate,
    /// Blobs, by a source, by whatever admission.
    pub blobs: Rate,
    /// Envelopes that a source puts, into whatever mailbox; each recipient of a fan-out is one.
    pub puts: Rate,
    /// Envelopes that everybody together puts.
    pub puts_of_all: Rate,
    /// Envelopes that each share of a mailbox takes. The store's: [`crate::store::Rules::puts`].
    pub puts_of_mailbox: Rate,
}

impl Default for Rates {
    /// 10 mailboxes at once and one a minute; 64 registers at once and one a minute; 64 blobs at once and one each 10 s; 20,000 envelopes at once
    /// and 100 a second, into a share of a mailbox 4,000 and 20 a second; everybody together as many as the machine does.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            mailboxes: Rate::new(10, seconds(60)),
            registers: Rate::new(64, seconds(60)),
            blobs: Rate::new(64, seconds(10)),
            puts: Rate::new(20_000, Duration::from_millis(10)),
            puts_of_all: Rate::UNLIMITED,
            puts_of_mailbox: PUTS_OF_MAILBOX,
        }
    }
}

impl Rates {
    /// None at all: for load generators and relays behind something that limits.
    pub const UNLIMITED: Self = Self {
        mailboxes: Rate::UNLIMITED,
        registers: Rate::UNLIMITED,
        blobs: Rate::UNLIMITED,
        puts: Rate::UNLIMITED,
        puts_of_all: Rate::UNLIMITED,
        puts_of_mailbox: Rate::UNLIMITED,
    };
}

/// The buckets of one process.
#[derive(Debug)]
pub(crate) struct Buckets {
    pub(super) mailboxes: Bucket<Source>,
    pub(super) registers: Bucket<Source>,
    pub(super) blobs: Bucket<Source>,
    puts: Bucket<Source>,
    puts_of_all: Bucket<()>,
}

impl Buckets {
    pub(super) fn new(rates: Rates) -> Self {
        Self {
            mailboxes: Bucket::new(rates.mailboxes),
            registers: Bucket::new(rates.registers),
            blobs: Bucket::new(rates.blobs),
            puts: Bucket::new(rates.puts),
            puts_of_all: Bucket::new(rates.puts_of_all),
        }
    }

    /// Takes `count` puts out of the source's bucket and out of everybody's.
    ///
    /// # Errors
    /// How long until there are so many, and whose bucket has not; nothing was taken.
    pub(super) fn put(&self, source: Source, count: u32, now: Timestamp) -> Result<(), (Limit, Duration)> {
        self.puts.take_many(source, count, now).map_err(|wait| (Limit::Source, wait))?;
        self.puts_of_all.take_many((), count, now).map_err(|wait| {
            self.puts.give_back_many(&source, count);
            (Limit::Everybody, wait)
        })
    }
}

/// A rate for each of many keys.
#[derive(Debug)]
pub(crate) struct Bucket<K> {
    rate: Rate,
    most: usize,
    levels: Mutex<Levels<K>>,
}

/// For each key its bucket's level; absent: full. What was not touched since the last turn stands in `old`.
#[derive(Debug)]
struct Levels<K> {
    young: HashMap<K, Level>,
    old: HashMap<K, Level>,
    turned: Timestamp,
}

impl<K: Eq + Hash> Bucket<K> {
    fn new(rate: Rate) -> Self {
        let levels = Levels { young: HashMap::new(), old: HashMap::new(), turned: Timestamp::EPOCH };
        Self { rate, most: MOST_KEYS, levels: Mutex::new(levels) }
    }

    /// Takes one out of `key`'s bucket.
    ///
    /// # Errors
    /// How long until there is one.
    pub(super) fn take(&self, key: K, now: Timestamp) -> Result<(), Duration> {
        self.take_many(key, 1, now)
    }

    /// Takes so many, or none.
    fn take_many(&self, key: K, count: u32, now: Timestamp) -> Result<(), Duration> {
        if self.rate.interval.is_zero() {
            return Ok(());
        }
        let mut levels = self.lock();
        levels.turn(now, self.rate, self.most);
        let level = self.rate.take(levels.level(&key), count, now)?;
        levels.old.remove(&key);
        levels.young.insert(key, level);
        Ok(())
    }

    /// Puts one back that was not used.
    pub(super) fn give_back(&self, key: &K) {
        self.give_back_many(key, 1);
    }

    fn give_back_many(&self, key: &K, count: u32) {
        let mut levels = self.lock();
        let Levels { young, old, .. } = &mut *levels;
        if let Some(level) = young.get_mut(key).or_else(|| old.get_mut(key)) {
            *level = self.rate.give_back(*level, count);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Levels<K>> {
        self.levels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Levels<K> {
    fn level(&self, key: &K) -> Level {
        self.young.get(key).or_else(|| self.old.get(key)).copied().unwrap_or_default()
    }

    /// Forgets `old` when everything in it is full again, or sooner if there are too many keys.
    fn turn(&mut self, now: Timestamp, rate: Rate, most: usize) {
        if rate.is_full_since(self.turned, now) || self.young.len() >= most {
            self.old = std::mem::take(&mut self.young);
            self.turned = now;
        }
    }
}

/// Keys in one half of a bucket's memory: at most some 20 MiB for the largest keys.
const MOST_KEYS: usize = 131_072;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a panic is the report")]
mod tests {
    use super::*;

    const EVERY_10_S: Rate = Rate::new(3, Duration::from_secs(10));

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
        assert!(Bucket::new(Rate::new(0, Duration::from_secs(10))).take(1, at(0)).is_err());
    }

    #[test]
    fn what_everybody_may_not_the_source_keeps() {
        let every_second = |burst| Rate::new(burst, Duration::from_secs(1));
        let rates = Rates { puts: every_second(10), puts_of_all: every_second(15), ..Rates::UNLIMITED };
        let (buckets, one, other) = (Buckets::new(rates), Source(1), Source(2));
        assert_eq!(buckets.put(one, 10, at(0)), Ok(()));
        assert_eq!(buckets.put(one, 1, at(0)), Err((Limit::Source, Duration::from_secs(1))));
        assert_eq!(buckets.put(other, 6, at(0)), Err((Limit::Everybody, Duration::from_secs(1))));
        assert_eq!(buckets.put(other, 5, at(0)), Ok(()), "the six that were refused cost nothing");
        assert_eq!(buckets.put(other, 5, at(5)), Ok(()), "and left five of its own");
    }
}
