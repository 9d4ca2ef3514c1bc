//! Proofs of work, on threads of their own. Implements spec/23-client-driver.md §23.5.
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::mpsc;
use waxwing_engine::CallId;
use waxwing_wire::pow::{Nonce, Puzzle};

/// Solves puzzles; stops when it is dropped.
#[derive(Debug)]
pub(super) struct Worker {
    found: mpsc::UnboundedSender<(CallId, Nonce)>,
    taken: mpsc::UnboundedReceiver<(CallId, Nonce)>,
    stop: Stop,
}

/// Tells threads that nobody waits any more.
#[derive(Debug, Default)]
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Worker {
    pub(super) fn new() -> Self {
        let (found, taken) = mpsc::unbounded_channel();
        Self { found, taken, stop: Stop::default() }
    }

    pub(super) fn solve(&self, call: CallId, puzzle: Puzzle) {
        let (found, stopped) = (self.found.clone(), Arc::clone(&self.stop.0));
        tokio::task::spawn_blocking(move || {
            let mut first = 0_u64;
            while !stopped.load(Ordering::Relaxed) && first < u64::MAX {
                let end = first.saturating_add(PIECE);
                if let Some(nonce) = puzzle.solve(first..end) {
                    let _ = found.send((call, nonce));
                    return;
                }
                first = end;
            }
        });
    }

    /// The next that was found. Cancel-safe.
    pub(super) async fn found(&mut self) -> Option<(CallId, Nonce)> {
        self.taken.recv().await
    }

    /// Those who asked are gone.
    pub(super) fn forget_all(&mut self) {
        *self = Self::new();
    }
}

/// Hashes between two looks at whether anybody waits: some ten milliseconds.
const PIECE: u64 = 1 << 15;

#[cfg(test)]
mod tests {
    use waxwing_wire::{id::MailboxId, pow::Challenge};

    use super::*;

    fn puzzle(bits: u32) -> Puzzle {
        Puzzle::mailbox(&Challenge::from_bytes([7; 32]), &MailboxId::from_bytes([9; 16]), bits.try_into().unwrap())
    }

    #[tokio::test]
    async fn a_nonce_is_found_and_solves_its_puzzle() {
        let mut worker = Worker::new();
        worker.solve(CallId(3), puzzle(12));
        let (call, nonce) = worker.found().await.unwrap();
        assert_eq!(call, CallId(3));
        puzzle(12).verify(nonce).unwrap();
    }

    #[tokio::test]
    async fn what_was_asked_before_everything_was_forgotten_is_not_found() {
        let mut worker = Worker::new();
        // Nobody finds that one; its thread ends because nobody waits, or this test would not.
        worker.solve(CallId(1), puzzle(40));
        worker.forget_all();
        worker.solve(CallId(2), puzzle(0));
        assert_eq!(worker.found().await.unwrap().0, CallId(2));
    }
}
