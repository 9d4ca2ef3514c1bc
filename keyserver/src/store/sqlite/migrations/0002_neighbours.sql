-- spec/19-keyserver.md §19.10. Apart from device, whose rows each fetch writes and which are small for that.
CREATE TABLE signed_prekey (
    device INTEGER PRIMARY KEY NOT NULL,
    body BLOB NOT NULL
) STRICT;
INSERT INTO signed_prekey (device, body) SELECT number >> 26, body FROM prekey WHERE ((number >> 24) & 3) = 0;

-- number = device << 26 | counter mod 2^24 << 2 | kind: the one-time keys of both kinds that are handed out together are neighbours.
ALTER TABLE prekey RENAME TO prekey_by_kind;
CREATE TABLE prekey (
    number INTEGER PRIMARY KEY NOT NULL,
    id INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
INSERT INTO prekey (number, id, body)
    SELECT ((number >> 26) << 26) | ((number & 16777215) << 2) | ((number >> 24) & 3) AS place, id, body FROM prekey_by_kind
    WHERE ((number >> 24) & 3) <> 0 ORDER BY place;
DROP TABLE prekey_by_kind;
