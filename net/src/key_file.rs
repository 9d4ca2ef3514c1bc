//! A server's long-term key on disk. Implements spec/18-transport.md §18.1.2.
//!
//! Invariants: the file is created once, whole or not at all, readable by its owner only; a file that is there is never
//! overwritten; nothing of the key appears in an error.
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write as _},
    path::Path,
};

use thiserror::Error;
use waxwing_wire::keys::ServerKey;
use zeroize::Zeroizing;

/// Reads the key at `path`, or makes one from the operating system's randomness and stores it there with mode 0600.
///
/// # Errors
/// [`KeyFileError`]: what is wrong with the file. Nothing is overwritten.
pub fn load_or_create(path: &Path) -> Result<ServerKey, KeyFileError> {
    match File::open(path) {
        Ok(file) => load(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(path),
        Err(error) => Err(KeyFileError::Read(error)),
    }
}

/// Why there is no key.
#[derive(Debug, Error)]
pub enum KeyFileError {
    /// The file cannot be read.
    #[error("the key file cannot be read: {0}")]
    Read(#[source] io::Error),
    /// The file cannot be written.
    #[error("the key file cannot be written: {0}")]
    Write(#[source] io::Error),
    /// Others may read it: take it as known to them, or `chmod 600` it if you are sure.
    #[error("the key file is readable by others (mode {mode:03o}); chmod 600 it if nobody read it")]
    Exposed {
        /// Its permission bits.
        mode: u32,
    },
    /// It holds something else.
    #[error("the key file holds no server key; restore it from a backup")]
    Content,
    /// The operating system gave no randomness.
    #[error("the operating system has no randomness")]
    Entropy,
}

fn load(mut file: File) -> Result<ServerKey, KeyFileError> {
    check_mode(&file)?;
    let mut text = Zeroizing::new(Vec::with_capacity(LENGTH.saturating_add(1)));
    let most = u64::try_from(LENGTH).unwrap_or(u64::MAX).saturating_add(1);
    Read::by_ref(&mut file).take(most).read_to_end(&mut text).map_err(KeyFileError::Read)?;
    let hex = text.strip_prefix(HEADER).and_then(|text| text.strip_suffix(b"\n")).ok_or(KeyFileError::Content)?;
    let seed = of_hex(hex).ok_or(KeyFileError::Content)?;
    Ok(ServerKey::from_seed(&seed))
}

/// Writes beside the place and links it there, so that a crash leaves no half of a key and two first starts agree on one.
fn create(path: &Path) -> Result<ServerKey, KeyFileError> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut()).map_err(|_| KeyFileError::Entropy)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = path.with_file_name(name);
    let written = write(&beside, &seed).and_then(|()| match fs::hard_link(&beside, path) {
        // Somebody else's first start was faster; theirs is read below.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    let removed = fs::remove_file(&beside);
    written.and(removed).and_then(|()| sync_folder(path)).map_err(KeyFileError::Write)?;
    load(File::open(path).map_err(KeyFileError::Read)?)
}

fn write(path: &Path, seed: &[u8; 32]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(HEADER)?;
    file.write_all(to_hex(seed).as_ref())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(unix)]
fn check_mode(file: &File) -> Result<(), KeyFileError> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = file.metadata().map_err(KeyFileError::Read)?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(KeyFileError::Exposed { mode }) }
}

#[cfg(not(unix))]
fn check_mode(_: &File) -> Result<(), KeyFileError> {
    Ok(())
}

fn to_hex(seed: &[u8; 32]) -> Zeroizing<[u8; 64]> {
    let mut hex = Zeroizing::new([0; 64]);
    for (pair, byte) in hex.chunks_exact_mut(2).zip(seed) {
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
    hex
}

fn of_hex(hex: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    if hex.len() != 64 {
        return None;
    }
    let mut seed = Zeroizing::new([0; 32]);
    for (byte, pair) in seed.iter_mut().zip(hex.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = value(*high)? << 4 | value(*low)?;
    }
    Some(seed)
}

const fn digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0'.wrapping_add(nibble) } else { b'a'.wrapping_add(nibble.wrapping_sub(10)) }
}

const fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(digit.wrapping_sub(b'a').wrapping_add(10)),
        _ => None,
    }
}

const HEADER: &[u8] = b"waxwing/1 server key\n";
/// Header, 64 digits, a line's end.
const LENGTH: usize = HEADER.len() + 65;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_first_start_makes_a_key_that_the_next_one_finds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.key");
        let first = load_or_create(&path).unwrap();
        assert_eq!(load_or_create(&path).unwrap().public_key(), first.public_key());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
        let another = load_or_create(&folder.path().join("other.key")).unwrap();
        assert_ne!(another.public_key(), first.public_key());
    }

    #[test]
    fn two_first_starts_at_once_agree_on_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.key");
        // The other start is between its look and its link: simulated by a key that appears there.
        write(&path, &[7; 32]).unwrap();
        let key = create(&path).unwrap();
        assert_eq!(key.public_key(), ServerKey::from_seed(&[7; 32]).public_key());
    }

    #[test]
    fn a_file_that_is_no_key_is_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.key");
        let hex = "ab".repeat(32);
        for content in [
            String::new(),
            "waxwing/1 server key\n".into(),
            format!("waxwing/1 server key\n{hex}"),
            format!("waxwing/1 server key\n{hex}\n\n"),
            format!("waxwing/1 server key\n{}\n", &hex[1..]),
            format!("waxwing/1 server key\n{}\n", hex.to_uppercase()),
            format!("waxwing/2 server key\n{hex}\n"),
        ] {
            fs::write(&path, &content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            assert!(matches!(load_or_create(&path), Err(KeyFileError::Content)), "{content:?}");
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        fs::write(&path, format!("waxwing/1 server key\n{hex}\n")).unwrap();
        assert_eq!(load_or_create(&path).unwrap().public_key(), ServerKey::from_seed(&[0xab; 32]).public_key());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(load_or_create(&path), Err(KeyFileError::Exposed { mode: 0o640 })));
        let nowhere = folder.path().join("no/such/folder/server.key");
        assert!(matches!(load_or_create(&nowhere), Err(KeyFileError::Write(_))));
        assert!(matches!(load_or_create(folder.path()), Err(KeyFileError::Exposed { .. } | KeyFileError::Read(_))));
    }
}
