-- spec/19-keyserver.md §19.10. Numbers from peers are below 2^32; timestamps are milliseconds.

CREATE TABLE meta (
    only INTEGER PRIMARY KEY NOT NULL CHECK (only = 1),
    secret BLOB NOT NULL
) STRICT;

CREATE TABLE account (
    number INTEGER PRIMARY KEY NOT NULL,
    id BLOB NOT NULL UNIQUE,
    recovery_key BLOB NOT NULL,
    version INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    final INTEGER NOT NULL,
    manifest INTEGER NOT NULL
) STRICT;

CREATE TABLE statement (
    account INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (account, generation)
) STRICT, WITHOUT ROWID;

CREATE TABLE manifest (
    number INTEGER PRIMARY KEY NOT NULL,
    account INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    content BLOB NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX manifest_place ON manifest (account, generation, sequence);

-- number = account * 16 + place: the devices of an account are neighbours. Small rows, because each fetch writes one.
CREATE TABLE device (
    number INTEGER PRIMARY KEY NOT NULL,
    id INTEGER NOT NULL,
    signed INTEGER,
    last_resort INTEGER,
    one_time_next INTEGER NOT NULL,
    one_time_end INTEGER NOT NULL,
    kyber_next INTEGER NOT NULL,
    kyber_end INTEGER NOT NULL,
    batch BLOB
) STRICT;

-- number = device << 26 | kind << 24 | counter mod 2^24: the keys of a device are neighbours, in the order they are handed out.
CREATE TABLE prekey (
    number INTEGER PRIMARY KEY NOT NULL,
    id INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;

CREATE TABLE prekey_id (
    device INTEGER NOT NULL,
    space INTEGER NOT NULL,
    id INTEGER NOT NULL,
    PRIMARY KEY (device, space, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE reach (
    device INTEGER NOT NULL,
    reach_key INTEGER NOT NULL,
    number INTEGER NOT NULL,
    written INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (device, reach_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE name (
    skeleton TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL,
    account INTEGER NOT NULL,
    rests_until INTEGER,
    listing BLOB,
    listing_device INTEGER,
    newest_generation INTEGER,
    newest_number INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX name_account ON name (account);
CREATE INDEX name_rests ON name (rests_until) WHERE rests_until IS NOT NULL;

CREATE TABLE invitation (
    number INTEGER PRIMARY KEY NOT NULL,
    hash BLOB NOT NULL UNIQUE,
    below INTEGER,
    minted INTEGER NOT NULL,
    state INTEGER NOT NULL
) STRICT;
CREATE INDEX invitation_below ON invitation (below) WHERE below IS NOT NULL;

CREATE TABLE change (
    number INTEGER PRIMARY KEY NOT NULL,
    account INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    at INTEGER NOT NULL,
    generation INTEGER,
    sequence INTEGER,
    content BLOB,
    name TEXT
) STRICT;
