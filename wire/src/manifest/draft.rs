//! Making the next content. Implements spec/11-identity.md §11.5.8 to §11.5.10 from the signer's side.
//!
//! Invariants: a draft starts at a verified place (a statement or a manifest) and what it signs is parsed like anybody's, so
//! that a primary cannot sign what a verifier would refuse.
use alloc::vec::Vec;

use prost::Message as _;
use thiserror::Error;

use super::{Capabilities, Content, Device, MAX_DEVICES, Manifest, ManifestError, ManifestIn, Place};
use crate::{
    address::ServerAddress,
    id::{DeviceId, Sequence},
    keys::RootKey,
    statement::GenerationStatement,
    time::Timestamp,
};

/// A content that is being made: the first of a generation, or the successor of a manifest.
#[derive(Clone, Debug)]
pub struct Draft(Content);

impl Draft {
    /// The first content of the statement's generation, without devices yet.
    #[must_use]
    pub fn first(statement: &GenerationStatement, key_servers: &[ServerAddress]) -> Self {
        Self(Content {
            account: statement.account_id(),
            generation: statement.generation(),
            sequence: Sequence(0),
            previous: statement.hash(),
            last_device: None,
            key_servers: key_servers.to_vec(),
            devices: Vec::new(),
            is_final: false,
        })
    }

    /// The successor of `manifest`, for now with the same servers and devices.
    ///
    /// # Errors
    /// [`DraftError::Final`] if the account is deleted, [`DraftError::Exhausted`] after 2^32 contents.
    pub fn after(manifest: &Manifest) -> Result<Self, DraftError> {
        let content = manifest.content();
        if content.is_final() {
            return Err(DraftError::Final);
        }
        let sequence = content.sequence.next().ok_or(DraftError::Exhausted)?;
        Ok(Self(Content { sequence, previous: manifest.content_hash(), ..content.clone() }))
    }

    /// Where the next device joins: what its counter-signature must name.
    ///
    /// # Errors
    /// [`DraftError::Exhausted`] if the generation has given all ids, [`DraftError::Full`] if 16 devices are listed.
    pub fn place(&self) -> Result<Place, DraftError> {
        if self.0.devices.len() >= MAX_DEVICES {
            return Err(DraftError::Full);
        }
        let id = self.0.last_device.map_or(Some(DeviceId::MIN), DeviceId::next).ok_or(DraftError::Exhausted)?;
        let Content { account, generation, sequence: joined, .. } = self.0;
        Ok(Place { account, generation, joined, id })
    }

    /// Lists `device`, which counter-signed for [`Self::place`].
    ///
    /// # Errors
    /// [`DraftError::Place`] if it joins elsewhere or its counter-signature does not verify.
    pub fn add(&mut self, device: Device) -> Result<(), DraftError> {
        let Place { account, generation, joined, id } = self.place()?;
        if (device.joined(), device.id()) != (joined, id) {
            return Err(DraftError::Place);
        }
        device.verify_counter_signature(account, generation).map_err(|_| DraftError::Place)?;
        self.0.last_device = Some(id);
        self.0.devices.push(device);
        Ok(())
    }

    /// Takes the device off the list; its id is never given again.
    ///
    /// # Errors
    /// [`DraftError::Unknown`] if it is not listed.
    pub fn remove(&mut self, id: DeviceId) -> Result<(), DraftError> {
        let before = self.0.devices.len();
        self.0.devices.retain(|device| device.id() != id);
        if self.0.devices.len() == before { Err(DraftError::Unknown) } else { Ok(()) }
    }

    /// Says what a listed device can do; nothing it could do before may be missing.
    ///
    /// # Errors
    /// [`DraftError::Unknown`] if it is not listed, [`DraftError::Capabilities`] if one would vanish.
    pub fn set_capabilities(&mut self, id: DeviceId, capabilities: Capabilities) -> Result<(), DraftError> {
        let device = self.0.devices.iter_mut().find(|device| device.id() == id).ok_or(DraftError::Unknown)?;
        if !capabilities.include(&device.capabilities) {
            return Err(DraftError::Capabilities);
        }
        device.capabilities = capabilities;
        Ok(())
    }

    /// Says where the account is kept from now on.
    pub fn set_key_servers(&mut self, key_servers: &[ServerAddress]) {
        self.0.key_servers = key_servers.to_vec();
    }

    /// Makes it final: the account is deleted (spec §11.5.9).
    pub fn delete(&mut self) {
        self.0.devices.clear();
        self.0.key_servers.clear();
        self.0.is_final = true;
    }

    /// Signs the manifest, valid for 60 days from `issued`.
    ///
    /// # Errors
    /// The rule that the draft breaks.
    pub fn sign(&self, root: &RootKey, issued: Timestamp) -> Result<ManifestIn, ManifestError> {
        ManifestIn::sign(root, self.0.to_proto().encode_to_vec(), issued)
    }
}

/// Why a draft cannot be changed that way. Safe to log.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum DraftError {
    /// Nothing follows a final content; a new generation may.
    #[error("§11.5.9: the account is deleted")]
    Final,
    /// All ids or sequences of this generation are used: begin the next one.
    #[error("§11.5.10: the generation has no number left")]
    Exhausted,
    /// 16 devices are listed: remove one first.
    #[error("§11.5.10: 16 devices are listed already")]
    Full,
    /// The device counter-signed for another place: ask it again.
    #[error("§11.5.12: the device joins elsewhere")]
    Place,
    /// No such device is listed.
    #[error("§11.5.10: no such device is listed")]
    Unknown,
    /// A capability would vanish.
    #[error("§11.5.13: a capability would vanish")]
    Capabilities,
}
