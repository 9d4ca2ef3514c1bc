//! One transaction for a batch. Implements spec/21-client-store.md §21.4.
//!
//! Invariants: a batch is there whole or not at all; when [`save`] says so it is on stable storage.
use sqlx::{Connection as _, SqliteConnection};
use waxwing_engine::store::{Batch, Record, StoredMessage, Write};
use waxwing_wire::id::AccountId;

use super::{StoreError, epoch::Epoch, events, row, scripts, statements};
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
    for write in batch.writes() {
        apply(&mut transaction, write).await?;
    }
    let event = events::add(&mut transaction, told).await?;
    let saves = Epoch::next(&mut transaction).await?;
    transaction.commit().await?;
    Ok(Saved { event, saves: Some(saves) })
}

async fn apply(connection: &mut SqliteConnection, write: &Write) -> Result<(), StoreError> {
    match write {
        Write::Put(Record { table, key, value }) => {
            let put = sqlx::query(statements::PUT).bind(table.number()).bind(key.as_slice()).bind(value.as_slice());
            put.execute(connection).await?;
        }
        Write::Delete { table, key } => {
            sqlx::query(statements::DELETE).bind(table.number()).bind(key.as_slice()).execute(connection).await?;
        }
        Write::Message(message) => add(connection, message).await?,
        Write::MessageState { conversation, id, state } => {
            let state = row::state_number(*state);
            let update = sqlx::query(statements::STATE).bind(conversation.as_bytes().as_slice());
            update.bind(id.as_bytes().as_slice()).bind(state).execute(connection).await?;
        }
        Write::Read { conversation, device, sequence } => {
            let (conversation, _) = account(connection, conversation).await?;
            mark(connection, conversation, device.value(), row::signed(*sequence)).await?;
        }
    }
    Ok(())
}

async fn add(connection: &mut SqliteConnection, message: &StoredMessage) -> Result<(), StoreError> {
    let (conversation, peer) = account(connection, &message.conversation).await?;
    let (_, author) = account(connection, &message.author).await?;
    let theirs = author == peer;
    let (content, cut) = row::split(&message.content, &message.text);
    let add = sqlx::query(statements::ADD_MESSAGE)
        .bind(conversation)
        .bind(author)
        .bind(message.id.as_bytes().as_slice())
        .bind(message.device.value())
        .bind(row::signed(message.sequence))
        .bind(row::signed(message.sent.0))
        .bind(row::signed(message.stored.0))
        .bind(row::state_number(message.state))
        .bind(theirs)
        .bind(message.text.chars().any(scripts::is_unspaced))
        .bind(message.text.as_str())
        .bind(content.as_slice())
        .bind(cut);
    add.execute(&mut *connection).await?;
    if theirs {
        mark(connection, conversation, message.device.value(), 0).await?;
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

/// Number and rank of an account, which it gets the first time it is named.
async fn account(connection: &mut SqliteConnection, id: &AccountId) -> Result<(i64, i64), StoreError> {
    let mut rank = row::rank(id);
    loop {
        let known = sqlx::query_as(statements::ACCOUNT).bind(id.as_bytes().as_slice());
        if let Some(known) = known.fetch_optional(&mut *connection).await? {
            return Ok(known);
        }
        let added = sqlx::query(statements::ADD_ACCOUNT).bind(id.as_bytes().as_slice()).bind(rank);
        if added.execute(&mut *connection).await?.rows_affected() == 0 {
            // Taken by an account whose id begins with the same eight bytes.
            rank = rank.wrapping_add(1);
        }
    }
}
