//! The symmetric chains: one key per message, of the last completed epoch. Implements spec/06-spqr.md §6.3 (Double Ratchet
//! §5, "SPQR").
//!
//! ```text
//! root(e) ──add epoch(secret e+1)──▶ root(e+1), chain(e+1, →), chain(e+1, ←)
//! chain(e, →, n) ──next──▶ chain(e, →, n+1), message key n+1
//! ```
//! Every operation makes a changed copy of the heads, which is small; the kept keys are changed when it is applied.
//! Invariants: a chain only moves forward, the sending epoch never goes back; at most three epochs are there.
//! Not here: which epoch a message is of (`braid`).

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;

use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::kem::EpochSecret;
use super::{Epoch, Role};
use crate::crypto::{Salt, hkdf_with};
use crate::label;

/// How far a message may be ahead of the last one of its epoch that was opened: one stricter than the Double Ratchet, which
/// counts from the next one.
pub(crate) const MAX_JUMP: u32 = 25_000;
/// How far behind the newest a skipped message's key is kept.
pub(crate) const MAX_KEPT: u32 = 2_000;
/// How many epochs before the sending one are kept for receiving.
const EPOCHS_KEPT: u64 = 1;
/// Epochs that can be there at once: the one before the sending epoch, that one, and one that was added since.
pub(crate) const MAX_LINKS: usize = 3;

/// What salts one message's keys.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct MessageKey(Box<[u8; 32]>);

/// The ends of all chains: everything but the kept keys.
pub(crate) struct Heads {
    pub(crate) next_root: RootBytes,
    /// The newest epoch that something was sent with.
    pub(crate) sending_epoch: Epoch,
    /// Oldest first, epochs consecutive.
    pub(crate) links: Vec<Link>,
}

#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct RootBytes(pub(crate) Box<[u8; 32]>);

/// Both directions of one epoch.
pub(crate) struct Link {
    pub(crate) epoch: Epoch,
    /// None once a newer epoch was sent with.
    pub(crate) sending: Option<Head>,
    pub(crate) receiving: Head,
}

/// The end of one chain.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct Head {
    pub(crate) next: Box<[u8; 32]>,
    /// The number of the last key made; the first is 1.
    pub(crate) counter: u32,
}

/// Keys of messages that have not come, by epoch and number.
pub(crate) type Kept = BTreeMap<(Epoch, u32), MessageKey>;

/// What opening a message does to the chains. Nothing has happened yet.
pub(crate) enum Walk {
    /// The message has no key: its sender could not know that we have this ratchet.
    Keyless,
    /// A key that was kept is used up.
    Used { epoch: Epoch, index: u32 },
    /// The chain moves on, over messages that have not come.
    Advanced { epoch: Epoch, key: MessageKey, head: Head, kept: Vec<(u32, MessageKey)> },
}

/// Why there is no key for a message.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub(crate) enum KeyError {
    #[error("epoch {0} is not there yet")]
    Future(u64),
    #[error("already used, or dropped as too old")]
    Gone,
    #[error("{ahead} messages ahead")]
    TooFarAhead { ahead: u32 },
    #[error("the chain has no numbers left")]
    Exhausted,
}

impl Heads {
    /// The chains of key epoch 0.
    pub(crate) fn new(auth_key: &[u8; 32], role: Role) -> Self {
        let output = hkdf_with::<3>(Salt::None, &[auth_key], &[label::SPQR_CHAIN_START.as_bytes()]);
        let [root, there, back] = &*output;
        let next_root = RootBytes(Box::new(*root));
        Self { next_root, sending_epoch: Epoch::ZERO, links: Vec::from([Link::new(Epoch::ZERO, role, there, back)]) }
    }

    /// A copy to work on, so that what fails has changed nothing.
    pub(crate) fn duplicate(&self) -> Self {
        Self {
            next_root: RootBytes(self.next_root.0.clone()),
            sending_epoch: self.sending_epoch,
            links: self.links.iter().map(Link::duplicate).collect(),
        }
    }

    /// The newest epoch.
    pub(crate) fn newest(&self) -> Epoch {
        self.links.last().map_or(Epoch::ZERO, |link| link.epoch)
    }

    /// The oldest epoch that is kept.
    pub(crate) fn oldest(&self) -> Epoch {
        self.links.first().map_or(Epoch::ZERO, |link| link.epoch)
    }

    /// Chains of the epoch after the newest.
    pub(crate) fn add_epoch(&mut self, secret: &EpochSecret, role: Role) {
        let info = [label::SPQR_ADD_EPOCH.as_bytes()];
        let output = hkdf_with::<3>(Salt::Key(&self.next_root.0), &[secret.as_bytes()], &info);
        let [root, there, back] = &*output;
        self.links.push(Link::new(self.newest().next(), role, there, back));
        self.next_root = RootBytes(Box::new(*root));
    }

    /// The key for the next message sent in `epoch`, which ends sending in older ones.
    pub(crate) fn send(&mut self, epoch: Epoch) -> Result<(u32, MessageKey), KeyError> {
        if epoch > self.sending_epoch {
            let oldest = epoch.0.saturating_sub(EPOCHS_KEPT);
            self.links.retain(|link| link.epoch.0 >= oldest);
            self.links.iter_mut().filter(|link| link.epoch < epoch).for_each(|link| link.sending = None);
            self.sending_epoch = epoch;
        }
        let link = self.links.iter_mut().find(|link| link.epoch == epoch);
        let head = link.and_then(|link| link.sending.as_mut()).ok_or(KeyError::Future(epoch.0))?;
        let (next, key) = head.step()?;
        *head = next;
        Ok((head.counter, key))
    }

    /// How many steps [`Self::receive`] takes, so that it can be refused before.
    pub(crate) fn steps_to(&self, epoch: Epoch, index: u32) -> Result<u32, KeyError> {
        let link = self.links.iter().find(|link| link.epoch == epoch);
        match link.map_or(0, |link| index.saturating_sub(link.receiving.counter)) {
            ahead if ahead > MAX_JUMP => Err(KeyError::TooFarAhead { ahead }),
            steps => Ok(steps),
        }
    }

    /// Finds the key of message `index` of `epoch`.
    pub(crate) fn receive(&self, kept: &Kept, epoch: Epoch, index: u32) -> Result<Walk, KeyError> {
        if (epoch, index) == (Epoch::ZERO, 0) {
            return Ok(Walk::Keyless);
        }
        let Some(link) = self.links.iter().find(|link| link.epoch == epoch) else {
            return Err(if epoch > self.newest() { KeyError::Future(epoch.0) } else { KeyError::Gone });
        };
        match index.checked_sub(link.receiving.counter) {
            None | Some(0) => {
                let is_there = kept.contains_key(&(epoch, index));
                if is_there { Ok(Walk::Used { epoch, index }) } else { Err(KeyError::Gone) }
            }
            Some(ahead) if ahead > MAX_JUMP => Err(KeyError::TooFarAhead { ahead }),
            Some(_) => link.receiving.walk(epoch, index),
        }
    }

    /// Takes over what [`Self::receive`] found.
    pub(crate) fn follow(&mut self, walk: &Walk) {
        if let Walk::Advanced { epoch, head, .. } = walk
            && let Some(link) = self.links.iter_mut().find(|link| link.epoch == *epoch)
        {
            link.receiving = head.duplicate();
        }
    }

    /// Whether a kept key may still be needed.
    pub(crate) fn keeps(&self, epoch: Epoch, index: u32) -> bool {
        let link = self.links.iter().find(|link| link.epoch == epoch);
        link.is_some_and(|link| index >= link.oldest_kept())
    }

    /// The kept keys that are not needed any more: whole epochs, and the oldest of each.
    pub(crate) fn expired<'a>(&self, kept: &'a Kept) -> impl Iterator<Item = &'a (Epoch, u32)> {
        let epochs = kept.range(..(self.oldest(), 0));
        let oldest = self.links.iter().flat_map(|link| kept.range((link.epoch, 0)..(link.epoch, link.oldest_kept())));
        epochs.chain(oldest).map(|(key, _)| key)
    }
}

impl Link {
    fn new(epoch: Epoch, role: Role, there: &[u8; 32], back: &[u8; 32]) -> Self {
        let (sending, receiving) = match role {
            Role::Initiator => (there, back),
            Role::Responder => (back, there),
        };
        let head = |next: &[u8; 32]| Head { next: Box::new(*next), counter: 0 };
        Self { epoch, sending: Some(head(sending)), receiving: head(receiving) }
    }

    fn oldest_kept(&self) -> u32 {
        self.receiving.counter.saturating_sub(MAX_KEPT)
    }

    fn duplicate(&self) -> Self {
        let sending = self.sending.as_ref().map(Head::duplicate);
        Self { epoch: self.epoch, sending, receiving: self.receiving.duplicate() }
    }
}

impl Head {
    fn duplicate(&self) -> Self {
        Self { next: self.next.clone(), counter: self.counter }
    }

    fn step(&self) -> Result<(Self, MessageKey), KeyError> {
        let counter = self.counter.checked_add(1).ok_or(KeyError::Exhausted)?;
        let info = [&counter.to_be_bytes(), label::SPQR_CHAIN_NEXT.as_bytes()];
        let [next, key] = &*hkdf_with::<2>(Salt::None, &[&self.next[..]], &info);
        Ok((Self { next: Box::new(*next), counter }, MessageKey::from_bytes(key)))
    }

    fn walk(&self, epoch: Epoch, index: u32) -> Result<Walk, KeyError> {
        // What is older than this would be dropped at once.
        let oldest = index.saturating_sub(MAX_KEPT);
        let mut kept = Vec::new();
        let (mut head, mut key) = self.step()?;
        while head.counter < index {
            let skipped = head.counter;
            let (next, next_key) = head.step()?;
            if skipped >= oldest {
                kept.push((skipped, key));
            }
            (head, key) = (next, next_key);
        }
        Ok(Walk::Advanced { epoch, key, head, kept })
    }
}

impl Walk {
    /// The message's key; none if it has none.
    pub(crate) fn key<'a>(&'a self, kept: &'a Kept) -> Option<&'a MessageKey> {
        match self {
            Self::Keyless => None,
            Self::Used { epoch, index } => kept.get(&(*epoch, *index)),
            Self::Advanced { key, .. } => Some(key),
        }
    }
}

impl MessageKey {
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Box::new(*bytes))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for MessageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MessageKey(..)")
    }
}

impl fmt::Debug for Heads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { next_root: _, sending_epoch, links } = self;
        f.debug_struct("Heads").field("sending_epoch", sending_epoch).field("links", links).finish_non_exhaustive()
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { epoch, sending, receiving } = self;
        let counters = (sending.as_ref().map(|head| head.counter), receiving.counter);
        f.debug_struct("Link").field("epoch", epoch).field("counters", &counters).finish_non_exhaustive()
    }
}

impl fmt::Debug for Walk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keyless => "Keyless",
            Self::Used { .. } => "Used(..)",
            Self::Advanced { .. } => "Advanced(..)",
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, clippy::as_conversions, reason = "test arithmetic is small")]

    use super::*;

    struct End {
        heads: Heads,
        kept: Kept,
        role: Role,
    }

    impl End {
        fn pair() -> (Self, Self) {
            let end = |role| Self { heads: Heads::new(&[7; 32], role), kept: Kept::new(), role };
            (end(Role::Initiator), end(Role::Responder))
        }

        fn add(&mut self, byte: u8) {
            self.heads.add_epoch(&EpochSecret::for_test([byte; 32]), self.role);
        }

        fn receive(&mut self, epoch: u64, index: u32) -> Result<[u8; 32], KeyError> {
            let walk = self.heads.receive(&self.kept, Epoch(epoch), index)?;
            let key = *walk.key(&self.kept).expect("it has one").as_bytes();
            self.heads.follow(&walk);
            match walk {
                Walk::Used { epoch, index } => drop(self.kept.remove(&(epoch, index))),
                Walk::Advanced { epoch, kept, .. } => {
                    self.kept.extend(kept.into_iter().map(|(index, key)| ((epoch, index), key)));
                }
                Walk::Keyless => {}
            }
            self.kept.retain(|(epoch, index), _| self.heads.keeps(*epoch, *index));
            Ok(key)
        }
    }

    #[test]
    fn both_ends_make_the_same_keys_and_the_two_directions_differ() {
        let (mut alice, mut bob) = End::pair();
        for epoch in 0..4u64 {
            for index in 1..4 {
                let (number, there) = alice.heads.send(Epoch(epoch)).unwrap();
                assert_eq!(number, index);
                assert_eq!(bob.receive(epoch, index), Ok(*there.as_bytes()));
                let (_, back) = bob.heads.send(Epoch(epoch)).unwrap();
                assert_eq!(alice.receive(epoch, index), Ok(*back.as_bytes()));
                assert_ne!(there.as_bytes(), back.as_bytes());
            }
            alice.add(epoch as u8);
            bob.add(epoch as u8);
            assert!(alice.heads.links.len() <= MAX_LINKS);
        }
    }

    #[test]
    fn skipped_keys_are_kept_used_once_and_dropped_2000_behind() {
        let (mut alice, mut bob) = End::pair();
        let keys: Vec<_> = (1..=2_010).map(|_| *alice.heads.send(Epoch::ZERO).unwrap().1.as_bytes()).collect();
        assert_eq!(bob.receive(0, 2_005), Ok(keys[2_004]));
        assert_eq!(bob.kept.len(), 2_000);
        assert_eq!(bob.receive(0, 4), Err(KeyError::Gone), "2,001 behind");
        assert_eq!(bob.receive(0, 5), Ok(keys[4]), "2,000 behind");
        assert_eq!(bob.receive(0, 5), Err(KeyError::Gone));
        assert_eq!(bob.receive(0, 2_005), Err(KeyError::Gone));
        assert_eq!(bob.receive(0, 2_010), Ok(keys[2_009]));
        assert_eq!(bob.receive(0, 9), Err(KeyError::Gone), "the newer message moved the limit");
        assert_eq!(bob.receive(0, 10), Ok(keys[9]));
    }

    #[test]
    fn a_jump_of_25000_is_allowed_and_one_more_is_not() {
        let (_, mut bob) = End::pair();
        assert_eq!(bob.receive(0, 25_001), Err(KeyError::TooFarAhead { ahead: 25_001 }));
        assert!(bob.receive(0, 25_000).is_ok());
        assert_eq!(bob.receive(0, 50_001), Err(KeyError::TooFarAhead { ahead: 25_001 }));
    }

    #[test]
    fn sending_in_an_epoch_ends_sending_in_older_ones_and_receiving_in_those_two_before() {
        let (mut alice, mut bob) = End::pair();
        alice.add(1);
        bob.add(1);
        alice.add(2);
        assert!(alice.heads.send(Epoch(1)).is_ok());
        assert_eq!(alice.heads.send(Epoch::ZERO).err(), Some(KeyError::Future(0)));
        assert!(alice.receive(0, 1).is_ok(), "the epoch before the sending one");
        assert!(alice.heads.send(Epoch(2)).is_ok());
        assert_eq!(alice.receive(0, 2), Err(KeyError::Gone));
        assert!(alice.receive(1, 1).is_ok());
        assert_eq!(alice.receive(3, 1), Err(KeyError::Future(3)));
    }
}
