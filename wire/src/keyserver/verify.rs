//! What a client checks before it believes a key server. Implements spec/15-keyserver-messages.md §15.6.
//!
//! ```text
//! account id ──hash──▶ recovery key ──▶ statement ──▶ manifest ──▶ prekeys of its devices, each in its place
//! ```
//! Invariants: nothing verified here was taken on the server's word; a prekey of another account, generation, device or kind
//! than the place it stands in is an error, never skipped.
//! Not here: whether a manifest is the newest ([`crate::history`]), Signal's own signatures (the protocol crate).
use alloc::vec::Vec;

use thiserror::Error;

use super::{AccountObjects, Bundle, Bundles, History};
use crate::{
    id::{AccountId, DeviceId},
    keys::RecoveryPublicKey,
    manifest::{Manifest, ManifestError, ManifestIn, Validity},
    prekey::{Prekey, PrekeyError, PrekeyIn, PrekeyKind},
    signature::SignatureError,
    statement::{GenerationStatement, GenerationStatementIn, StatementError},
    time::Timestamp,
};

/// An account's objects, verified from the account id down.
#[derive(Clone, Debug)]
pub struct VerifiedAccount {
    /// What the account id is the hash of.
    pub recovery_key: RecoveryPublicKey,
    /// Of the manifest's generation.
    pub statement: GenerationStatement,
    /// Genuine; whether it is the newest, [`crate::history`] and the account's messages tell.
    pub manifest: Manifest,
}

impl AccountObjects {
    /// Verifies everything from the account id down (spec §15.6.1).
    ///
    /// # Errors
    /// What is not genuine; only [`ManifestError::NotYet`] may pass later.
    pub fn verify(&self, account: &AccountId, now: Timestamp) -> Result<VerifiedAccount, AccountError> {
        let recovery_key = RecoveryPublicKey::from_bytes(&self.recovery_key).map_err(AccountError::Key)?;
        if recovery_key.account_id() != *account {
            return Err(AccountError::Account);
        }
        let statement = GenerationStatementIn::decode(&self.statement)?.verify(&recovery_key)?;
        let manifest = ManifestIn::decode(&self.manifest)?.verify(&statement, now)?;
        Ok(VerifiedAccount { recovery_key, statement, manifest })
    }
}

impl History {
    /// Verifies a page: each manifest under the statement of its generation, which must be on the page (spec §15.6.2).
    ///
    /// # Errors
    /// What is not genuine, or not in order.
    pub fn verify(&self, recovery_key: &RecoveryPublicKey, now: Timestamp) -> Result<Vec<Manifest>, AccountError> {
        let statements = self.statements.iter().map(|statement| {
            GenerationStatementIn::decode(statement)?.verify(recovery_key).map_err(AccountError::from)
        });
        let statements: Vec<_> = statements.collect::<Result<_, _>>()?;
        let mut manifests: Vec<Manifest> = Vec::with_capacity(self.manifests.len());
        for bytes in &self.manifests {
            let manifest = ManifestIn::decode(bytes)?;
            let statement = statements.iter().find(|statement| statement.generation() == manifest.generation());
            let manifest = manifest.verify(statement.ok_or(AccountError::NoStatement)?, now)?;
            let place = |manifest: &Manifest| (manifest.content().generation(), manifest.content().sequence());
            if manifests.last().is_some_and(|before| place(before) >= place(&manifest)) {
                return Err(AccountError::Order);
            }
            manifests.push(manifest);
        }
        Ok(manifests)
    }
}

/// Bundles whose every prekey is vouched for by the device it is handed out for.
#[derive(Clone, Debug)]
pub struct VerifiedBundles {
    /// Whose.
    pub account: VerifiedAccount,
    /// Ascending by device, each once.
    pub bundles: Vec<VerifiedBundle>,
}

/// One device's bundle. The protocol crate verifies Signal's signatures in it before it computes with them.
#[derive(Clone, Debug)]
pub struct VerifiedBundle {
    /// Which device.
    pub device: DeviceId,
    /// The signed X25519 prekey.
    pub signed: Prekey,
    /// The one-time X25519 prekey, if there is one.
    pub one_time: Option<Prekey>,
    /// The Kyber prekey; its kind says whether it is the last resort.
    pub kyber: Prekey,
}

impl Bundles {
    /// Verifies account, manifest and every prekey in its place (spec §15.6.3). `asked` are the devices that were asked for,
    /// none for all.
    ///
    /// # Errors
    /// [`BundlesError`]: nothing of the answer may be used. The server, or somebody behind it, altered it.
    pub fn verify(
        &self,
        account: &AccountId,
        asked: &[DeviceId],
        now: Timestamp,
    ) -> Result<VerifiedBundles, BundlesError> {
        let account = self.account.verify(account, now)?;
        if account.manifest.validity(now) == Validity::Expired {
            return Err(BundlesError::Expired);
        }
        let mut bundles: Vec<VerifiedBundle> = Vec::with_capacity(self.bundles.len());
        for bundle in &self.bundles {
            let device = bundle.device;
            let unasked = !asked.is_empty() && !asked.contains(&device);
            if unasked || bundles.last().is_some_and(|before| before.device >= device) {
                return Err(BundlesError::Device { device });
            }
            bundles.push(bundle.verify(&account.manifest)?);
        }
        Ok(VerifiedBundles { account, bundles })
    }
}

impl Bundle {
    fn verify(&self, manifest: &Manifest) -> Result<VerifiedBundle, BundlesError> {
        let Self { device, signed, one_time, kyber, last_resort } = self;
        let kyber_kind = if *last_resort { PrekeyKind::LastResortKyber1024 } else { PrekeyKind::OneTimeKyber1024 };
        let verify = |bytes: &[u8], kind| {
            let prekey = PrekeyIn::decode(bytes).and_then(|prekey| prekey.verify(manifest));
            let prekey = prekey.map_err(|error| BundlesError::Prekey { device: *device, error })?;
            let in_place = prekey.signer().device == *device && prekey.facts().kind == kind;
            if in_place { Ok(prekey) } else { Err(BundlesError::Place { device: *device }) }
        };
        let one_time = one_time.as_deref().map(|bytes| verify(bytes, PrekeyKind::OneTimeX25519)).transpose()?;
        Ok(VerifiedBundle {
            device: *device,
            signed: verify(signed, PrekeyKind::SignedX25519)?,
            one_time,
            kyber: verify(kyber, kyber_kind)?,
        })
    }
}

/// Why an account's objects are not believed (spec §15.6). Safe to log.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum AccountError {
    /// The recovery key is no key.
    #[error(transparent)]
    Key(SignatureError),
    /// The recovery key is not what the account id commits to: another account's objects.
    #[error("§15.6.1: the objects are of another account")]
    Account,
    /// The statement is not genuine.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// The manifest is not genuine, or not yet.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A manifest on a page without the statement of its generation.
    #[error("§15.6.2: a manifest without the statement of its generation")]
    NoStatement,
    /// A page is not ascending by generation and sequence.
    #[error("§15.6.2: a history out of order")]
    Order,
}

/// Why bundles are not used (spec §15.6.3). Safe to log.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum BundlesError {
    /// The account's objects are not believed.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// No session begins under an expired manifest (§11.5.5): the server withholds the newer one, or nobody renewed it.
    #[error("§15.6.3: the manifest is expired")]
    Expired,
    /// A bundle for a device that was not asked for, or twice, or out of order.
    #[error("§15.6.3: a bundle for device {device} that was not asked for or stands twice")]
    Device {
        /// Which device.
        device: DeviceId,
    },
    /// A prekey that the device of the manifest does not vouch for: substituted.
    #[error("§15.6.3: device {device}: {error}")]
    Prekey {
        /// For which device it was handed out.
        device: DeviceId,
        /// What is wrong with it.
        error: PrekeyError,
    },
    /// A genuine prekey in the place of another: of a sibling device, or of another kind than its place or the flag says.
    #[error("§15.6.3: device {device}: a prekey stands in another's place")]
    Place {
        /// For which device it was handed out.
        device: DeviceId,
    },
}
