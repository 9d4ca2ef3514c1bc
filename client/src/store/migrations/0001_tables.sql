-- What an engine keeps, and what a screen shows (spec §21.3).

-- Opaque to the store. Values may be long, so that rows lie by number and only the keys in an index.
CREATE TABLE record (
    number INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    key BLOB NOT NULL,
    value BLOB NOT NULL,
    UNIQUE (kind, key)
) STRICT;

-- An account's 32 bytes stand once. `rank` is their first 8 as a number, so that ranks are ordered as ids are; of two accounts with the
-- same first 8 bytes the later one gets the next rank that is free.
CREATE TABLE account (
    number INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 32),
    rank INTEGER NOT NULL UNIQUE
) STRICT;

-- `number` is the order in which they came here.
CREATE TABLE message (
    number INTEGER PRIMARY KEY,
    conversation INTEGER NOT NULL REFERENCES account (number),
    author INTEGER NOT NULL REFERENCES account (rank),
    id BLOB NOT NULL CHECK (length(id) = 16),
    device INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    sent INTEGER NOT NULL,
    stored INTEGER NOT NULL,
    state INTEGER NOT NULL,
    theirs INTEGER NOT NULL CHECK (theirs IN (0, 1)), -- whether the peer wrote it
    unspaced INTEGER NOT NULL CHECK (unspaced IN (0, 1)), -- whether it has characters of scripts without spaces
    text TEXT NOT NULL,
    content BLOB NOT NULL, -- without the text, if that stands in it
    cut INTEGER NOT NULL, -- where it stood; -1: nowhere
    UNIQUE (conversation, id, author)
) STRICT;

CREATE INDEX message_position ON message (conversation, sent, author, device, sequence);
CREATE INDEX message_unread ON message (conversation, device, sequence) WHERE theirs = 1;
CREATE INDEX message_stored ON message (stored);
CREATE INDEX message_unspaced ON message (number) WHERE unspaced = 1;

-- Up to where was read. Every device that wrote has a row, so that counting what is unread looks at nothing else.
CREATE TABLE marker (
    conversation INTEGER NOT NULL REFERENCES account (number),
    device INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    PRIMARY KEY (conversation, device)
) STRICT, WITHOUT ROWID;
