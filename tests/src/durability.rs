//! What a power cut leaves: a journal of everything a process asked of one folder, and the images that any cut could leave of it.
//!
//! ```text
//! process under test ──(preloaded durability/journal.c)──▶ journal: write, write, sync, write, …
//!                                                                              ▲ cut here
//! image = what was synced before the cut ‖ any sectors of what was not, whole and in any order
//! ```
//! The model: a file's bytes are safe once a sync of it began after they were written; so is its name, with the folders above
//! it. A rename or removal is safe once its folder was synced, and unsafe names happen in order or not at all. Of an unsafe
//! write each 512-byte sector may or may not be there. One run yields as many cuts as its journal has records.
use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use rand_core::Rng;

/// Builds the library to preload into `folder`.
///
/// # Errors
/// There is no C compiler, or it failed.
pub fn build_shim(folder: &Path) -> io::Result<PathBuf> {
    let library = folder.join("journal.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/durability/journal.c");
    let done = Command::new("cc")
        .args(["-O2", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-o"])
        .arg(&library)
        .arg(source)
        .arg("-ldl")
        .status()?;
    if done.success() { Ok(library) } else { Err(io::Error::other("the journal's source does not compile")) }
}

/// Lets `command` write down what it asks of the files below `root`, which must be absolute.
pub fn preload(command: &mut Command, library: &Path, root: &Path, journal: &Path) {
    command.env("LD_PRELOAD", library).env("WAXWING_JOURNAL_ROOT", root).env("WAXWING_JOURNAL", journal);
}

/// Everything that was asked, in order.
#[derive(Debug)]
pub struct Journal {
    root: PathBuf,
    records: Vec<Record>,
}

impl Journal {
    /// Reads a journal; a record that the process's end cut short is left out.
    ///
    /// # Errors
    /// The file can't be read, or holds what no journal holds.
    pub fn read(path: &Path, root: &Path) -> io::Result<Self> {
        let bytes = fs::read(path)?;
        let (mut rest, mut records) = (bytes.as_slice(), Vec::new());
        while let Some((record, after)) = Record::parse(rest, root)? {
            records.push(record);
            rest = after;
        }
        Ok(Self { root: root.to_owned(), records })
    }

    /// How many records there are: a cut is a number up to it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether nothing was asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// How often something was synced: without that, a test of syncs tests nothing.
    #[must_use]
    pub fn syncs(&self) -> usize {
        self.records.iter().filter(|record| matches!(record, Record::Sync { .. })).count()
    }

    /// What the process had appended to the file `name` when the power was cut: how it tells what it promised by then.
    #[must_use]
    pub fn appended(&self, name: &str, cut: usize) -> Vec<u8> {
        let mut watched = None;
        let mut appended = Vec::new();
        for record in self.records.iter().take(cut) {
            match record {
                Record::Create { inode, path } if path == Path::new(name) => watched = Some(*inode),
                Record::Write { inode, bytes, .. } if watched == Some(*inode) => appended.extend_from_slice(bytes),
                _ => {}
            }
        }
        appended
    }

    /// Writes into the empty folder `into` what a cut after `cut` records could have left.
    ///
    /// # Errors
    /// The image can't be written.
    pub fn image(&self, cut: usize, rng: &mut impl Rng, into: &Path) -> io::Result<()> {
        let mut disk = Disk::default();
        self.records.iter().take(cut).for_each(|record| disk.take(record));
        disk.lose(rng);
        disk.write(into)
    }

    /// The folder that was watched.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }
}

/// Paths are relative to the folder that is watched.
#[derive(Clone, Debug)]
enum Record {
    Create { inode: u64, path: PathBuf },
    Write { inode: u64, offset: usize, bytes: Vec<u8> },
    Truncate { inode: u64, length: usize },
    Sync { inode: u64 },
    SyncFolder { path: PathBuf },
    Rename { from: PathBuf, to: PathBuf },
    Remove { path: PathBuf },
    MakeFolder { path: PathBuf },
}

impl Record {
    fn parse<'b>(bytes: &'b [u8], root: &Path) -> io::Result<Option<(Self, &'b [u8])>> {
        let Some((head, rest)) = bytes.split_first_chunk::<23>() else { return Ok(None) };
        let number = |range: std::ops::Range<usize>| {
            let bytes = head.get(range).unwrap_or_default();
            bytes.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
        };
        let size = |number| usize::try_from(number).map_err(io::Error::other);
        let (inode, offset) = (number(1..9), size(number(9..17))?);
        let (length, path_length) = (size(number(17..21))?, size(number(21..23))?);
        if rest.len() < path_length.saturating_add(length) {
            return Ok(None);
        }
        let (path, rest) = rest.split_at(path_length);
        let (bytes, rest) = rest.split_at(length);
        let relative = |bytes: &[u8]| {
            let path = PathBuf::from(String::from_utf8_lossy(bytes).into_owned());
            path.strip_prefix(root).map(Path::to_owned).map_err(io::Error::other)
        };
        let record = match head.first() {
            Some(1) => Self::Create { inode, path: relative(path)? },
            Some(2) => Self::Write { inode, offset, bytes: bytes.to_vec() },
            Some(3) => Self::Truncate { inode, length: offset },
            Some(4) if path.is_empty() => Self::Sync { inode },
            Some(4) => Self::SyncFolder { path: relative(path)? },
            Some(5) => Self::Rename { from: relative(path)?, to: relative(bytes)? },
            Some(6 | 8) => Self::Remove { path: relative(path)? },
            Some(7) => Self::MakeFolder { path: relative(path)? },
            kind => return Err(io::Error::other(format!("no record is of kind {kind:?}"))),
        };
        Ok(Some((record, rest)))
    }
}

/// A disk and what the operating system still holds back from it.
#[derive(Default)]
struct Disk {
    files: HashMap<u64, File>,
    names: BTreeMap<PathBuf, Entry>,
    /// Changes of names that no sync has made safe yet.
    pending: Vec<Record>,
}

#[derive(Default)]
struct File {
    safe: Vec<u8>,
    pending: Vec<Change>,
}

enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate { length: usize },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Entry {
    Folder,
    File(u64),
}

impl Disk {
    fn take(&mut self, record: &Record) {
        match record {
            Record::Create { inode, .. } => {
                // The number of a removed file may be given again.
                self.files.insert(*inode, File::default());
                self.pending.push(record.clone());
            }
            Record::Write { inode, offset, bytes } => {
                let change = Change::Write { offset: *offset, bytes: bytes.clone() };
                self.files.entry(*inode).or_default().pending.push(change);
            }
            Record::Truncate { inode, length } => {
                self.files.entry(*inode).or_default().pending.push(Change::Truncate { length: *length });
            }
            Record::Sync { inode } => self.sync(*inode),
            Record::SyncFolder { path } => self.settle(|change| change.is_in(path)),
            Record::Rename { .. } | Record::Remove { .. } | Record::MakeFolder { .. } => {
                self.pending.push(record.clone());
            }
        }
    }

    fn sync(&mut self, inode: u64) {
        if let Some(file) = self.files.get_mut(&inode) {
            let pending = std::mem::take(&mut file.pending);
            pending.iter().for_each(|change| change.apply(&mut file.safe, |_| true));
        }
        let created = self.pending.iter().find_map(|change| match change {
            Record::Create { inode: created, path } if *created == inode => Some(path.clone()),
            _ => None,
        });
        if let Some(path) = created {
            self.settle(|change| match change {
                Record::Create { inode: created, .. } => *created == inode,
                Record::MakeFolder { path: folder } => path.starts_with(folder),
                _ => false,
            });
        }
    }

    /// Makes the changes of names that `which` picks safe, in their order.
    fn settle(&mut self, which: impl Fn(&Record) -> bool) {
        let (safe, pending): (Vec<_>, Vec<_>) = std::mem::take(&mut self.pending).into_iter().partition(which);
        self.pending = pending;
        safe.iter().for_each(|change| self.rename(change));
    }

    fn rename(&mut self, change: &Record) {
        match change {
            Record::Create { inode, path } => drop(self.names.insert(path.clone(), Entry::File(*inode))),
            Record::MakeFolder { path } => drop(self.names.insert(path.clone(), Entry::Folder)),
            Record::Remove { path } => drop(self.names.remove(path)),
            Record::Rename { from, to } => {
                if let Some(entry) = self.names.remove(from) {
                    self.names.insert(to.clone(), entry);
                }
            }
            _ => {}
        }
    }

    /// The power is gone: some of what was pending happened.
    fn lose(&mut self, rng: &mut impl Rng) {
        let pending = std::mem::take(&mut self.pending);
        let happened = usize::try_from(rng.next_u64()).unwrap_or(0).checked_rem(pending.len().saturating_add(1));
        pending.iter().take(happened.unwrap_or(0)).for_each(|change| self.rename(change));
        let mut files: Vec<_> = self.files.iter_mut().collect();
        files.sort_unstable_by_key(|(inode, _)| **inode);
        for (_, file) in files {
            // None, half, or all of a file's sectors: each of these has broken programs.
            let share = rng.next_u32() % 3;
            for change in std::mem::take(&mut file.pending) {
                change.apply(&mut file.safe, |_| rng.next_u32() % 2 < share);
            }
        }
    }

    fn write(&self, into: &Path) -> io::Result<()> {
        for (path, entry) in &self.names {
            let path = into.join(path);
            match entry {
                Entry::Folder => fs::create_dir_all(path)?,
                Entry::File(inode) => {
                    if let Some(folder) = path.parent() {
                        fs::create_dir_all(folder)?;
                    }
                    fs::write(path, self.files.get(inode).map_or(&[][..], |file| &file.safe))?;
                }
            }
        }
        Ok(())
    }
}

impl Record {
    /// Whether it changes a name of this folder.
    fn is_in(&self, folder: &Path) -> bool {
        match self {
            Self::Create { path, .. } | Self::Remove { path } | Self::MakeFolder { path } => {
                path.parent() == Some(folder)
            }
            Self::Rename { from, to } => from.parent() == Some(folder) || to.parent() == Some(folder),
            _ => false,
        }
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>, mut survives: impl FnMut(usize) -> bool) {
        match self {
            Self::Truncate { length } if survives(0) => content.resize(*length, 0),
            Self::Truncate { .. } => {}
            Self::Write { offset, bytes } => {
                let mut at = *offset;
                let mut rest = bytes.as_slice();
                while !rest.is_empty() {
                    let sector = SECTOR.saturating_sub(at % SECTOR).min(rest.len());
                    let (now, later) = rest.split_at(sector);
                    let end = at.saturating_add(sector);
                    if survives(at) {
                        if content.len() < end {
                            content.resize(end, 0);
                        }
                        if let Some(target) = content.get_mut(at..end) {
                            target.copy_from_slice(now);
                        }
                    }
                    (at, rest) = (end, later);
                }
            }
        }
    }
}

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;
