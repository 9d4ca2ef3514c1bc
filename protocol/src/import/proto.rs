//! The official library's storage records, field by field (spec §5.11). Decoded only; wiped after use.

use alloc::vec::Vec;

use zeroize::Zeroize;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SessionRecord {
    #[prost(message, optional, tag = "1")]
    pub(super) current: Option<SessionStructure>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(super) previous: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SessionStructure {
    #[prost(uint32, tag = "1")]
    pub(super) version: u32,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) local_identity: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) remote_identity: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    pub(super) root_key: Vec<u8>,
    #[prost(uint32, tag = "5")]
    pub(super) previous_counter: u32,
    #[prost(message, optional, tag = "6")]
    pub(super) sender_chain: Option<Chain>,
    #[prost(message, repeated, tag = "7")]
    pub(super) receiver_chains: Vec<Chain>,
    #[prost(message, optional, tag = "9")]
    pub(super) pending_prekey: Option<PendingPrekey>,
    #[prost(uint32, tag = "10")]
    pub(super) remote_registration_id: u32,
    #[prost(uint32, tag = "11")]
    pub(super) local_registration_id: u32,
    #[prost(bytes = "vec", tag = "13")]
    pub(super) alice_base_key: Vec<u8>,
    #[prost(message, optional, tag = "14")]
    pub(super) pending_kyber_prekey: Option<PendingKyberPrekey>,
    #[prost(bytes = "vec", tag = "15")]
    pub(super) pq_ratchet_state: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Chain {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) ratchet_public: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) ratchet_private: Vec<u8>,
    #[prost(message, optional, tag = "3")]
    pub(super) chain_key: Option<ChainKeyRecord>,
    #[prost(message, repeated, tag = "4")]
    pub(super) message_keys: Vec<MessageKeyRecord>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ChainKeyRecord {
    #[prost(uint32, tag = "1")]
    pub(super) index: u32,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) key: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct MessageKeyRecord {
    #[prost(uint32, tag = "1")]
    pub(super) index: u32,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) cipher_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) mac_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    pub(super) iv: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    pub(super) seed: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PendingPrekey {
    #[prost(uint32, optional, tag = "1")]
    pub(super) one_time_prekey_id: Option<u32>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) base_key: Vec<u8>,
    #[prost(int32, tag = "3")]
    pub(super) signed_prekey_id: i32,
    /// Seconds.
    #[prost(uint64, tag = "4")]
    pub(super) timestamp: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PendingKyberPrekey {
    #[prost(uint32, tag = "1")]
    pub(super) id: u32,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) ciphertext: Vec<u8>,
}

/// One-time, signed and Kyber prekeys share their fields; a one-time prekey has the first three.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PrekeyRecord {
    #[prost(uint32, tag = "1")]
    pub(super) id: u32,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) public: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) private: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    pub(super) signature: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct IdentityRecord {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) public: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) private: Vec<u8>,
}

/// A sender's states under one distribution id, newest first.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SenderKeyRecord {
    #[prost(message, repeated, tag = "1")]
    pub(super) states: Vec<SenderKeyState>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SenderKeyState {
    #[prost(uint32, tag = "1")]
    pub(super) chain_id: u32,
    #[prost(message, optional, tag = "2")]
    pub(super) chain_key: Option<SenderSeed>,
    #[prost(message, optional, tag = "3")]
    pub(super) signing_key: Option<IdentityRecord>,
    #[prost(message, repeated, tag = "4")]
    pub(super) message_keys: Vec<SenderSeed>,
    #[prost(uint32, tag = "5")]
    pub(super) version: u32,
}

/// A chain key or a message's seed with its number.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SenderSeed {
    #[prost(uint32, tag = "1")]
    pub(super) iteration: u32,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) seed: Vec<u8>,
}

impl SenderKeyRecord {
    pub(super) fn wipe(&mut self) {
        for state in &mut self.states {
            for seed in state.chain_key.iter_mut().chain(&mut state.message_keys) {
                seed.seed.zeroize();
            }
            if let Some(pair) = &mut state.signing_key {
                pair.private.zeroize();
            }
        }
    }
}

impl Drop for SessionStructureSecrets<'_> {
    fn drop(&mut self) {
        let structure = &mut *self.0;
        structure.root_key.zeroize();
        structure.pq_ratchet_state.zeroize();
        for chain in structure.sender_chain.iter_mut().chain(&mut structure.receiver_chains) {
            chain.ratchet_private.zeroize();
            if let Some(chain_key) = &mut chain.chain_key {
                chain_key.key.zeroize();
            }
            for keys in &mut chain.message_keys {
                keys.cipher_key.zeroize();
                keys.mac_key.zeroize();
                keys.iv.zeroize();
                keys.seed.zeroize();
            }
        }
    }
}

/// Wipes a decoded session's secrets when the import is done with it, whatever came of it.
pub(super) struct SessionStructureSecrets<'a>(pub(super) &'a mut SessionStructure);
