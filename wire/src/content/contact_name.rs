//! What a person calls somebody. Implements spec/16-content.md §16.7.4.
use alloc::{borrow::ToOwned, string::String};
use core::{fmt, str::FromStr};

use thiserror::Error;

use crate::message::{Broken, FromWire, ToWire};

/// A name that the person gave somebody: 1 to 64 characters, no space around it, no control character in it. No server and no
/// contact ever sees it.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ContactName(String);

/// Why a text is no name for a contact.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum ContactNameError {
    /// There is nothing in it.
    #[error("a name has at least one character")]
    Empty,
    /// Longer than 64 characters.
    #[error("a name has at most {} characters, not {got}", ContactName::MOST)]
    TooLong {
        /// So many.
        got: usize,
    },
    /// A line break or another character that is not shown, or that turns the direction of the text around it.
    #[error("a name has no control characters")]
    Control,
}

impl ContactName {
    /// Characters in a name.
    pub const MOST: usize = 64;

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContactName {
    type Err = ContactNameError;

    /// Takes what the person typed; spaces around it are left out.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.trim();
        let got = name.chars().count();
        if got == 0 {
            return Err(ContactNameError::Empty);
        }
        if got > Self::MOST {
            return Err(ContactNameError::TooLong { got });
        }
        if name.chars().any(is_control) {
            return Err(ContactNameError::Control);
        }
        Ok(Self(name.to_owned()))
    }
}

/// C0 and C1, line separators, and what reorders the text around it (a name must not make another line read differently).
fn is_control(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl fmt::Display for ContactName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ContactName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContactName({})", self.0.len())
    }
}

impl ToWire<String> for ContactName {
    fn to_wire(&self) -> String {
        self.0.clone()
    }
}

impl FromWire<String> for ContactName {
    /// As it was written: with spaces around it, it is another text, and refused.
    fn from_wire(wire: String) -> Result<Self, Broken> {
        let name: Self = wire.parse().map_err(|_| Broken::rule("§16.7.4"))?;
        if name.0 == wire { Ok(name) } else { Err(Broken::rule("§16.7.4")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_was_typed_without_the_spaces_around_it() {
        assert_eq!("  Bob B. 王 ".parse::<ContactName>().map(|name| name.0), Ok("Bob B. 王".to_owned()));
        assert_eq!("é".repeat(64).parse::<ContactName>().map(|name| name.0.len()), Ok(128));
    }

    #[test]
    fn what_is_empty_too_long_or_not_shown_is_no_name() {
        assert_eq!(" \t".parse::<ContactName>(), Err(ContactNameError::Empty));
        assert_eq!("x".repeat(65).parse::<ContactName>(), Err(ContactNameError::TooLong { got: 65 }));
        for text in ["a\nb", "a\0", "a\u{1b}[31m", "a\u{202e}b", "a\u{2028}b", "\u{2066}a"] {
            assert_eq!(text.parse::<ContactName>(), Err(ContactNameError::Control), "{text:?}");
        }
    }

    #[test]
    fn a_name_that_travelled_has_no_spaces_around_it() {
        assert!(<ContactName as FromWire<String>>::from_wire("Bob".to_owned()).is_ok());
        assert!(<ContactName as FromWire<String>>::from_wire(" Bob".to_owned()).is_err());
    }
}
