//! What a chain is made of: one manifest's content. Implements spec/11-identity.md §11.5.7 to §11.5.11.
use alloc::vec::Vec;

use thiserror::Error;

use super::{ContentHash, Device, DeviceError};
use crate::{
    address::{AddressError, ServerAddress},
    canonical::{self, CanonicalError, Mode},
    id::{AccountId, DeviceId, Generation, Sequence},
    proto,
};

/// Account, place in the chain, servers and devices. Parsed, and as good as the manifest it stands in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Content {
    pub(super) account: AccountId,
    pub(super) generation: Generation,
    pub(super) sequence: Sequence,
    pub(super) previous: ContentHash,
    pub(super) last_device: Option<DeviceId>,
    pub(super) key_servers: Vec<ServerAddress>,
    /// Ascending by id; empty if and only if the content is final.
    pub(super) devices: Vec<Device>,
    pub(super) is_final: bool,
}

impl Content {
    /// Whose devices these are.
    #[must_use]
    pub fn account_id(&self) -> AccountId {
        self.account
    }

    /// The generation.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// The place in the generation's chain.
    #[must_use]
    pub fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// Hash of the content before it, or of the statement at sequence 0.
    #[must_use]
    pub fn previous(&self) -> ContentHash {
        self.previous
    }

    /// The highest device id ever given in this generation; none if none was.
    #[must_use]
    pub fn last_device(&self) -> Option<DeviceId> {
        self.last_device
    }

    /// Where the account's manifests and prekeys are kept: 1 to 4, none if final.
    #[must_use]
    pub fn key_servers(&self) -> &[ServerAddress] {
        &self.key_servers
    }

    /// The devices, ascending by id: 1 to 16, none if final.
    #[must_use]
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// Whether the account is deleted: nothing follows in this generation (spec §11.5.9).
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.is_final
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, ContentError> {
        let content: proto::identity::ManifestContent = canonical::decode(bytes, Mode::SignedBody)?;
        if content.format != FORMAT {
            return Err(ContentError::Format { found: content.format });
        }
        let last_device = match content.last_device {
            0 => None,
            id => Some(DeviceId::try_from(id).map_err(|_| ContentError::LastDevice)?),
        };
        let parsed = Self {
            account: AccountId::try_from(content.account.as_slice()).map_err(|_| ContentError::Hash)?,
            generation: Generation(content.generation),
            sequence: Sequence(content.sequence),
            previous: ContentHash::try_from(content.previous.as_slice()).map_err(|_| ContentError::Hash)?,
            last_device,
            key_servers: content.key_servers.iter().map(ServerAddress::parse).collect::<Result<_, _>>()?,
            devices: content.devices.iter().map(Device::parse).collect::<Result<_, _>>()?,
            is_final: content.r#final,
        };
        parsed.check_shape()?;
        parsed.check_devices()?;
        Ok(parsed)
    }

    pub(super) fn to_proto(&self) -> proto::identity::ManifestContent {
        proto::identity::ManifestContent {
            format: FORMAT,
            account: self.account.as_bytes().to_vec(),
            generation: self.generation.0,
            sequence: self.sequence.0,
            previous: self.previous.as_bytes().to_vec(),
            last_device: self.last_device.map_or(0, |id| u32::from(id.value())),
            key_servers: self.key_servers.iter().map(ServerAddress::to_proto).collect(),
            devices: self.devices.iter().map(Device::to_proto).collect(),
            r#final: self.is_final(),
        }
    }

    fn check_shape(&self) -> Result<(), ContentError> {
        if self.is_final {
            let bare = self.devices.is_empty() && self.key_servers.is_empty();
            return if bare { Ok(()) } else { Err(ContentError::Final) };
        }
        if self.key_servers.is_empty() {
            return Err(ContentError::NoKeyServer);
        }
        for (index, server) in self.key_servers.iter().enumerate() {
            if self.key_servers.iter().take(index).any(|other| other.key() == server.key()) {
                return Err(ContentError::SameServer);
            }
        }
        let alone = self.devices.len() == 1;
        if self.devices.is_empty() || (self.sequence == Sequence(0) && !alone) {
            return Err(ContentError::DeviceCount { found: self.devices.len() });
        }
        Ok(())
    }

    fn check_devices(&self) -> Result<(), ContentError> {
        let mut before = None;
        for (index, device) in self.devices.iter().enumerate() {
            let id = device.id();
            if before >= Some(id) {
                return Err(ContentError::DeviceOrder { device: id });
            }
            before = Some(id);
            if device.joined() > self.sequence {
                return Err(ContentError::Joined { device: id });
            }
            if self.devices.iter().take(index).any(|other| other.keys().share_a_key_with(device.keys())) {
                return Err(ContentError::SharedKey { device: id });
            }
        }
        if before > self.last_device { Err(ContentError::LastDevice) } else { Ok(()) }
    }
}

/// Why a content cannot be one (spec §11.5). Safe to log.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum ContentError {
    /// The bytes break the encoding.
    #[error(transparent)]
    Encoding(#[from] CanonicalError),
    /// Made by a newer version: update.
    #[error("§11.3.2: content format {found} is not known")]
    Format {
        /// The format number found.
        found: u32,
    },
    /// An account id or a hash has the wrong size.
    #[error("§11.5.7: an id or hash has the wrong size")]
    Hash,
    /// Nobody could look the account up.
    #[error("§11.5.7: no key server")]
    NoKeyServer,
    /// Two key servers have one key.
    #[error("§11.5.7: two key servers with one key")]
    SameServer,
    /// A key server's address is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A generation begins with one device, and every content that is not final has one.
    #[error("§11.5.8: {found} devices here")]
    DeviceCount {
        /// How many.
        found: usize,
    },
    /// Final and yet with servers or devices.
    #[error("§11.5.9: a final content has no servers and no devices")]
    Final,
    /// Device ids do not ascend.
    #[error("§11.5.10: device {device} is out of order")]
    DeviceOrder {
        /// Which device.
        device: DeviceId,
    },
    /// A device joined later than now.
    #[error("§11.5.10: device {device} joins in the future")]
    Joined {
        /// Which device.
        device: DeviceId,
    },
    /// A device's id is above the highest ever given.
    #[error("§11.5.10: the highest device id is wrong")]
    LastDevice,
    /// Two devices share a key, or one has one key twice.
    #[error("§11.5.11: device {device} shares a key")]
    SharedKey {
        /// Which device.
        device: DeviceId,
    },
    /// A device's entry is none.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

const FORMAT: u32 = 1;
