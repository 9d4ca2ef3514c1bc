//! Manifests: which devices an account has. Implements spec/11-identity.md §11.5.
//!
//! ```text
//! Signed { body {format, content, issued, expires}, root signature }
//!                         │
//!                         └─ {account, generation, sequence, previous, key servers, devices | final}   ──hash──▶ the chain
//!                                                                        └─ counter-signed by each device's signing key
//! ```
//! Invariants: a [`Manifest`] exists only verified, root signature and every counter-signature; its bytes are the ones that
//! were signed. A renewal has the same content bytes, so the chain does not see it.
//! Not here: which of two manifests counts ([`crate::history`]).
mod content;
mod device;
mod draft;

use alloc::vec::Vec;
use core::time::Duration;

use prost::Message as _;
use thiserror::Error;

pub use self::{
    content::{Content, ContentError},
    device::{Capabilities, CapabilitiesError, Device, DeviceError, DeviceKeys, Place, RegistrationId},
    draft::{Draft, DraftError},
};
use crate::{
    canonical::{self, CanonicalError, Mode},
    id::{AccountId, DeviceId, Generation, Sequence, id},
    keys::RootKey,
    label,
    proto::identity::ManifestBody,
    signature::{SignatureError, SignedIn},
    statement::GenerationStatement,
    time::Timestamp,
};

/// Longest validity of a manifest (spec §11.5.3).
pub const VALIDITY: Duration = Duration::from_secs(60 * 24 * 60 * 60);
/// Age at which the primary renews a manifest.
pub const RENEW_AFTER: Duration = Duration::from_secs(20 * 24 * 60 * 60);
/// How far ahead of the verifier's clock a manifest may have been issued (spec §11.5.4).
pub const SKEW: Duration = Duration::from_secs(2 * 24 * 60 * 60);
/// Most devices of an account.
pub const MAX_DEVICES: usize = 16;

id!(
    /// SHA-256 over a manifest's content, or over a statement's body where a chain begins (spec §11.5). 32 bytes.
    ContentHash, 32, "wxc-"
);

/// Names a manifest's content in messages: what the sender has, and what it knows of the recipient. 40 bytes of facts.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ManifestReference {
    /// The generation.
    pub generation: Generation,
    /// The sequence in it.
    pub sequence: Sequence,
    /// The content's hash.
    pub content: ContentHash,
}

/// A manifest as it came: its claims can be read, not believed.
#[derive(Clone, Debug)]
pub struct ManifestIn {
    signed: SignedIn,
    content_bytes: Vec<u8>,
    content: Content,
    issued: Timestamp,
    expires: Timestamp,
}

impl ManifestIn {
    /// Reads the bytes that travel, at most 16,384 and a frame.
    ///
    /// # Errors
    /// The rule of §10.4 or §11.5 that the bytes break.
    pub fn decode(bytes: &[u8]) -> Result<Self, ManifestError> {
        Self::parse(SignedIn::decode(bytes, MAX_BODY)?)
    }

    /// Checks the root's signature, every counter-signature, and that the manifest was not issued in the future.
    ///
    /// An expired manifest verifies: sessions go on under it (§11.5.5). Ask [`Manifest::validity`] before a new one.
    ///
    /// # Errors
    /// [`ManifestError::NotYet`] may pass later; every other error is for ever.
    pub fn verify(self, statement: &GenerationStatement, now: Timestamp) -> Result<Manifest, ManifestError> {
        let Self { signed, content_bytes, content, issued, expires } = self;
        if content.account_id() != statement.account_id() {
            return Err(ManifestError::Account);
        }
        if content.generation() != statement.generation() {
            return Err(ManifestError::Generation { found: content.generation().0 });
        }
        if content.sequence() == Sequence(0) && content.previous() != statement.hash() {
            return Err(ManifestError::Beginning);
        }
        if issued > now.saturating_add(SKEW) {
            return Err(ManifestError::NotYet { issued });
        }
        signed.verify(&statement.root_key().0, label::MANIFEST).map_err(ManifestError::Signature)?;
        for device in content.devices() {
            if device.keys().signing.as_bytes() == statement.root_key().as_bytes() {
                return Err(ManifestError::RootAsDevice { device: device.id() });
            }
            device
                .verify_counter_signature(content.account_id(), content.generation())
                .map_err(|_| ManifestError::CounterSignature { device: device.id() })?;
        }
        let hash = ContentHash::from_bytes(label::CONTENT.hash(&content_bytes));
        Ok(Manifest { signed, content_bytes, hash, content, issued, expires })
    }

    /// The account it claims to be of.
    #[must_use]
    pub fn account_id(&self) -> AccountId {
        self.content.account_id()
    }

    /// The generation it claims to be of: which statement verifies it.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.content.generation()
    }

    /// The bytes that travel.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.signed.encode()
    }

    fn parse(signed: SignedIn) -> Result<Self, ManifestError> {
        let body: ManifestBody = canonical::decode(&signed.body, Mode::SignedBody)?;
        let ManifestBody { format, content: content_bytes, issued, expires } = body;
        if format != FORMAT {
            return Err(ManifestError::Format { found: format });
        }
        let (issued, expires) = (Timestamp(issued), Timestamp(expires));
        if expires <= issued || expires.since(issued) > VALIDITY {
            return Err(ManifestError::Dates { issued, expires });
        }
        let content = Content::decode(&content_bytes)?;
        Ok(Self { signed, content_bytes, content, issued, expires })
    }

    fn sign(root: &RootKey, content_bytes: Vec<u8>, issued: Timestamp) -> Result<Self, ManifestError> {
        let body = ManifestBody {
            format: FORMAT,
            content: content_bytes,
            issued: issued.0,
            expires: issued.saturating_add(VALIDITY).0,
        };
        Self::parse(SignedIn::sign(&root.0, label::MANIFEST, body.encode_to_vec()))
    }
}

/// What an account's root says about its devices, verified (spec §11.5).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Manifest {
    signed: SignedIn,
    content_bytes: Vec<u8>,
    hash: ContentHash,
    content: Content,
    issued: Timestamp,
    expires: Timestamp,
}

impl Manifest {
    /// What the chain is made of: account, generation, sequence, servers, devices.
    #[must_use]
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// The content's hash: what its successor names.
    #[must_use]
    pub fn content_hash(&self) -> ContentHash {
        self.hash
    }

    /// How messages name it.
    #[must_use]
    pub fn reference(&self) -> ManifestReference {
        let (generation, sequence) = (self.content.generation(), self.content.sequence());
        ManifestReference { generation, sequence, content: self.hash }
    }

    /// When it was signed.
    #[must_use]
    pub fn issued(&self) -> Timestamp {
        self.issued
    }

    /// When it ends.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    /// What may be done under it at `now` (spec §11.5.5).
    #[must_use]
    pub fn validity(&self, now: Timestamp) -> Validity {
        if now >= self.expires {
            Validity::Expired
        } else if now.since(self.issued) >= RENEW_AFTER {
            Validity::RenewalDue
        } else {
            Validity::Fresh
        }
    }

    /// The device of that id, if the manifest lists it.
    #[must_use]
    pub fn device(&self, id: DeviceId) -> Option<&Device> {
        self.content.devices().iter().find(|device| device.id() == id)
    }

    /// The same content, byte for byte, signed anew at `issued` (spec §11.5.6).
    ///
    /// # Errors
    /// If `issued` is so late that the dates no longer fit.
    pub fn renew(&self, root: &RootKey, issued: Timestamp) -> Result<ManifestIn, ManifestError> {
        ManifestIn::sign(root, self.content_bytes.clone(), issued)
    }

    /// The bytes that travel: the ones that were signed.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.signed.encode()
    }

    /// Everything that tells two manifests apart which agree in content and dates.
    pub(crate) fn signed(&self) -> (&[u8], &[u8; 64]) {
        (&self.signed.body, self.signed.signature.as_bytes())
    }
}

/// Whether a manifest may be built upon (spec §11.5.5).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Validity {
    /// Younger than [`RENEW_AFTER`].
    Fresh,
    /// Good; its primary renews it.
    RenewalDue,
    /// Existing sessions go on, shown as stale; no new session and no new device.
    Expired,
}

/// Why a manifest was refused (spec §11.5). Safe to log.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum ManifestError {
    /// The bytes break the encoding.
    #[error(transparent)]
    Encoding(#[from] CanonicalError),
    /// Made by a newer version: update.
    #[error("§11.3.2: format {found} is not known")]
    Format {
        /// The format number found.
        found: u32,
    },
    /// The root key did not sign it.
    #[error("§11.3.3: {0}")]
    Signature(SignatureError),
    /// The statement is another account's.
    #[error("§11.5.1: the manifest is of another account")]
    Account,
    /// The statement certifies another generation: find the statement of this one.
    #[error("§11.5.2: the manifest is of generation {found}, the statement of another")]
    Generation {
        /// The manifest's generation.
        found: u32,
    },
    /// It ends before it begins, or is valid for too long.
    #[error("§11.5.3: the dates {} to {} are not possible", issued.0, expires.0)]
    Dates {
        /// When it says it was issued.
        issued: Timestamp,
        /// When it says it ends.
        expires: Timestamp,
    },
    /// Issued in the future: our clock is slow or the signer's is fast. Try again later.
    #[error("§11.5.4: issued in the future, at {}", issued.0)]
    NotYet {
        /// When it says it was issued.
        issued: Timestamp,
    },
    /// The first content of a generation does not name the statement.
    #[error("§11.5.8: the chain begins with another statement")]
    Beginning,
    /// The content says something that no content may.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// A device did not sign that it belongs to this account: somebody listed it who may not.
    #[error("§11.5.12: device {device} did not counter-sign")]
    CounterSignature {
        /// Which device.
        device: DeviceId,
    },
    /// A device's signing key is the root key.
    #[error("§11.5.11: device {device} signs with the root key")]
    RootAsDevice {
        /// Which device.
        device: DeviceId,
    },
}

const FORMAT: u32 = 1;
const MAX_BODY: usize = 16_384;
