//! Texts of messages that came one after another, compressed together. Implements spec/21-client-store.md §21.4.7.
//!
//! ```text
//! block ─┬─ 0 ‖ entries
//!        └─ 1 ‖ length ‖ DEFLATE of entries
//! entries: count ‖ (number less the one before, length of text)… ‖ texts
//! ```
//! Invariants: whatever is unpacked is what was packed, or is refused; nothing is unpacked beyond [`MOST`]; no block needs another one, so that
//! what is deleted from it is nowhere.
use core::ops::Range;

use miniz_oxide::{
    deflate,
    inflate::{self, TINFLStatus, core::DecompressorOxide},
};

use super::StoreError;

/// Texts, unpacked; by ascending numbers of their messages.
#[derive(Debug)]
pub(super) struct Block {
    texts: String,
    places: Vec<(i64, Range<usize>)>,
}

/// Packs texts, the numbers of which ascend from `first` on.
pub(super) fn pack(first: i64, texts: &[(i64, &str)]) -> Vec<u8> {
    let entries = entries(first, texts);
    let compressed = if entries.len() > MOST { Vec::new() } else { deflate::compress_to_vec(&entries, LEVEL) };
    let mut packed = vec![DEFLATED];
    put(&mut packed, entries.len());
    if entries.len() > MOST || packed.len().saturating_add(compressed.len()) > entries.len() {
        return [&[AS_IS], entries.as_slice()].concat();
    }
    packed.extend(compressed);
    packed
}

impl Block {
    /// What [`pack`] made.
    pub(super) fn unpack(first: i64, packed: &[u8]) -> Result<Self, StoreError> {
        let (kind, rest) = packed.split_first().ok_or(StoreError::Damaged)?;
        match *kind {
            AS_IS => Self::read(first, rest),
            DEFLATED => {
                let mut rest = rest;
                let length = take(&mut rest).filter(|length| *length <= MOST).ok_or(StoreError::Damaged)?;
                let mut entries = vec![0; length];
                let whole = inflate::core::inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
                let read = inflate::core::decompress(&mut DecompressorOxide::new(), rest, &mut entries, 0, whole);
                if read != (TINFLStatus::Done, rest.len(), length) {
                    return Err(StoreError::Damaged);
                }
                Self::read(first, &entries)
            }
            _ => Err(StoreError::Damaged),
        }
    }

    fn read(first: i64, entries: &[u8]) -> Result<Self, StoreError> {
        let mut rest = entries;
        let count = take(&mut rest).filter(|count| *count <= rest.len()).ok_or(StoreError::Damaged)?;
        let (mut places, mut number, mut end) = (Vec::with_capacity(count), first, 0_usize);
        for place in 0..count {
            let (step, length) = (take(&mut rest), take(&mut rest));
            let (step, length) = step.zip(length).ok_or(StoreError::Damaged)?;
            let step = i64::try_from(step).map_err(|_| StoreError::Damaged)?;
            number = number.checked_add(step).filter(|_| step > 0 || place == 0).ok_or(StoreError::Damaged)?;
            let start = end;
            end = end.checked_add(length).ok_or(StoreError::Damaged)?;
            places.push((number, start..end));
        }
        let texts = core::str::from_utf8(rest).map_err(|_| StoreError::Damaged)?;
        let is_whole = places.iter().all(|(_, place)| texts.get(place.clone()).is_some());
        if end != texts.len() || !is_whole {
            return Err(StoreError::Damaged);
        }
        Ok(Self { texts: texts.to_owned(), places })
    }

    /// Texts that are not packed, in any order.
    pub(super) fn of_texts(loose: &[(i64, String)]) -> Self {
        let mut loose: Vec<&(i64, String)> = loose.iter().collect();
        loose.sort_by_key(|(number, _)| *number);
        let (mut texts, mut places) = (String::new(), Vec::with_capacity(loose.len()));
        for (number, text) in loose {
            let start = texts.len();
            texts.push_str(text);
            places.push((*number, start..texts.len()));
        }
        Self { texts, places }
    }

    /// All texts, without anything between them.
    pub(super) fn all(&self) -> &str {
        &self.texts
    }

    /// A message's text.
    pub(super) fn text(&self, number: i64) -> Option<&str> {
        let place = self.places.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        self.places.get(place).and_then(|(_, place)| self.texts.get(place.clone()))
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (i64, &str)> {
        self.places.iter().filter_map(|(number, place)| Some((*number, self.texts.get(place.clone())?)))
    }
}

fn entries(first: i64, texts: &[(i64, &str)]) -> Vec<u8> {
    let (mut entries, mut before) = (Vec::new(), first);
    put(&mut entries, texts.len());
    for (number, text) in texts {
        put(&mut entries, usize::try_from(number.saturating_sub(before)).unwrap_or_default());
        put(&mut entries, text.len());
        before = *number;
    }
    for (_, text) in texts {
        entries.extend_from_slice(text.as_bytes());
    }
    entries
}

/// LEB128: seven bits a byte, the low ones first.
fn put(bytes: &mut Vec<u8>, mut number: usize) {
    while number > LOW {
        bytes.push(u8::try_from(number & LOW).unwrap_or_default() | MORE);
        number >>= BITS;
    }
    bytes.push(u8::try_from(number).unwrap_or_default());
}

fn take(bytes: &mut &[u8]) -> Option<usize> {
    let mut number = 0_usize;
    for shift in (0..LONGEST).step_by(BITS) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= usize::from(*byte & !MORE).checked_shl(u32::try_from(shift).ok()?)?;
        if *byte & MORE == 0 {
            // The shortest form only.
            return (*byte > 0 || shift == 0).then_some(number);
        }
    }
    None
}

const AS_IS: u8 = 0;
const DEFLATED: u8 = 1;
/// What is longer stays as it is: a compressed block never becomes larger than this.
const MOST: usize = 1 << 20;
/// As dense as DEFLATE gets without trying every way; blocks are small, and written once.
const LEVEL: u8 = 9;
const BITS: usize = 7;
const LOW: usize = 0x7f;
const MORE: u8 = 0x80;
/// Bits of the longest number: below 2^56, so that no shift loses any.
const LONGEST: usize = 56;

#[cfg(test)]
mod tests {
    use super::*;

    fn unpacked(first: i64, texts: &[(i64, &str)]) -> Vec<(i64, String)> {
        let block = Block::unpack(first, &pack(first, texts)).unwrap();
        assert!(texts.iter().all(|(number, text)| block.text(*number) == Some(*text)));
        assert_eq!(block.text(first.saturating_sub(1)), None);
        block.iter().map(|(number, text)| (number, text.to_owned())).collect()
    }

    #[test]
    fn what_is_packed_is_what_is_unpacked() {
        let long = "an endless text ".repeat(5_000);
        let huge = "x".repeat(MOST + 5);
        for texts in [
            vec![],
            vec![(7, "")],
            vec![(7, "hello"), (8, "hello"), (300, "世界\0\u{fdd0}\u{e001}"), (70_000, "")],
            vec![(9, long.as_str()), (10, "short")],
            vec![(9, huge.as_str())],
        ] {
            let expected: Vec<(i64, String)> =
                texts.iter().map(|(number, text)| (*number, (*text).to_owned())).collect();
            assert_eq!(unpacked(7, &texts), expected);
        }
        assert!(pack(1, &[(1, long.as_str())]).len() < long.len() / 50);
        assert_eq!(pack(1, &[(1, "ab")])[0], AS_IS, "what does not get smaller stays as it is");
    }

    #[test]
    fn what_nobody_packed_is_refused() {
        let texts = [(7, "hello hello hello hello"), (9, "世界 hello hello hello")];
        for packed in [pack(7, &texts), pack(7, &[(7, "a"), (8, "b")])] {
            for length in 0..packed.len() {
                assert_eq!(Block::unpack(7, &packed[..length]).err(), Some(StoreError::Damaged), "{length}");
            }
            let longer = [packed.as_slice(), &[0]].concat();
            assert_eq!(Block::unpack(7, &longer).err(), Some(StoreError::Damaged));
            // Whatever byte changes: no panic, and nothing without an end.
            for place in 0..packed.len() {
                for value in 0..=u8::MAX {
                    let mut changed = packed.clone();
                    changed[place] = value;
                    let _ = Block::unpack(7, &changed);
                }
            }
        }
        for entries in [
            &[2, 0, 1, 0, 1, b'a', b'b'][..], // One number twice.
            &[1, 0, 1, 0xc3, 0xa9],           // Half a character.
            &[2, 0, 1, 1, 1, 0xc3, 0xa9],     // One in two texts.
            &[0x81, 0, 0, 1, b'a'],           // A number in a longer form.
            &[1, 0, 2, b'a'],                 // Less than it says,
            &[1, 0, 1, b'a', b'b'],           // more,
            &[200, 0, 1, b'a'],               // fewer.
        ] {
            assert_eq!(Block::unpack(7, &[&[AS_IS], entries].concat()).err(), Some(StoreError::Damaged), "{entries:?}");
        }
        let huge = entries(7, &[(7, "x".repeat(MOST).as_str())]);
        let mut bomb = vec![DEFLATED];
        put(&mut bomb, huge.len());
        bomb.extend(deflate::compress_to_vec(&huge, LEVEL));
        assert_eq!(Block::unpack(7, &bomb).err(), Some(StoreError::Damaged), "longer than any that is packed");
        assert_eq!(Block::unpack(7, &[2]).err(), Some(StoreError::Damaged));
        assert_eq!(Block::unpack(i64::MAX, &pack(7, &[(8, "a")])).err(), Some(StoreError::Damaged));
    }
}
