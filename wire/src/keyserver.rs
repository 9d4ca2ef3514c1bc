//! What clients and key servers say to each other. Implements spec/15-keyserver-messages.md.
//!
//! ```text
//! client ── Request {id, KeyserverRequest} ──▶ server          lookups: anybody, over anonymous connections
//!               └ Bound(BoundRequest{DeviceRequest})           changes: signed by a device for this connection
//! client ◀── Reply {id, KeyserverReply} ────── server          padded where the length would speak
//! ```
//! Invariants: signed objects travel as the bytes that were signed and are unverified until [`AccountObjects::verify`],
//! [`Bundles::verify`] or the verifier of their own kind ([`crate::listing`], [`crate::reach`], …) has seen them.
//! Not here: what a key server accepts (`waxwing-keyserver`), how objects are signed (spec §11).
use alloc::vec::Vec;

use crate::{
    frame::{ServerError, padded},
    message::{self, Broken, DecodeError, EncodeError, FromWire, ToWire},
    proto::keyserver as proto,
    relay::RequestId,
};

mod account;
mod device;
mod direct;
mod name;
mod prekeys;
mod verify;

pub use account::{AccountObjects, CreateAccount, FetchAccount, FetchHistory, History, Info, PublishManifest};
pub use device::{Bound, DeviceRequest, StoreReach, UploadPrekeys, batch_hash};
pub use name::{ClaimName, FetchReach, LookedUp, Lookup, Reach, SetListing};
pub use prekeys::{Bundle, Bundles, FetchBundles, PrekeyIds, PrekeyState};
pub use verify::{AccountError, BundlesError, VerifiedAccount, VerifiedBundle, VerifiedBundles};

/// A frame from a client.
#[derive(Debug, Eq, PartialEq)]
pub struct Request {
    /// What the reply will name.
    pub id: RequestId,
    /// What is asked.
    pub body: KeyserverRequest,
}
message::message!(Request = proto::Request { id, body });
message::codec!(Request = proto::Request);

/// What a client asks of a key server.
#[derive(Debug, Eq, PartialEq)]
pub enum KeyserverRequest {
    /// The server's time and price (§15.1). Answer: [`KeyserverReply::Info`].
    Info,
    /// A new account (§15.2). Answer: done.
    CreateAccount(CreateAccount),
    /// The next manifest, a renewal, a new generation, or the final one (§15.2). Answer: done.
    PublishManifest(PublishManifest),
    /// Statement and manifest (§15.2). Answer: [`KeyserverReply::Account`].
    FetchAccount(FetchAccount),
    /// All of them from a place on (§15.2). Answer: [`KeyserverReply::History`].
    FetchHistory(FetchHistory),
    /// Where an account's devices are, sealed (§15.3). Answer: [`KeyserverReply::Reach`].
    FetchReach(FetchReach),
    /// The listing of a name (§15.3). Answer: [`KeyserverReply::LookedUp`].
    Lookup(Lookup),
    /// Prekeys (§15.5). Answer: [`KeyserverReply::Bundles`].
    FetchBundles(FetchBundles),
    /// A device's request (§15.4). Answer: done, or as [`DeviceRequest`] says.
    Bound(Bound),
}
message::choice!(KeyserverRequest = proto::request::Body {
    Info,
    ; CreateAccount, PublishManifest, FetchAccount, FetchHistory, FetchReach, Lookup, FetchBundles, Bound,
});

/// A frame from a key server.
#[derive(Debug, Eq, PartialEq)]
pub struct Reply {
    /// The request's id.
    pub id: RequestId,
    /// What came of it.
    pub result: Result<KeyserverReply, ServerError>,
}

/// What a key server answers.
#[derive(Debug, Eq, PartialEq)]
pub enum KeyserverReply {
    /// It is done, and on stable storage.
    Done,
    /// See [`KeyserverRequest::Info`].
    Info(Info),
    /// Padded to 2,048, 4,096, 8,192 or 20,480 bytes.
    Account(AccountObjects),
    /// Part of a history.
    History(History),
    /// Padded to 4,096, 16,384, 65,536 or 147,456 bytes.
    Reach(Reach),
    /// Padded to 1,280 bytes, whether or not the name is listed.
    LookedUp(LookedUp),
    /// Padded to 4,096, 12,288, 45,056 or 131,072 bytes.
    Bundles(Bundles),
    /// See [`DeviceRequest::PrekeyState`].
    PrekeyState(PrekeyState),
    /// See [`DeviceRequest::PrekeyIds`].
    PrekeyIds(PrekeyIds),
}

impl Reply {
    /// The canonical bytes (spec §10.4).
    ///
    /// # Errors
    /// [`EncodeError`]: a part is longer than its ceiling.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        if let Ok(KeyserverReply::Bundles(bundles)) = &self.result
            && let Some(bytes) = direct::encode(self.id, bundles)
        {
            return Ok(bytes);
        }
        message::encode::<proto::Reply, Self>(self)
    }

    /// Decodes canonical bytes; nothing is built from others.
    ///
    /// # Errors
    /// [`DecodeError`], naming the rule that is broken.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        direct::decode(bytes).unwrap_or_else(|| message::decode::<proto::Reply, Self>(bytes))
    }
}

impl ToWire<proto::Reply> for Reply {
    fn to_wire(&self) -> proto::Reply {
        use proto::reply::Body;
        let body = match &self.result {
            Err(error) => Body::Error(error.to_wire()),
            Ok(KeyserverReply::Done) => Body::Done(crate::proto::frame::Nothing {}),
            Ok(KeyserverReply::Info(value)) => Body::Info(value.to_wire()),
            Ok(KeyserverReply::Account(value)) => Body::Account(padded::wrap::<proto::Account>(value, ACCOUNT)),
            Ok(KeyserverReply::History(value)) => Body::History(value.to_wire()),
            Ok(KeyserverReply::Reach(value)) => Body::Reach(padded::wrap::<proto::Reach>(value, REACH)),
            Ok(KeyserverReply::LookedUp(value)) => Body::Lookup(padded::wrap::<proto::LookedUp>(value, LOOKUP)),
            Ok(KeyserverReply::Bundles(value)) => Body::Bundles(padded::wrap::<proto::Bundles>(value, BUNDLES)),
            Ok(KeyserverReply::PrekeyState(value)) => Body::PrekeyState(value.to_wire()),
            Ok(KeyserverReply::PrekeyIds(value)) => Body::PrekeyIds(value.to_wire()),
        };
        proto::Reply { id: self.id.to_wire(), body: Some(body) }
    }
}

impl FromWire<proto::Reply> for Reply {
    fn from_wire(wire: proto::Reply) -> Result<Self, Broken> {
        let id = RequestId::from_wire(wire.id).map_err(|broken| broken.at("Reply", "id"))?;
        let body = wire.body.ok_or(Broken::rule("§13.3.2").at("Reply", "body"))?;
        Ok(Self { id, result: result(body).map_err(|broken| broken.at("Reply", "body"))? })
    }
}

fn result(body: proto::reply::Body) -> Result<Result<KeyserverReply, ServerError>, Broken> {
    use proto::reply::Body;
    Ok(Ok(match body {
        Body::Error(error) => return ServerError::from_wire(error).map(Err),
        Body::Done(_) => KeyserverReply::Done,
        Body::Info(value) => KeyserverReply::Info(FromWire::from_wire(value)?),
        Body::Account(part) => KeyserverReply::Account(padded::unwrap::<proto::Account, _>(&part, ACCOUNT)?),
        Body::History(value) => KeyserverReply::History(FromWire::from_wire(value)?),
        Body::Reach(part) => KeyserverReply::Reach(padded::unwrap::<proto::Reach, _>(&part, REACH)?),
        Body::Lookup(part) => KeyserverReply::LookedUp(padded::unwrap::<proto::LookedUp, _>(&part, LOOKUP)?),
        Body::Bundles(part) => KeyserverReply::Bundles(padded::unwrap::<proto::Bundles, _>(&part, BUNDLES)?),
        Body::PrekeyState(value) => KeyserverReply::PrekeyState(FromWire::from_wire(value)?),
        Body::PrekeyIds(value) => KeyserverReply::PrekeyIds(FromWire::from_wire(value)?),
    }))
}

/// Sizes of padded parts: about 3, 7 and 16 devices with few key servers, and everything.
const ACCOUNT: &[usize] = &[2_048, 4_096, 8_192, 20_480];
const REACH: &[usize] = &[4_096, 16_384, 65_536, 147_456];
const LOOKUP: &[usize] = &[1_280];
const BUNDLES: &[usize] = &[4_096, 12_288, 45_056, 131_072];
