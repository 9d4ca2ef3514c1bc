//! Texts, loose and in blocks, and what the search's indexes have of them.
use sqlx::SqlStr;

use super::several;

pub(in crate::store) const LOOSE: &str = "SELECT loose.number, message.conversation, message.sent + message.waited, loose.text \
     FROM loose CROSS JOIN message ON message.number = loose.number ORDER BY loose.number LIMIT ?";
/// As [`super::put`].
pub(in crate::store) fn add_loose(rows: usize) -> SqlStr {
    several("INSERT INTO loose (number, text) VALUES ", "(?, ?)", rows, "")
}
pub(in crate::store) const DELETE_LOOSE: &str = "DELETE FROM loose WHERE number <= ?";
pub(in crate::store) fn add_blocks(rows: usize) -> SqlStr {
    several("INSERT INTO block (first, last, oldest, unspaced, bytes) VALUES ", "(?, ?, ?, ?, ?)", rows, "")
}
pub(in crate::store) const DELETE_BLOCK: &str = "DELETE FROM block WHERE first = ?";
pub(in crate::store) fn index_words(rows: usize) -> SqlStr {
    several("INSERT INTO message_words (rowid, text, place) VALUES ", "(?, ?, ?)", rows, "")
}
pub(in crate::store) const INDEX_GRAMS: &str = "INSERT INTO message_grams (rowid, text) VALUES (?, ?)";
pub(in crate::store) const FORGET_WORDS: &str =
    "INSERT INTO message_words (message_words, rowid, text, place) VALUES ('delete', ?, ?, ?)";
pub(in crate::store) const FORGET_GRAMS: &str =
    "INSERT INTO message_grams (message_grams, rowid, text) VALUES ('delete', ?, ?)";
/// What was deleted is written before anything is added.
pub(in crate::store) const FLUSH: [&str; 2] = [
    "INSERT INTO message_words (message_words) VALUES ('flush')",
    "INSERT INTO message_grams (message_grams) VALUES ('flush')",
];
/// The last blocks that begin at or before each of some numbers: a JSON array of them.
pub(in crate::store) const BLOCKS_OF: &str = "SELECT first, last, bytes FROM block \
     WHERE first IN (SELECT (SELECT max(first) FROM block WHERE first <= json_each.value) FROM json_each(?))";
pub(in crate::store) const ROWS: &str = "SELECT number, conversation, sent + waited FROM message \
     WHERE number BETWEEN ? AND ? ORDER BY number";
pub(in crate::store) const DELETE_MESSAGES: &str =
    "DELETE FROM message WHERE number IN (SELECT value FROM json_each(?))";
