//! What a device asks for its account. Implements spec/15-keyserver-messages.md §15.4.
//!
//! Invariants: every change is signed by a device for one connection (§11.11); prekeys, which would not fit into the signed
//! part, are in it by their hash, and each is signed itself.
use alloc::vec::Vec;

use sha2::{Digest, Sha256};

use super::{ClaimName, Lookup, SetListing};
use crate::{label, message, proto::keyserver as proto};

/// A bound request and what it names by hash.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bound {
    /// A bound request (§11.11), as it was signed; inside is an encoded [`DeviceRequest`]. Unverified.
    pub request: Vec<u8>,
    /// Prekeys (§11.10), as they were signed: at most 202. Only with [`DeviceRequest::UploadPrekeys`]. Unverified.
    pub prekeys: Vec<Vec<u8>>,
}
message::message!(Bound = proto::Bound { request, prekeys });

/// What a device asks.
#[derive(Debug, Eq, PartialEq)]
pub enum DeviceRequest {
    /// Stores the device's reach record. Answer: done.
    StoreReach(StoreReach),
    /// Takes a name for the account. Answer: done.
    ClaimName(ClaimName),
    /// Gives a name up; it rests 90 days. Answer: done.
    ReleaseName(Lookup),
    /// Lists a name of the account. Answer: done.
    SetListing(SetListing),
    /// Takes the listing away. Answer: done.
    Unlist(Lookup),
    /// Adds one-time prekeys and replaces the others. Answer: [`PrekeyState`](super::PrekeyState).
    UploadPrekeys(UploadPrekeys),
    /// How many prekeys there are. Answer: [`PrekeyState`](super::PrekeyState).
    PrekeyState,
    /// Which prekeys there are. Answer: [`PrekeyIds`](super::PrekeyIds).
    PrekeyIds,
}
message::choice!(DeviceRequest = proto::device_request::Body {
    PrekeyState, PrekeyIds,
    ; StoreReach, ClaimName, ReleaseName, SetListing, Unlist, UploadPrekeys,
});
message::codec!(DeviceRequest = proto::DeviceRequest);

impl message::ToWire<proto::DeviceRequest> for DeviceRequest {
    fn to_wire(&self) -> proto::DeviceRequest {
        proto::DeviceRequest { body: self.to_wire() }
    }
}

impl message::FromWire<proto::DeviceRequest> for DeviceRequest {
    fn from_wire(wire: proto::DeviceRequest) -> Result<Self, message::Broken> {
        Self::from_wire(wire.body).map_err(|broken| broken.at("DeviceRequest", "body"))
    }
}

/// A device's sealed addresses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoreReach {
    /// A reach record (§11.7), as it was signed. Unverified.
    pub record: Vec<u8>,
}
message::message!(StoreReach = proto::StoreReach { record });

/// The prekeys that come beside the bound request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UploadPrekeys {
    /// [`batch_hash`] of them.
    pub batch: [u8; 32],
}
message::message!(UploadPrekeys = proto::UploadPrekeys { batch });

/// SHA-256(label ‖ 0x00 ‖ SHA-256(prekey) ‖ …) over prekeys in their order (spec §15.4.2).
#[must_use]
pub fn batch_hash(prekeys: &[Vec<u8>]) -> [u8; 32] {
    let hash = Sha256::new().chain_update(label::PREKEY_BATCH.0).chain_update([0]);
    prekeys.iter().fold(hash, |hash, prekey| hash.chain_update(Sha256::digest(prekey))).finalize().into()
}
