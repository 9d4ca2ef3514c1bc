//! The protobuf bodies, field by field as spec §8.2 to §8.4 number them. Proto2: a field that is present is written.

use alloc::string::String;
use alloc::vec::Vec;

/// Both kinds of certificates.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SignedBody {
    #[prost(bytes = "vec", optional, tag = "1")]
    pub(super) certificate: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub(super) signature: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ServerCertificateBody {
    #[prost(uint32, optional, tag = "1")]
    pub(super) id: Option<u32>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub(super) key: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SenderCertificateBody {
    #[prost(string, optional, tag = "1")]
    pub(super) sender_e164: Option<String>,
    #[prost(uint32, optional, tag = "2")]
    pub(super) sender_device: Option<u32>,
    #[prost(fixed64, optional, tag = "3")]
    pub(super) expires: Option<u64>,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub(super) identity_key: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "5")]
    pub(super) server_certificate: Option<Vec<u8>>,
    #[prost(string, optional, tag = "6")]
    pub(super) sender_uuid: Option<String>,
    #[prost(bytes = "vec", optional, tag = "7")]
    pub(super) sender_uuid_bytes: Option<Vec<u8>>,
    #[prost(uint32, optional, tag = "8")]
    pub(super) server_id: Option<u32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ContentBody {
    #[prost(int32, optional, tag = "1")]
    pub(super) kind: Option<i32>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub(super) sender_certificate: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "3")]
    pub(super) content: Option<Vec<u8>>,
    #[prost(int32, optional, tag = "4")]
    pub(super) content_hint: Option<i32>,
    #[prost(bytes = "vec", optional, tag = "5")]
    pub(super) group_id: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct V1Body {
    #[prost(bytes = "vec", optional, tag = "1")]
    pub(super) ephemeral_public: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub(super) encrypted_static: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "3")]
    pub(super) encrypted_message: Option<Vec<u8>>,
}
