//! One writer in each process. Implements the group commit of spec/19-keyserver.md §19.10.
//!
//! ```text
//! queue ──whatever waits──▶ BEGIN IMMEDIATE · changes in their order · all fetches at once · COMMIT ──▶ answers
//! ```
//! Invariants: no timer; no answer before the commit; an error of the database answers the whole batch with `Unavailable` and
//! undoes it, and the next batch finds a connection that works, as soon as there can be one.
use futures_util::future::BoxFuture;
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use waxwing_wire::{
    id::{AccountId, DeviceId},
    keyserver::Bundles,
};

use super::{AsyncWork, bundles, failure::unavailable};
use crate::store::{BundlesError, Take, Unavailable};

/// The queue's sending end, and the task at the other.
#[derive(Debug)]
pub(super) struct Writer {
    queue: mpsc::Sender<Job>,
    task: JoinHandle<()>,
}

/// Something for the next transaction.
pub(super) enum Job {
    /// A fetch that uses keys up: all of a batch are done together.
    Fetch(FetchJob),
    /// Any other change.
    Work(Box<dyn Work>, usize),
}

/// Bundles for somebody.
pub(super) struct FetchJob {
    pub(super) account: AccountId,
    pub(super) devices: Vec<DeviceId>,
    pub(super) take: Take,
    pub(super) answer: oneshot::Sender<Result<Bundles, BundlesError>>,
}

/// A change, and whom to tell.
pub(super) trait Work: Send {
    /// Does it; what is to be said once it is committed comes back.
    fn run<'c>(self: Box<Self>, connection: &'c mut SqliteConnection) -> BoxFuture<'c, Result<Tell, sqlx::Error>>;
}

/// Says what came of a job. Dropped unsaid, the job was not done.
type Tell = Box<dyn FnOnce() + Send>;

struct Closure<T, E, W> {
    work: W,
    answer: oneshot::Sender<Result<T, E>>,
}

impl<T, E, W> Work for Closure<T, E, W>
where
    T: Send + 'static,
    E: Send + 'static,
    W: AsyncWork<T, E>,
{
    fn run<'c>(self: Box<Self>, connection: &'c mut SqliteConnection) -> BoxFuture<'c, Result<Tell, sqlx::Error>> {
        let Self { work, answer } = *self;
        Box::pin(async move {
            let result = work(connection).await?;
            // Nobody is there to hear it if the asking future was dropped; it is done all the same.
            let tell: Tell = Box::new(move || drop(answer.send(result)));
            Ok(tell)
        })
    }
}

impl Job {
    pub(super) fn work<T, E, W>(weight: usize, work: W, answer: oneshot::Sender<Result<T, E>>) -> Self
    where
        T: Send + 'static,
        E: Send + 'static,
        W: AsyncWork<T, E>,
    {
        Self::Work(Box::new(Closure { work, answer }), weight)
    }

    const fn weight(&self) -> usize {
        match self {
            Self::Fetch(_) => FETCH_WEIGHT,
            Self::Work(_, weight) => *weight,
        }
    }
}

impl Writer {
    pub(super) fn start(options: SqliteConnectOptions, connection: SqliteConnection) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let checkpoints = Checkpoints::start(options.clone());
        let task = tokio::spawn(run(State { options, connection: Some(connection), checkpoints }, jobs));
        Self { queue, task }
    }

    pub(super) async fn send(&self, job: Job) -> Result<(), Unavailable> {
        self.queue.send(job).await.map_err(|_| Unavailable)
    }

    /// Waits until everything in the queue is done.
    pub(super) async fn close(self) {
        let Self { queue, task } = self;
        drop(queue);
        // A task that panicked has done what it could.
        let _ = task.await;
    }
}

struct State {
    options: SqliteConnectOptions,
    connection: Option<SqliteConnection>,
    checkpoints: Checkpoints,
}

async fn run(mut state: State, mut jobs: mpsc::Receiver<Job>) {
    while let Some(first) = jobs.recv().await {
        let mut weight = first.weight();
        let mut batch = vec![first];
        while weight < MOST_WEIGHT && batch.len() < MOST_JOBS {
            let Ok(job) = jobs.try_recv() else { break };
            weight = weight.saturating_add(job.weight());
            batch.push(job);
        }
        match state.commit(batch).await {
            Ok(tell) => tell.into_iter().for_each(|tell| tell()),
            Err(error) => {
                // The answers are dropped: whoever waits for one hears `Unavailable`.
                unavailable(&error);
                state.recover().await;
            }
        }
        state.checkpoint(weight).await;
    }
    if let Some(connection) = state.connection.take() {
        let _ = connection.close().await;
    }
}

impl State {
    async fn commit(&mut self, batch: Vec<Job>) -> Result<Vec<Tell>, sqlx::Error> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(super::connect(&self.options).await?),
        };
        sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
        let (mut tell, mut fetches) = (Vec::with_capacity(batch.len()), Vec::new());
        for job in batch {
            match job {
                Job::Fetch(fetch) => fetches.push(fetch),
                Job::Work(work, _) => tell.push(work.run(connection).await?),
            }
        }
        if !fetches.is_empty() {
            let answers = bundles::fetch(connection, fetches).await?;
            tell.push(Box::new(move || bundles::answer(answers)));
        }
        sqlx::query("COMMIT").execute(&mut *connection).await?;
        Ok(tell)
    }

    /// Undoes what a failed batch began. A connection that cannot even do that is given up.
    async fn recover(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            // Fails if there is no transaction, which is what is wanted; the ping tells whether the connection lives.
            let _ = sqlx::query("ROLLBACK").execute(&mut connection).await;
            if connection.ping().await.is_ok() {
                self.connection = Some(connection);
            }
        }
    }

    /// Checkpoints run beside commits, on a connection of their own. If the log grows all the same, because there never was
    /// a moment in which all of it was copied, commits wait for one that is.
    async fn checkpoint(&mut self, weight: usize) {
        let Checkpoints { since_passive, since_full, wake, .. } = &mut self.checkpoints;
        *since_passive = since_passive.saturating_add(weight);
        *since_full = since_full.saturating_add(weight);
        if *since_passive >= PASSIVE_AFTER {
            *since_passive = 0;
            wake.notify_one();
        }
        if *since_full >= FULL_AFTER {
            *since_full = 0;
            if let Some(connection) = &mut self.connection
                && let Err(error) = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(connection).await
            {
                unavailable(&error);
            }
        }
    }
}

/// The task that copies the log into the database while commits go on.
struct Checkpoints {
    since_passive: usize,
    since_full: usize,
    wake: std::sync::Arc<tokio::sync::Notify>,
    task: JoinHandle<()>,
}

impl Checkpoints {
    fn start(options: SqliteConnectOptions) -> Self {
        let wake = std::sync::Arc::new(tokio::sync::Notify::new());
        let woken = std::sync::Arc::clone(&wake);
        let task = tokio::spawn(async move {
            let mut connection = None;
            loop {
                woken.notified().await;
                if connection.is_none() {
                    connection = super::connect(&options).await.ok();
                }
                let Some(open) = &mut connection else { continue };
                if let Err(error) = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(open).await {
                    unavailable(&error);
                    connection = None;
                }
            }
        });
        Self { since_passive: 0, since_full: 0, wake, task }
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Jobs that may wait before their senders do.
const QUEUE: usize = 4_096;
const MOST_JOBS: usize = 1_024;
/// Bytes of jobs in one transaction.
const MOST_WEIGHT: usize = 4 << 20;
/// A fetch rewrites about one page.
const FETCH_WEIGHT: usize = 4_096;
const PASSIVE_AFTER: usize = 8 << 20;
const FULL_AFTER: usize = 256 << 20;
