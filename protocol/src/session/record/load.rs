//! Putting a session together again from its records (spec §5.9).

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::super::Session;
use super::super::error::RecordError;
use super::super::state::State;
use super::state_record::Read;
use super::{HEAD, KEPT, PQ_KEPT, PQ_PART, PQ_RATCHET, STATE, head, kept, post_quantum, state_record};

impl Session {
    /// Restores a session from all of its records, in any order. Without any it is a new one.
    ///
    /// # Errors
    /// [`RecordError`]: the storage is damaged, incomplete or newer than this crate. Nothing was changed; restore the
    /// storage, or begin a new session with the peer.
    pub fn load<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        records: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, RecordError> {
        let mut head = None;
        let mut states: BTreeMap<u32, State> = BTreeMap::new();
        let mut blocks: Vec<(u32, u32, u32, V)> = Vec::new();
        let mut ratchets: BTreeMap<u32, Ratchet<V>> = BTreeMap::new();
        for (key, value) in records {
            match parse_key(key.as_ref())? {
                Key::Head => head = Some(head::read(value.as_ref())?),
                Key::State { serial } => {
                    let Read { state, has_post_quantum_ratchet } = state_record::read(serial, value.as_ref())?;
                    states.insert(serial, state);
                    if has_post_quantum_ratchet {
                        ratchets.entry(serial).or_default().is_announced = true;
                    }
                }
                Key::Ratchet { serial } => ratchets.entry(serial).or_default().records.ratchet = Some(value),
                Key::Part { serial, part } => {
                    let parts = &mut ratchets.entry(serial).or_default().records.parts;
                    let slot = post_quantum::PARTS.iter().zip(parts).find(|(number, _)| **number == part);
                    *slot.ok_or(RecordError::Malformed)?.1 = Some(value);
                }
                Key::RatchetKept { serial, epoch, block } => {
                    ratchets.entry(serial).or_default().records.kept.push((epoch, block, value));
                }
                Key::Kept { serial, chain, block } => blocks.push((serial, chain, block, value)),
            }
        }
        for (serial, chain, block, value) in blocks {
            let state = states.get_mut(&serial).ok_or(RecordError::Stray)?;
            let chain = state.receiving.chains.iter_mut().find(|known| known.id == chain).ok_or(RecordError::Stray)?;
            kept::read(block, value.as_ref(), &mut chain.skipped)?;
            if chain.skipped.last_key_value().is_some_and(|(last, _)| *last >= chain.chain_key.index()) {
                return Err(RecordError::Malformed);
            }
        }
        for (serial, Ratchet { is_announced, records }) in ratchets {
            let state = states.get_mut(&serial).filter(|_| is_announced).ok_or(RecordError::Stray)?;
            state.post_quantum = Some(Box::new(records.read()?));
        }
        let Some(head) = head else {
            return if states.is_empty() { Ok(Self::new()) } else { Err(RecordError::Missing) };
        };
        let mut take = |serial| states.remove(&serial).map(Box::new).ok_or(RecordError::Missing);
        let session = Self {
            current: head.current.map(&mut take).transpose()?,
            archived: head.archived.iter().copied().map(&mut take).collect::<Result<_, _>>()?,
            next_serial: head.next_serial,
        };
        if states.is_empty() { Ok(session) } else { Err(RecordError::Stray) }
    }
}

/// What was found of a state's post-quantum ratchet.
struct Ratchet<V> {
    /// By the state's record.
    is_announced: bool,
    records: post_quantum::Records<V>,
}

impl<V> Default for Ratchet<V> {
    fn default() -> Self {
        Self { is_announced: false, records: post_quantum::Records::default() }
    }
}

enum Key {
    Head,
    State { serial: u32 },
    Kept { serial: u32, chain: u32, block: u32 },
    Ratchet { serial: u32 },
    Part { serial: u32, part: u32 },
    RatchetKept { serial: u32, epoch: u32, block: u32 },
}

fn parse_key(bytes: &[u8]) -> Result<Key, RecordError> {
    let (kind, numbers) = bytes.split_first().ok_or(RecordError::Malformed)?;
    let (numbers, rest) = numbers.as_chunks::<4>();
    let numbers: Vec<u32> = numbers.iter().map(|number| u32::from_be_bytes(*number)).collect();
    match (*kind, numbers.as_slice(), rest) {
        (HEAD, [], []) => Ok(Key::Head),
        (STATE, [serial], []) => Ok(Key::State { serial: *serial }),
        (KEPT, [serial, chain, block], []) => Ok(Key::Kept { serial: *serial, chain: *chain, block: *block }),
        (PQ_RATCHET, [serial], []) => Ok(Key::Ratchet { serial: *serial }),
        (PQ_PART, [serial, part], []) => Ok(Key::Part { serial: *serial, part: *part }),
        (PQ_KEPT, [serial, epoch, block], []) => Ok(Key::RatchetKept { serial: *serial, epoch: *epoch, block: *block }),
        _ => Err(RecordError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::delta::RecordKey;
    use super::*;

    #[test]
    fn a_key_that_was_written_is_parsed() {
        assert!(matches!(parse_key(head::key().as_bytes()), Ok(Key::Head)));
        let state = RecordKey::from_parts(STATE, &[7]);
        assert!(matches!(parse_key(state.as_bytes()), Ok(Key::State { serial: 7 })));
        let kept = RecordKey::from_parts(KEPT, &[1, 2, u32::MAX]);
        assert!(matches!(parse_key(kept.as_bytes()), Ok(Key::Kept { serial: 1, chain: 2, block: u32::MAX })));
        assert!(parse_key(b"").is_err() && parse_key(b"h1").is_err() && parse_key(b"s123").is_err());
    }
}
