//! What stands inside an encrypted message. Implements spec/16-content.md.
//!
//! ```text
//! Content { id, sent, sequence, previous, conversation, manifests, …, fallback, kind, version, body, extensions }
//!                                                                       └─ known: typed Body ─ else: Body::Unknown, fallback is shown
//! ```
//! Invariants: the container has one form for ever; a body of a known kind and version is strict; what is unknown is kept as it
//! came and never acted on; everything is bounded, so that the largest content fits the largest envelope.
//! Not here: who may edit or delete what, gaps in the sequence, when to send a receipt (the engine's).
use alloc::{string::String, vec::Vec};

use thiserror::Error;

use crate::{
    canonical::{self, Mode},
    id::AccountId,
    id::id,
    label,
    manifest::ManifestReference,
    message::{self, Broken, DecodeError, EncodeError, FromWire, ToWire},
    proto::content as proto,
    time::Timestamp,
};

mod body;
mod contact_name;
mod identity;
mod operations;
mod own;
mod signals;
mod text;

pub use body::{Body, CustomBody, KindName, UnknownBody, UnknownReason};
pub use contact_name::{ContactName, ContactNameError};
pub use identity::{IdentityBlock, Introduction, ProfileKey};
pub use operations::{Delete, Edit, Location, Poll, Reaction, Timer, Vote};
pub use own::{
    ContactCopy, ContactNotes, GroupPart, OwnLink, OwnLinks, PassedOn, ReadMarker, ReadMarkers, SentCopy, Standing,
};
pub use signals::{Receipt, ReceiptState, Resend, Typing};
pub use text::{Attachment, Mention, Presentation, Text};

id!(
    /// Names a message, chosen at random by its author; the same through every resend. 16 bytes.
    MessageId, 16, "wxx-"
);
id!(
    /// A group. 32 bytes.
    GroupId, 32, "wxg-"
);

/// One message as a device reads it.
#[derive(Debug, Eq, PartialEq)]
pub struct Content {
    /// Its name.
    pub id: MessageId,
    /// When it was written, by the sender's clock.
    pub sent: Timestamp,
    /// The sending device's count in this conversation, from 1: a gap is a message that did not arrive. 0 for what is not counted,
    /// because not every device gets it.
    pub sequence: u64,
    /// The hash of that device's content before in this conversation; 0^32 before the first.
    pub previous: ChainHash,
    /// Where it belongs.
    pub conversation: Conversation,
    /// The sender's manifest.
    pub own_manifest: ManifestReference,
    /// The newest manifest of the recipient's that the sender knows; none in groups and to strangers whose it does not know.
    pub your_manifest: Option<ManifestReference>,
    /// It disappears so many seconds after it was read; 0: never. At most a year.
    pub expires_after: u32,
    /// What it answers.
    pub reply_to: Option<MessageReference>,
    /// What a reader that does not know the kind shows; at most 1,024 bytes. Empty: such a reader shows nothing.
    pub fallback: String,
    /// What it says.
    pub body: Body,
    /// Who the sender is, as long as the session is not acknowledged.
    pub identity: Option<IdentityBlock>,
    /// Extensions that this version does not know, kept as they came; ascending by number, none of them 1.
    pub extensions: Vec<Extension>,
}

impl Content {
    /// The most bytes of an encoded content that is no [`SentCopy`], so that it fits into one.
    pub const MOST: usize = 56_320;

    /// The canonical bytes.
    ///
    /// # Errors
    /// [`ContentError::Encode`] or [`ContentError::TooLong`]: make it shorter, or attach it; [`ContentError::Form`] for an extension out of
    /// place, a mention outside the text, or a predecessor of what has none.
    pub fn encode(&self) -> Result<Vec<u8>, ContentError> {
        let (kind, version, body) = self.body.encode()?;
        let mut extensions: Vec<proto::Extension> = Vec::with_capacity(self.extensions.len().saturating_add(1));
        if let Some(identity) = &self.identity {
            let value = message::encode::<proto::IdentityBlock, _>(identity).map_err(ContentError::Encode)?;
            extensions.push(proto::Extension { number: IDENTITY, value });
        }
        extensions.extend(self.extensions.iter().map(ToWire::<proto::Extension>::to_wire));
        ascending(&extensions).map_err(|_| ContentError::Form)?;
        counted(self.sequence, &self.previous).map_err(|_| ContentError::Form)?;
        let wire = proto::Content {
            format: FORMAT,
            id: self.id.to_wire(),
            sent: self.sent.to_wire(),
            sequence: self.sequence,
            previous: self.previous.to_wire(),
            conversation: self.conversation.to_wire(),
            own_manifest: self.own_manifest.to_wire(),
            your_manifest: self.your_manifest.and_then(|manifest| manifest.to_wire()),
            expires_after: self.expires_after,
            reply_to: self.reply_to.as_ref().map(ToWire::<proto::MessageReference>::to_wire),
            fallback: self.fallback.clone(),
            version: version.into(),
            body,
            extensions,
            kind: Some(kind),
        };
        let bytes = prost::Message::encode_to_vec(&wire);
        canonical::scan(&bytes, <proto::Content as canonical::Described>::SCHEMA, Mode::Strict)
            .map_err(|error| ContentError::Encode(EncodeError(error)))?;
        self.within(bytes.len()).map_err(|_| ContentError::TooLong)?;
        Ok(bytes)
    }

    /// Decodes what a session opened. A kind, version or critical extension that this version does not know is no error: see
    /// [`Body::Unknown`].
    ///
    /// # Errors
    /// [`DecodeError`], naming the rule that is broken: quarantine it.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let content: Self = message::decode::<proto::Content, Self>(bytes)?;
        content.within(bytes.len()).map_err(|broken| broken.at("Content", "body").into_error())?;
        Ok(content)
    }

    /// What the next content of this device in this conversation names: SHA-256(label ‖ 0x00 ‖ encoded content).
    #[must_use]
    pub fn chain_hash(encoded: &[u8]) -> ChainHash {
        ChainHash(label::CONTENT_CHAIN.hash(encoded))
    }

    fn within(&self, length: usize) -> Result<(), Broken> {
        let is_copy = matches!(self.body, Body::SentCopy(_) | Body::PassedOn(_));
        if is_copy || length <= Self::MOST { Ok(()) } else { Err(Broken::rule("§16.1.2")) }
    }
}

impl FromWire<proto::Content> for Content {
    fn from_wire(wire: proto::Content) -> Result<Self, Broken> {
        ascending(&wire.extensions).map_err(|broken| broken.at("Content", "extensions"))?;
        let mut identity = None;
        let mut extensions = Vec::with_capacity(wire.extensions.len());
        for extension in wire.extensions {
            if extension.number == IDENTITY {
                let block: proto::IdentityBlock = canonical::decode(&extension.value, Mode::Strict)?;
                identity = Some(FromWire::from_wire(block).map_err(|broken| broken.at("Content", "identity"))?);
            } else {
                extensions.push(Extension::from_wire(extension)?);
            }
        }
        let critical = extensions.iter().find(|extension| extension.is_critical()).map(|extension| extension.number);
        let body = Body::decode(wire.kind, wire.version, wire.body, critical)?;
        let previous = FromWire::from_wire(wire.previous)?;
        counted(wire.sequence, &previous)?;
        Ok(Self {
            id: FromWire::from_wire(wire.id)?,
            sent: FromWire::from_wire(wire.sent)?,
            sequence: wire.sequence,
            previous,
            conversation: FromWire::from_wire(wire.conversation)?,
            own_manifest: FromWire::from_wire(wire.own_manifest)?,
            your_manifest: match wire.your_manifest {
                None => None,
                manifest => Some(FromWire::from_wire(manifest)?),
            },
            expires_after: wire.expires_after,
            reply_to: wire.reply_to.map(MessageReference::from_wire).transpose()?,
            fallback: wire.fallback,
            body,
            identity,
            extensions,
        })
    }
}

/// What is outside of the count, and the first of it, name no predecessor (spec §16.1.4).
fn counted(sequence: u64, previous: &ChainHash) -> Result<(), Broken> {
    let begins = sequence <= 1;
    if begins && previous.0 != [0; 32] { Err(Broken::rule("§16.1.4").at("Content", "previous")) } else { Ok(()) }
}

/// Room for what comes: a number and bytes. From 1000 on it is critical.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Extension {
    /// 1 to 65,535.
    pub number: u32,
    /// At most 16,384 bytes.
    pub value: Vec<u8>,
}
message::message!(Extension = proto::Extension { number, value });

impl Extension {
    /// Whether a reader that does not know it must show the fallback.
    #[must_use]
    pub const fn is_critical(&self) -> bool {
        self.number >= FIRST_CRITICAL
    }
}

/// Where a message belongs.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Conversation {
    /// Between two accounts: the recipient's, as the sender names it. A reader checks that it is its own, or, in a
    /// [`SentCopy`], whose it is.
    Account(AccountId),
    /// In a group.
    Group(Group),
}

/// A group, and the state of it that a message was written under: a forked view shows.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Group {
    /// Which.
    pub id: GroupId,
    /// The state's version.
    pub version: u64,
    /// The state's hash.
    pub hash: [u8; 32],
}
message::message!(Group = proto::Group { id, version, hash });

message::choice!(Conversation = proto::conversation::With { ; Account, Group });

impl ToWire<Option<proto::Conversation>> for Conversation {
    fn to_wire(&self) -> Option<proto::Conversation> {
        Some(proto::Conversation { with: self.to_wire() })
    }
}

impl FromWire<Option<proto::Conversation>> for Conversation {
    fn from_wire(wire: Option<proto::Conversation>) -> Result<Self, Broken> {
        Self::from_wire(wire.ok_or(Broken::rule("§10.4.7"))?.with)
    }
}

/// A message, by its author and its name: nobody can answer or change one as somebody else's.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct MessageReference {
    /// Who wrote it.
    pub author: AccountId,
    /// Its name.
    pub id: MessageId,
}
message::message!(MessageReference = proto::MessageReference { author, id });

/// Names a content and everything its device wrote before it in the conversation.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ChainHash([u8; 32]);

impl ChainHash {
    /// What stands before the first content.
    pub const NONE: Self = Self([0; 32]);

    /// Takes the bytes as they are.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

message::fixed!(ChainHash, GroupId, MessageId);

/// Why a content was not encoded: the caller broke a limit.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum ContentError {
    /// A part is longer than its ceiling.
    #[error("§10.4.8: {0}")]
    Encode(EncodeError),
    /// The whole is longer than [`Content::MOST`].
    #[error("§16.1.2: the content is too long for a message: attach it")]
    TooLong,
    /// Extensions do not ascend, or a mention lies outside the text.
    #[error("§16.1.3, §16.3.2: extensions or mentions are out of place")]
    Form,
}

fn ascending(extensions: &[proto::Extension]) -> Result<(), Broken> {
    let sorted = extensions.is_sorted_by(|one, two| one.number < two.number);
    if sorted { Ok(()) } else { Err(Broken::rule("§16.1.3")) }
}

const FORMAT: u32 = 1;
/// The extension that holds the identity block.
const IDENTITY: u32 = 1;
const FIRST_CRITICAL: u32 = 1_000;
