//! The 24 words. Implements spec/11-identity.md §11.2.1: BIP-39, English, 256 bits of entropy, no passphrase.
//!
//! ```text
//! 24 words ⇄ 256 bits S + 8 bits of SHA-256(S)        S ──derivations (keys)──▶ recovery key, root keys
//! ```
//! Invariants: S is the entropy itself, not BIP-39's PBKDF2 seed; it is wiped on drop, and no error says a word.
//! Not here: what derives from S ([`crate::keys`]).
use alloc::{boxed::Box, string::String};
use core::fmt;

use bip39::{Language, Mnemonic};
use rand_core::CryptoRng;
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// S: the 256 bits that the words encode and an account begins with. Shown once, checked, never stored.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct AccountSecret(Box<[u8; 32]>);

impl AccountSecret {
    /// A new account's secret.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut secret = Self(Box::new([0; 32]));
        rng.fill_bytes(secret.0.as_mut());
        secret
    }

    /// Reads 24 words as a person typed them: any case, any white space between them.
    ///
    /// # Errors
    /// What is wrong with which word; nothing of the words themselves.
    pub fn from_words(text: &str) -> Result<Self, WordsError> {
        let text = normal(text)?;
        let words = Mnemonic::parse_in_normalized(Language::English, &text).map_err(|error| match error {
            bip39::Error::UnknownWord(index) => WordsError::Unknown { position: index.saturating_add(1) },
            bip39::Error::InvalidChecksum => WordsError::Checksum,
            bip39::Error::BadWordCount(count) => WordsError::Count { count },
            _ => WordsError::Checksum,
        })?;
        let (mut entropy, _) = words.to_entropy_array();
        let mut secret = Self(Box::new([0; 32]));
        secret.0.iter_mut().zip(entropy).for_each(|(target, source)| *target = source);
        entropy.zeroize();
        Ok(secret)
    }

    /// The 24 words, lower case, one space apart.
    #[must_use]
    pub fn to_words(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(MAX_TEXT));
        // 32 bytes always are a mnemonic of 24 words.
        if let Ok(words) = Mnemonic::from_entropy_in(Language::English, self.0.as_ref()) {
            for word in words.words() {
                if !text.is_empty() {
                    text.push(' ');
                }
                text.push_str(word);
            }
        }
        text
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for AccountSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccountSecret(..)")
    }
}

/// The words of the list that begin with `prefix` (lower case), for completion while typing. Four letters name one word.
pub fn words_beginning_with(prefix: &str) -> impl Iterator<Item = &'static str> {
    Language::English.word_list().iter().copied().filter(move |word| word.starts_with(prefix))
}

/// Why a text is no account's words (spec §11.2.1). Safe to show and to log.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum WordsError {
    /// Not 24 words: some are missing or too many.
    #[error("§11.2.1: {count} words instead of 24")]
    Count {
        /// How many there are; at least that many if the text is far too long.
        count: usize,
    },
    /// A word is not in the list: look at its spelling.
    #[error("§11.2.1: word {position} is not in the list")]
    Unknown {
        /// Counted from 1.
        position: usize,
    },
    /// All words exist but do not belong together: one is wrong or two are swapped.
    #[error("§11.2.1: the words do not belong together")]
    Checksum,
}

/// Lower case with single spaces; refuses what cannot be 24 words before the list is searched.
fn normal(text: &str) -> Result<Zeroizing<String>, WordsError> {
    let mut normal = Zeroizing::new(String::with_capacity(MAX_TEXT));
    let mut count = 0usize;
    for word in text.split_whitespace() {
        count = count.saturating_add(1);
        if count > WORDS {
            return Err(WordsError::Count { count });
        }
        if word.len() > MAX_WORD || !word.is_ascii() {
            return Err(WordsError::Unknown { position: count });
        }
        if count > 1 {
            normal.push(' ');
        }
        word.bytes().for_each(|byte| normal.push(char::from(byte.to_ascii_lowercase())));
    }
    if count == WORDS { Ok(normal) } else { Err(WordsError::Count { count }) }
}

const WORDS: usize = 24;
/// The longest word of the English list.
const MAX_WORD: usize = 8;
/// 24 words and the spaces between them: the buffer never grows, so no copy of the words is left behind.
const MAX_TEXT: usize = WORDS * (MAX_WORD + 1);

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// The 256-bit English vectors of the reference implementation (trezor/python-mnemonic, vectors.json).
    const VECTORS: [(&str, &str); 4] = [
        (
            "0000000000000000000000000000000000000000000000000000000000000000",
            "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon art",
        ),
        (
            "7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f",
            "legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth title",
        ),
        (
            "8080808080808080808080808080808080808080808080808080808080808080",
            "letter advice cage absurd amount doctor acoustic avoid letter advice cage absurd amount doctor acoustic avoid letter advice cage absurd amount doctor acoustic bless",
        ),
        (
            "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo vote",
        ),
    ];

    #[test]
    fn the_published_vectors_hold_in_both_directions() {
        for (entropy, words) in VECTORS {
            let secret = AccountSecret::from_words(words).expect(entropy);
            assert_eq!(hex::encode(secret.as_bytes()), entropy);
            assert_eq!(secret.to_words().as_str(), words);
        }
    }

    #[test]
    fn case_and_white_space_do_not_matter() {
        let (entropy, words) = VECTORS[1];
        let typed = format!("  {}\n", words.to_uppercase().replace(' ', "\t \n"));
        assert_eq!(hex::encode(AccountSecret::from_words(&typed).expect("the same words").as_bytes()), entropy);
    }

    #[test]
    fn a_wrong_text_is_refused_with_what_a_person_can_mend() {
        let words = VECTORS[1].1;
        let refused = |text: &str| AccountSecret::from_words(text).expect_err(text);
        assert_eq!(refused(""), WordsError::Count { count: 0 });
        assert_eq!(refused(words.rsplit_once(' ').unwrap().0), WordsError::Count { count: 23 });
        assert_eq!(refused(&format!("{words} legal")), WordsError::Count { count: 25 });
        // 12 words are a valid mnemonic elsewhere; here they are too few.
        let twelve = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
        assert_eq!(refused(twelve), WordsError::Count { count: 12 });
        assert_eq!(refused(&words.replacen("winner", "winnner", 1)), WordsError::Unknown { position: 2 });
        assert_eq!(refused(&words.replacen("winner", "wínner", 1)), WordsError::Unknown { position: 2 });
        assert_eq!(refused(&words.replacen("legal winner", "winner legal", 1)), WordsError::Checksum);
        assert_eq!(refused(&words.replace("title", "worth")), WordsError::Checksum);
    }

    #[test]
    fn an_error_never_says_a_word() {
        let shown = format!("{:?}", AccountSecret::from_words(&"secretly ".repeat(24)));
        assert!(!shown.contains("secretly"), "{shown}");
    }

    #[test]
    fn completion_finds_words() {
        assert!(words_beginning_with("zo").eq(["zone", "zoo"]));
        assert_eq!(words_beginning_with("xx").count(), 0);
    }

    proptest! {
        #[test]
        fn words_are_the_inverse_of_the_secret(entropy: [u8; 32]) {
            let words = AccountSecret(Box::new(entropy)).to_words();
            let secret = AccountSecret::from_words(&words).expect("our own words");
            prop_assert_eq!(secret.as_bytes(), &entropy);
        }

        #[test]
        fn one_changed_word_passes_the_checksum_once_in_256(entropy: [u8; 32], place in 0usize..24, word in 0usize..2048) {
            let words = AccountSecret(Box::new(entropy)).to_words();
            let mut words: Vec<&str> = words.split(' ').collect();
            words[place] = Language::English.word_list()[word];
            if let Ok(secret) = AccountSecret::from_words(&words.join(" ")) {
                // If it passes, it is another secret with its own words, never a second spelling.
                let again = secret.to_words();
                prop_assert_eq!(again.as_str(), words.join(" "));
            }
        }
    }
}
