//! A token bucket in one number. Implements spec/17-relay.md §17.11.5.
//!
//! ```text
//! level: the moment at which the bucket is full again ── take ──▶ one interval later for each that was taken, or how long to wait
//! ```
//! Invariants: pure: the level is the caller's, time is an argument; what is refused changes nothing; a clock that is set back makes
//! nobody wait longer than for an empty bucket.
use core::time::Duration;

use waxwing_wire::time::Timestamp;

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

    pub(crate) const fn new(burst: u32, interval: Duration) -> Self {
        Self { burst, interval }
    }

    /// The level after `count` were taken from a bucket at `level`, 0 for one that is full. Who takes more than fit into it takes all of a full one.
    ///
    /// # Errors
    /// How long until there are so many.
    pub(crate) fn take(self, level: Level, count: u32, now: Timestamp) -> Result<Level, Duration> {
        let (now, full_after) = (micros_of(now), self.full_after());
        if self.interval.is_zero() {
            return Ok(level);
        }
        let cost = self.interval_micros().saturating_mul(u64::from(count.min(self.burst.max(1))));
        // A level beyond an empty bucket's was written before the clock was set back.
        let next = level.0.clamp(now, now.saturating_add(full_after)).saturating_add(cost);
        let short = next.saturating_sub(now).saturating_sub(full_after);
        // Rounded up: who comes back after that time is not turned away for a part of a millisecond.
        if short > 0 { Err(Duration::from_millis(short.div_ceil(1_000)).min(LONGEST)) } else { Ok(Level(next)) }
    }

    /// The level if `count` are put back that were not used.
    pub(crate) fn give_back(self, level: Level, count: u32) -> Level {
        Level(level.0.saturating_sub(self.interval_micros().saturating_mul(u64::from(count.min(self.burst.max(1))))))
    }

    /// Whether a bucket that was last touched at `then` is full, whatever its level was.
    pub(crate) fn is_full_since(self, then: Timestamp, now: Timestamp) -> bool {
        micros_of(now).saturating_sub(micros_of(then)) > self.full_after()
    }

    fn full_after(self) -> u64 {
        self.interval_micros().saturating_mul(u64::from(self.burst))
    }

    /// An interval that is not zero is at least 1.
    fn interval_micros(self) -> u64 {
        u64::try_from(self.interval.as_nanos().div_ceil(1_000)).unwrap_or(u64::MAX)
    }
}

/// When a bucket is full again, in microseconds since 1970; the default: it is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Level(u64);

fn micros_of(time: Timestamp) -> u64 {
    time.as_millis().saturating_mul(1_000)
}

/// What `retry_after` can say (spec §13.5).
const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a panic is the report")]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    #[test]
    fn intervals_below_a_millisecond_are_limits_too() {
        let rate = Rate::new(10, Duration::from_micros(100));
        let mut level = Level::default();
        let mut passed = 0;
        for millisecond in 0..100 {
            while let Ok(next) = rate.take(level, 1, Timestamp(NOW.0 + millisecond)) {
                level = next;
                passed += 1;
            }
        }
        assert_eq!(passed, 10 + 99 * 10, "ten at once, then ten each millisecond");
        assert_eq!(rate.take(level, 1, Timestamp(NOW.0 + 99)), Err(Duration::from_millis(1)));
    }

    #[test]
    fn many_are_taken_at_once_or_not_at_all() {
        let rate = Rate::new(100, Duration::from_millis(10));
        let level = rate.take(Level::default(), 60, NOW).unwrap();
        assert_eq!(rate.take(level, 60, NOW), Err(Duration::from_millis(200)));
        let level = rate.take(level, 40, NOW).unwrap();
        assert_eq!(rate.take(level, 1, NOW), Err(Duration::from_millis(10)));
        assert_eq!(rate.take(rate.give_back(level, 40), 40, NOW), Ok(level));
        // More than fit need a full one, and empty it.
        assert_eq!(rate.take(level, 5_000, NOW), Err(Duration::from_secs(1)));
        let level = rate.take(level, 5_000, Timestamp(NOW.0 + 1_000)).unwrap();
        assert_eq!(rate.take(level, 1, Timestamp(NOW.0 + 1_000)), Err(Duration::from_millis(10)));
    }
}
