//! What a server asks of whoever costs it something. Implements spec/13-frames.md §13.6.
use alloc::{boxed::Box, vec::Vec};
use core::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{
    message::{self, Broken, FromWire, ToWire},
    pow::{Challenge, Difficulty, Nonce},
    proto::frame as proto,
    time::Timestamp,
};

/// By what right something is created.
#[derive(Debug, Eq, PartialEq)]
pub enum Admission {
    /// The server takes anybody.
    Open,
    /// As the authenticated owner of this connection, within its quota.
    Owner,
    /// By an invitation that serves once.
    Invite(InviteToken),
    /// By work for what is created.
    Work(Work),
}
message::choice!(Admission = proto::admission::By { Open, Owner, ; Invite, Work });

impl ToWire<Option<proto::Admission>> for Admission {
    fn to_wire(&self) -> Option<proto::Admission> {
        Some(proto::Admission { by: self.to_wire() })
    }
}

impl FromWire<Option<proto::Admission>> for Admission {
    fn from_wire(wire: Option<proto::Admission>) -> Result<Self, Broken> {
        Self::from_wire(wire.ok_or(Broken::rule("§10.4.7"))?.by)
    }
}

/// A proof of work, with the challenge that it answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Work {
    /// The server's challenge.
    pub challenge: Challenge,
    /// The number found.
    pub nonce: Nonce,
}
message::message!(Work = proto::Work { challenge, nonce });

/// What a server asks at the moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Price {
    /// What proofs of work answer.
    pub challenge: Challenge,
    /// When it ends, by the server's clock.
    pub ends: Timestamp,
    /// Whether anybody is admitted.
    pub open: bool,
    /// Whether invitations are taken.
    pub invites: bool,
    /// Work for admission, if that is a way.
    pub admission: Option<Difficulty>,
    /// Work for a put by the strangers' lane; a key server has none and says 0.
    pub strangers: Difficulty,
}
message::message!(Price = proto::Price { challenge, ends, open, invites, admission, strangers });

/// The 16 bytes of an invitation.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct InviteToken(Box<[u8; 16]>);

impl InviteToken {
    /// Takes the bytes as they are.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Box::new(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8; 16] {
        &self.0
    }
}

impl PartialEq for InviteToken {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}

impl Eq for InviteToken {}

impl fmt::Debug for InviteToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InviteToken(..)")
    }
}

message::secret!(InviteToken);
message::fixed!(Challenge);

impl ToWire<u64> for Nonce {
    fn to_wire(&self) -> u64 {
        self.0
    }
}

impl FromWire<u64> for Nonce {
    fn from_wire(wire: u64) -> Result<Self, Broken> {
        Ok(Self(wire))
    }
}

impl ToWire<u32> for Difficulty {
    fn to_wire(&self) -> u32 {
        self.bits().into()
    }
}

impl FromWire<u32> for Difficulty {
    fn from_wire(wire: u32) -> Result<Self, Broken> {
        Self::try_from(wire).map_err(|_| Broken::rule("§14.4"))
    }
}
