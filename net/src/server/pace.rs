//! How often a source begins a connection. Implements spec/18-transport.md §18.5.2.
//!
//! ```text
//! proved its address ── a bucket of its own ──▶ handshake │ refused
//! did not            ── another one         ──▶ handshake │ Retry, after which it has
//! ```
//! Invariants: who writes another's address into a packet empties the bucket of the unproven alone, and costs that other one round trip;
//! memory is bounded whatever comes; what is forgotten for age was full again.
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::Source;

/// A token bucket: `burst` at once, and one more after each `interval`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pace {
    /// How many at once. 0 means none, ever.
    pub burst: u32,
    /// Until the next one. Zero means no limit.
    pub interval: Duration,
}

impl Pace {
    /// No limit.
    pub const UNLIMITED: Self = Self { burst: u32::MAX, interval: Duration::ZERO };

    fn full_after(self) -> Duration {
        self.interval.saturating_mul(self.burst)
    }
}

/// What one source may begin, and has begun.
#[derive(Debug)]
pub(crate) struct Paces {
    began: Instant,
    proven: Buckets,
    unproven: Buckets,
}

impl Paces {
    /// `proven` for who proved its address; of the unproven at most [`UNPROVEN`] at once, as often.
    pub(crate) fn new(proven: Pace) -> Self {
        let unproven = Pace { burst: proven.burst.min(UNPROVEN), ..proven };
        Self { began: Instant::now(), proven: Buckets::new(proven), unproven: Buckets::new(unproven) }
    }

    /// Takes one; whether there was one.
    pub(crate) fn take(&self, source: Source, is_proven: bool) -> bool {
        let buckets = if is_proven { &self.proven } else { &self.unproven };
        buckets.take(source, self.began.elapsed())
    }
}

#[derive(Debug)]
struct Buckets {
    pace: Pace,
    most: usize,
    levels: Mutex<Levels>,
}

/// When each source's bucket is full again; absent: it is. What was not touched since the last turn stands in `old`.
#[derive(Debug, Default)]
struct Levels {
    young: HashMap<Source, Duration>,
    old: HashMap<Source, Duration>,
    turned: Duration,
}

impl Buckets {
    fn new(pace: Pace) -> Self {
        Self { pace, most: MOST_SOURCES, levels: Mutex::default() }
    }

    fn take(&self, source: Source, now: Duration) -> bool {
        if self.pace.interval.is_zero() {
            return true;
        }
        let full_after = self.pace.full_after();
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_sub(levels.turned) > full_after || levels.young.len() >= self.most {
            levels.old = std::mem::take(&mut levels.young);
            levels.turned = now;
        }
        let level = levels.young.get(&source).or_else(|| levels.old.get(&source)).copied().unwrap_or_default();
        let next = level.max(now).saturating_add(self.pace.interval);
        if next > now.saturating_add(full_after) {
            return false;
        }
        levels.old.remove(&source);
        levels.young.insert(source, next);
        true
    }
}

/// First packets that are answered at once: beyond them an address is asked to prove itself.
const UNPROVEN: u32 = 64;
/// Sources in one half of a bucket's memory: at most some 4 MiB.
const MOST_SOURCES: usize = 131_072;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Sources;

    fn source(number: u32) -> Source {
        // One hasher: sources of different ones mean nothing to each other.
        static SOURCES: std::sync::LazyLock<Sources> = std::sync::LazyLock::new(Sources::default);
        SOURCES.of(std::net::Ipv4Addr::from(number).into())
    }

    #[test]
    fn e3_a_source_begins_its_burst_and_then_one_each_interval() {
        let buckets = Buckets::new(Pace { burst: 3, interval: Duration::from_secs(1) });
        let at = Duration::from_millis;
        assert!((0..3).all(|_| buckets.take(source(1), at(0))));
        assert!(!buckets.take(source(1), at(0)) && !buckets.take(source(1), at(999)));
        assert!(buckets.take(source(2), at(0)), "another one has its own");
        assert!(buckets.take(source(1), at(1_000)) && !buckets.take(source(1), at(1_001)));
        // Seen again before it is full, it is not forgotten by the turns.
        assert!(buckets.take(source(2), at(3_500)) && !buckets.take(source(1), at(1_500)));
        assert!((0..3).all(|_| buckets.take(source(1), at(60_000))) && !buckets.take(source(1), at(60_000)));
    }

    #[test]
    fn e3_sources_without_number_take_bounded_memory() {
        let mut buckets = Buckets::new(Pace { burst: 3, interval: Duration::from_secs(1) });
        buckets.most = 100;
        for number in 0..10_000 {
            assert!(buckets.take(source(number), Duration::ZERO));
            let levels = buckets.levels.lock().unwrap();
            assert!(levels.young.len().saturating_add(levels.old.len()) <= 200);
        }
    }

    #[test]
    fn e1_who_did_not_prove_its_address_takes_nothing_from_who_did() {
        let paces = Paces::new(Pace { burst: 100, interval: Duration::from_secs(3_600) });
        let unproven = (0..1_000).filter(|_| paces.take(source(1), false)).count();
        let proven = (0..1_000).filter(|_| paces.take(source(1), true)).count();
        assert_eq!((unproven, proven), (64, 100));
    }
}
