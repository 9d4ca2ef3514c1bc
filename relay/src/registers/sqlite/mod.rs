//! Registers in SQLite: `registers.db` in the data folder. Implements spec/20-relay-objects.md §20.3.
//!
//! Invariants: write-ahead log and `synchronous=FULL`, so a commit is on stable storage; one writer; a page is read in one
//! transaction, so its head and entries belong together.
use std::{borrow::Cow, io, os::unix::fs::OpenOptionsExt as _, path::Path, time::Duration};

use futures_util::TryStreamExt as _;
use sqlx::{
    Row as _, SqlSafeStr as _, SqlitePool,
    migrate::{Migration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};
use waxwing_wire::{
    id::RegisterId,
    relay::{EntryKind, RegisterEntry, RegisterHead, RegisterPage, Verifier, VersionHash},
    time::Timestamp,
};

use super::{Chain, Change, Disk, PAGE_BYTES, PAGE_ENTRIES, Rules, Settle, Shelf};
use crate::store::Unavailable;

mod statements;
mod writer;

pub use statements::ALL as STATEMENTS;
use writer::Writer;

/// Registers on a disk.
pub type SqliteRegisters = Shelf<Sqlite>;

impl SqliteRegisters {
    /// Opens `registers.db` in `folder`, or makes it, readable for its owner alone. Belongs to a tokio runtime.
    ///
    /// # Errors
    /// The file can't be made or read, is no such file, or comes from a newer version.
    pub async fn open(folder: &Path, rules: Rules) -> Result<Self, OpenError> {
        let disk = Sqlite::open(folder).await?;
        let rows = sqlx::query(statements::CHAINS).fetch_all(&disk.readers).await?;
        let chains = rows.iter().map(|row| Ok((id(row)?, chain(row)?)));
        let chains = chains.collect::<Result<Vec<_>, sqlx::Error>>()?;
        Ok(Self::new(disk, chains, rules))
    }
}

/// Why the registers were not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder or the file.
    #[error("registers.db: {0}")]
    File(#[from] io::Error),
    /// Its content.
    #[error("registers.db: {0}")]
    Database(#[from] sqlx::Error),
    /// Its version.
    #[error("registers.db: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
}

/// The file, its writer and its readers.
#[derive(Debug)]
pub struct Sqlite {
    readers: SqlitePool,
    writer: Writer,
}

impl Sqlite {
    async fn open(folder: &Path) -> Result<Self, OpenError> {
        let path = folder.join("registers.db");
        // SQLite gives its other files the rights of this one.
        std::fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path)?;
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .page_size(8_192)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(10))
            .pragma("trusted_schema", "OFF");
        let readers = SqlitePoolOptions::new().max_connections(2).connect_with(options.clone()).await?;
        let migration = Migration::new(
            1,
            Cow::Borrowed("registers"),
            MigrationType::Simple,
            include_str!("0001-registers.sql").into_sql_str(),
            false,
        );
        Migrator::with_migrations(vec![migration]).run(&readers).await?;
        Ok(Self { readers, writer: Writer::start(options) })
    }

    /// Waits until everything that was asked is done, and closes the file.
    pub async fn close(&self) {
        self.writer.close().await;
        self.readers.close().await;
    }

    /// For a look at the file beside the shelf: statements and plans.
    #[must_use]
    pub const fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    async fn read(&self, register: &RegisterId, from: u64) -> Result<Option<RegisterPage>, sqlx::Error> {
        let mut snapshot = self.readers.begin().await?;
        let id = register.as_bytes().as_slice();
        let Some(row) = sqlx::query(statements::HEAD).bind(id).fetch_optional(&mut *snapshot).await? else {
            return Ok(None);
        };
        let head = head(&row)?;
        let mut page = RegisterPage { head, first: 0, before: head.hash, entries: Vec::new() };
        let mut bytes = 0_usize;
        let query = sqlx::query(statements::ENTRIES).bind(id).bind(i64::try_from(from).unwrap_or(i64::MAX));
        let mut rows = query.bind(i64::try_from(PAGE_ENTRIES).unwrap_or(0)).fetch(&mut *snapshot);
        while let Some(row) = rows.try_next().await? {
            let entry = entry(&row)?;
            bytes = bytes.saturating_add(entry.sealed().len());
            if bytes > PAGE_BYTES && !page.entries.is_empty() {
                break;
            }
            if page.entries.is_empty() {
                (page.first, page.before) = (unsigned(&row, "version")?, hash(&row, "before")?);
            }
            page.entries.push(entry);
        }
        drop(rows);
        snapshot.rollback().await?;
        Ok(Some(page))
    }
}

impl Disk for Sqlite {
    async fn change(&self, change: Change, settle: Settle) -> Result<(), Unavailable> {
        self.writer.change(change, settle).await
    }

    async fn page(&self, register: &RegisterId, from: u64) -> Result<Option<RegisterPage>, Unavailable> {
        self.read(register, from).await.map_err(|_| Unavailable)
    }
}

fn id(row: &SqliteRow) -> Result<RegisterId, sqlx::Error> {
    fixed(row, "id").map(RegisterId::from_bytes)
}

fn chain(row: &SqliteRow) -> Result<Chain, sqlx::Error> {
    Ok(Chain {
        write: fixed(row, "write_verifier").map(Verifier::from_bytes)?,
        read: fixed(row, "read_verifier").map(Verifier::from_bytes)?,
        seal: fixed(row, "seal_verifier").map(Verifier::from_bytes)?,
        first: hash(row, "first_hash")?,
        head: head(row)?,
        oldest: unsigned(row, "oldest")?,
        bytes: unsigned(row, "bytes")?,
        hour: Timestamp(unsigned(row, "hour")?),
        writes: row.try_get::<i64, _>("writes")?.try_into().map_err(damaged)?,
    })
}

fn head(row: &SqliteRow) -> Result<RegisterHead, sqlx::Error> {
    let (version, hash) = (unsigned(row, "version")?, hash(row, "hash")?);
    Ok(RegisterHead { version, hash, ended: row.try_get("ended")? })
}

fn entry(row: &SqliteRow) -> Result<RegisterEntry, sqlx::Error> {
    let kind = match row.try_get::<i64, _>("kind")? {
        1 => EntryKind::Change,
        2 => EntryKind::Snapshot,
        _ => EntryKind::Last,
    };
    RegisterEntry::new(kind, row.try_get("sealed")?).ok_or_else(|| damaged("an entry has no size of its kind"))
}

fn hash(row: &SqliteRow, column: &str) -> Result<VersionHash, sqlx::Error> {
    fixed(row, column).map(VersionHash::from_bytes)
}

fn fixed<const N: usize>(row: &SqliteRow, column: &str) -> Result<[u8; N], sqlx::Error> {
    row.try_get::<&[u8], _>(column)?.try_into().map_err(damaged)
}

fn unsigned(row: &SqliteRow, column: &str) -> Result<u64, sqlx::Error> {
    row.try_get::<i64, _>(column)?.try_into().map_err(damaged)
}

fn damaged(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}
