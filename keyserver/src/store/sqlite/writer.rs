//! One writer of changes in each process; keys are handed out elsewhere ([`super::fetcher`]). Implements the group commit of spec/19-keyserver.md §19.10.
//!
//! ```text
//! queue ──whatever waits──▶ BEGIN IMMEDIATE · changes in their order · COMMIT ──▶ answers
//! ```
//! Invariants: no timer; no answer before the commit; an error of the database answers the whole batch with `Unavailable` and
//! undoes it, and the next batch finds a connection that works, as soon as there can be one.
use std::sync::Arc;

use futures_util::future::BoxFuture;
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::{
    sync::{Mutex, mpsc, oneshot},
    task::JoinHandle,
};

use super::{AsyncWork, checkpoint::Checkpoints, failure::unavailable, fetcher::Taking};
use crate::store::Unavailable;

/// The queue's sending end, and the task at the other.
#[derive(Debug)]
pub(super) struct Writer {
    queue: mpsc::Sender<Job>,
    task: JoinHandle<()>,
}

/// A change for the next transaction, and how much it writes.
pub(super) struct Job {
    work: Box<dyn Work>,
    weight: usize,
}

/// A change, and whom to tell.
trait Work: Send {
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
        Self { work: Box::new(Closure { work, answer }), weight }
    }
}

impl Writer {
    pub(super) fn start(options: SqliteConnectOptions, connection: SqliteConnection, taking: Taking) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let Taking { turn, checkpoints } = taking;
        let task = tokio::spawn(run(State { options, connection: Some(connection), turn, checkpoints }, jobs));
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
    turn: Arc<Mutex<()>>,
    checkpoints: Arc<Checkpoints>,
}

async fn run(mut state: State, mut jobs: mpsc::Receiver<Job>) {
    while let Some(first) = jobs.recv().await {
        let mut weight = first.weight;
        let mut batch = vec![first];
        while weight < MOST_WEIGHT && batch.len() < MOST_JOBS {
            let Ok(job) = jobs.try_recv() else { break };
            weight = weight.saturating_add(job.weight);
            batch.push(job);
        }
        let turn = Arc::clone(&state.turn);
        let _turn = turn.lock().await;
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
        let mut tell = Vec::with_capacity(batch.len());
        for job in batch {
            tell.push(job.work.run(connection).await?);
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

    async fn checkpoint(&mut self, weight: usize) {
        if self.checkpoints.wrote(weight)
            && let Some(connection) = &mut self.connection
            && let Err(error) = sqlx::query(Checkpoints::FULL).execute(connection).await
        {
            unavailable(&error);
        }
    }
}

/// Jobs that may wait before their senders do.
const QUEUE: usize = 4_096;
const MOST_JOBS: usize = 1_024;
/// Bytes of jobs in one transaction.
const MOST_WEIGHT: usize = 4 << 20;
