//! The protobuf bodies, field by field as spec §4.3 to §4.8 number them. Proto2: every field is optional on the wire and
//! written when present, zero or not.

use alloc::vec::Vec;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SignalBody {
    #[prost(bytes = "vec", optional, tag = "1")]
    pub(super) ratchet_key: Option<Vec<u8>>,
    #[prost(uint32, optional, tag = "2")]
    pub(super) counter: Option<u32>,
    #[prost(uint32, optional, tag = "3")]
    pub(super) previous_counter: Option<u32>,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub(super) ciphertext: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "5")]
    pub(super) pq_ratchet: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "6")]
    pub(super) addresses: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PreKeyBody {
    #[prost(uint32, optional, tag = "1")]
    pub(super) pre_key_id: Option<u32>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub(super) base_key: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "3")]
    pub(super) identity_key: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub(super) message: Option<Vec<u8>>,
    #[prost(uint32, optional, tag = "5")]
    pub(super) registration_id: Option<u32>,
    #[prost(uint32, optional, tag = "6")]
    pub(super) signed_pre_key_id: Option<u32>,
    #[prost(uint32, optional, tag = "7")]
    pub(super) kyber_pre_key_id: Option<u32>,
    #[prost(bytes = "vec", optional, tag = "8")]
    pub(super) kyber_ciphertext: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SenderKeyBody {
    #[prost(bytes = "vec", optional, tag = "1")]
    pub(super) distribution_uuid: Option<Vec<u8>>,
    #[prost(uint32, optional, tag = "2")]
    pub(super) chain_id: Option<u32>,
    #[prost(uint32, optional, tag = "3")]
    pub(super) iteration: Option<u32>,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub(super) ciphertext: Option<Vec<u8>>,
}

/// Carries a chain key: no Debug of its fields is ever shown, and its owner wipes what it takes out.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct DistributionBody {
    #[prost(bytes = "vec", optional, tag = "1")]
    pub(super) distribution_uuid: Option<Vec<u8>>,
    #[prost(uint32, optional, tag = "2")]
    pub(super) chain_id: Option<u32>,
    #[prost(uint32, optional, tag = "3")]
    pub(super) iteration: Option<u32>,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub(super) chain_key: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "5")]
    pub(super) signing_key: Option<Vec<u8>>,
}

/// The one field of the official apps' content message that this crate knows.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ContentBody {
    #[prost(bytes = "vec", optional, tag = "8")]
    pub(super) decryption_error_message: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct DecryptionErrorBody {
    #[prost(bytes = "vec", optional, tag = "1")]
    pub(super) ratchet_key: Option<Vec<u8>>,
    #[prost(uint64, optional, tag = "2")]
    pub(super) timestamp: Option<u64>,
    #[prost(uint32, optional, tag = "3")]
    pub(super) device_id: Option<u32>,
}
