-- What programs are told, once each has said that it has it (spec §21.10), and the highest leaf that each server showed (spec §23.3).

-- Numbers are never used again, also after the newest row was deleted: a cursor means one event for ever.
CREATE TABLE event (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    body TEXT NOT NULL
) STRICT;

-- How far a program that reads events has come.
CREATE TABLE consumer (
    name TEXT NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 64),
    acked INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE leaf (
    server BLOB NOT NULL PRIMARY KEY CHECK (length(server) = 32),
    number INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
