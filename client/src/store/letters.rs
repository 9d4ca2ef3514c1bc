//! What the tokenizers of the search make of each character, as they say it themselves; so that a text is looked at without them.
//! Implements spec/21-client-store.md §21.5.
//!
//! Invariant: both tokenizers go through a text character by character, and what they make of one does not depend on others: the one of words
//! drops, keeps or ends a word by it, the one of characters in a row drops or keeps it.
use core::ops::Range;
use std::collections::{BTreeSet, HashMap};

/// Characters that were asked about.
#[derive(Clone, Debug, Default)]
pub(super) struct Letters {
    known: HashMap<char, Letter>,
}

/// A character to the tokenizers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Letter {
    pub(super) word: Role,
    /// In a row of characters; none if it is passed over.
    pub(super) gram: Option<char>,
}

/// A character to the tokenizer of words.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Role {
    /// Of a word, as this one.
    Letter(char),
    /// Within a word only, as this one or as nothing.
    Mark(Option<char>),
    Between,
}

/// A text as the index of words has it.
#[derive(Debug, Default)]
pub(super) struct Folded {
    text: String,
    words: Vec<Range<usize>>,
}

impl Folded {
    pub(super) fn words(&self) -> impl Iterator<Item = &str> {
        self.words.iter().filter_map(|word| self.text.get(word.clone()))
    }
}

impl Letters {
    pub(super) fn add(&mut self, letters: impl IntoIterator<Item = (char, Letter)>) {
        self.known.extend(letters);
    }

    /// The characters of texts about which nothing is known yet.
    pub(super) fn unknown(&self, texts: &[&str]) -> BTreeSet<char> {
        let others = texts.iter().filter(|text| !text.is_ascii()).flat_map(|text| text.chars());
        others.filter(|character| !character.is_ascii() && !self.known.contains_key(character)).collect()
    }

    /// How many are known.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// Takes a text apart, into what is empty or was used before.
    pub(super) fn fold(&self, text: &str, folded: &mut Folded) {
        folded.text.clear();
        folded.words.clear();
        let mut start = None;
        for character in text.chars() {
            match self.role(character) {
                Role::Letter(letter) => {
                    start.get_or_insert(folded.text.len());
                    folded.text.push(letter);
                }
                Role::Mark(mark) => folded.text.extend(mark.filter(|_| start.is_some())),
                Role::Between => folded.words.extend(start.take().map(|start| start..folded.text.len())),
            }
        }
        folded.words.extend(start.map(|start| start..folded.text.len()));
    }

    /// A text as the index of characters in a row has it.
    pub(super) fn row(&self, text: &str) -> String {
        text.chars().filter_map(|character| self.gram(character)).collect()
    }

    fn role(&self, character: char) -> Role {
        if character.is_ascii_alphanumeric() {
            return Role::Letter(character.to_ascii_lowercase());
        }
        self.letter(character).map_or(Role::Between, |letter| letter.word)
    }

    fn gram(&self, character: char) -> Option<char> {
        if character.is_ascii() {
            return Some(character.to_ascii_lowercase());
        }
        self.letter(character).and_then(|letter| letter.gram)
    }

    fn letter(&self, character: char) -> Option<&Letter> {
        if character.is_ascii() { None } else { self.known.get(&character) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letters() -> Letters {
        let letter = |word, gram| Letter { word, gram };
        let mut letters = Letters::default();
        letters.add([
            ('é', letter(Role::Letter('e'), Some('e'))),
            ('\u{301}', letter(Role::Mark(None), None)),
            ('\u{20dd}', letter(Role::Mark(Some('\u{20dd}')), Some('\u{20dd}'))),
            ('。', letter(Role::Between, Some('。'))),
        ]);
        letters
    }

    #[test]
    fn a_text_is_taken_apart_into_words() {
        let mut folded = Folded::default();
        for (text, words) in [
            ("Don't panic", &["don", "t", "panic"][..]),
            ("", &[]),
            ("\u{301}\u{20dd}x", &["x"]),
            ("Café\u{301}s\u{20dd}。a\0b", &["cafes\u{20dd}", "a", "b"]),
        ] {
            letters().fold(text, &mut folded);
            assert_eq!(folded.words().collect::<Vec<_>>(), words, "{text:?}");
        }
    }

    #[test]
    fn a_row_is_what_is_not_passed_over() {
        assert_eq!(letters().row("Ab é\u{301}。\0"), "ab e。\0");
        assert!(letters().unknown(&["abc é"]).is_empty());
        assert!(letters().unknown(&["abc", "éßé", "ß"]).into_iter().eq(['ß']));
    }
}
