//! Finding messages by what they say. Implements spec/21-client-store.md §21.5.
//!
//! ```text
//! query ─▶ terms ─┬─ words, by their beginnings ─▶ message_words (all messages; the conversation is a word of its own)
//!                 │                                   └─ words in a row ─▶ the sieve, candidate by candidate
//!                 └─ characters in a row ────────▶ message_grams, or every message of a script without spaces
//! ```
//! Invariants: what a person types never becomes SQL or a query of FTS5's; a hit has every term.
use std::ops::Range;

use sqlx::{Row as _, sqlite::SqliteRow};
use waxwing_engine::store::StoredMessage;
use waxwing_wire::{id::AccountId, time::Timestamp};

use super::{Reader, StoreError, read::count, row, scripts, statements};

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Search<'q> {
    /// Words, or their beginnings; `"several words in a row"`; any characters in a row of scripts without spaces. All of them.
    pub query: &'q str,
    /// In this conversation only.
    pub conversation: Option<AccountId>,
    /// By this author only.
    pub from: Option<AccountId>,
    /// Written then or later only.
    pub since: Option<Timestamp>,
    /// Stored before this hit only: the last one of the page before.
    pub before: Option<&'q Hit>,
    /// At most so many, those stored last first.
    pub limit: usize,
}

/// A message that was found; [`Reader::around`] shows it in its context.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hit {
    /// The message.
    pub message: StoredMessage,
    /// Where in it.
    pub snippet: Snippet,
    number: i64,
}

/// A piece of a text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Snippet {
    /// The piece, with `…` where it was cut.
    pub text: String,
    /// Bytes of it that were looked for.
    pub found: Vec<Range<usize>>,
}

impl Reader {
    /// Finds messages. A query without any letter or digit finds nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn search(&self, search: Search<'_>) -> Result<Vec<Hit>, StoreError> {
        let terms = Terms::parse(search.query);
        let mut hits = Vec::new();
        if terms.all.is_empty() || search.limit == 0 {
            return Ok(hits);
        }
        if !terms.unspaced {
            hits = self.words(&terms, search).await?;
        }
        // A word between characters of such scripts is no word to the other index.
        if terms.unspaced || terms.all.iter().any(|term| term.is_gram()) {
            for hit in self.unspaced(&terms, search).await? {
                if !hits.iter().any(|other| other.number == hit.number) {
                    hits.push(hit);
                }
            }
            hits.sort_by_key(|hit| std::cmp::Reverse(hit.number));
            hits.truncate(search.limit);
        }
        Ok(hits)
    }

    async fn words(&self, terms: &Terms, search: Search<'_>) -> Result<Vec<Hit>, StoreError> {
        let words = self.split(terms).await?;
        let mut all: Vec<String> = words.iter().flat_map(Words::each).collect();
        if all.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(conversation) = search.conversation {
            let number = sqlx::query_scalar(statements::ACCOUNT).bind(conversation.as_bytes().to_vec());
            let Some(number) = number.fetch_optional(&self.pool).await? else { return Ok(Vec::new()) };
            all.push(quoted(&place(number).to_string()));
        }
        let all = all.join(" AND ");
        if words.iter().all(|words| words.all.len() <= 1) {
            let query = bind(sqlx::query(statements::WORDS).bind(all), search).bind(OPEN).bind(CLOSE);
            let hit = |row: &SqliteRow| hit(row, |_| Ok(Snippet::marked(row.try_get("snippet")?)));
            return query.fetch_all(&self.pool).await?.iter().map(hit).collect();
        }
        self.in_a_row(&all, &words, &terms.words(), search).await
    }

    /// Words as the index has them. Letters and digits that every computer has are one word; of everything else the tokenizer knows.
    async fn split(&self, terms: &Terms) -> Result<Vec<Words>, StoreError> {
        let texts: Vec<&str> = terms.all.iter().map(|term| term.text.as_str()).collect();
        let split = if texts.iter().all(|text| text.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
            texts.iter().map(|text| vec![text.to_ascii_lowercase()]).collect()
        } else {
            self.sieve.words(&texts).await?
        };
        Ok(terms.all.iter().zip(split).map(|(term, all)| Words { all, whole: term.whole }).collect())
    }

    /// Messages that have all the words, some of them in a row: candidates are looked at from the newest on, until there are enough.
    async fn in_a_row(
        &self,
        all: &str,
        words: &[Words],
        exactly: &str,
        search: Search<'_>,
    ) -> Result<Vec<Hit>, StoreError> {
        let (mut hits, mut before, mut piece) = (Vec::new(), search.before.map(|hit| hit.number), FEW);
        loop {
            let query = sqlx::query(statements::WORDS).bind(all);
            let query =
                bind_from(query, Search { limit: piece, ..search }, before).bind(None::<&str>).bind(None::<&str>);
            let rows = query.fetch_all(&self.pool).await?;
            let texts: Vec<&str> = rows.iter().map(|row| row.try_get("text")).collect::<Result<_, _>>()?;
            let may_match = |text: &str| words.iter().all(|words| words.may_stand_in(text));
            let (left, texts): (Vec<&SqliteRow>, Vec<&str>) =
                rows.iter().zip(texts).filter(|(_, text)| may_match(text)).unzip();
            for (place, snippet) in self.sieve.matching(&texts, exactly, (OPEN, CLOSE)).await? {
                let row = left.get(place).ok_or(StoreError::Damaged)?;
                hits.push(hit(row, |_| Ok(Snippet::marked(&snippet)))?);
            }
            if rows.len() < piece || hits.len() >= search.limit {
                hits.truncate(search.limit);
                return Ok(hits);
            }
            before = rows.last().map(|row| row.try_get("number")).transpose()?;
            piece = MANY;
        }
    }

    async fn unspaced(&self, terms: &Terms, search: Search<'_>) -> Result<Vec<Hit>, StoreError> {
        let (grams, pieces) = (terms.grams(), terms.pieces());
        let statement = statements::unspaced(grams.is_some(), pieces.len());
        let query = bind(sqlx::query(statement).bind(grams), search);
        let query = pieces.into_iter().fold(query, sqlx::query::Query::bind);
        let hit = |row: &SqliteRow| hit(row, |message| Ok(Snippet::around(&message.text, terms)));
        query.fetch_all(&self.pool).await?.iter().map(hit).collect()
    }
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

/// Parameters 2 to 6 of all searches.
fn bind<'q>(query: Query<'q>, search: Search<'_>) -> Query<'q> {
    bind_from(query, search, search.before.map(|hit| hit.number))
}

/// As [`bind`], before another message.
fn bind_from<'q>(query: Query<'q>, search: Search<'_>, before: Option<i64>) -> Query<'q> {
    let id = |account: Option<AccountId>| account.map(|account| account.as_bytes().to_vec());
    query
        .bind(before.unwrap_or(i64::MAX))
        .bind(id(search.conversation))
        .bind(id(search.from))
        .bind(search.since.map_or(0, |since| row::signed(since.0)))
        .bind(count(search.limit))
}

fn hit(
    row: &SqliteRow,
    snippet: impl FnOnce(&StoredMessage) -> Result<Snippet, StoreError>,
) -> Result<Hit, StoreError> {
    let message = row::message(row)?;
    Ok(Hit { snippet: snippet(&message)?, message, number: row.try_get("number")? })
}

/// The character that stands for a conversation in the index of words, and for others whose numbers are as many apart as there are
/// such characters: the statement compares the conversation as well. As in `migrations/0006_smaller.sql`.
fn place(number: i64) -> char {
    let offset = u32::try_from(number.rem_euclid(PLACES)).unwrap_or_default();
    char::from_u32(FIRST_PLACE.saturating_add(offset)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// A query's parts.
struct Terms {
    all: Vec<Term>,
    /// Whether one of them has characters of scripts without spaces.
    unspaced: bool,
}

struct Term {
    text: String,
    /// Between quotation marks: not the beginning of a word, but words.
    whole: bool,
}

/// A term as the index has it: one word, or several in a row.
struct Words {
    all: Vec<String>,
    whole: bool,
}

impl Words {
    /// False if they do not stand in a row in a message that has each of them. Of a text in ASCII that is certain: its words are runs of
    /// letters and digits; of all others the tokenizer has to say it.
    fn may_stand_in(&self, text: &str) -> bool {
        if self.all.len() <= 1 || !text.is_ascii() || text.contains('\0') {
            return true;
        }
        let runs = text.split(|character: char| !character.is_ascii_alphanumeric()).filter(|run| !run.is_empty());
        let runs: Vec<&str> = runs.collect();
        runs.windows(self.all.len()).any(|runs| self.stand_as(runs))
    }

    /// Whether these are the words, the last of them perhaps longer.
    fn stand_as(&self, runs: &[&str]) -> bool {
        let last = self.all.len().saturating_sub(1);
        let is = |(place, (run, word)): (usize, (&&str, &String))| {
            let run = if place == last && !self.whole { run.get(..word.len()) } else { Some(*run) };
            run.is_some_and(|run| run.eq_ignore_ascii_case(word))
        };
        runs.iter().zip(&self.all).enumerate().all(is)
    }

    /// As FTS5 asks for each of them; of the last its beginning, unless it is whole.
    fn each(&self) -> impl Iterator<Item = String> {
        let last = self.all.len().saturating_sub(1);
        let begins = move |place: usize| if place == last && !self.whole { " *" } else { "" };
        self.all.iter().enumerate().map(move |(place, word)| format!("{}{}", quoted(word), begins(place)))
    }
}

impl Terms {
    fn parse(query: &str) -> Self {
        let mut all = Vec::new();
        // Every second piece stands between quotation marks; an open one reaches to the end.
        for (piece, whole) in query.split('"').zip([false, true].into_iter().cycle()) {
            let terms: Vec<&str> = if whole { vec![piece.trim()] } else { piece.split_whitespace().collect() };
            all.extend(
                terms.into_iter().map(|text| Term { text: text.chars().take(MOST_CHARACTERS).collect(), whole }),
            );
        }
        all.retain(|term| {
            term.text.chars().any(|character| character.is_alphanumeric() || scripts::is_unspaced(character))
        });
        all.truncate(MOST_TERMS);
        let unspaced = all.iter().any(|term| term.text.chars().any(scripts::is_unspaced));
        Self { all, unspaced }
    }

    /// As FTS5 asks for all words.
    fn words(&self) -> String {
        let terms = self.all.iter().map(|term| format!("{}{}", quoted(&term.text), if term.whole { "" } else { " *" }));
        terms.collect::<Vec<_>>().join(" AND ")
    }

    /// As FTS5 asks for those of at least three characters in a row, if there are any.
    fn grams(&self) -> Option<String> {
        let terms: Vec<_> = self.all.iter().filter(|term| term.is_gram()).map(|term| quoted(&term.text)).collect();
        if terms.is_empty() { None } else { Some(terms.join(" AND ")) }
    }

    /// As LIKE asks for the others.
    fn pieces(&self) -> Vec<String> {
        let pattern = |text: &str| {
            let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
            format!("%{escaped}%")
        };
        self.all.iter().filter(|term| !term.is_gram()).map(|term| pattern(&term.text)).collect()
    }
}

impl Term {
    fn is_gram(&self) -> bool {
        self.text.chars().count() >= 3
    }
}

/// A string of FTS5's, whatever stands in it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\"").replace('\0', " "))
}

impl Snippet {
    /// Reads the marks that FTS5 set; marks that a peer wrote mark the wrong place, and that is all.
    fn marked(marked: &str) -> Self {
        let (mut text, mut found, mut begun) = (String::with_capacity(marked.len()), Vec::new(), None);
        for character in marked.chars() {
            match character {
                MARK_OPEN => begun = Some(text.len()),
                MARK_CLOSE => found.extend(begun.take().map(|start| start..text.len())),
                other => text.push(other),
            }
        }
        Self { text, found }
    }

    /// The place of the first term, with what stands about it.
    fn around(text: &str, terms: &Terms) -> Self {
        // Of the same length in bytes, so that places are the same.
        let lower = text.to_ascii_lowercase();
        let places = |term: &Term| {
            let term = term.text.to_ascii_lowercase();
            lower.match_indices(&term).map(|(at, found)| at..at.saturating_add(found.len())).collect::<Vec<_>>()
        };
        let mut places: Vec<Range<usize>> = terms.all.iter().flat_map(places).collect();
        places.sort_by_key(|place| place.start);
        let first = places.first().map_or(0, |place| place.start);
        let before = text.get(..first).unwrap_or_default();
        let start = before.char_indices().rev().nth(BEFORE).map_or(0, |(at, _)| at);
        let rest = text.get(start..).unwrap_or_default();
        let end = rest.char_indices().nth(LONG).map_or(text.len(), |(at, _)| start.saturating_add(at));
        let mut piece = String::new();
        if start > 0 {
            piece.push('…');
        }
        let shift = piece.len();
        piece.push_str(text.get(start..end).unwrap_or_default());
        if end < text.len() {
            piece.push('…');
        }
        let mut found: Vec<Range<usize>> = Vec::new();
        for place in places.into_iter().filter(|place| place.start >= start && place.end <= end) {
            let moved = |at: usize| at.saturating_sub(start).saturating_add(shift);
            // Terms may overlap; what is marked once is marked.
            if found.last().is_none_or(|last| last.end <= moved(place.start)) {
                found.push(moved(place.start)..moved(place.end));
            }
        }
        Self { text: piece, found }
    }
}

/// Candidates that are looked at together, first and then.
const FEW: usize = 64;
const MANY: usize = 512;
const MOST_TERMS: usize = 8;
const MOST_CHARACTERS: usize = 64;
/// Characters of a snippet before the place, and in all.
const BEFORE: usize = 16;
const LONG: usize = 96;
/// The private use area of the basic plane: characters that the tokenizer takes for a word, and no text has but by agreement.
const FIRST_PLACE: u32 = 0xe000;
const PLACES: i64 = 6_400;
/// Characters that stand for nothing, and in no text but one that is made to confuse.
const MARK_OPEN: char = '\u{fdd0}';
const MARK_CLOSE: char = '\u{fdd1}';
const OPEN: &str = "\u{fdd0}";
const CLOSE: &str = "\u{fdd1}";

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(query: &str) -> Vec<(String, bool)> {
        Terms::parse(query).all.into_iter().map(|term| (term.text, term.whole)).collect()
    }

    #[test]
    fn words_in_a_row_are_told_from_others_where_that_is_certain() {
        let words = |all: &[&str], whole| Words { all: all.iter().map(|word| (*word).to_owned()).collect(), whole };
        let row = words(&["don", "t", "pan"], false);
        for text in ["Don't panic", "I said: DON T PAN!", "don_t\tpan", "\u{e9} dont pan", "don\0t x"] {
            assert!(row.may_stand_in(text), "{text:?}");
        }
        for text in ["don panic t", "dont panic", "don't pa", "don't", "xdon't panic", ""] {
            assert!(!row.may_stand_in(text), "{text:?}");
        }
        assert!(!words(&["don", "t", "pan"], true).may_stand_in("don't panic"), "not the beginning of a word");
        assert!(words(&["one"], false).may_stand_in("other"), "the index has said that it has it");
    }

    #[test]
    fn a_query_is_words_and_quotations() {
        let term = |text: &str, whole| (text.to_owned(), whole);
        assert_eq!(texts("  one  two "), [term("one", false), term("two", false)]);
        assert_eq!(
            texts("a \"b c\" d\"e f"),
            [term("a", false), term("b c", true), term("d", false), term("e f", true)]
        );
        assert_eq!(texts(":-) \"\" * - \" \" ☺"), [], "nothing to look for");
        assert_eq!(texts(&"x ".repeat(100)).len(), MOST_TERMS);
        assert_eq!(texts(&"x".repeat(1_000)), [term(&"x".repeat(MOST_CHARACTERS), false)]);
    }

    #[test]
    fn what_was_typed_is_never_a_query() {
        assert_eq!(Terms::parse("NOT a*").words(), "\"NOT\" * AND \"a*\" *");
        assert_eq!(Terms::parse("text:a ) OR").words(), "\"text:a\" * AND \"OR\" *");
        assert_eq!(Terms::parse("1% 2_ 3\\").pieces(), ["%1\\%%", "%2\\_%", "%3\\\\%"]);
        assert_eq!(Terms::parse("世界 世界人").grams().as_deref(), Some("\"世界人\""));
    }

    #[test]
    fn a_snippet_shows_the_place_and_marks_it() {
        let around = |text: &str, query: &str| {
            let Snippet { text, found } = Snippet::around(text, &Terms::parse(query));
            let pieces: Vec<_> = found.into_iter().map(|range| text[range].to_owned()).collect();
            (text, pieces)
        };
        assert_eq!(around("你好世界", "世界"), ("你好世界".into(), vec!["世界".into()]));
        let (text, found) = around(&format!("{}世界Rust{}", "好".repeat(50), "人".repeat(200)), "世界 rust");
        assert!(text.starts_with("…好") && text.ends_with("人…"), "{text}");
        assert_eq!((found, text.chars().count()), (vec!["世界".into(), "Rust".into()], LONG + 2));
        assert_eq!(around("", "世界"), (String::new(), vec![]));
        let marked = Snippet::marked("a \u{fdd0}b\u{fdd1} \u{fdd1}c\u{fdd0}");
        assert_eq!((marked.text.as_str(), marked.found.as_slice()), ("a b c", [Range { start: 2, end: 3 }].as_slice()));
    }

    /// Among 6,400 conversations two have one place in the index.
    #[tokio::test]
    async fn a_place_in_the_index_is_not_taken_for_a_conversation() {
        use waxwing_engine::store::{Batch, Store as _, Write};
        use waxwing_wire::{content::MessageId, id::DeviceId};

        use crate::store::{EncryptedStore, Protection};

        let ids = [0xb0_u8, 0xca, 0xda].map(|byte| AccountId::from_bytes([byte; 32]));
        let numbers = [1, 1 + PLACES, 2];
        assert_eq!(place(numbers[0]), place(numbers[1]));
        assert_ne!(place(numbers[0]), place(numbers[2]));
        let folder = tempfile::tempdir().unwrap();
        let mut store = EncryptedStore::create(folder.path(), Protection::None).await.unwrap();
        let connection = store.writer.connection().await.unwrap();
        for (id, number) in ids.iter().zip(numbers) {
            let add = sqlx::query("INSERT INTO account (number, id) VALUES (?1, ?2)");
            add.bind(number).bind(id.as_bytes().as_slice()).execute(&mut *connection).await.unwrap();
        }
        store.writer.settle(Ok(())).unwrap();
        // The last one writes what stands for the first one's conversation.
        let texts = ["hello one".to_owned(), "hello two".to_owned(), format!("hello three {}", place(numbers[0]))];
        let message = |(&id, text): (&AccountId, &String)| {
            Write::Message(StoredMessage {
                conversation: id,
                id: MessageId::from_bytes([1; 16]),
                author: id,
                device: DeviceId::MIN,
                sequence: 1,
                sent: Timestamp(1),
                stored: Timestamp(1),
                state: waxwing_engine::State::Delivered,
                text: text.clone(),
                content: Vec::new(),
            })
        };
        store.save(&ids.iter().zip(&texts).map(message).collect::<Batch>()).await.unwrap();
        for (id, text) in ids.iter().zip(&texts) {
            let search =
                Search { query: "hel", conversation: Some(*id), from: None, since: None, before: None, limit: 9 };
            let hits = store.reader().search(search).await.unwrap();
            assert_eq!(hits.iter().map(|hit| &hit.message.text).collect::<Vec<_>>(), [text]);
            assert_eq!(hits[0].snippet.found, [Range { start: 0, end: 5 }], "the place is no part of the text");
        }
    }
}
