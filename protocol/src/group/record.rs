//! Records: how sender keys are stored (spec §7.6). Explicit, versioned, canonical; nobody but this crate reads them.
//!
//! ```text
//! 'o'                     our own sender key
//! 'c'                     a peer's chains without kept seeds, newest first, at most 402 bytes
//! 'k' ‖ serial ‖ block    up to 32 kept seeds of one chain
//! ```

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::chain::{ReceivingChain, Step};
use super::peer::{MAX_STATES, PeerSenderKeys, PeerState};
use super::sender_key::SenderKey;
use crate::curve::{EncodedKey, KeyPair, PrivateKey, VerifyingKey};
use crate::message::DistributionId;
use crate::ratchet::{ChainKey, MessageSeed};
use crate::session::record_parts::{Reader, Write, Writer};
use crate::session::{RecordError, RecordKey};

const OWN: u8 = b'o';
const CHAINS: u8 = b'c';
const KEPT: u8 = b'k';

/// Every record begins with it.
const VERSION: u8 = 1;

/// Numbers per record of kept seeds.
const BLOCK: u32 = 32;

impl SenderKey {
    /// All records, which is one, as [`Self::load`] takes it.
    pub fn records(&self) -> impl Iterator<Item = (RecordKey, Zeroizing<Vec<u8>>)> {
        values([own(self, &self.chain_key)])
    }

    /// Restores a sender key from its records. An old copy must not be restored: it would use message keys again.
    ///
    /// # Errors
    /// [`RecordError`]: the storage is damaged, incomplete or newer than this crate. Generate another sender key.
    pub fn load<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        records: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, RecordError> {
        let mut own = None;
        for (key, value) in records {
            match key.as_ref() {
                [OWN] => own = Some(read_own(value.as_ref())?),
                _ => return Err(RecordError::Malformed),
            }
        }
        own.ok_or(RecordError::Missing)
    }
}

impl PeerSenderKeys {
    /// All records, as [`Self::load`] takes them: for a first copy or an export. Day to day, apply each
    /// [`GroupDelta`](super::GroupDelta).
    pub fn records(&self) -> impl Iterator<Item = (RecordKey, Zeroizing<Vec<u8>>)> {
        let rows = self.states.iter().map(|state| Row::of(state));
        let mut writes = Vec::from([chains(self.distribution_id, self.next_serial, rows)]);
        for state in &self.states {
            let numbers = state.chain.skipped.keys();
            writes.extend(blocks(numbers).into_iter().map(|block| kept(state, block, entries(state, block))));
        }
        values(writes)
    }

    /// Restores what is kept of a sender from all of its records, in any order. Without any it is as [`Self::new`].
    ///
    /// # Errors
    /// [`RecordError`]: the storage is damaged, incomplete, newer than this crate, or of another distribution id. Begin
    /// anew, and ask the sender for its distribution message.
    pub fn load<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        distribution_id: DistributionId,
        records: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, RecordError> {
        let mut keys = None;
        let mut seeds: BTreeMap<u32, BTreeMap<u32, MessageSeed>> = BTreeMap::new();
        for (key, value) in records {
            match parse_key(key.as_ref())? {
                Key::Chains => keys = Some(read_chains(distribution_id, value.as_ref())?),
                Key::Kept { serial, block } => read_kept(block, value.as_ref(), seeds.entry(serial).or_default())?,
            }
        }
        let Some(mut keys) = keys else {
            return if seeds.is_empty() { Ok(Self::new(distribution_id)) } else { Err(RecordError::Missing) };
        };
        for state in &mut keys.states {
            let chain_key = state.chain.chain_key.duplicate();
            let kept = seeds.remove(&state.serial).unwrap_or_default();
            state.chain = ReceivingChain::restore(chain_key, kept).ok_or(RecordError::Malformed)?;
        }
        if seeds.is_empty() { Ok(keys) } else { Err(RecordError::Stray) }
    }
}

/// Our own sender key with its chain at `chain_key`.
pub(super) fn own(sender_key: &SenderKey, chain_key: &ChainKey) -> Write {
    let mut writer = Writer::with_version(VERSION, 128);
    writer.bytes(&sender_key.distribution_id.0);
    writer.u32(sender_key.chain_id);
    write_chain_key(&mut writer, chain_key);
    writer.bytes(sender_key.signing.private().as_bytes());
    Write { key: RecordKey::from_parts(OWN, &[]), value: Some(writer.finish()) }
}

fn read_own(record: &[u8]) -> Result<SenderKey, RecordError> {
    let mut reader = Reader::with_version(VERSION, record)?;
    let distribution_id = DistributionId(*reader.array()?);
    let chain_id = reader.u32()?;
    let chain_key = read_chain_key(&mut reader)?;
    let private = reader.array()?;
    let key = PrivateKey::from_bytes(private);
    // Canonical: a private key is stored clamped.
    if key.as_bytes() != private {
        return Err(RecordError::Malformed);
    }
    reader.finish()?;
    Ok(SenderKey { distribution_id, chain_id, chain_key, signing: KeyPair::from_private(key) })
}

/// One chain in the record of all.
pub(super) struct Row<'a> {
    serial: u32,
    chain_id: u32,
    signing_key: EncodedKey,
    chain_key: &'a ChainKey,
}

impl<'a> Row<'a> {
    pub(super) fn of(state: &'a PeerState) -> Self {
        let PeerState { serial, chain_id, signing_key, chain } = state;
        Self { serial: *serial, chain_id: *chain_id, signing_key: signing_key.encoded(), chain_key: &chain.chain_key }
    }

    /// With its chain moved on.
    pub(super) fn at(self, chain_key: &'a ChainKey) -> Self {
        Self { chain_key, ..self }
    }
}

/// A peer's chains, newest first.
pub(super) fn chains<'a>(
    distribution_id: DistributionId,
    next_serial: u32,
    rows: impl Iterator<Item = Row<'a>>,
) -> Write {
    let rows: Vec<_> = rows.take(MAX_STATES).collect();
    let mut writer = Writer::with_version(VERSION, 512);
    writer.bytes(&distribution_id.0);
    writer.u32(next_serial);
    writer.u8(u8::try_from(rows.len()).unwrap_or(u8::MAX));
    for Row { serial, chain_id, signing_key, chain_key } in rows {
        writer.u32(serial);
        writer.u32(chain_id);
        writer.bytes(signing_key.as_u());
        write_chain_key(&mut writer, chain_key);
    }
    Write { key: RecordKey::from_parts(CHAINS, &[]), value: Some(writer.finish()) }
}

fn read_chains(distribution_id: DistributionId, record: &[u8]) -> Result<PeerSenderKeys, RecordError> {
    let mut reader = Reader::with_version(VERSION, record)?;
    if DistributionId(*reader.array()?) != distribution_id {
        return Err(RecordError::Stray);
    }
    let next_serial = reader.u32()?;
    let count = usize::from(reader.u8()?);
    if count > MAX_STATES {
        return Err(RecordError::Malformed);
    }
    let mut states: Vec<Box<PeerState>> = Vec::with_capacity(count);
    for _ in 0..count {
        let (serial, chain_id) = (reader.u32()?, reader.u32()?);
        if states.iter().any(|state| state.serial == serial || state.chain_id == chain_id) {
            return Err(RecordError::Malformed);
        }
        let point = EncodedKey::from_u(reader.array()?).and_then(|key| key.point());
        let signing_key = VerifyingKey::new(&point.map_err(|_| RecordError::Malformed)?);
        let chain = ReceivingChain::starting_at(read_chain_key(&mut reader)?);
        states.push(Box::new(PeerState { serial, chain_id, signing_key, chain }));
    }
    reader.finish()?;
    Ok(PeerSenderKeys { distribution_id, states, next_serial })
}

/// The blocks of kept seeds that `step` touches.
pub(super) fn write_kept_changed(state: &PeerState, step: &Step, writes: &mut Vec<Write>) {
    match step {
        Step::Used { iteration } => {
            let block = block_of(*iteration);
            let left = entries(state, block).filter(|(number, _)| *number != iteration);
            writes.push(kept(state, block, left));
        }
        Step::Advanced { skipped, keep_from, .. } => {
            let dropped = state.chain.skipped.range(..keep_from).map(|(number, _)| number);
            let added = skipped.iter().map(|(number, _)| number);
            for block in blocks(dropped.chain(added)) {
                let old = entries(state, block).filter(|(number, _)| *number >= keep_from);
                let new = skipped.iter().filter(|(number, _)| block_of(*number) == block);
                writes.push(kept(state, block, old.chain(new.map(|(number, seed)| (number, seed)))));
            }
        }
    }
}

/// Deletes every block of a chain that goes.
pub(super) fn delete_kept(state: &PeerState, writes: &mut Vec<Write>) {
    let blocks = blocks(state.chain.skipped.keys());
    writes.extend(blocks.into_iter().map(|block| kept(state, block, core::iter::empty())));
}

const fn block_of(number: u32) -> u32 {
    number / BLOCK
}

fn blocks<'a>(numbers: impl Iterator<Item = &'a u32>) -> BTreeSet<u32> {
    numbers.map(|number| block_of(*number)).collect()
}

fn entries(state: &PeerState, block: u32) -> impl Iterator<Item = (&u32, &MessageSeed)> {
    let first = block.saturating_mul(BLOCK);
    state.chain.skipped.range(first..=first.saturating_add(BLOCK.saturating_sub(1)))
}

/// `entries` ascend: added numbers are beyond every kept one. Without any the record goes.
fn kept<'a>(state: &PeerState, block: u32, entries: impl Iterator<Item = (&'a u32, &'a MessageSeed)>) -> Write {
    let key = RecordKey::from_parts(KEPT, &[state.serial, block]);
    let entries: Vec<_> = entries.collect();
    if entries.is_empty() {
        return Write { key, value: None };
    }
    let mut writer = Writer::with_version(VERSION, entries.len().saturating_mul(33).saturating_add(2));
    writer.u8(u8::try_from(entries.len()).unwrap_or(u8::MAX));
    for (number, seed) in entries {
        writer.u8(u8::try_from(number % BLOCK).unwrap_or(u8::MAX));
        writer.bytes(seed.as_bytes());
    }
    Write { key, value: Some(writer.finish()) }
}

fn read_kept(block: u32, record: &[u8], seeds: &mut BTreeMap<u32, MessageSeed>) -> Result<(), RecordError> {
    let mut reader = Reader::with_version(VERSION, record)?;
    let first = block.checked_mul(BLOCK).ok_or(RecordError::Malformed)?;
    let count = reader.u8()?;
    if count == 0 {
        return Err(RecordError::Malformed);
    }
    let mut previous = None;
    for _ in 0..count {
        let offset = u32::from(reader.u8()?);
        if offset >= BLOCK || previous.is_some_and(|previous| offset <= previous) {
            return Err(RecordError::Malformed);
        }
        previous = Some(offset);
        seeds.insert(first.saturating_add(offset), MessageSeed::from_bytes(reader.array()?));
    }
    reader.finish()
}

fn write_chain_key(writer: &mut Writer, chain_key: &ChainKey) {
    writer.bytes(chain_key.as_bytes());
    writer.u32(chain_key.index());
}

fn read_chain_key(reader: &mut Reader<'_>) -> Result<ChainKey, RecordError> {
    let key = reader.array()?;
    Ok(ChainKey::new(key, reader.u32()?))
}

enum Key {
    Chains,
    Kept { serial: u32, block: u32 },
}

fn parse_key(bytes: &[u8]) -> Result<Key, RecordError> {
    let (kind, numbers) = bytes.split_first().ok_or(RecordError::Malformed)?;
    let (numbers, rest) = numbers.as_chunks::<4>();
    let mut numbers = numbers.iter().map(|number| u32::from_be_bytes(*number));
    match (*kind, numbers.next(), numbers.next(), numbers.next(), rest) {
        (CHAINS, None, None, None, []) => Ok(Key::Chains),
        (KEPT, Some(serial), Some(block), None, []) => Ok(Key::Kept { serial, block }),
        _ => Err(RecordError::Malformed),
    }
}

fn values(writes: impl IntoIterator<Item = Write>) -> impl Iterator<Item = (RecordKey, Zeroizing<Vec<u8>>)> {
    writes.into_iter().filter_map(|write| write.value.map(|value| (write.key, value)))
}
