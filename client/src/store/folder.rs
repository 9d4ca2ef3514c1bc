//! A profile's folder. Implements spec/21-client-store.md §21.1.
//!
//! ```text
//! lock                     whoever has the profile open holds it
//! key                      the database's key
//! store.db (-wal, -shm)    the database
//! store.db.next            a whole database that is to take the other's place
//! store.db.before-N        the database as it was before it left layout N
//! store.db.damaged         what a repair could not read from
//! ```
//! Invariants: nobody but its owner reads a file of it; a file takes another's place whole or not at all.
use std::{
    fs::{self, DirBuilder, File, Permissions, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use super::{OpenError, Profile, threads::Threads};

/// A folder that this process holds alone, until it is dropped.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Where this machine notes how far profiles have come.
    pub(super) notes: Option<PathBuf>,
    _lock: Lock,
    /// Of its connections.
    pub(super) threads: Threads,
}

/// Given back when it is dropped, and not only when the file is closed everywhere: a child that is being begun has it until it runs its program.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // What fails ends with the file, if nobody else has it.
        let _ = self.0.unlock();
    }
}

impl Folder {
    /// Makes it, if it is not there.
    pub(super) fn make(profile: &Profile) -> Result<Self, OpenError> {
        use std::os::unix::fs::DirBuilderExt as _;
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&profile.folder)?;
        Self::hold(profile)
    }

    /// Takes the lock of a folder that has a key file; without one nothing is made there.
    pub(super) fn existing(profile: &Profile) -> Result<Self, OpenError> {
        match fs::metadata(profile.folder.join(KEY)) {
            Ok(file) if file.is_file() => Self::hold(profile),
            Ok(_) => Err(OpenError::NotAProfile),
            Err(error) if error.kind() == io::ErrorKind::NotFound || error.kind() == io::ErrorKind::NotADirectory => {
                Err(OpenError::NotAProfile)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn hold(profile: &Profile) -> Result<Self, OpenError> {
        // SQLite is told a path once and opens more files beside it later; a changed working folder shall not matter.
        let path = profile.folder.canonicalize()?;
        let lock = private().create(true).truncate(false).open(path.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, notes: profile.notes.clone(), _lock: Lock(lock), threads: Threads::new() }),
            Err(TryLockError::WouldBlock) => Err(OpenError::Locked),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// The path of a file in it.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Whether there is such a file.
    pub(super) fn has(&self, name: &str) -> bool {
        self.file(name).exists()
    }

    /// Puts `bytes` into the place of a file, on stable storage.
    pub(super) fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let fresh = self.file(&format!("{name}.new"));
        remove(&fresh)?;
        let mut file = private().create_new(true).open(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(fresh, self.file(name))?;
        self.sync()
    }

    /// Makes an empty file, in place of one that may be there.
    pub(super) fn empty(&self, name: &str) -> io::Result<()> {
        self.remove_database(name)?;
        private().create_new(true).open(self.file(name)).map(|_| ())
    }

    /// Copies a file to another name, whole or not at all.
    pub(super) fn copy(&self, from: &str, to: &str) -> io::Result<()> {
        let fresh = self.file(&format!("{to}.new"));
        remove(&fresh)?;
        let mut target = private().create_new(true).open(&fresh)?;
        io::copy(&mut File::open(self.file(from))?, &mut target)?;
        target.sync_all()?;
        fs::rename(fresh, self.file(to))?;
        self.sync()
    }

    /// Gives a database another name, with what belongs to it.
    pub(super) fn rename_database(&self, from: &str, to: &str) -> io::Result<()> {
        for suffix in ["-wal", "-shm", ""] {
            match fs::rename(self.file(&format!("{from}{suffix}")), self.file(&format!("{to}{suffix}"))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.sync()
    }

    /// Removes a database, if there is one, with what belongs to it.
    pub(super) fn remove_database(&self, name: &str) -> io::Result<()> {
        ["", "-wal", "-shm"].into_iter().try_for_each(|suffix| remove(&self.file(&format!("{name}{suffix}"))))
    }

    /// The layouts that copies were made before.
    pub(super) fn copies(&self) -> io::Result<Vec<i64>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let number: Option<i64> =
                name.to_str().and_then(|name| name.strip_prefix(DATABASE)?.strip_prefix(BEFORE)?.parse().ok());
            found.extend(number);
        }
        Ok(found)
    }

    /// Nobody but the owner reads it, whatever a copy tool or an unpacked archive left.
    pub(super) fn make_private(&self) -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&self.path, Permissions::from_mode(0o700))?;
        for name in [KEY, DATABASE] {
            fs::set_permissions(self.file(name), Permissions::from_mode(0o600))?;
        }
        Ok(())
    }

    /// Makes names that were given or removed last.
    pub(super) fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

/// The name of the copy made before a database left a layout.
pub(super) fn copy_name(layout: i64) -> String {
    format!("{DATABASE}{BEFORE}{layout}")
}

fn private() -> fs::OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = File::options();
    options.read(true).write(true).mode(0o600);
    options
}

fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

const LOCK: &str = "lock";
pub(super) const KEY: &str = "key";
pub(super) const DATABASE: &str = "store.db";
pub(super) const NEXT: &str = "store.db.next";
pub(super) const SALVAGE: &str = "store.db.salvage";
pub(super) const DAMAGED: &str = "store.db.damaged";
const BEFORE: &str = ".before-";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_was_dropped_is_free_though_a_child_has_its_file() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::make(&place.path().into()).unwrap();
        // As between `fork` and `exec`: another descriptor of the same open file.
        let childs = folder._lock.0.try_clone().unwrap();
        assert_eq!(Folder::make(&place.path().into()).err(), Some(OpenError::Locked));
        drop(folder);
        Folder::make(&place.path().into()).unwrap();
        drop(childs);
    }
}
