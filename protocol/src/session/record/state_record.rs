//! One state's record (spec §5.9 has the table of its fields).

use alloc::vec::Vec;

use super::super::change::{Change, RatchetChange};
use super::super::delta::{RecordKey, Write};
use super::super::error::RecordError;
use super::super::receiving::{MAX_CHAINS, ReceivingChain, ReceivingChains, Step};
use super::super::state::{SendingChain, State, Unacknowledged};
use super::codec::{Reader, Writer};
use super::{STATE, VERSION, WITH_POST_QUANTUM_RATCHET};
use crate::address::{RegistrationId, SessionAddresses};
use crate::curve::{BaseKey, EncodedKey, IdentityKey, PrivateKey, RatchetKey};
use crate::kyber::KyberCiphertext;
use crate::prekey::{KyberPrekeyId, OneTimePrekeyId, SignedPrekeyId};
use crate::ratchet::{ChainKey, RootKey};
use crate::suite::Suite;
use crate::time::Timestamp;

const ADDRESSES: u8 = 1;
const UNACKNOWLEDGED: u8 = 2;
const ONE_TIME_PREKEY: u8 = 4;
const KYBER: u8 = 8;
const POST_QUANTUM_RATCHET: u8 = 16;

/// Enough for every field but the Kyber ciphertext.
const CAPACITY: usize = 768;

/// A state with one operation's change laid over it.
struct View<'a> {
    state: &'a State,
    root_key: &'a RootKey,
    sending: &'a SendingChain,
    sending_key: &'a ChainKey,
    chains: Vec<(&'a ReceivingChain, &'a ChainKey)>,
    next_chain: u32,
    unacknowledged: Option<&'a Unacknowledged>,
}

impl<'a> View<'a> {
    fn of(state: &'a State) -> Self {
        Self {
            state,
            root_key: &state.root_key,
            sending: &state.sending,
            sending_key: &state.sending.chain_key,
            chains: state.receiving.chains.iter().map(|chain| (chain, &chain.chain_key)).collect(),
            next_chain: state.receiving.next_id,
            unacknowledged: state.unacknowledged.as_ref(),
        }
    }

    fn with(mut self, change: &'a Change) -> Self {
        match &change.ratchet {
            RatchetChange::Sent { chain_key } => self.sending_key = chain_key,
            RatchetChange::Chain { position, step } => {
                self.unacknowledged = None;
                if let (Step::Advanced { chain_key, .. }, Some((_, key))) = (step, self.chains.get_mut(*position)) {
                    *key = chain_key;
                }
            }
            RatchetChange::Ratchet(step) => {
                self.unacknowledged = None;
                self.root_key = &step.root_key;
                self.sending = &step.sending;
                self.sending_key = &step.sending.chain_key;
                if self.state.receiving.displaced().is_some() {
                    self.chains.remove(0);
                }
                self.chains.push((&step.receiving, &step.receiving.chain_key));
                self.next_chain = step.receiving.id.wrapping_add(1);
            }
        }
        self
    }

    fn encode(&self) -> Write {
        let Self { state, root_key, sending, sending_key, chains, next_chain, unacknowledged } = self;
        let kyber = unacknowledged.and_then(|waiting| waiting.kyber.as_ref());
        let version = if state.post_quantum.is_some() { WITH_POST_QUANTUM_RATCHET } else { VERSION };
        let mut writer = Writer::with_version(version, CAPACITY.saturating_add(if kyber.is_some() { 1600 } else { 0 }));
        writer.u8(state.suite.version());
        writer.u8(self.flags());
        writer.bytes(state.local_identity.encoded().as_u());
        writer.bytes(state.remote_identity.encoded().as_u());
        writer.u32(state.local_registration_id.0);
        writer.u32(state.remote_registration_id.0);
        if let Some(addresses) = state.addresses {
            writer.bytes(&addresses.to_record());
        }
        writer.bytes(state.base_key.encoded().as_u());
        writer.bytes(root_key.as_bytes());
        writer.bytes(sending.private.as_bytes());
        writer.bytes(sending.public.encoded().as_u());
        write_chain_key(&mut writer, sending_key);
        writer.u32(sending.previous_counter);
        writer.u32(*next_chain);
        writer.u8(u8::try_from(chains.len()).unwrap_or(u8::MAX));
        for (chain, chain_key) in chains {
            writer.u32(chain.id);
            writer.bytes(chain.ratchet_key.encoded().as_u());
            write_chain_key(&mut writer, chain_key);
        }
        if let Some(waiting) = unacknowledged {
            write_unacknowledged(&mut writer, waiting);
        }
        Write { key: RecordKey::from_parts(STATE, &[state.serial]), value: Some(writer.finish()) }
    }

    fn flags(&self) -> u8 {
        let waiting = self.unacknowledged;
        [
            (ADDRESSES, self.state.addresses.is_some()),
            (UNACKNOWLEDGED, waiting.is_some()),
            (ONE_TIME_PREKEY, waiting.is_some_and(|waiting| waiting.one_time_prekey_id.is_some())),
            (KYBER, waiting.is_some_and(|waiting| waiting.kyber.is_some())),
            (POST_QUANTUM_RATCHET, self.state.post_quantum.is_some()),
        ]
        .iter()
        .fold(0, |flags, (flag, is_set)| if *is_set { flags | flag } else { flags })
    }
}

pub(super) fn write(state: &State, change: Option<&Change>) -> Write {
    let view = View::of(state);
    match change {
        None => view.encode(),
        Some(change) => view.with(change).encode(),
    }
}

pub(super) fn write_archived(state: &State) -> Write {
    View { unacknowledged: None, ..View::of(state) }.encode()
}

fn write_chain_key(writer: &mut Writer, chain_key: &ChainKey) {
    writer.bytes(chain_key.as_bytes());
    writer.u32(chain_key.index());
}

fn write_unacknowledged(writer: &mut Writer, waiting: &Unacknowledged) {
    let Unacknowledged { since, one_time_prekey_id, signed_prekey_id, kyber } = waiting;
    writer.u64(since.0);
    writer.u32(signed_prekey_id.0);
    if let Some(id) = one_time_prekey_id {
        writer.u32(id.0);
    }
    if let Some((id, ciphertext)) = kyber {
        writer.u32(id.0);
        writer.bytes(&ciphertext.to_bytes());
    }
}

/// A state, and whether other records hold its post-quantum ratchet.
pub(super) struct Read {
    pub(super) state: State,
    pub(super) has_post_quantum_ratchet: bool,
}

/// Reads a state; its kept keys and its post-quantum ratchet come from other records.
pub(super) fn read(serial: u32, record: &[u8]) -> Result<Read, RecordError> {
    let has_post_quantum_ratchet = record.first() == Some(&WITH_POST_QUANTUM_RATCHET);
    let version = if has_post_quantum_ratchet { WITH_POST_QUANTUM_RATCHET } else { VERSION };
    let mut reader = Reader::with_version(version, record)?;
    let suite = Suite::from_version(reader.u8()?).ok_or(RecordError::Malformed)?;
    let flags = reader.u8()?;
    if flags & !(ADDRESSES | UNACKNOWLEDGED | ONE_TIME_PREKEY | KYBER | POST_QUANTUM_RATCHET) != 0
        || (flags & POST_QUANTUM_RATCHET != 0) != has_post_quantum_ratchet
        || (has_post_quantum_ratchet && suite != Suite::Pqxdh)
    {
        return Err(RecordError::Malformed);
    }
    let state = State {
        serial,
        suite,
        local_identity: IdentityKey::from_stored(read_key(&mut reader)?),
        remote_identity: IdentityKey::from_stored(read_key(&mut reader)?),
        local_registration_id: RegistrationId(reader.u32()?),
        remote_registration_id: RegistrationId(reader.u32()?),
        addresses: if flags & ADDRESSES == 0 { None } else { Some(read_addresses(&mut reader)?) },
        base_key: BaseKey::from_stored(read_key(&mut reader)?),
        root_key: RootKey::from_bytes(reader.array()?),
        post_quantum: None,
        sending: read_sending(&mut reader)?,
        receiving: read_chains(&mut reader)?,
        unacknowledged: read_unacknowledged(&mut reader, flags, suite)?,
    };
    reader.finish()?;
    Ok(Read { state, has_post_quantum_ratchet })
}

fn read_key(reader: &mut Reader<'_>) -> Result<EncodedKey, RecordError> {
    EncodedKey::from_u(reader.array()?).map_err(|_| RecordError::Malformed)
}

fn read_addresses(reader: &mut Reader<'_>) -> Result<SessionAddresses, RecordError> {
    SessionAddresses::from_record(reader.array()?).ok_or(RecordError::Malformed)
}

fn read_chain_key(reader: &mut Reader<'_>) -> Result<ChainKey, RecordError> {
    let key = reader.array()?;
    Ok(ChainKey::new(key, reader.u32()?))
}

fn read_sending(reader: &mut Reader<'_>) -> Result<SendingChain, RecordError> {
    let private = reader.array()?;
    let is_clamped = *private == curve25519_dalek::scalar::clamp_integer(*private);
    if !is_clamped {
        return Err(RecordError::Malformed);
    }
    Ok(SendingChain {
        private: PrivateKey::from_bytes(private),
        public: RatchetKey::from_stored(read_key(reader)?),
        chain_key: read_chain_key(reader)?,
        previous_counter: reader.u32()?,
    })
}

fn read_chains(reader: &mut Reader<'_>) -> Result<ReceivingChains, RecordError> {
    let next_id = reader.u32()?;
    let count = usize::from(reader.u8()?);
    if count > MAX_CHAINS {
        return Err(RecordError::Malformed);
    }
    let mut chains: Vec<ReceivingChain> = Vec::with_capacity(count);
    for _ in 0..count {
        let id = reader.u32()?;
        let ratchet_key = RatchetKey::from_stored(read_key(reader)?);
        if chains.iter().any(|chain| chain.id == id || chain.ratchet_key == ratchet_key) {
            return Err(RecordError::Malformed);
        }
        let chain_key = read_chain_key(reader)?;
        chains.push(ReceivingChain { id, ratchet_key, chain_key, skipped: alloc::collections::BTreeMap::new() });
    }
    Ok(ReceivingChains { chains, next_id })
}

fn read_unacknowledged(
    reader: &mut Reader<'_>,
    flags: u8,
    suite: Suite,
) -> Result<Option<Unacknowledged>, RecordError> {
    let has = |flag| flags & flag != 0;
    if !has(UNACKNOWLEDGED) {
        return if has(ONE_TIME_PREKEY) || has(KYBER) { Err(RecordError::Malformed) } else { Ok(None) };
    }
    if has(KYBER) != (suite == Suite::Pqxdh) {
        return Err(RecordError::Malformed);
    }
    let since = Timestamp(reader.u64()?);
    let signed_prekey_id = SignedPrekeyId(reader.u32()?);
    let one_time_prekey_id = if has(ONE_TIME_PREKEY) { Some(OneTimePrekeyId(reader.u32()?)) } else { None };
    let kyber = if has(KYBER) {
        let id = KyberPrekeyId(reader.u32()?);
        let ciphertext = KyberCiphertext::parse(reader.array::<1569>()?).map_err(|_| RecordError::Malformed)?;
        Some((id, ciphertext))
    } else {
        None
    };
    Ok(Some(Unacknowledged { since, one_time_prekey_id, signed_prekey_id, kyber }))
}
