//! A disk that is full or broken when a test says so, by a preloaded library (`durability/faults.c`).
use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

/// What fails.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Writes.
    Writes,
    /// Syncs.
    Syncs,
    /// Both.
    Both,
}

/// How it fails.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Error {
    /// No space is left: half of a write is there.
    Full,
    /// The device does not answer.
    Broken,
}

/// Tells the library what to do: a small file outside of the folder whose files fail.
#[derive(Debug)]
pub struct Faults {
    orders: PathBuf,
    generation: u64,
}

impl Faults {
    /// Orders by this file, for now to let everything work.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn new(orders: &Path) -> io::Result<Self> {
        let mut faults = Self { orders: orders.to_owned(), generation: 0 };
        faults.end()?;
        Ok(faults)
    }

    /// After so many good ones, everything of this kind fails.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn begin(&mut self, kind: Kind, error: Error, after: u32) -> io::Result<()> {
        let kind = match kind {
            Kind::Writes => 1,
            Kind::Syncs => 2,
            Kind::Both => 3,
        };
        let error = match error {
            Error::Full => 28,
            Error::Broken => 5,
        };
        self.order(&format!("{kind} {error} {after}"))
    }

    /// Everything works again.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn end(&mut self) -> io::Result<()> {
        self.order("0 0 0")
    }

    fn order(&mut self, order: &str) -> io::Result<()> {
        self.generation = self.generation.saturating_add(1);
        // One write of one length, in place: the library reads it while it is written.
        let text = format!("{order} {}", self.generation);
        let file = fs::File::options().create(true).truncate(false).write(true).open(&self.orders)?;
        std::os::unix::fs::FileExt::write_all_at(&file, format!("{text:<60}\n").as_bytes(), 0)
    }
}

/// Builds the library to preload into `folder`.
///
/// # Errors
/// There is no C compiler, or it failed.
pub fn build_shim(folder: &Path) -> io::Result<PathBuf> {
    let library = folder.join("faults.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/durability/faults.c");
    let compiler = ["-O2", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-o"];
    let done = Command::new("cc").args(compiler).arg(&library).arg(source).arg("-ldl").status()?;
    if done.success() { Ok(library) } else { Err(io::Error::other("the faults' source does not compile")) }
}

/// Lets the files below `root`, which must be absolute, fail in `command` as `orders` says.
pub fn preload(command: &mut Command, library: &Path, root: &Path, orders: &Path) {
    command.env("LD_PRELOAD", library).env("WAXWING_FAULT_ROOT", root).env("WAXWING_FAULT", orders);
}
