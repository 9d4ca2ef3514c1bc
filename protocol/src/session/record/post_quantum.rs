//! The post-quantum ratchet's records (spec/06-spqr.md §6.9 has the table of their fields): one small one that every message
//! rewrites, and long parts that are written when they change. A part that two states of the exchange share is the same
//! allocation, so whether it changed is seen without looking at it.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::super::delta::{RecordKey, Write};
use super::super::error::RecordError;
use super::codec::{Reader, Writer};
use super::{PQ_KEPT, PQ_PART, PQ_RATCHET, WITH_POST_QUANTUM_RATCHET};
use crate::spqr::authenticator::Authenticator;
use crate::spqr::braid::{
    Base, Braid, Ct1Acknowledged, Ct1Received, Ct1Sampled, Ct2Sampled, EkReceivedCt1Sampled, EkSentCt1Received,
    Encapsulation, HeaderReceived, HeaderSent, KeysSampled, KeysUnsampled, NoHeaderReceived, SecondPart,
};
use crate::spqr::chain::{Head, Heads, Kept, Link, MAX_LINKS, MessageKey, RootBytes, Walk};
use crate::spqr::erasure::{Decoder, Part};
use crate::spqr::kem::{CT1, DECAPSULATION_KEY, DecapsulationKey, EncapsulationSeed};
use crate::spqr::{Epoch, Negotiation, Role, Spqr, Step};

/// Numbers per record of kept keys.
const BLOCK: u32 = 32;
/// Enough for the small record of any state.
const CAPACITY: usize = 768;

/// The long parts, by the number in their key.
pub(super) const PARTS: [u32; 3] = [1, 2, 3];

pub(super) fn write_all(serial: u32, ratchet: &Spqr, writes: &mut Vec<Write>) {
    writes.push(small(serial, ratchet.role, ratchet.negotiation, &ratchet.heads, &ratchet.braid));
    write_parts(serial, None, &ratchet.braid, writes);
    for (epoch, block) in blocks(ratchet.kept.keys()) {
        writes.push(write_block(serial, epoch, block, entries(&ratchet.kept, epoch, block)));
    }
}

pub(super) fn write_changed(serial: u32, ratchet: &Spqr, step: &Step, writes: &mut Vec<Write>) {
    let Step { negotiation, heads, braid, walk } = step;
    writes.push(small(serial, ratchet.role, *negotiation, heads, braid));
    write_parts(serial, Some(&ratchet.braid), braid, writes);
    let (used, added_in, added): (_, _, &[(u32, MessageKey)]) = match walk {
        Some(Walk::Used { epoch, index }) => (Some((*epoch, *index)), *epoch, &[]),
        Some(Walk::Advanced { epoch, kept, .. }) => (None, *epoch, kept),
        Some(Walk::Keyless) | None => (None, Epoch::ZERO, &[]),
    };
    let added_keys: Vec<(Epoch, u32)> = added.iter().map(|(index, _)| (added_in, *index)).collect();
    for (epoch, block) in blocks(heads.expired(&ratchet.kept).chain(&used).chain(&added_keys)) {
        let old = entries(&ratchet.kept, epoch, block)
            .filter(|(index, _)| used != Some((epoch, *index)) && heads.keeps(epoch, *index));
        let new = added.iter().filter(|(index, _)| (added_in, index / BLOCK) == (epoch, block));
        writes.push(write_block(serial, epoch, block, old.chain(new.map(|(index, key)| (*index, key)))));
    }
}

pub(super) fn delete_all(serial: u32, ratchet: &Spqr, writes: &mut Vec<Write>) {
    writes.push(Write { key: RecordKey::from_parts(PQ_RATCHET, &[serial]), value: None });
    for (number, part) in PARTS.into_iter().zip(parts(&ratchet.braid)) {
        if part.is_some() {
            writes.push(Write { key: RecordKey::from_parts(PQ_PART, &[serial, number]), value: None });
        }
    }
    for (epoch, block) in blocks(ratchet.kept.keys()) {
        writes.push(write_block(serial, epoch, block, core::iter::empty()));
    }
}

fn blocks<'a>(keys: impl Iterator<Item = &'a (Epoch, u32)>) -> BTreeSet<(Epoch, u32)> {
    keys.map(|(epoch, index)| (*epoch, index / BLOCK)).collect()
}

fn entries(kept: &Kept, epoch: Epoch, block: u32) -> impl Iterator<Item = (u32, &MessageKey)> {
    let first = block.saturating_mul(BLOCK);
    let last = first.saturating_add(BLOCK.saturating_sub(1));
    kept.range((epoch, first)..=(epoch, last)).map(|((_, index), key)| (*index, key))
}

/// At most three epochs exist, so the low half of their numbers tells them apart.
fn short(epoch: Epoch) -> u32 {
    let [_, _, _, _, a, b, c, d] = epoch.to_bytes();
    u32::from_be_bytes([a, b, c, d])
}

fn write_block<'a>(
    serial: u32,
    epoch: Epoch,
    block: u32,
    entries: impl Iterator<Item = (u32, &'a MessageKey)>,
) -> Write {
    let key = RecordKey::from_parts(PQ_KEPT, &[serial, short(epoch), block]);
    let entries: Vec<_> = entries.collect();
    if entries.is_empty() {
        return Write { key, value: None };
    }
    let mut writer =
        Writer::with_version(WITH_POST_QUANTUM_RATCHET, entries.len().saturating_mul(33).saturating_add(2));
    writer.u8(u8::try_from(entries.len()).unwrap_or(u8::MAX));
    for (index, kept) in entries {
        writer.u8(u8::try_from(index % BLOCK).unwrap_or(u8::MAX));
        writer.bytes(kept.as_bytes());
    }
    Write { key, value: Some(writer.finish()) }
}

/// A long part of a state.
#[derive(Clone, Copy)]
enum Long<'a> {
    Key(&'a DecapsulationKey),
    Ct1(&'a Arc<[u8; CT1]>),
    Decoder(&'a Arc<Decoder>),
}

/// In the order of [`PARTS`].
const fn parts(braid: &Braid) -> [Option<Long<'_>>; 3] {
    let (key, ct1, decoder) = match braid {
        Braid::KeysUnsampled(_) | Braid::HeaderReceived(_) | Braid::Ct2Sampled(_) => (None, None, None),
        Braid::KeysSampled(state) => (Some(&state.key), None, None),
        Braid::HeaderSent(state) => (Some(&state.key), None, Some(&state.ct1)),
        Braid::Ct1Received(state) => (Some(&state.key), Some(&state.ct1), None),
        Braid::EkSentCt1Received(state) => (Some(&state.key), Some(&state.ct1), Some(&state.ct2)),
        Braid::NoHeaderReceived(state) => (None, None, Some(&state.header)),
        Braid::Ct1Sampled(state) => (None, Some(&state.encapsulation.ct1), Some(&state.key)),
        Braid::EkReceivedCt1Sampled(state) => (None, Some(&state.ct1), None),
        Braid::Ct1Acknowledged(state) => (None, Some(&state.encapsulation.ct1), Some(&state.key)),
    };
    let key = match key {
        Some(key) => Some(Long::Key(key)),
        None => None,
    };
    let ct1 = match ct1 {
        Some(ct1) => Some(Long::Ct1(ct1)),
        None => None,
    };
    let decoder = match decoder {
        Some(decoder) => Some(Long::Decoder(decoder)),
        None => None,
    };
    [key, ct1, decoder]
}

impl Long<'_> {
    fn is(self, other: Self) -> bool {
        match (self, other) {
            (Self::Key(one), Self::Key(other)) => Arc::ptr_eq(&one.0, &other.0),
            (Self::Ct1(one), Self::Ct1(other)) => Arc::ptr_eq(one, other),
            (Self::Decoder(one), Self::Decoder(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    fn encode(self) -> zeroize::Zeroizing<Vec<u8>> {
        let writer = |capacity| Writer::with_version(WITH_POST_QUANTUM_RATCHET, capacity);
        match self {
            Self::Key(key) => {
                let mut writer = writer(DECAPSULATION_KEY.saturating_add(1));
                writer.bytes(key.as_bytes());
                writer.finish()
            }
            Self::Ct1(ct1) => {
                let mut writer = writer(CT1.saturating_add(1));
                writer.bytes(&ct1[..]);
                writer.finish()
            }
            Self::Decoder(decoder) => {
                let mut writer = writer(decoder.part().chunks().saturating_mul(36).saturating_add(2));
                write_decoder(&mut writer, decoder);
                writer.finish()
            }
        }
    }
}

fn write_decoder(writer: &mut Writer, decoder: &Decoder) {
    writer.u8(u8::try_from(decoder.seen().len()).unwrap_or(u8::MAX));
    for number in decoder.seen() {
        writer.u16(*number);
    }
    if !decoder.seen().is_empty() {
        for (value, product) in decoder.stored() {
            writer.bytes(&value);
            writer.u16(product);
        }
    }
}

/// The parts of `new` that are not `old`'s, and the deletion of those that are gone.
fn write_parts(serial: u32, old: Option<&Braid>, new: &Braid, writes: &mut Vec<Write>) {
    let old = old.map_or([None; 3], parts);
    for (number, (old, new)) in PARTS.into_iter().zip(old.into_iter().zip(parts(new))) {
        let value = match (old, new) {
            (None, None) => continue,
            (Some(old), Some(new)) if old.is(new) => continue,
            (_, Some(new)) => Some(new.encode()),
            (Some(_), None) => None,
        };
        writes.push(Write { key: RecordKey::from_parts(PQ_PART, &[serial, number]), value });
    }
}

fn small(serial: u32, role: Role, negotiation: Negotiation, heads: &Heads, braid: &Braid) -> Write {
    let mut writer = Writer::with_version(WITH_POST_QUANTUM_RATCHET, CAPACITY);
    writer.u8(match role {
        Role::Initiator => 0,
        Role::Responder => 1,
    });
    writer.u8(match negotiation {
        Negotiation::Open => 0,
        Negotiation::Closed => 1,
    });
    writer.bytes(&heads.next_root.0[..]);
    writer.u64(heads.sending_epoch.0);
    writer.u8(u8::try_from(heads.links.len()).unwrap_or(u8::MAX));
    for link in &heads.links {
        writer.u64(link.epoch.0);
        writer.u8(link.sending.is_some().into());
        for head in link.sending.iter().chain([&link.receiving]) {
            writer.bytes(&head.next[..]);
            writer.u32(head.counter);
        }
    }
    write_braid(&mut writer, braid);
    Write { key: RecordKey::from_parts(PQ_RATCHET, &[serial]), value: Some(writer.finish()) }
}

fn write_braid(writer: &mut Writer, braid: &Braid) {
    writer.u8(match braid {
        Braid::KeysUnsampled(_) => 1,
        Braid::KeysSampled(_) => 2,
        Braid::HeaderSent(_) => 3,
        Braid::Ct1Received(_) => 4,
        Braid::EkSentCt1Received(_) => 5,
        Braid::NoHeaderReceived(_) => 6,
        Braid::HeaderReceived(_) => 7,
        Braid::Ct1Sampled(_) => 8,
        Braid::EkReceivedCt1Sampled(_) => 9,
        Braid::Ct1Acknowledged(_) => 10,
        Braid::Ct2Sampled(_) => 11,
    });
    let Base { epoch, authenticator } = braid.base();
    writer.u64(epoch.0);
    for key in authenticator.keys() {
        writer.bytes(key);
    }
    match braid {
        Braid::KeysUnsampled(_) | Braid::EkSentCt1Received(_) | Braid::NoHeaderReceived(_) => {}
        Braid::KeysSampled(state) => {
            writer.bytes(&state.header_mac);
            writer.u16(state.next_chunk);
        }
        Braid::HeaderSent(HeaderSent { next_chunk, .. }) | Braid::Ct1Received(Ct1Received { next_chunk, .. }) => {
            writer.u16(*next_chunk);
        }
        Braid::HeaderReceived(state) => writer.bytes(&state.header),
        Braid::Ct1Sampled(state) => {
            write_encapsulation(writer, &state.encapsulation);
            writer.u16(state.next_chunk);
        }
        Braid::EkReceivedCt1Sampled(EkReceivedCt1Sampled { ct2, next_chunk, .. })
        | Braid::Ct2Sampled(Ct2Sampled { ct2, next_chunk, .. }) => {
            writer.bytes(&ct2.0);
            writer.u16(*next_chunk);
        }
        Braid::Ct1Acknowledged(state) => write_encapsulation(writer, &state.encapsulation),
    }
}

fn write_encapsulation(writer: &mut Writer, encapsulation: &Encapsulation) {
    writer.bytes(&encapsulation.header);
    writer.bytes(encapsulation.seed.as_bytes());
}

/// The records of one ratchet, as they were found.
pub(super) struct Records<V> {
    pub(super) ratchet: Option<V>,
    /// In the order of [`PARTS`].
    pub(super) parts: [Option<V>; 3],
    /// Epoch, block.
    pub(super) kept: Vec<(u32, u32, V)>,
}

impl<V> Default for Records<V> {
    fn default() -> Self {
        Self { ratchet: None, parts: [None, None, None], kept: Vec::new() }
    }
}

impl<V: AsRef<[u8]>> Records<V> {
    pub(super) fn read(self) -> Result<Spqr, RecordError> {
        let ratchet = self.ratchet.ok_or(RecordError::Missing)?;
        let mut reader = Reader::with_version(WITH_POST_QUANTUM_RATCHET, ratchet.as_ref())?;
        let role = if reader.flag()? { Role::Responder } else { Role::Initiator };
        let negotiation = if reader.flag()? { Negotiation::Closed } else { Negotiation::Open };
        let heads = read_heads(&mut reader)?;
        let mut parts = Parts(self.parts);
        let braid = read_braid(&mut reader, &mut parts)?;
        reader.finish()?;
        if parts.0.iter().any(Option::is_some) {
            return Err(RecordError::Stray);
        }
        let is_consistent = braid.epoch() == heads.newest() || braid.epoch() == heads.newest().next();
        if !is_consistent {
            return Err(RecordError::Malformed);
        }
        let mut kept = Kept::new();
        for (epoch, block, record) in self.kept {
            let link = heads.links.iter().find(|link| short(link.epoch) == epoch).ok_or(RecordError::Stray)?;
            read_block(link, block, record.as_ref(), &mut kept)?;
        }
        Ok(Spqr { role, negotiation, heads, kept, braid })
    }
}

fn read_heads(reader: &mut Reader<'_>) -> Result<Heads, RecordError> {
    let next_root = RootBytes((*reader.array()?).into());
    let sending_epoch = Epoch(reader.u64()?);
    let count = usize::from(reader.u8()?);
    if count > MAX_LINKS {
        return Err(RecordError::Malformed);
    }
    let mut links: Vec<Link> = Vec::with_capacity(count);
    for _ in 0..count {
        let epoch = Epoch(reader.u64()?);
        if links.last().is_some_and(|last| last.epoch.next() != epoch) {
            return Err(RecordError::Malformed);
        }
        let sending = if reader.flag()? { Some(read_head(reader)?) } else { None };
        if sending.is_some() != (epoch >= sending_epoch) {
            return Err(RecordError::Malformed);
        }
        links.push(Link { epoch, sending, receiving: read_head(reader)? });
    }
    if links.iter().all(|link| link.epoch != sending_epoch) {
        return Err(RecordError::Malformed);
    }
    Ok(Heads { next_root, sending_epoch, links })
}

fn read_head(reader: &mut Reader<'_>) -> Result<Head, RecordError> {
    let next = (*reader.array()?).into();
    Ok(Head { next, counter: reader.u32()? })
}

fn read_block(link: &Link, block: u32, record: &[u8], kept: &mut Kept) -> Result<(), RecordError> {
    let mut reader = Reader::with_version(WITH_POST_QUANTUM_RATCHET, record)?;
    let first = block.checked_mul(BLOCK).ok_or(RecordError::Malformed)?;
    let count = reader.u8()?;
    let mut previous = None;
    for _ in 0..count {
        let offset = u32::from(reader.u8()?);
        let index = first.saturating_add(offset);
        if offset >= BLOCK || previous.is_some_and(|previous| offset <= previous) || index >= link.receiving.counter {
            return Err(RecordError::Malformed);
        }
        previous = Some(offset);
        kept.insert((link.epoch, index), MessageKey::from_bytes(reader.array()?));
    }
    if count == 0 { Err(RecordError::Malformed) } else { reader.finish() }
}

/// The long parts, each taken at most once.
struct Parts<V>([Option<V>; 3]);

impl<V: AsRef<[u8]>> Parts<V> {
    fn key(&mut self) -> Result<DecapsulationKey, RecordError> {
        let Self([record, _, _]) = self;
        let record = record.take().ok_or(RecordError::Missing)?;
        let mut reader = Reader::with_version(WITH_POST_QUANTUM_RATCHET, record.as_ref())?;
        let key = DecapsulationKey::from_bytes(reader.array()?);
        reader.finish().map(|()| key)
    }

    fn ct1(&mut self) -> Result<Arc<[u8; CT1]>, RecordError> {
        let Self([_, record, _]) = self;
        let record = record.take().ok_or(RecordError::Missing)?;
        let mut reader = Reader::with_version(WITH_POST_QUANTUM_RATCHET, record.as_ref())?;
        let ct1 = Arc::new(*reader.array()?);
        reader.finish().map(|()| ct1)
    }

    fn decoder(&mut self, part: Part) -> Result<Arc<Decoder>, RecordError> {
        let Self([_, _, record]) = self;
        let record = record.take().ok_or(RecordError::Missing)?;
        let mut reader = Reader::with_version(WITH_POST_QUANTUM_RATCHET, record.as_ref())?;
        let count = reader.u8()?;
        let seen: Vec<u16> = (0..count).map(|_| reader.u16()).collect::<Result<_, _>>()?;
        if seen.is_empty() {
            return reader.finish().map(|()| Arc::new(Decoder::new(part)));
        }
        let mut stored = Vec::with_capacity(part.chunks());
        for _ in 0..part.chunks() {
            let value = *reader.array()?;
            stored.push((value, reader.u16()?));
        }
        reader.finish()?;
        Decoder::restore(part, seen, &stored).map(Arc::new).ok_or(RecordError::Malformed)
    }
}

fn read_braid<V: AsRef<[u8]>>(reader: &mut Reader<'_>, parts: &mut Parts<V>) -> Result<Braid, RecordError> {
    let state = reader.u8()?;
    let epoch = Epoch(reader.u64()?);
    let root = reader.array()?;
    let authenticator = Authenticator::from_keys(root, reader.array()?);
    let base = Base { epoch, authenticator };
    Ok(match state {
        1 => Braid::KeysUnsampled(KeysUnsampled { base }),
        2 => {
            let header_mac = *reader.array()?;
            Braid::KeysSampled(KeysSampled { base, key: parts.key()?, header_mac, next_chunk: reader.u16()? })
        }
        3 => {
            let (key, ct1) = (parts.key()?, parts.decoder(Part::Ciphertext1)?);
            Braid::HeaderSent(HeaderSent { base, key, next_chunk: reader.u16()?, ct1 })
        }
        4 => {
            let (key, ct1) = (parts.key()?, parts.ct1()?);
            Braid::Ct1Received(Ct1Received { base, key, next_chunk: reader.u16()?, ct1 })
        }
        5 => {
            let (key, ct1, ct2) = (parts.key()?, parts.ct1()?, parts.decoder(Part::Ciphertext2)?);
            Braid::EkSentCt1Received(EkSentCt1Received { base, key, ct1, ct2 })
        }
        6 => Braid::NoHeaderReceived(NoHeaderReceived { base, header: parts.decoder(Part::Header)? }),
        7 => Braid::HeaderReceived(HeaderReceived { base, header: *reader.array()? }),
        8 => {
            let encapsulation = read_encapsulation(reader, parts)?;
            let key = parts.decoder(Part::EncapsulationKey)?;
            Braid::Ct1Sampled(Ct1Sampled { base, encapsulation, next_chunk: reader.u16()?, key })
        }
        9 => {
            let ct2 = SecondPart(*reader.array()?);
            let next_chunk = reader.u16()?;
            Braid::EkReceivedCt1Sampled(EkReceivedCt1Sampled { base, ct1: parts.ct1()?, next_chunk, ct2 })
        }
        10 => {
            let encapsulation = read_encapsulation(reader, parts)?;
            let key = parts.decoder(Part::EncapsulationKey)?;
            Braid::Ct1Acknowledged(Ct1Acknowledged { base, encapsulation, key })
        }
        11 => {
            let ct2 = SecondPart(*reader.array()?);
            Braid::Ct2Sampled(Ct2Sampled { base, ct2, next_chunk: reader.u16()? })
        }
        _ => return Err(RecordError::Malformed),
    })
}

fn read_encapsulation<V: AsRef<[u8]>>(
    reader: &mut Reader<'_>,
    parts: &mut Parts<V>,
) -> Result<Encapsulation, RecordError> {
    let header = *reader.array()?;
    let seed = EncapsulationSeed::from_bytes(reader.array()?);
    Ok(Encapsulation { header, seed, ct1: parts.ct1()? })
}
