//! The bytes of blobs, a file for each. Implements spec/17-relay.md §17.9.4.
//!
//! ```text
//! store/blobs/NUMBER: chunk 0 ‖ chunk 1 ‖ … what is beyond the row's `written` is nobody's
//! ```
//! Invariants: no thread of the runtime waits for a disk; how many others do is bounded; a file is open for one writer at a time; while a copy
//! is made no file goes.
//! Not here: which bytes count ([`crate::store::Upload`]).
use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    sync::Semaphore,
    task::{JoinHandle, spawn_blocking},
};

use crate::store::{
    Unavailable,
    disk::{Access, BlobFile},
    lock,
};

/// The folder of blobs.
#[derive(Clone, Debug)]
pub(super) struct Files {
    folder: Arc<Path>,
    /// Who may wait for the disk.
    threads: Arc<Semaphore>,
    removals: Arc<Mutex<Removals>>,
    /// The folder is this process's as long as the store works and somebody writes.
    guard: Weak<File>,
}

#[derive(Debug, Default)]
struct Removals {
    /// Copies that are being made.
    held: u32,
    waiting: Vec<u64>,
    working: Vec<JoinHandle<()>>,
}

impl Files {
    pub(super) fn new(store: &Path, guard: &Arc<File>) -> Self {
        let (folder, guard) = (store.join(FOLDER).into(), Arc::downgrade(guard));
        Self { folder, threads: Arc::new(Semaphore::new(THREADS)), removals: Arc::default(), guard }
    }

    pub(super) fn path(&self, blob: u64) -> PathBuf {
        self.folder.join(blob.to_string())
    }

    /// Makes the folder; its name is on stable storage when the store's folder is.
    pub(super) fn make(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)
    }

    /// Makes files fit their rows: what is nobody's is removed, what is too long is cut. `blobs` are numbers with how many bytes they have,
    /// ascending; those that have fewer are returned with how many.
    pub(super) fn sweep(&self, blobs: &[(u64, u64)]) -> io::Result<Vec<(u64, u64)>> {
        let mut found = Vec::with_capacity(blobs.len());
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let number = number_of(&entry.file_name());
            let row = number.and_then(|number| blobs.binary_search_by_key(&number, |(number, _)| *number).ok());
            let Some((number, bytes)) = row.and_then(|row| blobs.get(row)) else {
                fs::remove_file(entry.path())?;
                continue;
            };
            let length = entry.metadata()?.len();
            if length > *bytes {
                File::options().write(true).open(entry.path())?.set_len(*bytes)?;
            }
            found.push((*number, length));
        }
        found.sort_unstable();
        let length = |number: u64| {
            let at = found.binary_search_by_key(&number, |(number, _)| *number).ok();
            at.and_then(|at| found.get(at)).map_or(0, |(_, length)| *length)
        };
        let short = blobs.iter().map(|(number, bytes)| (*number, *bytes, length(*number)));
        Ok(short.filter(|(_, bytes, length)| length < bytes).map(|(number, _, length)| (number, length)).collect())
    }

    pub(super) async fn open(&self, blob: u64, access: Access) -> Result<OpenBlob, Unavailable> {
        let (path, this) = (self.path(blob), self.clone());
        let guard = match &access {
            Access::Read => None,
            Access::Write(_) => Some(self.guard.upgrade().ok_or(Unavailable)?),
        };
        let opening = move || {
            let mut options = File::options();
            options.read(true).mode(0o600);
            // Otherwise the file system would keep when somebody last read it.
            #[cfg(target_os = "linux")]
            options.custom_flags(O_NOATIME);
            let (file, new) = match &access {
                Access::Read => (options.open(&path)?, false),
                Access::Write(_) => match options.clone().write(true).create_new(true).open(&path) {
                    Ok(file) => (file, true),
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                        (options.write(true).open(&path)?, false)
                    }
                    Err(error) => return Err(error),
                },
            };
            let open = Open { file, unnamed: AtomicBool::new(new), files: this, _guard: guard, _access: access };
            Ok(OpenBlob(Arc::new(open)))
        };
        work(&self.threads, opening).await
    }

    pub(super) fn remove(&self, blob: u64) {
        let mut removals = lock(&self.removals);
        if removals.held > 0 {
            removals.waiting.push(blob);
            return;
        }
        let path = self.path(blob);
        removals.working.retain(|removal| !removal.is_finished());
        // A large file takes a disk a while. If the process ends before, the next one finds that it is nobody's.
        removals.working.push(spawn_blocking(move || unlink(&path)));
    }

    /// Waits until nothing is being removed.
    pub(super) async fn removed(&self) {
        let working = core::mem::take(&mut lock(&self.removals).working);
        for removal in working {
            // If it panicked, the next process removes it.
            let _ = removal.await;
        }
    }

    /// From here on no file goes until what is returned is dropped.
    pub(super) fn hold(&self) -> Hold {
        let mut removals = lock(&self.removals);
        removals.held = removals.held.saturating_add(1);
        drop(removals);
        Hold(self.clone())
    }

    /// Copies so many bytes of each of these to a folder, onto stable storage.
    pub(super) async fn copy(&self, blobs: Vec<(u64, u64)>, target: PathBuf) -> Result<(), Unavailable> {
        let this = self.clone();
        let copying = move || {
            DirBuilder::new().mode(0o700).create(&target)?;
            for (number, bytes) in blobs.into_iter().filter(|(_, bytes)| *bytes > 0) {
                let mut to =
                    File::options().write(true).create_new(true).mode(0o600).open(target.join(number.to_string()))?;
                let mut from = io::Read::take(File::open(this.path(number))?, bytes);
                if io::copy(&mut from, &mut to)? != bytes {
                    return Err(io::Error::other("a blob is shorter than its row says"));
                }
                to.sync_all()?;
            }
            File::open(&target)?.sync_all()
        };
        work(&self.threads, copying).await
    }

    /// How long each file is, by number; none for what is no blob's name.
    pub(super) async fn lengths(&self) -> Result<Vec<(Option<u64>, u64)>, Unavailable> {
        let folder = Arc::clone(&self.folder);
        let listing = move || {
            let mut lengths = Vec::new();
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                match entry.metadata() {
                    Ok(metadata) => lengths.push((number_of(&entry.file_name()), metadata.len())),
                    // It went meanwhile.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(lengths)
        };
        work(&self.threads, listing).await
    }
}

/// While there is one, files stay.
#[derive(Debug)]
pub(super) struct Hold(Files);

impl Drop for Hold {
    fn drop(&mut self) {
        let mut removals = lock(&self.0.removals);
        removals.held = removals.held.saturating_sub(1);
        if removals.held == 0 {
            let waiting = core::mem::take(&mut removals.waiting);
            drop(removals);
            waiting.into_iter().for_each(|blob| self.0.remove(blob));
        }
    }
}

/// A blob's file, open.
#[derive(Clone, Debug)]
pub struct OpenBlob(Arc<Open>);

#[derive(Debug)]
struct Open {
    file: File,
    /// It was made, and its name is not on stable storage yet.
    unnamed: AtomicBool,
    files: Files,
    _guard: Option<Arc<File>>,
    _access: Access,
}

impl OpenBlob {
    async fn work<T: Send + 'static>(
        &self,
        what: impl FnOnce(&Open) -> io::Result<T> + Send + 'static,
    ) -> Result<T, Unavailable> {
        let open = Arc::clone(&self.0);
        work(&self.0.files.threads, move || what(&open)).await
    }
}

impl BlobFile for OpenBlob {
    async fn write(&self, at: u64, bytes: Vec<u8>) -> Result<(), Unavailable> {
        self.work(move |open| open.file.write_all_at(&bytes, at)).await
    }

    async fn sync(&self) -> Result<(), Unavailable> {
        self.work(|open| {
            open.file.sync_data()?;
            if open.unnamed.load(Ordering::Acquire) {
                File::open(&open.files.folder)?.sync_all()?;
                open.unnamed.store(false, Ordering::Release);
            }
            Ok(())
        })
        .await
    }

    async fn cut(&self, length: u64) -> Result<(), Unavailable> {
        self.work(move |open| if open.file.metadata()?.len() > length { open.file.set_len(length) } else { Ok(()) })
            .await
    }

    async fn read(&self, at: u64, count: usize) -> Result<Vec<u8>, Unavailable> {
        self.work(move |open| {
            let mut bytes = vec![0; count];
            open.file.read_exact_at(&mut bytes, at)?;
            Ok(bytes)
        })
        .await
    }
}

/// Does what waits for the disk where waiting holds up nobody. It goes to its end also if nobody waits for it any more.
async fn work<T: Send + 'static>(
    threads: &Arc<Semaphore>,
    what: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Unavailable> {
    let permit = Arc::clone(threads).acquire_owned().await.map_err(|_| Unavailable)?;
    let working = spawn_blocking(move || {
        let outcome = what();
        drop(permit);
        outcome
    });
    match working.await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => {
            tracing::error!(kind = %error.kind(), "a blob's file failed");
            Err(Unavailable)
        }
        Err(_) => Err(Unavailable),
    }
}

fn unlink(path: &Path) {
    match fs::remove_file(path) {
        Ok(()) => {}
        // It never had a chunk.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            tracing::error!(kind = %error.kind(), "a blob's file was not removed; it is when the relay starts anew");
        }
    }
}

fn number_of(name: &std::ffi::OsStr) -> Option<u64> {
    let name = name.to_str()?;
    let number: u64 = name.parse().ok()?;
    // One name for each.
    (number.to_string() == name).then_some(number)
}

pub(super) const FOLDER: &str = "blobs";
/// Who waits for the disk at once.
const THREADS: usize = 32;
/// Linux' flag, of the same value wherever we run: reading leaves no trace in the file.
#[cfg(target_os = "linux")]
const O_NOATIME: i32 = 0o1_000_000;
