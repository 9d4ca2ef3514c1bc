//! Sender key records (spec §7.7). The official library keeps its own keys and its peers' in one format; here they are two
//! types.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use prost::Message;
use zeroize::Zeroizing;

use super::proto::{SenderKeyRecord, SenderKeyState, SenderSeed};
use super::{ImportError, array, require};
use crate::curve::{EncodedKey, KeyPair, PrivateKey, VerifyingKey};
use crate::group::{MAX_STATES, PeerSenderKeys, PeerState, ReceivingChain, SenderKey};
use crate::message::DistributionId;
use crate::ratchet::{ChainKey, MessageSeed};

/// Imports the `SenderKeyRecord` of this device's own sender key, which is the record's newest state. The record does not
/// name its distribution id: the store that it comes from does.
///
/// From then on only one of the two libraries may use it: its keys move.
///
/// # Errors
/// [`ImportError`]: the bytes are no such record, or a peer's (`private_key` is missing).
pub fn sender_key(record: &[u8], distribution_id: DistributionId) -> Result<SenderKey, ImportError> {
    with_states(record, |states| {
        let state = require(states.first(), "sender_key_states")?;
        let pair = require(state.signing_key.as_ref(), "signing_key")?;
        if pair.private.is_empty() {
            return Err(ImportError::Missing { field: "private_key" });
        }
        let private = PrivateKey::from_bytes(&*array(&pair.private, "private_key").map(Zeroizing::new)?);
        let signing = KeyPair::from_private(private);
        let public = EncodedKey::from_point(signing.public()).to_bytes();
        if public[..] != pair.public[..] {
            return Err(ImportError::KeyPair);
        }
        check_version(state)?;
        Ok(SenderKey::from_parts(distribution_id, state.chain_id, chain_key(state)?, signing))
    })
}

/// Imports the `SenderKeyRecord` of another device.
///
/// From then on only one of the two libraries may use it: its keys move.
///
/// # Errors
/// [`ImportError`]: the bytes are no such record.
pub fn peer_sender_keys(record: &[u8], distribution_id: DistributionId) -> Result<PeerSenderKeys, ImportError> {
    with_states(record, |records| {
        let mut states: Vec<Box<PeerState>> = Vec::new();
        let mut serial = 0u32;
        // The official library keeps as many as we do; a record with more loses the oldest.
        for record in records.iter().take(MAX_STATES) {
            if states.iter().any(|state| state.chain_id == record.chain_id) {
                return Err(ImportError::Invalid { field: "chain_id" });
            }
            states.push(Box::new(peer_state(record, serial)?));
            serial = serial.saturating_add(1);
        }
        Ok(PeerSenderKeys::from_states(distribution_id, states, serial))
    })
}

/// Decodes, and wipes what was decoded whatever came of it.
fn with_states<T>(
    record: &[u8],
    then: impl FnOnce(&[SenderKeyState]) -> Result<T, ImportError>,
) -> Result<T, ImportError> {
    let mut record = SenderKeyRecord::decode(record).map_err(|_| ImportError::Protobuf)?;
    let outcome = then(&record.states);
    record.wipe();
    outcome
}

fn peer_state(record: &SenderKeyState, serial: u32) -> Result<PeerState, ImportError> {
    check_version(record)?;
    let public = &require(record.signing_key.as_ref(), "signing_key")?.public;
    let signing_key = EncodedKey::parse(public)
        .and_then(|key| key.point())
        .map_err(|error| ImportError::PublicKey { field: "signing_key", error })?;
    let mut skipped = BTreeMap::new();
    for SenderSeed { iteration, seed } in &record.message_keys {
        let seed = array(seed, "message_keys").map(Zeroizing::new)?;
        skipped.insert(*iteration, MessageSeed::from_bytes(&seed));
    }
    let chain = ReceivingChain::restore(chain_key(record)?, skipped);
    Ok(PeerState {
        serial,
        chain_id: record.chain_id,
        signing_key: VerifyingKey::new(&signing_key),
        chain: chain.ok_or(ImportError::Invalid { field: "message_keys" })?,
    })
}

fn chain_key(state: &SenderKeyState) -> Result<ChainKey, ImportError> {
    let SenderSeed { iteration, seed } = require(state.chain_key.as_ref(), "chain_key")?;
    Ok(ChainKey::new(&*array(seed, "chain_key").map(Zeroizing::new)?, *iteration))
}

/// 3, or 0 in records from before the field.
fn check_version(state: &SenderKeyState) -> Result<(), ImportError> {
    match state.version {
        0 | 3 => Ok(()),
        _ => Err(ImportError::Invalid { field: "message_version" }),
    }
}
