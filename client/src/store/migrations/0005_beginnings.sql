-- Finding the beginnings of words, and words of one conversation, from one list each (spec §21.5).
DROP TRIGGER message_added;
DROP TRIGGER message_deleted;
DROP TABLE message_words;

-- `place` is one character of a private use area, which says in which conversation a message stands. Of those whose numbers are 6,400
-- apart it is the same, so that whoever asks for it compares the conversation as well.
CREATE VIEW message_words_text AS
    SELECT number, text, char(57344 + conversation % 6400) AS place FROM message;
CREATE VIRTUAL TABLE message_words USING fts5 (
    text, place, content = 'message_words_text', content_rowid = 'number', prefix = '1 2 3 4', columnsize = 0,
    tokenize = 'unicode61 remove_diacritics 2'
);
-- What is deleted is taken out of the index at once, and not merely marked.
INSERT INTO message_words (message_words, rank) VALUES ('secure-delete', 1);
INSERT INTO message_words (message_words) VALUES ('rebuild');

CREATE TRIGGER message_added AFTER INSERT ON message BEGIN
    INSERT INTO message_words (rowid, text, place) VALUES (NEW.number, NEW.text, char(57344 + NEW.conversation % 6400));
END;
CREATE TRIGGER message_deleted AFTER DELETE ON message BEGIN
    INSERT INTO message_words (message_words, rowid, text, place)
    VALUES ('delete', OLD.number, OLD.text, char(57344 + OLD.conversation % 6400));
END;
