//! Which characters belong to scripts that put no spaces between words. Implements spec/21-client-store.md §21.5.
//!
//! Invariant: what this says of a text is stored with it; a change here needs a change of layout that says it anew of every message.

/// Whether a word's end is not seen by a space after it: Thai, Lao, Myanmar and Khmer, kana, Chinese characters; and Hangul, where
/// particles follow the word without one.
pub(super) fn is_unspaced(character: char) -> bool {
    matches!(character,
        '\u{0e00}'..='\u{0eff}'
        | '\u{1000}'..='\u{109f}'
        | '\u{1100}'..='\u{11ff}'
        | '\u{1780}'..='\u{17ff}'
        | '\u{2e80}'..='\u{2fdf}'
        | '\u{3005}'..='\u{3007}'
        | '\u{3040}'..='\u{31ff}'
        | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{a960}'..='\u{a97f}'
        | '\u{ac00}'..='\u{d7ff}'
        | '\u{f900}'..='\u{faff}'
        | '\u{ff66}'..='\u{ffdc}'
        | '\u{1b000}'..='\u{1b16f}'
        | '\u{20000}'..='\u{3ffff}'
    )
}

/// Whether a text has any of them.
pub(super) fn has_unspaced(text: &str) -> bool {
    !text.is_ascii() && text.chars().any(is_unspaced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_with_and_without_spaces_are_told_apart() {
        for character in "世界カなภาษາខမ한𠀀々".chars() {
            assert!(is_unspaced(character), "{character}");
        }
        for character in "aéßЖאعहΩ1 .、😀".chars() {
            assert!(!is_unspaced(character), "{character}");
        }
    }
}
