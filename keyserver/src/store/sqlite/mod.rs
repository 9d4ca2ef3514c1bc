//! The store on SQLite. Implements spec/19-keyserver.md §19.10.
//!
//! ```text
//! changes ──▶ writer:  whatever waits, one IMMEDIATE transaction, one fsync ──▶ answers  ┐ one at a time
//! fetches ──▶ taking:  as the writer, for all that use keys up                            ┘
//!             looking: a snapshot for all that wait and use nothing up
//! everything else ──▶ readers: a snapshot each                             checkpoints: a connection of their own
//! ```
//! Invariants: nothing read before a transaction is believed in it, so that processes may share a file; an answer leaves after
//! the commit; the only place besides `invitation`, `name` and the like that knows SQL.
use std::{
    fs::{File, Permissions},
    path::Path,
    sync::Arc,
    time::Duration,
};

use sqlx::{
    ConnectOptions as _, Row as _, SqliteConnection,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
    pool::PoolConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::oneshot;
use waxwing_wire::{
    id::{AccountId, DeviceId, Generation, Sequence},
    keys::ServerPublicKey,
    keyserver::{Bundles, PrekeyIds, PrekeyState},
    listing::Listing,
    name::Name,
    reach::ReachRecord,
    signer::Signer,
    time::Timestamp,
};

pub use self::failure::Kind;
use self::{
    bundles::Wanted,
    checkpoint::Checkpoints,
    failure::unavailable,
    fetcher::{Fetcher, Taking},
    writer::{Job, Writer},
};
use super::{
    Batch, BundlesError, Change, ClaimError, CreateError, DeviceError, Finding, Invitation, InviteId, ListingError,
    NewAccount, NewInvitation, NewManifest, NewName, NumberError, OperatorError, OwnError, PublishError, Stats, Store,
    StoredAccount, StoredHistory, Take, Unavailable, UploadError,
};

mod account;
mod bundles;
mod change;
mod checkpoint;
mod failure;
mod fetcher;
mod found;
mod invitation;
mod name;
mod number;
mod operator;
mod prekeys;
mod reach;
mod verify;
mod writer;

/// What a piece of a transaction comes to: an answer, or an error of the database that undoes all of it.
type Done<T, E> = Result<Result<T, E>, sqlx::Error>;

/// Accounts in one SQLite file, which other processes may share.
#[derive(Debug)]
pub struct SqliteStore {
    writer: Writer,
    taking: Fetcher,
    looking: Fetcher,
    readers: SqlitePool,
    _checkpoints: checkpoint::Task,
}

impl SqliteStore {
    /// Opens the file, makes it if there is none, and brings its tables up to date.
    ///
    /// # Errors
    /// [`OpenError`]: it is no database of ours, of a newer version, or the disk says no.
    pub async fn open(file: &Path) -> Result<Self, OpenError> {
        private(file).map_err(|error| OpenError::Database(error.kind().into()))?;
        let options = options(file);
        let mut connection = connect(&options).await?;
        migrate(&mut connection).await?;
        let readers = SqlitePoolOptions::new().max_connections(READERS);
        let readers = readers.connect_with(options.clone().pragma("query_only", "1")).await?;
        let (turn, checkpoints) = (Arc::default(), Arc::<Checkpoints>::default());
        let _checkpoints = checkpoints.start(options.clone());
        let taking = || Taking { turn: Arc::clone(&turn), checkpoints: Arc::clone(&checkpoints) };
        let fetcher = |taking| Fetcher::start(file, taking).map_err(|error| OpenError::Database(error.kind().into()));
        let (fetching, looking) = (fetcher(Some(taking()))?, fetcher(None)?);
        let writer = Writer::start(options, connection, taking());
        Ok(Self { writer, taking: fetching, looking, readers, _checkpoints })
    }

    /// Ends the writer when it has done what waits, and closes the file.
    pub async fn close(self) {
        self.writer.close().await;
        self.taking.close().await;
        self.looking.close().await;
        self.readers.close().await;
    }

    async fn reader(&self) -> Result<PoolConnection<sqlx::Sqlite>, Unavailable> {
        self.readers.acquire().await.map_err(|error| unavailable(&error))
    }

    /// Runs `work` in the writer's next transaction; answers when that is on stable storage.
    async fn write<T, E, W>(&self, weight: usize, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Unavailable> + Send + 'static,
        W: AsyncWork<T, E>,
    {
        let (answer, answered) = oneshot::channel();
        self.writer.send(Job::work(weight, work, answer)).await?;
        answered.await.unwrap_or_else(|_| Err(Unavailable.into()))
    }
}

/// A closure over the connection. The alias saves four bounds at each use.
pub(super) trait AsyncWork<T, E>:
    for<'c> FnOnce(&'c mut SqliteConnection) -> futures_util::future::BoxFuture<'c, Done<T, E>> + Send + 'static
{
}

impl<T, E, W> AsyncWork<T, E> for W where
    W: for<'c> FnOnce(&'c mut SqliteConnection) -> futures_util::future::BoxFuture<'c, Done<T, E>> + Send + 'static
{
}

/// Why a file was not opened. Safe to log.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OpenError {
    /// The database said no: is the folder writable, the disk full, the file another program's?
    #[error("the database cannot be opened: {0}")]
    Database(Kind),
    /// Written by a newer version, or by nothing of ours.
    #[error("the database has another layout, of a newer version or of another program")]
    Layout,
}

impl From<sqlx::Error> for OpenError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(Kind::of(&error))
    }
}

/// WAL and FULL as measured; 4-KiB pages, because a fetch changes one small row; checkpoints are ours, not a commit's.
fn options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .page_size(4_096)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(false)
        .busy_timeout(BUSY)
        .pragma("wal_autocheckpoint", "0")
        .pragma("cache_size", "-65536")
        .pragma("temp_store", "memory")
        .row_buffer_size(4_096)
        // Not even without their values: nobody reads them, and a slow one would be a warning.
        .disable_statement_logging()
}

/// Makes the file if there is none; nobody but its owner may read it. SQLite gives the files beside it the same mode.
fn private(file: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
    let made = File::options().create(true).truncate(false).write(true).mode(0o600).open(file)?;
    made.set_permissions(Permissions::from_mode(0o600))
}

async fn connect(options: &SqliteConnectOptions) -> Result<SqliteConnection, sqlx::Error> {
    options.connect().await
}

async fn migrate(connection: &mut SqliteConnection) -> Result<(), OpenError> {
    use sqlx::Connection as _;
    let migrations = MIGRATIONS.iter().map(|(version, what, sql)| {
        let sql = sqlx::SqlSafeStr::into_sql_str(*sql);
        Migration::new(*version, (*what).into(), MigrationType::Simple, sql, false)
    });
    let migrator = Migrator::with_migrations(migrations.collect());
    // Two processes may open a new file at once: the second waits for the lock and finds everything done.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    migrator.run(&mut *transaction).await.map_err(|error| match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
        _ => OpenError::Layout,
    })?;
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|_| OpenError::Database(std::io::ErrorKind::Other.into()))?;
    let made = sqlx::query("INSERT INTO meta (only, secret) VALUES (1, ?) ON CONFLICT DO NOTHING");
    made.bind(secret.as_slice()).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

impl Store for SqliteStore {
    async fn create_account(&self, account: NewAccount, now: Timestamp) -> Result<(), CreateError> {
        self.write(SMALL, move |connection| Box::pin(account::create(connection, account, now))).await
    }

    async fn account(&self, account: &AccountId) -> Result<Option<StoredAccount>, Unavailable> {
        account::read(&mut *self.reader().await?, account).await.map_err(|error| unavailable(&error))
    }

    async fn publish(&self, step: NewManifest, now: Timestamp) -> Result<(), PublishError> {
        self.write(SMALL, move |connection| Box::pin(account::publish(connection, step, now))).await
    }

    async fn history(
        &self,
        account: &AccountId,
        from: (Generation, Sequence),
        most: u32,
    ) -> Result<Option<StoredHistory>, Unavailable> {
        let read = account::history(&mut *self.reader().await?, account, from, most).await;
        read.map_err(|error| unavailable(&error))
    }

    async fn store_reach(&self, record: &ReachRecord) -> Result<(), NumberError> {
        let record = record.clone();
        self.write(SMALL, move |connection| Box::pin(reach::store(connection, record))).await
    }

    async fn reach(&self, account: &AccountId) -> Result<Option<Vec<Vec<u8>>>, Unavailable> {
        reach::read(&mut *self.reader().await?, account).await.map_err(|error| unavailable(&error))
    }

    async fn claim_name(&self, claim: NewName, now: Timestamp) -> Result<(), ClaimError> {
        self.write(SMALL, move |connection| Box::pin(name::claim(connection, claim, now))).await
    }

    async fn release_name(&self, by: Signer, name: &Name, now: Timestamp) -> Result<(), OwnError> {
        let name = *name;
        self.write(SMALL, move |connection| Box::pin(name::release(connection, by, name, now))).await
    }

    async fn set_listing(&self, listing: &Listing) -> Result<(), ListingError> {
        let listing = name::NewListing::of(listing);
        self.write(SMALL, move |connection| Box::pin(name::list(connection, listing))).await
    }

    async fn unlist(&self, by: Signer, name: &Name) -> Result<(), OwnError> {
        let name = *name;
        self.write(SMALL, move |connection| Box::pin(name::unlist(connection, by, name))).await
    }

    async fn lookup(&self, name: &Name) -> Result<Option<Vec<u8>>, Unavailable> {
        name::lookup(&mut *self.reader().await?, name).await.map_err(|error| unavailable(&error))
    }

    async fn expire(&self, now: Timestamp) -> Result<(), Unavailable> {
        self.write(SMALL, move |connection| Box::pin(name::expire(connection, now))).await
    }

    async fn upload(&self, batch: Batch) -> Result<PrekeyState, UploadError> {
        let weight = prekeys::weight(&batch);
        self.write(weight, move |connection| Box::pin(prekeys::upload(connection, batch))).await
    }

    async fn prekey_ids(&self, device: Signer) -> Result<PrekeyIds, DeviceError> {
        let read = prekeys::ids(&mut *self.reader().await?, device).await;
        read.unwrap_or_else(|error| Err(unavailable(&error).into()))
    }

    async fn bundles(&self, account: &AccountId, devices: &[DeviceId], take: Take) -> Result<Bundles, BundlesError> {
        let fetcher = if take == Take::OneTime { &self.taking } else { &self.looking };
        fetcher.fetch(Wanted { account: *account, devices: devices.to_vec(), take }).await
    }

    async fn changes(&self, after: u64, most: u32) -> Result<Vec<Change>, Unavailable> {
        change::read(&mut *self.reader().await?, after, most).await.map_err(|error| unavailable(&error))
    }

    async fn secret(&self) -> Result<[u8; 32], Unavailable> {
        let row = sqlx::query("SELECT secret FROM meta").fetch_one(&mut *self.reader().await?).await;
        let secret = row.and_then(|row| row.try_get::<Vec<u8>, _>(0)).map_err(|error| unavailable(&error))?;
        secret.try_into().map_err(|_| Unavailable)
    }

    async fn mint(
        &self,
        invitations: &[NewInvitation],
        below: Option<InviteId>,
        now: Timestamp,
    ) -> Result<Vec<InviteId>, OperatorError> {
        let invitations = invitations.to_vec();
        self.write(SMALL, move |connection| Box::pin(invitation::mint(connection, invitations, below, now))).await
    }

    async fn revoke(&self, invitation: InviteId) -> Result<u64, OperatorError> {
        self.write(SMALL, move |connection| Box::pin(invitation::revoke(connection, invitation))).await
    }

    async fn invitations(&self, after: InviteId, most: u32) -> Result<Vec<Invitation>, Unavailable> {
        invitation::read(&mut *self.reader().await?, after, most).await.map_err(|error| unavailable(&error))
    }

    async fn stats(&self, now: Timestamp) -> Result<Stats, Unavailable> {
        operator::stats(&mut *self.reader().await?, now).await.map_err(|error| unavailable(&error))
    }

    async fn verify(&self, server: &ServerPublicKey) -> Result<Vec<Finding>, Unavailable> {
        verify::everything(&mut *self.reader().await?, server).await.map_err(|error| unavailable(&error))
    }
}

/// One for each statement that is run once and kept for ever; the second word is for the person who reads the table.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "tables", include_str!("migrations/0001_tables.sql")),
    (2, "neighbours", include_str!("migrations/0002_neighbours.sql")),
];
const READERS: u32 = 4;
/// How long one process waits for another's transaction.
const BUSY: Duration = Duration::from_secs(5);
/// What a small change counts in the writer's budget, in bytes.
const SMALL: usize = 16_384;
