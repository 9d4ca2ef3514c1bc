//! Between own devices, and what groups put into messages. Implements spec/16-content.md §16.7.
use alloc::vec::Vec;
use core::fmt;

use super::{ContactName, Conversation, GroupId};
use crate::{
    address::ServerAddress,
    delivery::DeliverySecret,
    id::{AccountId, DeviceId, Generation},
    keys::{IntroductionToken, ReachKey},
    message::{self, Broken, FromWire, ToWire},
    proto::{content as proto, identity},
    time::Timestamp,
};

/// A content as this device sent it to somebody else: own devices only, refused from anybody else.
#[derive(Clone, Eq, PartialEq)]
pub struct SentCopy {
    /// An encoded [`Content`](super::Content), which is decoded by itself; no copy of a copy.
    pub content: Vec<u8>,
}
message::message!(SentCopy = proto::SentCopy { content });

impl fmt::Debug for SentCopy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SentCopy({})", self.content.len())
    }
}

/// A content that came for the account, from the device that got it to one that did not: own devices only.
#[derive(Clone, Eq, PartialEq)]
pub struct PassedOn {
    /// Who wrote it.
    pub author: AccountId,
    /// On which device of theirs.
    pub device: DeviceId,
    /// An encoded [`Content`](super::Content), which is decoded by itself; no copy.
    pub content: Vec<u8>,
}
message::message!(PassedOn = proto::PassedOn { author, device, content });

impl fmt::Debug for PassedOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { author, device, content } = self;
        write!(f, "PassedOn({author}, {device:?}, {})", content.len())
    }
}

/// A contact as this device knows it: own devices only. Objects are unverified until checked against the account id.
#[derive(Debug)]
pub struct ContactCopy {
    /// Who.
    pub account: AccountId,
    /// What they are to us.
    pub standing: Standing,
    /// Counts the changes of the standing; of two copies the higher counts.
    pub revision: u64,
    /// Ed25519; its hash is the account id.
    pub recovery_key: Option<[u8; 32]>,
    /// The generation statement, as it was signed.
    pub statement: Option<Vec<u8>>,
    /// The manifest, as it was signed.
    pub manifest: Option<Vec<u8>>,
    /// Opens their reach records.
    pub reach_key: Option<ReachKey>,
    /// For their contacts lane.
    pub contacts_secret: Option<DeliverySecret>,
    /// From their link.
    pub token: Option<IntroductionToken>,
    /// From their link; at most 4.
    pub key_servers: Vec<ServerAddress>,
    /// What the person noted of them.
    pub notes: Option<ContactNotes>,
}
message::message!(
    ContactCopy = proto::ContactCopy {
        account,
        standing,
        revision,
        recovery_key,
        statement,
        manifest,
        reach_key,
        contacts_secret,
        token,
        key_servers,
        notes,
    }
);

/// What the person noted of a contact (spec §16.7.4): each value has a revision of its own, and of two the higher counts.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ContactNotes {
    /// Counts the changes of the name.
    pub name_revision: u64,
    /// What the person calls them.
    pub name: Option<ContactName>,
    /// Counts the changes of what was verified.
    pub verified_revision: u64,
    /// The generation under which the safety number was compared.
    pub verified: Option<Generation>,
    /// Counts the changes of the muting.
    pub muted_revision: u64,
    /// Their messages make no sound until then; `u64::MAX` for ever.
    pub muted_until: Option<Timestamp>,
}
message::message!(
    ContactNotes =
        proto::ContactNotes { name_revision, name, verified_revision, verified, muted_revision, muted_until }
);

/// By which tokens others can write to the account: own devices only. Merged by token; revoked stays revoked.
#[derive(Debug, Eq, PartialEq)]
pub struct OwnLinks {
    /// At most [`Self::MOST`].
    pub links: Vec<OwnLink>,
}
message::message!(OwnLinks = proto::OwnLinks { links });

impl OwnLinks {
    /// Links in one list.
    pub const MOST: usize = 32;
}

/// One token.
#[derive(Debug)]
pub struct OwnLink {
    /// The link's secret.
    pub token: IntroductionToken,
    /// When it ends by itself.
    pub ends: Timestamp,
    /// It ended before.
    pub revoked: bool,
    /// It ends with the first request that is accepted.
    pub once: bool,
}
message::message!(OwnLink = proto::OwnLink { token, ends, revoked, once });

impl PartialEq for OwnLink {
    fn eq(&self, other: &Self) -> bool {
        ToWire::<proto::OwnLink>::to_wire(self) == ToWire::<proto::OwnLink>::to_wire(other)
    }
}

impl Eq for OwnLink {}

/// What somebody is to the account.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Standing {
    /// Added here, and not heard from.
    Added,
    /// They wrote first, and nothing was decided.
    Asking,
    /// A contact.
    Accepted,
    /// Put away: their messages are dropped.
    Ignored,
    /// A contact no more, and not put away: what they write next is a request.
    Removed,
    /// Their messages are dropped, and nothing is sent to them.
    Blocked,
}
message::numbered!(
    Standing "§16.7.1" { Added = 1, Asking = 2, Accepted = 3, Ignored = 4, Removed = 6, Blocked = 5 }
);

impl PartialEq for ContactCopy {
    fn eq(&self, other: &Self) -> bool {
        // By their canonical bytes: what is compared is what travels.
        ToWire::<proto::ContactCopy>::to_wire(self) == ToWire::<proto::ContactCopy>::to_wire(other)
    }
}

impl Eq for ContactCopy {}

impl ToWire<identity::ServerAddress> for ServerAddress {
    fn to_wire(&self) -> identity::ServerAddress {
        self.to_proto()
    }
}

impl FromWire<identity::ServerAddress> for ServerAddress {
    fn from_wire(wire: identity::ServerAddress) -> Result<Self, Broken> {
        Self::from_wire(Some(wire))
    }
}

impl ToWire<Vec<u8>> for IntroductionToken {
    fn to_wire(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }
}

impl FromWire<Vec<u8>> for IntroductionToken {
    fn from_wire(wire: Vec<u8>) -> Result<Self, Broken> {
        let wire = zeroize::Zeroizing::new(wire);
        wire.as_slice().try_into().map(Self::from_bytes).map_err(|_| Broken::rule("§10.4.8"))
    }
}

/// How far was read: own devices only. Merged by the highest sequence for each device that wrote.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReadMarkers {
    /// At most 256.
    pub markers: Vec<ReadMarker>,
}
message::message!(ReadMarkers = proto::ReadMarkers { markers });

/// Everything of one writing device up to here was read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReadMarker {
    /// Where.
    pub conversation: Conversation,
    /// Whose messages.
    pub author: AccountId,
    /// From which device of theirs.
    pub device: DeviceId,
    /// [`Content::sequence`](super::Content::sequence) of the last one.
    pub sequence: u64,
}
message::message!(ReadMarker = proto::ReadMarker { conversation, author, device, sequence });

/// Sender keys, invitations and checkpoints of a group; opaque here.
#[derive(Clone, Eq, PartialEq)]
pub struct GroupPart {
    /// Which group.
    pub group: GroupId,
    /// What it is: 1 to 255, by the group documents.
    pub part: u32,
    /// At most 57,200 bytes.
    pub inside: Vec<u8>,
}
message::message!(GroupPart = proto::GroupPart { group, part, inside });

impl fmt::Debug for GroupPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, part, inside: _ } = self;
        f.debug_struct("GroupPart").field("group", group).field("part", part).finish_non_exhaustive()
    }
}
