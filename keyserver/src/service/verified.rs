//! Manifests whose signatures were checked. Implements the reading side of spec/19-keyserver.md §19.5.
//!
//! Invariants: whether bytes verify is a function of the bytes alone, so this may be lost, full or out of date without anybody
//! noticing anything but time. What the store gives is verified like anything else, once.
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use sha2::{Digest, Sha256};
use waxwing_wire::{id::AccountId, keyserver::AccountObjects, manifest::Manifest, time::Timestamp};

use crate::store::Unavailable;

/// The manifests used last.
#[derive(Debug, Default)]
pub(super) struct VerifiedManifests {
    halves: Mutex<Halves>,
}

#[derive(Debug, Default)]
struct Halves {
    young: HashMap<[u8; 32], Arc<Manifest>>,
    old: HashMap<[u8; 32], Arc<Manifest>>,
}

impl VerifiedManifests {
    /// The manifest of an account's stored objects.
    ///
    /// # Errors
    /// [`Unavailable`]: what the store holds does not verify. It is damaged; `verify` says where.
    pub(super) fn manifest(&self, account: &AccountId, objects: &AccountObjects) -> Result<Arc<Manifest>, Unavailable> {
        let key: [u8; 32] = Sha256::new()
            .chain_update(account.as_bytes())
            .chain_update(Sha256::digest(&objects.statement))
            .chain_update(&objects.manifest)
            .finalize()
            .into();
        if let Some(manifest) = self.halves.lock().unwrap_or_else(PoisonError::into_inner).find(&key) {
            return Ok(manifest);
        }
        // It was not from the future when it came; a clock that went back since does not undo that.
        let Ok(verified) = objects.verify(account, Timestamp(u64::MAX)) else {
            tracing::error!("a stored manifest does not verify");
            return Err(Unavailable);
        };
        let manifest = Arc::new(verified.manifest);
        self.halves.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&manifest));
        Ok(manifest)
    }
}

impl Halves {
    fn find(&mut self, key: &[u8; 32]) -> Option<Arc<Manifest>> {
        if let Some(manifest) = self.young.get(key) {
            return Some(Arc::clone(manifest));
        }
        let manifest = self.old.remove(key)?;
        self.insert(*key, Arc::clone(&manifest));
        Some(manifest)
    }

    fn insert(&mut self, key: [u8; 32], manifest: Arc<Manifest>) {
        if self.young.len() >= HALF {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, manifest);
    }
}

/// A parsed manifest takes one to twenty KiB.
const HALF: usize = 2_048;
