//! The plain batcher, measured before the store was designed: rows appended, one index by mailbox, 64 rows a statement, whatever waits
//! in one transaction; no lanes, no identity, no mailbox in memory, no network.
use std::{
    fs::File,
    io::Write as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::{
    Arguments as _, AssertSqlSafe, Connection as _, Executor as _, SqlSafeStr as _, SqlStr, SqliteConnection,
    sqlite::{SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};

use super::{Times, place::BYTES};

type Job = (u64, oneshot::Sender<()>);

pub(super) struct Batcher {
    jobs: mpsc::Sender<Job>,
    writing: JoinSet<Result<(), sqlx::Error>>,
    next: Arc<AtomicU64>,
}

impl Batcher {
    pub(super) async fn open(file: &Path) -> Result<Self, String> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .page_size(8_192)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("wal_autocheckpoint", "4096");
        let mut connection = SqliteConnection::connect_with(&options).await.map_err(|error| error.to_string())?;
        connection.execute(SCHEMA).await.map_err(|error| error.to_string())?;
        let (jobs, waiting) = mpsc::channel(4_096);
        let mut writing = JoinSet::new();
        writing.spawn(write(connection, waiting));
        Ok(Self { jobs, writing, next: Arc::default() })
    }

    /// Rows a second on stable storage.
    pub(super) async fn rate(&mut self, in_flight: usize, time: Duration) -> Result<f64, String> {
        let (begun, mut putting) = (Instant::now(), JoinSet::new());
        for _ in 0..in_flight {
            let (jobs, next) = (self.jobs.clone(), Arc::clone(&self.next));
            putting.spawn(async move {
                let mut done = 0_u64;
                while begun.elapsed() < time {
                    let (tell, told) = oneshot::channel();
                    let number = next.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
                    if jobs.send((number, tell)).await.is_err() || told.await.is_err() {
                        return Err("the plain batcher failed".to_owned());
                    }
                    done = done.saturating_add(1);
                }
                Ok(done)
            });
        }
        let mut rows = 0_u64;
        while let Some(done) = putting.join_next().await {
            rows = rows.saturating_add(done.map_err(|error| error.to_string())??);
        }
        Ok(super::load::per_second(rows, begun.elapsed()))
    }

    pub(super) async fn close(self) {
        let Self { jobs, mut writing, .. } = self;
        drop(jobs);
        while writing.join_next().await.is_some() {}
    }
}

async fn write(mut connection: SqliteConnection, mut waiting: mpsc::Receiver<Job>) -> Result<(), sqlx::Error> {
    let body = vec![0xe5; BYTES];
    let texts = [64, 32, 16, 8, 4, 2, 1].map(|rows| (rows, insert(rows)));
    let mut batch = Vec::new();
    while waiting.recv_many(&mut batch, 4_096).await > 0 {
        connection.execute("BEGIN").await?;
        let mut rest = batch.as_slice();
        for (rows, text) in &texts {
            while let Some((now, later)) = rest.split_at_checked(*rows) {
                let mut arguments = SqliteArguments::default();
                for (number, _) in now {
                    arguments.add((*number % 1_000).cast_signed()).map_err(sqlx::Error::Encode)?;
                    arguments.add(1_800_000_000_000_i64).map_err(sqlx::Error::Encode)?;
                    arguments.add(body.as_slice()).map_err(sqlx::Error::Encode)?;
                }
                sqlx::query_with(text.clone(), arguments).execute(&mut connection).await?;
                rest = later;
            }
        }
        connection.execute("COMMIT").await?;
        // Whoever measures may have gone.
        for (_, done) in batch.drain(..) {
            let _ = done.send(());
        }
    }
    connection.close().await
}

fn insert(rows: usize) -> SqlStr {
    let values = vec!["(?, ?, ?)"; rows].join(", ");
    AssertSqlSafe(Arc::<str>::from(format!("INSERT INTO env (mb, exp, body) VALUES {values}"))).into_sql_str()
}

/// How long the disk takes for a page: appended, and on stable storage.
pub(super) fn syncs(folder: &Path, time: Duration) -> Result<Times, String> {
    let mut file = File::create(folder.join("syncs")).map_err(|error| error.to_string())?;
    let (begun, mut times) = (Instant::now(), Vec::new());
    while begun.elapsed() < time {
        let start = Instant::now();
        file.write_all(&[0xe5; 4_096]).and_then(|()| file.sync_data()).map_err(|error| error.to_string())?;
        times.push(start.elapsed());
    }
    Ok(Times::new(times))
}

const SCHEMA: &str = "CREATE TABLE env (seq INTEGER PRIMARY KEY, mb INTEGER NOT NULL, exp INTEGER NOT NULL, body BLOB NOT NULL) STRICT; \
                      CREATE INDEX env_mb ON env (mb, seq)";
