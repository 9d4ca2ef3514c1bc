//! Pages and counts. Implements spec/21-client-store.md §21.4.
use sqlx::{Row as _, SqlitePool, sqlite::SqliteRow};
use waxwing_engine::store::{Position, Record, StoredMessage, Table};
use waxwing_wire::{content::MessageId, id::AccountId};

use super::{StoreError, row, sieve::Sieve, statements, texts::Texts};

/// Reads a profile that is open, a snapshot each time.
#[derive(Clone, Debug)]
pub struct Reader {
    pub(super) pool: SqlitePool,
    pub(super) sieve: Sieve,
}

/// Messages about a place in a conversation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Around {
    /// Those before it, newest first.
    pub before: Vec<StoredMessage>,
    /// The one at it, and those after it, oldest first.
    pub from: Vec<StoredMessage>,
}

impl Reader {
    pub(super) async fn close(&self) {
        self.pool.close().await;
        self.sieve.close().await;
    }

    /// As [`Store::load`](waxwing_engine::store::Store::load).
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) async fn load(&self) -> Result<Vec<Record>, StoreError> {
        let rows = sqlx::query(statements::LOAD).fetch_all(&self.pool).await?;
        rows.iter().map(record).collect()
    }

    /// At most `limit` messages of a conversation, newest first, those before a position only.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn page(
        &self,
        conversation: &AccountId,
        before: Option<Position>,
        limit: usize,
    ) -> Result<Vec<StoredMessage>, StoreError> {
        match before {
            Some(position) => self.side(statements::PAGE_BEFORE, conversation, position, limit).await,
            None => {
                let page = sqlx::query(statements::PAGE).bind(conversation.as_bytes().as_slice()).bind(count(limit));
                row::messages(&page.fetch_all(&self.pool).await?)
            }
        }
    }

    /// At most `limit` messages of a conversation, oldest first, those after a position only.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn page_after(
        &self,
        conversation: &AccountId,
        after: Position,
        limit: usize,
    ) -> Result<Vec<StoredMessage>, StoreError> {
        self.side(statements::PAGE_AFTER, conversation, after, limit).await
    }

    /// A place in its context, with at most `limit` messages to each side: where a search's hit stands.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn around(
        &self,
        conversation: &AccountId,
        position: Position,
        limit: usize,
    ) -> Result<Around, StoreError> {
        let before = self.side(statements::PAGE_BEFORE, conversation, position, limit).await?;
        let from = self.side(statements::PAGE_FROM, conversation, position, limit.saturating_add(1)).await?;
        Ok(Around { before, from })
    }

    async fn side(
        &self,
        statement: &'static str,
        conversation: &AccountId,
        position: Position,
        limit: usize,
    ) -> Result<Vec<StoredMessage>, StoreError> {
        let page = sqlx::query(statement)
            .bind(conversation.as_bytes().as_slice())
            .bind(count(limit))
            .bind(row::signed(position.sent.0))
            .bind(row::side(&position.author, conversation))
            .bind(position.device.value())
            .bind(row::signed(position.sequence));
        row::messages(&page.fetch_all(&self.pool).await?)
    }

    /// One message by its name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn message(&self, conversation: &AccountId, id: &MessageId) -> Result<Option<StoredMessage>, StoreError> {
        let message = sqlx::query(statements::MESSAGE).bind(conversation.as_bytes().as_slice());
        let message = message.bind(id.as_bytes().as_slice()).fetch_optional(&self.pool).await?;
        message.map(|message| row::message(&message, &mut Texts::default())).transpose()
    }

    /// How many messages of the peer's in a conversation lie above the read markers.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn unread(&self, conversation: &AccountId) -> Result<u64, StoreError> {
        let unread = sqlx::query_scalar(statements::UNREAD).bind(conversation.as_bytes().as_slice());
        Ok(row::unsigned(unread.fetch_one(&self.pool).await?))
    }

    /// The same over all conversations.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn unread_in_all(&self) -> Result<u64, StoreError> {
        Ok(row::unsigned(sqlx::query_scalar(statements::UNREAD_IN_ALL).fetch_one(&self.pool).await?))
    }
}

fn record(row: &SqliteRow) -> Result<Record, StoreError> {
    let table = Table::of_number(row.try_get("kind")?).ok_or(StoreError::Damaged)?;
    Ok(Record { table, key: row.try_get("key")?, value: row.try_get::<Vec<u8>, _>("value")?.into() })
}

pub(super) fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
