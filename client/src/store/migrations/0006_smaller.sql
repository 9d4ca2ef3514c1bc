-- Less for each message: smaller rows and indexes, what stands around texts once (spec §21.3 to §21.5). Tables are made anew beside the old
-- ones, so that nothing ever names a row that is not there.
DROP TRIGGER message_added;
DROP TRIGGER message_deleted;
DROP TRIGGER message_added_unspaced;
DROP TRIGGER message_deleted_unspaced;
DROP TABLE message_words;
DROP VIEW message_words_text;
DROP VIEW message_unspaced_text;

CREATE TABLE new_account (
    number INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 32)
) STRICT;
INSERT INTO new_account (number, id) SELECT number, id FROM account;

-- A content without what its message has in columns of its own: the same for many. `uses` is how many messages have it.
CREATE TABLE frame (
    number INTEGER PRIMARY KEY,
    bytes BLOB NOT NULL UNIQUE,
    uses INTEGER NOT NULL
) STRICT;
-- That of messages whose content is kept as it came.
INSERT INTO frame (number, bytes, uses) VALUES (0, x'', 0);

-- `number` is the order in which they came here. Zeros and ones take no room, small numbers little.
CREATE TABLE new_message (
    number INTEGER PRIMARY KEY,
    conversation INTEGER NOT NULL REFERENCES new_account (number),
    author INTEGER NOT NULL REFERENCES new_account (number),
    side INTEGER NOT NULL CHECK (side IN (0, 1, 2)), -- 1: the peer wrote it; else whether the author's id comes before the peer's or after
    id BLOB NOT NULL CHECK (length(id) = 16),
    device INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    sent INTEGER NOT NULL,
    waited INTEGER NOT NULL, -- from when it was sent until it came here
    state INTEGER NOT NULL,
    unspaced INTEGER NOT NULL CHECK (unspaced IN (0, 1)), -- whether it has characters of scripts without spaces
    text TEXT NOT NULL,
    frame INTEGER NOT NULL REFERENCES frame (number),
    rest BLOB NOT NULL, -- of the content: what neither the frame nor another column has
    cut INTEGER NOT NULL, -- in frame 0: one more than where the text stood in it; 0: nowhere
    UNIQUE (conversation, id, author)
) STRICT;
INSERT INTO new_message
    (number, conversation, author, side, id, device, sequence, sent, waited, state, unspaced, text, frame, rest, cut)
    SELECT message.number, message.conversation, author.number,
        CASE WHEN message.theirs = 1 THEN 1 WHEN author.id < peer.id THEN 0 ELSE 2 END,
        message.id, message.device, message.sequence, message.sent, message.stored - message.sent, message.state,
        message.unspaced, message.text, 0, message.content, message.cut + 1
    FROM message CROSS JOIN account AS author ON author.rank = message.author
        CROSS JOIN account AS peer ON peer.number = message.conversation
    ORDER BY message.number;

CREATE TABLE new_marker (
    conversation INTEGER NOT NULL REFERENCES new_account (number),
    device INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    PRIMARY KEY (conversation, device)
) STRICT, WITHOUT ROWID;
INSERT INTO new_marker (conversation, device, sequence) SELECT conversation, device, sequence FROM marker;

DROP TABLE message;
DROP TABLE marker;
DROP TABLE account;
ALTER TABLE new_account RENAME TO account;
ALTER TABLE new_message RENAME TO message;
ALTER TABLE new_marker RENAME TO marker;

CREATE INDEX message_position ON message (conversation, sent, side, device, sequence);
CREATE INDEX message_unread ON message (conversation, device, sequence) WHERE side = 1;
CREATE INDEX message_stored ON message (sent + waited);
CREATE INDEX message_unspaced ON message (number) WHERE unspaced = 1;

-- Which messages have a word, or one that begins so; not where in them. `place` says in which conversation a message stands, as before.
CREATE VIEW message_words_text AS
    SELECT number, text, char(57344 + conversation % 6400) AS place FROM message;
CREATE VIRTUAL TABLE message_words USING fts5 (
    text, place, content = 'message_words_text', content_rowid = 'number', prefix = '1 2 3 4', columnsize = 0, detail = none,
    tokenize = 'unicode61 remove_diacritics 2'
);
-- What is deleted is taken out of the index at once, and not merely marked.
INSERT INTO message_words (message_words, rank) VALUES ('secure-delete', 1);
INSERT INTO message_words (message_words) VALUES ('rebuild');
CREATE VIEW message_unspaced_text AS SELECT number, text FROM message WHERE unspaced = 1;

CREATE TRIGGER message_added AFTER INSERT ON message BEGIN
    INSERT INTO message_words (rowid, text, place) VALUES (NEW.number, NEW.text, char(57344 + NEW.conversation % 6400));
END;
CREATE TRIGGER message_deleted AFTER DELETE ON message BEGIN
    INSERT INTO message_words (message_words, rowid, text, place)
    VALUES ('delete', OLD.number, OLD.text, char(57344 + OLD.conversation % 6400));
END;
CREATE TRIGGER message_added_unspaced AFTER INSERT ON message WHEN NEW.unspaced = 1 BEGIN
    INSERT INTO message_grams (rowid, text) VALUES (NEW.number, NEW.text);
END;
CREATE TRIGGER message_deleted_unspaced AFTER DELETE ON message WHEN OLD.unspaced = 1 BEGIN
    INSERT INTO message_grams (message_grams, rowid, text) VALUES ('delete', OLD.number, OLD.text);
END;

-- A frame that no message has any more goes with the last.
CREATE TRIGGER frame_used AFTER INSERT ON message WHEN NEW.frame <> 0 BEGIN
    UPDATE frame SET uses = uses + 1 WHERE number = NEW.frame;
END;
CREATE TRIGGER frame_let_go AFTER DELETE ON message WHEN OLD.frame <> 0 BEGIN
    UPDATE frame SET uses = uses - 1 WHERE number = OLD.frame;
    DELETE FROM frame WHERE number = OLD.frame AND uses = 0;
END;
