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
    several(ADD_MESSAGES, "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows, ONCE)
}

const ADD_MESSAGES: &str = "INSERT INTO message \
     (number, conversation, author, side, id, device, sequence, sent, waited, state, frame, rest, cut) VALUES ";
/// The numbers of those that were not there.
const ONCE: &str = " ON CONFLICT (conversation, id, author) DO NOTHING RETURNING number";
/// The newest message, and what is loose: less than a block.
pub(super) const NEWEST: &str =
    "SELECT coalesce((SELECT max(number) FROM message), 0), count(*), coalesce(sum(octet_length(text)), 0) FROM loose";

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
             message.waited, message.state, message.rest, message.cut, frame.bytes AS frame, message.number",
            $rest
        )
    };
}

/// With its text, or the block that has it.
macro_rules! message_with_text {
    ($from:literal, $rest:literal) => {
        concat!(
            "SELECT peer.id AS peer, author.id AS author, message.id, message.device, message.sequence, message.sent, \
             message.waited, message.state, message.rest, message.cut, frame.bytes AS frame, message.number, \
             loose.text, block.first, block.bytes ",
            $from,
            " LEFT JOIN loose ON loose.number = message.number LEFT JOIN block ON loose.number IS NULL \
             AND block.first = (SELECT max(earlier.first) FROM block AS earlier WHERE earlier.first <= message.number) ",
            $rest
        )
    };
}

pub(super) const PAGE: &str = message_with_text!(
    "FROM account AS peer CROSS JOIN message ON message.conversation = peer.number \
     CROSS JOIN account AS author ON author.number = message.author CROSS JOIN frame ON frame.number = message.frame",
    "WHERE peer.id = ?1 \
     ORDER BY message.sent DESC, message.side DESC, message.device DESC, message.sequence DESC LIMIT ?2"
);
pub(super) const PAGE_BEFORE: &str = message_with_text!(
    "FROM account AS peer CROSS JOIN message ON message.conversation = peer.number \
     CROSS JOIN account AS author ON author.number = message.author CROSS JOIN frame ON frame.number = message.frame",
    "WHERE peer.id = ?1 \
     AND (message.sent, message.side, message.device, message.sequence) < (?3, ?4, ?5, ?6) \
     ORDER BY message.sent DESC, message.side DESC, message.device DESC, message.sequence DESC LIMIT ?2"
);
pub(super) const PAGE_FROM: &str = message_with_text!(
    "FROM account AS peer CROSS JOIN message ON message.conversation = peer.number \
     CROSS JOIN account AS author ON author.number = message.author CROSS JOIN frame ON frame.number = message.frame",
    "WHERE peer.id = ?1 \
     AND (message.sent, message.side, message.device, message.sequence) >= (?3, ?4, ?5, ?6) \
     ORDER BY message.sent, message.side, message.device, message.sequence LIMIT ?2"
);
pub(super) const PAGE_AFTER: &str = message_with_text!(
    "FROM account AS peer CROSS JOIN message ON message.conversation = peer.number \
     CROSS JOIN account AS author ON author.number = message.author CROSS JOIN frame ON frame.number = message.frame",
    "WHERE peer.id = ?1 \
     AND (message.sent, message.side, message.device, message.sequence) > (?3, ?4, ?5, ?6) \
     ORDER BY message.sent, message.side, message.device, message.sequence LIMIT ?2"
);
pub(super) const MESSAGE: &str = message_with_text!(
    "FROM account AS peer CROSS JOIN message ON message.conversation = peer.number \
     CROSS JOIN account AS author ON author.number = message.author CROSS JOIN frame ON frame.number = message.frame",
    "WHERE peer.id = ?1 AND message.id = ?2 LIMIT 1"
);

pub(super) const UNREAD: &str = "SELECT coalesce(sum((SELECT count(*) FROM message \
     WHERE message.conversation = marker.conversation AND message.side = 1 AND message.device = marker.device \
     AND message.sequence > marker.sequence)), 0) \
     FROM account CROSS JOIN marker ON marker.conversation = account.number WHERE account.id = ?";
/// Through all markers: as many as devices that ever wrote.
pub(super) const UNREAD_IN_ALL: &str = "SELECT coalesce(sum((SELECT count(*) FROM message \
     WHERE message.conversation = marker.conversation AND message.side = 1 AND message.device = marker.device \
     AND message.sequence > marker.sequence)), 0) FROM marker";

/// Numbers of messages that came here before a moment, but what is still to be sent: of blocks, of what is loose, of one conversation.
pub(super) const OLD: &str = "SELECT message.number FROM block INDEXED BY block_oldest \
     CROSS JOIN message ON message.number BETWEEN block.first AND block.last \
     WHERE block.oldest < ?1 AND message.sent + message.waited < ?1 AND (message.state <> 0 OR message.side = 1) LIMIT ?2";
pub(super) const OLD_LOOSE: &str = "SELECT message.number FROM loose CROSS JOIN message ON message.number = loose.number \
     WHERE message.sent + message.waited < ?1 AND (message.state <> 0 OR message.side = 1) LIMIT ?2";
pub(super) const OLD_IN: &str = "SELECT number FROM message WHERE conversation = (SELECT number FROM account WHERE id = ?3) \
     AND sent + waited < ?1 AND (state <> 0 OR side = 1) LIMIT ?2";

pub(super) mod pack;

pub(super) mod find;

/// What goes through everything, piece by piece.
pub(super) mod walk {
    pub(in crate::store) const MESSAGES: &str = message_with_text!(
        "FROM message CROSS JOIN account AS peer ON peer.number = message.conversation \
         CROSS JOIN account AS author ON author.number = message.author CROSS JOIN frame ON frame.number = message.frame",
        "WHERE message.number > ?1 ORDER BY message.number LIMIT ?2"
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
    /// What hangs together within an index.
    pub(in crate::store) const INDEXES: [&str; 2] = [
        "INSERT INTO message_words (message_words, rank) VALUES ('integrity-check', 1)",
        "INSERT INTO message_grams (message_grams, rank) VALUES ('integrity-check', 1)",
    ];
    pub(in crate::store) const BLOCKS: &str =
        "SELECT first, last, oldest, unspaced, bytes FROM block WHERE first > ? ORDER BY first LIMIT ?";
    /// Messages whose text is nowhere.
    pub(in crate::store) const TEXTLESS: &str = "SELECT count(*) FROM message \
         WHERE NOT EXISTS (SELECT 1 FROM loose WHERE loose.number = message.number) AND NOT EXISTS (SELECT 1 FROM block \
         WHERE block.first = (SELECT max(earlier.first) FROM block AS earlier WHERE earlier.first <= message.number) \
         AND block.last >= message.number)";
    /// Of each word, or row of characters: in how many blocks, and the sum of their numbers.
    pub(in crate::store) const TALLIES: [[&str; 3]; 2] = [
        [
            "CREATE VIRTUAL TABLE temp.term USING fts5vocab (main, message_words, instance)",
            "SELECT term, count(*), sum(doc) FROM temp.term GROUP BY term",
            "DROP TABLE temp.term",
        ],
        [
            "CREATE VIRTUAL TABLE temp.term USING fts5vocab (main, message_grams, instance)",
            "SELECT term, count(*), sum(doc) FROM temp.term GROUP BY term",
            "DROP TABLE temp.term",
        ],
    ];
}

/// Of the database in memory that looks closer.
pub(super) mod sieve {
    /// With the tokenizers of the indexes.
    pub(in crate::store) const TABLES: &[&str] = &[
        "CREATE VIRTUAL TABLE piece USING fts5 (text, tokenize = 'unicode61 remove_diacritics 2')",
        "CREATE VIRTUAL TABLE word USING fts5vocab (piece, instance)",
        "CREATE VIRTUAL TABLE row USING fts5 (text, tokenize = 'trigram remove_diacritics 1')",
        "CREATE VIRTUAL TABLE gram USING fts5vocab (row, instance)",
    ];
    pub(in crate::store) const FILL: &str = "INSERT INTO piece (rowid, text) SELECT key, value FROM json_each(?)";
    pub(in crate::store) const FILL_GRAMS: &str = "INSERT INTO row (rowid, text) SELECT key, value FROM json_each(?)";
    pub(in crate::store) const WORDS: &str = "SELECT doc, term FROM word ORDER BY doc, offset";
    pub(in crate::store) const GRAMS: &str = "SELECT doc, term FROM gram ORDER BY doc, offset";
    pub(in crate::store) const MATCHING: &str =
        "SELECT rowid, snippet(piece, 0, ?2, ?3, '…', 16) FROM piece WHERE piece MATCH ?1 ORDER BY rowid";
    /// As [`super::check::TALLIES`], by places in what was filled in.
    pub(in crate::store) const TALLY_WORDS: &str = "SELECT DISTINCT term, doc FROM word";
    pub(in crate::store) const TALLY_GRAMS: &str = "SELECT DISTINCT term, doc FROM gram";
}

pub(super) mod salvage;

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
            (NEWEST, &["SCAN loose"]),
            (OLD, &[]),
            (OLD_LOOSE, &["SCAN loose"]),
            (OLD_IN, &[]),
            (pack::LOOSE, &["SCAN loose"]),
            (pack::DELETE_LOOSE, &[]),
            (pack::DELETE_BLOCK, &[]),
            (pack::INDEX_GRAMS, &[]),
            (pack::FORGET_WORDS, &[]),
            (pack::FORGET_GRAMS, &[]),
            (pack::FLUSH[0], &[]),
            (pack::FLUSH[1], &[]),
            (pack::BLOCKS_OF, &["SCAN json_each VIRTUAL TABLE INDEX"]),
            (pack::ROWS, &[]),
            (pack::DELETE_MESSAGES, &["SCAN json_each VIRTUAL TABLE INDEX"]),
            (find::WORDS, search),
            (find::GRAMS, search),
            (find::UNSPACED, &["SCAN block USING INDEX block_unspaced"]),
            (find::LOOSE, &[]),
            (find::MESSAGES, &["SCAN hit VIRTUAL TABLE INDEX"]),
            (walk::MESSAGES, &[]),
            (walk::MARKERS, &["SCAN marker"]),
            (check::PAGES, &[]),
            (check::STRUCTURE, &[]),
            (check::REFERENCES, &[]),
            (check::INDEXES[0], &[]),
            (check::INDEXES[1], &[]),
            (check::BLOCKS, &[]),
            (check::TEXTLESS, &["SCAN message"]),
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
            (salvage::HAS_BLOCKS, &["SCAN sqlite_schema"]),
            (salvage::LAST_BLOCK, &[]),
            (salvage::BLOCKS, &[]),
            (salvage::LAST_LOOSE, &[]),
            (salvage::LOOSE, &[]),
            (salvage::ADD_TEXT, &["SCAN CONSTANT ROW"]),
            (salvage::DELETE_TEXTLESS, &["SCAN message"]),
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
        let rows_of = &["SCAN 2-ROW", "SCAN 16-ROW", "SCAN 2 CONSTANT", "SCAN 16 CONSTANT"];
        for rows in [1, 2, 16] {
            for several in [put, add_messages, pack::add_loose, pack::add_blocks, pack::index_words] {
                all.push((several(rows), rows_of));
            }
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
        let scan = plan(&mut connection, "SELECT id FROM message WHERE sequence = 1").await;
        assert_eq!(scan, ["SCAN message"]);
        let sort = plan(&mut connection, "SELECT id FROM message WHERE conversation = 1 ORDER BY sent + 1").await;
        assert!(sort.iter().any(|step| step.contains("TEMP B-TREE")), "{sort:?}");
    }
}
