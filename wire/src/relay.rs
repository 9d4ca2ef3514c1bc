//! What clients and relays say to each other. Implements spec/14-relay-messages.md.
//!
//! ```text
//! client ── Request {id, RelayRequest} ──▶ relay        on the control stream, or one on a blob stream
//! client ◀── Reply {id, RelayReply}  ───── relay        in any order
//! client ◀── Push(RelayPush) ─────────────  relay        unasked, to the subscribed owner
//! ```
//! Invariants: nothing in a put or fan-out depends on the connection, so that either can be sealed to another relay's key and
//! forwarded (field 13 is kept for that); a message's debug form shows no secret and no content.
//! Not here: frames ([`crate::frame`]), what a relay does (`waxwing-relay`), signing ([`crate::signature`]).
use alloc::vec::Vec;

use crate::{
    frame::ServerError,
    message::{self, Broken, DecodeError, EncodeError, FromWire, ToWire},
    proto::relay as proto,
};

mod blob;
mod capability;
mod info;
mod mailbox;
mod put;
mod register;
mod subscription;

pub use blob::{BlobState, BlobStatus, CreateBlob, DeleteBlob, TransferBlob};
pub use capability::{Capability, Verifier, VerifierKind};
pub use info::{Info, Limits};
pub use mailbox::{
    AddLane, Authenticate, CloseMailbox, CreateMailbox, EndLane, Lane, LaneAdded, LaneKind, LaneNumber, MailboxState,
    NewLane, OwnerKey, OwnerPublicKey, RotateLane, mailbox_id, owner_transcript,
};
pub use put::{Credential, FanOut, Outcome, Outcomes, Put, Recipient, Recipients, RecipientsError, Ttl};
pub use register::{
    AwaitRegister, CreateRegister, DeleteRegister, EntryKind, ReadRegister, RegisterEntry, RegisterHead, RegisterPage,
    VersionHash, WriteRegister,
};
pub use subscription::{
    Ack, BacklogEnd, Delivery, GoingAway, LaneFull, OnlineDelivery, Sequence, Subscribe, Subscribed,
};

/// Names a request on its stream: 1 and up, chosen by the client, not one that is in flight.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RequestId(core::num::NonZeroU32);

impl RequestId {
    /// The id of this number; none for 0.
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        match core::num::NonZeroU32::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0.get()
    }
}

impl ToWire<u32> for RequestId {
    fn to_wire(&self) -> u32 {
        self.number()
    }
}

impl FromWire<u32> for RequestId {
    fn from_wire(wire: u32) -> Result<Self, Broken> {
        Self::new(wire).ok_or(Broken::rule("§13.3.1"))
    }
}

/// A frame from a client.
#[derive(Debug, Eq, PartialEq)]
pub struct Request {
    /// What the reply will name.
    pub id: RequestId,
    /// What is asked.
    pub body: RelayRequest,
}
message::message!(Request = proto::Request { id, body });

/// What a client asks of a relay.
#[derive(Debug, Eq, PartialEq)]
pub enum RelayRequest {
    /// The relay's time, price and limits (§14.1). Answer: [`RelayReply::Info`].
    Info,
    /// A new mailbox, and its owner on this connection (§14.5). Answer: done.
    CreateMailbox(CreateMailbox),
    /// The owner of a mailbox on this connection (§14.5). Answer: done.
    Authenticate(Authenticate),
    /// Owner: a lane for a delivery key (§14.5). Answer: [`RelayReply::LaneAdded`].
    AddLane(AddLane),
    /// Owner: a new key for an audience, and an end for the old one, in one step (§14.5). Answer: lane added.
    RotateLane(RotateLane),
    /// Owner: an end for a lane, at once or later (§14.5). Answer: done.
    EndLane(EndLane),
    /// Owner: quotas and lanes (§14.5). Answer: [`RelayReply::MailboxState`].
    MailboxState,
    /// Whoever has the capability: an end to a lost device's mailbox (§14.5). Answer: done.
    CloseMailbox(CloseMailbox),
    /// Owner: an end to the mailbox and everything in it (§14.5). Answer: done.
    DeleteMailbox,
    /// One envelope for one mailbox (§14.6). Answer: done, when it is on stable storage.
    Put(Put),
    /// One envelope for many mailboxes (§14.6). Answer: [`RelayReply::Outcomes`].
    FanOut(FanOut),
    /// Owner: deliveries after a cursor (§14.9). Answer: [`RelayReply::Subscribed`].
    Subscribe(Subscribe),
    /// Owner: what may be forgotten (§14.9). Answer: done.
    Ack(Ack),
    /// A new register (§14.7). Answer: done.
    CreateRegister(CreateRegister),
    /// The next version (§14.7). Answer: the new head, or the head that is there instead.
    WriteRegister(WriteRegister),
    /// Versions from a number on (§14.7). Answer: [`RelayReply::RegisterPage`].
    ReadRegister(ReadRegister),
    /// The head, when it is newer than a version or patience ends (§14.7). Answer: register head.
    AwaitRegister(AwaitRegister),
    /// An end to a register (§14.7). Answer: done.
    DeleteRegister(DeleteRegister),
    /// A new blob (§14.8). Answer: blob state.
    CreateBlob(CreateBlob),
    /// How much of a blob is there (§14.8). Answer: blob state.
    BlobStatus(BlobStatus),
    /// An end to a blob (§14.8). Answer: done.
    DeleteBlob(DeleteBlob),
    /// Blob stream only: chunks follow this frame (§14.8). Answer: blob state.
    WriteBlob(TransferBlob),
    /// Blob stream only: chunks follow the answer, which is a blob state (§14.8).
    ReadBlob(TransferBlob),
}
message::choice!(RelayRequest = proto::request::Body {
    Info, MailboxState, DeleteMailbox,
    ; CreateMailbox, Authenticate, AddLane, RotateLane, EndLane, CloseMailbox, Put, FanOut, Subscribe, Ack, CreateRegister,
    WriteRegister, ReadRegister, AwaitRegister, DeleteRegister, CreateBlob, BlobStatus, DeleteBlob, WriteBlob, ReadBlob,
});
message::codec!(Request = proto::Request);

/// A frame from a relay.
#[derive(Debug, Eq, PartialEq)]
pub enum ServerFrame {
    /// The answer to a request.
    Reply {
        /// The request's id.
        id: RequestId,
        /// What came of it.
        result: Result<RelayReply, ServerError>,
    },
    /// Unasked.
    Push(RelayPush),
}

/// What a relay answers.
#[derive(Debug, Eq, PartialEq)]
pub enum RelayReply {
    /// It is done, and on stable storage.
    Done,
    /// See [`RelayRequest::Info`].
    Info(Info),
    /// The number of the new lane.
    LaneAdded(LaneAdded),
    /// Quotas and lanes.
    MailboxState(MailboxState),
    /// What became of each recipient.
    Outcomes(Outcomes),
    /// Deliveries follow.
    Subscribed(Subscribed),
    /// The newest version.
    RegisterHead(RegisterHead),
    /// The write was not for the newest version, which this is.
    RegisterConflict(RegisterHead),
    /// Versions.
    RegisterPage(RegisterPage),
    /// How much of a blob is there.
    BlobState(BlobState),
}

/// What a relay says unasked.
#[derive(Debug, Eq, PartialEq)]
pub enum RelayPush {
    /// A stored envelope.
    Delivery(Delivery),
    /// An envelope that was never stored and needs no ack.
    OnlineDelivery(OnlineDelivery),
    /// Everything that had waited when the subscription began has been pushed.
    BacklogEnd(BacklogEnd),
    /// A lane is full, and so much was turned away.
    LaneFull(LaneFull),
    /// Another connection subscribed; this one gets nothing more.
    Superseded,
    /// The relay is going away.
    GoingAway(GoingAway),
}

impl ServerFrame {
    /// The canonical bytes (spec §10.4).
    ///
    /// # Errors
    /// [`EncodeError`]: a part is longer than its ceiling.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        message::encode::<proto::Reply, Self>(self)
    }

    /// Decodes canonical bytes; nothing is built from others.
    ///
    /// # Errors
    /// [`DecodeError`], naming the rule that is broken.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        message::decode::<proto::Reply, Self>(bytes)
    }
}

/// Ties variants to members of the reply's `oneof`, both ways.
macro_rules! replies {
    ($type:ident: $($unit:ident)* ; $($variant:ident)*) => {
        impl $type {
            fn to_body(&self) -> proto::reply::Body {
                match self {
                    $(Self::$unit => proto::reply::Body::$unit(crate::proto::frame::Nothing {}),)*
                    $(Self::$variant(value) => proto::reply::Body::$variant(value.to_wire()),)*
                }
            }

            /// None if the member belongs to the other direction.
            fn from_body(body: proto::reply::Body) -> Result<Option<Self>, Broken> {
                Ok(Some(match body {
                    $(proto::reply::Body::$unit(_) => Self::$unit,)*
                    $(proto::reply::Body::$variant(value) => Self::$variant(
                        FromWire::from_wire(value).map_err(|broken| broken.at("Reply", stringify!($variant)))?
                    ),)*
                    _ => return Ok(None),
                }))
            }
        }
    };
}
replies!(RelayReply: Done ; Info LaneAdded MailboxState Outcomes Subscribed RegisterHead RegisterConflict RegisterPage BlobState);
replies!(RelayPush: Superseded ; Delivery OnlineDelivery BacklogEnd LaneFull GoingAway);

impl ToWire<proto::Reply> for ServerFrame {
    fn to_wire(&self) -> proto::Reply {
        match self {
            Self::Reply { id, result: Ok(reply) } => proto::Reply { id: id.to_wire(), body: Some(reply.to_body()) },
            Self::Reply { id, result: Err(error) } => {
                proto::Reply { id: id.to_wire(), body: Some(proto::reply::Body::Error(error.to_wire())) }
            }
            Self::Push(push) => proto::Reply { id: 0, body: Some(push.to_body()) },
        }
    }
}

impl FromWire<proto::Reply> for ServerFrame {
    fn from_wire(wire: proto::Reply) -> Result<Self, Broken> {
        let body = wire.body.ok_or(Broken::rule("§13.3.2").at("Reply", "body"))?;
        let misplaced = Broken::rule("§13.3.1").at("Reply", "id");
        match (RequestId::new(wire.id), body) {
            (Some(id), proto::reply::Body::Error(error)) => {
                let error = ServerError::from_wire(error).map_err(|broken| broken.at("Reply", "error"))?;
                Ok(Self::Reply { id, result: Err(error) })
            }
            (Some(id), body) => {
                let reply = RelayReply::from_body(body)?.ok_or(misplaced)?;
                Ok(Self::Reply { id, result: Ok(reply) })
            }
            (None, body) => RelayPush::from_body(body)?.map(Self::Push).ok_or(misplaced),
        }
    }
}
