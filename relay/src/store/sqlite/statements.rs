//! Every statement that the store says, in one place. Implements spec/17-relay.md §17.7.
//!
//! Invariants: columns are named; nothing but [`LOAD`] scans; rows are bound in powers of two, so that a handful of texts stays
//! prepared, and what is left over is bound to nothing and inserts nothing.
use std::{fmt::Write as _, sync::Arc};

use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

/// Rows that one statement inserts at most.
pub(super) const ROWS: usize = 256;

pub(super) const ROLLBACK: &str = "ROLLBACK";
pub(super) const CHECKPOINT: &str = "PRAGMA wal_checkpoint(PASSIVE)";

pub(super) const CREATE_MAILBOX: &str =
    "INSERT INTO mailbox (number, owner_key, close_hash, born, next_lane) VALUES (?, ?, ?, ?, 1)";
pub(super) const SPEND_INVITE: &str = "DELETE FROM invite WHERE hash = ?";
pub(super) const ADD_INVITE: &str = "INSERT INTO invite (hash) VALUES (?) ON CONFLICT (hash) DO NOTHING";
pub(super) const REMOVE_MAILBOX: &str = "DELETE FROM mailbox WHERE number = ?";
pub(super) const REMOVE_LANES: &str = "DELETE FROM lane WHERE mailbox = ?";
pub(super) const CLOSE: &str = "INSERT INTO closed (mailbox, close_hash, until) VALUES (?, ?, ?) ON CONFLICT (mailbox) DO UPDATE SET until = excluded.until";
pub(super) const FORGET_CLOSED: &str = "DELETE FROM closed WHERE mailbox = ?";
pub(super) const NEXT_LANE: &str = "UPDATE mailbox SET next_lane = ? WHERE number = ?";
pub(super) const ADD_LANE: &str = "INSERT INTO lane (mailbox, number, kind, pool, parent, halvings, hash, ends, admitted) \
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
pub(super) const END_LANE: &str = "UPDATE lane SET ends = ? WHERE mailbox = ? AND number = ?";
pub(super) const REMOVE_LANE: &str = "DELETE FROM lane WHERE mailbox = ? AND number = ?";
pub(super) const TOKEN_ADMITTED: &str = "UPDATE lane SET admitted = max(admitted, ?) WHERE mailbox = ? AND number = ?";

/// The envelopes of a JSON array of places.
pub(super) const FETCH: &str = "SELECT envelope.place, envelope.delivery, envelope.header, body.bytes FROM json_each(?) AS wanted \
     CROSS JOIN envelope ON envelope.place = wanted.value CROSS JOIN body ON body.place = envelope.body";

pub(super) const NEXT_RUN: &str = "UPDATE relay SET run = max(run + 1, ?) WHERE one = 1 RETURNING run";
pub(super) const LAST_BODY: &str = "SELECT max(place) FROM body";

/// What is read when the store is opened.
pub(super) mod load {
    pub(in crate::store::sqlite) const MAILBOXES: &str =
        "SELECT number, owner_key, close_hash, born, next_lane FROM mailbox";
    pub(in crate::store::sqlite) const LANES: &str =
        "SELECT mailbox, number, kind, pool, parent, halvings, hash, ends, admitted FROM lane ORDER BY mailbox, number";
    pub(in crate::store::sqlite) const CLOSED: &str = "SELECT mailbox, close_hash, until FROM closed";
    pub(in crate::store::sqlite) const INVITES: &str = "SELECT hash FROM invite";
    pub(in crate::store::sqlite) const ENVELOPES: &str = "SELECT place, mailbox, sequence, lane, pool, size, ends, delivery, identity, body FROM envelope ORDER BY place";
}

/// Which part of a transaction one text is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Part {
    /// It begins with `BEGIN`.
    pub(super) begins: bool,
    /// Envelopes that it inserts, and whether each has a body of its own.
    pub(super) rows: usize,
    /// It ends with what is forgotten, and `COMMIT`.
    pub(super) commits: bool,
}

/// The texts of all parts, made once.
#[derive(Debug)]
pub(super) struct Texts(Vec<SqlStr>);

impl Texts {
    pub(super) fn new() -> Self {
        let parts = (0..SIZES * 4).map(|index| Part {
            begins: index & 1 != 0,
            rows: if index / 4 == 0 { 0 } else { 1 << (index / 4).saturating_sub(1) },
            commits: index & 2 != 0,
        });
        Self(parts.map(|part| AssertSqlSafe(Arc::<str>::from(part.text())).into_sql_str()).collect())
    }

    /// The text of a part, with as many rows as [`padded`] says.
    pub(super) fn of(&self, part: Part) -> Option<SqlStr> {
        let size = if part.rows == 0 { 0 } else { usize::try_from(padded(part.rows).ilog2()).ok()?.checked_add(1)? };
        let index = size.checked_mul(4)?.checked_add(usize::from(part.begins))?;
        self.0.get(index.checked_add(usize::from(part.commits).checked_mul(2)?)?).cloned()
    }
}

/// How many rows are bound for so many.
pub(super) fn padded(rows: usize) -> usize {
    rows.checked_next_power_of_two().unwrap_or(ROWS).min(ROWS)
}

impl Part {
    fn text(self) -> String {
        let mut text = String::new();
        if self.begins {
            text.push_str("BEGIN IMMEDIATE; ");
        }
        if self.rows > 0 {
            insert(&mut text, "body (place, bytes)", 2, self.rows);
            let columns =
                "envelope (place, mailbox, sequence, lane, pool, size, ends, delivery, identity, header, body)";
            insert(&mut text, columns, 11, self.rows);
        }
        if self.commits {
            text.push_str("DELETE FROM envelope WHERE place IN (SELECT value FROM json_each(?)); ");
            text.push_str("DELETE FROM body WHERE place IN (SELECT value FROM json_each(?)); COMMIT");
        }
        text
    }
}

/// An insert of so many rows, those without a place left out.
fn insert(text: &mut String, target: &str, columns: usize, rows: usize) {
    let row = format!("(?{})", ", ?".repeat(columns.saturating_sub(1)));
    let all = vec![row; rows].join(", ");
    // Writing to a String cannot fail.
    let _ = write!(text, "INSERT INTO {target} SELECT * FROM (VALUES {all}) WHERE column1 IS NOT NULL; ");
}

/// No rows, and the powers of two up to [`ROWS`].
const SIZES: usize = 10;

#[cfg(test)]
mod tests {
    use sqlx::{Connection as _, Executor as _, Row as _, SqliteConnection};

    use super::*;
    use crate::store::sqlite::open::migrator;

    /// Every text with what its plan may scan.
    fn all() -> Vec<(SqlStr, &'static [&'static str])> {
        let fixed = [
            CREATE_MAILBOX,
            SPEND_INVITE,
            ADD_INVITE,
            REMOVE_MAILBOX,
            REMOVE_LANES,
            CLOSE,
            FORGET_CLOSED,
            NEXT_LANE,
            ADD_LANE,
            END_LANE,
            REMOVE_LANE,
            TOKEN_ADMITTED,
            NEXT_RUN,
            LAST_BODY,
        ];
        let mut all: Vec<(SqlStr, &'static [&'static str])> =
            fixed.into_iter().map(|text| (text.into_sql_str(), [].as_slice())).collect();
        all.push((FETCH.into_sql_str(), &["SCAN wanted VIRTUAL TABLE INDEX 1:"]));
        for text in [load::MAILBOXES, load::LANES, load::CLOSED, load::INVITES, load::ENVELOPES] {
            let table = text.split("FROM ").nth(1).unwrap().split(' ').next().unwrap();
            all.push((
                text.into_sql_str(),
                Box::leak(vec![&*Box::leak(format!("SCAN {table}").into_boxed_str())].into_boxed_slice()),
            ));
        }
        for part in Texts::new().0 {
            for text in part.as_str().split("; ").filter(|text| !text.is_empty()) {
                all.push((AssertSqlSafe(text.to_owned()).into_sql_str(), &["SCAN json_each VIRTUAL TABLE INDEX 1:"]));
            }
        }
        all
    }

    #[tokio::test]
    async fn every_statement_prepares_and_its_plan_searches_by_key() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        migrator().run(&mut connection).await.unwrap();
        for (text, scans) in all() {
            connection.prepare(text.clone()).await.unwrap_or_else(|error| panic!("{}: {error}", text.as_str()));
            let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", text.as_str()));
            let plan = connection.fetch_all(sqlx::query(explain)).await.unwrap();
            for step in plan.iter().map(|row| row.get::<String, _>("detail")) {
                // Rows of VALUES are what is bound, not what is stored.
                let bound = step.contains("CONSTANT ROW") || step.contains("VALUES CLAUSE");
                let harmless = bound || step.starts_with("SCAN (subquery") || scans.contains(&step.as_str());
                assert!(!step.contains("SCAN") || harmless, "{step}: {}", text.as_str());
            }
        }
    }

    #[tokio::test]
    async fn a_scan_is_noticed() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        migrator().run(&mut connection).await.unwrap();
        let plan = connection.fetch_one("EXPLAIN QUERY PLAN DELETE FROM envelope WHERE mailbox = 1").await.unwrap();
        assert_eq!(plan.get::<String, _>("detail"), "SCAN envelope");
    }

    #[test]
    fn every_part_has_a_text_with_room_for_its_rows() {
        let texts = Texts::new();
        for rows in 0..=ROWS {
            for (begins, commits) in [(false, false), (true, false), (false, true), (true, true)] {
                let text = texts.of(Part { begins, rows, commits }).unwrap();
                assert_eq!(text.as_str().starts_with("BEGIN"), begins);
                assert_eq!(text.as_str().ends_with("COMMIT"), commits);
                let bound = text.as_str().matches('?').count();
                assert_eq!(bound, if rows == 0 { 0 } else { padded(rows) * 13 } + if commits { 2 } else { 0 });
            }
        }
    }
}
