//! What a search reads.

/// Blocks whose texts may have what is looked for, the newest first: query, below, conversation, author, since, limit; and which of their
/// messages are meant, if not all.
macro_rules! candidates {
    ($from:literal, $rest:literal) => {
        concat!(
            "SELECT block.first, block.bytes, CASE WHEN ?3 IS NULL AND ?4 IS NULL AND ?5 <= 0 THEN NULL ELSE \
             (SELECT coalesce(group_concat(number), '') FROM message WHERE number BETWEEN block.first AND block.last \
             AND (?3 IS NULL OR conversation = ?3) AND (?4 IS NULL OR author = ?4) AND sent >= ?5) END FROM ",
            $from,
            $rest
        )
    };
}

pub(in crate::store) const WORDS: &str = candidates!(
    "message_words CROSS JOIN block ON block.first = message_words.rowid ",
    "WHERE message_words MATCH ?1 AND message_words.rowid < ?2 ORDER BY message_words.rowid DESC LIMIT ?6"
);
pub(in crate::store) const GRAMS: &str = candidates!(
    "message_grams CROSS JOIN block ON block.first = message_grams.rowid ",
    "WHERE message_grams MATCH ?1 AND message_grams.rowid < ?2 ORDER BY message_grams.rowid DESC LIMIT ?6"
);
/// Every block of scripts without spaces, until the limit is reached.
pub(in crate::store) const UNSPACED: &str = candidates!(
    "block INDEXED BY block_unspaced ",
    "WHERE block.unspaced = 1 AND ?1 IS NULL AND block.first < ?2 ORDER BY block.first DESC LIMIT ?6"
);
pub(in crate::store) const LOOSE: &str = "SELECT loose.number, loose.text FROM loose \
     CROSS JOIN message ON message.number = loose.number \
     WHERE loose.number < ?1 AND (?2 IS NULL OR message.conversation = ?2) AND (?3 IS NULL OR message.author = ?3) \
     AND message.sent >= ?4";
/// By a JSON array of numbers, in its order.
pub(in crate::store) const MESSAGES: &str = message!(
    " FROM json_each(?) AS hit CROSS JOIN message ON message.number = hit.value \
     CROSS JOIN account AS peer ON peer.number = message.conversation \
     CROSS JOIN account AS author ON author.number = message.author CROSS JOIN frame ON frame.number = message.frame"
);
