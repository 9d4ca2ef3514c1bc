//! Whether a text has what is looked for, without an index: blocks are found by their words, and their texts one by one.
//! Implements spec/21-client-store.md §21.5.
use memchr::memmem;

use super::{
    letters::{Folded, Letters},
    query::{GRAM, Term, Terms, quoted},
    scripts,
};

/// Terms as words.
#[derive(Debug)]
pub(super) struct Words {
    terms: Vec<Row>,
}

/// A term as the index has it: one word, or several in a row.
#[derive(Debug)]
struct Row {
    all: Vec<String>,
    whole: bool,
}

impl Words {
    pub(super) fn of(terms: &Terms, letters: &Letters) -> Self {
        let mut folded = Folded::default();
        let row = |Term { text, whole }: &Term| {
            letters.fold(text, &mut folded);
            Row { all: folded.words().map(str::to_owned).collect(), whole: *whole }
        };
        let mut terms: Vec<Row> = terms.all.iter().map(row).collect();
        // Letters to us and none to the tokenizer: there is nothing of it to be found.
        terms.retain(|row| !row.all.is_empty());
        Self { terms }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// As FTS5 asks for blocks that have all of them somewhere.
    pub(super) fn somewhere(&self) -> String {
        self.terms.iter().flat_map(Row::each).collect::<Vec<_>>().join(" AND ")
    }

    /// As FTS5 asks for texts, where it knows places of words.
    pub(super) fn exactly(&self) -> String {
        self.terms.iter().map(Row::exactly).collect::<Vec<_>>().join(" AND ")
    }

    pub(super) fn match_in(&self, text: &str, letters: &Letters, folded: &mut Folded) -> bool {
        // Most texts of a block have not all of the words; that is seen without taking them apart.
        if text.is_ascii() {
            let lower = text.to_ascii_lowercase();
            if !self.terms.iter().all(|row| row.occurs_in(&lower)) {
                return false;
            }
        }
        letters.fold(text, folded);
        self.terms.iter().all(|row| row.stands_in(folded))
    }
}

impl Row {
    /// Whether its words are in a text of small letters without accents, be it within others.
    fn occurs_in(&self, lower: &str) -> bool {
        self.all.iter().all(|word| memmem::find(lower.as_bytes(), word.as_bytes()).is_some())
    }

    fn stands_in(&self, folded: &Folded) -> bool {
        let [only] = self.all.as_slice() else {
            let words: Vec<&str> = folded.words().collect();
            return words.windows(self.all.len()).any(|words| self.stands_as(words));
        };
        folded.words().any(|word| if self.whole { word == only } else { word.starts_with(only.as_str()) })
    }

    /// Whether these are the words, the last of them perhaps longer.
    fn stands_as(&self, words: &[&str]) -> bool {
        let last = self.all.len().saturating_sub(1);
        words.iter().zip(&self.all).enumerate().all(|(place, (word, of))| {
            if place == last && !self.whole { word.starts_with(of.as_str()) } else { word == of }
        })
    }

    /// Each of its words; of the last its beginning, unless it is whole.
    fn each(&self) -> impl Iterator<Item = String> {
        let last = self.all.len().saturating_sub(1);
        let begins = move |place: usize| if place == last && !self.whole { " *" } else { "" };
        self.all.iter().enumerate().map(move |(place, word)| format!("{}{}", quoted(word), begins(place)))
    }

    fn exactly(&self) -> String {
        format!("{}{}", quoted(&self.all.join(" ")), if self.whole { "" } else { " *" })
    }
}

/// Terms as characters in a row, in texts that have characters of scripts without spaces.
#[derive(Debug)]
pub(super) struct Characters {
    /// At least three, as the index has them.
    grams: Vec<String>,
    /// One or two, as they are but for the case of letters that every computer has.
    pieces: Vec<String>,
}

impl Characters {
    pub(super) fn of(terms: &Terms, letters: &Letters) -> Self {
        let (grams, pieces): (Vec<&Term>, Vec<&Term>) = terms.all.iter().partition(|term| term.is_gram());
        Self {
            grams: grams.iter().map(|term| letters.row(&term.text)).collect(),
            pieces: pieces.iter().map(|term| term.text.to_ascii_lowercase()).collect(),
        }
    }

    /// As FTS5 asks for blocks that have all of them somewhere, if that is something that it knows.
    pub(super) fn somewhere(&self) -> Option<String> {
        let mut all = Vec::new();
        for gram in &self.grams {
            let characters: Vec<char> = gram.chars().collect();
            all.extend(characters.windows(GRAM).map(|some| quoted(&some.iter().collect::<String>())));
        }
        if all.is_empty() { None } else { Some(all.join(" AND ")) }
    }

    pub(super) fn match_in(&self, text: &str, letters: &Letters) -> bool {
        // What costs least, and most texts have not, comes first.
        let lower = text.to_ascii_lowercase();
        let has = |piece: &String| memmem::find(lower.as_bytes(), piece.as_bytes()).is_some();
        if !self.pieces.iter().all(has) || !scripts::has_unspaced(text) {
            return false;
        }
        let row = if self.grams.is_empty() { String::new() } else { letters.row(text) };
        self.grams.iter().all(|gram| row.contains(gram.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(query: &str) -> Words {
        Words::of(&Terms::parse(query), &Letters::default())
    }

    fn has(text: &str, query: &str) -> bool {
        words(query).match_in(text, &Letters::default(), &mut Folded::default())
    }

    #[test]
    fn words_in_a_row_are_told_from_others() {
        for text in ["Don't panic", "I said: DON T PAN!", "don_t\tpan", "don\0t panx"] {
            assert!(has(text, "don't-pan"), "{text:?}");
        }
        for text in ["don panic t", "dont panic", "don't pa", "don't", "xdon't panic", ""] {
            assert!(!has(text, "don't-pan"), "{text:?}");
        }
        assert!(!has("don't panic", "\"don't pan\""), "not the beginning of a word");
        assert!(has("don't pan", "\"don't pan\""));
        assert!(has("gate and garden", "gar GA") && !has("gate", "gar ga"));
        assert!(has("gate", "\"gate\"") && !has("gates", "\"gate\""));
    }

    #[test]
    fn what_is_asked_of_an_index_is_words_alone() {
        assert_eq!(words("NOT a*").somewhere(), "\"not\" * AND \"a\" *");
        assert_eq!(words("text:a ) OR \"b c\"").somewhere(), "\"text\" AND \"a\" * AND \"or\" * AND \"b\" AND \"c\"");
        assert_eq!(words("text:a \"b c\"").exactly(), "\"text a\" * AND \"b c\"");
        assert!(words("☺").is_empty());
    }

    #[test]
    fn characters_are_asked_for_three_by_three() {
        let mut letters = Letters::default();
        for character in "世界人上海".chars() {
            let letter = super::super::letters::Role::Letter(character);
            letters.add([(character, super::super::letters::Letter { word: letter, gram: Some(character) })]);
        }
        let characters = Characters::of(&Terms::parse("世界人X 世界"), &letters);
        assert_eq!(characters.somewhere().as_deref(), Some("\"世界人\" AND \"界人x\""));
        assert!(characters.match_in("上世界人x", &letters));
        for text in ["世界人", "界人x世界", "abc"] {
            assert!(!characters.match_in(text, &letters), "{text}");
        }
        assert_eq!(Characters::of(&Terms::parse("世界"), &letters).somewhere(), None);
    }
}
