//! Names at a key server. Implements spec/11-identity.md §11.13; the wire's part of attack F4.
//!
//! ```text
//! "modern-vole" ──skeleton──▶ "rnoclernvvole"...        two names with one skeleton cannot both exist
//! ```
//! Invariants: a [`Name`] is lower-case ASCII of one grammar, so it holds no other script, no invisible character and no
//! direction mark; names that look alike have one [`Skeleton`].
//! Not here: display names, which people choose freely and which are never looked up.
use alloc::string::String;
use core::{fmt, str::FromStr};

use thiserror::Error;

/// A name: 3 to 32 characters, groups of `a`-`z` and `0`-`9` joined by single hyphens, the first a letter.
///
/// Its bytes, and zeros behind them: names are ordered as their texts are.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Name([u8; MAX]);

impl Name {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let text = self.0.split(|byte| *byte == 0).next().unwrap_or_default();
        // ASCII: it was read from a text.
        core::str::from_utf8(text).unwrap_or_default()
    }

    /// What it has in common with every name that looks like it (spec §11.13.3).
    #[must_use]
    pub fn skeleton(&self) -> Skeleton {
        Skeleton::of(self.as_str())
    }

    /// Whether it looks like a name nobody may have (spec §11.13.2). An operator may still give it by hand.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        let skeleton = self.skeleton();
        let looks_like_an_id = matches!(self.as_str().as_bytes(), [b'w', b'x', _, b'-', ..]);
        looks_like_an_id || RESERVED.iter().any(|reserved| Skeleton::of(reserved) == skeleton)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Name").field(&self.as_str()).finish()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if !(MIN..=MAX).contains(&text.len()) {
            return Err(NameError::Length);
        }
        if !text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')) {
            return Err(NameError::Character);
        }
        let starts_well = text.starts_with(|first: char| first.is_ascii_lowercase());
        if !starts_well || text.split('-').any(str::is_empty) {
            return Err(NameError::Shape);
        }
        let mut name = [0; MAX];
        name.iter_mut().zip(text.bytes()).for_each(|(place, byte)| *place = byte);
        Ok(Self(name))
    }
}

/// What names that look alike share (spec §11.13.3). Compared, never shown.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Skeleton(String);

impl Skeleton {
    /// As bytes for a store's unique index; ASCII, at most 64.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Each character becomes its plainest twin, spelled out where two characters look like one (as UTS 39 §4 does).
    fn of(text: &str) -> Self {
        let mut skeleton = String::with_capacity(text.len().saturating_mul(2));
        for character in text.chars() {
            match character {
                '-' => {}
                '0' => skeleton.push('o'),
                '1' | 'i' => skeleton.push('l'),
                '2' => skeleton.push('z'),
                '5' => skeleton.push('s'),
                '6' | '8' => skeleton.push('b'),
                '9' | 'q' => skeleton.push('g'),
                'm' => skeleton.push_str("rn"),
                'w' => skeleton.push_str("vv"),
                'd' => skeleton.push_str("cl"),
                other => skeleton.push(other),
            }
        }
        Self(skeleton)
    }
}

/// Why a text is no name (spec §11.13). Safe to show and to log.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum NameError {
    /// Not 3 to 32 characters.
    #[error("§11.13.1: a name has {MIN} to {MAX} characters")]
    Length,
    /// A character that is not `a`-`z`, `0`-`9` or a hyphen: upper case, another script, something invisible.
    #[error("§11.13.1: a name is of a to z, 0 to 9 and hyphens")]
    Character,
    /// It starts with no letter, or a hyphen is first, last or doubled.
    #[error("§11.13.1: a name starts with a letter and has single hyphens inside only")]
    Shape,
}

const MIN: usize = 3;
const MAX: usize = 32;

/// Names that would speak for the system, for everybody or for nobody (spec §11.13.2).
const RESERVED: [&str; 55] = [
    "abuse",
    "account",
    "admin",
    "administrator",
    "all",
    "anonymous",
    "anyone",
    "api",
    "backup",
    "billing",
    "bot",
    "contact",
    "deleted",
    "demo",
    "device",
    "everybody",
    "everyone",
    "group",
    "help",
    "helpdesk",
    "here",
    "hostmaster",
    "info",
    "invite",
    "keyserver",
    "mail",
    "mailbox",
    "moderator",
    "mod",
    "news",
    "nobody",
    "noreply",
    "null",
    "official",
    "operator",
    "owner",
    "payment",
    "postmaster",
    "privacy",
    "recovery",
    "relay",
    "root",
    "security",
    "self",
    "server",
    "signal",
    "staff",
    "status",
    "support",
    "sysadmin",
    "system",
    "undefined",
    "unknown",
    "waxwing",
    "webmaster",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Name {
        text.parse().expect(text)
    }

    #[test]
    fn f4_a_name_holds_nothing_but_lower_case_ascii() {
        for good in ["bob", "alice", "modern-vole-7", "a23", &"a".repeat(32)] {
            assert_eq!(name(good).as_str(), good);
        }
        for (bad, error) in [
            ("", NameError::Length),
            ("ab", NameError::Length),
            (&*"a".repeat(33), NameError::Length),
            ("Alice", NameError::Character),
            ("al ice", NameError::Character),
            ("al_ice", NameError::Character),
            ("al.ice", NameError::Character),
            ("alice\n", NameError::Character),
            ("alice@x", NameError::Character),
            ("\u{430}lice", NameError::Character),
            ("ali\u{200b}ce", NameError::Character),
            ("ali\u{202e}ce", NameError::Character),
            ("alic\u{e9}", NameError::Character),
            ("\u{ff41}lice", NameError::Character),
            ("1alice", NameError::Shape),
            ("-alice", NameError::Shape),
            ("alice-", NameError::Shape),
            ("al--ice", NameError::Shape),
            ("---", NameError::Shape),
        ] {
            assert_eq!(bad.parse::<Name>(), Err(error), "{bad:?}");
        }
    }

    #[test]
    fn f4_names_that_look_alike_have_one_skeleton() {
        for (one, other) in [
            ("modern", "rnodern"),
            ("wendy", "vvendy"),
            ("alice", "a1ice"),
            ("alice", "ailce"),
            ("bob", "b0b"),
            ("david", "clavicl"),
            ("boss", "bo55"),
            ("zoe-b", "zoeb"),
            ("bill", "b1ll"),
            ("lili", "iill"),
            ("gabe", "qa8e"),
        ] {
            assert_eq!(name(one).skeleton(), name(other).skeleton(), "{one} {other}");
        }
        for (one, other) in [("alice", "alicia"), ("bob", "rob"), ("nina", "mina"), ("carl", "karl"), ("tom", "tim")] {
            assert_ne!(name(one).skeleton(), name(other).skeleton(), "{one} {other}");
        }
    }

    #[test]
    fn f4_reserved_names_are_reserved_however_they_are_spelled() {
        for text in
            ["admin", "adrnin", "aclmin", "adm1n", "ad-min", "support", "supp0rt", "waxwing", "vvaxvving", "wxa-aaaa"]
        {
            assert!(name(text).is_reserved(), "{text}");
        }
        for text in ["alice", "bob", "adminton", "wxyz"] {
            assert!(!name(text).is_reserved(), "{text}");
        }
    }

    proptest! {
        /// 256 cases of up to 2^n spellings each; with `PROPTEST_CASES` more.
        #[test]
        fn f4_every_swap_of_twins_keeps_the_skeleton(text in "[a-z][a-z0-9]{2,9}", picks in prop::collection::vec(0usize..4, 12)) {
            const TWINS: [(&str, &[&str]); 9] = [
                ("0", &["o"]), ("1", &["l", "i"]), ("l", &["1", "i"]), ("m", &["rn"]), ("w", &["vv"]),
                ("d", &["cl"]), ("5", &["s"]), ("2", &["z"]), ("8", &["b"]),
            ];
            let mut spelled = String::new();
            for (character, pick) in text.chars().zip(picks.iter().cycle()) {
                let twins = TWINS.iter().find(|(one, _)| one.chars().eq([character]));
                match twins {
                    Some((_, twins)) if *pick > 0 => spelled.extend(twins.iter().cycle().nth(*pick).copied()),
                    _ => spelled.push(character),
                }
            }
            prop_assert_eq!(Skeleton::of(&text), Skeleton::of(&spelled));
        }

        #[test]
        fn a_name_is_what_the_grammar_says_and_writes_itself(text in "[a-z0-9-]{0,34}") {
            let grammar = (3..=32).contains(&text.len())
                && text.starts_with(|c: char| c.is_ascii_lowercase())
                && !text.ends_with('-')
                && !text.contains("--");
            prop_assert_eq!(text.parse::<Name>().is_ok(), grammar);
        }
    }
}
