//! The log of changes. Implements spec/19-keyserver.md §19.7.
use sqlx::SqliteConnection;
use waxwing_wire::{
    id::{Generation, Sequence},
    time::Timestamp,
};

use super::number::{AccountRow, Columns as _, damaged, millis};
use crate::store::{Change, ChangeKind};

/// Appends an entry, in the transaction of what it tells of. Its time is at least that of the entry before it.
pub(super) async fn log(
    connection: &mut SqliteConnection,
    account: AccountRow,
    kind: &ChangeKind,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let insert = |number: i64| sqlx::query(LOG).bind(account.0).bind(number).bind(millis(now));
    let insert = match kind {
        ChangeKind::Content { generation, sequence, content } => insert(CONTENT)
            .bind(i64::from(generation.0))
            .bind(i64::from(sequence.0))
            .bind(content.as_bytes().to_vec())
            .bind(None::<String>),
        ChangeKind::NameClaimed(name) | ChangeKind::NameReleased(name) => {
            let number = if matches!(kind, ChangeKind::NameClaimed(_)) { CLAIMED } else { RELEASED };
            insert(number).bind(None::<i64>).bind(None::<i64>).bind(None::<Vec<u8>>).bind(Some(name.to_string()))
        }
    };
    insert.execute(connection).await?;
    Ok(())
}

pub(super) async fn read(connection: &mut SqliteConnection, after: u64, most: u32) -> Result<Vec<Change>, sqlx::Error> {
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let rows = sqlx::query(READ).bind(after).bind(i64::from(most)).fetch_all(connection).await?;
    let changes = rows.iter().map(|row| {
        let name = |row| -> Result<_, sqlx::Error> {
            sqlx::sqlite::SqliteRow::text(row, 7)?.parse().map_err(|error| damaged(7, error))
        };
        let kind = match row.number(2)? {
            CONTENT => ChangeKind::Content {
                generation: Generation(row.small(4)?),
                sequence: Sequence(row.small(5)?),
                content: row.content(6)?,
            },
            CLAIMED => ChangeKind::NameClaimed(name(row)?),
            RELEASED => ChangeKind::NameReleased(name(row)?),
            _ => return Err(sqlx::Error::ColumnNotFound("kind".into())),
        };
        Ok(Change { number: row.count(0)?, account: row.account_id(1)?, kind, at: Timestamp(row.count(3)?) })
    });
    changes.collect()
}

const CONTENT: i64 = 1;
const CLAIMED: i64 = 2;
const RELEASED: i64 = 3;

const LOG: &str = "INSERT INTO change (number, account, kind, at, generation, sequence, content, name) \
     SELECT coalesce(max(number), 0) + 1, ?1, ?2, \
            max(?3, coalesce((SELECT at FROM change ORDER BY number DESC LIMIT 1), 0)), ?4, ?5, ?6, ?7 \
     FROM change";

const READ: &str = "SELECT change.number, account.id, kind, at, change.generation, sequence, content, name \
     FROM change JOIN account ON account.number = change.account WHERE change.number > ? ORDER BY change.number LIMIT ?";
