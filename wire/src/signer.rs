//! Who signed, for objects that a device signs. Implements spec/11-identity.md §11.3.4 to §11.3.6.
//!
//! Invariants: the key that verifies always comes from a verified manifest of the account and generation that the object
//! names; an object never brings its own key.
use thiserror::Error;

use crate::{
    id::{AccountId, DeviceId, Generation},
    keys::DevicePublicKey,
    manifest::Manifest,
};

/// A device of an account in a generation: what every object that a device signs begins with.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Signer {
    /// The account.
    pub account: AccountId,
    /// The generation the device is listed in.
    pub generation: Generation,
    /// The device.
    pub device: DeviceId,
}

/// Why the manifest has no key for an object. Safe to log.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum SignerError {
    /// The object or the manifest is another account's.
    #[error("§11.3.4: signed for another account")]
    Account,
    /// The object is of another generation than the manifest: one of them is old.
    #[error("§11.3.5: signed in another generation")]
    Generation,
    /// The manifest does not list the device: it was removed, or never was there.
    #[error("§11.3.6: device {device} is not listed")]
    Device {
        /// Which device.
        device: DeviceId,
    },
    /// An id has the wrong size or range.
    #[error("§11.3.6: the signer is not possible")]
    Malformed,
}

impl Signer {
    pub(crate) fn parse(account: &[u8], generation: u32, device: u32) -> Result<Self, SignerError> {
        Ok(Self {
            account: AccountId::try_from(account).map_err(|_| SignerError::Malformed)?,
            generation: Generation(generation),
            device: DeviceId::try_from(device).map_err(|_| SignerError::Malformed)?,
        })
    }

    pub(crate) fn key<'m>(&self, manifest: &'m Manifest) -> Result<&'m DevicePublicKey, SignerError> {
        let content = manifest.content();
        if content.account_id() != self.account {
            return Err(SignerError::Account);
        }
        if content.generation() != self.generation {
            return Err(SignerError::Generation);
        }
        let device = manifest.device(self.device).ok_or(SignerError::Device { device: self.device })?;
        Ok(&device.keys().signing)
    }
}
