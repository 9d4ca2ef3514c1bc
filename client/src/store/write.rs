//! One transaction for a batch. Implements spec/21-client-store.md §21.4.
//!
//! Invariants: a batch is there whole or not at all; when [`save`] says so it is on stable storage.
use std::collections::{HashMap, HashSet};

use sqlx::{Connection as _, SqliteConnection};
use waxwing_engine::store::{Batch, Record, StoredMessage, Write};
use waxwing_wire::id::{AccountId, DeviceId};

use super::{StoreError, epoch::Epoch, events, frame, row, scripts, statements};
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
                add(connection, &std::mem::take(&mut rows)).await?;
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
    add(connection, &rows).await
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

async fn add(connection: &mut SqliteConnection, rows: &[Row<'_>]) -> Result<(), StoreError> {
    for some in rows.chunks(TOGETHER) {
        let add = sqlx::query(statements::add_messages(some.len()));
        let add = some.iter().fold(add, |add, row| {
            let Row { message, conversation, author, side, frame, rest, cut } = row;
            let sent = row::signed(message.sent.0);
            add.bind(conversation)
                .bind(author)
                .bind(side)
                .bind(message.id.as_bytes().as_slice())
                .bind(message.device.value())
                .bind(row::signed(message.sequence))
                .bind(sent)
                .bind(row::signed(message.stored.0).saturating_sub(sent))
                .bind(row::state_number(message.state))
                .bind(message.text.chars().any(scripts::is_unspaced))
                .bind(message.text.as_str())
                .bind(frame)
                .bind(rest.as_slice())
                .bind(cut)
        });
        add.execute(&mut *connection).await?;
    }
    Ok(())
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
