-- Spec §17.9. Rows are few and change once for some MiB; the bytes are in files of their own.
CREATE TABLE blob (
    number INTEGER NOT NULL PRIMARY KEY,
    id BLOB NOT NULL,
    write_verifier BLOB NOT NULL,
    read_verifier BLOB NOT NULL,
    chunk INTEGER NOT NULL,
    count INTEGER NOT NULL,
    written INTEGER NOT NULL,
    ends INTEGER NOT NULL
) STRICT;
