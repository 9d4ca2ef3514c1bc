//! Session records (spec §5.11).

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use prost::Message;
use zeroize::Zeroizing;

use super::proto::{
    Chain, MessageKeyRecord, PendingKyberPrekey, SessionRecord, SessionStructure, SessionStructureSecrets,
};
use super::{ImportError, array, post_quantum, require};
use crate::address::{RegistrationId, SessionAddresses};
use crate::curve::{BaseKey, Decoded, IdentityKey, PrivateKey, PublicKeyError, RatchetKey, RatchetPair};
use crate::kyber::KyberCiphertext;
use crate::prekey::{KyberPrekeyId, OneTimePrekeyId, SignedPrekeyId};
use crate::ratchet::{ChainKey, MessageKeys, MessageSeed, RootKey};
use crate::session::Session;
use crate::session::state_parts::{
    MAX_CHAINS, ReceivingChain, ReceivingChains, SendingChain, SkippedKey, State, Unacknowledged,
};
use crate::spqr::Spqr;
use crate::suite::Suite;
use crate::time::Timestamp;

/// A session as far as it could be taken over.
#[derive(Debug)]
#[must_use = "persist the session's records"]
pub struct ImportedSession {
    /// Persist [`Session::records`]. Without a current state a new session must be started before sending.
    pub session: Session,
    /// States that were left out because their post-quantum ratchet is in a form that no version of the library has shown
    /// (spec §6.10): messages that were on the way to them are lost, and if the current one is among them it must be
    /// established again, by [`Session::initiate`].
    pub left_out: usize,
}

/// Imports a `SessionRecord`. `addresses` are ours and the peer's, if both have service ids.
///
/// From then on only one of the two libraries may use the session: its keys move.
///
/// # Errors
/// [`ImportError`]: the bytes are no such record.
pub fn session(record: &[u8], addresses: Option<SessionAddresses>) -> Result<ImportedSession, ImportError> {
    let SessionRecord { current, previous } = SessionRecord::decode(record).map_err(|_| ImportError::Protobuf)?;
    let previous = previous
        .into_iter()
        .map(|state| SessionStructure::decode(Zeroizing::new(state).as_slice()).map_err(|_| ImportError::Protobuf));
    let mut left_out = 0usize;
    let mut serial = 0u32;
    let mut import = |mut structure: SessionStructure| {
        let structure = SessionStructureSecrets(&mut structure);
        let post_quantum = match structure.0.pq_ratchet_state.as_slice() {
            [] => None,
            record => match post_quantum::ratchet(record) {
                Some(ratchet) => Some(Box::new(ratchet)),
                None => {
                    left_out = left_out.saturating_add(1);
                    return Ok(None);
                }
            },
        };
        serial = serial.saturating_add(1);
        let state = state(structure.0, post_quantum, serial.saturating_sub(1), addresses);
        state.map(|state| Some(Box::new(state)))
    };
    let current = current.map(&mut import).transpose()?.flatten();
    let mut archived = Vec::new();
    for structure in previous {
        archived.extend(import(structure?)?);
    }
    let session = Session::from_states(current, archived, serial);
    Ok(ImportedSession { session, left_out })
}

fn state(
    structure: &SessionStructure,
    post_quantum: Option<Box<Spqr>>,
    serial: u32,
    addresses: Option<SessionAddresses>,
) -> Result<State, ImportError> {
    let suite = u8::try_from(structure.version).ok().and_then(Suite::from_version);
    let suite = suite.ok_or(ImportError::Invalid { field: "version" })?;
    if post_quantum.is_some() && suite != Suite::Pqxdh {
        return Err(ImportError::Invalid { field: "pq_ratchet_state" });
    }
    let base_key = key(BaseKey::decode(&structure.alice_base_key), "alice_base_key")?;
    let receiving = receiving_chains(&structure.receiver_chains)?;
    Ok(State {
        serial,
        suite,
        local_identity: key(IdentityKey::decode(&structure.local_identity), "local_identity")?,
        remote_identity: key(IdentityKey::decode(&structure.remote_identity), "remote_identity")?,
        local_registration_id: RegistrationId(structure.local_registration_id),
        remote_registration_id: RegistrationId(structure.remote_registration_id),
        addresses,
        base_key,
        root_key: RootKey::from_bytes(&Zeroizing::new(array(&structure.root_key, "root_key")?)),
        post_quantum,
        sending: sending_chain(structure)?,
        receiving,
        unacknowledged: unacknowledged(structure, suite, &base_key)?,
    })
}

fn key<K>(decoded: Result<Decoded<K>, PublicKeyError>, field: &'static str) -> Result<K, ImportError> {
    decoded.map(|decoded| decoded.key).map_err(|error| ImportError::PublicKey { field, error })
}

fn chain_key(chain: &Chain) -> Result<ChainKey, ImportError> {
    let record = require(chain.chain_key.as_ref(), "chain_key")?;
    Ok(ChainKey::new(&Zeroizing::new(array(&record.key, "chain_key")?), record.index))
}

fn sending_chain(structure: &SessionStructure) -> Result<SendingChain, ImportError> {
    let chain = require(structure.sender_chain.as_ref(), "sender_chain")?;
    let private = Zeroizing::new(array(&chain.ratchet_private, "ratchet_private")?);
    let chain_key = chain_key(chain)?;
    let ratchet = RatchetPair::from_private(PrivateKey::from_bytes(&private));
    let sending = SendingChain::new(ratchet, chain_key, structure.previous_counter);
    if sending.public.to_bytes()[..] == chain.ratchet_public[..] { Ok(sending) } else { Err(ImportError::KeyPair) }
}

fn receiving_chains(chains: &[Chain]) -> Result<ReceivingChains, ImportError> {
    let mut receiving = ReceivingChains::default();
    // The official library keeps as many as we do; an older record with more loses the oldest.
    for chain in chains.iter().skip(chains.len().saturating_sub(MAX_CHAINS)) {
        let ratchet_key = key(RatchetKey::decode(&chain.ratchet_public), "ratchet_public")?;
        let chain_key = chain_key(chain)?;
        let mut skipped = BTreeMap::new();
        for record in &chain.message_keys {
            if record.index >= chain_key.index() {
                return Err(ImportError::Invalid { field: "message_keys" });
            }
            skipped.insert(record.index, skipped_key(record)?);
        }
        if receiving.find(&ratchet_key).is_some() {
            return Err(ImportError::Invalid { field: "receiver_chains" });
        }
        receiving.push(ReceivingChain { id: receiving.next_id, ratchet_key, chain_key, skipped });
    }
    Ok(receiving)
}

/// Newer records keep the seed, older ones the keys.
fn skipped_key(record: &MessageKeyRecord) -> Result<SkippedKey, ImportError> {
    if !record.seed.is_empty() {
        return Ok(SkippedKey::Seed(MessageSeed::from_bytes(&Zeroizing::new(array(&record.seed, "seed")?))));
    }
    let (cipher_key, mac_key, iv) = (&record.cipher_key, &record.mac_key, &record.iv);
    if (cipher_key.len(), mac_key.len(), iv.len()) != (32, 32, 16) {
        return Err(ImportError::Invalid { field: "message_keys" });
    }
    let keys = Zeroizing::new([&cipher_key[..], mac_key, iv].concat());
    Ok(SkippedKey::Keys(MessageKeys::from_bytes(&Zeroizing::new(array(&keys, "message_keys")?))))
}

fn unacknowledged(
    structure: &SessionStructure,
    suite: Suite,
    base_key: &BaseKey,
) -> Result<Option<Unacknowledged>, ImportError> {
    let Some(pending) = &structure.pending_prekey else { return Ok(None) };
    if key(BaseKey::decode(&pending.base_key), "base_key")? != *base_key {
        return Err(ImportError::Invalid { field: "base_key" });
    }
    let kyber = structure.pending_kyber_prekey.as_ref().map(kyber_part).transpose()?;
    if kyber.is_some() != (suite == Suite::Pqxdh) {
        return Err(ImportError::Invalid { field: "pending_kyber_pre_key" });
    }
    let signed =
        u32::try_from(pending.signed_prekey_id).map_err(|_| ImportError::Invalid { field: "signed_pre_key_id" })?;
    Ok(Some(Unacknowledged {
        since: Timestamp(pending.timestamp.saturating_mul(1000)),
        one_time_prekey_id: pending.one_time_prekey_id.map(OneTimePrekeyId),
        signed_prekey_id: SignedPrekeyId(signed),
        kyber,
    }))
}

fn kyber_part(pending: &PendingKyberPrekey) -> Result<(KyberPrekeyId, KyberCiphertext), ImportError> {
    let ciphertext =
        KyberCiphertext::parse(&pending.ciphertext).map_err(|_| ImportError::Invalid { field: "ciphertext" })?;
    Ok((KyberPrekeyId(pending.id), ciphertext))
}
