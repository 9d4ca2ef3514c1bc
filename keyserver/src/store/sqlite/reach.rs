//! Reach records. Implements spec/19-keyserver.md §19.3.
use sqlx::SqliteConnection;
use waxwing_wire::{id::AccountId, reach::ReachRecord};

use super::{Done, account, number::Columns as _};
use crate::store::{MAX_REACH_KEYS, NumberError};

pub(super) async fn store(connection: &mut SqliteConnection, record: ReachRecord) -> Done<(), NumberError> {
    let Some((_, device)) = account::listed(connection, record.signer()).await? else {
        return Ok(Err(NumberError::NotListed));
    };
    let (reach_key, number) = (i64::from(record.reach_key()), i64::from(record.number()));
    let known = sqlx::query("SELECT number FROM reach WHERE device = ? AND reach_key = ?");
    let known = known.bind(device.0).bind(reach_key).fetch_optional(&mut *connection).await?;
    if known.map(|row| row.number(0)).transpose()?.is_some_and(|known| known >= number) {
        return Ok(Err(NumberError::Stale));
    }
    let store = sqlx::query(STORE).bind(device.0).bind(reach_key).bind(number).bind(record.encode());
    store.execute(&mut *connection).await?;
    let most = i64::try_from(MAX_REACH_KEYS).unwrap_or(i64::MAX);
    sqlx::query(EVICT).bind(device.0).bind(most).execute(connection).await?;
    Ok(Ok(()))
}

pub(super) async fn read(
    connection: &mut SqliteConnection,
    account: &AccountId,
) -> Result<Option<Vec<Vec<u8>>>, sqlx::Error> {
    // One snapshot for both questions: an account without records is one row without a body.
    let rows = sqlx::query(READ).bind(account.as_bytes().as_slice()).fetch_all(connection).await?;
    if rows.is_empty() {
        return Ok(None);
    }
    let bodies: Result<Vec<Option<Vec<u8>>>, _> = rows.iter().map(|row| sqlx::Row::try_get(row, 0)).collect();
    Ok(Some(bodies?.into_iter().flatten().collect()))
}

const STORE: &str = "INSERT OR REPLACE INTO reach (device, reach_key, number, written, body) \
     SELECT ?1, ?2, ?3, coalesce(max(written), 0) + 1, ?4 FROM reach WHERE device = ?1";

const EVICT: &str = "DELETE FROM reach WHERE device = ?1 AND reach_key IN ( \
         SELECT reach_key FROM reach WHERE device = ?1 ORDER BY written DESC LIMIT -1 OFFSET ?2)";

const READ: &str = "SELECT reach.body FROM account \
     LEFT JOIN device ON device.number BETWEEN account.number * 16 AND account.number * 16 + 15 \
     LEFT JOIN reach ON reach.device = device.number \
     WHERE account.id = ? ORDER BY device.id, reach.written";
