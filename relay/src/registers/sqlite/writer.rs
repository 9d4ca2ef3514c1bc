//! The one task that writes `registers.db`: whatever waits, one transaction, one fsync; no timer.
//!
//! Invariants: a batch is done wholly or not at all; a change that failed is told so after the rollback, and the next batch
//! begins on a connection without a transaction.
use std::sync::Arc;

use sqlx::{
    ConnectOptions as _, Connection as _, SqliteConnection,
    sqlite::{SqliteArguments, SqliteConnectOptions},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use waxwing_wire::relay::{EntryKind, RegisterEntry, VersionHash};

use super::{super::Chain, Change, Settle, statements};
use crate::store::Unavailable;

/// Hands changes to the task. Dropped, the task does what waits and ends.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
    room: Arc<Semaphore>,
}

#[allow(clippy::large_enum_variant, reason = "nearly every job is a change; there is one close")]
enum Job {
    Change {
        change: Change,
        settle: Settle,
        done: oneshot::Sender<Result<(), Unavailable>>,
        _room: OwnedSemaphorePermit,
    },
    Close(oneshot::Sender<()>),
}

impl Writer {
    /// Starts the task.
    pub(super) fn start(options: SqliteConnectOptions) -> Self {
        let (jobs, waiting) = mpsc::channel(BATCH);
        tokio::spawn(Task { options, connection: None, waiting }.run());
        Self { jobs, room: Arc::new(Semaphore::new(ROOM_KIB)) }
    }

    pub(super) async fn change(&self, change: Change, settle: Settle) -> Result<(), Unavailable> {
        let size = u32::try_from(change.bytes().div_ceil(1_024)).map_err(|_| Unavailable)?;
        let room = Arc::clone(&self.room).acquire_many_owned(size).await.map_err(|_| Unavailable)?;
        let (done, outcome) = oneshot::channel();
        self.jobs.send(Job::Change { change, settle, done, _room: room }).await.map_err(|_| Unavailable)?;
        outcome.await.unwrap_or(Err(Unavailable))
    }

    /// Waits until everything before is done; afterwards nothing is.
    pub(super) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.jobs.send(Job::Close(done)).await.is_ok() {
            // An error says that the task is gone, which is as good.
            let _ = closed.await;
        }
    }
}

struct Task {
    options: SqliteConnectOptions,
    /// None at first and after an error.
    connection: Option<SqliteConnection>,
    waiting: mpsc::Receiver<Job>,
}

impl Task {
    async fn run(mut self) {
        let mut jobs = Vec::with_capacity(BATCH);
        let mut closing = None;
        while closing.is_none() && self.waiting.recv_many(&mut jobs, BATCH).await > 0 {
            let (mut changes, mut ends) = (Vec::new(), Vec::new());
            for job in jobs.drain(..) {
                match job {
                    Job::Change { change, settle, done, _room } => {
                        changes.push(change);
                        ends.push((settle, done, _room));
                    }
                    Job::Close(done) => closing = Some(done),
                }
            }
            let outcome = self.batch(&changes).await.map_err(|_| Unavailable);
            for (settle, done, room) in ends {
                settle(outcome);
                // Nobody may wait any longer.
                let _ = done.send(outcome);
                drop(room);
            }
        }
        if let Some(connection) = self.connection.take() {
            // Closing checkpoints; what is in the log is safe without.
            let _ = connection.close().await;
        }
        if let Some(done) = closing {
            let _ = done.send(());
        }
    }

    async fn batch(&mut self, changes: &[Change]) -> Result<(), sqlx::Error> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.options.connect().await?,
        };
        let connection = self.connection.insert(connection);
        let outcome = all(connection, changes).await;
        if outcome.is_err() {
            // A connection that failed is not trusted to have rolled back; a new one does.
            if let Some(connection) = self.connection.take() {
                let _ = connection.close_hard().await;
            }
        }
        outcome
    }
}

async fn all(connection: &mut SqliteConnection, changes: &[Change]) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for change in changes {
        one(&mut transaction, change).await?;
    }
    transaction.commit().await
}

async fn one(connection: &mut SqliteConnection, change: &Change) -> Result<(), sqlx::Error> {
    let id = change.register.as_bytes().as_slice();
    let Some(chain) = &change.chain else {
        sqlx::query(statements::EMPTY).bind(id).execute(&mut *connection).await?;
        return exactly_one(sqlx::query(statements::DELETE).bind(id).execute(connection).await?.rows_affected());
    };
    if chain.head.version == 1 {
        let create = sqlx::query(statements::CREATE).bind(id);
        let create = create.bind(chain.write.as_bytes().as_slice()).bind(chain.read.as_bytes().as_slice());
        let create = create.bind(chain.seal.as_bytes().as_slice()).bind(chain.first.as_bytes().as_slice());
        position(create, chain)?.execute(&mut *connection).await?;
    } else {
        let query = position(sqlx::query(statements::MOVE).bind(id), chain)?;
        exactly_one(query.execute(&mut *connection).await?.rows_affected())?;
    }
    if let Some((before, entry)) = &change.entry {
        append(connection, id, chain, before, entry).await?;
    }
    Ok(())
}

async fn append(
    connection: &mut SqliteConnection,
    id: &[u8],
    chain: &Chain,
    before: &VersionHash,
    entry: &RegisterEntry,
) -> Result<(), sqlx::Error> {
    let query = sqlx::query(statements::APPEND).bind(id).bind(signed(chain.head.version)?).bind(kind(entry.kind()));
    query.bind(before.as_bytes().as_slice()).bind(entry.sealed()).execute(&mut *connection).await?;
    if entry.kind() == EntryKind::Snapshot && chain.head.version > 1 {
        sqlx::query(statements::EVICT).bind(id).bind(signed(chain.oldest)?).execute(connection).await?;
    }
    Ok(())
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Sqlite, SqliteArguments>;

/// Binds what changes with every write, in the order of [`statements::MOVE`].
fn position<'q>(query: Query<'q>, chain: &'q Chain) -> Result<Query<'q>, sqlx::Error> {
    let query = query.bind(signed(chain.head.version)?).bind(chain.head.hash.as_bytes().as_slice());
    let query = query.bind(chain.head.ended).bind(signed(chain.oldest)?).bind(signed(chain.bytes)?);
    Ok(query.bind(signed(chain.hour.as_millis())?).bind(i64::from(chain.writes)))
}

fn signed(number: u64) -> Result<i64, sqlx::Error> {
    i64::try_from(number).map_err(super::damaged)
}

const fn kind(kind: EntryKind) -> i64 {
    match kind {
        EntryKind::Change => 1,
        EntryKind::Snapshot => 2,
        EntryKind::Last => 3,
    }
}

/// The file and the memory tell different stories if not.
fn exactly_one(rows: u64) -> Result<(), sqlx::Error> {
    if rows == 1 { Ok(()) } else { Err(sqlx::Error::RowNotFound) }
}

/// Changes in one transaction, at most.
const BATCH: usize = 256;
/// What waits to be written, at most, in KiB.
const ROOM_KIB: usize = 8_192;
