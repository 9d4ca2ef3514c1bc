//! Why bytes are no message (spec §4.2). One enum for all formats: the caller's reaction is the same.

use thiserror::Error;

use crate::curve::PublicKeyError;
use crate::kyber::KyberCiphertextError;

/// Why bytes are no message. The sender, or whoever touched the bytes, is at fault; drop them. Safe to log.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum DecodeError {
    /// Longer than [`MAX_MESSAGE_LEN`](crate::MAX_MESSAGE_LEN), or the format's own limit; not parsed.
    #[error("a message has {got} bytes, more than the limit")]
    TooLong {
        /// The size that came.
        got: usize,
    },
    /// Shorter than the format's frame.
    #[error("a message has {got} bytes, fewer than its frame")]
    TooShort {
        /// The size that came.
        got: usize,
    },
    /// A version that Signal has retired. Ask the sender to update.
    #[error("message version {got} is no longer supported")]
    LegacyVersion {
        /// The version that came.
        got: u8,
    },
    /// A version from the future, or no message at all. Update this crate, if it is the former.
    #[error("message version {got} is unknown")]
    UnknownVersion {
        /// The version that came.
        got: u8,
    },
    /// The bytes inside the frame are no protobuf.
    #[error("the protobuf inside is malformed")]
    Protobuf,
    /// A field that the format requires is missing.
    #[error("field {field} is missing")]
    Missing {
        /// The field's name in spec §4 or §8.
        field: &'static str,
    },
    /// A field has a size or value that the format rules out.
    #[error("field {field} is invalid")]
    Invalid {
        /// The field's name in spec §4 or §8.
        field: &'static str,
    },
    /// A public key inside does not parse.
    #[error("field {field}: {error}")]
    PublicKey {
        /// The field's name in spec §4 or §8.
        field: &'static str,
        /// What is wrong with it.
        error: PublicKeyError,
    },
    /// The Kyber ciphertext inside does not parse.
    #[error("field kyber_ciphertext: {0}")]
    KyberCiphertext(#[from] KyberCiphertextError),
}

impl DecodeError {
    /// Names the field in which a key failed to parse.
    pub(crate) fn key(field: &'static str) -> impl Fn(PublicKeyError) -> Self {
        move |error| Self::PublicKey { field, error }
    }
}
