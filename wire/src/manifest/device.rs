//! One device's entry. Implements spec/11-identity.md §11.5.10 to §11.5.13.
//!
//! Invariants: the counter-signature covers account, generation, id, joining sequence, registration and all keys, so that
//! nobody can list a device elsewhere or as something else. Capabilities are the root's word, because they change.
use alloc::vec::Vec;

use thiserror::Error;

use crate::{
    id::{AccountId, DeviceId, Generation, Sequence},
    keys::{CertificatePublicKey, DeviceKey, DevicePublicKey, IdentityPublicKey},
    label, proto,
    signature::{Signature, SignatureError},
};

/// A device's own keys. Signal's are carried, not used, by this crate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DeviceKeys {
    /// Its Signal identity.
    pub identity: IdentityPublicKey,
    /// What verifies everything else it signs.
    pub signing: DevicePublicKey,
    /// Signs its sealed-sender certificates.
    pub certificate: CertificatePublicKey,
    /// Signal's registration id.
    pub registration: RegistrationId,
}

impl DeviceKeys {
    pub(super) fn share_a_key_with(&self, other: &Self) -> bool {
        self.bytes().iter().any(|key| other.bytes().contains(key))
    }

    fn bytes(&self) -> [&[u8; 32]; 3] {
        [self.identity.as_bytes(), self.signing.as_bytes(), self.certificate.as_bytes()]
    }
}

/// Signal's registration id, 1 to 16,383: chosen at random by each device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RegistrationId(u16);

impl RegistrationId {
    /// The number.
    #[must_use]
    pub const fn value(self) -> u16 {
        self.0
    }
}

impl TryFrom<u32> for RegistrationId {
    type Error = DeviceError;

    fn try_from(value: u32) -> Result<Self, DeviceError> {
        match u16::try_from(value) {
            Ok(value @ 1..=0x3fff) => Ok(Self(value)),
            _ => Err(DeviceError::Registration),
        }
    }
}

/// What a device can do: suites for new sessions and content versions (spec §11.5.13). Ascending, 1 to 8 of each.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Capabilities {
    suites: Vec<u16>,
    contents: Vec<u16>,
}

impl Capabilities {
    /// Takes suites and content versions in ascending order.
    ///
    /// # Errors
    /// If one list is empty, longer than 8, or does not ascend.
    pub fn new(suites: &[u16], contents: &[u16]) -> Result<Self, CapabilitiesError> {
        for list in [suites, contents] {
            if list.is_empty() || list.len() > 8 || !list.is_sorted_by(|one, next| one < next) || list.contains(&0) {
                return Err(CapabilitiesError);
            }
        }
        Ok(Self { suites: suites.to_vec(), contents: contents.to_vec() })
    }

    /// The suites, ascending.
    #[must_use]
    pub fn suites(&self) -> &[u16] {
        &self.suites
    }

    /// The content versions, ascending.
    #[must_use]
    pub fn contents(&self) -> &[u16] {
        &self.contents
    }

    /// Whether everything that `earlier` could do is still here.
    #[must_use]
    pub fn include(&self, earlier: &Self) -> bool {
        earlier.suites.iter().all(|suite| self.suites.contains(suite))
            && earlier.contents.iter().all(|version| self.contents.contains(version))
    }
}

/// Lists of capabilities are not empty, ascend, and have at most 8 entries from 1.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("§11.5.13: capabilities are not an ascending list of 1 to 8 numbers from 1")]
pub struct CapabilitiesError;

/// Where a device joins: what its counter-signature names besides its keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Place {
    /// The account.
    pub account: AccountId,
    /// The generation.
    pub generation: Generation,
    /// The sequence of the first content that lists it.
    pub joined: Sequence,
    /// Its id.
    pub id: DeviceId,
}

/// One device as its account lists it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Device {
    id: DeviceId,
    joined: Sequence,
    keys: DeviceKeys,
    pub(super) capabilities: Capabilities,
    counter_signature: Signature,
}

impl Device {
    /// What a device hands to its primary to be listed: its keys and its word that it joins this account, at this sequence.
    #[must_use]
    pub fn joining(key: &DeviceKey, place: Place, keys: DeviceKeys, capabilities: Capabilities) -> Self {
        let Place { id, joined, .. } = place;
        let body = counter_signed(place, &keys);
        Self { id, joined, keys, capabilities, counter_signature: key.0.sign(label::DEVICE, &body) }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> DeviceId {
        self.id
    }

    /// The sequence of the first content that lists it.
    #[must_use]
    pub fn joined(&self) -> Sequence {
        self.joined
    }

    /// Its keys.
    #[must_use]
    pub fn keys(&self) -> &DeviceKeys {
        &self.keys
    }

    /// What it can do.
    #[must_use]
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    pub(super) fn verify_counter_signature(
        &self,
        account: AccountId,
        generation: Generation,
    ) -> Result<(), SignatureError> {
        let body = counter_signed(Place { account, generation, joined: self.joined, id: self.id }, &self.keys);
        self.keys.signing.0.verify(label::DEVICE, &body, &self.counter_signature)
    }

    /// Whether this is the same device, capabilities apart.
    pub(crate) fn is(&self, other: &Self) -> bool {
        (self.id, self.joined, &self.keys) == (other.id, other.joined, &other.keys)
    }

    pub(super) fn parse(device: &proto::identity::Device) -> Result<Self, DeviceError> {
        let proto::identity::Device {
            id,
            joined,
            registration,
            identity,
            signing,
            certificate,
            suites,
            contents,
            counter_signature,
        } = device;
        let id = DeviceId::try_from(*id).map_err(|_| DeviceError::Id)?;
        let keys = DeviceKeys {
            identity: IdentityPublicKey::from_bytes(identity).map_err(|_| DeviceError::Key { device: id })?,
            signing: DevicePublicKey::from_bytes(signing).map_err(|_| DeviceError::Key { device: id })?,
            certificate: CertificatePublicKey::from_bytes(certificate).map_err(|_| DeviceError::Key { device: id })?,
            registration: RegistrationId::try_from(*registration)?,
        };
        let [identity, signing, certificate] = keys.bytes();
        if identity == certificate || identity == signing || certificate == signing {
            return Err(DeviceError::Key { device: id });
        }
        let capabilities = Capabilities::new(&shorts(suites)?, &shorts(contents)?)?;
        let counter_signature = <[u8; 64]>::try_from(counter_signature.as_slice()).map_err(|_| DeviceError::Id)?;
        let counter_signature = Signature::from_bytes(counter_signature);
        Ok(Self { id, joined: Sequence(*joined), keys, capabilities, counter_signature })
    }

    pub(super) fn to_proto(&self) -> proto::identity::Device {
        let Self { id, joined, keys, capabilities, counter_signature } = self;
        proto::identity::Device {
            id: u32::from(id.value()),
            joined: joined.0,
            registration: u32::from(keys.registration.0),
            identity: keys.identity.as_bytes().to_vec(),
            signing: keys.signing.as_bytes().to_vec(),
            certificate: keys.certificate.as_bytes().to_vec(),
            suites: capabilities.suites.iter().copied().map(u32::from).collect(),
            contents: capabilities.contents.iter().copied().map(u32::from).collect(),
            counter_signature: counter_signature.as_bytes().to_vec(),
        }
    }
}

/// Why a device's entry is none (spec §11.5). Safe to log.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum DeviceError {
    /// The id is not 1 to 127.
    #[error("§11.5.10: a device id is out of range")]
    Id,
    /// The registration id is not 1 to 16,383.
    #[error("§11.5.10: a registration id is out of range")]
    Registration,
    /// A key is not usable, or one key stands for two purposes.
    #[error("§11.5.11: a key of device {device} is not usable")]
    Key {
        /// Which device.
        device: DeviceId,
    },
    /// A list of capabilities breaks its rule.
    #[error(transparent)]
    Capabilities(#[from] CapabilitiesError),
}

/// The fixed layout that the counter-signature covers (spec §11.5.12). 142 bytes.
fn counter_signed(place: Place, keys: &DeviceKeys) -> Vec<u8> {
    let Place { account, generation, joined, id } = place;
    let mut body = Vec::with_capacity(142);
    body.push(1);
    body.extend_from_slice(account.as_bytes());
    body.extend_from_slice(&generation.0.to_be_bytes());
    body.push(id.value());
    body.extend_from_slice(&joined.0.to_be_bytes());
    body.extend_from_slice(&u32::from(keys.registration.0).to_be_bytes());
    body.extend_from_slice(keys.identity.as_bytes());
    body.extend_from_slice(keys.signing.as_bytes());
    body.extend_from_slice(keys.certificate.as_bytes());
    body
}

fn shorts(numbers: &[u32]) -> Result<Vec<u16>, CapabilitiesError> {
    numbers.iter().map(|number| u16::try_from(*number).map_err(|_| CapabilitiesError)).collect()
}
