-- Registers and their entries (spec/20-relay-objects.md §20.3).
CREATE TABLE registers (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    write_verifier BLOB NOT NULL CHECK (length(write_verifier) = 32),
    read_verifier BLOB NOT NULL CHECK (length(read_verifier) = 32),
    seal_verifier BLOB NOT NULL CHECK (length(seal_verifier) = 32),
    first_hash BLOB NOT NULL CHECK (length(first_hash) = 32),
    version INTEGER NOT NULL CHECK (version > 0),
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    ended INTEGER NOT NULL CHECK (ended IN (0, 1)),
    oldest INTEGER NOT NULL CHECK (oldest BETWEEN 1 AND version),
    bytes INTEGER NOT NULL CHECK (bytes > 0),
    hour INTEGER NOT NULL,
    writes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Entries are larger than what a tree without row ids is good at.
CREATE TABLE entries (
    place INTEGER NOT NULL PRIMARY KEY,
    register BLOB NOT NULL CHECK (length(register) = 16),
    version INTEGER NOT NULL CHECK (version > 0),
    kind INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 3),
    before BLOB NOT NULL CHECK (length(before) = 32),
    sealed BLOB NOT NULL,
    UNIQUE (register, version)
) STRICT;
