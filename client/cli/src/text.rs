//! What others wrote, made safe for a terminal. Implements spec/22-client-api.md §22.7 (F3, F4).
//!
//! ```text
//! any text ─▶ inline: one line, nothing that moves the cursor      names, snippets, errors
//!          ─▶ block:  its lines, each behind a margin of ours      messages
//! ```
//! Invariants: what comes out has no control character but the line ends of [`block`], so that no sequence of theirs begins; what
//! reorders or hides is shown as `\u{…}`; right-to-left text ends where its field ends.
use std::fmt::Write as _;

use unicode_security::MixedScript as _;
use unicode_width::UnicodeWidthChar as _;

/// One line: line ends are shown as well.
#[must_use]
pub fn inline(text: &str) -> String {
    let safe = escape(text);
    if has_right_to_left(&safe) { isolated(&safe) } else { safe }
}

/// As many lines as it has, each begun with `margin`, so that none of theirs looks like one of ours.
#[must_use]
pub fn block(text: &str, margin: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (number, line) in text.split('\n').enumerate() {
        if number > 0 {
            out.push('\n');
            out.push_str(margin);
        }
        out.push_str(&inline(line.strip_suffix('\r').unwrap_or(line)));
    }
    out
}

/// A name as it stands in a list: one line, not longer than a line, and marked if letters of several scripts are mixed in it.
#[must_use]
pub fn name(text: &str) -> String {
    let mut short = String::new();
    let mut width = 0_usize;
    for character in text.chars() {
        width = width.saturating_add(character.width().unwrap_or(0).max(1));
        if width > WIDEST_NAME {
            short.push('…');
            break;
        }
        short.push(character);
    }
    let mark = if text.is_single_script() { "" } else { " (mixed scripts)" };
    format!("{}{mark}", inline(&short))
}

/// What names that look alike have in common (UTS 39).
#[must_use]
pub fn skeleton(name: &str) -> String {
    let lower = name.to_lowercase();
    let shown: String = lower.chars().filter(|character| !is_hidden(*character)).collect();
    unicode_security::skeleton(&shown).collect()
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut before, mut marks) = (None, 0_usize);
    for character in text.chars() {
        marks = if character.width() == Some(0) { marks.saturating_add(1) } else { 0 };
        if is_plain(character, before) && marks <= MOST_MARKS {
            out.push(character);
            before = Some(character);
        } else {
            match character {
                '\t' => out.push_str("    "),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                _ => {
                    // Writing to a string does not fail.
                    let _ = write!(out, "\\u{{{:x}}}", u32::from(character));
                }
            }
            before = None;
        }
    }
    out
}

/// Whether a terminal shows it, and shows it where it stands.
fn is_plain(character: char, before: Option<char>) -> bool {
    match character {
        ' '..='~' => true,
        // Joins emoji, and letters of scripts that join; between Latin letters it only hides.
        '\u{200c}' | '\u{200d}' => before.is_some_and(|before| before > '\u{2ff}'),
        // Chooses between text and emoji.
        '\u{fe0e}' | '\u{fe0f}' => before.is_some_and(|before| before > '\u{7f}' || "#*0123456789".contains(before)),
        _ => !character.is_control() && !is_hidden(character) && character.width().is_some(),
    }
}

/// Reorders text, has no shape, or has any shape (private use).
const fn is_hidden(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
        | '\u{e000}'..='\u{f8ff}' | '\u{fdd0}'..='\u{fdef}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{10ffff}')
}

fn has_right_to_left(text: &str) -> bool {
    text.chars().any(|character| {
        matches!(character, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefe}'
            | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
    })
}

/// Between first-strong isolate and its end, which [`escape`] lets nobody else write.
fn isolated(text: &str) -> String {
    format!("\u{2068}{text}\u{2069}")
}

const WIDEST_NAME: usize = 40;
/// So many marks may stand above one letter.
const MOST_MARKS: usize = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        for (attack, shown) in [
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("\u{1b}]52;c;aGk=\u{7}", "\\u{1b}]52;c;aGk=\\u{7}"),
            ("\u{1b}]8;;http://evil/\u{1b}\\here", "\\u{1b}]8;;http://evil/\\u{1b}\\here"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("a\u{7f}b\u{8}c", "a\\u{7f}b\\u{8}c"),
            ("one\ntwo\rthree", "one\\ntwo\\rthree"),
            ("photo\u{202e}gpj.exe", "photo\\u{202e}gpj.exe"),
            ("pay\u{200b}pal", "pay\\u{200b}pal"),
            ("x\u{200d}y", "x\\u{200d}y"),
            ("\u{e0041}\u{e000}\u{2028}", "\\u{e0041}\\u{e000}\\u{2028}"),
        ] {
            assert_eq!(inline(attack), shown);
        }
    }

    #[test]
    fn what_people_write_stays_as_it_is() {
        for text in ["héllo wörld", "你好，世界", "👩‍👩‍👧 ❤️ 1️⃣", "नमस्ते", "안녕", "e\u{301}"]
        {
            assert_eq!(inline(text), text);
        }
        assert_eq!(inline("שלום"), "\u{2068}שלום\u{2069}");
        // Persian needs the non-joiner.
        assert_eq!(inline("می\u{200c}خواهم"), "\u{2068}می\u{200c}خواهم\u{2069}");
    }

    #[test]
    fn marks_do_not_climb_out_of_their_line() {
        let tower: String = std::iter::once('a').chain(std::iter::repeat_n('\u{301}', 40)).collect();
        assert_eq!(inline(&tower).matches('\u{301}').count(), MOST_MARKS);
    }

    #[test]
    fn every_line_of_a_block_is_behind_its_margin() {
        assert_eq!(block("a\nb\r\n12:00 alice: c", "  | "), "a\n  | b\n  | 12:00 alice: c");
    }

    #[test]
    fn names_that_mix_scripts_are_marked_and_those_that_look_alike_have_one_skeleton() {
        assert_eq!(name("alice"), "alice");
        // The first letter is Cyrillic.
        assert_eq!(name("аlice"), "аlice (mixed scripts)");
        assert_eq!(name("Алиса"), "Алиса");
        assert_eq!(skeleton("аlice"), skeleton("alice"));
        assert_eq!(skeleton("al\u{200b}ice"), skeleton("Alice"));
        assert_ne!(skeleton("alice"), skeleton("bob"));
        assert!(name(&"w".repeat(500)).ends_with('…'));
    }

    proptest! {
        #[test]
        fn nothing_that_comes_out_moves_anything(text in any::<String>()) {
            let safe = inline(&text);
            let inside = safe.strip_prefix('\u{2068}').and_then(|rest| rest.strip_suffix('\u{2069}')).unwrap_or(&safe);
            let reorders = |character: char| matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            let is_safe = inside.chars().all(|character| !character.is_control() && !reorders(character));
            prop_assert!(is_safe);
        }

        /// A terminal that is fed a block shows its lines, in place, and nothing else happens to it.
        #[test]
        fn a_terminal_shows_a_block_and_does_nothing_else(text in "[\\x00-\\x7f\u{80}-\u{9f}]{0,200}") {
            let mut terminal = vt100::Parser::new(250.try_into().unwrap(), 2_000.try_into().unwrap(), 0);
            let safe = block(&text, "| ");
            terminal.process(format!("| {safe}").replace('\n', "\r\n").as_bytes());
            let shown: Vec<String> = terminal.screen().rows(0, 2_000).collect();
            for (row, line) in shown.iter().zip(safe.split('\n').map(|line| line.strip_prefix("| ").unwrap_or(line))) {
                let wanted = format!("| {line}");
                prop_assert_eq!(row.trim_end(), wanted.trim_end());
            }
            let lines = safe.matches('\n').count();
            prop_assert_eq!(usize::from(terminal.screen().cursor_position().0), lines);
        }
    }
}
