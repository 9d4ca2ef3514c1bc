//! The process around a server: its folder, its lock, its log, its signals. Implements spec/19-keyserver.md §19.13.
//!
//! Invariants: one process a folder, or only such as share it; nothing in the folder is readable by others; the log names no address, id or size at any
//! level, because nothing but our own crates writes to it and they do not.
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, IsTerminal as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use thiserror::Error;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};
use tracing_subscriber::EnvFilter;

use crate::config::Level;

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

/// Writes what our own crates say to stderr. What libraries would say names addresses and statements.
pub fn log(level: Level) {
    let level = level.name();
    let filter = EnvFilter::new(format!("off,waxwing_keyserver={level},waxwing_net={level}"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .finish();
    // A second one, in a test, keeps the first.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// SIGTERM and SIGINT: the first asks to stop, the second to stop now.
#[derive(Debug)]
pub struct Signals(watch::Receiver<u32>);

impl Signals {
    /// Listens from now on. From within a tokio runtime.
    ///
    /// # Errors
    /// If the system has no signals to give.
    pub fn listen() -> io::Result<Self> {
        let (term, int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let (sender, receiver) = watch::channel(0);
        tokio::spawn(count(term, int, sender));
        Ok(Self(receiver))
    }

    /// Resolves after the first signal.
    pub async fn stop(&self) {
        self.nth(1).await;
    }

    /// Resolves after the second.
    pub async fn now(&self) {
        self.nth(2).await;
    }

    async fn nth(&self, count: u32) {
        if self.0.clone().wait_for(|seen| *seen >= count).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

async fn count(mut term: Signal, mut int: Signal, seen: watch::Sender<u32>) {
    loop {
        let came = tokio::select! {
            came = term.recv() => came,
            came = int.recv() => came,
        };
        if came.is_none() {
            return;
        }
        seen.send_modify(|seen| *seen = seen.saturating_add(1));
    }
}

const LOCK: &str = "lock";
