//! What work costs, and who else was at it.
use std::time::{Duration, Instant};

/// What a piece of work cost.
#[derive(Clone, Copy)]
pub(super) struct Cost {
    pub(super) took: Duration,
    /// Processor time of this process, in seconds.
    pub(super) own: f64,
    /// Of that, the server's threads', SQLite's among them: all of it only if they are threads of its own.
    pub(super) served: f64,
    /// Processor time of everybody else. A figure of a run with much of it is worth nothing.
    pub(super) others: f64,
}

impl Cost {
    pub(super) async fn of<T>(work: impl Future<Output = T>) -> (T, Self) {
        let (begun, own, server, all) = (Instant::now(), cpu_time::ProcessTime::now(), served(), machine());
        let done = work.await;
        let (took, own) = (begun.elapsed(), own.elapsed().as_secs_f64());
        (done, Self { took, own, served: served() - server, others: (machine() - all - own).max(0.0) })
    }

    /// Of the machine's processors, this process kept so many busy, and others so many.
    pub(super) fn busy(&self) -> (f64, f64) {
        (self.own / self.took.as_secs_f64(), self.others / self.took.as_secs_f64())
    }
}

/// Processor time of the server's threads so far, in seconds.
fn served() -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let nanoseconds = threads.filter_map(|thread| {
        let name = std::fs::read_to_string(thread.path().join("comm")).ok()?;
        let serves = name.trim_end() == SERVING || name.starts_with("sqlx-sqlite") || name.starts_with("sqlite-");
        let clock = std::fs::read_to_string(thread.path().join("schedstat")).ok().filter(|_| serves)?;
        clock.split_whitespace().next()?.parse::<u64>().ok()
    });
    nanoseconds.sum::<u64>() as f64 / 1e9
}

/// Processor time of the whole machine so far, in seconds: all but idleness and waiting for disks, in hundredths.
fn machine() -> f64 {
    let all = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let columns = all.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let busy = columns.take(8).enumerate().filter(|(column, _)| ![3, 4].contains(column));
    busy.filter_map(|(_, hundredths)| hundredths.parse::<f64>().ok()).sum::<f64>() / 100.0
}

pub(super) const SERVING: &str = "serving";
