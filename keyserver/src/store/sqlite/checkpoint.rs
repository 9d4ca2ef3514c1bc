//! Copying the log into the database. Implements the checkpoints of spec/19-keyserver.md §19.10.
//!
//! They run beside commits, on a connection of their own. If the log grows all the same, because there never was a moment in which
//! all of it was copied, commits wait for one that is.
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use sqlx::sqlite::SqliteConnectOptions;
use tokio::{sync::Notify, task::JoinHandle};

use super::failure::unavailable;

/// How much was written since the last ones.
#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    since_passive: AtomicUsize,
    since_full: AtomicUsize,
    wake: Notify,
}

impl Checkpoints {
    /// What whoever wrote runs before it writes on, if [`Self::wrote`] says so.
    pub(super) const FULL: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

    /// Counts a commit of so many bytes, and begins a checkpoint beside others' commits if it is time. True if the log has to be
    /// copied to its end now.
    pub(super) fn wrote(&self, weight: usize) -> bool {
        if reached(&self.since_passive, weight, PASSIVE_AFTER) {
            self.wake.notify_one();
        }
        reached(&self.since_full, weight, FULL_AFTER)
    }

    /// The task that copies while commits go on. It ends with what is returned.
    pub(super) fn start(self: &Arc<Self>, options: SqliteConnectOptions) -> Task {
        let checkpoints = Arc::clone(self);
        Task(tokio::spawn(async move {
            let mut connection = None;
            loop {
                checkpoints.wake.notified().await;
                if connection.is_none() {
                    connection = super::connect(&options).await.ok();
                }
                let Some(open) = &mut connection else { continue };
                if let Err(error) = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(open).await {
                    unavailable(&error);
                    connection = None;
                }
            }
        }))
    }
}

/// Adds; at the limit it begins anew, and one who adds is told.
fn reached(since: &AtomicUsize, weight: usize, limit: usize) -> bool {
    let before = since.fetch_add(weight, Relaxed);
    let is_reached = before.saturating_add(weight) >= limit;
    if is_reached {
        since.store(0, Relaxed);
    }
    is_reached
}

/// Ends the task when it is dropped.
#[derive(Debug)]
pub(super) struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

const PASSIVE_AFTER: usize = 8 << 20;
const FULL_AFTER: usize = 256 << 20;
