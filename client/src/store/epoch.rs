//! How far a profile has come, in its database and noted outside of it. Implements spec/21-client-store.md §21.12 (B5).
//!
//! ```text
//! save: batch and saves + 1, one transaction ─▶ on stable storage ─▶ note ─▶ what the batch allows leaves
//! open: saves < note ─▶ put back: refused
//! ```
//! Invariant: the note is never ahead of what is on stable storage, so that no end of a process, and no power cut, makes a profile look
//! older than it is.
use std::{
    fs::{DirBuilder, File, TryLockError},
    io::{self, Read as _},
    os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _},
    path::Path,
};

use sqlx::SqliteConnection;

use super::{OpenError, StoreError, row, statements};

/// What a database says of itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Epoch {
    profile: [u8; 16],
    saves: u64,
}

impl Epoch {
    pub(super) async fn read(connection: &mut SqliteConnection) -> Result<Self, StoreError> {
        let (profile, saves): (Vec<u8>, i64) = sqlx::query_as(statements::EPOCH).fetch_one(connection).await?;
        Ok(Self { profile: profile.try_into().map_err(|_| StoreError::Damaged)?, saves: row::unsigned(saves) })
    }

    /// One more batch is being saved: its number.
    pub(super) async fn next(connection: &mut SqliteConnection) -> Result<u64, StoreError> {
        let saves: i64 = sqlx::query_scalar(statements::NEXT_EPOCH).fetch_one(connection).await?;
        Ok(row::unsigned(saves))
    }
}

/// The note of a profile that is open. Whoever has it holds its lock: a copy of the profile is not open beside it.
#[derive(Debug)]
pub(super) struct Note {
    file: File,
}

impl Drop for Note {
    fn drop(&mut self) {
        // As the folder's lock: a child that is being begun may have the file still.
        let _ = self.file.unlock();
    }
}

impl Note {
    /// Where notes will be.
    pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)
    }

    /// Looks whether the database is as new as the note says, and takes the note.
    pub(super) fn take(folder: &Path, epoch: &Epoch) -> Result<Self, OpenError> {
        Self::make_folder(folder)?;
        let path = folder.join(format!("{}.saves", hex::encode(epoch.profile)));
        let file = File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::Locked),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let note = Self { file };
        if note.read()?.is_some_and(|noted| noted > epoch.saves) {
            return Err(OpenError::PutBack);
        }
        note.write(epoch.saves)?;
        note.file.sync_all()?;
        File::open(folder)?.sync_all()?;
        Ok(note)
    }

    /// A batch with this number is on stable storage. The note itself is left to the system to store: after a power cut it may be behind, and
    /// then less is noticed. So is a note that cannot be written: what was saved is saved all the same.
    pub(super) fn follow(&self, saves: u64) {
        let _ = self.write(saves);
    }

    /// For the last time.
    pub(super) fn keep(self) {
        let _ = self.file.sync_all();
    }

    fn read(&self) -> io::Result<Option<u64>> {
        let mut text = String::new();
        match (&self.file).take(LENGTH).read_to_string(&mut text) {
            // What a power cut left of it says nothing.
            Ok(_) => Ok(text.trim_end().parse().ok()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write(&self, saves: u64) -> io::Result<()> {
        self.file.write_all_at(format!("{saves:020}\n").as_bytes(), 0)
    }
}

/// Twenty digits and the end of a line.
const LENGTH: u64 = 21;
