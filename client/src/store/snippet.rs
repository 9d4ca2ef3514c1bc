//! Pieces of texts, with what was looked for. Implements spec/21-client-store.md §21.5.
use std::ops::Range;

use super::query::{Term, Terms};

/// A piece of a text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Snippet {
    /// The piece, with `…` where it was cut.
    pub text: String,
    /// Bytes of it that were looked for.
    pub found: Vec<Range<usize>>,
}

impl Snippet {
    /// Reads the marks that FTS5 set; marks that a peer wrote mark the wrong place, and that is all.
    pub(super) fn marked(marked: &str) -> Self {
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
    pub(super) fn around(text: &str, terms: &Terms) -> Self {
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

/// Characters of a snippet before the place, and in all.
const BEFORE: usize = 16;
const LONG: usize = 96;
/// Characters that stand for nothing, and in no text but one that is made to confuse.
const MARK_OPEN: char = '\u{fdd0}';
const MARK_CLOSE: char = '\u{fdd1}';
pub(super) const MARKS: (&str, &str) = ("\u{fdd0}", "\u{fdd1}");

#[cfg(test)]
mod tests {
    use super::*;

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
}
