//! Opening a folder: lock, schema, run, and everything that stands in memory. Implements spec/17-relay.md §17.4 and §17.7.
use std::{
    collections::{HashMap, VecDeque},
    fs::{File, Permissions, TryLockError},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_util::TryStreamExt as _;
use sqlx::{
    Executor as _, Row as _, SqlSafeStr as _,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
    sqlite::{
        SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
    },
};
use waxwing_wire::{
    id::{BlobId, MailboxId, RegisterId},
    relay::{EntryKind, RegisterHead, Verifier, VersionHash, mailbox_id},
    time::Timestamp,
};

use super::{
    Files, Sqlite, SqliteStore,
    inhabitants::{self, MailboxRow},
    load::{self, EnvelopeRow},
    rows,
    shares::Shares,
    statements,
};
use crate::{
    ledger::{Held, LaneRow, Ledger},
    store::{
        Invitation, InvitationState, InviteId, Rules,
        blobs::{self, Blob},
        directory::Entry,
        disk::{Closed, Disk as _, Spot, Urgency},
        lock,
        mailbox::Mailbox,
        mailboxes::Shared,
        registers::{EntryMark, Register, Verifiers},
    },
};

/// Why a folder is no store.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{} is in use by another process", .0.display())]
    Locked(PathBuf),
    /// The folder cannot be made, read or written.
    #[error("{}: {}", .0.display(), .1)]
    Folder(PathBuf, std::io::Error),
    /// A newer version of this program wrote it.
    #[error("the store was written by a newer version")]
    Newer,
    /// SQLite could not open it, or it is damaged.
    #[error("the store cannot be opened: {0}")]
    Broken(String),
}

impl From<sqlx::Error> for OpenError {
    fn from(error: sqlx::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// The schema, one file a step.
pub(super) fn migrator() -> Migrator {
    let step = |version, description: &'static str, sql: &'static str| {
        Migration::new(version, description.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator {
        migrations: vec![
            step(1, "mailboxes", include_str!("migrations/0001_mailboxes.sql")),
            step(2, "registers", include_str!("migrations/0002_registers.sql")),
            step(3, "blobs", include_str!("migrations/0003_blobs.sql")),
            step(4, "invitations", include_str!("migrations/0004_invitations.sql")),
        ]
        .into(),
        ..Migrator::DEFAULT
    }
}

/// What every connection is opened with.
pub(super) fn options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .page_size(PAGE)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(false)
        .statement_cache_capacity(STATEMENTS)
        .row_buffer_size(AHEAD)
        .pragma("wal_autocheckpoint", "0")
        .pragma("journal_size_limit", LOG.to_string())
        .pragma("temp_store", "memory")
        .pragma("cache_size", CACHE)
}

impl SqliteStore {
    /// Opens the store in a folder, and makes both if they are not there. Call it within a tokio runtime.
    ///
    /// # Errors
    /// [`OpenError`]; nothing has changed but what a newer schema needs.
    pub async fn open(folder: &Path, rules: Rules, now: Timestamp) -> Result<Self, OpenError> {
        let io = |error| OpenError::Folder(folder.to_owned(), error);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io)?;
        let guard = Arc::new(lock_folder(folder)?);
        let (file, files) = (folder.join(FILE), Files::new(folder, &guard));
        private(&file).map_err(io)?;
        files.make().map_err(io)?;
        // By way of a pool, because the migrator's future for a connection cannot go between threads.
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options(&file)).await?;
        migrator().run(&pool).await.map_err(|error| match error {
            MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..) => OpenError::Newer,
            other => OpenError::Broken(other.to_string()),
        })?;
        let mut connection = pool.acquire().await?.detach();
        // The names of new files are on stable storage before anything is promised.
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)?;
        let now = i64::try_from(now.as_millis() / 1_000).unwrap_or_default();
        let run = connection.fetch_one(sqlx::query(statements::NEXT_RUN).bind(now)).await?;
        let run = u64::try_from(run.try_get::<i64, _>(0)?).map_err(broken)?;

        let mut loaded = Loaded::read(&file, &mut connection).await?;
        loaded.fit(files.clone()).await.map_err(io)?;
        let kept = (files, (loaded.last, loaded.shares()));
        let disk = Sqlite::start(&file, connection, guard, kept, rules.log).await?;
        let store = Self::at_run(disk, rules, run);
        loaded.fill(&store)?;
        Ok(store)
    }
}

fn lock_folder(folder: &Path) -> Result<File, OpenError> {
    let path = folder.join(LOCK);
    let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = file.map_err(|error| OpenError::Folder(folder.to_owned(), error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked(folder.to_owned())),
        Err(TryLockError::Error(error)) => Err(OpenError::Folder(folder.to_owned(), error)),
    }
}

/// Makes the file if there is none; nobody but its owner may read it. SQLite gives the files beside it the same mode.
fn private(file: &Path) -> std::io::Result<()> {
    let made = File::options().create(true).truncate(false).write(true).mode(0o600).open(file)?;
    made.set_permissions(Permissions::from_mode(0o600))
}

/// Everything that a file says, before any of it is in use.
struct Loaded {
    mailboxes: Vec<MailboxRow>,
    lanes: HashMap<u64, Vec<LaneRow>>,
    closed: Vec<Closed>,
    invites: Vec<(Invitation, Option<[u8; 32]>, bool)>,
    registers: Vec<(RegisterRow, VecDeque<EntryMark>, RegisterHead)>,
    /// By number.
    blobs: Vec<Blob>,
    envelopes: Vec<EnvelopeRow>,
    /// The last place that has an envelope or a body.
    last: u64,
}

impl Loaded {
    async fn read(file: &Path, connection: &mut SqliteConnection) -> Result<Self, OpenError> {
        let (envelopes, loaded) = tokio::try_join!(load::envelopes(file), Self::rest(connection))?;
        let last = envelopes.last().map_or(0, |row| row.place).max(loaded.last);
        Ok(Self { envelopes, last, ..loaded })
    }

    /// Without what waits.
    async fn rest(connection: &mut SqliteConnection) -> Result<Self, OpenError> {
        let mailboxes = inhabitants::mailboxes(connection).await?;
        let mut lanes: HashMap<u64, Vec<LaneRow>> = HashMap::new();
        for (mailbox, row) in inhabitants::lanes(connection).await? {
            lanes.entry(mailbox).or_default().push(row);
        }
        let closed = all(connection, statements::load::CLOSED, closed_row).await?;
        let invites = all(connection, statements::load::INVITES, invitation_row).await?;
        let registers = registers(connection).await?;
        let mut blobs = all(connection, statements::load::BLOBS, blob_row).await?;
        blobs.sort_unstable_by_key(|blob| blob.number);
        let last_body = connection.fetch_one(statements::LAST_BODY).await?.try_get::<Option<i64>, _>(0)?;
        let last = u64::try_from(last_body.unwrap_or_default()).map_err(broken)?;
        Ok(Self { mailboxes, lanes, closed, invites, registers, blobs, envelopes: Vec::new(), last })
    }

    fn shares(&self) -> Shares {
        let parts = self.envelopes.iter().filter(|row| row.back > 0);
        Shares::of(parts.map(|row| row.place.saturating_sub(row.back.into())))
    }

    /// Makes files fit the rows of blobs, and blobs their files: a chunk that is not there is not claimed.
    async fn fit(&mut self, files: Files) -> std::io::Result<()> {
        let rows: Vec<_> =
            self.blobs.iter().map(|blob| (blob.number, blob.bytes_before(blob.state().written))).collect();
        let sweeping = tokio::task::spawn_blocking(move || files.sweep(&rows));
        for (number, bytes) in sweeping.await.map_err(std::io::Error::other)?? {
            tracing::error!(blob = number, "a blob's file is shorter than its row says: what is missing is not served");
            if let Ok(at) = self.blobs.binary_search_by_key(&number, |blob| blob.number)
                && let Some(blob) = self.blobs.get(at)
            {
                blob.lost_beyond(bytes);
            }
        }
        Ok(())
    }

    fn fill(mut self, store: &SqliteStore) -> Result<(), OpenError> {
        let shared = &store.shared;
        let mut by_number = HashMap::with_capacity(self.mailboxes.len());
        let mut next = 1;
        for row in self.mailboxes {
            let MailboxRow { number, owner_key, close_hash, born, next_lane } = row;
            let lanes = self.lanes.remove(&number).unwrap_or_default();
            let ledger = Ledger::with_lanes(shared.rules.quota, shared.base(born), next_lane, lanes);
            let id = mailbox_id(&owner_key);
            let mailbox = Arc::new(Mailbox::new(number, id, owner_key, close_hash, born, ledger, &shared.budget));
            shared.directory.insert(id, Entry::Live(Arc::clone(&mailbox)));
            by_number.insert(number, mailbox);
            next = next.max(number.saturating_add(1));
        }
        for (RegisterRow { number, id, verifiers, first }, entries, head) in self.registers {
            next = next.max(number.saturating_add(1));
            shared.registers.insert(Arc::new(Register::new(number, id, verifiers, first, head, entries)));
        }
        for blob in self.blobs {
            next = next.max(blob.number.saturating_add(1));
            shared.blobs.insert(Arc::new(blob));
        }
        next = self.envelopes.iter().fold(next, |next, row| next.max(row.mailbox.saturating_add(1)));
        let orphans = restore(shared, &by_number, &self.envelopes)?;
        for mailbox in by_number.values() {
            shared.schedule(&mut mailbox.lock(), mailbox.id);
        }
        for closed in self.closed {
            shared.directory.insert(closed.mailbox, Entry::Closed(closed));
            shared.calendar.add(closed.until, closed.mailbox);
        }
        let mut invites = lock(&shared.invites);
        self.invites.into_iter().for_each(|(invitation, hash, barred)| invites.insert(invitation, hash, barred));
        drop(invites);
        shared.next.store(next, std::sync::atomic::Ordering::Relaxed);
        if !orphans.is_empty() {
            drop(shared.disk.forget(orphans, Urgency::Later));
        }
        Ok(())
    }
}

/// Puts back what waits, and says which of it has no mailbox: it was removed, and then there was no time to forget what was in it.
///
/// Threads share the mailboxes among them: each keeps the order of places, which is that of numbers.
fn restore(
    shared: &Shared<Sqlite>,
    mailboxes: &HashMap<u64, Arc<Mailbox>>,
    envelopes: &[EnvelopeRow],
) -> Result<Vec<Spot>, OpenError> {
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get().min(MOST_THREADS));
    let threads = u64::try_from(threads).unwrap_or(1);
    std::thread::scope(|scope| {
        let mine = |thread| move |row: &&EnvelopeRow| row.mailbox.checked_rem(threads) == Some(thread);
        let begun: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || restore_some(shared, mailboxes, envelopes.iter().filter(mine(thread)))))
            .collect();
        let done = begun.into_iter().map(|thread| thread.join().map_err(|_| broken("a thread failed"))?);
        Ok(done.collect::<Result<Vec<_>, OpenError>>()?.concat())
    })
}

fn restore_some<'r>(
    shared: &Shared<Sqlite>,
    mailboxes: &HashMap<u64, Arc<Mailbox>>,
    envelopes: impl Iterator<Item = &'r EnvelopeRow>,
) -> Result<Vec<Spot>, OpenError> {
    let mut orphans = Vec::new();
    for row in envelopes {
        let EnvelopeRow { place, back, pool, size, ends, sequence, lane, .. } = *row;
        let Some(mailbox) = mailboxes.get(&row.mailbox) else {
            orphans.push(Spot { place, back });
            continue;
        };
        let tag = shared.tags.tag(&mailbox.id, &row.delivery, &row.identity);
        if !mailbox.lock().ledger.restore(Held::new(sequence, place, back, lane, pool, size, tag, ends)) {
            return Err(OpenError::Broken("an envelope's number is out of order".into()));
        }
    }
    Ok(orphans)
}

/// More would wait for each other's memory.
const MOST_THREADS: usize = 8;

struct RegisterRow {
    number: u64,
    id: RegisterId,
    verifiers: Verifiers,
    first: VersionHash,
}

/// Each with what it has, which begins with a snapshot and has no gap.
async fn registers(
    connection: &mut SqliteConnection,
) -> Result<Vec<(RegisterRow, VecDeque<EntryMark>, RegisterHead)>, OpenError> {
    let mut marks: HashMap<u64, (VecDeque<EntryMark>, RegisterHead)> = HashMap::new();
    for (register, mark, hash) in all(connection, statements::load::VERSIONS, version_row).await? {
        let head = RegisterHead { version: mark.version, hash, ended: mark.kind == EntryKind::Last };
        match marks.get_mut(&register) {
            None if mark.kind == EntryKind::Snapshot => drop(marks.insert(register, ([mark].into(), head))),
            Some((marks, newest)) if newest.version.checked_add(1) == Some(mark.version) => {
                marks.push_back(mark);
                *newest = head;
            }
            _ => return Err(broken("a register has a gap")),
        }
    }
    let rows = all(connection, statements::load::REGISTERS, register_row).await?;
    rows.into_iter()
        .map(|row| {
            let (marks, head) = marks.remove(&row.number).ok_or_else(|| broken("a register is empty"))?;
            Ok((row, marks, head))
        })
        .collect()
}

fn register_row(row: &SqliteRow) -> Result<RegisterRow, OpenError> {
    let verifier = |column| bytes(row, column).map(Verifier::from_bytes);
    Ok(RegisterRow {
        number: number(row, 0)?,
        id: RegisterId::from_bytes(bytes(row, 1)?),
        verifiers: Verifiers { write: verifier(2)?, read: verifier(3)?, seal: verifier(4)? },
        first: VersionHash::from_bytes(bytes(row, 5)?),
    })
}

fn invitation_row(row: &SqliteRow) -> Result<(Invitation, Option<[u8; 32]>, bool), OpenError> {
    let hash = row.try_get::<Option<&[u8]>, _>(1)?.map(<[u8; 32]>::try_from).transpose().map_err(broken)?;
    let below = row.try_get::<Option<i64>, _>(2)?.map(|below| u64::try_from(below).map(InviteId)).transpose();
    let state = match small::<u8>(row, 3)? {
        1 => InvitationState::Open,
        2 => InvitationState::Spent,
        3 => InvitationState::Revoked,
        _ => return Err(broken("an invitation's state")),
    };
    let invitation = Invitation { id: InviteId(number(row, 0)?), below: below.map_err(broken)?, state };
    Ok((invitation, hash, row.try_get(4)?))
}

fn blob_row(row: &SqliteRow) -> Result<Blob, OpenError> {
    let verifier = |column| bytes(row, column).map(Verifier::from_bytes);
    let verifiers = blobs::Verifiers { write: verifier(2)?, read: verifier(3)? };
    let chunk = rows::chunk_of_number(small(row, 4)?).ok_or_else(|| broken("chunk"))?;
    let (count, written): (u32, u32) = (small(row, 5)?, small(row, 6)?);
    if written > count {
        return Err(broken("a blob has more chunks than it has"));
    }
    let named = (number(row, 0)?, BlobId::from_bytes(bytes(row, 1)?));
    Ok(Blob::new(named, verifiers, (chunk, count), (written, Timestamp(number(row, 7)?))))
}

fn version_row(row: &SqliteRow) -> Result<(u64, EntryMark, VersionHash), OpenError> {
    let kind = rows::entry_kind_of_number(small(row, 2)?).ok_or_else(|| broken("kind"))?;
    let mark = EntryMark { version: number(row, 1)?, kind, bytes: small(row, 4)? };
    Ok((number(row, 0)?, mark, VersionHash::from_bytes(bytes(row, 3)?)))
}

async fn all<T>(
    connection: &mut SqliteConnection,
    text: &'static str,
    parse: impl Fn(&SqliteRow) -> Result<T, OpenError>,
) -> Result<Vec<T>, OpenError> {
    let mut rows = connection.fetch(text);
    let mut all = Vec::new();
    while let Some(row) = rows.try_next().await? {
        all.push(parse(&row)?);
    }
    Ok(all)
}

fn closed_row(row: &SqliteRow) -> Result<Closed, OpenError> {
    Ok(Closed {
        mailbox: MailboxId::from_bytes(bytes(row, 0)?),
        close_hash: bytes(row, 1)?,
        until: Timestamp(number(row, 2)?),
    })
}

fn number(row: &SqliteRow, column: usize) -> Result<u64, OpenError> {
    u64::try_from(row.try_get::<i64, _>(column)?).map_err(broken)
}

fn small<T: TryFrom<i64>>(row: &SqliteRow, column: usize) -> Result<T, OpenError> {
    T::try_from(row.try_get::<i64, _>(column)?).map_err(|_| broken("a number out of range"))
}

fn bytes<const N: usize>(row: &SqliteRow, column: usize) -> Result<[u8; N], OpenError> {
    row.try_get::<&[u8], _>(column)?.try_into().map_err(broken)
}

pub(super) fn broken(error: impl std::fmt::Display) -> OpenError {
    OpenError::Broken(format!("a row is damaged: {error}"))
}

pub(super) const FILE: &str = "mailboxes.sqlite";
const LOCK: &str = "store.lock";
const PAGE: u32 = 8_192;
/// Prepared texts of a connection.
const STATEMENTS: usize = 64;
/// Rows that SQLite's thread may be ahead of whoever reads them.
const AHEAD: usize = 1_024;
/// The log is cut to so many bytes when it begins anew.
const LOG: u64 = 256 << 20;
/// 32 MiB.
const CACHE: &str = "-32768";
