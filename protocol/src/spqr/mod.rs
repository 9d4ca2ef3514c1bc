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
pub(crate) use self::message::MessageError;
use self::message::{Message, VERSION};

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
    pub(crate) fn steps_to(&self, field: &[u8]) -> Result<u32, OpenError> {
        let (_, message) = Message::decode(field)?;
        Ok(self.heads.steps_to(message.epoch.previous(), message.index)?)
    }

    /// Finds the key of a message with this field.
    pub(crate) fn open(&self, field: &[u8]) -> Result<Opening, OpenError> {
        let (version, message) = Message::decode(field)?;
        if version != VERSION && self.negotiation == Negotiation::Closed {
            return Err(OpenError::Version(version));
        }
        let walk = self.heads.receive(&self.kept, message.epoch.previous(), message.index)?;
        // Only who has not heard its peer says that it has no key, and a responder has.
        if matches!(walk, Walk::Keyless) && self.role == Role::Initiator {
            return Err(KeyError::Gone.into());
        }
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
        let expired: Vec<(Epoch, u32)> = self.heads.expired(&self.kept).copied().collect();
        for key in expired {
            self.kept.remove(&key);
        }
    }
}

/// What a field says, encoded anew.
#[cfg(feature = "hazmat")]
pub(crate) fn canonical_field(field: &[u8]) -> Result<Vec<u8>, MessageError> {
    Message::decode(field).map(|(_, message)| message.encode())
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

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    fn pair() -> (Spqr, Spqr) {
        (Spqr::new(&[3; 32], Role::Initiator), Spqr::new(&[3; 32], Role::Responder))
    }

    fn pass(from: &mut Spqr, to: &mut Spqr, rng: &mut ChaCha20Rng) {
        let Sent { field, key, step } = from.send(rng).unwrap();
        let opening = to.open(&field).unwrap();
        assert_eq!(to.key(&opening).unwrap().as_bytes(), key.as_bytes());
        let received = to.receive(opening).unwrap();
        from.apply(step);
        to.apply(received);
    }

    #[test]
    fn both_ends_key_every_message_alike_through_six_epochs() {
        let rng = &mut ChaCha20Rng::seed_from_u64(1);
        let (mut alice, mut bob) = pair();
        for _ in 0..270 {
            pass(&mut alice, &mut bob, rng);
            pass(&mut bob, &mut alice, rng);
        }
        assert!(alice.sending_epoch() >= Epoch(6) && alice.kept.is_empty());
    }

    #[test]
    fn a_higher_version_is_read_as_ours_until_something_was_received() {
        let rng = &mut ChaCha20Rng::seed_from_u64(2);
        let (mut alice, mut bob) = pair();
        let newer = |sent: &Sent| [&[2], &sent.field[1..]].concat();
        let first = alice.send(rng).unwrap();
        let opening = bob.open(&newer(&first)).unwrap();
        assert_eq!(bob.key(&opening).unwrap().as_bytes(), first.key.as_bytes());
        assert_eq!(bob.open(&[&[0], &first.field[1..]].concat()).err(), Some(MessageError::Absent.into()));
        pass(&mut alice, &mut bob, rng);
        let second = alice.send(rng).unwrap();
        assert_eq!(bob.open(&newer(&second)).err(), Some(OpenError::Version(2)));
        assert!(bob.open(&second.field).is_ok());
    }

    /// As the official library before 0.92 begins.
    #[test]
    fn index_0_of_the_first_epoch_has_no_key_and_comes_from_the_initiator_only() {
        let (alice, mut bob) = pair();
        assert_eq!(alice.open(&[1, 1, 0, 0]).err(), Some(KeyError::Gone.into()));
        for _ in 0..3 {
            let opening = bob.open(&[1, 1, 0, 0]).unwrap();
            assert!(bob.key(&opening).is_none());
            bob.apply(bob.receive(opening).unwrap());
        }
        assert_eq!(bob.open(&[1, 2, 0, 0]).err(), Some(KeyError::Future(1).into()));
    }

    #[test]
    fn what_is_dropped_before_it_is_applied_has_changed_nothing() {
        let rng = &mut ChaCha20Rng::seed_from_u64(3);
        let (mut alice, mut bob) = pair();
        for _ in 0..60 {
            let sent = alice.send(rng).unwrap();
            let (before_alice, before_bob) = (alloc::format!("{alice:?}"), alloc::format!("{bob:?}"));
            drop(alice.send(rng).unwrap());
            drop(bob.receive(bob.open(&sent.field).unwrap()).unwrap());
            assert_eq!((alloc::format!("{alice:?}"), alloc::format!("{bob:?}")), (before_alice, before_bob));
            pass(&mut alice, &mut bob, rng);
            pass(&mut bob, &mut alice, rng);
        }
    }
}
