//! Who may put into which lane of a mailbox. Implements spec/14-relay-messages.md §14.3.
//!
//! ```text
//! DeliverySecret (an audience has it) ──HKDF, mailbox id──▶ DeliveryKey (a put shows it) ──SHA-256──▶ LaneHash (the relay has it)
//! ```
//! Invariants: the keys of one audience for two mailboxes have nothing in common; what a relay stores opens nothing; keys are
//! compared in constant time, hashes of them may be looked up.
//! Not here: lanes and their shares (the relay's), who is told a secret (the engine's).
use alloc::boxed::Box;
use core::fmt;

use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{
    id::MailboxId,
    kdf::hkdf,
    label::{self, Label},
};

/// What the members of an audience know (contacts, groups, own devices), or the holders of one introduction token. 32 bytes.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct DeliverySecret(Box<[u8; 32]>);

impl DeliverySecret {
    /// A fresh one.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut secret = Self(Box::new([0; 32]));
        rng.fill_bytes(secret.0.as_mut_slice());
        secret
    }

    /// Takes 32 bytes that travelled in a message or a link.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Box::new(*bytes))
    }

    /// The bytes, for the message or link that carries them.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key that this audience shows at `mailbox` (spec §14.3). `grant` keeps an introduction token from being an
    /// audience's secret and the reverse.
    #[must_use]
    pub fn key_for(&self, grant: Grant, mailbox: &MailboxId) -> DeliveryKey {
        DeliveryKey::from_bytes(*hkdf(None, self.0.as_slice(), &grant.label().with(mailbox.as_bytes())))
    }
}

/// What a delivery secret is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Grant {
    /// The secret of an audience.
    Audience,
    /// An introduction token, from a link.
    Introduction,
}

impl Grant {
    const fn label(self) -> Label {
        match self {
            Self::Audience => label::DELIVERY_KEY,
            Self::Introduction => label::INTRODUCTION_KEY,
        }
    }
}

/// The 16 bytes that admit a put to a lane.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct DeliveryKey(Box<[u8; 16]>);

impl DeliveryKey {
    /// Size in bytes.
    pub const SIZE: usize = 16;

    /// Takes the bytes as they are.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Box::new(bytes))
    }

    /// The bytes, for the request that shows them.
    #[must_use]
    pub fn expose(&self) -> &[u8; 16] {
        &self.0
    }

    /// What the relay of `mailbox` stores of it.
    #[must_use]
    pub fn lane_hash(&self, mailbox: &MailboxId) -> LaneHash {
        LaneHash::of(mailbox, &self.0)
    }
}

impl ConstantTimeEq for DeliveryKey {
    fn ct_eq(&self, other: &Self) -> subtle::Choice {
        self.0.as_slice().ct_eq(other.0.as_slice())
    }
}

impl PartialEq for DeliveryKey {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl Eq for DeliveryKey {}

/// SHA-256(label ‖ 0x00 ‖ mailbox id ‖ delivery key): names a lane to its relay and opens nothing.
///
/// Looking one up by comparison tells an attacker nothing of use: what is compared is a hash of what they sent.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LaneHash([u8; 32]);

impl LaneHash {
    /// The hash of the 16 bytes that a put or a fan-out shows.
    #[must_use]
    pub fn of(mailbox: &MailboxId, key: &[u8; 16]) -> Self {
        let mut content = [0; 32];
        let parts = mailbox.as_bytes().iter().chain(key);
        content.iter_mut().zip(parts).for_each(|(target, part)| *target = *part);
        let hash = Self(label::LANE.hash(&content));
        content.zeroize();
        hash
    }

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

impl PartialEq for DeliverySecret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}

impl Eq for DeliverySecret {}

impl fmt::Debug for DeliverySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeliverySecret(..)")
    }
}

impl fmt::Debug for DeliveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeliveryKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_by_mailbox_secret_and_kind() {
        let (one, two) = (MailboxId::from_bytes([1; 16]), MailboxId::from_bytes([2; 16]));
        let secret = DeliverySecret::from_bytes(&[3; 32]);
        let key = secret.key_for(Grant::Audience, &one);
        assert_eq!(key, secret.key_for(Grant::Audience, &one));
        assert_ne!(key, secret.key_for(Grant::Audience, &two));
        assert_ne!(key, secret.key_for(Grant::Introduction, &one));
        assert_ne!(key, DeliverySecret::from_bytes(&[4; 32]).key_for(Grant::Audience, &one));
    }

    #[test]
    fn a_lane_hash_is_bound_to_its_mailbox() {
        let key = DeliveryKey::from_bytes([5; 16]);
        let (one, two) = (MailboxId::from_bytes([1; 16]), MailboxId::from_bytes([2; 16]));
        assert_ne!(key.lane_hash(&one), key.lane_hash(&two));
    }
}
