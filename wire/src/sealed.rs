//! Sealed objects: everything of ours that is encrypted outside a session. Implements spec/12-sealed-objects.md.
//!
//! ```text
//! object  = header ‖ segment(0) ‖ segment(1) ‖ … ‖ segment(last)       AES-256-GCM in STREAM segments
//! stream  = length[8] ‖ content ‖ 0x00…                                padded to a size that the purpose allows
//! (key, prefix, commitment) = HKDF(salt, secret, purpose ‖ header ‖ context)
//! ```
//! Invariants: the commitment is compared before any segment is decrypted; bytes of a segment are handed out only after
//! its tag was checked; an object has one form; a size is computed from lengths before memory is taken.
//! Not here: what stands inside (reach entries in [`crate::reach`](crate), content in [`crate::content`]), who may store it.
use alloc::{boxed::Box, vec::Vec};
use core::fmt;

use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    id::DeviceId,
    kdf::hkdf,
    label::{self, Label},
};

mod header;
mod open;
mod seal;
mod size;
mod stream;

pub use header::{Header, Parameters, Passphrase};
pub use open::Opener;
pub use seal::{Progress, Sealer};
pub use size::{ChunkSize, sealed_size};

/// Seals `content` in one go (spec §12.5). The result's size is [`sealed_size`].
///
/// # Errors
/// [`SealError::TooLong`] or [`SealError::Context`]: the caller broke a limit of spec §12.1 or §12.4.
pub fn seal(
    secret: &ObjectSecret,
    purpose: Purpose,
    context: &[u8],
    content: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, SealError> {
    let length = u64::try_from(content.len()).map_err(|_| SealError::TooLong)?;
    Sealer::new(secret, purpose, context, length, rng)?.whole(content)
}

/// Seals `content` under a passphrase in one go (spec §12.2); takes the memory and time that `parameters` ask for.
///
/// # Errors
/// As [`seal`], and [`SealError::Parameters`].
pub fn seal_with_passphrase(
    passphrase: &Passphrase,
    parameters: Parameters,
    purpose: Purpose,
    content: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, SealError> {
    let length = u64::try_from(content.len()).map_err(|_| SealError::TooLong)?;
    Sealer::with_passphrase(passphrase, parameters, purpose, length, rng)?.whole(content)
}

/// Opens a whole object that was sealed under `secret` (spec §12.5).
///
/// # Errors
/// [`OpenError`]; nothing of the content is returned then.
pub fn open(
    secret: &ObjectSecret,
    purpose: Purpose,
    context: &[u8],
    object: &[u8],
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let (header, segments) = Header::parse(object)?;
    let size = u64::try_from(object.len()).map_err(|_| OpenError::TooLong)?;
    Opener::new(&header, secret, purpose, context, size)?.whole(segments)
}

/// Opens a whole object that was sealed under a passphrase; takes the memory and time that its header asks for, within the
/// ceiling of spec §12.2.
///
/// # Errors
/// [`OpenError`]; nothing of the content is returned then.
pub fn open_with_passphrase(
    passphrase: &Passphrase,
    purpose: Purpose,
    object: &[u8],
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let (header, segments) = Header::parse(object)?;
    let size = u64::try_from(object.len()).map_err(|_| OpenError::TooLong)?;
    Opener::with_passphrase(&header, passphrase, purpose, size)?.whole(segments)
}

/// What an object is for (spec §12.1). It is not written into the object: another purpose is another key.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Purpose {
    /// Where a device can be reached; classes of 1,024 to 4,096 bytes.
    ReachEntry,
    /// A person's profile; classes of 1,024 to 16,384 bytes.
    Profile,
    /// An attachment or other large content; whole chunks (see [`ChunkSize`]).
    Blob,
    /// A change of a register; classes of 512 to 16,384 bytes.
    Change,
    /// A snapshot of a register; classes of 4,096 to 1,048,576 bytes.
    Snapshot,
    /// What a new device is given when it is linked; classes of 4,096 to 65,536 bytes.
    Provisioning,
    /// A backup; buckets of 262,144 bytes.
    Backup,
    /// The key of a client's store; 256 bytes.
    StoreKey,
}

impl Purpose {
    /// Every purpose, in the order of spec §12.1.
    pub const ALL: [Self; 8] = [
        Self::ReachEntry,
        Self::Profile,
        Self::Blob,
        Self::Change,
        Self::Snapshot,
        Self::Provisioning,
        Self::Backup,
        Self::StoreKey,
    ];

    const fn label(self) -> Label {
        match self {
            Self::ReachEntry => label::SEALED_REACH_ENTRY,
            Self::Profile => label::SEALED_PROFILE,
            Self::Blob => label::SEALED_BLOB,
            Self::Change => label::SEALED_CHANGE,
            Self::Snapshot => label::SEALED_SNAPSHOT,
            Self::Provisioning => label::SEALED_PROVISIONING,
            Self::Backup => label::SEALED_BACKUP,
            Self::StoreKey => label::SEALED_STORE_KEY,
        }
    }
}

/// The 32 secret bytes that an object is sealed under. Whoever has them reads the object.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct ObjectSecret(Box<[u8; 32]>);

impl ObjectSecret {
    /// A fresh one.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut secret = Self(Box::new([0; 32]));
        rng.fill_bytes(secret.0.as_mut_slice());
        secret
    }

    /// Takes 32 bytes that travelled in a message or were derived by a rule of the specification.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Box::new(*bytes))
    }

    /// The bytes, for the message that carries them.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// The secret of a device's reach entry with this number (spec §12.6), from the 32 bytes of the account's reach key.
    #[must_use]
    pub fn of_reach_entry(reach_key: &[u8; 32], device: DeviceId, number: u64) -> Self {
        let mut context = [0; 9];
        let [first, rest @ ..] = &mut context;
        *first = device.value();
        *rest = number.to_be_bytes();
        Self::from_bytes(&hkdf(None, reach_key, &label::REACH_ENTRY_KEY.with(&context)))
    }
}

impl PartialEq for ObjectSecret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}

impl Eq for ObjectSecret {}

impl fmt::Debug for ObjectSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ObjectSecret(..)")
    }
}

/// Why an object was not sealed: the caller broke a limit. Safe to log.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum SealError {
    /// The content is longer than the purpose or spec §12.4 allows: use a blob, or split it.
    #[error("§12.4: the content is too long for this kind of object")]
    TooLong,
    /// More or less content was given than announced.
    #[error("§12.4: the content is not as long as announced")]
    Length,
    /// The context is longer than 255 bytes.
    #[error("§12.1: the context is longer than 255 bytes")]
    Context,
    /// Argon2id parameters outside their bounds, or memory for them that could not be had.
    #[error("§12.2: Argon2id parameters out of bounds")]
    Parameters,
}

/// Why an object was not opened (spec §12.5). Safe to log.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum OpenError {
    /// Fewer bytes than a header: no sealed object.
    #[error("§12.2: too short for a sealed object")]
    Header,
    /// A format that this version does not know, or a secret where a passphrase is needed, or the reverse.
    #[error("§12.2: unknown format {0}")]
    UnknownFormat(u8),
    /// Argon2id parameters outside their bounds. Nothing was computed.
    #[error("§12.2: Argon2id parameters out of bounds")]
    Parameters,
    /// Wrong secret, passphrase, purpose or context, or an object made to open under several: ask again, or refuse.
    #[error("§12.3: the commitment is not that of this secret")]
    Commitment,
    /// A segment is altered, moved, missing or too many. For a download: fetch that chunk again.
    #[error("§12.4: a segment failed authentication")]
    Forged,
    /// The length inside or the zeros after the content are not the object's one form.
    #[error("§12.4: length or padding is not canonical")]
    Padding,
    /// A size that the purpose or the limits do not allow.
    #[error("§12.4: not a size of this kind of object")]
    TooLong,
    /// The context is longer than 255 bytes: the caller's error.
    #[error("§12.1: the context is longer than 255 bytes")]
    Context,
}
