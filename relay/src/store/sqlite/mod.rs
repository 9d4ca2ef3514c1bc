//! A store in a SQLite file, for one process. Implements spec/17-relay.md §17.5 and §17.7.
//!
//! ```text
//! Mailboxes ──push──▶ Queue ──▶ Writer (one connection, one transaction after another) ──▶ log ──Checkpoints──▶ file
//!     └──────fetch──▶ readers
//! ```
//! Invariants: one process has the folder (a lock file); everything but the bytes of envelopes is in memory, so no put reads; no table
//! is written anywhere but at its end, whatever mailbox a put is for.
use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use futures_util::TryStreamExt as _;
use sqlx::{
    Connection as _, Row as _,
    sqlite::{SqliteConnection, SqlitePool, SqlitePoolOptions, SqliteRow},
};
use tokio::task::JoinHandle;
use waxwing_wire::{
    id::DeliveryId,
    padding::{Envelope, EnvelopeHeader, SharedPart},
    relay::{RegisterEntry, VersionHash},
};

use super::{
    Commit, Mailboxes, Unavailable,
    disk::{Access, Change, Content, Disk, Fetched, Insert, Settle, Spot, Ticket, Urgency},
    lock,
};

mod checkpoint;
mod copy;
mod files;
mod inhabitants;
mod load;
mod measures;
mod open;
mod queue;
mod rows;
mod shares;
mod statements;
mod verify;
mod writer;

use checkpoint::Checkpoints;
use files::Files;
use files::OpenBlob;
pub use measures::Commits;
use measures::Measures;
pub use open::OpenError;
use queue::{End, Queue};
use shares::Shares;
use statements::Texts;
pub use verify::Finding;
use writer::Writer;

/// Mailboxes in a folder. Dropped, it stops at once, as [`Self::abandon`] does; use [`Self::close`].
pub type SqliteStore = Mailboxes<Sqlite>;

impl SqliteStore {
    /// Writes what waits, and gives the folder free. Whatever is asked afterwards is [`Unavailable`].
    pub async fn close(&self) {
        self.shared.disk.stop(End::Drained).await;
    }

    /// How large transactions are and how long they take.
    #[must_use]
    pub fn commits(&self) -> Commits {
        self.shared.disk.measures.snapshot()
    }

    /// Gives the folder free without writing what waits: it has failed. (A transaction that SQLite is at goes to its end.)
    pub async fn abandon(&self) {
        self.shared.disk.stop(End::Now).await;
    }
}

/// A SQLite file with one writer.
#[derive(Debug)]
pub struct Sqlite {
    file: PathBuf,
    queue: Arc<Queue>,
    shares: Shares,
    readers: SqlitePool,
    files: Files,
    measures: Arc<Measures>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Sqlite {
    async fn start(
        file: &Path,
        writer: SqliteConnection,
        guard: Arc<File>,
        (files, loaded): (Files, (u64, Shares)),
        log: usize,
    ) -> Result<Self, sqlx::Error> {
        let (last_place, shares) = loaded;
        let (queue, checkpoints) = (Arc::new(Queue::new(last_place)), Arc::new(Checkpoints::new(log)));
        let copier = SqliteConnection::connect_with(&open::options(file)).await?;
        let readers = SqlitePoolOptions::new().max_connections(READERS).test_before_acquire(false);
        let readers = readers.connect_lazy_with(open::options(file).read_only(true));
        let writer = Writer {
            queue: Arc::clone(&queue),
            connection: writer,
            checkpoints: Arc::clone(&checkpoints),
            shares: shares.clone(),
            texts: Texts::default(),
            measures: Arc::default(),
        };
        let measures = Arc::clone(&writer.measures);
        let pool = readers.clone();
        let writing = tokio::spawn(async move {
            let copying = checkpoints.beside(copier);
            tokio::join!(writer.run(), copying);
            pool.close().await;
            // Only now may somebody else have the folder.
            drop(guard);
        });
        Ok(Self { file: file.to_owned(), queue, shares, readers, files, measures, tasks: Mutex::new(vec![writing]) })
    }

    async fn stop(&self, end: End) {
        self.queue.end(end);
        let tasks = core::mem::take(&mut *lock(&self.tasks));
        for task in tasks {
            // It ends by itself; if it panicked, there is nothing to wait for.
            let _ = task.await;
        }
        self.files.removed().await;
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.queue.end(End::Now);
    }
}

impl Disk for Sqlite {
    type Blob = OpenBlob;

    async fn room(&self, bytes: usize) -> Result<(), Unavailable> {
        self.queue.room(bytes).await
    }

    fn spare(&self, bytes: usize) {
        self.queue.spare(bytes);
    }

    fn body(&self) -> u64 {
        self.queue.place()
    }

    fn insert(&self, insert: Insert) -> Option<Ticket> {
        let body = match &insert.content {
            Content::Whole(_) => None,
            Content::Part { body, .. } => Some(*body),
        };
        // Before the writer can see it.
        body.iter().for_each(|body| self.shares.enter(*body));
        let ticket = self.queue.insert(insert);
        if let (None, Some(body)) = (&ticket, body) {
            self.shares.leave(body);
        }
        ticket
    }

    fn forget(&self, gone: Vec<Spot>, urgency: Urgency) -> Commit {
        match urgency {
            Urgency::Now => self.queue.forget(gone),
            Urgency::Later => self.queue.forget_later(&gone),
        }
    }

    fn change(&self, change: Change, settle: Settle) -> Commit {
        self.queue.change(change, settle)
    }

    async fn fetch(&self, spots: &[Spot]) -> Result<Vec<Fetched>, Unavailable> {
        let places: Vec<_> = spots.iter().map(|spot| spot.place.to_string()).collect();
        let places = format!("[{}]", places.join(","));
        let mut rows = sqlx::query(statements::FETCH).bind(places).fetch(&self.readers);
        let mut fetched = Vec::with_capacity(spots.len());
        loop {
            match rows.try_next().await {
                Ok(Some(row)) => fetched.push(fetched_row(&row).ok_or(Unavailable)?),
                Ok(None) => return Ok(fetched),
                Err(error) => {
                    tracing::error!(%error, "envelopes could not be read");
                    return Err(Unavailable);
                }
            }
        }
    }

    async fn versions(
        &self,
        register: u64,
        first: u64,
        count: u32,
    ) -> Result<(VersionHash, Vec<RegisterEntry>), Unavailable> {
        let number = |number: u64| i64::try_from(number).map_err(|_| Unavailable);
        let query = sqlx::query(statements::VERSIONS).bind(number(register)?).bind(number(first)?).bind(count);
        let rows = query.fetch_all(&self.readers).await.map_err(|error| {
            tracing::error!(%error, "a register could not be read");
            Unavailable
        })?;
        let versions: Option<Vec<_>> = rows.iter().map(version_row).collect();
        let versions = versions.ok_or(Unavailable)?;
        let starts = versions.first().filter(|(version, ..)| *version == first);
        let Some((_, before, _)) = starts else { return Ok((VersionHash::NONE, Vec::new())) };
        Ok((*before, versions.iter().map(|(.., entry)| entry.clone()).collect()))
    }

    async fn open_blob(&self, blob: u64, access: Access) -> Result<OpenBlob, Unavailable> {
        self.files.open(blob, access).await
    }

    fn forgetting(&self) -> u64 {
        self.queue.forgetting()
    }

    fn remove_blob(&self, blob: u64) {
        self.files.remove(blob);
    }
}

/// Version, hash before, entry.
fn version_row(row: &SqliteRow) -> Option<(u64, VersionHash, RegisterEntry)> {
    let version = u64::try_from(row.try_get::<i64, _>(0).ok()?).ok()?;
    let kind = rows::entry_kind_of_number(row.try_get(1).ok()?)?;
    let before: [u8; 32] = row.try_get::<&[u8], _>(2).ok()?.try_into().ok()?;
    Some((version, VersionHash::from_bytes(before), RegisterEntry::new(kind, row.try_get(3).ok()?)?))
}

/// None if the row is damaged.
fn fetched_row(row: &SqliteRow) -> Option<Fetched> {
    let place = u64::try_from(row.try_get::<i64, _>(0).ok()?).ok()?;
    let delivery = DeliveryId::try_from(row.try_get::<&[u8], _>(1).ok()?).ok()?;
    let header: Option<&[u8]> = row.try_get(2).ok()?;
    let bytes: Vec<u8> = row.try_get(3).ok()?;
    let envelope = match header {
        None => Envelope::new(bytes).ok()?,
        Some(header) => {
            let header = EnvelopeHeader::from_bytes(header.try_into().ok()?);
            Envelope::of_parts(&header, &SharedPart::new(bytes).ok()?)
        }
    };
    Some(Fetched { place, delivery, envelope: Arc::new(envelope) })
}

const READERS: u32 = 4;
