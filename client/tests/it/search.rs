//! What a search finds is what a look at every message finds, whatever is written and asked; in blocks, in what is loose, and over the ends of blocks.
//!
//! `WAXWING_QUERIES=100000 WAXWING_SEED=2 cargo test --workspace --test it a_search_finds` for more; a failure prints its seed.
use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use waxwing_client::store::{Hit, Reader, Search};
use waxwing_engine::store::{StoredMessage, Write};
use waxwing_wire::{id::AccountId, time::Timestamp};

use crate::scene::{ALICE, BOB, CAROL, create, message, save};

const MESSAGES: u64 = 600;
/// Words that begin alike, marks between and in them, accents, a character that stands for a conversation in the index, scripts without spaces.
const WORDS: &[&str] = &[
    "a",
    "lo",
    "lot",
    "lots",
    "Lotus",
    "lotus-eater",
    "don't",
    "do",
    "dont",
    "café",
    "CAFE",
    "cafés",
    "x1",
    "1x",
    "10.5",
    "a_b",
    "ba",
    "\u{e001}",
    "\u{e002}lo",
    "-",
    "☺",
    "上海",
    "上海站",
    "海",
    "Rust上海",
    "東京タワー",
    "上",
];

struct Chance(ChaCha20Rng);

impl Chance {
    fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.0.next_u64() % u64::try_from(most).unwrap()).unwrap()
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn text(&mut self) -> String {
        let words = 1 + self.below(8);
        // Words of scripts without spaces are rarer, so that there are messages without.
        let most = if self.below(4) == 0 { WORDS.len() } else { WORDS.len() - 6 };
        let words: Vec<_> = (0..words).map(|_| WORDS[self.below(most)]).collect();
        words.join(self.one(&[" ", " ", ", ", "  ", "."]))
    }

    fn message(&mut self, number: u64) -> StoredMessage {
        let conversation = self.one(&[BOB, CAROL]);
        let author = self.one(&[ALICE, conversation]);
        StoredMessage { conversation, author, ..message(number, &self.text()) }
    }

    /// Pieces of words, or of what somebody wrote.
    fn query(&mut self, all: &[StoredMessage]) -> String {
        let terms: Vec<String> = (0..1 + self.below(3)).map(|_| self.term(all)).collect();
        terms.join(" ")
    }

    fn term(&mut self, all: &[StoredMessage]) -> String {
        let source =
            if self.below(2) == 0 { self.one(WORDS).to_owned() } else { all[self.below(all.len())].text.clone() };
        let characters: Vec<char> = source.chars().collect();
        let from = if self.below(2) == 0 { 0 } else { self.below(characters.len()) };
        let piece: String = characters[from..].iter().take(1 + self.below(12)).collect();
        if self.below(3) == 0 { format!("\"{piece}\"") } else { piece }
    }
}

fn is_unspaced(text: &str) -> bool {
    text.chars().any(|character| matches!(character, '\u{3000}'..='\u{9fff}'))
}

fn is_of_a_word(character: char) -> bool {
    character.is_alphanumeric() || ('\u{e000}'..='\u{f8ff}').contains(&character)
}

fn folded(text: &str) -> String {
    text.to_lowercase().replace('é', "e")
}

fn words(text: &str) -> Vec<String> {
    folded(text)
        .split(|character| !is_of_a_word(character))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// As spec §21.5 says it: terms and whether they are quotations.
fn terms(query: &str) -> Vec<(String, bool)> {
    let mut terms = Vec::new();
    for (place, piece) in query.split('"').enumerate() {
        let whole = place % 2 == 1;
        let pieces: Vec<&str> = if whole { vec![piece.trim()] } else { piece.split_whitespace().collect() };
        terms.extend(pieces.into_iter().map(|piece| (piece.to_owned(), whole)));
    }
    terms.retain(|(term, _)| term.chars().any(char::is_alphanumeric));
    terms
}

fn has_in_a_row(text: &[String], term: &[String], whole: bool) -> bool {
    let Some((last, before)) = term.split_last() else { return true };
    text.windows(term.len()).any(|row| {
        let end = &row[before.len()];
        row.starts_with(before) && if whole { end == last } else { end.starts_with(last.as_str()) }
    })
}

fn matches(text: &str, terms: &[(String, bool)]) -> bool {
    let unspaced = terms.iter().any(|(term, _)| is_unspaced(term));
    let of_text = words(text);
    let by_words = || terms.iter().all(|(term, whole)| has_in_a_row(&of_text, &words(term), *whole));
    let is_long = |term: &str| term.chars().count() >= 3;
    // One or two characters are compared as they are, but for case.
    let has = |term: &str| {
        if is_long(term) {
            folded(text).contains(&folded(term))
        } else {
            text.to_ascii_lowercase().contains(&term.to_ascii_lowercase())
        }
    };
    let by_characters = || is_unspaced(text) && terms.iter().all(|(term, _)| has(term));
    let long = terms.iter().any(|(term, _)| is_long(term));
    !terms.is_empty() && (!unspaced && by_words() || (unspaced || long) && by_characters())
}

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |value| value.parse().unwrap())
}

async fn pages(reader: &Reader, search: Search<'_>, limit: usize) -> Vec<Hit> {
    let mut hits: Vec<Hit> = Vec::new();
    loop {
        let page = reader.search(Search { before: hits.last(), limit, ..search }).await.unwrap();
        if page.is_empty() {
            return hits;
        }
        let goes_on = hits.last().is_none_or(|last| last.message.sequence > page[0].message.sequence);
        assert!(goes_on, "each page is after the one before");
        hits.extend(page);
    }
}

#[tokio::test]
async fn a_search_finds_what_a_look_at_every_message_finds() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = create(folder.path()).await;
    let (queries, seed) = (variable("WAXWING_QUERIES", 1_500), variable("WAXWING_SEED", 11));
    println!("WAXWING_SEED={seed}");
    let mut chance = Chance(ChaCha20Rng::seed_from_u64(seed));
    let mut all: Vec<StoredMessage> = (1..=MESSAGES).map(|number| chance.message(number)).collect();
    // Many together, and one by one.
    let mut left = all.as_slice();
    while !left.is_empty() {
        let (some, rest) = left.split_at(left.len().min(chance.one(&[1, 1, 1, 7, 40, 150])));
        save(&mut store, some.iter().cloned().map(Write::Message)).await;
        left = rest;
    }
    // Those of the first part are deleted: they are in no index any more.
    store.forget_before(Timestamp(2_000_100), None).await.unwrap();
    all.retain(|message| message.stored >= Timestamp(2_000_100) || message.author == ALICE);
    let reader = store.reader();
    let (mut found, mut in_a_row) = (0, 0);
    for _ in 0..queries {
        let query = chance.query(&all);
        let conversation = chance.one(&[None, None, Some(BOB), Some(CAROL), Some(AccountId::from_bytes([7; 32]))]);
        let from = chance.one(&[None, None, Some(ALICE), Some(BOB)]);
        let since = chance.one(&[None, None, Some(Timestamp(1_000_300))]);
        let asked = terms(&query);
        let is_meant = |message: &&StoredMessage| {
            conversation.is_none_or(|of| of == message.conversation)
                && from.is_none_or(|by| by == message.author)
                && since.is_none_or(|since| message.sent >= since)
                && matches(&message.text, &asked)
        };
        let expected: Vec<u64> = all.iter().rev().filter(is_meant).map(|message| message.sequence).collect();
        let search = Search { query: &query, conversation, from, since, before: None, limit: 1 };
        let limit = 1 + chance.below(80);
        let hits = pages(&reader, search, limit).await;
        let numbers: Vec<u64> = hits.iter().map(|hit| hit.message.sequence).collect();
        assert_eq!(numbers, expected, "{query:?} in {conversation:?} by {from:?} since {since:?}, {limit} a page");
        for hit in &hits {
            assert!(hit.snippet.found.iter().all(|place| hit.snippet.text.get(place.clone()).is_some()), "{hit:?}");
        }
        found += hits.len();
        in_a_row += usize::from(!hits.is_empty() && asked.iter().any(|(term, _)| words(term).len() > 1));
    }
    assert!(found as u64 > queries, "{found} hits");
    assert!(in_a_row > 50, "{in_a_row} queries with words in a row found something");
}
