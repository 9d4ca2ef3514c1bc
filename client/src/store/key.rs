//! The database's key, and the file it lies in. Implements spec/21-client-store.md §21.2.
//!
//! ```text
//! file = "waxwing key"[11] ‖ format[1] ‖ kind[1] ‖ body ‖ SHA-256 over everything before[32]
//! body = material (kind 1) | sealed object of it under a passphrase (kind 2)
//! material = key[32] ‖ salt[16]
//! ```
//! Invariants: the key never changes; a passphrase guards the file, not the database, so that another one touches no database.
//! Not here: the construction that seals (`waxwing_wire::sealed`, spec §12).
use std::fmt;

use getrandom::SysRng;
use rand_core::UnwrapErr;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use waxwing_wire::sealed::{self, Parameters, Passphrase, Purpose};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::OpenError;

/// How the key of a profile lies on the disk.
#[derive(Debug)]
pub enum Protection {
    /// Under a passphrase; whoever has the disk has to guess it, at this price a guess.
    Passphrase(Passphrase, Parameters),
    /// Readable: for programs that start unattended. Whoever reads the file reads everything.
    None,
}

/// What a profile is opened with.
#[derive(Debug)]
pub enum Unlock {
    /// What the person typed.
    Passphrase(Passphrase),
    /// Nothing: the key file is readable.
    None,
}

/// What the database is encrypted under.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct StoreKey(Box<[u8; MATERIAL]>);

impl StoreKey {
    pub(super) fn generate() -> Result<Self, OpenError> {
        let mut key = Self(Box::new([0; MATERIAL]));
        getrandom::fill(key.0.as_mut_slice()).map_err(|_| OpenError::Io(std::io::ErrorKind::Other))?;
        Ok(key)
    }

    /// What the database begins with, in the clear.
    pub(super) fn salt(&self) -> &[u8] {
        self.0.get(KEY..).unwrap_or_default()
    }

    /// How `SQLCipher` writes a raw key with its salt: `"x'…'"`.
    pub(super) fn notation(&self) -> Zeroizing<String> {
        let digits = Zeroizing::new(hex::encode(self.0.as_slice()));
        let mut notation = Zeroizing::new(String::with_capacity(digits.len().saturating_add(5)));
        notation.push_str("\"x'");
        notation.push_str(&digits);
        notation.push_str("'\"");
        notation
    }

    /// The key file. Takes the time and memory that the parameters ask for.
    pub(super) fn to_file(&self, protection: &Protection) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        // All of it at once: a vector that grows would leave pieces of the key behind.
        let mut file = Zeroizing::new(Vec::with_capacity(1_024));
        file.extend_from_slice(MAGIC);
        file.push(FORMAT);
        match protection {
            Protection::Passphrase(passphrase, parameters) => {
                file.push(WRAPPED);
                let (purpose, rng) = (Purpose::StoreKey, &mut UnwrapErr(SysRng));
                let object = sealed::seal_with_passphrase(passphrase, *parameters, purpose, self.0.as_slice(), rng);
                file.extend_from_slice(&object.map_err(|_| OpenError::Memory)?);
            }
            Protection::None => {
                file.push(READABLE);
                file.extend_from_slice(self.0.as_slice());
            }
        }
        // So that a damaged file is not taken for a wrong passphrase.
        let sum = Sha256::digest(file.as_slice());
        file.extend_from_slice(&sum);
        Ok(file)
    }

    /// The key in a file. Takes the time and memory that the file asks for, within the bounds of spec §12.2.
    pub(super) fn from_file(file: &[u8], unlock: &Unlock) -> Result<Self, OpenError> {
        let (format, rest) = file.strip_prefix(MAGIC).and_then(<[u8]>::split_first).ok_or(OpenError::NotAProfile)?;
        if *format != FORMAT {
            return Err(OpenError::NewerKey(*format));
        }
        let (body, sum) = rest.split_last_chunk::<32>().ok_or(OpenError::KeyDamaged)?;
        let covered = file.len().checked_sub(sum.len()).and_then(|end| file.get(..end));
        let expected = Sha256::digest(covered.ok_or(OpenError::KeyDamaged)?);
        if !bool::from(expected.as_slice().ct_eq(sum)) {
            return Err(OpenError::KeyDamaged);
        }
        match (body.split_first().ok_or(OpenError::KeyDamaged)?, unlock) {
            // A passphrase that is not needed is no reason to refuse.
            ((&READABLE, material), _) => Self::of(material),
            ((&WRAPPED, _), Unlock::None) => Err(OpenError::PassphraseNeeded),
            ((&WRAPPED, object), Unlock::Passphrase(passphrase)) => {
                let material = sealed::open_with_passphrase(passphrase, Purpose::StoreKey, object);
                Self::of(&material.map_err(refused)?)
            }
            _ => Err(OpenError::KeyDamaged),
        }
    }

    fn of(material: &[u8]) -> Result<Self, OpenError> {
        let mut key = Self(Box::new([0; MATERIAL]));
        if material.len() != MATERIAL {
            return Err(OpenError::KeyDamaged);
        }
        key.0.copy_from_slice(material);
        Ok(key)
    }
}

/// The file is as it was written: its sum was right.
fn refused(error: sealed::OpenError) -> OpenError {
    match error {
        sealed::OpenError::Commitment => OpenError::WrongPassphrase,
        sealed::OpenError::Parameters => OpenError::Memory,
        _ => OpenError::KeyDamaged,
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreKey(..)")
    }
}

const MAGIC: &[u8] = b"waxwing key";
const FORMAT: u8 = 1;
const READABLE: u8 = 1;
const WRAPPED: u8 = 2;
const KEY: usize = 32;
const MATERIAL: usize = KEY + 16;
