//! Kinds and versions of bodies. Implements spec/16-content.md §16.2.
//!
//! Invariants: a known kind in a known version is typed or refused; everything else is kept as bytes.
use alloc::{string::String, vec::Vec};

use super::{
    ContactCopy, ContentError, Delete, Edit, GroupPart, Introduction, Location, OwnLinks, PassedOn, Poll, ProfileKey,
    Reaction, ReadMarkers, Receipt, Resend, SentCopy, Text, Timer, Typing, Vote,
};
use crate::{
    canonical::{self, Mode},
    message::{self, Broken, FromWire},
    proto::content::{self as proto, content::Kind},
};

macro_rules! bodies {
    ($($(#[$doc:meta])* $number:literal $name:ident ($type:ident = $proto:ident);)*) => {
        /// What a message says.
        #[derive(Debug, Eq, PartialEq)]
        pub enum Body {
            $($(#[$doc])* $name($type),)*
            /// An empty message: acknowledges a session, or covers.
            Empty,
            /// A kind that an embedder made.
            Custom(CustomBody),
            /// Not known to this version: show the fallback, and keep it for a later one.
            Unknown(UnknownBody),
        }

        impl Body {
            pub(super) fn encode(&self) -> Result<(Kind, u16, Vec<u8>), ContentError> {
                Ok(match self {
                    $(Self::$name(body) => {
                        body.check()?;
                        let bytes = message::encode::<proto::$proto, _>(body).map_err(ContentError::Encode)?;
                        (Kind::KindNumber($number), VERSION, bytes)
                    })*
                    Self::Empty => (Kind::KindNumber(EMPTY), VERSION, Vec::new()),
                    Self::Custom(CustomBody { name, version, bytes }) => {
                        (Kind::KindName(name.0.clone()), *version, bytes.clone())
                    }
                    Self::Unknown(UnknownBody { kind, version, bytes, .. }) => {
                        let kind = match kind {
                            UnknownKind::Number(number) => Kind::KindNumber((*number).into()),
                            UnknownKind::Name(name) => Kind::KindName(name.0.clone()),
                        };
                        (kind, *version, bytes.clone())
                    }
                })
            }

            fn decode_known(number: u16, bytes: &[u8]) -> Result<Option<Self>, Broken> {
                Ok(Some(match u32::from(number) {
                    $($number => {
                        let wire: proto::$proto = canonical::decode(bytes, Mode::Strict)?;
                        let body = $type::from_wire(wire)?;
                        body.check().map_err(|_| Broken::rule("§16.3.2").at(stringify!($type), "mentions"))?;
                        Self::$name(body)
                    })*
                    EMPTY if bytes.is_empty() => Self::Empty,
                    EMPTY => return Err(Broken::rule("§16.2.3").at("Content", "body")),
                    _ => return Ok(None),
                }))
            }
        }
    };
}

bodies! {
    /// Text, with mentions and attachments.
    1 Text (Text = Text);
    /// An emoji on a message, or its removal.
    2 Reaction (Reaction = Reaction);
    /// Another text in the place of one's own.
    3 Edit (Edit = Edit);
    /// Takes one's own message back.
    4 Delete (Delete = Delete);
    /// Delivered, read, viewed.
    5 Receipt (Receipt = Receipt);
    /// Typing began or stopped; sent online-only.
    6 Typing (Typing = Typing);
    /// To own devices: how far was read.
    7 ReadMarkers (ReadMarkers = ReadMarkers);
    /// The conversation's disappearing timer.
    8 Timer (Timer = Timer);
    /// A request is accepted: how to reach me.
    9 Accepted (Introduction = Introduction);
    /// Manifest, reach key or secret changed.
    11 Update (Introduction = Introduction);
    /// To own devices: what this device sent.
    12 SentCopy (SentCopy = SentCopy);
    /// Sender keys, invitations, checkpoints: the group documents say.
    13 GroupPart (GroupPart = GroupPart);
    /// The key of the sender's profile.
    14 ProfileKey (ProfileKey = ProfileKey);
    /// Asks for messages again, or for a new session.
    15 Resend (Resend = Resend);
    /// A place.
    16 Location (Location = Location);
    /// A question with answers to choose from.
    17 Poll (Poll = Poll);
    /// An answer to a poll.
    18 Vote (Vote = Vote);
    /// To own devices: a contact as this device knows it.
    19 ContactCopy (ContactCopy = ContactCopy);
    /// To own devices: what came for the account.
    20 PassedOn (PassedOn = PassedOn);
    /// To own devices: by which tokens others can write to the account.
    21 OwnLinks (OwnLinks = OwnLinks);
}

impl Body {
    pub(super) fn decode(
        kind: Option<Kind>,
        version: u32,
        bytes: Vec<u8>,
        critical: Option<u32>,
    ) -> Result<Self, Broken> {
        let version = u16::try_from(version).map_err(|_| Broken::rule("§10.4.8").at("Content", "version"))?;
        let kind = match kind.ok_or(Broken::rule("§13.3.2").at("Content", "kind"))? {
            Kind::KindNumber(number) => {
                let number = u16::try_from(number).ok().filter(|number| *number > 0);
                UnknownKind::Number(number.ok_or(Broken::rule("§16.2.1").at("Content", "kind_number"))?)
            }
            Kind::KindName(name) => {
                let name = KindName::new(name).ok_or(Broken::rule("§16.2.2").at("Content", "kind_name"))?;
                UnknownKind::Name(name)
            }
        };
        let reason = match (&kind, critical) {
            (_, Some(number)) => UnknownReason::Extension(number),
            (UnknownKind::Name(_), None) => {
                let UnknownKind::Name(name) = kind else { return Err(Broken::rule("§16.2.2")) };
                return Ok(Self::Custom(CustomBody { name, version, bytes }));
            }
            (UnknownKind::Number(number), None) if version == VERSION => match Self::decode_known(*number, &bytes)? {
                Some(body) => return Ok(body),
                None => UnknownReason::Kind,
            },
            (UnknownKind::Number(_), None) => UnknownReason::Version,
        };
        Ok(Self::Unknown(UnknownBody { kind, version, bytes, reason }))
    }
}

/// A body of a kind that an embedder made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CustomBody {
    /// Whose kind.
    pub name: KindName,
    /// From 1.
    pub version: u16,
    /// At most 57,344 bytes, theirs to read.
    pub bytes: Vec<u8>,
}

/// A namespaced kind: a domain name backwards, `/`, a name. `com.example/whiteboard`; at most 128 bytes of `a-z 0-9 - .`.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct KindName(String);

impl KindName {
    /// Takes a name in that form; none otherwise.
    #[must_use]
    pub fn new(name: String) -> Option<Self> {
        let fits = |part: &str| {
            let letters = part.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
            !part.is_empty() && letters
        };
        let (space, kind) = name.split_once('/')?;
        let fit = space.contains('.') && space.split('.').all(fits) && fits(kind) && name.len() <= 128;
        if fit { Some(Self(name)) } else { None }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A body that this version does not know. It encodes to the bytes that came.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UnknownBody {
    kind: UnknownKind,
    version: u16,
    bytes: Vec<u8>,
    reason: UnknownReason,
}

impl UnknownBody {
    /// Why it is not known.
    #[must_use]
    pub const fn reason(&self) -> UnknownReason {
        self.reason
    }
}

/// Why a body is not known.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum UnknownReason {
    /// The kind's number.
    Kind,
    /// The kind is known, this version of it is not.
    Version,
    /// An extension that must be understood.
    Extension(u32),
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum UnknownKind {
    Number(u16),
    Name(KindName),
}

const VERSION: u16 = 1;
const EMPTY: u32 = 10;
