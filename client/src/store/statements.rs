//! Every statement that the store says, in one place. Implements spec/21-client-store.md §21.3.
//!
//! Invariants: columns are named; nothing but what walks through everything on purpose ([`walk`], [`check`]) scans a table.
use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

pub(super) const BEGIN: &str = "BEGIN IMMEDIATE";
pub(super) const SNAPSHOT: &str = "BEGIN";
pub(super) const APPLICATION: &str = "PRAGMA application_id";
pub(super) const SET_APPLICATION: &str = "PRAGMA application_id = 2004383537";
pub(super) const WAL: &str = "PRAGMA journal_mode = WAL";
pub(super) const CHECKPOINT: &str = "PRAGMA wal_checkpoint(TRUNCATE)";
pub(super) const APPLIED: &str = "SELECT version, success, checksum FROM _sqlx_migrations ORDER BY version";

pub(super) const LOAD: &str =
    "SELECT kind, key, value FROM record INDEXED BY sqlite_autoindex_record_1 ORDER BY kind, key";
/// Several rows by one statement: each statement goes to another thread and back, which costs more than a row.
pub(super) fn put(rows: usize) -> SqlStr {
    several("INSERT INTO record (kind, key, value) VALUES ", "(?, ?, ?)", rows, PUT)
}

const PUT: &str = " ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value";
pub(super) const DELETE: &str = "DELETE FROM record WHERE kind = ? AND key = ?";

pub(super) const EPOCH: &str = "SELECT profile, saves FROM epoch WHERE one = 1";
pub(super) const NEXT_EPOCH: &str = "UPDATE epoch SET saves = saves + 1 WHERE one = 1 RETURNING saves";

pub(super) const ADD_ACCOUNT: &str = "INSERT INTO account (id) VALUES (?) ON CONFLICT DO NOTHING";
pub(super) const ACCOUNT: &str = "SELECT number FROM account WHERE id = ?";
pub(super) const ADD_FRAME: &str = "INSERT INTO frame (bytes, uses) VALUES (?, 0) ON CONFLICT DO NOTHING";
pub(super) const FRAME: &str = "SELECT number FROM frame WHERE bytes = ?";
/// As [`put`].
pub(super) fn add_messages(rows: usize) -> SqlStr {
    several(ADD_MESSAGES, "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows, ONCE)
}

const ADD_MESSAGES: &str = "INSERT INTO message \
     (conversation, author, side, id, device, sequence, sent, waited, state, unspaced, text, frame, rest, cut) VALUES ";
const ONCE: &str = " ON CONFLICT (conversation, id, author) DO NOTHING";

fn several(insert: &str, row: &str, rows: usize, end: &str) -> SqlStr {
    // Numbers of ours: nothing that a person typed becomes SQL.
    AssertSqlSafe(format!("{insert}{}{end}", vec![row; rows].join(", "))).into_sql_str()
}

pub(super) const STATE: &str = "UPDATE message SET state = ?3 \
     WHERE conversation = (SELECT number FROM account WHERE id = ?1) AND id = ?2 AND side <> 1";
pub(super) const READ: &str = "INSERT INTO marker (conversation, device, sequence) VALUES (?, ?, ?) \
     ON CONFLICT (conversation, device) DO UPDATE SET sequence = max(sequence, excluded.sequence)";

pub(super) const PROBED: &str = "PRAGMA user_version";
/// Another number than is there: the database's first page is written anew.
pub(super) const fn probe(number: i64) -> &'static str {
    if number == 1 { "PRAGMA user_version = 2" } else { "PRAGMA user_version = 1" }
}

/// A JSON array of their texts, which are numbered in its order.
pub(super) const ADD_EVENTS: &str = "INSERT INTO event (body) SELECT value FROM json_each(?)";
pub(super) const TRIM_EVENTS: &str = "DELETE FROM event WHERE number <= (SELECT max(number) FROM event) - ?";
pub(super) const EVENTS: &str = "SELECT number, body FROM event WHERE number > ? ORDER BY number LIMIT ?";
pub(super) const NEWEST_EVENT: &str = "SELECT max(number) FROM event";
pub(super) const ACKNOWLEDGE: &str = "INSERT INTO consumer (name, acked) VALUES (?, ?) \
     ON CONFLICT (name) DO UPDATE SET acked = max(acked, excluded.acked)";
pub(super) const ACKNOWLEDGED: &str = "SELECT acked FROM consumer WHERE name = ?";
pub(super) const FORGET_CONSUMER: &str = "DELETE FROM consumer WHERE name = ?";
/// Through all of them: as many as servers that were ever spoken to.
pub(super) const LEAVES: &str = "SELECT server, number FROM leaf";
pub(super) const SAW_LEAF: &str = "INSERT INTO leaf (server, number) VALUES (?, ?) \
     ON CONFLICT (server) DO UPDATE SET number = max(number, excluded.number)";

/// What a message is made of again; `peer` and `author` are ids.
macro_rules! message {
    ($rest:literal) => {
        concat!(
            "SELECT peer.id AS peer, author.id AS author, message.id, message.device, message.sequence, message.sent, \
             message.waited, message.state, message.text, message.rest, message.cut, frame.bytes AS frame, message.number ",
            $rest
        )
    };
}

pub(super) const PAGE: &str = message!(
    "FROM account AS peer CROSS JOIN message ON message.conversation = peer.number \
     CROSS JOIN account AS author ON author.number = message.author CROSS JOIN frame ON frame.number = message.frame WHERE peer.id = ?1 \
     ORDER BY message.sent DESC, message.side DESC, message.device DESC, message.sequence DESC LIMIT ?2"
);
pub(super) const PAGE_BEFORE: &str = message!(
    "FROM account AS peer CROSS JOIN message ON message.conversation = peer.number \
     CROSS JOIN account AS author ON author.number = message.author CROSS JOIN frame ON frame.number = message.frame WHERE peer.id = ?1 \
     AND (message.sent, message.side, message.device, message.sequence) < (?3, ?4, ?5, ?6) \
     ORDER BY message.sent DESC, message.side DESC, message.device DESC, message.sequence DESC LIMIT ?2"
);
pub(super) const PAGE_FROM: &str = message!(
    "FROM account AS peer CROSS JOIN message ON message.conversation = peer.number \
     CROSS JOIN account AS author ON author.number = message.author CROSS JOIN frame ON frame.number = message.frame WHERE peer.id = ?1 \
     AND (message.sent, message.side, message.device, message.sequence) >= (?3, ?4, ?5, ?6) \
     ORDER BY message.sent, message.side, message.device, message.sequence LIMIT ?2"
);
pub(super) const PAGE_AFTER: &str = message!(
    "FROM account AS peer CROSS JOIN message ON message.conversation = peer.number \
     CROSS JOIN account AS author ON author.number = message.author CROSS JOIN frame ON frame.number = message.frame WHERE peer.id = ?1 \
     AND (message.sent, message.side, message.device, message.sequence) > (?3, ?4, ?5, ?6) \
     ORDER BY message.sent, message.side, message.device, message.sequence LIMIT ?2"
);
pub(super) const MESSAGE: &str = message!(
    "FROM account AS peer CROSS JOIN message ON message.conversation = peer.number \
     CROSS JOIN account AS author ON author.number = message.author CROSS JOIN frame ON frame.number = message.frame WHERE peer.id = ?1 AND message.id = ?2 LIMIT 1"
);

pub(super) const UNREAD: &str = "SELECT coalesce(sum((SELECT count(*) FROM message \
     WHERE message.conversation = marker.conversation AND message.side = 1 AND message.device = marker.device \
     AND message.sequence > marker.sequence)), 0) \
     FROM account CROSS JOIN marker ON marker.conversation = account.number WHERE account.id = ?";
/// Through all markers: as many as devices that ever wrote.
pub(super) const UNREAD_IN_ALL: &str = "SELECT coalesce(sum((SELECT count(*) FROM message \
     WHERE message.conversation = marker.conversation AND message.side = 1 AND message.device = marker.device \
     AND message.sequence > marker.sequence)), 0) FROM marker";

/// By the moment they came here; what is still to be sent stays.
pub(super) const FORGET: &str = "DELETE FROM message WHERE number IN (SELECT number FROM message \
     WHERE sent + waited < ?1 AND (state <> 0 OR side = 1) ORDER BY sent + waited LIMIT ?2)";
pub(super) const FORGET_IN: &str = "DELETE FROM message WHERE number IN (SELECT number FROM message \
     WHERE conversation = (SELECT number FROM account WHERE id = ?3) AND sent + waited < ?1 AND (state <> 0 OR side = 1) LIMIT ?2)";

/// Messages with all words, the newest first: query, before, peer, author, since, limit, and the snippet's marks; without these, without a
/// snippet.
pub(super) const WORDS: &str = message!(
    ", CASE WHEN ?7 IS NULL THEN '' ELSE snippet(message_words, 0, ?7, ?8, '…', 16) END AS snippet FROM message_words \
     CROSS JOIN message ON message.number = message_words.rowid \
     CROSS JOIN account AS peer ON peer.number = message.conversation \
     CROSS JOIN account AS author ON author.number = message.author CROSS JOIN frame ON frame.number = message.frame \
     WHERE message_words MATCH ?1 AND message_words.rowid < ?2 \
     AND (?3 IS NULL OR peer.id = ?3) AND (?4 IS NULL OR author.id = ?4) AND message.sent >= ?5 \
     ORDER BY message_words.rowid DESC LIMIT ?6"
);

/// As [`WORDS`], for any characters in a row: at least three of them (`grams`), and pieces of one or two after the limit. Without
/// `grams` every message of a script without spaces is looked at, from the newest on, until the limit is reached.
pub(super) fn unspaced(grams: bool, pieces: usize) -> SqlStr {
    let mut text = String::from(if grams { GRAMS } else { UNSPACED });
    for piece in 0..pieces {
        // Numbers of ours: nothing that a person typed becomes SQL.
        text.push_str(&format!(" AND message.text LIKE ?{} ESCAPE '\\'", piece.saturating_add(7)));
    }
    text.push_str(" ORDER BY ");
    text.push_str(if grams { "message_grams.rowid" } else { "message.number" });
    text.push_str(" DESC LIMIT ?6");
    AssertSqlSafe(text).into_sql_str()
}

const GRAMS: &str = message!(
    "FROM message_grams CROSS JOIN message ON message.number = message_grams.rowid \
     CROSS JOIN account AS peer ON peer.number = message.conversation \
     CROSS JOIN account AS author ON author.number = message.author CROSS JOIN frame ON frame.number = message.frame \
     WHERE message_grams MATCH ?1 AND message_grams.rowid < ?2 \
     AND (?3 IS NULL OR peer.id = ?3) AND (?4 IS NULL OR author.id = ?4) AND message.sent >= ?5"
);
const UNSPACED: &str = message!(
    "FROM message INDEXED BY message_unspaced \
     CROSS JOIN account AS peer ON peer.number = message.conversation \
     CROSS JOIN account AS author ON author.number = message.author CROSS JOIN frame ON frame.number = message.frame \
     WHERE message.unspaced = 1 AND ?1 IS NULL AND message.number < ?2 \
     AND (?3 IS NULL OR peer.id = ?3) AND (?4 IS NULL OR author.id = ?4) AND message.sent >= ?5"
);

/// What goes through everything, piece by piece.
pub(super) mod walk {
    pub(in crate::store) const MESSAGES: &str = message!(
        "FROM message CROSS JOIN account AS peer ON peer.number = message.conversation \
         CROSS JOIN account AS author ON author.number = message.author CROSS JOIN frame ON frame.number = message.frame \
         WHERE message.number > ?1 ORDER BY message.number LIMIT ?2"
    );
    pub(in crate::store) const MARKERS: &str = "SELECT account.id, marker.device, marker.sequence FROM marker \
         CROSS JOIN account ON account.number = marker.conversation ORDER BY marker.conversation, marker.device";
}

/// What looks for damage.
pub(super) mod check {
    /// Pages whose authentication fails.
    pub(in crate::store) const PAGES: &str = "PRAGMA cipher_integrity_check";
    pub(in crate::store) const STRUCTURE: &str = "PRAGMA integrity_check(100)";
    pub(in crate::store) const REFERENCES: &str = "PRAGMA foreign_key_check";
    pub(in crate::store) const WORDS: &str =
        "INSERT INTO message_words (message_words, rank) VALUES ('integrity-check', 1)";
    pub(in crate::store) const GRAMS: &str =
        "INSERT INTO message_grams (message_grams, rank) VALUES ('integrity-check', 1)";
}

/// Of the database in memory that looks closer.
pub(super) mod sieve {
    /// With the tokenizer of `message_words`.
    pub(in crate::store) const TABLES: &[&str] = &[
        "CREATE VIRTUAL TABLE piece USING fts5 (text, tokenize = 'unicode61 remove_diacritics 2')",
        "CREATE VIRTUAL TABLE word USING fts5vocab (piece, instance)",
    ];
    pub(in crate::store) const FILL: &str = "INSERT INTO piece (rowid, text) SELECT key, value FROM json_each(?)";
    pub(in crate::store) const WORDS: &str = "SELECT doc, term FROM word ORDER BY doc, offset";
    pub(in crate::store) const MATCHING: &str =
        "SELECT rowid, snippet(piece, 0, ?2, ?3, '…', 16) FROM piece WHERE piece MATCH ?1 ORDER BY rowid";
}

/// What a repair reads, a row at a time if need be, and what it writes.
pub(super) mod salvage {
    /// Whether the tables' names read.
    pub(in crate::store) const TABLES: &str = "SELECT count(*) FROM sqlite_schema";
    pub(in crate::store) const LAST_ACCOUNT: &str = "SELECT max(number) FROM account";
    pub(in crate::store) const LAST_RECORD: &str = "SELECT max(number) FROM record";
    pub(in crate::store) const LAST_MESSAGE: &str = "SELECT max(number) FROM message";
    /// Whether it has the newest layout's tables of messages, or those before.
    pub(in crate::store) const HAS_FRAMES: &str = "SELECT count(*) FROM sqlite_schema WHERE name = 'frame'";
    pub(in crate::store) const LAST_FRAME: &str = "SELECT max(number) FROM frame";
    pub(in crate::store) const FRAMES: &str = "SELECT number, bytes FROM frame WHERE number BETWEEN ?1 AND ?2";
    pub(in crate::store) const ACCOUNTS: &str = "SELECT number, id FROM account WHERE number BETWEEN ?1 AND ?2";
    pub(in crate::store) const RECORDS: &str =
        "SELECT number, kind, key, value FROM record WHERE number BETWEEN ?1 AND ?2";
    pub(in crate::store) const MESSAGES: &str = "SELECT number, conversation, author, side, id, device, sequence, sent, waited, \
         state, unspaced, text, frame, rest, cut FROM message WHERE number BETWEEN ?1 AND ?2";
    /// As [`MESSAGES`], of layouts 1 to 5.
    pub(in crate::store) const MESSAGES_BEFORE: &str = "SELECT message.number, conversation, author.number, \
         CASE WHEN theirs = 1 THEN 1 WHEN author.id < peer.id THEN 0 ELSE 2 END, message.id, device, sequence, sent, stored - sent, \
         state, unspaced, text, 0, content, cut + 1 FROM message \
         CROSS JOIN account AS author ON author.rank = message.author \
         CROSS JOIN account AS peer ON peer.number = message.conversation WHERE message.number BETWEEN ?1 AND ?2";
    pub(in crate::store) const MARKERS: &str = "SELECT conversation, device, sequence FROM marker";
    pub(in crate::store) const SET_EPOCH: &str = "UPDATE epoch SET profile = ?, saves = ? WHERE one = 1";
    pub(in crate::store) const ADD_MARKER: &str =
        "INSERT INTO marker (conversation, device, sequence) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
    pub(in crate::store) const ADD_ACCOUNT: &str =
        "INSERT INTO account (number, id) VALUES (?, ?) ON CONFLICT DO NOTHING";
    pub(in crate::store) const ADD_FRAME: &str =
        "INSERT INTO frame (number, bytes, uses) VALUES (?, ?, 0) ON CONFLICT DO NOTHING";
    pub(in crate::store) const ADD_RECORD: &str =
        "INSERT INTO record (number, kind, key, value) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING";
    /// A message whose frame did not read has no content any more.
    pub(in crate::store) const ADD_MESSAGE: &str = "INSERT INTO message (number, conversation, author, side, id, device, sequence, \
         sent, waited, state, unspaced, text, frame, rest, cut) \
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, iif(has, ?13, 0), iif(has, ?14, x''), iif(has, ?15, 0) \
         FROM (SELECT EXISTS (SELECT 1 FROM frame WHERE number = ?13) AS has) WHERE true ON CONFLICT DO NOTHING";
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection as _, Executor as _, Row as _, SqliteConnection};

    use super::*;
    use crate::store::layout::{LAYOUTS, migrator};

    /// Every statement with what its plan may scan.
    fn all() -> Vec<(SqlStr, &'static [&'static str])> {
        let search = &["SCAN message_words VIRTUAL TABLE INDEX", "SCAN message_grams VIRTUAL TABLE INDEX"];
        let mut all: Vec<(SqlStr, &'static [&'static str])> = [
            (APPLICATION, [].as_slice()),
            (SET_APPLICATION, &[]),
            (WAL, &[]),
            (CHECKPOINT, &[]),
            (APPLIED, &["SCAN _sqlx_migrations"]),
            (LOAD, &["SCAN record USING INDEX sqlite_autoindex_record_1"]),
            (EPOCH, &[]),
            (NEXT_EPOCH, &[]),
            (DELETE, &[]),
            (ADD_ACCOUNT, &[]),
            (ACCOUNT, &[]),
            (ADD_FRAME, &[]),
            (FRAME, &[]),
            (STATE, &[]),
            (READ, &[]),
            (PAGE, &[]),
            (PAGE_BEFORE, &[]),
            (PAGE_FROM, &[]),
            (PAGE_AFTER, &[]),
            (MESSAGE, &[]),
            (UNREAD, &[]),
            (UNREAD_IN_ALL, &["SCAN marker"]),
            (ADD_EVENTS, &["SCAN json_each VIRTUAL TABLE INDEX"]),
            (TRIM_EVENTS, &[]),
            (EVENTS, &[]),
            (NEWEST_EVENT, &[]),
            (ACKNOWLEDGE, &[]),
            (ACKNOWLEDGED, &[]),
            (FORGET_CONSUMER, &[]),
            (LEAVES, &["SCAN leaf"]),
            (SAW_LEAF, &[]),
            (FORGET, &[]),
            (FORGET_IN, &[]),
            (WORDS, search),
            (walk::MESSAGES, &[]),
            (walk::MARKERS, &["SCAN marker"]),
            (check::PAGES, &[]),
            (check::STRUCTURE, &[]),
            (check::REFERENCES, &[]),
            (check::WORDS, &[]),
            (check::GRAMS, &[]),
            (salvage::TABLES, &["SCAN sqlite_master"]),
            (salvage::HAS_FRAMES, &["SCAN sqlite_schema"]),
            (salvage::LAST_FRAME, &[]),
            (salvage::FRAMES, &[]),
            (salvage::LAST_ACCOUNT, &[]),
            (salvage::LAST_RECORD, &[]),
            (salvage::LAST_MESSAGE, &[]),
            (salvage::ACCOUNTS, &[]),
            (salvage::RECORDS, &[]),
            (salvage::MESSAGES, &[]),
            (salvage::MARKERS, &["SCAN marker"]),
            (salvage::ADD_ACCOUNT, &[]),
            (salvage::ADD_FRAME, &[]),
            (salvage::ADD_RECORD, &[]),
            (salvage::ADD_MESSAGE, &["SCAN (subquery", "SCAN CONSTANT ROW"]),
            (salvage::ADD_MARKER, &[]),
            (salvage::SET_EPOCH, &[]),
        ]
        .into_iter()
        .map(|(text, scans)| (text.into_sql_str(), scans))
        .collect();
        for rows in [1, 2, 16] {
            all.push((put(rows), &["SCAN 2-ROW", "SCAN 16-ROW", "SCAN 2 CONSTANT", "SCAN 16 CONSTANT"]));
            all.push((add_messages(rows), &["SCAN 2-ROW", "SCAN 16-ROW", "SCAN 2 CONSTANT", "SCAN 16 CONSTANT"]));
        }
        for pieces in 0..=8 {
            all.push((unspaced(true, pieces), search));
            all.push((unspaced(false, pieces), &["SCAN message USING INDEX message_unspaced"]));
        }
        all
    }

    async fn migrated() -> SqliteConnection {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        migrator(LAYOUTS).run(&mut connection).await.unwrap();
        connection
    }

    async fn plan(connection: &mut SqliteConnection, text: &str) -> Vec<String> {
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}"));
        let plan = connection.fetch_all(sqlx::query(explain)).await.unwrap();
        plan.iter().map(|row| row.get("detail")).collect()
    }

    #[tokio::test]
    async fn every_statement_prepares_and_its_plan_neither_scans_nor_sorts() {
        let mut connection = migrated().await;
        for (text, scans) in all() {
            connection.prepare(text.clone()).await.unwrap_or_else(|error| panic!("{}: {error}", text.as_str()));
            if text.as_str().starts_with("PRAGMA") {
                continue;
            }
            for step in plan(&mut connection, text.as_str()).await {
                let allowed = scans.iter().any(|scan| step.starts_with(scan));
                assert!(!step.starts_with("SCAN") || allowed, "{step}: {}", text.as_str());
                assert!(!step.contains("TEMP B-TREE"), "{step}: {}", text.as_str());
            }
        }
    }

    #[tokio::test]
    async fn a_scan_and_a_sort_are_noticed() {
        let mut connection = migrated().await;
        let scan = plan(&mut connection, "SELECT text FROM message WHERE sequence = 1").await;
        assert_eq!(scan, ["SCAN message"]);
        let sort = plan(&mut connection, "SELECT text FROM message WHERE conversation = 1 ORDER BY sent + 1").await;
        assert!(sort.iter().any(|step| step.contains("TEMP B-TREE")), "{sort:?}");
    }
}
