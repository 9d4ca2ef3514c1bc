//! Threads that serve fetches. Implements the group commit of spec/19-keyserver.md §19.10 for §19.6.4.
//!
//! ```text
//! queue ──whatever waits──▶ one transaction on this thread's connection ──▶ COMMIT ──▶ answers
//! ```
//! One thread takes keys, the other only looks. Invariants: no answer before the commit; an error of the database answers the
//! whole batch with `Unavailable` and undoes it, and the next batch finds a connection that works, as soon as there can be one.
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use rusqlite::{Connection, Error, OpenFlags};
use tokio::sync::{Mutex, mpsc, oneshot};
use waxwing_wire::keyserver::Bundles;

use super::{
    BUSY,
    bundles::{Statements, Wanted},
    checkpoint::Checkpoints,
    failure::unavailable,
    found::Found,
};
use crate::store::{BundlesError, Unavailable};

/// The queue's sending end, and the end of the thread at the other.
#[derive(Debug)]
pub(super) struct Fetcher {
    queue: mpsc::Sender<Job>,
    ended: oneshot::Receiver<()>,
}

/// Bundles for somebody.
struct Job {
    wanted: Wanted,
    answer: oneshot::Sender<Result<Found, BundlesError>>,
}

/// What a thread needs.
struct Fetching {
    file: PathBuf,
    /// None: it changes nothing.
    taking: Option<Taking>,
}

/// What a thread that writes shares with the writer.
pub(super) struct Taking {
    /// Held for a transaction: within a process nobody waits for SQLite's own lock, which is done by sleeping.
    pub(super) turn: Arc<Mutex<()>>,
    pub(super) checkpoints: Arc<Checkpoints>,
}

impl Fetcher {
    /// # Errors
    /// The system has no thread.
    pub(super) fn start(file: &Path, taking: Option<Taking>) -> Result<Self, std::io::Error> {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let (ends, ended) = oneshot::channel();
        let name = if taking.is_some() { "sqlite-taking" } else { "sqlite-looking" };
        let fetching = Fetching { file: file.to_owned(), taking };
        thread::Builder::new().name(name.into()).spawn(move || {
            // Dropped with the thread, which says that it has ended.
            let _ends = ends;
            fetching.run(jobs);
        })?;
        Ok(Self { queue, ended })
    }

    pub(super) async fn fetch(&self, wanted: Wanted) -> Result<Bundles, BundlesError> {
        let (answer, answered) = oneshot::channel();
        self.queue.send(Job { wanted, answer }).await.map_err(|_| Unavailable)?;
        let found = answered.await.map_err(|_| Unavailable)?;
        found.map(Found::unpack)
    }

    /// Waits until everything in the queue is done.
    pub(super) async fn close(self) {
        let Self { queue, ended } = self;
        drop(queue);
        // Nothing is ever sent: it ends.
        let _ = ended.await;
    }
}

impl Fetching {
    fn run(&self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(first) = jobs.blocking_recv() {
            // Answers that are dropped say `Unavailable`; so does a connection that cannot be opened.
            if let Err(error) = self.open().and_then(|connection| self.serve(&connection, first, &mut jobs)) {
                unavailable(&error);
            }
        }
    }

    /// Until nobody asks any more, or the connection is good for nothing.
    fn serve(&self, connection: &Connection, first: Job, jobs: &mut mpsc::Receiver<Job>) -> Result<(), Error> {
        let mut statements = Statements::prepare(connection)?;
        let mut next = Some(first);
        while let Some(first) = next {
            let mut batch = vec![first];
            while let Some(job) =
                Some(batch.len()).filter(|taken| *taken < MOST_JOBS).and_then(|_| jobs.try_recv().ok())
            {
                batch.push(job);
            }
            if let Err(error) = self.commit(connection, &mut statements, batch) {
                unavailable(&error);
                if !connection.is_autocommit() {
                    connection.execute_batch("ROLLBACK")?;
                }
            }
            next = jobs.blocking_recv();
        }
        Ok(())
    }

    fn commit(&self, connection: &Connection, statements: &mut Statements<'_>, batch: Vec<Job>) -> Result<(), Error> {
        let _turn = self.taking.as_ref().map(|taking| taking.turn.blocking_lock());
        connection.execute_batch(if self.taking.is_some() { "BEGIN IMMEDIATE" } else { "BEGIN" })?;
        let mut answers = Vec::with_capacity(batch.len());
        for Job { wanted, answer } in batch {
            answers.push((answer, statements.fetch(&wanted)?));
        }
        connection.execute_batch("COMMIT")?;
        let weight = answers.len().saturating_mul(WEIGHT);
        for (answer, result) in answers {
            // Whoever went away has lost the keys that were meant for them.
            let _ = answer.send(result);
        }
        if let Some(Taking { checkpoints, .. }) = &self.taking
            && checkpoints.wrote(weight)
        {
            connection.execute_batch(Checkpoints::FULL)?;
        }
        Ok(())
    }

    fn open(&self) -> Result<Connection, Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.file, flags)?;
        connection.busy_timeout(BUSY)?;
        connection.execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -65536; PRAGMA temp_store = memory",
        )?;
        if self.taking.is_none() {
            connection.execute_batch("PRAGMA query_only = 1")?;
        }
        Ok(connection)
    }
}

/// Fetches that may wait before who sent them does.
const QUEUE: usize = 4_096;
const MOST_JOBS: usize = 1_024;
/// A fetch rewrites about one page.
const WEIGHT: usize = 4_096;
