//! Every statement that the store says, in one place. Implements spec/17-relay.md §17.7.
//!
//! Invariants: columns are named; nothing but [`load`] and [`check`] scans; rows are bound in powers of two, so that a handful of texts stays
//! prepared, and what is left over is bound to nothing and inserts nothing.
use std::{collections::HashMap, fmt::Write as _, sync::Arc};

use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

/// Rows that one statement inserts at most.
pub(super) const ROWS: usize = 256;

pub(super) const ROLLBACK: &str = "ROLLBACK";
/// Everything that is committed by now, packed, to a file that is empty or not there.
pub(super) const COPY: &str = "VACUUM INTO ?";
pub(super) const CHECKPOINT: &str = "PRAGMA wal_checkpoint(PASSIVE)";

pub(super) const CREATE_MAILBOX: &str =
    "INSERT INTO mailbox (number, owner_key, close_hash, born, next_lane) VALUES (?, ?, ?, ?, 1)";
pub(super) const SPEND_INVITE: &str = "UPDATE invitation SET state = 2, hash = NULL WHERE number = ?";
/// Barred if the one above was revoked meanwhile.
pub(super) const MINT: &str = "INSERT INTO invitation (number, hash, below, state, barred) \
     SELECT new.number, new.hash, new.below, 1, coalesce((SELECT barred FROM invitation WHERE number = new.below), 0) \
     FROM (SELECT ? AS number, ? AS hash, ? AS below) AS new";
/// Of a JSON array of numbers, those that can serve are revoked; none of them serves later.
pub(super) const REVOKE: &str = "UPDATE invitation SET state = CASE state WHEN 1 THEN 3 ELSE state END, hash = NULL, barred = 1 \
     WHERE number IN (SELECT value FROM json_each(?))";
pub(super) const REMOVE_MAILBOX: &str = "DELETE FROM mailbox WHERE number = ?";
pub(super) const REMOVE_LANES: &str = "DELETE FROM lane WHERE mailbox = ?";
pub(super) const CLOSE: &str = "INSERT INTO closed (mailbox, close_hash, until) VALUES (?, ?, ?) ON CONFLICT (mailbox) DO UPDATE SET close_hash = excluded.close_hash, until = excluded.until";
pub(super) const FORGET_CLOSED: &str = "DELETE FROM closed WHERE mailbox = ?";
pub(super) const NEXT_LANE: &str = "UPDATE mailbox SET next_lane = ? WHERE number = ?";
pub(super) const ADD_LANE: &str = "INSERT INTO lane (mailbox, number, kind, pool, parent, halvings, hash, ends, admitted) \
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
pub(super) const END_LANE: &str = "UPDATE lane SET ends = ? WHERE mailbox = ? AND number = ?";
pub(super) const REMOVE_LANE: &str = "DELETE FROM lane WHERE mailbox = ? AND number = ?";
pub(super) const TOKEN_ADMITTED: &str = "UPDATE lane SET admitted = max(admitted, ?) WHERE mailbox = ? AND number = ?";

pub(super) const CREATE_REGISTER: &str =
    "INSERT INTO register (number, id, write_verifier, read_verifier, seal_verifier, first) VALUES (?, ?, ?, ?, ?, ?)";
pub(super) const WRITE_REGISTER: &str =
    "INSERT INTO version (register, version, kind, before, hash, bytes) VALUES (?, ?, ?, ?, ?, ?)";
pub(super) const EVICT: &str = "DELETE FROM version WHERE register = ? AND version < ?";
pub(super) const DELETE_REGISTER: &str = "DELETE FROM register WHERE number = ?";
pub(super) const DELETE_VERSIONS: &str = "DELETE FROM version WHERE register = ?";
pub(super) const VERSIONS: &str =
    "SELECT version, kind, before, bytes FROM version WHERE register = ? AND version >= ? ORDER BY version LIMIT ?";

pub(super) const CREATE_BLOB: &str = "INSERT INTO blob (number, id, write_verifier, read_verifier, chunk, count, written, ends) \
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
pub(super) const RECORD_BLOB: &str = "UPDATE blob SET written = ?, ends = ? WHERE number = ?";
pub(super) const DELETE_BLOB: &str = "DELETE FROM blob WHERE number = ?";

/// The envelopes of a JSON array of places.
pub(super) const FETCH: &str = "SELECT envelope.place, envelope.delivery, envelope.header, body.bytes FROM json_each(?) AS wanted \
     CROSS JOIN envelope ON envelope.place = wanted.value CROSS JOIN body ON body.place = envelope.body";

pub(super) const NEXT_RUN: &str = "UPDATE relay SET run = max(run + 1, ?) WHERE one = 1 RETURNING run";
pub(super) const LAST_BODY: &str = "SELECT max(place) FROM body";

/// What is read when the store is opened.
pub(super) mod load {
    /// Of those above a number, the first and what is within 4,096 of it: the last number, how many, and a list of each column.
    pub(in crate::store::sqlite) const MAILBOXES: &str = "SELECT max(number), count(*), group_concat(number), group_concat(born), group_concat(next_lane), \
         CAST(group_concat(owner_key, '') AS BLOB), CAST(group_concat(close_hash, '') AS BLOB) FROM mailbox \
         WHERE number > ?1 AND number <= (SELECT min(number) + 4095 FROM mailbox WHERE number > ?1)";
    /// Likewise, by mailboxes' numbers; what may be absent is then an empty text.
    pub(in crate::store::sqlite) const LANES: &str = "SELECT max(mailbox), count(*), group_concat(mailbox), group_concat(number), group_concat(kind), group_concat(pool), \
         group_concat(halvings), group_concat(admitted), group_concat(coalesce(parent, '')), group_concat(coalesce(ends, '')), \
         CAST(group_concat(hash, '') AS BLOB) FROM lane \
         WHERE mailbox > ?1 AND mailbox <= (SELECT min(mailbox) + 4095 FROM lane WHERE mailbox > ?1)";
    pub(in crate::store::sqlite) const CLOSED: &str = "SELECT mailbox, close_hash, until FROM closed";
    pub(in crate::store::sqlite) const INVITES: &str =
        "SELECT number, hash, below, state, barred FROM invitation ORDER BY number";
    pub(in crate::store::sqlite) const REGISTERS: &str =
        "SELECT number, id, write_verifier, read_verifier, seal_verifier, first FROM register";
    pub(in crate::store::sqlite) const VERSIONS: &str =
        "SELECT register, version, kind, hash, length(bytes) FROM version ORDER BY register, version";
    pub(in crate::store::sqlite) const BLOBS: &str =
        "SELECT number, id, write_verifier, read_verifier, chunk, count, written, ends FROM blob";
    pub(in crate::store::sqlite) const PLACES: &str =
        "SELECT (SELECT min(place) FROM envelope), (SELECT max(place) FROM envelope)";
    /// Above a place, up to a place, at most so many: the last place, how many, and a list of each column.
    pub(in crate::store::sqlite) const ENVELOPES: &str = "SELECT max(place), count(*), group_concat(place), group_concat(mailbox), group_concat(sequence), \
         group_concat(ends), group_concat(body), group_concat((lane << 16) | (pool << 8) | size), \
         CAST(group_concat(delivery, '') AS BLOB), CAST(group_concat(identity, '') AS BLOB) \
         FROM (SELECT place, mailbox, sequence, lane, pool, size, ends, delivery, identity, body FROM envelope \
         WHERE place > ? AND place <= ? ORDER BY place LIMIT ?)";
}

/// What `verify` reads: everything.
pub(super) mod check {
    /// Number, chunk, how many are written.
    pub(in crate::store::sqlite) const BLOBS: &str = "SELECT number, chunk, written FROM blob ORDER BY number";
    pub(in crate::store::sqlite) const INTEGRITY: &str = "PRAGMA integrity_check";
    pub(in crate::store::sqlite) const ENVELOPES: &str = "SELECT envelope.place, envelope.mailbox, envelope.sequence, envelope.size, envelope.body, envelope.identity, \
         envelope.header, body.bytes FROM envelope LEFT JOIN body ON body.place = envelope.body";
    pub(in crate::store::sqlite) const BODIES: &str = "SELECT place FROM body";
    /// Of a JSON array of places, those that are there.
    pub(in crate::store::sqlite) const ENVELOPES_STILL: &str =
        "SELECT envelope.place FROM json_each(?) AS wanted CROSS JOIN envelope ON envelope.place = wanted.value";
    /// Likewise.
    pub(in crate::store::sqlite) const BODIES_STILL: &str =
        "SELECT body.place FROM json_each(?) AS wanted CROSS JOIN body ON body.place = wanted.value";
    pub(in crate::store::sqlite) const VERSIONS: &str = "SELECT version.register, version.version, register.id, version.kind, version.before, version.hash, version.bytes \
         FROM version JOIN register ON register.number = version.register ORDER BY version.register, version.version";
    /// Rows that hang from nothing: table, what is wrong, the numbers.
    pub(in crate::store::sqlite) const STRAYS: &[(&str, &str, &str)] = &[
        (
            "lanes of mailbox",
            "there is no such mailbox",
            "SELECT DISTINCT mailbox FROM lane WHERE NOT EXISTS (SELECT 1 FROM mailbox WHERE mailbox.number = lane.mailbox)",
        ),
        (
            "versions of register",
            "there is no such register",
            "SELECT DISTINCT register FROM version WHERE NOT EXISTS (SELECT 1 FROM register WHERE register.number = version.register)",
        ),
        (
            "register",
            "it has no version",
            "SELECT number FROM register WHERE NOT EXISTS (SELECT 1 FROM version WHERE version.register = register.number)",
        ),
    ];
}

/// Which part of a transaction one text is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Part {
    /// It begins with `BEGIN`.
    pub(super) begins: bool,
    /// Bodies that it inserts.
    pub(super) bodies: usize,
    /// Envelopes that it inserts.
    pub(super) envelopes: usize,
    /// It ends with what is forgotten, and `COMMIT`.
    pub(super) commits: bool,
}

/// The texts of parts that were asked for.
#[derive(Debug, Default)]
pub(super) struct Texts(HashMap<Part, SqlStr>);

impl Texts {
    /// The text of a part, with as many rows as [`padded`] says.
    pub(super) fn of(&mut self, part: Part) -> SqlStr {
        let (bodies, envelopes) = (padded(part.bodies), padded(part.envelopes));
        let part = Part { bodies, envelopes, ..part };
        self.0.entry(part).or_insert_with(|| AssertSqlSafe(Arc::<str>::from(part.text())).into_sql_str()).clone()
    }
}

/// How many rows are bound for so many.
pub(super) fn padded(rows: usize) -> usize {
    if rows == 0 { 0 } else { rows.checked_next_power_of_two().unwrap_or(ROWS).min(ROWS) }
}

impl Part {
    fn text(self) -> String {
        let mut text = String::new();
        if self.begins {
            text.push_str("BEGIN IMMEDIATE; ");
        }
        if self.bodies > 0 {
            // One that is shared may be there from a transaction whose word was lost.
            insert(&mut text, "body (place, bytes)", 2, self.bodies, " ON CONFLICT (place) DO NOTHING");
        }
        if self.envelopes > 0 {
            let columns =
                "envelope (place, mailbox, sequence, lane, pool, size, ends, delivery, identity, header, body)";
            insert(&mut text, columns, 11, self.envelopes, "");
        }
        if self.commits {
            text.push_str("DELETE FROM envelope WHERE place IN (SELECT value FROM json_each(?)); ");
            text.push_str("DELETE FROM body WHERE place IN (SELECT value FROM json_each(?)); COMMIT");
        }
        text
    }
}

/// An insert of so many rows, those without a place left out.
fn insert(text: &mut String, target: &str, columns: usize, rows: usize, conflict: &str) {
    let row = format!("(?{})", ", ?".repeat(columns.saturating_sub(1)));
    let all = vec![row; rows].join(", ");
    // Writing to a String cannot fail.
    let _ = write!(text, "INSERT INTO {target} SELECT * FROM (VALUES {all}) WHERE column1 IS NOT NULL{conflict}; ");
}

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
            load::PLACES,
            load::ENVELOPES,
            load::MAILBOXES,
            load::LANES,
            CREATE_REGISTER,
            WRITE_REGISTER,
            EVICT,
            DELETE_REGISTER,
            DELETE_VERSIONS,
            VERSIONS,
            CREATE_BLOB,
            RECORD_BLOB,
            DELETE_BLOB,
        ];
        let mut all: Vec<(SqlStr, &'static [&'static str])> =
            fixed.into_iter().map(|text| (text.into_sql_str(), [].as_slice())).collect();
        all.push((MINT.into_sql_str(), &["SCAN CONSTANT ROW", "SCAN new"]));
        all.push((REVOKE.into_sql_str(), &["SCAN json_each VIRTUAL TABLE INDEX 1:"]));
        all.push((FETCH.into_sql_str(), &["SCAN wanted VIRTUAL TABLE INDEX 1:"]));
        for text in [load::CLOSED, load::INVITES, load::REGISTERS, load::BLOBS] {
            let table = text.split("FROM ").nth(1).unwrap().split(' ').next().unwrap();
            all.push((
                text.into_sql_str(),
                Box::leak(vec![&*Box::leak(format!("SCAN {table}").into_boxed_str())].into_boxed_slice()),
            ));
        }
        let sizes = [0, 1, 2, 256].into_iter().flat_map(|bodies| [0, 1, 2, 256].map(|envelopes| (bodies, envelopes)));
        for (bodies, envelopes) in sizes {
            let part = Texts::default().of(Part { begins: true, bodies, envelopes, commits: true });
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
        let mut texts = Texts::default();
        for rows in 0..=ROWS {
            for (begins, commits, shared) in [(false, false, 1), (true, false, 1), (false, true, 0), (true, true, rows)]
            {
                let text = texts.of(Part { begins, bodies: shared, envelopes: rows, commits });
                assert_eq!(text.as_str().starts_with("BEGIN"), begins);
                assert_eq!(text.as_str().ends_with("COMMIT"), commits);
                let bound = text.as_str().matches('?').count();
                assert_eq!(bound, padded(shared) * 2 + padded(rows) * 11 + if commits { 2 } else { 0 });
            }
        }
        assert!(texts.0.len() <= 40);
    }
}
