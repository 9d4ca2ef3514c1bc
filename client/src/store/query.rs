//! What a person looks for, as terms. Implements spec/21-client-store.md §21.5.
//!
//! Invariant: what a person types never becomes SQL or a query of FTS5's.
use super::scripts;

/// A query's parts.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) all: Vec<Term>,
    /// Whether one of them has characters of scripts without spaces.
    pub(super) unspaced: bool,
}

#[derive(Debug)]
pub(super) struct Term {
    pub(super) text: String,
    /// Between quotation marks: not the beginning of a word, but words.
    pub(super) whole: bool,
}

impl Terms {
    pub(super) fn parse(query: &str) -> Self {
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
        let unspaced = all.iter().any(|term| scripts::has_unspaced(&term.text));
        Self { all, unspaced }
    }

    pub(super) fn texts(&self) -> Vec<&str> {
        self.all.iter().map(|term| term.text.as_str()).collect()
    }
}

impl Term {
    /// Whether the index of characters in a row has it.
    pub(super) fn is_gram(&self) -> bool {
        self.text.chars().count() >= GRAM
    }
}

/// A string of FTS5's, whatever stands in it.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\"").replace('\0', " "))
}

/// Characters in a row that the index knows.
pub(super) const GRAM: usize = 3;
const MOST_TERMS: usize = 8;
const MOST_CHARACTERS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(query: &str) -> Vec<(String, bool)> {
        Terms::parse(query).all.into_iter().map(|term| (term.text, term.whole)).collect()
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
        assert_eq!(quoted("a\" OR b*\0c"), "\"a\"\" OR b* c\"");
    }
}
