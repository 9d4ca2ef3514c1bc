//! How long requests took, in a histogram without names. Implements spec/19-keyserver.md §19.9.
use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Counts by duration since the process began.
#[derive(Debug, Default)]
pub struct Latencies {
    buckets: [AtomicU64; BOUNDS.len()],
    longer: AtomicU64,
    sum_micros: AtomicU64,
}

/// A bucket's upper bound in seconds, and how many took at most that long (not counting smaller buckets).
pub(super) type Bucket = (f64, u64);

impl Latencies {
    pub(super) fn count(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.iter().position(|bound| micros <= *bound).and_then(|at| self.buckets.get(at));
        bucket.unwrap_or(&self.longer).fetch_add(1, Relaxed);
        self.sum_micros.fetch_add(micros, Relaxed);
    }

    /// The buckets, ascending; the last one has no bound, which is written as infinity, `+Inf` in the text.
    pub fn buckets(&self) -> impl Iterator<Item = Bucket> {
        let bounded = BOUNDS.iter().zip(&self.buckets).map(|(bound, count)| (seconds(*bound), count.load(Relaxed)));
        bounded.chain([(f64::INFINITY, self.longer.load(Relaxed))])
    }

    /// Seconds in all.
    #[must_use]
    pub fn sum(&self) -> f64 {
        seconds(self.sum_micros.load(Relaxed))
    }
}

fn seconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64()
}

/// Microseconds: three a decade.
const BOUNDS: [u64; 16] = [
    100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000,
    5_000_000, 10_000_000,
];
