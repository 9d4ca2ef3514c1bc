//! A copy of a running relay's data folder. Implements spec/17-relay.md §17.24.
//!
//! ```text
//! DIR.part (0700) ◀── server.key, store (one moment of it) ──▶ fsync ──▶ renamed to DIR
//! ```
//! Invariants: a folder of the name that was asked for is whole, or not there; what was accepted before the verb is in it.
use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use crate::store::{SqliteStore, Unavailable};

/// Writes a copy of `store`, and of the key and the store's place as they stand in a data folder, to `target`: a relay can be started
/// with it as its data folder.
///
/// # Errors
/// [`BackupError`]; then there is no `target`.
pub async fn write(store: &SqliteStore, key: PathBuf, target: &Path) -> Result<(), BackupError> {
    if !target.is_absolute() {
        return Err(BackupError::Relative);
    }
    if fs::symlink_metadata(target).is_ok() {
        return Err(BackupError::Exists);
    }
    let part = Part::make(target)?;
    let folder = part.0.join(STORE);
    private(&folder)?;
    store.copy_to(&folder).await?;
    let target = target.to_owned();
    // Minutes of a disk's time must not be a worker's.
    let sealing = tokio::task::spawn_blocking(move || seal(part, &folder, &key, &target));
    Ok(sealing.await.map_err(io::Error::other)??)
}

/// A folder on its way; not kept, it is removed.
struct Part(PathBuf);

impl Part {
    fn make(target: &Path) -> Result<Self, BackupError> {
        let mut name = target.file_name().ok_or(BackupError::Relative)?.to_owned();
        name.push(".part");
        let path = target.with_file_name(name);
        match private(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(BackupError::Part),
            other => Ok(other.map(|()| Self(path))?),
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Renamed: there is none. Otherwise the next one says that it is in the way.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(folder)
}

/// The key, and everything onto stable storage; then the name.
#[allow(clippy::needless_pass_by_value, reason = "the folder goes with the part that is dropped")]
fn seal(part: Part, store: &Path, key: &Path, target: &Path) -> io::Result<()> {
    let Part(folder) = &part;
    let copy = folder.join(KEY);
    // Takes the mode of the original with it: 0600.
    fs::copy(key, &copy)?;
    File::open(copy)?.sync_all()?;
    for entry in fs::read_dir(store)? {
        File::open(entry?.path())?.sync_all()?;
    }
    for made in [store, folder] {
        File::open(made)?.sync_all()?;
    }
    fs::rename(folder, target)?;
    target.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Not a whole path.
    #[error("a backup's folder is named by its whole path, from /")]
    Relative,
    /// Nothing is written over.
    #[error("there is something of that name already; a backup makes its own folder")]
    Exists,
    /// Another backup, or one that was cut off.
    #[error(
        "there is a folder of that name with .part: another backup is being made, or one was cut off and can be removed"
    )]
    Part,
    /// The store.
    #[error(transparent)]
    Store(#[from] Unavailable),
    /// The disk.
    #[error("the backup cannot be written: {0}")]
    Disk(#[from] io::Error),
}

/// The names in a data folder.
pub(crate) const KEY: &str = "server.key";
pub(crate) const STORE: &str = "store";
