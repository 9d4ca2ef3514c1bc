-- Spec §17.11.3. A few hundred rows that an operator looks at; found by number. The hash goes when the invitation does.
CREATE TABLE invitation (
    number INTEGER NOT NULL PRIMARY KEY,
    hash BLOB,
    below INTEGER,
    state INTEGER NOT NULL,
    barred INTEGER NOT NULL
) STRICT;
-- By hash, so that the order in which they were made stays unknown.
INSERT INTO invitation (number, hash, below, state, barred)
    SELECT row_number() OVER (ORDER BY hash), hash, NULL, 1, 0 FROM invite;
DROP TABLE invite;
