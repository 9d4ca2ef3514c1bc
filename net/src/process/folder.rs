//! A server's data folder and its lock.
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use thiserror::Error;

/// A data folder that is this process's, alone or shared, until it is dropped.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    _lock: File,
}

impl DataFolder {
    /// Makes the folder if it is not there (0700), and locks it.
    ///
    /// # Errors
    /// [`FolderError`]: whose turn it is to do something.
    pub fn open(path: &Path, sharing: Sharing) -> Result<Self, FolderError> {
        let failed = |error| FolderError::Failed { path: path.to_owned(), error };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let found = fs::metadata(path).map_err(failed)?;
        if found.mode() & 0o077 != 0 {
            // It was made by hand; who may write to it cannot be trusted less than before.
            fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        }
        let mut options = OpenOptions::new();
        let lock = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join(LOCK))
            .map_err(failed)?;
        let locked = match sharing {
            Sharing::Alone => lock.try_lock(),
            Sharing::Shared => lock.try_lock_shared(),
        };
        match locked {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(FolderError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// A file in it.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// Whether several processes may serve one folder: all of them say so, or there is one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sharing {
    /// This process alone.
    Alone,
    /// With others that say the same.
    Shared,
}

/// Why the data folder is not this process's.
#[derive(Debug, Error)]
pub enum FolderError {
    /// Another process has it.
    #[error("{path} is in use by another process; stop that one, or give this one another --data")]
    Locked {
        /// Which.
        path: PathBuf,
    },
    /// The system says no.
    #[error("cannot use {path} as data folder: {error}")]
    Failed {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

const LOCK: &str = "lock";
