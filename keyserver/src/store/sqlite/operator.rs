//! Counts. Implements spec/19-keyserver.md §19.9.
use sqlx::SqliteConnection;
use waxwing_wire::time::Timestamp;

use super::number::{Columns as _, millis};
use crate::store::Stats;

pub(super) async fn stats(connection: &mut SqliteConnection, now: Timestamp) -> Result<Stats, sqlx::Error> {
    let row = sqlx::query(STATS).bind(millis(now)).fetch_one(connection).await?;
    Ok(Stats {
        accounts: row.count(0)?,
        deleted: row.count(1)?,
        devices: row.count(2)?,
        names: row.count(3)?,
        resting: row.count(4)?,
        one_time_keys: row.count(5)?,
        open_invitations: row.count(6)?,
        changes: row.count(7)?,
    })
}

const STATS: &str = "SELECT (SELECT count(*) FROM account WHERE final = 0), (SELECT count(*) FROM account WHERE final = 1), \
     (SELECT count(*) FROM device), (SELECT count(*) FROM name WHERE rests_until IS NULL), \
     (SELECT count(*) FROM name WHERE rests_until > ?1), \
     (SELECT coalesce(sum(one_time_end - one_time_next + kyber_end - kyber_next), 0) FROM device), \
     (SELECT count(*) FROM invitation WHERE state = 0), (SELECT coalesce(max(number), 0) FROM change)";
