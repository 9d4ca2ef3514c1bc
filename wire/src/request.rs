//! Requests that change an account. Implements spec/11-identity.md §11.11.
//!
//! ```text
//! device signs {signer, TLS exporter of this connection, number, request}     no password, nothing to replay elsewhere
//! ```
//! Invariants: a [`BoundRequest`] exists only verified, on the connection it was made for, in its turn.
//! Not here: what the request says (`keyserver`), and whether that device may ask for it.
use alloc::vec::Vec;

use prost::Message as _;
use subtle::ConstantTimeEq as _;
use thiserror::Error;

use crate::{
    canonical::{self, CanonicalError, Mode},
    keys::DeviceKey,
    label,
    manifest::Manifest,
    proto::identity::RequestBody,
    signature::{SignatureError, SignedIn},
    signer::{Signer, SignerError},
};

/// The label under which both ends export 32 bytes from the TLS session, with an empty context (RFC 8446 §7.5).
pub const EXPORTER_LABEL: &str = label::EXPORTER.0;

/// Most bytes of a request inside.
pub const MAX_REQUEST: usize = 65_000;

/// What both ends of one connection export under [`EXPORTER_LABEL`]. 32 bytes, no two connections share it.
#[derive(Clone, Copy)]
pub struct Exporter([u8; 32]);

impl Exporter {
    /// Takes what TLS exported.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl core::fmt::Debug for Exporter {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Exporter(..)")
    }
}

/// A bound request as it came.
#[derive(Clone, Debug)]
pub struct BoundRequestIn {
    signed: SignedIn,
    signer: Signer,
    exporter: [u8; 32],
    number: u32,
    request: Vec<u8>,
}

impl BoundRequestIn {
    /// Reads the bytes that travel.
    ///
    /// # Errors
    /// The rule of §10.4 that they break.
    pub fn decode(bytes: &[u8]) -> Result<Self, RequestError> {
        Self::parse(SignedIn::decode(bytes, MAX_BODY)?)
    }

    /// Who claims to ask: whose manifest verifies it.
    #[must_use]
    pub fn signer(&self) -> Signer {
        self.signer
    }

    /// Checks that it was made on this connection, is its request `number` (counted from 0), and is signed by a device of
    /// `manifest`.
    ///
    /// # Errors
    /// [`RequestError::Connection`] or [`RequestError::Number`] if it was made for another place; otherwise who did not
    /// sign. The caller counts up only after success.
    pub fn verify(self, manifest: &Manifest, exporter: &Exporter, number: u32) -> Result<BoundRequest, RequestError> {
        let Self { signed, signer, exporter: claimed, number: found, request } = self;
        if !bool::from(claimed.ct_eq(&exporter.0)) {
            return Err(RequestError::Connection);
        }
        if found != number {
            return Err(RequestError::Number { found, expected: number });
        }
        signed.verify(&signer.key(manifest)?.0, label::REQUEST).map_err(RequestError::Signature)?;
        Ok(BoundRequest { signer, request })
    }

    /// The bytes that travel.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.signed.encode()
    }

    fn parse(signed: SignedIn) -> Result<Self, RequestError> {
        let body: RequestBody = canonical::decode(&signed.body, Mode::SignedBody)?;
        let RequestBody { format, account, generation, device, exporter, number, request } = body;
        if format != FORMAT {
            return Err(RequestError::Format { found: format });
        }
        let signer = Signer::parse(&account, generation, device)?;
        let exporter = <[u8; 32]>::try_from(exporter.as_slice()).map_err(|_| RequestError::Connection)?;
        Ok(Self { signed, signer, exporter, number, request })
    }
}

/// A request that a device made on this connection (spec §11.11).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BoundRequest {
    signer: Signer,
    request: Vec<u8>,
}

impl BoundRequest {
    /// Which device asks.
    #[must_use]
    pub fn signer(&self) -> Signer {
        self.signer
    }

    /// What it asks.
    #[must_use]
    pub fn request(&self) -> &[u8] {
        &self.request
    }
}

impl DeviceKey {
    /// Signs `request` as number `number` of the connection with that exporter, for `signer`, whose key this is.
    ///
    /// # Errors
    /// If the request is empty or above [`MAX_REQUEST`].
    pub fn sign_request(
        &self,
        signer: Signer,
        exporter: &Exporter,
        number: u32,
        request: &[u8],
    ) -> Result<BoundRequestIn, RequestError> {
        let body = RequestBody {
            format: FORMAT,
            account: signer.account.as_bytes().to_vec(),
            generation: signer.generation.0,
            device: u32::from(signer.device.value()),
            exporter: exporter.0.to_vec(),
            number,
            request: request.to_vec(),
        };
        BoundRequestIn::parse(SignedIn::sign(&self.0, label::REQUEST, body.encode_to_vec()))
    }
}

/// Why a bound request was refused (spec §11.11). Safe to log.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum RequestError {
    /// The bytes break the encoding.
    #[error(transparent)]
    Encoding(#[from] CanonicalError),
    /// Made by a newer version: update.
    #[error("§11.3.2: format {found} is not known")]
    Format {
        /// The format number found.
        found: u32,
    },
    /// The manifest has no key for it.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// The device did not sign it.
    #[error("§11.3.3: {0}")]
    Signature(SignatureError),
    /// Made for another connection: a replay, or somebody in between.
    #[error("§11.11.1: the request is of another connection")]
    Connection,
    /// Not this connection's next one: a replay, or out of order.
    #[error("§11.11.2: request {found} where {expected} is due")]
    Number {
        /// The number found.
        found: u32,
        /// The number due.
        expected: u32,
    },
}

const FORMAT: u32 = 1;
const MAX_BODY: usize = 65_400;
