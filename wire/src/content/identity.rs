//! Who the sender is, and how to reach them. Implements spec/16-content.md §16.8.
//!
//! Invariants: everything here is unverified until checked against the account id; it is read without asking a server.
use alloc::vec::Vec;

use crate::{
    delivery::DeliverySecret,
    keys::ReachKey,
    message::{self, Broken, FromWire, ToWire},
    proto::content as proto,
    sealed::ObjectSecret,
};

/// What a stranger needs to believe and answer: in every message of an unacknowledged session.
#[derive(Debug)]
pub struct IdentityBlock {
    /// Ed25519; its hash is the account id that the sender's certificate names.
    pub recovery_key: [u8; 32],
    /// The generation statement, as it was signed.
    pub statement: Vec<u8>,
    /// The manifest, as it was signed.
    pub manifest: Vec<u8>,
    /// Opens the sender's reach records.
    pub reach_key: ReachKey,
    /// For the sender's contacts lane.
    pub contacts_secret: DeliverySecret,
}
message::message!(
    IdentityBlock = proto::IdentityBlock { recovery_key, statement, manifest, reach_key, contacts_secret }
);

impl PartialEq for IdentityBlock {
    fn eq(&self, other: &Self) -> bool {
        let Self { recovery_key, statement, manifest, reach_key, contacts_secret } = self;
        let public =
            *recovery_key == other.recovery_key && *statement == other.statement && *manifest == other.manifest;
        public && reach_key.is(&other.reach_key) && *contacts_secret == other.contacts_secret
    }
}

impl Eq for IdentityBlock {}

/// What of the sender's is new: with `accepted`, and when something changes.
#[derive(Debug)]
pub struct Introduction {
    /// With a new generation.
    pub statement: Option<Vec<u8>>,
    /// As it was signed.
    pub manifest: Option<Vec<u8>>,
    /// The current reach key.
    pub reach_key: Option<ReachKey>,
    /// The current contacts secret.
    pub contacts_secret: Option<DeliverySecret>,
}
message::message!(Introduction = proto::Introduction { statement, manifest, reach_key, contacts_secret });

impl PartialEq for Introduction {
    fn eq(&self, other: &Self) -> bool {
        let Self { statement, manifest, reach_key, contacts_secret } = self;
        let reach = match (reach_key, &other.reach_key) {
            (Some(one), Some(two)) => one.is(two),
            (one, two) => one.is_none() && two.is_none(),
        };
        reach
            && *statement == other.statement
            && *manifest == other.manifest
            && *contacts_secret == other.contacts_secret
    }
}

impl Eq for Introduction {}

/// The key of the sender's profile.
#[derive(Debug, Eq, PartialEq)]
pub struct ProfileKey {
    /// Opens it (§12.1).
    pub key: ObjectSecret,
    /// From which version on.
    pub version: u64,
}
message::message!(ProfileKey = proto::ProfileKey { key, version });

impl ToWire<Vec<u8>> for ReachKey {
    fn to_wire(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }
}

impl FromWire<Vec<u8>> for ReachKey {
    fn from_wire(wire: Vec<u8>) -> Result<Self, Broken> {
        let wire = zeroize::Zeroizing::new(wire);
        wire.as_slice().try_into().map(Self::from_bytes).map_err(|_| Broken::rule("§10.4.8"))
    }
}

impl ToWire<Vec<u8>> for DeliverySecret {
    fn to_wire(&self) -> Vec<u8> {
        self.expose().to_vec()
    }
}

impl FromWire<Vec<u8>> for DeliverySecret {
    fn from_wire(wire: Vec<u8>) -> Result<Self, Broken> {
        let wire = zeroize::Zeroizing::new(wire);
        wire.as_slice().try_into().map(Self::from_bytes).map_err(|_| Broken::rule("§10.4.8"))
    }
}
