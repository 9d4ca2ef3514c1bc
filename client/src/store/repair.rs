//! Taking what reads out of a damaged database. Implements spec/21-client-store.md §21.8.
//!
//! ```text
//! store.db ──row ranges, halved where one does not read──▶ store.db.salvage ─▶ store.db.next ─▶ store.db
//!     └────────────────────────────────────────────────────────────────────────────────────▶ store.db.damaged
//! ```
//! Invariants: the damaged database is only read, and kept; the new one takes its place whole or not at all; a row is taken as it
//! was authenticated, or not at all.
use sqlx::{
    ConnectOptions as _, Connection as _, Row as _, SqliteConnection, TypeInfo as _, ValueRef as _, sqlite::SqliteRow,
};

use super::{
    EncryptedStore, OpenError, Profile, StoreError, Unlock,
    folder::{DATABASE, Folder, NEXT, SALVAGE},
    key::StoreKey,
    open, statements,
    statements::salvage,
};

/// What a repair found.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Salvage {
    /// Messages that were read.
    pub messages: u64,
    /// Messages that were not: at most so many of the numbers that were tried, since one that does not read may have been deleted
    /// before. If even the table's root does not read, it is given up after some.
    pub messages_lost: u64,
    /// Records of the engine that were read.
    pub records: u64,
    /// Records that were not, likewise. If there are any, this device may miss keys: link it anew.
    pub records_lost: u64,
    /// Read markers that were read; without one, messages that were read count as unread.
    pub markers: u64,
}

impl EncryptedStore {
    /// Makes a new database of everything that still reads, and puts it into the place of the old one, which is kept beside it as
    /// `store.db.damaged` until the next repair.
    ///
    /// # Errors
    /// As [`Self::open`]. [`OpenError::Damaged`]: nothing reads. The profile is as it was then.
    pub async fn repair(profile: impl Into<Profile>, unlock: Unlock) -> Result<Salvage, OpenError> {
        let (folder, key) = open::unlock_folder(&profile.into(), unlock).await?;
        open::finish_replacement(&folder)?;
        if !folder.has(DATABASE) {
            return Err(OpenError::NoDatabase);
        }
        let mut source = Source { folder: &folder, key: &key, connection: None, patience: PATIENCE };
        // If not even the tables' names read, nothing will.
        source.rows(salvage::TABLES, (0, 0)).await?;
        open::make_database(&folder, SALVAGE, &key).await?;
        let salvaged = copy(&mut source, &folder, &key).await;
        source.close().await;
        if salvaged.is_err() {
            folder.remove_database(SALVAGE)?;
        }
        let salvaged = salvaged?;
        folder.rename_database(SALVAGE, NEXT)?;
        open::finish_replacement(&folder)?;
        Ok(salvaged)
    }
}

async fn copy(source: &mut Source<'_>, folder: &Folder, key: &StoreKey) -> Result<Salvage, OpenError> {
    let mut target = open::connect(folder, SALVAGE, key).await?;
    // Of an older layout, or damaged: then it is as a profile that is opened here for the first time.
    let epoch = source.rows(statements::EPOCH, (0, 0)).await.unwrap_or_default();
    add(&mut target, salvage::SET_EPOCH, &epoch).await?;
    let accounts = (salvage::LAST_ACCOUNT, salvage::ACCOUNTS, salvage::ADD_ACCOUNT);
    table(source, &mut target, accounts).await?;
    let records = (salvage::LAST_RECORD, salvage::RECORDS, salvage::ADD_RECORD);
    let (records, records_lost) = table(source, &mut target, records).await?;
    let messages = (salvage::LAST_MESSAGE, salvage::MESSAGES, salvage::ADD_MESSAGE);
    let (messages, messages_lost) = table(source, &mut target, messages).await?;
    let markers = source.rows(salvage::MARKERS, (0, 0)).await.unwrap_or_default();
    let (markers, _) = add(&mut target, salvage::ADD_MARKER, &markers).await?;
    target.close().await?;
    Ok(Salvage { messages, messages_lost, records, records_lost, markers })
}

/// What ends a table, what reads a range of it, what writes a row.
type Table = (&'static str, &'static str, &'static str);

/// Copies what reads of a table: how many rows, and how many numbers did not read.
async fn table(
    source: &mut Source<'_>,
    target: &mut SqliteConnection,
    (last, read, write): Table,
) -> Result<(u64, u64), OpenError> {
    let (mut copied, mut lost) = (0_u64, 0_u64);
    let last = source.last(last).await.unwrap_or(UNKNOWN_LAST);
    let mut first = 1;
    source.patience = PATIENCE;
    while first <= last && source.patience > 0 {
        let end = last.min(first.saturating_add(PIECE).saturating_sub(1));
        // Ranges still to be read, the next one last.
        let mut ranges = vec![(first, end)];
        while let Some((from, to)) = ranges.pop() {
            match source.rows(read, (from, to)).await {
                Ok(rows) => {
                    // Where something reads there may be more.
                    let more = if rows.is_empty() { 0 } else { PATIENCE };
                    source.patience = source.patience.max(more);
                    let (added, refused) = add(target, write, &rows).await?;
                    copied = copied.saturating_add(added);
                    lost = lost.saturating_add(refused);
                }
                Err(_) if from < to && source.patience > 0 => {
                    let middle = from.midpoint(to);
                    ranges.extend([(middle.saturating_add(1), to), (from, middle)]);
                }
                Err(_) => {
                    let numbers = u64::try_from(to.saturating_sub(from)).unwrap_or_default();
                    lost = lost.saturating_add(numbers).saturating_add(1);
                }
            }
        }
        first = end.saturating_add(1);
    }
    Ok((copied, lost))
}

/// Writes rows; those that hang from something that did not read are refused.
async fn add(
    target: &mut SqliteConnection,
    statement: &'static str,
    rows: &[SqliteRow],
) -> Result<(u64, u64), OpenError> {
    let (mut added, mut refused) = (0_u64, 0_u64);
    let mut transaction = target.begin_with(statements::BEGIN).await?;
    for row in rows {
        match bound(statement, row)?.execute(&mut *transaction).await {
            Ok(done) => {
                added = added.saturating_add(done.rows_affected());
                refused = refused.saturating_add(1_u64.saturating_sub(done.rows_affected()));
            }
            Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() || error.is_check_violation() => {
                refused = refused.saturating_add(1);
            }
            Err(error) => return Err(error.into()),
        }
    }
    transaction.commit().await?;
    Ok((added, refused))
}

type Query = sqlx::query::Query<'static, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

/// A statement with a row's columns, whatever they are.
fn bound(statement: &'static str, row: &SqliteRow) -> Result<Query, StoreError> {
    let mut query = sqlx::query(statement);
    for column in 0..row.len() {
        let value = row.try_get_raw(column)?;
        let (kind, null) = (value.type_info().name().to_owned(), value.is_null());
        query = match kind.as_str() {
            _ if null => query.bind(None::<i64>),
            "TEXT" => query.bind(row.try_get_unchecked::<String, _>(column)?),
            "BLOB" => query.bind(row.try_get_unchecked::<Vec<u8>, _>(column)?),
            _ => query.bind(row.try_get_unchecked::<i64, _>(column)?),
        };
    }
    Ok(query)
}

/// The damaged database. After a page that does not read a connection reads nothing any more, so that each error needs another one.
struct Source<'f> {
    folder: &'f Folder,
    key: &'f StoreKey,
    connection: Option<SqliteConnection>,
    /// How many more errors are worth another try at a smaller range.
    patience: u32,
}

impl Source<'_> {
    async fn last(&mut self, statement: &'static str) -> Result<i64, StoreError> {
        let rows = self.rows(statement, (0, 0)).await?;
        let last = rows.first().ok_or(StoreError::Damaged)?.try_get::<Option<i64>, _>(0)?;
        Ok(last.unwrap_or_default())
    }

    async fn rows(&mut self, statement: &'static str, (from, to): (i64, i64)) -> Result<Vec<SqliteRow>, StoreError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => open::looking(self.folder, DATABASE, self.key).connect().await?,
        };
        let query = sqlx::query(statement);
        let query = if statement.contains('?') { query.bind(from).bind(to) } else { query };
        match query.fetch_all(&mut connection).await {
            Ok(rows) => {
                self.connection = Some(connection);
                Ok(rows)
            }
            Err(error) => {
                self.patience = self.patience.saturating_sub(1);
                // It has nothing to say any more.
                let _ = connection.close().await;
                Err(error.into())
            }
        }
    }

    async fn close(self) {
        if let Some(connection) = self.connection {
            let _ = connection.close().await;
        }
    }
}

/// Rows that are read and written at once.
const PIECE: i64 = 512;
/// Where a table ends whose end does not read.
const UNKNOWN_LAST: i64 = 1 << 22;
/// Errors in a row, without a row that reads, after which a table is given up: several pages of rows.
const PATIENCE: u32 = 200;
