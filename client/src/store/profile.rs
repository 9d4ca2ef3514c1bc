//! Where a profile is.
use std::path::{Path, PathBuf};

/// A profile's folder and, outside of it, the folder in which this machine notes how far each profile has come.
///
/// By the note a folder is told that was put back from a copy, or is a second copy: a device that went on from an older state would use
/// message keys twice (ATTACKS B5). It is worth having for whatever somebody may back up, move or synchronize. Choose a folder that is not
/// backed up with the profile, such as `$XDG_STATE_HOME/yours`; all profiles may share it. Without one no such folder is told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Profile {
    pub(super) folder: PathBuf,
    pub(super) notes: Option<PathBuf>,
}

impl Profile {
    /// In this folder, without a note.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), notes: None }
    }

    /// The same, noted in that folder, which is made if it is not there.
    #[must_use]
    pub fn noted_in(self, notes: impl Into<PathBuf>) -> Self {
        Self { notes: Some(notes.into()), ..self }
    }
}

impl From<&Path> for Profile {
    fn from(folder: &Path) -> Self {
        Self::new(folder)
    }
}

impl From<&PathBuf> for Profile {
    fn from(folder: &PathBuf) -> Self {
        Self::new(folder)
    }
}
