//! Events until they were acknowledged, and the leaves of servers. Implements spec/21-client-store.md §21.10.
//!
//! Invariants: an event is on stable storage with what it tells of; a cursor means one event for ever; the newest [`KEPT`] are there.
use sqlx::SqliteConnection;
use waxwing_engine::store::Batch;

use super::{EncryptedStore, Reader, StoreError, read::count, row, statements, write};
use crate::{Cursor, Event};

impl EncryptedStore {
    /// Applies a batch and what is told of it in one transaction; the newest event is told apart, if there is one.
    pub(crate) async fn save_with(&mut self, batch: &Batch, events: &[Event]) -> Result<Option<Cursor>, StoreError> {
        let saved = write::save(self.writer.connection().await?, batch, events).await;
        let saved = self.writer.settle(saved)?;
        if let (Some(note), Some(saves)) = (&self.note, saved.saves) {
            note.follow(saves);
        }
        Ok(saved.event)
    }

    /// Whether something can be written: writes a number that says nothing.
    pub(crate) async fn probe(&mut self) -> Result<(), StoreError> {
        let probed = probe(self.writer.connection().await?).await;
        self.writer.settle(probed)
    }

    /// A program has every event up to this one. An earlier one than before changes nothing.
    pub(crate) async fn acknowledge(&mut self, consumer: &str, cursor: Cursor) -> Result<(), StoreError> {
        let newest = self.reader.newest_event().await?;
        // One from before a repair, or invented.
        let cursor = cursor.min(newest);
        self.execute(sqlx::query(statements::ACKNOWLEDGE).bind(consumer).bind(row::signed(cursor.0))).await
    }

    /// Forgets how far a program has come.
    pub(crate) async fn forget_consumer(&mut self, consumer: &str) -> Result<(), StoreError> {
        self.execute(sqlx::query(statements::FORGET_CONSUMER).bind(consumer)).await
    }

    /// The highest leaf that each server showed, by the server's key.
    pub(crate) async fn leaves(&self) -> Result<Vec<([u8; 32], u64)>, StoreError> {
        let rows: Vec<(Vec<u8>, i64)> = sqlx::query_as(statements::LEAVES).fetch_all(&self.reader.pool).await?;
        let leaf = |(server, number): (Vec<u8>, i64)| {
            Ok((server.try_into().map_err(|_| StoreError::Damaged)?, row::unsigned(number)))
        };
        rows.into_iter().map(leaf).collect()
    }

    /// A server showed this leaf; a lower one than before changes nothing.
    pub(crate) async fn saw_leaf(&mut self, server: &[u8; 32], number: u64) -> Result<(), StoreError> {
        self.execute(sqlx::query(statements::SAW_LEAF).bind(server.as_slice()).bind(row::signed(number))).await
    }

    async fn execute(&mut self, query: Query<'_>) -> Result<(), StoreError> {
        let executed = query.execute(self.writer.connection().await?).await;
        self.writer.settle(executed.map_err(StoreError::from))?;
        Ok(())
    }
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

async fn probe(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let number: i64 = sqlx::query_scalar(statements::PROBED).fetch_one(&mut *connection).await?;
    sqlx::query(statements::probe(number)).execute(connection).await?;
    Ok(())
}

impl Reader {
    /// At most `limit` events after a cursor, oldest first. If some are gone that came after it, [`Event::Missed`] comes first, and
    /// its cursor is before the first that is there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn events(&self, after: Cursor, limit: usize) -> Result<Vec<(Cursor, Event)>, StoreError> {
        let rows = sqlx::query_as(statements::EVENTS).bind(row::signed(after.0)).bind(count(limit));
        let rows: Vec<(i64, String)> = rows.fetch_all(&self.pool).await?;
        let newest = self.newest_event().await?;
        let first = rows.first().map(|(number, _)| row::unsigned(*number));
        let mut events = Vec::new();
        match first {
            // From before a repair: what came since is told from the beginning.
            None if after > newest => events.push((Cursor(0), Event::Missed)),
            Some(first) if first > after.0.saturating_add(1) => {
                events.push((Cursor(first.saturating_sub(1)), Event::Missed));
            }
            _ => {}
        }
        for (number, body) in rows {
            let event = serde_json::from_str(&body).map_err(|_| StoreError::Damaged)?;
            events.push((Cursor(row::unsigned(number)), event));
        }
        Ok(events)
    }

    /// The newest event's cursor.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn newest_event(&self) -> Result<Cursor, StoreError> {
        let newest: Option<i64> = sqlx::query_scalar(statements::NEWEST_EVENT).fetch_one(&self.pool).await?;
        Ok(Cursor(newest.map(row::unsigned).unwrap_or_default()))
    }

    /// How far a program has come; none if it never said.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn acknowledged(&self, consumer: &str) -> Result<Option<Cursor>, StoreError> {
        let acked: Option<i64> =
            sqlx::query_scalar(statements::ACKNOWLEDGED).bind(consumer).fetch_optional(&self.pool).await?;
        Ok(acked.map(|acked| Cursor(row::unsigned(acked))))
    }
}

/// Adds events, and forgets the oldest of too many; the last one's cursor.
pub(super) async fn add(connection: &mut SqliteConnection, events: &[Event]) -> Result<Option<Cursor>, StoreError> {
    if events.is_empty() {
        return Ok(None);
    }
    let bodies: Result<Vec<String>, _> = events.iter().map(serde_json::to_string).collect();
    let bodies = bodies.and_then(|bodies| serde_json::to_string(&bodies)).map_err(|_| StoreError::Unavailable)?;
    // One statement for all: each goes to another thread and back.
    let added = sqlx::query(statements::ADD_EVENTS).bind(bodies).execute(&mut *connection).await?;
    sqlx::query(statements::TRIM_EVENTS).bind(KEPT).execute(&mut *connection).await?;
    Ok(Some(Cursor(row::unsigned(added.last_insert_rowid()))))
}

/// So many of the newest: months of a busy account.
const KEPT: i64 = 100_000;
