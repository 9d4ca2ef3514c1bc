//! What the store is compared with: group commits that do nothing else.
use std::{
    fs::File,
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use sqlx::{
    Arguments as _, AssertSqlSafe, Connection as _, Executor as _, SqlSafeStr as _, SqliteConnection,
    sqlite::{SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};

use crate::load::BYTES;

type Job = (u64, oneshot::Sender<()>);

/// Measured before the store was designed (schema B): rows appended, one index by mailbox, 64 rows a statement, whatever waits in one
/// transaction; no lanes, no identity, no mailbox in memory.
pub(crate) struct PlainBatcher {
    jobs: mpsc::Sender<Job>,
    _folder: TempDir,
}

impl PlainBatcher {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let options = SqliteConnectOptions::new()
            .filename(folder.path().join("plain.sqlite"))
            .create_if_missing(true)
            .page_size(8_192)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("wal_autocheckpoint", "4096");
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        let schema = "CREATE TABLE env (seq INTEGER PRIMARY KEY, mb INTEGER NOT NULL, exp INTEGER NOT NULL, body BLOB NOT NULL) STRICT; \
                      CREATE INDEX env_mb ON env (mb, seq)";
        connection.execute(schema).await.unwrap();
        let (jobs, waiting) = mpsc::channel(4_096);
        tokio::spawn(write(connection, waiting));
        Self { jobs, _folder: folder }
    }

    pub(crate) async fn puts(self, in_flight: usize, count: u64) -> f64 {
        rate(&self.jobs, in_flight, count).await
    }
}

async fn write(mut connection: SqliteConnection, mut waiting: mpsc::Receiver<Job>) {
    let body = vec![0xe5; BYTES];
    let text = |rows: usize| {
        let values = vec!["(?, ?, ?)"; rows].join(", ");
        AssertSqlSafe(Arc::<str>::from(format!("INSERT INTO env (mb, exp, body) VALUES {values}"))).into_sql_str()
    };
    let texts = [64, 32, 16, 8, 4, 2, 1].map(|rows| (rows, text(rows)));
    let mut batch = Vec::new();
    while waiting.recv_many(&mut batch, 4_096).await > 0 {
        connection.execute("BEGIN").await.unwrap();
        let mut rest = batch.as_slice();
        for (rows, text) in &texts {
            while rest.len() >= *rows {
                let (now, later) = rest.split_at(*rows);
                let mut arguments = SqliteArguments::default();
                for (number, _) in now {
                    arguments.add((*number % 1_000).cast_signed()).unwrap();
                    arguments.add(1_800_000_000_000_i64).unwrap();
                    arguments.add(body.as_slice()).unwrap();
                }
                sqlx::query_with(text.clone(), arguments).execute(&mut connection).await.unwrap();
                rest = later;
            }
        }
        connection.execute("COMMIT").await.unwrap();
        batch.drain(..).for_each(|(_, done)| done.send(()).unwrap());
    }
}

/// One write and one fdatasync for whatever waits.
pub(crate) struct LogFile(mpsc::Sender<Job>);

impl LogFile {
    pub(crate) fn new() -> Self {
        let (jobs, mut waiting) = mpsc::channel::<Job>(4_096);
        std::thread::spawn(move || {
            let mut file: File = tempfile::tempfile_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            let mut batch = Vec::new();
            while waiting.blocking_recv_many(&mut batch, 4_096) > 0 {
                file.write_all(&vec![0xe5; BYTES * batch.len()]).unwrap();
                file.sync_data().unwrap();
                batch.drain(..).for_each(|(_, done)| done.send(()).unwrap());
            }
        });
        Self(jobs)
    }

    pub(crate) async fn puts(self, in_flight: usize, count: u64) -> f64 {
        rate(&self.0, in_flight, count).await
    }
}

async fn rate(jobs: &mpsc::Sender<Job>, in_flight: usize, count: u64) -> f64 {
    let (next, start) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let tasks = (0..in_flight).map(|_| {
        let (jobs, next) = (jobs.clone(), Arc::clone(&next));
        tokio::spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return;
                }
                let (done, waiting) = oneshot::channel();
                jobs.send((number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20, done)).await.unwrap();
                waiting.await.unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    count as f64 / start.elapsed().as_secs_f64()
}
