//! Mailboxes, their owners and lanes. Implements spec/14-relay-messages.md §14.5.
//!
//! Invariants: a mailbox's id follows from its owner key, so nobody can take an id that is not theirs; a signature serves one
//! TLS connection.
use alloc::vec::Vec;

use crate::{
    delivery::LaneHash,
    frame::Admission,
    id::MailboxId,
    keys::CloseCapability,
    label,
    message::{self, Broken, FromWire, ToWire},
    proto::relay as proto,
    request::Exporter,
    signature::{Signature, SignatureError, role},
    time::Timestamp,
};

role!(
    /// The key of one mailbox; its id follows from it.
    OwnerPublicKey,
    /// Owns one mailbox, made for it alone: proves that on each connection.
    OwnerKey
);

impl OwnerPublicKey {
    /// The mailbox that this key owns.
    #[must_use]
    pub fn mailbox(&self) -> MailboxId {
        mailbox_id(self.as_bytes())
    }

    /// Checks a proof for `mailbox` on the connection of `exporter` (spec §14.5.1). That `mailbox` is this key's is the caller's to
    /// know: a relay verifies for a mailbox that it does not have with a key that nobody has, so that the answer takes as long.
    ///
    /// # Errors
    /// [`SignatureError::Forged`]: of another key, connection or mailbox.
    pub fn verify_owner(
        &self,
        exporter: &Exporter,
        mailbox: &MailboxId,
        signature: &Signature,
    ) -> Result<(), SignatureError> {
        self.0.verify(label::MAILBOX_OWNER, &connection_and_mailbox(exporter, mailbox), signature)
    }
}

impl OwnerKey {
    /// The mailbox that this key owns.
    #[must_use]
    pub fn mailbox(&self) -> MailboxId {
        self.public_key().mailbox()
    }

    /// Proves ownership on the connection of `exporter` (spec §14.5.1); worth nothing on another one.
    #[must_use]
    pub fn prove(&self, exporter: &Exporter) -> Signature {
        self.0.sign(label::MAILBOX_OWNER, &connection_and_mailbox(exporter, &self.mailbox()))
    }
}

/// The mailbox of an owner key: the first 16 bytes of SHA-256(label ‖ 0x00 ‖ key).
#[must_use]
pub fn mailbox_id(owner_key: &[u8; 32]) -> MailboxId {
    let hash = label::MAILBOX_ID.hash(owner_key);
    let mut id = [0; 16];
    id.iter_mut().zip(hash).for_each(|(target, byte)| *target = byte);
    MailboxId::from_bytes(id)
}

/// What the owner key signs: label, 0x00, exporter, mailbox id. The exporter is the TLS connection's
/// ([`EXPORTER_LABEL`](crate::request::EXPORTER_LABEL)), so that a signature is worth nothing on another connection (E2).
#[must_use]
pub fn owner_transcript(exporter: &Exporter, mailbox: &MailboxId) -> Vec<u8> {
    label::MAILBOX_OWNER.with(&connection_and_mailbox(exporter, mailbox))
}

fn connection_and_mailbox(exporter: &Exporter, mailbox: &MailboxId) -> Vec<u8> {
    let mut content = Vec::with_capacity(48);
    content.extend_from_slice(exporter.as_bytes());
    content.extend_from_slice(mailbox.as_bytes());
    content
}

/// Creates the mailbox of [`mailbox_id`]`(owner_key)`, and authenticates this connection. Again with the same key: the same.
#[derive(Debug, Eq, PartialEq)]
pub struct CreateMailbox {
    /// Ed25519, made for this mailbox alone. Unverified bytes.
    pub owner_key: [u8; 32],
    /// [`CloseCapability::hash`](crate::keys::CloseCapability::hash).
    pub close_hash: [u8; 32],
    /// By what right.
    pub admission: Admission,
    /// Over [`owner_transcript`].
    pub signature: Signature,
}
message::message!(CreateMailbox = proto::CreateMailbox { owner_key, close_hash, admission, signature });

/// Makes this connection the owner's, once, for one mailbox.
#[derive(Debug, Eq, PartialEq)]
pub struct Authenticate {
    /// Which.
    pub mailbox: MailboxId,
    /// Over [`owner_transcript`].
    pub signature: Signature,
}
message::message!(Authenticate = proto::Authenticate { mailbox, signature });

/// Names a lane to its owner; never used again in that mailbox. 0 is the strangers' lane.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LaneNumber(pub u32);

impl LaneNumber {
    /// The lane of those who pay by work.
    pub const STRANGERS: Self = Self(0);
}

impl ToWire<u32> for LaneNumber {
    fn to_wire(&self) -> u32 {
        self.0
    }
}

impl FromWire<u32> for LaneNumber {
    fn from_wire(wire: u32) -> Result<Self, Broken> {
        Ok(Self(wire))
    }
}

/// For whom a new lane is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum NewLane {
    /// Contacts; one live key.
    Contacts,
    /// Groups; one live key.
    Groups,
    /// Own devices; one live key.
    Own,
    /// The holders of an introduction token.
    Introduction,
    /// Half of the holders of a flooded lane's key; takes from that lane's share.
    Split {
        /// The lane that is divided.
        parent: LaneNumber,
    },
}

/// A lane for those who show a delivery key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AddLane {
    /// For whom.
    pub lane: NewLane,
    /// Of the key.
    pub hash: LaneHash,
    /// When it ends; an introduction always has an end.
    pub ends: Option<Timestamp>,
}

impl ToWire<proto::AddLane> for AddLane {
    fn to_wire(&self) -> proto::AddLane {
        let (kind, parent) = match self.lane {
            NewLane::Contacts => (LaneKind::Contacts, 0),
            NewLane::Groups => (LaneKind::Groups, 0),
            NewLane::Own => (LaneKind::Own, 0),
            NewLane::Introduction => (LaneKind::Introduction, 0),
            NewLane::Split { parent } => (LaneKind::Split, parent.0),
        };
        proto::AddLane { kind: kind.to_wire(), hash: self.hash.to_wire(), parent, ends: self.ends.to_wire() }
    }
}

impl FromWire<proto::AddLane> for AddLane {
    fn from_wire(wire: proto::AddLane) -> Result<Self, Broken> {
        let lane = match (LaneKind::from_wire(wire.kind)?, wire.parent) {
            (LaneKind::Contacts, 0) => NewLane::Contacts,
            (LaneKind::Groups, 0) => NewLane::Groups,
            (LaneKind::Own, 0) => NewLane::Own,
            (LaneKind::Introduction, 0) => NewLane::Introduction,
            (LaneKind::Split, parent @ 1..) => NewLane::Split { parent: LaneNumber(parent) },
            _ => return Err(Broken::rule("§14.5.3").at("AddLane", "parent")),
        };
        let ends: Option<Timestamp> = FromWire::from_wire(wire.ends)?;
        if lane == NewLane::Introduction && ends.is_none() {
            return Err(Broken::rule("§14.5.4").at("AddLane", "ends"));
        }
        Ok(Self { lane, hash: FromWire::from_wire(wire.hash)?, ends })
    }
}

/// Gives an audience a new key and its old one an end, in one step, so that no put falls between.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RotateLane {
    /// The live lane of contacts, groups or own devices.
    pub lane: LaneNumber,
    /// Of the new key.
    pub hash: LaneHash,
    /// When the old key ends; it counts against the strangers' share until then.
    pub old_ends: Timestamp,
}
message::message!(RotateLane = proto::RotateLane { lane, hash, old_ends });

/// Sets a lane's end; a time that has passed ends it at once. What waits in it stays.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EndLane {
    /// Which.
    pub lane: LaneNumber,
    /// When.
    pub ends: Timestamp,
}
message::message!(EndLane = proto::EndLane { lane, ends });

/// The new lane's number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LaneAdded {
    /// Never 0.
    pub lane: LaneNumber,
}
message::message!(LaneAdded = proto::LaneAdded { lane });

/// Ends a mailbox by its close capability, from any connection.
#[derive(Debug)]
pub struct CloseMailbox {
    /// Which.
    pub mailbox: MailboxId,
    /// The close capability.
    pub capability: CloseCapability,
}
message::message!(CloseMailbox = proto::CloseMailbox { mailbox, capability });

impl PartialEq for CloseMailbox {
    fn eq(&self, other: &Self) -> bool {
        let Self { mailbox, capability } = self;
        *mailbox == other.mailbox && capability.is(&other.capability)
    }
}

impl Eq for CloseMailbox {}

/// A mailbox as its owner sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MailboxState {
    /// Envelopes waiting.
    pub envelopes: u32,
    /// Their bytes.
    pub bytes: u64,
    /// The quota in envelopes.
    pub most_envelopes: u32,
    /// The quota in bytes.
    pub most_bytes: u64,
    /// The lowest sequence number that waits; 0 if none does.
    pub oldest: u64,
    /// The highest sequence number given so far.
    pub newest: u64,
    /// All lanes, ascending by number, the strangers' first. At most 17.
    pub lanes: Vec<Lane>,
}
message::message!(
    MailboxState = proto::MailboxState { envelopes, bytes, most_envelopes, most_bytes, oldest, newest, lanes }
);

/// One lane as its owner sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lane {
    /// Its number.
    pub lane: LaneNumber,
    /// For whom.
    pub kind: LaneKind,
    /// When it ends, if it does.
    pub ends: Option<Timestamp>,
    /// Envelopes waiting.
    pub envelopes: u32,
    /// Their bytes.
    pub bytes: u64,
    /// Puts that were refused because it was full.
    pub turned_away: u64,
}
message::message!(Lane = proto::Lane { lane, kind, ends, envelopes, bytes, turned_away });

/// What a lane is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum LaneKind {
    /// Contacts.
    Contacts,
    /// Groups.
    Groups,
    /// Own devices.
    Own,
    /// An introduction token.
    Introduction,
    /// Part of a divided lane.
    Split,
    /// Whoever pays by work.
    Strangers,
}
message::numbered!(LaneKind "§14.5.3" {
    Contacts = 1, Groups = 2, Own = 3, Introduction = 4, Split = 5, Strangers = 6,
});

message::fixed!(LaneHash);

impl ToWire<Vec<u8>> for CloseCapability {
    fn to_wire(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }
}

impl FromWire<Vec<u8>> for CloseCapability {
    fn from_wire(wire: Vec<u8>) -> Result<Self, Broken> {
        let wire = zeroize::Zeroizing::new(wire);
        wire.as_slice().try_into().map(Self::from_bytes).map_err(|_| Broken::rule("§10.4.8"))
    }
}

impl ToWire<Vec<u8>> for Signature {
    fn to_wire(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }
}

impl FromWire<Vec<u8>> for Signature {
    fn from_wire(wire: Vec<u8>) -> Result<Self, Broken> {
        wire.as_slice().try_into().map(Self::from_bytes).map_err(|_| Broken::rule("§10.4.8"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e2_a_proof_serves_one_key_one_mailbox_and_one_connection() {
        let (one, two) = (OwnerKey::from_seed(&[1; 32]), OwnerKey::from_seed(&[2; 32]));
        let exporter = |byte| Exporter::from_bytes([byte; 32]);
        let proof = one.prove(&exporter(1));
        assert_eq!(one.public_key().verify_owner(&exporter(1), &one.mailbox(), &proof), Ok(()));
        let forged = Err(SignatureError::Forged);
        assert_eq!(one.public_key().verify_owner(&exporter(2), &one.mailbox(), &proof), forged);
        assert_eq!(one.public_key().verify_owner(&exporter(1), &two.mailbox(), &proof), forged);
        assert_eq!(two.public_key().verify_owner(&exporter(1), &one.mailbox(), &proof), forged);
        assert_eq!(one.mailbox(), mailbox_id(one.public_key().as_bytes()));
    }

    #[test]
    fn a_transcript_is_of_one_connection_and_one_mailbox() {
        let exporter = |byte| Exporter::from_bytes([byte; 32]);
        let (one, two) = (mailbox_id(&[1; 32]), mailbox_id(&[2; 32]));
        assert_ne!(one, two);
        assert_ne!(owner_transcript(&exporter(1), &one), owner_transcript(&exporter(2), &one));
        assert_ne!(owner_transcript(&exporter(1), &one), owner_transcript(&exporter(1), &two));
    }
}
