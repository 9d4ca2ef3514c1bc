//! Why something did not work, and what to do about it. Messages name no path, key or content.
use std::io;

use thiserror::Error;

/// Why a profile was not made or opened. Nothing of it was changed.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no key file of ours: name another folder, or make a profile there.
    #[error("this folder is no profile: it holds no key file of ours")]
    NotAProfile,
    /// Something is there already: name an empty folder.
    #[error("there is a profile or a database in this folder already")]
    Exists,
    /// Another process has it open: end that one, or ask it.
    #[error("the profile is open in another process")]
    Locked,
    /// Ask again.
    #[error("wrong passphrase")]
    WrongPassphrase,
    /// Its key lies under a passphrase: ask for it.
    #[error("this profile needs a passphrase")]
    PassphraseNeeded,
    /// The key file is cut or altered: restore it from a copy; without it nobody reads the database.
    #[error("the key file is damaged; restore it from a copy")]
    KeyDamaged,
    /// The key file is of a newer version of this program: use that.
    #[error("the key file has format {0}, of a newer version of this program")]
    NewerKey(u8),
    /// The key is there, and no database: restore it from a copy.
    #[error("the profile has a key, but no database; restore it from a copy")]
    NoDatabase,
    /// The database was made under another key (or its first bytes are overwritten): put back the one that belongs here, or repair.
    #[error("the database does not belong to this key, or its beginning is overwritten")]
    Foreign,
    /// What is read is not what was written: repair salvages what reads.
    #[error("the database is damaged; repair salvages what can be read")]
    Damaged,
    /// Written by a newer version of this program: use that.
    #[error("the database has layout {found}, this program knows up to {known}: use the newer program")]
    Newer {
        /// The database's.
        found: i64,
        /// The newest that is known here.
        known: i64,
    },
    /// This machine has had a newer state of the profile: the folder was put back from a copy, or is one, or lost the end of its journal.
    /// What was sent since is not in it, so that going on would use message keys twice. [`EncryptedStore::open_archive`] reads it; make a new
    /// device.
    ///
    /// [`EncryptedStore::open_archive`]: super::EncryptedStore::open_archive
    #[error("the profile is older than what this machine has had of it: it was put back from a copy, or is one")]
    PutBack,
    /// A change of layout was begun and not finished, or is not the one that this program knows: go back to the copy that was made
    /// before it.
    #[error("the change to layout {0} is unfinished or another than this program's: restore the copy made before it")]
    HalfMigrated(i64),
    /// There is not enough memory to try the passphrase.
    #[error("there is not enough memory to try the passphrase")]
    Memory,
    /// The disk is full: make room.
    #[error("the disk is full")]
    Full,
    /// The system refuses: permissions, a broken disk?
    #[error("the files cannot be used: {0}")]
    Io(io::ErrorKind),
    /// The database refuses, with SQLite's extended result code.
    #[error("the database failed with code {0}")]
    Database(i32),
}

/// Why something was not read or written. What failed to be written is not there; what was there before is.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum StoreError {
    /// Nothing more can be written: the disk or a quota is full. Make room, then go on.
    #[error("nothing more can be written: the disk is full")]
    Full,
    /// The disk cannot be read or written; SQLite's extended result code.
    #[error("the disk cannot be read or written (code {0})")]
    Disk(i32),
    /// What is read is not what was written: close, and repair.
    #[error("the database is damaged; close it and repair")]
    Damaged,
    /// It is closed, or what it waited for did not come.
    #[error("the database is closed or busy")]
    Unavailable,
    /// What was to be written to refuses.
    #[error("the export cannot be written: {0}")]
    Export(io::ErrorKind),
    /// The database refuses for another reason; SQLite's extended result code.
    #[error("the database failed with code {0}")]
    Database(i32),
}

/// SQLite's extended result code, if it was SQLite that failed.
fn code(error: &sqlx::Error) -> Option<i32> {
    match error {
        sqlx::Error::Database(error) => error.code().and_then(|code| code.parse().ok()),
        _ => None,
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(_) => {}
            // A value that no version writes.
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::RowNotFound => {
                return Self::Damaged;
            }
            sqlx::Error::Io(error) if error.kind() == io::ErrorKind::StorageFull => return Self::Full,
            _ => return Self::Unavailable,
        }
        let code = code(&error).unwrap_or_default();
        // What a quota or a limit on files refuses to write.
        if code == libsqlite3_sys::SQLITE_IOERR_WRITE {
            return Self::Full;
        }
        // Of a page that fails its authentication SQLCipher says no more than "error"; nothing else does, since every statement of
        // ours is known to prepare, and what a person types is quoted.
        if code == libsqlite3_sys::SQLITE_ERROR {
            return Self::Damaged;
        }
        match code & PRIMARY {
            libsqlite3_sys::SQLITE_FULL => Self::Full,
            libsqlite3_sys::SQLITE_CORRUPT | libsqlite3_sys::SQLITE_NOTADB => Self::Damaged,
            libsqlite3_sys::SQLITE_IOERR | libsqlite3_sys::SQLITE_CANTOPEN => Self::Disk(code),
            libsqlite3_sys::SQLITE_BUSY => Self::Unavailable,
            _ => Self::Database(code),
        }
    }
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Self::Full,
            StoreError::Damaged => Self::Damaged,
            StoreError::Disk(code) | StoreError::Database(code) => Self::Database(code),
            StoreError::Unavailable => Self::Database(libsqlite3_sys::SQLITE_BUSY),
            StoreError::Export(kind) => Self::Io(kind),
        }
    }
}

impl From<sqlx::Error> for OpenError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull => Self::Full,
            kind => Self::Io(kind),
        }
    }
}

/// The part of a result code that says what; the rest says where.
const PRIMARY: i32 = 0xff;
