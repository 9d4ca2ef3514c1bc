//! A mailbox's file on a disk: written and read beside a relay's work. Implements spec/17-relay.md §17.25.
//!
//! ```text
//! store ──parcels──▶ a thread: FILE.part (0600) ──▶ fsync ──▶ FILE           FILE ──a thread──▶ parcels ──▶ store
//! ```
//! Invariants: a file of the name that was asked for is whole, or not there; nothing is written over; no thread of the runtime waits for the disk.
use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, BufReader, BufWriter},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use tokio::{sync::mpsc, task::spawn_blocking};
use waxwing_wire::{id::MailboxId, time::Timestamp};

use crate::{
    portable::{FileError, Head, Parcel, Reader, Writer},
    store::{ExportError, ImportError, SqliteStore, Unavailable},
};

/// Writes a mailbox of `store` to a new file; how many envelopes are in it.
///
/// # Errors
/// [`CarryError`]; then there is no file of that name.
pub async fn export(
    store: &SqliteStore,
    mailbox: &MailboxId,
    target: &Path,
    now: Timestamp,
) -> Result<u64, CarryError> {
    if !target.is_absolute() {
        return Err(CarryError::Relative);
    }
    if fs::symlink_metadata(target).is_ok() {
        return Err(CarryError::Exists);
    }
    let mut export = store.export(mailbox, now).await?;
    let (head, to) = (export.head().clone(), target.to_owned());
    let (parcels, waiting) = mpsc::channel(AHEAD);
    let writing = spawn_blocking(move || write(&to, &head, waiting));
    let mut count = 0_u64;
    let mut read = Ok(());
    loop {
        match export.next().await {
            Ok(Some(next)) => {
                count = count.saturating_add(u64::try_from(next.len()).unwrap_or(u64::MAX));
                if parcels.send(Part::Parcels(next)).await.is_err() {
                    break;
                }
            }
            Ok(None) => {
                // Whoever does not take it says why below.
                let _ = parcels.send(Part::End).await;
                break;
            }
            Err(error) => {
                read = Err(error);
                break;
            }
        }
    }
    drop(parcels);
    let written = writing.await.map_err(io::Error::other)?;
    read?;
    written?;
    Ok(count)
}

/// Takes the mailbox of a file into `store`; how many envelopes were in it.
///
/// # Errors
/// [`CarryError`]; then nothing of it is in the store.
pub async fn import(store: &SqliteStore, source: &Path, now: Timestamp) -> Result<u64, CarryError> {
    if !source.is_absolute() {
        return Err(CarryError::Relative);
    }
    let (from, most) = (source.to_owned(), store.quota());
    let (head, mut reader) = blocking(move || {
        let file = File::open(from).map_err(FileError::Disk)?;
        Reader::open(BufReader::new(file), most)
    })
    .await??;
    let mut import = store.import(head, now)?;
    let (parcels, mut waiting) = mpsc::channel(AHEAD);
    let reading = spawn_blocking(move || {
        loop {
            let next = reader.next();
            let is_last = !matches!(next, Ok(Some(_)));
            if parcels.blocking_send(next).is_err() || is_last {
                return;
            }
        }
    });
    let whole = loop {
        match waiting.recv().await {
            Some(Ok(Some(parcel))) => import.add(parcel).await?,
            Some(Ok(None)) => break true,
            Some(Err(error)) => return Err(error.into()),
            None => break false,
        }
    };
    reading.await.map_err(io::Error::other)?;
    if whole { Ok(import.finish().await?) } else { Err(Unavailable.into()) }
}

enum Part {
    Parcels(Vec<Parcel>),
    /// That is all; without it whoever sent parcels has given up.
    End,
}

fn write(target: &Path, head: &Head, mut waiting: mpsc::Receiver<Part>) -> Result<(), CarryError> {
    let (unnamed, file) = Unnamed::make(target)?;
    let mut writer = Writer::new(BufWriter::new(file), head)?;
    loop {
        match waiting.blocking_recv() {
            Some(Part::Parcels(parcels)) => parcels.iter().try_for_each(|parcel| writer.envelope(parcel))?,
            Some(Part::End) => break,
            None => return Err(Unavailable.into()),
        }
    }
    let file = writer.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    // Not a rename: that would write over a file that came meanwhile.
    match fs::hard_link(&unnamed.0, target) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(CarryError::Exists),
        linked => linked?,
    }
    drop(unnamed);
    Ok(target.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())?)
}

/// A file on its way. In the end its name goes, whatever became of it.
struct Unnamed(PathBuf);

impl Unnamed {
    fn make(target: &Path) -> Result<(Self, File), CarryError> {
        let mut name: OsString = target.file_name().ok_or(CarryError::Relative)?.to_owned();
        name.push(".part");
        let path = target.with_file_name(name);
        match File::options().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => Ok((Self(path), file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(CarryError::Part),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Unnamed {
    fn drop(&mut self) {
        // If it stays, the next one says that it is in the way.
        let _ = fs::remove_file(&self.0);
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)
}

/// Why a mailbox was not carried.
#[derive(Debug, thiserror::Error)]
pub enum CarryError {
    /// Not a whole path.
    #[error("a file is named by its whole path, from /")]
    Relative,
    /// Nothing is written over.
    #[error("there is something of that name already")]
    Exists,
    /// Another export, or one that was cut off.
    #[error(
        "there is a file of that name with .part: another export is being made, or one was cut off and can be removed"
    )]
    Part,
    /// The store has it not.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The store does not take it.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The file is none.
    #[error(transparent)]
    File(#[from] FileError),
    /// The store.
    #[error(transparent)]
    Store(#[from] Unavailable),
    /// The disk.
    #[error("the file cannot be written: {0}")]
    Disk(#[from] io::Error),
}

/// What is read ahead of who takes it.
const AHEAD: usize = 4;
