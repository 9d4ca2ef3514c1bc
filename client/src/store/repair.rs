//! Taking what reads out of a damaged database. Implements spec/21-client-store.md §21.8.
//!
//! ```text
//! store.db ──row ranges, halved where one does not read──▶ store.db.salvage ─▶ store.db.next ─▶ store.db
//!     └────────────────────────────────────────────────────────────────────────────────────▶ store.db.damaged
//! ```
//! Invariants: the damaged database is only read, and kept; the new one takes its place whole or not at all; a row is taken as it
//! was authenticated, or not at all.
use sqlx::{
    ConnectOptions as _, Connection as _, Row as _, SqliteConnection, TypeInfo as _, ValueRef as _,
    sqlite::{SqliteQueryResult, SqliteRow},
};

use super::{
    EncryptedStore, OpenError, Profile, StoreError, Unlock,
    block::Block,
    folder::{DATABASE, Folder, NEXT, SALVAGE},
    key::StoreKey,
    open, packing, statements,
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
    add(&mut target, Goes::Row(salvage::SET_EPOCH), &epoch).await?;
    let accounts = (salvage::LAST_ACCOUNT, salvage::ACCOUNTS, Goes::Row(salvage::ADD_ACCOUNT));
    table(source, &mut target, accounts).await?;
    let records = (salvage::LAST_RECORD, salvage::RECORDS, Goes::Row(salvage::ADD_RECORD));
    let (records, records_lost) = table(source, &mut target, records).await?;
    let (messages, messages_lost) = messages(source, &mut target).await?;
    let markers = source.rows(salvage::MARKERS, (0, 0)).await.unwrap_or_default();
    let (markers, _) = add(&mut target, Goes::Row(salvage::ADD_MARKER), &markers).await?;
    target.close().await?;
    Ok(Salvage { messages, messages_lost, records, records_lost, markers })
}

/// Messages of whatever layout, with their frames and texts: how many were read, and how many were not. Those whose text does not read are lost.
async fn messages(source: &mut Source<'_>, target: &mut SqliteConnection) -> Result<(u64, u64), OpenError> {
    let has_blocks = source.last(salvage::HAS_BLOCKS).await.is_ok_and(|count| count > 0);
    let has_frames = source.last(salvage::HAS_FRAMES).await.is_ok_and(|count| count > 0);
    if has_frames {
        table(source, target, (salvage::LAST_FRAME, salvage::FRAMES, Goes::Row(salvage::ADD_FRAME))).await?;
    }
    let rows = match (has_blocks, has_frames) {
        (true, _) => salvage::MESSAGES,
        (false, true) => salvage::MESSAGES_6,
        (false, false) => salvage::MESSAGES_BEFORE,
    };
    let (read, lost) = table(source, target, (salvage::LAST_MESSAGE, rows, Goes::Row(salvage::ADD_MESSAGE))).await?;
    let text = Goes::Row(salvage::ADD_TEXT);
    if has_blocks {
        table(source, target, (salvage::LAST_BLOCK, salvage::BLOCKS, Goes::Texts)).await?;
        table(source, target, (salvage::LAST_LOOSE, salvage::LOOSE, text)).await?;
    } else {
        table(source, target, (salvage::LAST_MESSAGE, salvage::TEXTS, text)).await?;
    }
    let mut transaction = target.begin_with(statements::BEGIN).await?;
    let textless = sqlx::query(salvage::DELETE_TEXTLESS).execute(&mut *transaction).await?.rows_affected();
    packing::settle(&mut transaction).await?;
    transaction.commit().await?;
    Ok((read.saturating_sub(textless), lost.saturating_add(textless)))
}

/// What ends a table, what reads a range of it, where its rows go.
type Table = (&'static str, &'static str, Goes);

#[derive(Clone, Copy)]
enum Goes {
    /// As they are, by this statement.
    Row(&'static str),
    /// They are blocks of texts, which are written one by one.
    Texts,
}

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
async fn add(target: &mut SqliteConnection, into: Goes, rows: &[SqliteRow]) -> Result<(u64, u64), OpenError> {
    let (mut added, mut refused) = (0_u64, 0_u64);
    let mut transaction = target.begin_with(statements::BEGIN).await?;
    for row in rows {
        let written = match into {
            Goes::Row(statement) => bound(statement, row)?.execute(&mut *transaction).await,
            Goes::Texts => unpack(&mut transaction, row).await,
        };
        match written {
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

/// Writes the texts of a block; none of one that does not unpack.
async fn unpack(target: &mut SqliteConnection, row: &SqliteRow) -> Result<SqliteQueryResult, sqlx::Error> {
    let first = row.try_get("first")?;
    let mut written = SqliteQueryResult::default();
    if let Ok(block) = Block::unpack(first, row.try_get("bytes")?) {
        for (number, text) in block.iter() {
            written.extend([sqlx::query(salvage::ADD_TEXT).bind(number).bind(text).execute(&mut *target).await?]);
        }
    }
    Ok(written)
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

#[cfg(test)]
mod tests {
    use waxwing_engine::{
        State,
        store::{Batch, Store as _, StoredMessage, Write},
    };
    use waxwing_wire::{
        content::{Body, ChainHash, Content, Conversation, MessageId, Text},
        id::{AccountId, DeviceId, Generation, Sequence},
        manifest::{ContentHash, ManifestReference},
        time::Timestamp,
    };

    use super::*;
    use crate::store::Protection;

    /// A text from one of two devices, whose contents have a frame each.
    fn message(number: u8) -> StoredMessage {
        let (own, peer) = (AccountId::from_bytes([0xa1; 32]), AccountId::from_bytes([0xb0; 32]));
        let content = ContentHash::from_bytes([number % 2; 32]);
        let text = Text { text: "hello".into(), mentions: Vec::new(), attachments: Vec::new(), view_once: false };
        let content = Content {
            id: MessageId::from_bytes([number; 16]),
            sent: Timestamp(u64::from(number)),
            sequence: 1,
            previous: ChainHash::NONE,
            conversation: Conversation::Account(own),
            own_manifest: ManifestReference { generation: Generation(0), sequence: Sequence(1), content },
            your_manifest: None,
            expires_after: 0,
            reply_to: None,
            fallback: String::new(),
            body: Body::Text(text),
            identity: None,
            extensions: Vec::new(),
        };
        StoredMessage {
            conversation: peer,
            id: content.id,
            author: peer,
            device: DeviceId::MIN,
            sequence: 1,
            sent: content.sent,
            stored: content.sent,
            state: State::Delivered,
            text: "hello".into(),
            content: content.encode().unwrap(),
        }
    }

    async fn frames(store: &mut EncryptedStore) -> Vec<(i64, i64)> {
        let connection = store.writer.connection().await.unwrap();
        let frames = sqlx::query_as("SELECT number, uses FROM frame ORDER BY number").fetch_all(connection).await;
        store.writer.settle(Ok(())).unwrap();
        frames.unwrap()
    }

    #[tokio::test]
    async fn a_message_without_its_frame_is_saved_without_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = EncryptedStore::create(folder.path(), Protection::None).await.unwrap();
        let all: Batch = (1..=4).map(|number| Write::Message(message(number))).collect();
        store.save(&all).await.unwrap();
        let kept = store.page(&message(1).conversation, None, 9).await.unwrap();
        assert_eq!(kept, [4, 3, 2, 1].map(message), "what was saved is what is read");
        assert_eq!(frames(&mut store).await, [(0, 0), (1, 2), (2, 2)]);
        let connection = store.writer.connection().await.unwrap();
        for spoil in ["PRAGMA foreign_keys = OFF", "DELETE FROM frame WHERE number = 1", "PRAGMA foreign_keys = ON"] {
            sqlx::query(spoil).execute(&mut *connection).await.unwrap();
        }
        store.writer.settle(Ok(())).unwrap();
        store.close().await.unwrap();

        let salvage = EncryptedStore::repair(folder.path(), Unlock::None).await.unwrap();
        assert_eq!((salvage.messages, salvage.messages_lost), (4, 0));
        let mut store = EncryptedStore::open(folder.path(), Unlock::None).await.unwrap();
        let bare = |number| StoredMessage { content: Vec::new(), ..message(number) };
        let saved = store.page(&message(1).conversation, None, 9).await.unwrap();
        assert_eq!(saved, [message(4), bare(3), message(2), bare(1)]);
        assert_eq!(frames(&mut store).await, [(0, 0), (2, 2)]);
        assert_eq!(store.check().await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_frame_goes_with_its_last_message() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = EncryptedStore::create(folder.path(), Protection::None).await.unwrap();
        let all: Batch = (1..=4).map(|number| Write::Message(message(number))).collect();
        store.save(&all).await.unwrap();
        // Nothing is added twice, and counted once.
        store.save(&all).await.unwrap();
        assert_eq!(frames(&mut store).await, [(0, 0), (1, 2), (2, 2)]);
        store.forget_before(Timestamp(4), None).await.unwrap();
        assert_eq!(frames(&mut store).await, [(0, 0), (2, 1)]);
        store.forget_before(Timestamp(9), None).await.unwrap();
        assert_eq!(frames(&mut store).await, [(0, 0)]);
    }
}
