-- Spec §17.8. Registers are few and written at most some hundred times an hour: their entries may have an index.
CREATE TABLE register (
    number INTEGER NOT NULL PRIMARY KEY,
    id BLOB NOT NULL,
    write_verifier BLOB NOT NULL,
    read_verifier BLOB NOT NULL,
    seal_verifier BLOB NOT NULL,
    first BLOB NOT NULL
) STRICT;

CREATE TABLE version (
    register INTEGER NOT NULL,
    version INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    before BLOB NOT NULL,
    hash BLOB NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (register, version)
) STRICT;
