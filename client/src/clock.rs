//! The time that the engine is given. Implements spec/23-client-driver.md §23.2.
//!
//! Invariant: it never goes back, and it never stands still: a clock that was set back is waited for by counting on.
use std::time::Duration;

use tokio::time::Instant;
use waxwing_wire::time::Timestamp;

/// A clock that shows the time of day, made to go forward only.
#[derive(Debug)]
pub(crate) struct Clock {
    wall: waxwing_net::Clock,
    newest: Timestamp,
    at: Instant,
}

impl Clock {
    /// Goes on from the newest time that was ever given.
    pub(crate) fn from(newest: Timestamp, wall: waxwing_net::Clock) -> Self {
        Self { wall, newest, at: Instant::now() }
    }

    pub(crate) fn now(&mut self) -> Timestamp {
        self.advance(self.wall.now(), Instant::now())
    }

    /// How long until a time comes.
    pub(crate) fn until(&mut self, time: Timestamp) -> Duration {
        time.since(self.now())
    }

    fn advance(&mut self, wall: Timestamp, at: Instant) -> Timestamp {
        let counted = self.newest.saturating_add(at.saturating_duration_since(self.at));
        // Whole milliseconds only: what is left of one is counted with the next look.
        if wall.max(counted) > self.newest {
            (self.newest, self.at) = (wall.max(counted), at);
        }
        self.newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_counts_on() {
        let begun = Instant::now();
        let mut clock = Clock::from(Timestamp(5_000), waxwing_net::Clock::system());
        clock.at = begun;
        assert_eq!(clock.advance(Timestamp(6_000), begun + Duration::from_secs(1)), Timestamp(6_000));
        assert_eq!(clock.advance(Timestamp(1_000), begun + Duration::from_secs(3)), Timestamp(8_000));
        assert_eq!(clock.advance(Timestamp(9_000), begun + Duration::from_secs(3)), Timestamp(9_000));
    }

    #[test]
    fn looks_that_are_closer_than_a_millisecond_do_not_stop_it() {
        let begun = Instant::now();
        let mut clock = Clock::from(Timestamp(5_000), waxwing_net::Clock::system());
        clock.at = begun;
        for look in 1..=4_000 {
            clock.advance(Timestamp(0), begun + Duration::from_micros(look * 500));
        }
        assert_eq!(clock.newest, Timestamp(7_000));
    }
}
