-- Texts in compressed blocks of messages that came one after another, which the indexes of the search have as their documents (spec §21.4.7).
-- What follows in code: whatever is loose is packed.
DROP TRIGGER message_added;
DROP TRIGGER message_deleted;
DROP TRIGGER message_added_unspaced;
DROP TRIGGER message_deleted_unspaced;
DROP TRIGGER frame_used;
DROP TRIGGER frame_let_go;
DROP TABLE message_words;
DROP TABLE message_grams;
DROP VIEW message_words_text;
DROP VIEW message_unspaced_text;
DROP INDEX message_position;
DROP INDEX message_unread;
DROP INDEX message_stored;
DROP INDEX message_unspaced;

-- `number` is the order in which they came here. Zeros and ones take no room, small numbers little.
CREATE TABLE new_message (
    number INTEGER PRIMARY KEY,
    conversation INTEGER NOT NULL REFERENCES account (number),
    author INTEGER NOT NULL REFERENCES account (number),
    side INTEGER NOT NULL CHECK (side IN (0, 1, 2)), -- 1: the peer wrote it; else whether the author's id comes before the peer's or after
    id BLOB NOT NULL CHECK (length(id) = 16),
    device INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    sent INTEGER NOT NULL,
    waited INTEGER NOT NULL, -- from when it was sent until it came here
    state INTEGER NOT NULL,
    frame INTEGER NOT NULL REFERENCES frame (number),
    rest BLOB NOT NULL, -- of the content: what neither the frame nor another column has
    cut INTEGER NOT NULL, -- in frame 0: one more than where the text stood in it; 0: nowhere
    UNIQUE (conversation, id, author)
) STRICT;
-- Without the hash of the content before, which nobody reads again.
INSERT INTO new_message (number, conversation, author, side, id, device, sequence, sent, waited, state, frame, rest, cut)
    SELECT number, conversation, author, side, id, device, sequence, sent, waited, state, frame, iif(frame = 0, rest, x''), cut
    FROM message ORDER BY number;

-- Texts of the newest messages, until they are enough for a block.
CREATE TABLE loose (
    number INTEGER PRIMARY KEY REFERENCES new_message (number) ON DELETE CASCADE,
    text TEXT NOT NULL
) STRICT;
INSERT INTO loose (number, text) SELECT number, text FROM message ORDER BY number;
DROP TABLE message;
ALTER TABLE new_message RENAME TO message;

CREATE INDEX message_position ON message (conversation, sent, side, device, sequence);
CREATE INDEX message_unread ON message (conversation, device, sequence) WHERE side = 1;

-- The texts of all other messages whose numbers are `first` to `last`.
CREATE TABLE block (
    first INTEGER PRIMARY KEY,
    last INTEGER NOT NULL,
    oldest INTEGER NOT NULL, -- when the first of them came here
    unspaced INTEGER NOT NULL CHECK (unspaced IN (0, 1)), -- whether one of them has characters of scripts without spaces
    bytes BLOB NOT NULL
) STRICT;
CREATE INDEX block_oldest ON block (oldest);
CREATE INDEX block_unspaced ON block (first) WHERE unspaced = 1;

-- Which blocks have a word, or one that begins so; in `place` one character for each conversation that has a message in the block.
CREATE VIRTUAL TABLE message_words USING fts5 (
    text, place, content = '', prefix = '1 2 3 4', columnsize = 0, detail = none, tokenize = 'unicode61 remove_diacritics 2'
);
-- Any three characters in a row of texts of scripts without spaces.
CREATE VIRTUAL TABLE message_grams USING fts5 (
    text, content = '', columnsize = 0, detail = none, tokenize = 'trigram remove_diacritics 1'
);
-- What is deleted is taken out of the indexes at once, and not merely marked.
INSERT INTO message_words (message_words, rank) VALUES ('secure-delete', 1);
INSERT INTO message_grams (message_grams, rank) VALUES ('secure-delete', 1);

-- A frame that no message has any more goes with the last.
CREATE TRIGGER frame_used AFTER INSERT ON message WHEN NEW.frame <> 0 BEGIN
    UPDATE frame SET uses = uses + 1 WHERE number = NEW.frame;
END;
CREATE TRIGGER frame_let_go AFTER DELETE ON message WHEN OLD.frame <> 0 BEGIN
    UPDATE frame SET uses = uses - 1 WHERE number = OLD.frame;
    DELETE FROM frame WHERE number = OLD.frame AND uses = 0;
END;
