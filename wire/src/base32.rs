//! Text form of bytes. Implements spec/10-wire-conventions.md §10.3: RFC 4648 base32, lower case, without padding.
//!
//! Invariants: one value has one text (unused bits of the last character are zero, upper case is refused here; links fold
//! their case before they come here).
//! Not here: prefixes ([`crate::id`]).
use alloc::{string::String, vec::Vec};

/// Base32 of `bytes`, ⌈8n/5⌉ characters.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(8).div_ceil(5));
    let (mut buffer, mut bits) = (0u32, 0u32);
    for byte in bytes {
        buffer = (buffer << 8) | u32::from(*byte);
        bits = bits.saturating_add(8);
        while bits >= 5 {
            bits = bits.saturating_sub(5);
            text.push(digit(buffer >> bits));
        }
    }
    if bits > 0 {
        text.push(digit(buffer << 5u32.saturating_sub(bits)));
    }
    text
}

/// The bytes of canonical base32, or none.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len().saturating_mul(5) / 8);
    let (mut buffer, mut bits) = (0u32, 0u32);
    for character in text.bytes() {
        buffer = (buffer << 5) | value(character)?;
        bits = bits.saturating_add(5);
        if bits >= 8 {
            bits = bits.saturating_sub(8);
            bytes.push(u8::try_from((buffer >> bits) & 0xff).ok()?);
        }
    }
    // Five or more bits left over are a character too many; what is left must be zero.
    let unused = buffer & (1u32 << bits).saturating_sub(1);
    (bits < 5 && unused == 0).then_some(bytes)
}

fn digit(value: u32) -> char {
    let value = u8::try_from(value & 31).unwrap_or(0);
    char::from(if value < 26 { b'a'.saturating_add(value) } else { b'2'.saturating_add(value.saturating_sub(26)) })
}

fn value(character: u8) -> Option<u32> {
    match character {
        b'a'..=b'z' => Some(u32::from(character.saturating_sub(b'a'))),
        b'2'..=b'7' => Some(u32::from(character.saturating_sub(b'2').saturating_add(26))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_vectors_of_rfc_4648_hold() {
        let vectors =
            [("", ""), ("f", "my"), ("fo", "mzxq"), ("foo", "mzxw6"), ("foob", "mzxw6yq"), ("fooba", "mzxw6ytb")];
        for (bytes, text) in vectors {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()));
        }
    }

    #[test]
    fn text_that_no_bytes_have_is_refused() {
        for text in ["MY", "m", "mzx", "mzxw6y", "mz", "mzxw6yqab", "m1", "my=", "m y", "m0", "ü"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn decode_is_the_inverse_of_encode(bytes: Vec<u8>) {
            prop_assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }

        #[test]
        fn what_decodes_is_what_would_be_encoded(text in "[a-z2-7]{0,40}") {
            if let Some(bytes) = decode(&text) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}
