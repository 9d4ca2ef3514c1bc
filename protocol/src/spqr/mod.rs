//! The sparse post-quantum ratchet: an ML-KEM-768 exchange in small pieces, carried along by every message, whose secrets
//! salt the Double Ratchet's message keys; both together are the Triple Ratchet. Implements spec/06-spqr.md (*ML-KEM Braid*;
//! *The Double Ratchet Algorithm*, revision 3, sections 5 and 6).
//!
//! ```text
//! Braid ──epoch secret──▶ chain (root, one chain per direction and epoch) ──message key──▶ salt of the message's keys
//!   ▲ ▼ chunks (erasure code)
//!  Message = epoch, index, payload: the `pq_ratchet` field
//! ```
//! Invariants: [`Spqr::send`] and [`Spqr::open`] change nothing; what they return is applied when the message was committed.
//! A payload is looked at only after the message that carries it was authenticated, so forged chunks never arrive here. A
//! peer that stops exchanging leaves the chains of the last epoch working.
//! Not here: when a message is authentic (`session`), where the first key comes from (`agreement`).

pub(crate) mod authenticator;
pub(crate) mod braid;
pub(crate) mod chain;
pub(crate) mod erasure;
mod gf16;
pub(crate) mod kem;
mod message;

use alloc::vec::Vec;
use core::fmt;

use rand_core::CryptoRng;
use thiserror::Error;

use self::braid::{Braid, BraidError, Turn};
pub(crate) use self::chain::KeyError;
use self::chain::{Heads, Kept, MessageKey, Walk};
use self::message::{Message, MessageError, VERSION};

/// A number of an epoch. The exchange works on epoch e while messages are keyed from e - 1.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Epoch(pub(crate) u64);

/// Which of the two chains of an epoch is ours for sending.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    Initiator,
    Responder,
}

/// Whether the peer was heard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Negotiation {
    /// Nothing was received: it may speak a later version, which begins like ours.
    Open,
    /// It speaks ours.
    Closed,
}

/// One session's ratchet.
#[derive(Debug)]
pub(crate) struct Spqr {
    pub(crate) role: Role,
    pub(crate) negotiation: Negotiation,
    pub(crate) heads: Heads,
    pub(crate) kept: Kept,
    pub(crate) braid: Braid,
}

/// What a message being sent gets, and what becomes of the ratchet if it is.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) field: Vec<u8>,
    pub(crate) key: MessageKey,
    pub(crate) step: Step,
}

/// A received field that is well-formed and has a key. Nothing is authenticated yet.
#[derive(Debug)]
pub(crate) struct Opening {
    message: Message,
    walk: Walk,
}

/// What an operation changes. Nothing has happened yet.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) negotiation: Negotiation,
    pub(crate) heads: Heads,
    pub(crate) braid: Braid,
    /// Of a received message.
    pub(crate) walk: Option<Walk>,
}

/// Why a received field is of no use.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub(crate) enum OpenError {
    #[error(transparent)]
    Message(#[from] MessageError),
    #[error("version {0} after version 1 was agreed")]
    Version(u8),
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl Spqr {
    /// Begins with the agreement's third key (spec §3.3).
    pub(crate) fn new(auth_key: &[u8; 32], role: Role) -> Self {
        Self {
            role,
            negotiation: Negotiation::Open,
            heads: Heads::new(auth_key, role),
            kept: Kept::new(),
            braid: Braid::new(auth_key, role),
        }
    }

    /// How many epochs were completed and are used for sending.
    pub(crate) const fn sending_epoch(&self) -> Epoch {
        self.heads.sending_epoch
    }

    /// The next message's field and key. Draws 64 bytes when a key pair is due, 32 when an encapsulation is.
    pub(crate) fn send(&self, rng: &mut impl CryptoRng) -> Result<Sent, KeyError> {
        let Turn { braid, payload, secret } = self.braid.clone().send(rng);
        let mut heads = self.heads.duplicate();
        if let Some(secret) = secret {
            heads.add_epoch(&secret, self.role);
        }
        let epoch = braid.epoch();
        let (index, key) = heads.send(epoch.previous())?;
        let field = Message { epoch, index, payload }.encode();
        Ok(Sent { field, key, step: Step { negotiation: self.negotiation, heads, braid, walk: None } })
    }

    /// How many chain steps [`Self::open`] would take for this field.
    pub(crate) fn steps_to(&self, field: &[u8]) -> u32 {
        Message::decode(field).map_or(0, |(_, message)| self.heads.steps_to(message.epoch.previous(), message.index))
    }

    /// Finds the key of a message with this field.
    pub(crate) fn open(&self, field: &[u8]) -> Result<Opening, OpenError> {
        let (version, message) = Message::decode(field)?;
        if version != VERSION && self.negotiation == Negotiation::Closed {
            return Err(OpenError::Version(version));
        }
        let walk = self.heads.receive(&self.kept, message.epoch.previous(), message.index)?;
        Ok(Opening { message, walk })
    }

    /// The key that [`Self::open`] found; none if the message has none.
    pub(crate) fn key<'a>(&'a self, opening: &'a Opening) -> Option<&'a MessageKey> {
        opening.walk.key(&self.kept)
    }

    /// Takes the payload of a message that was found authentic.
    pub(crate) fn receive(&self, opening: Opening) -> Result<Step, BraidError> {
        let Opening { message, walk } = opening;
        let (braid, secret) = self.braid.clone().receive(message.epoch, &message.payload)?;
        let mut heads = self.heads.duplicate();
        if let Some(secret) = secret {
            heads.add_epoch(&secret, self.role);
        }
        heads.follow(&walk);
        Ok(Step { negotiation: Negotiation::Closed, heads, braid, walk: Some(walk) })
    }

    /// Does what an operation decided.
    pub(crate) fn apply(&mut self, step: Step) {
        let Step { negotiation, heads, braid, walk } = step;
        (self.negotiation, self.heads, self.braid) = (negotiation, heads, braid);
        match walk {
            Some(Walk::Used { epoch, index }) => drop(self.kept.remove(&(epoch, index))),
            Some(Walk::Advanced { epoch, kept, .. }) => {
                self.kept.extend(kept.into_iter().map(|(index, key)| ((epoch, index), key)));
            }
            Some(Walk::Keyless) | None => {}
        }
        if !self.kept.is_empty() {
            self.kept.retain(|(epoch, index), _| self.heads.keeps(*epoch, *index));
        }
    }
}

impl Epoch {
    /// Of the keys that messages begin with.
    pub(crate) const ZERO: Self = Self(0);
    /// The first that an exchange works on.
    pub(crate) const FIRST: Self = Self(1);

    /// None for 0, which no message is of.
    fn from_wire(epoch: u64) -> Option<Self> {
        (epoch > 0).then_some(Self(epoch))
    }

    pub(crate) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    pub(crate) const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// As it stands in labels.
    pub(crate) const fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
