//! What an owner is pushed, and what it acknowledges. Implements spec/14-relay-messages.md §14.9.
//!
//! Invariants: sequence numbers of a mailbox ascend and are never used again; an ack may be repeated; what is not acked is
//! pushed again to the next subscription.
use alloc::vec::Vec;
use core::time::Duration;

use super::LaneNumber;
use crate::{
    id::DeliveryId,
    message::{self, Broken, FromWire, ToWire},
    padding::Envelope,
    proto::relay as proto,
};

/// Asks for deliveries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Subscribe {
    /// The last sequence number that this device has dealt with; 0: from the beginning. It acks nothing.
    pub after: u64,
    /// How many deliveries may be without an ack: 1 to 1,024, and no more than announced.
    pub window: u32,
}
message::message!(Subscribe = proto::Subscribe { after, window });

/// The subscription holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Subscribed {
    /// The highest sequence number given so far; the backlog ends there.
    pub newest: u64,
    /// How many envelopes wait after the cursor.
    pub waiting: u32,
}
message::message!(Subscribed = proto::Subscribed { newest, waiting });

/// The place of an envelope in its mailbox, from 1.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Sequence(pub u64);

impl ToWire<u64> for Sequence {
    fn to_wire(&self) -> u64 {
        self.0
    }
}

impl FromWire<u64> for Sequence {
    fn from_wire(wire: u64) -> Result<Self, Broken> {
        Ok(Self(wire))
    }
}

/// A stored envelope.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Delivery {
    /// Its place.
    pub sequence: Sequence,
    /// How it came.
    pub lane: LaneNumber,
    /// As its sender named it.
    pub delivery: DeliveryId,
    /// The envelope.
    pub envelope: Envelope,
}
message::message!(Delivery = proto::Delivery { sequence, lane, delivery, envelope });

/// An envelope that is not stored; there is nothing to ack.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OnlineDelivery {
    /// How it came.
    pub lane: LaneNumber,
    /// The envelope.
    pub envelope: Envelope,
}
message::message!(OnlineDelivery = proto::OnlineDelivery { lane, envelope });

/// The backlog is through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BacklogEnd {
    /// [`Subscribed::newest`].
    pub sequence: u64,
}
message::message!(BacklogEnd = proto::BacklogEnd { sequence });

/// A lane's share is used up; said once until there is room again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LaneFull {
    /// Which.
    pub lane: LaneNumber,
    /// How many puts it refused so far.
    pub turned_away: u64,
}
message::message!(LaneFull = proto::LaneFull { lane, turned_away });

/// The relay stops.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GoingAway {
    /// After what time to come back; each client adds a random share of its own.
    pub retry_after: Duration,
}
message::message!(GoingAway = proto::GoingAway { retry_after });

/// What the relay may forget.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ack {
    up_to: u64,
    also: Vec<u64>,
}

impl Ack {
    /// The most single numbers in one ack.
    pub const MOST: usize = 256;

    /// Everything up to `up_to` (0: nothing), and the numbers of `also`, which are above it and strictly ascend; at most 256.
    #[must_use]
    pub fn new(up_to: u64, also: Vec<u64>) -> Option<Self> {
        let ascending = also.is_sorted_by(|one, two| one < two) && also.first().is_none_or(|first| *first > up_to);
        let says = up_to > 0 || !also.is_empty();
        if ascending && says && also.len() <= Self::MOST { Some(Self { up_to, also }) } else { None }
    }

    /// Everything up to here.
    #[must_use]
    pub const fn up_to(&self) -> u64 {
        self.up_to
    }

    /// And these.
    #[must_use]
    pub fn also(&self) -> &[u64] {
        &self.also
    }
}

impl ToWire<proto::Ack> for Ack {
    fn to_wire(&self) -> proto::Ack {
        proto::Ack { up_to: self.up_to, also: self.also.clone() }
    }
}

impl FromWire<proto::Ack> for Ack {
    fn from_wire(wire: proto::Ack) -> Result<Self, Broken> {
        Self::new(wire.up_to, wire.also).ok_or(Broken::rule("§14.9.3").at("Ack", "also"))
    }
}
