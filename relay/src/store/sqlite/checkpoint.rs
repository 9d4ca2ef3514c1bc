//! Moving what was written from the log into the file, beside the writer. Implements spec/17-relay.md §17.5.
//!
//! ```text
//! wrote 32 MiB ──▶ the checkpointer's own connection copies what is there (the writer goes on)
//!                      └─ the log is long, and something came meanwhile ──▶ the writer copies that rest before its next transaction
//! ```
//! Invariants: a log that is copied whole begins anew with the next transaction, so it does not grow without end under load; nobody waits
//! for a copy of more than came during one.
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use sqlx::{Connection as _, Executor as _, Row as _, sqlite::SqliteConnection};
use tokio::sync::Notify;

use super::statements::CHECKPOINT;

#[derive(Debug)]
pub(super) struct Checkpoints {
    /// After how many bytes.
    every: usize,
    /// Bytes since the last one.
    written: AtomicUsize,
    wake: Notify,
    ended: AtomicBool,
    writer: AtomicBool,
}

impl Checkpoints {
    pub(super) fn new(every: usize) -> Self {
        Self {
            every,
            written: AtomicUsize::new(0),
            wake: Notify::new(),
            ended: AtomicBool::new(false),
            writer: AtomicBool::new(false),
        }
    }

    /// The writer committed about so many bytes.
    pub(super) fn wrote(&self, bytes: usize) {
        if self.written.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) >= self.every {
            self.wake.notify_one();
        }
    }

    /// Whether the writer is to copy the rest.
    pub(super) fn asks_writer(&self) -> bool {
        self.writer.swap(false, Ordering::Relaxed)
    }

    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Copies now and then until the writer ends; then copies what is left.
    pub(super) async fn beside(&self, mut connection: SqliteConnection) {
        while !self.ended.load(Ordering::Acquire) {
            self.wake.notified().await;
            self.written.store(0, Ordering::Relaxed);
            let rest = self.run(&mut connection).await;
            self.writer.store(rest > 0, Ordering::Relaxed);
        }
        if let Err(error) = connection.close().await {
            tracing::warn!(%error, "the connection that copies the log did not close");
        }
    }

    /// Copies what is there; how many pages were not copied.
    pub(super) async fn run(&self, connection: &mut SqliteConnection) -> i64 {
        let row = match connection.fetch_one(CHECKPOINT).await {
            Ok(row) => row,
            Err(error) => {
                tracing::warn!(%error, "the log was not copied");
                return 0;
            }
        };
        let (log, copied): (i64, i64) = (row.try_get(1).unwrap_or(0), row.try_get(2).unwrap_or(0));
        log.saturating_sub(copied)
    }
}
