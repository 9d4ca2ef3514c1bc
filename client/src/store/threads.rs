//! The threads that databases work on. Implements spec/21-client-store.md §21.11.
//!
//! A connection that was closed has let its thread go, which then still has to end. If the process ends at the same moment, the C libraries
//! below clean up at the same time as that thread does, and free things twice. So closing a profile waits for its own, and whoever ends a process for
//! all of them.
use std::{
    fs,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

/// Waits, for at most so long, until no thread of a database is left in this process: the last thing to do before it ends. Profiles that
/// are still open keep theirs.
pub fn wait_for_threads(patience: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < patience {
        match is_any_left(|name| name.starts_with(PREFIX)) {
            Some(true) => thread::sleep(LOOK),
            Some(false) => return,
            None => return thread::sleep(MOMENT),
        }
    }
}

/// Those of one profile, which have one name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Threads(u64);

impl Threads {
    pub(super) fn new() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn name(self) -> String {
        // Systems show 15 bytes.
        format!("{PREFIX}{:08x}", self.0 & u64::from(u32::MAX))
    }

    /// Waits until none is left, for a second at most: their connections are closed.
    pub(super) async fn ended(self) {
        let (begun, own) = (Instant::now(), self.name());
        while begun.elapsed() < LONGEST {
            match is_any_left(|name| name.trim_end() == own) {
                Some(true) => tokio::time::sleep(LOOK).await,
                Some(false) => return,
                None => return tokio::time::sleep(MOMENT).await,
            }
        }
    }
}

/// None where threads cannot be listed: each gets its moment then.
fn is_any_left(is_meant: impl Fn(&str) -> bool) -> Option<bool> {
    let threads = fs::read_dir("/proc/self/task").ok()?;
    let name = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
    Some(threads.flatten().any(|entry| is_meant(&name(entry))))
}

const PREFIX: &str = "wxw-db-";
const LOOK: Duration = Duration::from_millis(1);
const MOMENT: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn a_thread_is_waited_for_until_it_ended_and_not_longer_than_patience() {
        let (begin, begun) = std::sync::mpsc::channel::<()>();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let work = move || {
            // Its name is there by now.
            drop(begin);
            let _ = ended.recv();
        };
        let threads = Threads::new();
        let running = thread::Builder::new().name(threads.name()).spawn(work).unwrap();
        let _ = begun.recv();
        assert_eq!(is_any_left(|name| name.trim_end() == threads.name()), Some(true));
        let patience = Duration::from_millis(20);
        let waited = Instant::now();
        wait_for_threads(patience);
        assert!(waited.elapsed() >= patience);
        let ending = thread::spawn(move || {
            thread::sleep(patience);
            drop(end);
        });
        threads.ended().await;
        assert!(waited.elapsed() >= 2 * patience);
        assert_eq!(is_any_left(|name| name.trim_end() == threads.name()), Some(false));
        running.join().unwrap();
        ending.join().unwrap();
    }
}
