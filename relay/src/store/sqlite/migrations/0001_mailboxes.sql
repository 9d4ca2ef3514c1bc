-- Spec §17.7. No table has an index besides its key: rows of envelopes and bodies are only ever appended, and found by place.
CREATE TABLE relay (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    run INTEGER NOT NULL
) STRICT;
INSERT INTO relay (one, run) VALUES (1, 0);

CREATE TABLE mailbox (
    number INTEGER NOT NULL PRIMARY KEY,
    owner_key BLOB NOT NULL,
    close_hash BLOB NOT NULL,
    born INTEGER NOT NULL,
    next_lane INTEGER NOT NULL
) STRICT;

CREATE TABLE lane (
    mailbox INTEGER NOT NULL,
    number INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    pool INTEGER NOT NULL,
    parent INTEGER,
    halvings INTEGER NOT NULL,
    hash BLOB NOT NULL,
    ends INTEGER,
    admitted INTEGER NOT NULL,
    PRIMARY KEY (mailbox, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE closed (
    mailbox BLOB NOT NULL PRIMARY KEY,
    close_hash BLOB NOT NULL,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE envelope (
    place INTEGER NOT NULL PRIMARY KEY,
    mailbox INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    pool INTEGER NOT NULL,
    size INTEGER NOT NULL,
    ends INTEGER NOT NULL,
    delivery BLOB NOT NULL,
    identity BLOB NOT NULL,
    header BLOB,
    body INTEGER NOT NULL
) STRICT;

CREATE TABLE body (
    place INTEGER NOT NULL PRIMARY KEY,
    bytes BLOB NOT NULL
) STRICT;

CREATE TABLE invite (
    hash BLOB NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;
