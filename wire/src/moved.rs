//! A server says where it went. Implements spec/11-identity.md §11.9.
//!
//! Invariants: a [`Moved`] exists only verified under the key the verifier already pins, within its life.
use alloc::vec::Vec;
use core::time::Duration;

use prost::Message as _;
use thiserror::Error;

use crate::{
    address::{AddressError, ServerAddress},
    canonical::{self, CanonicalError, Mode},
    keys::{ServerKey, ServerPublicKey},
    label,
    manifest::SKEW,
    proto::identity::MovedBody,
    signature::{SignatureError, SignedIn},
    time::Timestamp,
};

/// How long a `moved` is served by the old and the new server, and its longest life (spec §11.9.2).
pub const LIFE: Duration = Duration::from_secs(180 * 24 * 60 * 60);

/// A `moved` as it came.
#[derive(Clone, Debug)]
pub struct MovedIn {
    signed: SignedIn,
    from: ServerPublicKey,
    to: ServerAddress,
    number: u32,
    expires: Timestamp,
}

impl MovedIn {
    /// Reads the bytes that travel.
    ///
    /// # Errors
    /// The rule of §10.4 or §11.12 that they break.
    pub fn decode(bytes: &[u8]) -> Result<Self, MovedError> {
        Self::parse(SignedIn::decode(bytes, MAX_BODY)?)
    }

    /// Checks that the server with the key `from` signed it, and that it is within its life at `now`.
    ///
    /// # Errors
    /// [`MovedError::Server`], [`MovedError::Dates`] or [`MovedError::Signature`].
    pub fn verify(self, from: &ServerPublicKey, now: Timestamp) -> Result<Moved, MovedError> {
        let Self { signed, from: claimed, to, number, expires } = self;
        if claimed != *from {
            return Err(MovedError::Server);
        }
        if expires <= now || expires > now.saturating_add(LIFE).saturating_add(SKEW) {
            return Err(MovedError::Dates { expires });
        }
        signed.verify(&from.0, label::MOVED).map_err(MovedError::Signature)?;
        Ok(Moved { signed, from: claimed, to, number, expires })
    }

    /// The bytes that travel.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.signed.encode()
    }

    fn parse(signed: SignedIn) -> Result<Self, MovedError> {
        let body: MovedBody = canonical::decode(&signed.body, Mode::SignedBody)?;
        let MovedBody { format, from, to, number, expires } = body;
        if format != FORMAT {
            return Err(MovedError::Format { found: format });
        }
        let from = ServerPublicKey::from_bytes(&from).map_err(|_| MovedError::Server)?;
        let to = ServerAddress::parse(&to.unwrap_or_default())?;
        Ok(Self { signed, from, to, number, expires: Timestamp(expires) })
    }
}

/// A server's own word that it is found elsewhere (spec §11.9).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Moved {
    signed: SignedIn,
    from: ServerPublicKey,
    to: ServerAddress,
    number: u32,
    expires: Timestamp,
}

impl Moved {
    /// The key it had.
    #[must_use]
    pub fn from(&self) -> &ServerPublicKey {
        &self.from
    }

    /// Where it is now; the key may be the same. An address that is not public is refused like any other (§11.12.4).
    #[must_use]
    pub fn to(&self) -> &ServerAddress {
        &self.to
    }

    /// Of two by one key the higher number counts.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// When it ends.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    /// The bytes that travel.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.signed.encode()
    }
}

impl ServerKey {
    /// Says that this server is found at `to` from now on.
    ///
    /// # Errors
    /// None for values that exist; typed because what is signed is read back.
    pub fn sign_moved(&self, to: &ServerAddress, number: u32, expires: Timestamp) -> Result<MovedIn, MovedError> {
        let body = MovedBody {
            format: FORMAT,
            from: self.public_key().as_bytes().to_vec(),
            to: Some(to.to_proto()),
            number,
            expires: expires.0,
        };
        MovedIn::parse(SignedIn::sign(&self.0, label::MOVED, body.encode_to_vec()))
    }
}

/// Why a `moved` was refused (spec §11.9). Safe to log.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum MovedError {
    /// The bytes break the encoding.
    #[error(transparent)]
    Encoding(#[from] CanonicalError),
    /// Made by a newer version: update.
    #[error("§11.3.2: format {found} is not known")]
    Format {
        /// The format number found.
        found: u32,
    },
    /// The server did not sign it.
    #[error("§11.3.3: {0}")]
    Signature(SignatureError),
    /// The new address is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// It is another server's.
    #[error("§11.9.1: another server moved")]
    Server,
    /// It is over, or lives for too long.
    #[error("§11.9.2: over or too long, it ends at {}", expires.0)]
    Dates {
        /// When it says it ends.
        expires: Timestamp,
    },
}

const FORMAT: u32 = 1;
const MAX_BODY: usize = 2048;
