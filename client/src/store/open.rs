//! Making and opening a profile. Implements spec/21-client-store.md §21.1 to §21.3.
//!
//! ```text
//! lock ─▶ key file ─▶ look (reads only) ─▶ note ─▶ copy, if the layout is an older one ─▶ migrate ─▶ writer, readers
//! ```
//! Invariants: nothing is written before everything was found to be ours and whole; a database is never there without its
//! encryption, not even empty.
use std::{fs, io::Read as _, time::Duration};

use sqlx::{
    ConnectOptions as _, Connection as _, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};

use super::{
    EncryptedStore, OpenError, Profile, Protection, Reader, Unlock,
    epoch::{Epoch, Note},
    folder::{self, DAMAGED, DATABASE, Folder, KEY, NEXT},
    key::StoreKey,
    layout::{self, LAYOUTS, Layout},
    sieve::Sieve,
    statements,
    writer::Writer,
};

impl EncryptedStore {
    /// Makes a profile in a folder that is empty or not there, and opens it.
    ///
    /// # Errors
    /// [`OpenError::Exists`] and [`OpenError::Locked`]: choose another folder. [`OpenError::Memory`], [`OpenError::Full`],
    /// [`OpenError::Io`].
    pub async fn create(profile: impl Into<Profile>, protection: Protection) -> Result<Self, OpenError> {
        let profile = profile.into();
        // Before there is a profile that cannot be opened.
        profile.notes.as_deref().map(Note::make_folder).transpose()?;
        let folder = Folder::make(&profile)?;
        if folder.has(KEY) || folder.has(DATABASE) {
            return Err(OpenError::Exists);
        }
        let key = StoreKey::generate()?;
        // The key file makes it a profile: when it is there, everything else is.
        make_database(&folder, NEXT, &key).await?;
        let (file, key) = blocking(move || Ok((key.to_file(&protection)?, key))).await?;
        folder.replace(KEY, &file)?;
        Self::unlocked(folder, &key, LAYOUTS).await
    }

    /// Opens a profile.
    ///
    /// # Errors
    /// [`OpenError`], which says what to do. Nothing was changed then.
    pub async fn open(profile: impl Into<Profile>, unlock: Unlock) -> Result<Self, OpenError> {
        let (folder, key) = unlock_folder(&profile.into(), unlock).await?;
        Self::unlocked(folder, &key, LAYOUTS).await
    }

    /// Puts the key under another passphrase, or under none. The database is not touched, so that this takes no longer for a large
    /// one. Whoever kept the old key file can still open it with the old passphrase.
    ///
    /// # Errors
    /// As [`Self::open`]; the old passphrase holds then.
    pub async fn change_protection(
        profile: impl Into<Profile>,
        unlock: Unlock,
        protection: Protection,
    ) -> Result<(), OpenError> {
        let (folder, key) = unlock_folder(&profile.into(), unlock).await?;
        let file = blocking(move || key.to_file(&protection)).await?;
        Ok(folder.replace(KEY, &file)?)
    }

    pub(super) async fn unlocked(folder: Folder, key: &StoreKey, layouts: &[Layout]) -> Result<Self, OpenError> {
        finish_replacement(&folder)?;
        let (found, epoch) = look(&folder, DATABASE, key, layouts).await?;
        let note = note(&folder, epoch.as_ref())?;
        folder.make_private()?;
        let newest = layouts.last().map(|(number, ..)| *number).unwrap_or_default();
        if found < newest {
            bring_up(&folder, key, layouts, found).await?;
        } else {
            // The layout was read before: the copy made for it has served.
            forget_copies(&folder)?;
        }
        let mut writer = Writer::open(options(&folder, DATABASE, key)).await?;
        let note = match note {
            None if folder.notes.is_some() && newest >= layout::EPOCH => {
                let read = Epoch::read(writer.connection().await?).await;
                self::note(&folder, Some(&writer.settle(read)?))?
            }
            note => note,
        };
        let reader = Reader { pool: readers(&folder, key), sieve: Sieve::new(&folder) };
        Ok(Self { writer, reader, note, folder })
    }

    /// Reads a profile that was put back ([`OpenError::PutBack`]), so that its messages can be had; nothing is ever sent from it. Nothing is
    /// written, unless an older version wrote it last: then it is brought to this version's layout first, beside a copy of what was there.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_archive(profile: impl Into<Profile>, unlock: Unlock) -> Result<Archive, OpenError> {
        let (folder, key) = unlock_folder(&profile.into(), unlock).await?;
        let (found, _) = look(&folder, DATABASE, &key, LAYOUTS).await?;
        if LAYOUTS.last().is_some_and(|(newest, ..)| found < *newest) {
            bring_up(&folder, &key, LAYOUTS, found).await?;
        }
        let reader = SqlitePoolOptions::new().max_connections(1).connect_lazy_with(looking(&folder, DATABASE, &key));
        let reader = Reader { pool: reader, sieve: Sieve::new(&folder) };
        Ok(Archive { reader, folder })
    }
}

/// A profile that is only read.
#[derive(Debug)]
pub struct Archive {
    reader: Reader,
    folder: Folder,
}

impl Archive {
    /// Messages, counts and the export.
    #[must_use]
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// Lets it go.
    pub async fn close(self) {
        self.reader.close().await;
        self.folder.threads.ended().await;
    }
}

/// From an older layout to the newest, beside a copy of what was there.
async fn bring_up(folder: &Folder, key: &StoreKey, layouts: &[Layout], found: i64) -> Result<(), OpenError> {
    let mut connection = connect(folder, DATABASE, key).await?;
    // Everything into the one file that is copied; nobody else writes.
    sqlx::query(statements::CHECKPOINT).execute(&mut connection).await?;
    folder.copy(DATABASE, &folder::copy_name(found))?;
    layout::migrate(&mut connection, layouts).await?;
    Ok(connection.close().await?)
}

/// Takes the note of a profile, if there is one to take and its number is known.
fn note(folder: &Folder, epoch: Option<&Epoch>) -> Result<Option<Note>, OpenError> {
    folder.notes.as_deref().zip(epoch).map(|(notes, epoch)| Note::take(notes, epoch)).transpose()
}

fn readers(folder: &Folder, key: &StoreKey) -> SqlitePool {
    let readers = SqlitePoolOptions::new().max_connections(READERS).min_connections(0).idle_timeout(None);
    let readers = readers.max_lifetime(None).test_before_acquire(false).before_acquire(|connection, _| {
        // One that met a damaged page reads nothing any more; another one reads what is whole.
        Box::pin(async { Ok(sqlx::query(statements::APPLICATION).execute(connection).await.is_ok()) })
    });
    readers.connect_lazy_with(options(folder, DATABASE, key).pragma("query_only", "ON"))
}

/// Takes the lock and the key.
pub(super) async fn unlock_folder(profile: &Profile, unlock: Unlock) -> Result<(Folder, StoreKey), OpenError> {
    let folder = Folder::existing(profile)?;
    let mut file = Vec::new();
    fs::File::open(folder.file(KEY))?.take(MOST_KEY).read_to_end(&mut file)?;
    let file = zeroize::Zeroizing::new(file);
    let key = blocking(move || StoreKey::from_file(&file, &unlock)).await?;
    Ok((folder, key))
}

/// A whole and empty database.
pub(super) async fn make_database(folder: &Folder, name: &str, key: &StoreKey) -> Result<(), OpenError> {
    folder.empty(name)?;
    let mut connection = connect(folder, name, key).await?;
    layout::migrate(&mut connection, LAYOUTS).await?;
    connection.close().await?;
    Ok(folder.sync()?)
}

/// Lets a database that was made to take the other's place take it; the other is kept.
pub(super) fn finish_replacement(folder: &Folder) -> Result<(), OpenError> {
    if folder.has(NEXT) {
        if folder.has(DATABASE) {
            folder.remove_database(DAMAGED)?;
            folder.rename_database(DATABASE, DAMAGED)?;
        }
        folder.rename_database(NEXT, DATABASE)?;
    }
    Ok(())
}

/// Whether it is ours, whole and not newer than this program; which layout it has, and how far it has come, if it says so.
async fn look(
    folder: &Folder,
    name: &str,
    key: &StoreKey,
    layouts: &[Layout],
) -> Result<(i64, Option<Epoch>), OpenError> {
    let mut beginning = [0; 16];
    match fs::File::open(folder.file(name)).and_then(|mut file| file.read_exact(&mut beginning)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(OpenError::NoDatabase),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Err(OpenError::Damaged),
        Err(error) => return Err(error.into()),
        Ok(()) if beginning != key.salt() => return Err(OpenError::Foreign),
        Ok(()) => {}
    }
    let mut connection = looking(folder, name, key).connect().await?;
    let found = seen(&mut connection, layouts).await;
    connection.close().await?;
    found
}

async fn seen(connection: &mut SqliteConnection, layouts: &[Layout]) -> Result<(i64, Option<Epoch>), OpenError> {
    let layout = layout::known(connection, layouts).await?;
    let epoch = if layout < layout::EPOCH { None } else { Some(Epoch::read(connection).await?) };
    Ok((layout, epoch))
}

/// For a connection that only reads, and leaves nothing behind: where no journal is left there is nothing to read beside the file,
/// and SQLite makes nothing.
pub(super) fn looking(folder: &Folder, name: &str, key: &StoreKey) -> SqliteConnectOptions {
    let journal = fs::metadata(folder.file(&format!("{name}-wal"))).is_ok_and(|file| file.len() > 0);
    options(folder, name, key).read_only(true).immutable(!journal)
}

/// A connection that may write.
pub(super) async fn connect(folder: &Folder, name: &str, key: &StoreKey) -> Result<SqliteConnection, OpenError> {
    let mut connection = options(folder, name, key).connect().await?;
    sqlx::query(statements::WAL).execute(&mut connection).await?;
    Ok(connection)
}

/// The key first; then what must be set before anything is read. Statements are never logged: the first of them is the key.
pub(super) fn options(folder: &Folder, name: &str, key: &StoreKey) -> SqliteConnectOptions {
    let threads = folder.threads;
    SqliteConnectOptions::new()
        .filename(folder.file(name))
        .create_if_missing(false)
        .disable_statement_logging()
        .thread_name(move |_| threads.name())
        .busy_timeout(BUSY)
        .pragma("key", key.notation().to_string())
        .pragma("cipher_compatibility", "4")
        .pragma("cipher_log_level", "NONE")
        // Locking and wiping each piece of memory that SQLite takes costs five times the work; keys have a heap of their own (spec 21.9).
        .pragma("cipher_memory_security", "OFF")
        .pragma("synchronous", "FULL")
        .pragma("foreign_keys", "ON")
        .pragma("temp_store", "MEMORY")
        .pragma("secure_delete", "ON")
        .pragma("trusted_schema", "OFF")
        .pragma("cache_size", "-16384")
}

/// Copies of older layouts have served, and hold what was deleted since.
pub(super) fn forget_copies(folder: &Folder) -> Result<(), OpenError> {
    for layout in folder.copies()? {
        folder.remove_database(&folder::copy_name(layout))?;
    }
    Ok(())
}

/// Argon2id takes a second or two, which others shall not wait for.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, OpenError> + Send + 'static,
) -> Result<T, OpenError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| OpenError::Memory)?
}

const READERS: u32 = 3;
/// How long a connection waits for another's transaction.
const BUSY: Duration = Duration::from_secs(5);
/// More than any key file has.
const MOST_KEY: u64 = 65_536;
