//! What a repair reads, a row at a time if need be, and what it writes.
/// Whether the tables' names read.
pub(in crate::store) const TABLES: &str = "SELECT count(*) FROM sqlite_schema";
pub(in crate::store) const LAST_ACCOUNT: &str = "SELECT max(number) FROM account";
pub(in crate::store) const LAST_RECORD: &str = "SELECT max(number) FROM record";
pub(in crate::store) const LAST_MESSAGE: &str = "SELECT max(number) FROM message";
/// Which tables of messages it has: those of layout 7, of 6, or of those before.
pub(in crate::store) const HAS_BLOCKS: &str = "SELECT count(*) FROM sqlite_schema WHERE name = 'block'";
pub(in crate::store) const HAS_FRAMES: &str = "SELECT count(*) FROM sqlite_schema WHERE name = 'frame'";
pub(in crate::store) const LAST_BLOCK: &str = "SELECT max(first) FROM block";
pub(in crate::store) const BLOCKS: &str = "SELECT first, bytes FROM block WHERE first BETWEEN ?1 AND ?2";
pub(in crate::store) const LAST_LOOSE: &str = "SELECT max(number) FROM loose";
pub(in crate::store) const LOOSE: &str = "SELECT number, text FROM loose WHERE number BETWEEN ?1 AND ?2";
/// Of layouts 1 to 6.
pub(in crate::store) const TEXTS: &str = "SELECT number, text FROM message WHERE number BETWEEN ?1 AND ?2";
pub(in crate::store) const LAST_FRAME: &str = "SELECT max(number) FROM frame";
pub(in crate::store) const FRAMES: &str = "SELECT number, bytes FROM frame WHERE number BETWEEN ?1 AND ?2";
pub(in crate::store) const ACCOUNTS: &str = "SELECT number, id FROM account WHERE number BETWEEN ?1 AND ?2";
pub(in crate::store) const RECORDS: &str = "SELECT number, kind, key, value FROM record WHERE number BETWEEN ?1 AND ?2";
pub(in crate::store) const MESSAGES: &str = "SELECT number, conversation, author, side, id, device, sequence, sent, waited, \
     state, frame, rest, cut FROM message WHERE number BETWEEN ?1 AND ?2";
/// As [`MESSAGES`], of layout 6.
pub(in crate::store) const MESSAGES_6: &str = "SELECT number, conversation, author, side, id, device, sequence, sent, waited, \
     state, frame, iif(frame = 0, rest, x''), cut FROM message WHERE number BETWEEN ?1 AND ?2";
/// As [`MESSAGES`], of layouts 1 to 5.
pub(in crate::store) const MESSAGES_BEFORE: &str = "SELECT message.number, conversation, author.number, \
     CASE WHEN theirs = 1 THEN 1 WHEN author.id < peer.id THEN 0 ELSE 2 END, message.id, device, sequence, sent, stored - sent, \
     state, 0, content, cut + 1 FROM message \
     CROSS JOIN account AS author ON author.rank = message.author \
     CROSS JOIN account AS peer ON peer.number = message.conversation WHERE message.number BETWEEN ?1 AND ?2";
pub(in crate::store) const MARKERS: &str = "SELECT conversation, device, sequence FROM marker";
pub(in crate::store) const SET_EPOCH: &str = "UPDATE epoch SET profile = ?, saves = ? WHERE one = 1";
pub(in crate::store) const ADD_MARKER: &str =
    "INSERT INTO marker (conversation, device, sequence) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
pub(in crate::store) const ADD_ACCOUNT: &str = "INSERT INTO account (number, id) VALUES (?, ?) ON CONFLICT DO NOTHING";
pub(in crate::store) const ADD_FRAME: &str =
    "INSERT INTO frame (number, bytes, uses) VALUES (?, ?, 0) ON CONFLICT DO NOTHING";
pub(in crate::store) const ADD_RECORD: &str =
    "INSERT INTO record (number, kind, key, value) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING";
/// A message whose frame did not read has no content any more.
pub(in crate::store) const ADD_MESSAGE: &str = "INSERT INTO message (number, conversation, author, side, id, device, sequence, \
     sent, waited, state, frame, rest, cut) \
     SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, iif(has, ?11, 0), iif(has, ?12, x''), iif(has, ?13, 0) \
     FROM (SELECT EXISTS (SELECT 1 FROM frame WHERE number = ?11) AS has) WHERE true ON CONFLICT DO NOTHING";
pub(in crate::store) const ADD_TEXT: &str = "INSERT INTO loose (number, text) \
     SELECT ?1, ?2 WHERE EXISTS (SELECT 1 FROM message WHERE number = ?1) ON CONFLICT DO NOTHING";
/// Messages whose text did not read.
pub(in crate::store) const DELETE_TEXTLESS: &str =
    "DELETE FROM message WHERE NOT EXISTS (SELECT 1 FROM loose WHERE loose.number = message.number)";
