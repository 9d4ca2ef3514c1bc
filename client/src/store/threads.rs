//! The threads that databases work on. Implements spec/21-client-store.md §21.11.
//!
//! A connection that was closed has let its thread go, which then still has to end. If the process ends at the same moment, the C libraries
//! below clean up at the same time as that thread does, and free things twice. So whoever ends a process waits for them.
use std::{
    fs, thread,
    time::{Duration, Instant},
};

/// Waits, for at most so long, until no thread of a database is left in this process: the last thing to do before it ends. Profiles that
/// are still open keep theirs.
pub fn wait_for_threads(patience: Duration) {
    let begun = Instant::now();
    while is_any_left() && begun.elapsed() < patience {
        thread::sleep(LOOK);
    }
}

pub(super) fn name(number: u64) -> String {
    format!("{PREFIX}{number}")
}

fn is_any_left() -> bool {
    let Ok(threads) = fs::read_dir("/proc/self/task") else {
        // Where threads cannot be listed each gets its moment.
        thread::sleep(MOMENT);
        return false;
    };
    let name = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
    threads.flatten().any(|entry| name(entry).starts_with(PREFIX))
}

/// Systems show 15 bytes of it.
const PREFIX: &str = "wxw-db-";
const LOOK: Duration = Duration::from_millis(1);
const MOMENT: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_thread_is_waited_for_until_it_ended_and_not_longer_than_patience() {
        let (begin, begun) = std::sync::mpsc::channel::<()>();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let work = move || {
            // Its name is there by now.
            drop(begin);
            let _ = ended.recv();
        };
        let running = thread::Builder::new().name(name(70_000_000)).spawn(work).unwrap();
        let _ = begun.recv();
        assert!(is_any_left());
        let patience = Duration::from_millis(20);
        let waited = Instant::now();
        wait_for_threads(patience);
        assert!(waited.elapsed() >= patience);
        drop(end);
        running.join().unwrap();
    }
}
