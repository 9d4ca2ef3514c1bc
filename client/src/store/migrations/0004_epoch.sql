-- How far this profile has come, for the note outside of it that says so too (spec §21.12).

CREATE TABLE epoch (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    -- Which profile: copies of it have the same.
    profile BLOB NOT NULL CHECK (length(profile) = 16),
    -- Batches that were saved, ever.
    saves INTEGER NOT NULL
) STRICT;

INSERT INTO epoch (one, profile, saves) VALUES (1, randomblob(16), 0);
