//! Kept keys of skipped messages, in blocks of 32 consecutive numbers: version ‖ count[1] ‖ count × (offset[1] ‖ kind[1] ‖
//! seed[32] or keys[80]), offsets ascending (spec §5.9).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::super::delta::{RecordKey, Write};
use super::super::error::RecordError;
use super::super::receiving::{SkippedKey, Step};
use super::codec::{Reader, Writer};
use super::{KEPT, ReceivingChain};
use crate::ratchet::{MessageKeys, MessageSeed};

/// Numbers per record: small enough that rewriting one costs nothing, large enough that 2,000 fill 63.
const BLOCK: u32 = 32;
const SEED: u8 = 0;
const KEYS: u8 = 1;

pub(super) fn write_all(serial: u32, chain: &ReceivingChain, writes: &mut Vec<Write>) {
    for block in blocks(chain.skipped.keys()) {
        writes.push(write_block(serial, chain.id, block, entries(chain, block)));
    }
}

pub(super) fn delete_all(serial: u32, chain: &ReceivingChain, writes: &mut Vec<Write>) {
    for block in blocks(chain.skipped.keys()) {
        writes.push(write_block(serial, chain.id, block, core::iter::empty()));
    }
}

pub(super) fn write_changed(serial: u32, chain: &ReceivingChain, step: &Step, writes: &mut Vec<Write>) {
    match step {
        Step::Used { counter } => {
            let block = block_of(*counter);
            let left = entries(chain, block).filter(|(number, _)| *number != counter);
            writes.push(write_block(serial, chain.id, block, left));
        }
        Step::Advanced { skipped, keep_from, .. } => {
            let dropped = chain.skipped.range(..keep_from).map(|(number, _)| number);
            let added = skipped.iter().map(|(number, _)| number);
            for block in blocks(dropped.chain(added)) {
                let old = entries(chain, block).filter(|(number, _)| *number >= keep_from);
                let new = skipped.iter().filter(|(number, _)| block_of(*number) == block);
                writes.push(write_block(serial, chain.id, block, old.chain(new.map(|(number, key)| (number, key)))));
            }
        }
    }
}

const fn block_of(number: u32) -> u32 {
    number / BLOCK
}

fn blocks<'a>(numbers: impl Iterator<Item = &'a u32>) -> BTreeSet<u32> {
    numbers.map(|number| block_of(*number)).collect()
}

fn entries(chain: &ReceivingChain, block: u32) -> impl Iterator<Item = (&u32, &SkippedKey)> {
    let first = block.saturating_mul(BLOCK);
    chain.skipped.range(first..=first.saturating_add(BLOCK.saturating_sub(1)))
}

/// `entries` ascend: added numbers are beyond every kept one.
fn write_block<'a>(
    serial: u32,
    chain: u32,
    block: u32,
    entries: impl Iterator<Item = (&'a u32, &'a SkippedKey)>,
) -> Write {
    let key = RecordKey::from_parts(KEPT, &[serial, chain, block]);
    let entries: Vec<_> = entries.collect();
    if entries.is_empty() {
        return Write { key, value: None };
    }
    let mut writer = Writer::new(entries.len().saturating_mul(82).saturating_add(2));
    writer.u8(u8::try_from(entries.len()).unwrap_or(u8::MAX));
    for (number, kept) in entries {
        writer.u8(u8::try_from(number % BLOCK).unwrap_or(u8::MAX));
        match kept {
            SkippedKey::Seed(seed) => {
                writer.u8(SEED);
                writer.bytes(seed.as_bytes());
            }
            SkippedKey::Keys(keys) => {
                writer.u8(KEYS);
                writer.bytes(keys.as_bytes());
            }
        }
    }
    Write { key, value: Some(writer.finish()) }
}

/// Adds a block's keys to `kept`.
pub(super) fn read(block: u32, record: &[u8], kept: &mut BTreeMap<u32, SkippedKey>) -> Result<(), RecordError> {
    let mut reader = Reader::new(record)?;
    let first = block.checked_mul(BLOCK).ok_or(RecordError::Malformed)?;
    let mut previous = None;
    let count = reader.u8()?;
    if count == 0 {
        return Err(RecordError::Malformed);
    }
    for _ in 0..count {
        let offset = u32::from(reader.u8()?);
        if offset >= BLOCK || previous.is_some_and(|previous| offset <= previous) {
            return Err(RecordError::Malformed);
        }
        previous = Some(offset);
        let key = match reader.u8()? {
            SEED => SkippedKey::Seed(MessageSeed::from_bytes(reader.array()?)),
            KEYS => SkippedKey::Keys(MessageKeys::from_bytes(reader.array()?)),
            _ => return Err(RecordError::Malformed),
        };
        kept.insert(first.saturating_add(offset), key);
    }
    reader.finish()
}
