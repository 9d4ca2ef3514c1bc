//! Accounts and their manifests. Implements spec/15-keyserver-messages.md §15.1 and §15.2.
use alloc::vec::Vec;

use crate::{
    frame::{Admission, Price},
    id::{AccountId, Generation, Sequence},
    manifest::ManifestReference,
    message::{self, Broken, FromWire, ToWire},
    proto::keyserver as proto,
    time::Timestamp,
};

/// The server's clock and what it asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Info {
    /// Now, by the server's clock.
    pub time: Timestamp,
    /// Admission of accounts and names.
    pub price: Price,
    /// One-time prekeys of each kind that it keeps for a device: 1 to 200.
    pub one_time_prekeys: u32,
    /// The signed statement that this server moved, as it was signed; verify it before use. At most 4,096 bytes.
    pub moved: Option<Vec<u8>>,
}
message::message!(Info = proto::Info { time, price, one_time_prekeys, moved });

/// Registers the account that the recovery key commits to. No name is needed.
#[derive(Debug, Eq, PartialEq)]
pub struct CreateAccount {
    /// Ed25519; the account id is its hash (§11.2.2).
    pub recovery_key: [u8; 32],
    /// A signed generation statement (§11.4). Unverified.
    pub statement: Vec<u8>,
    /// The signed first manifest of that generation (§11.5). Unverified.
    pub manifest: Vec<u8>,
    /// By what right.
    pub admission: Admission,
}
message::message!(CreateAccount = proto::CreateAccount { recovery_key, statement, manifest, admission });

/// Puts a manifest into the place of another. The manifest's own signature is the right to do so.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PublishManifest {
    /// What is current, as the publisher knows it; if it is not, nothing changes.
    pub current: ManifestReference,
    /// The statement of a new generation. Unverified.
    pub statement: Option<Vec<u8>>,
    /// The signed manifest. Unverified.
    pub manifest: Vec<u8>,
}
message::message!(PublishManifest = proto::PublishManifest { current, statement, manifest });

/// Asks for an account's current objects.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FetchAccount {
    /// Whose.
    pub account: AccountId,
}
message::message!(FetchAccount = proto::FetchAccount { account });

/// What says who an account is. Unverified until checked against the account id.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AccountObjects {
    /// Ed25519.
    pub recovery_key: [u8; 32],
    /// The statement of the manifest's generation, as it was signed.
    pub statement: Vec<u8>,
    /// The current manifest, as it was signed.
    pub manifest: Vec<u8>,
}
message::message!(AccountObjects = proto::Account { recovery_key, statement, manifest });

/// Asks for an account's manifests from a place on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FetchHistory {
    /// Whose.
    pub account: AccountId,
    /// From this generation,
    pub generation: Generation,
    /// and in it from this sequence on.
    pub sequence: Sequence,
}
message::message!(FetchHistory = proto::FetchHistory { account, generation, sequence });

/// Part of a history, in order. At most 16 statements and 64 manifests, and together less than a frame.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct History {
    /// The statements of the generations on this page.
    pub statements: Vec<Vec<u8>>,
    /// The newest manifest of each content, as it was signed.
    pub manifests: Vec<Vec<u8>>,
    /// Whether there is more after this.
    pub more: bool,
}
message::message!(History = proto::History { statements, manifests, more });

impl ToWire<u32> for Generation {
    fn to_wire(&self) -> u32 {
        self.0
    }
}

impl FromWire<u32> for Generation {
    fn from_wire(wire: u32) -> Result<Self, Broken> {
        Ok(Self(wire))
    }
}

impl ToWire<u32> for Sequence {
    fn to_wire(&self) -> u32 {
        self.0
    }
}

impl FromWire<u32> for Sequence {
    fn from_wire(wire: u32) -> Result<Self, Broken> {
        Ok(Self(wire))
    }
}
