//! The sizes that a relay sees, and the padding that reaches them (spec §8.8).

use alloc::vec::Vec;

/// What version 2 adds to the content in an envelope: header 48, ephemeral key 32, tag 16.
pub const ENVELOPE_OVERHEAD: usize = 96;

/// Size of a whole envelope, header ‖ shared. The shared part of a fan-out is 48 bytes less.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum EnvelopeSize {
    /// 2,560 bytes.
    B2560,
    /// 4,096 bytes.
    B4096,
    /// 8,192 bytes.
    B8192,
    /// 16,384 bytes.
    B16384,
    /// 32,768 bytes.
    B32768,
    /// 65,536 bytes.
    B65536,
}

impl EnvelopeSize {
    /// All of them, smallest first.
    pub const ALL: [Self; 6] = [Self::B2560, Self::B4096, Self::B8192, Self::B16384, Self::B32768, Self::B65536];

    /// The number of bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::B2560 => 2_560,
            Self::B4096 => 4_096,
            Self::B8192 => 8_192,
            Self::B16384 => 16_384,
            Self::B32768 => 32_768,
            Self::B65536 => 65_536,
        }
    }

    /// Which one an envelope of so many bytes is.
    #[must_use]
    pub fn of(bytes: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|size| size.bytes() == bytes)
    }

    /// The largest content without padding that fits: 99 bytes less.
    #[must_use]
    pub const fn capacity(self) -> usize {
        self.bytes().saturating_sub(ENVELOPE_OVERHEAD).saturating_sub(EMPTY_FIELD)
    }

    /// The smallest one that a content of `len` bytes without padding fits into.
    #[must_use]
    pub fn smallest_for(len: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|size| len <= size.capacity())
    }
}

/// Whether a content is padded.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Padding {
    /// As the official library: the length of the message shows.
    #[default]
    None,
    /// An envelope, or the shared part with one header, has exactly this size.
    To(EnvelopeSize),
}

/// Field 2047, wire type 2.
const TAG: [u8; 2] = [0xFA, 0x7F];
/// The tag and a length of zero.
const EMPTY_FIELD: usize = 3;

/// Appends field 2047 so that `content` grows by exactly `len` bytes; `None` if no field is that short.
pub(super) fn pad(content: &mut Vec<u8>, len: usize) -> Option<()> {
    match one_field(len) {
        Some(zeros) => append(content, zeros),
        // The length's varint would grow by the byte that is missing: an empty field goes first.
        None => {
            let zeros = one_field(len.checked_sub(EMPTY_FIELD)?)?;
            append(content, 0);
            append(content, zeros);
        }
    }
    Some(())
}

/// How many zeros a field of `len` bytes holds, if there is such a field.
fn one_field(len: usize) -> Option<usize> {
    (1..=3).find_map(|varint_len| {
        let zeros = len.checked_sub(TAG.len())?.checked_sub(varint_len)?;
        (prost::length_delimiter_len(zeros) == varint_len).then_some(zeros)
    })
}

fn append(content: &mut Vec<u8>, zeros: usize) {
    content.extend_from_slice(&TAG);
    // Writing to a vector cannot fail.
    let _ = prost::encode_length_delimiter(zeros, content);
    content.resize(content.len().saturating_add(zeros), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_from_3_bytes_on_is_reached_exactly() {
        assert_eq!((0..3).map(|len| pad(&mut Vec::new(), len)).collect::<Vec<_>>(), [None; 3]);
        for len in (3..300).chain(16_300..16_500).chain(65_300..65_536) {
            let mut content = alloc::vec![0xAA; 5];
            pad(&mut content, len).unwrap();
            assert_eq!(content.len(), 5 + len);
            assert_eq!(content[..5], [0xAA; 5]);
        }
    }

    #[test]
    fn lengths_at_which_the_varint_would_grow_take_two_fields() {
        for len in (3..300).chain(16_300..16_500) {
            let mut content = Vec::new();
            pad(&mut content, len).unwrap();
            let starts_empty = content.starts_with(&[0xFA, 0x7F, 0]) && len > 3;
            assert_eq!(starts_empty, len == 131 || len == 16_388, "{len}");
        }
    }

    #[test]
    fn an_envelope_is_known_by_its_size() {
        for size in EnvelopeSize::ALL {
            assert_eq!(EnvelopeSize::of(size.bytes()), Some(size));
            assert_eq!(EnvelopeSize::of(size.bytes() - 1), None);
            assert_eq!(EnvelopeSize::smallest_for(size.capacity()), Some(size));
            assert!(EnvelopeSize::smallest_for(size.capacity() + 1) > Some(size) || size == EnvelopeSize::B65536);
        }
        assert_eq!(EnvelopeSize::smallest_for(EnvelopeSize::B65536.capacity() + 1), None);
    }
}
