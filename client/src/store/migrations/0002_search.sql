-- Finding words, and any three characters in a row of scripts without spaces (spec §21.5). The text itself stays in `message`.
CREATE VIRTUAL TABLE message_words USING fts5 (
    text, content = 'message', content_rowid = 'number', tokenize = 'unicode61 remove_diacritics 2'
);
CREATE VIRTUAL TABLE message_grams USING fts5 (
    text, content = 'message_unspaced_text', content_rowid = 'number', tokenize = 'trigram remove_diacritics 1'
);
CREATE VIEW message_unspaced_text AS SELECT number, text FROM message WHERE unspaced = 1;

-- What is deleted is taken out of the indexes at once, and not merely marked.
INSERT INTO message_words (message_words, rank) VALUES ('secure-delete', 1);
INSERT INTO message_grams (message_grams, rank) VALUES ('secure-delete', 1);

INSERT INTO message_words (message_words) VALUES ('rebuild');
INSERT INTO message_grams (message_grams) VALUES ('rebuild');

CREATE TRIGGER message_added AFTER INSERT ON message BEGIN
    INSERT INTO message_words (rowid, text) VALUES (NEW.number, NEW.text);
END;
CREATE TRIGGER message_added_unspaced AFTER INSERT ON message WHEN NEW.unspaced = 1 BEGIN
    INSERT INTO message_grams (rowid, text) VALUES (NEW.number, NEW.text);
END;
CREATE TRIGGER message_deleted AFTER DELETE ON message BEGIN
    INSERT INTO message_words (message_words, rowid, text) VALUES ('delete', OLD.number, OLD.text);
END;
CREATE TRIGGER message_deleted_unspaced AFTER DELETE ON message WHEN OLD.unspaced = 1 BEGIN
    INSERT INTO message_grams (message_grams, rowid, text) VALUES ('delete', OLD.number, OLD.text);
END;
