//! Where a profile is, and what opens it. Implements spec/22-client-api.md §22.8.
//!
//! Invariants: a passphrase is never an argument; nothing that others could write to is used.
use std::{
    fs,
    io::{self, IsTerminal as _, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use waxwing_client::{
    Options,
    engine::Settings as EngineSettings,
    store::{Profile, Unlock},
};
use waxwing_wire::sealed::Passphrase;
use zeroize::Zeroizing;

use crate::api::{ApiError, Code};

/// What is chosen for a profile, beside its database: nothing of it is secret.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Servers that other people name may lie in private networks.
    pub allow_private_servers: bool,
}

impl Settings {
    /// From a profile's folder; without a file, what is usual.
    ///
    /// # Errors
    /// If the file says something else than it may.
    pub fn load(folder: &Path) -> Result<Self, ApiError> {
        let path = folder.join(SETTINGS);
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| {
                ApiError::new(Code::ProfileDamaged, format!("{}: {error}: correct it, or remove it", path.display()))
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(system(&path, &error)),
        }
    }

    /// Into a profile's folder.
    ///
    /// # Errors
    /// The system's.
    pub fn store(&self, folder: &Path) -> Result<(), ApiError> {
        let path = folder.join(SETTINGS);
        let text = serde_json::to_vec_pretty(self).unwrap_or_default();
        fs::write(&path, text).map_err(|error| system(&path, &error))
    }

    /// As a client takes them.
    #[must_use]
    pub fn options(&self) -> Options {
        let engine = EngineSettings { allow_private_servers: self.allow_private_servers, ..EngineSettings::default() };
        Options { engine, ..Options::default() }
    }
}

/// The folder of a profile: what has a slash is a path, anything else a name below the user's data.
///
/// # Errors
/// If there is no home.
pub fn folder(profile: &str) -> Result<PathBuf, ApiError> {
    if profile.contains('/') {
        return std::path::absolute(profile).map_err(|error| system(Path::new(profile), &error));
    }
    if profile.is_empty() || profile.starts_with('.') || profile.chars().any(char::is_control) {
        return Err(ApiError::new(
            Code::InvalidParams,
            "a profile is named by a word, or is a path with a slash in it",
        ));
    }
    Ok(data()?.join("profiles").join(profile))
}

/// The user's data of this program.
///
/// # Errors
/// If there is no home.
pub fn data() -> Result<PathBuf, ApiError> {
    let data = variable("XDG_DATA_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/share")));
    let data = data.ok_or_else(|| ApiError::new(Code::System, "there is no HOME: name a folder, like -p ./alice"))?;
    Ok(data.join("waxwing"))
}

/// The profile in this folder, noted in the user's state. Without a home there is no note.
#[must_use]
pub fn noted(folder: &Path) -> Profile {
    let state = variable("XDG_STATE_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/state")));
    match state {
        Some(state) => Profile::new(folder).noted_in(state.join("waxwing/saves")),
        None => Profile::new(folder),
    }
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Whether somebody is to be asked for a passphrase.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Need {
    /// One that is given is taken; nobody is asked.
    IfThere,
    /// The profile asked for it.
    Yes,
}

/// Where passphrases come from.
#[derive(Clone, Debug, Default)]
pub struct PassphraseSource {
    /// A file whose first line it is.
    pub file: Option<PathBuf>,
}

impl PassphraseSource {
    /// What opens a profile: asks in a terminal only if its key lies under a passphrase.
    ///
    /// # Errors
    /// If one is needed and there is none.
    pub fn unlock(&self, need: Need) -> Result<Unlock, ApiError> {
        if let Some(given) = self.given()? {
            return Ok(Unlock::Passphrase(given));
        }
        if need == Need::IfThere {
            return Ok(Unlock::None);
        }
        let typed = ask("Passphrase: ").ok_or(waxwing_client::store::OpenError::PassphraseNeeded)?;
        Ok(Unlock::Passphrase(checked(&typed)?))
    }

    /// A new one: typed twice, if it is typed.
    ///
    /// # Errors
    /// If there is none, or the two differ.
    pub fn new_one(&self) -> Result<Passphrase, ApiError> {
        if let Some(given) = self.given()? {
            return Ok(given);
        }
        let (Some(first), Some(second)) = (ask("New passphrase: "), ask("Once more: ")) else {
            return Err(ApiError::new(
                Code::Passphrase,
                "a new profile needs a passphrase: --passphrase-file FILE, WAXWING_PASSPHRASE, a terminal to type it in, \
                 or --no-passphrase",
            ));
        };
        if *first != *second {
            return Err(ApiError::new(Code::Passphrase, "the two are not the same; nothing was made"));
        }
        checked(&first)
    }

    fn given(&self) -> Result<Option<Passphrase>, ApiError> {
        if let Some(file) = &self.file {
            let mut text = Zeroizing::new(String::with_capacity(MOST_PASSPHRASE));
            let opened = fs::File::open(file).map_err(|error| system(file, &error))?;
            opened.take(FILE_LIMIT).read_to_string(&mut text).map_err(|error| system(file, &error))?;
            return checked(text.lines().next().unwrap_or_default()).map(Some);
        }
        match std::env::var("WAXWING_PASSPHRASE").map(Zeroizing::new) {
            Ok(text) => checked(&text).map(Some),
            Err(_) => Ok(None),
        }
    }
}

fn checked(text: &str) -> Result<Passphrase, ApiError> {
    Passphrase::new(text.as_bytes()).ok_or_else(|| ApiError::new(Code::Passphrase, "a passphrase has 1 to 1,024 bytes"))
}

/// None without a terminal.
fn ask(prompt: &str) -> Option<Zeroizing<String>> {
    if !io::stdin().is_terminal() {
        return None;
    }
    rpassword::prompt_password(prompt).ok().map(Zeroizing::new)
}

/// Whether the system's user is the only one who could have put something there (F6).
///
/// # Errors
/// [`Code::Unsafe`], saying what to do.
pub fn is_ours_alone(path: &Path) -> Result<(), ApiError> {
    let found = fs::metadata(path).map_err(|error| system(path, &error))?;
    let unsafe_because =
        |why: &str| Err(ApiError::new(Code::Unsafe, format!("{} {why}; it is not used", path.display())));
    if found.uid() != own_user()? {
        return unsafe_because("belongs to somebody else");
    }
    if found.mode() & 0o022 != 0 {
        return unsafe_because("can be written to by others: `chmod go-w` it, if nobody did");
    }
    Ok(())
}

/// Who runs this process.
///
/// # Errors
/// The system's.
pub fn own_user() -> Result<u32, ApiError> {
    // The system says who is at either end of a pair, and this process is at both.
    let pair = tokio::net::UnixStream::pair().and_then(|(here, _there)| here.peer_cred());
    pair.map(|who| who.uid()).map_err(|error| system(Path::new("socket"), &error))
}

/// A new file that only its owner reads.
///
/// # Errors
/// The system's; if it is there already.
pub fn private_file(path: &Path) -> Result<fs::File, ApiError> {
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.map_err(|error| system(path, &error))
}

/// What the system said of a file.
#[must_use]
pub fn system(path: &Path, error: &io::Error) -> ApiError {
    let code = if error.kind() == io::ErrorKind::StorageFull { Code::DiskFull } else { Code::System };
    ApiError::new(code, format!("{}: {error}", path.display()))
}

/// Writes a line to standard error; nobody may be there to read it.
pub fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

const SETTINGS: &str = "settings.json";
const MOST_PASSPHRASE: usize = 1_024;
const FILE_LIMIT: u64 = 4_096;
