//! Moving in: records of Signal's official library become this crate's values, so that an app can migrate without losing
//! sessions. Implements spec/05-ratchet.md §5.11, spec/06-spqr.md §6.10 and spec/07-sender-keys.md §7.7.
//!
//! Only the record formats of the official library's stores; where an app keeps them is the app's.
//! Invariants: what does not parse is an error and nothing is half imported; a state that this crate cannot continue is left
//! out and reported.

mod post_quantum;
mod prekeys;
mod proto;
mod sender_keys;
mod session;

use thiserror::Error;

pub use self::prekeys::{identity_key_pair, kyber_prekey, one_time_prekey, signed_prekey};
pub use self::sender_keys::{peer_sender_keys, sender_key};
pub use self::session::{ImportedSession, session};
use crate::curve::PublicKeyError;
use crate::prekey::PrekeyError;

/// Why a record was not imported. Nothing was. Safe to log.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum ImportError {
    /// The bytes are no protobuf.
    #[error("the record is no protobuf")]
    Protobuf,
    /// A field is missing.
    #[error("field {field} is missing")]
    Missing {
        /// Its name in spec §5.11.
        field: &'static str,
    },
    /// A field has a size or value that no record has.
    #[error("field {field} is invalid")]
    Invalid {
        /// Its name in spec §5.11.
        field: &'static str,
    },
    /// A public key does not parse.
    #[error("field {field}: {error}")]
    PublicKey {
        /// Its name in spec §5.11.
        field: &'static str,
        /// What is wrong with it.
        error: PublicKeyError,
    },
    /// The public half is not the private half's.
    #[error("the public key does not belong to the private key")]
    KeyPair,
    /// The prekey is not this identity's, or damaged.
    #[error("{0}")]
    Prekey(#[from] PrekeyError),
}

fn require<T>(value: Option<T>, field: &'static str) -> Result<T, ImportError> {
    value.ok_or(ImportError::Missing { field })
}

fn array<const N: usize>(bytes: &[u8], field: &'static str) -> Result<[u8; N], ImportError> {
    bytes.try_into().map_err(|_| ImportError::Invalid { field })
}
