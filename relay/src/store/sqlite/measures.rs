//! How large transactions are and how long they take. Implements spec/17-relay.md §17.16.
use core::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Transactions that went through, by rows and by time.
#[derive(Debug, Default)]
pub(super) struct Measures {
    rows: [AtomicU64; ROWS.len()],
    rows_beyond: AtomicU64,
    rows_sum: AtomicU64,
    times: [AtomicU64; TIMES.len()],
    times_beyond: AtomicU64,
    micros_sum: AtomicU64,
}

impl Measures {
    pub(super) fn committed(&self, rows: usize, took: Duration) {
        let rows = u64::try_from(rows).unwrap_or(u64::MAX);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        count(&ROWS, &self.rows, &self.rows_beyond, rows);
        count(&TIMES, &self.times, &self.times_beyond, micros);
        self.rows_sum.fetch_add(rows, Relaxed);
        self.micros_sum.fetch_add(micros, Relaxed);
    }

    pub(super) fn snapshot(&self) -> Commits {
        let rows = snapshot(&ROWS, &self.rows, &self.rows_beyond, 1.0);
        let times = snapshot(&TIMES, &self.times, &self.times_beyond, 1e6);
        let whole = |sum: &AtomicU64| u32::try_from(sum.load(Relaxed) >> 10).map_or(f64::from(u32::MAX), f64::from);
        let rest = |sum: &AtomicU64| u32::try_from(sum.load(Relaxed) & 1_023).map_or(0.0, f64::from);
        let sum = |sum| whole(sum) * 1_024.0 + rest(sum);
        Commits { rows, rows_sum: sum(&self.rows_sum), seconds: times, seconds_sum: sum(&self.micros_sum) / 1e6 }
    }
}

/// Transactions since the store was opened.
#[derive(Clone, Debug, PartialEq)]
pub struct Commits {
    /// How many wrote up to so many rows (envelopes, changes, and what is forgotten), and more than the bound before; the last bound is infinite.
    pub rows: Vec<(f64, u64)>,
    /// Rows of all of them.
    pub rows_sum: f64,
    /// How many took up to so many seconds, the fsync included.
    pub seconds: Vec<(f64, u64)>,
    /// Seconds of all of them.
    pub seconds_sum: f64,
}

fn count(bounds: &[u64], counts: &[AtomicU64], beyond: &AtomicU64, value: u64) {
    let at = bounds.iter().position(|bound| value <= *bound);
    at.and_then(|at| counts.get(at)).unwrap_or(beyond).fetch_add(1, Relaxed);
}

fn snapshot(bounds: &[u64], counts: &[AtomicU64], beyond: &AtomicU64, unit: f64) -> Vec<(f64, u64)> {
    let bound = |bound: &u64| u32::try_from(*bound).map_or(f64::INFINITY, f64::from) / unit;
    let all = bounds.iter().map(bound).zip(counts.iter().map(|count| count.load(Relaxed)));
    all.chain([(f64::INFINITY, beyond.load(Relaxed))]).collect()
}

const ROWS: [u64; 9] = [1, 4, 16, 64, 256, 512, 1_024, 2_048, 4_096];
/// Microseconds.
const TIMES: [u64; 11] = [250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 1_000_000, 10_000_000];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_transaction_counts_once_in_either_histogram() {
        let measures = Measures::default();
        for (rows, micros) in [(0, 1), (1, 250), (2, 251), (4_096, 10_000_000), (5_000, 10_000_001)] {
            measures.committed(rows, Duration::from_micros(micros));
        }
        let Commits { rows, rows_sum, seconds, seconds_sum } = measures.snapshot();
        let counts = |buckets: &[(f64, u64)]| buckets.iter().map(|(_, count)| *count).collect::<Vec<_>>();
        assert_eq!(counts(&rows), [2, 1, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(counts(&seconds), [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert!(
            (rows_sum - 9_099.0).abs() < 0.5 && (seconds_sum - 20.000_503).abs() < 1e-6,
            "{rows_sum} {seconds_sum}"
        );
        assert!(rows.windows(2).all(|pair| pair[0].0 < pair[1].0) && (seconds[0].0 - 0.000_25).abs() < 1e-9);
    }
}
