//! Putting envelopes into mailboxes. Implements spec/14-relay-messages.md §14.6.
//!
//! Invariants: an envelope has one of the six sizes; recipients ascend by mailbox, so that none stands twice and their order
//! tells nothing; neither message depends on its connection or its request id.
use alloc::vec::Vec;
use core::fmt;

use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    delivery::{DeliveryKey, LaneHash},
    frame::Work,
    id::{DeliveryId, MailboxId},
    message::{self, Broken, FromWire, ToWire},
    padding::{Envelope, EnvelopeHeader, SharedPart},
    proto::relay as proto,
};

/// One envelope for one mailbox. The same put again is stored once; its identity is (mailbox, delivery id, envelope hash).
#[derive(Debug, Eq, PartialEq)]
pub struct Put {
    /// Whose.
    pub mailbox: MailboxId,
    /// Random, for this put alone.
    pub delivery: DeliveryId,
    /// How long it may wait.
    pub ttl: Ttl,
    /// By what right.
    pub by: Credential,
    /// The envelope.
    pub envelope: Envelope,
}
message::message!(Put = proto::Put { mailbox, delivery, ttl, by, envelope });
message::codec!(Put = proto::Put);

/// By what right something is put.
#[derive(Debug, Eq, PartialEq)]
pub enum Credential {
    /// A lane's key.
    Key(DeliveryKey),
    /// The strangers' lane: work bound to mailbox and envelope ([`crate::pow::Puzzle::put`]).
    Work(Work),
}
message::choice!(Credential = proto::put::By { ; Key, Work });

/// How long an envelope may wait. Two values, so that it tells little; never derived from a disappearing timer.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Ttl {
    /// 14 days.
    Fortnight,
    /// 1 day.
    Day,
    /// Not at all: pushed if the owner is subscribed now, else dropped; the sender is told the same either way.
    OnlineOnly,
}
message::numbered!(Ttl "§14.6.2" { Fortnight = 1, Day = 2, OnlineOnly = 3 });

/// One shared part for many mailboxes, each with a header of its own.
#[derive(Debug, Eq, PartialEq)]
pub struct FanOut {
    /// Random, for this fan-out alone; the delivery id at each mailbox.
    pub delivery: DeliveryId,
    /// How long it may wait.
    pub ttl: Ttl,
    /// What all get.
    pub shared: SharedPart,
    /// Who gets it.
    pub recipients: Recipients,
}
message::message!(FanOut = proto::FanOut { delivery, ttl, shared, recipients });
message::codec!(FanOut = proto::FanOut);

/// Who gets a fan-out: 1 to 5,000 mailboxes, strictly ascending. Kept as on the wire: 80 bytes each. Wiped on drop.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Recipients(Vec<u8>);

impl Recipients {
    /// The most in one fan-out.
    pub const MOST: usize = 5_000;

    /// Sorts recipients by mailbox.
    ///
    /// # Errors
    /// [`RecipientsError`]: none, too many, or one mailbox twice.
    pub fn new(mut recipients: Vec<(MailboxId, DeliveryKey, EnvelopeHeader)>) -> Result<Self, RecipientsError> {
        recipients.sort_unstable_by_key(|(mailbox, ..)| *mailbox);
        let mut bytes = Zeroizing::new(Vec::with_capacity(recipients.len().saturating_mul(RECIPIENT)));
        for (mailbox, key, header) in &recipients {
            bytes.extend_from_slice(mailbox.as_bytes());
            bytes.extend_from_slice(key.expose());
            bytes.extend_from_slice(header.as_bytes());
        }
        Self::parse(core::mem::take(&mut *bytes))
    }

    fn parse(bytes: Vec<u8>) -> Result<Self, RecipientsError> {
        let recipients = Self(bytes);
        let (all, rest) = recipients.0.as_chunks::<RECIPIENT>();
        if !rest.is_empty() || all.is_empty() || all.len() > Self::MOST {
            return Err(RecipientsError::Count);
        }
        let ascending = recipients.iter().map(|recipient| recipient.mailbox).is_sorted_by(|one, two| one < two);
        if ascending { Ok(recipients) } else { Err(RecipientsError::Order) }
    }

    /// How many.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        self.0.as_chunks::<RECIPIENT>().0.len()
    }

    /// Each, in the order of the wire.
    pub fn iter(&self) -> impl Iterator<Item = Recipient<'_>> {
        self.0.as_chunks::<RECIPIENT>().0.iter().filter_map(Recipient::of)
    }
}

impl PartialEq for Recipients {
    fn eq(&self, other: &Self) -> bool {
        subtle::ConstantTimeEq::ct_eq(self.0.as_slice(), other.0.as_slice()).into()
    }
}

impl Eq for Recipients {}

impl fmt::Debug for Recipients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipients({})", self.len())
    }
}

impl ToWire<Vec<u8>> for Recipients {
    fn to_wire(&self) -> Vec<u8> {
        self.0.clone()
    }
}

impl FromWire<Vec<u8>> for Recipients {
    fn from_wire(wire: Vec<u8>) -> Result<Self, Broken> {
        Self::parse(wire).map_err(|error| Broken::rule(error.rule()))
    }
}

/// One recipient of a fan-out.
#[derive(Clone, Copy)]
pub struct Recipient<'b> {
    /// Whose.
    pub mailbox: MailboxId,
    key: &'b [u8; 16],
    /// What goes before the shared part.
    pub header: EnvelopeHeader,
}

impl<'b> Recipient<'b> {
    /// The lane that the key opens, if the mailbox has it.
    #[must_use]
    pub fn lane_hash(&self) -> LaneHash {
        LaneHash::of(&self.mailbox, self.key)
    }

    fn of(bytes: &'b [u8; RECIPIENT]) -> Option<Self> {
        let (mailbox, rest) = bytes.split_first_chunk::<16>()?;
        let (key, rest) = rest.split_first_chunk::<16>()?;
        let (header, _) = rest.split_first_chunk::<48>()?;
        Some(Self { mailbox: MailboxId::from_bytes(*mailbox), key, header: EnvelopeHeader::from_bytes(*header) })
    }
}

impl fmt::Debug for Recipient<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mailbox, key: _, header: _ } = self;
        f.debug_struct("Recipient").field("mailbox", mailbox).finish_non_exhaustive()
    }
}

/// Why recipients are none of a fan-out (spec §14.6).
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum RecipientsError {
    /// None, or more than 5,000.
    #[error("§14.6.3: a fan-out has 1 to 5,000 recipients")]
    Count,
    /// Not strictly ascending: a mailbox stands twice.
    #[error("§14.6.4: recipients ascend by mailbox, each once")]
    Order,
}

impl RecipientsError {
    const fn rule(self) -> &'static str {
        match self {
            Self::Count => "§14.6.3",
            Self::Order => "§14.6.4",
        }
    }
}

/// What became of each recipient, in the request's order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outcomes {
    /// 1 to 5,000.
    pub outcomes: Vec<Outcome>,
}

/// What became of one recipient.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Outcome {
    /// On stable storage (or, online-only, done with).
    Accepted,
    /// Absent mailbox, wrong or ended key.
    Refused,
    /// Other bytes came under this delivery id before.
    Conflict,
    /// The lane's share is full; later, or never.
    LaneFull,
    /// The relay could not store it; again.
    Failed,
}

impl Outcome {
    const ALL: [Self; 5] = [Self::Accepted, Self::Refused, Self::Conflict, Self::LaneFull, Self::Failed];

    const fn byte(self) -> u8 {
        match self {
            Self::Accepted => 1,
            Self::Refused => 2,
            Self::Conflict => 3,
            Self::LaneFull => 4,
            Self::Failed => 5,
        }
    }
}

impl ToWire<proto::Outcomes> for Outcomes {
    fn to_wire(&self) -> proto::Outcomes {
        proto::Outcomes { outcomes: self.outcomes.iter().map(|outcome| outcome.byte()).collect() }
    }
}

impl FromWire<proto::Outcomes> for Outcomes {
    fn from_wire(wire: proto::Outcomes) -> Result<Self, Broken> {
        let outcome = |byte: u8| Outcome::ALL.into_iter().find(|outcome| outcome.byte() == byte);
        let outcomes: Option<_> = wire.outcomes.into_iter().map(outcome).collect();
        Ok(Self { outcomes: outcomes.ok_or(Broken::rule("§14.6.5").at("Outcomes", "outcomes"))? })
    }
}

impl ToWire<Vec<u8>> for Envelope {
    fn to_wire(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }
}

impl FromWire<Vec<u8>> for Envelope {
    fn from_wire(wire: Vec<u8>) -> Result<Self, Broken> {
        Self::new(wire).map_err(|_| Broken::rule("§14.2"))
    }
}

impl ToWire<Vec<u8>> for SharedPart {
    fn to_wire(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }
}

impl FromWire<Vec<u8>> for SharedPart {
    fn from_wire(wire: Vec<u8>) -> Result<Self, Broken> {
        Self::new(wire).map_err(|_| Broken::rule("§14.2"))
    }
}

message::secret!(DeliveryKey);

/// mailbox[16] ‖ delivery key[16] ‖ header[48].
const RECIPIENT: usize = 80;
