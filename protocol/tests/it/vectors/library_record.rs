//! Compares a session record of the library's (SIGNAL-WIRE 2.12) with ours (spec §5.9), both read by hand.
//!
//! Two ends of a session never hold the same root key at the same time, but what follows from it: a chain that one end
//! sends in and the other receives in has one key, where both stand at the same index.

use std::collections::BTreeMap;

use super::device::Records;

/// Ratchet key, index and chain key.
type Chain = (Vec<u8>, u64, Vec<u8>);

/// How many chains of the two current states stand at the same index; an error if one of these has different keys.
pub fn chains_in_common(library: &[u8], ours: &Records) -> Result<u64, String> {
    let (theirs, ours) = (library_chains(library).ok_or("the library's record is malformed")?, our_chains(ours)?);
    let mut common = 0;
    for (theirs, ours) in [(&theirs.sending, &ours.receiving), (&ours.sending, &theirs.receiving)] {
        for sending in theirs {
            for receiving in ours.iter().filter(|receiving| (&receiving.0, receiving.1) == (&sending.0, sending.1)) {
                common += 1;
                if receiving.2 != sending.2 {
                    return Err(format!("a chain at index {} has different keys", sending.1));
                }
            }
        }
    }
    if common == 0 { Err("the records have no chain in common".into()) } else { Ok(common) }
}

#[derive(Default)]
struct Chains {
    sending: Vec<Chain>,
    receiving: Vec<Chain>,
}

fn library_chains(record: &[u8]) -> Option<Chains> {
    let outer = fields(record)?;
    let state = fields(outer.get(&1)?.last()?.bytes()?)?;
    let chains = |number| -> Option<Vec<Chain>> {
        let Some(chains) = state.get(&number) else { return Some(Vec::new()) };
        chains.iter().map(|chain| library_chain(chain.bytes()?)).collect()
    };
    Some(Chains { sending: chains(6)?, receiving: chains(7)? })
}

fn library_chain(bytes: &[u8]) -> Option<Chain> {
    let chain = fields(bytes)?;
    let key = fields(chain.get(&3)?.last()?.bytes()?)?;
    let index = key.get(&1).and_then(|index| index.last()?.number()).unwrap_or(0);
    Some((chain.get(&1)?.last()?.bytes()?.get(1..)?.to_vec(), index, key.get(&2)?.last()?.bytes()?.to_vec()))
}

/// Reads the current state by the table of spec §5.9.
fn our_chains(records: &Records) -> Result<Chains, String> {
    let head = records.get(b"h".as_slice()).ok_or("we have no head record")?;
    let [1, _, _, _, _, 1, serial @ ..] = head.as_slice() else { return Err("we have no current state".into()) };
    let key = [b"s", serial.get(..4).ok_or("a short head")?].concat();
    our_state(records.get(&key).ok_or("our state record is missing")?).ok_or_else(|| "our state is malformed".into())
}

fn our_state(record: &[u8]) -> Option<Chains> {
    const ADDRESSES: u8 = 1;
    let mut rest = record;
    let [1 | 2, _suite, flags] = *take(&mut rest, 3)? else { return None };
    take(&mut rest, 32 + 32 + 4 + 4)?;
    take(&mut rest, if flags & ADDRESSES == 0 { 0 } else { 36 })?;
    let (_base_and_root, _private) = (take(&mut rest, 64)?, take(&mut rest, 32)?);
    let sending = our_chain(&mut rest)?;
    take(&mut rest, 4 + 4)?;
    let count = *take(&mut rest, 1)?.first()?;
    let receiving = (0..count).map(|_| take(&mut rest, 4).and_then(|_id| our_chain(&mut rest)));
    Some(Chains { sending: vec![sending], receiving: receiving.collect::<Option<_>>()? })
}

/// Ratchet key (32 bytes), chain key (32), index (4).
fn our_chain(rest: &mut &[u8]) -> Option<Chain> {
    let (ratchet, key) = (take(rest, 32)?.to_vec(), take(rest, 32)?.to_vec());
    let index = u32::from_be_bytes(take(rest, 4)?.try_into().ok()?);
    Some((ratchet, index.into(), key))
}

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    fn number(&self) -> Option<u64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    fn bytes(&self) -> Option<&'a [u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }
}

/// A protobuf's fields by number.
fn fields(mut bytes: &[u8]) -> Option<BTreeMap<u64, Vec<Field<'_>>>> {
    let mut fields: BTreeMap<u64, Vec<Field<'_>>> = BTreeMap::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let field = match tag & 7 {
            0 => Field::Number(varint(&mut bytes)?),
            1 => Field::Bytes(take(&mut bytes, 8)?),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                Field::Bytes(take(&mut bytes, length)?)
            }
            _ => return None,
        };
        fields.entry(tag >> 3).or_default().push(field);
    }
    Some(fields)
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let [byte] = *take(bytes, 1)? else { return None };
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}
