//! One transaction for a batch. Implements spec/21-client-store.md §21.4.
//!
//! Invariants: a batch is there whole or not at all; when [`save`] says so it is on stable storage.
use std::collections::{HashMap, HashSet};

use sqlx::{Connection as _, SqliteConnection};
use waxwing_engine::store::{Batch, Record, StoredMessage, Write};
use waxwing_wire::id::{AccountId, DeviceId};

use super::{
    StoreError,
    epoch::Epoch,
    events, frame,
    packing::{self, Loose, Text},
    row, statements,
};
use crate::{Cursor, Event};

/// What is on stable storage now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Saved {
    /// The newest event that was told, if any.
    pub(super) event: Option<Cursor>,
    /// How many batches there were, ever; none if there was nothing to save.
    pub(super) saves: Option<u64>,
}

/// Applies a batch, and keeps what is told of it.
pub(super) async fn save(
    connection: &mut SqliteConnection,
    batch: &Batch,
    told: &[Event],
) -> Result<Saved, StoreError> {
    if batch.is_empty() && told.is_empty() {
        return Ok(Saved { event: None, saves: None });
    }
    let mut transaction = connection.begin_with(statements::BEGIN).await?;
    write(&mut transaction, batch.writes()).await?;
    let event = events::add(&mut transaction, told).await?;
    let saves = Epoch::next(&mut transaction).await?;
    transaction.commit().await?;
    Ok(Saved { event, saves: Some(saves) })
}

async fn write(connection: &mut SqliteConnection, writes: &[Write]) -> Result<(), StoreError> {
    let (mut known, mut puts, mut rows) = (Known::default(), Vec::new(), Vec::new());
    let mut added = Added::default();
    for write in lasting(writes) {
        match write {
            Write::Put(record) => puts.push(record),
            Write::Delete { table, key } => {
                let delete = sqlx::query(statements::DELETE).bind(table.number()).bind(key.as_slice());
                delete.execute(&mut *connection).await?;
            }
            Write::Message(message) => rows.push(row(connection, &mut known, message).await?),
            Write::MessageState { conversation, id, state } => {
                // It may be one of these.
                added.add(connection, &std::mem::take(&mut rows)).await?;
                let update = sqlx::query(statements::STATE).bind(conversation.as_bytes().as_slice());
                let update = update.bind(id.as_bytes().as_slice()).bind(row::state_number(*state));
                update.execute(&mut *connection).await?;
            }
            Write::Read { conversation, device, sequence } => {
                let conversation = known.account(connection, conversation).await?;
                mark(connection, conversation, device.value(), row::signed(*sequence)).await?;
            }
        }
    }
    put(connection, &puts).await?;
    added.add(connection, &rows).await?;
    match added.loose {
        Some(loose) => packing::add(connection, loose, added.texts).await,
        None => Ok(()),
    }
}

/// Without records that the same batch writes again: a session is written with each of the hundreds of messages that were opened with it.
/// No record is named twice in what is left, so that puts and deletes may be done in any order.
fn lasting(writes: &[Write]) -> impl Iterator<Item = &Write> {
    let mut later = HashSet::new();
    let mut lasting: Vec<&Write> = writes
        .iter()
        .rev()
        .filter(|write| match write {
            Write::Put(Record { table, key, .. }) | Write::Delete { table, key } => later.insert((*table, key)),
            Write::Message(_) | Write::MessageState { .. } | Write::Read { .. } => true,
        })
        .collect();
    lasting.reverse();
    lasting.into_iter()
}

async fn put(connection: &mut SqliteConnection, records: &[&Record]) -> Result<(), StoreError> {
    for some in records.chunks(TOGETHER) {
        let put = sqlx::query(statements::put(some.len()));
        let put = some.iter().fold(put, |put, Record { table, key, value }| {
            put.bind(table.number()).bind(key.as_slice()).bind(value.as_slice())
        });
        put.execute(&mut *connection).await?;
    }
    Ok(())
}

/// A message and what it is stored with.
struct Row<'m> {
    message: &'m StoredMessage,
    conversation: i64,
    author: i64,
    side: i64,
    frame: i64,
    rest: Vec<u8>,
    cut: i64,
}

async fn row<'m>(
    connection: &mut SqliteConnection,
    known: &mut Known,
    message: &'m StoredMessage,
) -> Result<Row<'m>, StoreError> {
    let conversation = known.account(connection, &message.conversation).await?;
    let author = known.account(connection, &message.author).await?;
    let side = row::side(&message.author, &message.conversation);
    let (frame, rest, cut) = match frame::take_apart(message) {
        Some(parts) => (known.frame(connection, parts.frame).await?, parts.rest, 0),
        None => {
            let (rest, cut) = row::split(&message.content, &message.text);
            (NO_FRAME, rest, cut)
        }
    };
    if side == row::THEIRS && known.marked.insert((conversation, message.device)) {
        mark(connection, conversation, message.device.value(), 0).await?;
    }
    Ok(Row { message, conversation, author, side, frame, rest, cut })
}

/// Messages that this batch added.
#[derive(Default)]
struct Added<'m> {
    newest: i64,
    /// None until the first is added.
    loose: Option<Loose>,
    texts: Vec<Text<'m>>,
}

impl<'m> Added<'m> {
    /// Those that are not there yet. They get the numbers after the newest one's; a number that its message did not need stays free.
    async fn add(&mut self, connection: &mut SqliteConnection, rows: &[Row<'m>]) -> Result<(), StoreError> {
        if self.loose.is_none() && !rows.is_empty() {
            let newest: (i64, i64, i64) = sqlx::query_as(statements::NEWEST).fetch_one(&mut *connection).await?;
            (self.newest, self.loose) = (newest.0, Some(Loose { texts: newest.1, bytes: newest.2 }));
        }
        for some in rows.chunks(TOGETHER) {
            let numbers = self.newest.saturating_add(1)..;
            let mut add = sqlx::query_scalar(statements::add_messages(some.len()));
            for (row, number) in some.iter().zip(numbers.clone()) {
                add = row.bind(add, number);
            }
            let added: Vec<i64> = add.fetch_all(&mut *connection).await?;
            for (row, number) in some.iter().zip(numbers) {
                self.newest = number;
                if added.contains(&number) {
                    self.texts.push(row.text(number));
                }
            }
        }
        Ok(())
    }
}

type Numbers<'q> = sqlx::query::QueryScalar<'q, sqlx::Sqlite, i64, sqlx::sqlite::SqliteArguments>;

impl<'m> Row<'m> {
    fn bind<'q>(&self, add: Numbers<'q>, number: i64) -> Numbers<'q> {
        let Self { message, conversation, author, side, frame, rest, cut } = self;
        let sent = row::signed(message.sent.0);
        add.bind(number)
            .bind(*conversation)
            .bind(*author)
            .bind(*side)
            .bind(message.id.as_bytes().to_vec())
            .bind(message.device.value())
            .bind(row::signed(message.sequence))
            .bind(sent)
            .bind(row::signed(message.stored.0).saturating_sub(sent))
            .bind(row::state_number(message.state))
            .bind(*frame)
            .bind(rest.clone())
            .bind(*cut)
    }

    fn text(&self, number: i64) -> Text<'m> {
        let (conversation, text) = (self.conversation, self.message.text.as_str().into());
        Text { number, conversation, stored: row::signed(self.message.stored.0), text }
    }
}

/// Moves a marker forward; makes it, if this device never wrote.
async fn mark(
    connection: &mut SqliteConnection,
    conversation: i64,
    device: u8,
    sequence: i64,
) -> Result<(), StoreError> {
    sqlx::query(statements::READ).bind(conversation).bind(device).bind(sequence).execute(connection).await?;
    Ok(())
}

/// What this batch has looked up or made.
#[derive(Default)]
struct Known {
    accounts: HashMap<AccountId, i64>,
    frames: HashMap<Vec<u8>, i64>,
    /// Whose devices have a marker.
    marked: HashSet<(i64, DeviceId)>,
}

impl Known {
    /// An account's number, which it gets the first time it is named.
    async fn account(&mut self, connection: &mut SqliteConnection, id: &AccountId) -> Result<i64, StoreError> {
        if let Some(number) = self.accounts.get(id) {
            return Ok(*number);
        }
        let number = numbered(connection, (statements::ACCOUNT, statements::ADD_ACCOUNT), id.as_bytes()).await?;
        self.accounts.insert(*id, number);
        Ok(number)
    }

    /// A frame's, likewise.
    async fn frame(&mut self, connection: &mut SqliteConnection, bytes: Vec<u8>) -> Result<i64, StoreError> {
        if let Some(number) = self.frames.get(&bytes) {
            return Ok(*number);
        }
        let number = numbered(connection, (statements::FRAME, statements::ADD_FRAME), &bytes).await?;
        self.frames.insert(bytes, number);
        Ok(number)
    }
}

async fn numbered(
    connection: &mut SqliteConnection,
    (look, add): (&'static str, &'static str),
    bytes: &[u8],
) -> Result<i64, StoreError> {
    if let Some(number) = sqlx::query_scalar(look).bind(bytes).fetch_optional(&mut *connection).await? {
        return Ok(number);
    }
    Ok(sqlx::query(add).bind(bytes).execute(connection).await?.last_insert_rowid())
}

/// Rows of one statement.
const TOGETHER: usize = 16;
/// Of a content that is kept as it came.
const NO_FRAME: i64 = 0;
