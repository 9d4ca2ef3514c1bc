//! Prekeys as a device uploads them and a stranger fetches them. Implements spec/11-identity.md §11.10.
//!
//! ```text
//! Signed { body {signer, kind, id, key, identity signature}, Ed25519 of the device }
//!     server: checks it, keeps the bytes        client: checks it, then Signal's own signature (protocol crate)
//! ```
//! Invariants: a [`Prekey`] exists only verified under a manifest; kind, type byte and size agree, so that no key can be
//! taken for one of another kind (A2). This crate carries the key, it never computes with it.
use alloc::vec::Vec;

use prost::Message as _;
use thiserror::Error;

use crate::{
    canonical::{self, CanonicalError, Mode},
    keys::{DeviceKey, IdentityPublicKey},
    label,
    manifest::Manifest,
    proto::identity::PrekeyBody,
    signature::{Signature, SignatureError, SignedIn},
    signer::{Signer, SignerError},
};

/// What a prekey is for (spec §11.10.1). The numbers are the wire's.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum PrekeyKind {
    /// X25519, rotated, signed by the identity key.
    SignedX25519,
    /// X25519, handed out once.
    OneTimeX25519,
    /// Kyber1024, handed out once, signed by the identity key.
    OneTimeKyber1024,
    /// Kyber1024, rotated, for when no one-time key is left, signed by the identity key.
    LastResortKyber1024,
}

impl PrekeyKind {
    /// The number on the wire, 1 to 4.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::SignedX25519 => 1,
            Self::OneTimeX25519 => 2,
            Self::OneTimeKyber1024 => 3,
            Self::LastResortKyber1024 => 4,
        }
    }

    /// Whether the server hands it out once and forgets it.
    #[must_use]
    pub const fn is_one_time(self) -> bool {
        matches!(self, Self::OneTimeX25519 | Self::OneTimeKyber1024)
    }

    fn parse(number: u32) -> Result<Self, PrekeyError> {
        match number {
            1 => Ok(Self::SignedX25519),
            2 => Ok(Self::OneTimeX25519),
            3 => Ok(Self::OneTimeKyber1024),
            4 => Ok(Self::LastResortKyber1024),
            _ => Err(PrekeyError::Kind),
        }
    }

    fn fits(self, key: &[u8]) -> bool {
        match (self, key) {
            (Self::SignedX25519 | Self::OneTimeX25519, [TYPE_X25519, u @ ..]) => {
                IdentityPublicKey::from_bytes(u).is_ok()
            }
            (Self::OneTimeKyber1024 | Self::LastResortKyber1024, [TYPE_KYBER1024, rest @ ..]) => {
                rest.len() == KYBER1024
            }
            _ => false,
        }
    }
}

/// A prekey without its device's signature: what is uploaded, what is handed out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PrekeyFacts {
    /// What it is for.
    pub kind: PrekeyKind,
    /// Its id, from 1; random, never reused by a device.
    pub id: u32,
    /// As Signal serializes it: type byte (0x05 or 0x08) and key. 33 or 1,569 bytes.
    pub key: Vec<u8>,
    /// The identity key's `XEdDSA` signature over `key`; none for one-time X25519 prekeys.
    pub identity_signature: Option<Signature>,
}

/// A prekey as it came.
#[derive(Clone, Debug)]
pub struct PrekeyIn {
    signed: SignedIn,
    signer: Signer,
    facts: PrekeyFacts,
}

impl PrekeyIn {
    /// Reads the bytes that travel.
    ///
    /// # Errors
    /// The rule of §10.4 or §11.10 that they break.
    pub fn decode(bytes: &[u8]) -> Result<Self, PrekeyError> {
        Self::parse(SignedIn::decode(bytes, MAX_BODY)?)
    }

    /// Checks that the device is listed in `manifest` and vouches for the key.
    ///
    /// # Errors
    /// [`PrekeyError::Signer`] or [`PrekeyError::Signature`]: whoever handed it out substituted it.
    pub fn verify(self, manifest: &Manifest) -> Result<Prekey, PrekeyError> {
        let Self { signed, signer, facts } = self;
        signed.verify(&signer.key(manifest)?.0, label::PREKEY).map_err(PrekeyError::Signature)?;
        Ok(Prekey { signed, signer, facts })
    }

    /// The bytes that travel.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.signed.encode()
    }

    fn parse(signed: SignedIn) -> Result<Self, PrekeyError> {
        let body: PrekeyBody = canonical::decode(&signed.body, Mode::SignedBody)?;
        let PrekeyBody { format, account, generation, device, kind, id, key, identity_signature } = body;
        if format != FORMAT {
            return Err(PrekeyError::Format { found: format });
        }
        let signer = Signer::parse(&account, generation, device)?;
        let kind = PrekeyKind::parse(kind)?;
        if !kind.fits(&key) {
            return Err(PrekeyError::Key);
        }
        let identity_signature = match identity_signature.as_deref().map(<[u8; 64]>::try_from) {
            Some(Ok(bytes)) if kind != PrekeyKind::OneTimeX25519 => Some(Signature::from_bytes(bytes)),
            None if kind == PrekeyKind::OneTimeX25519 => None,
            _ => return Err(PrekeyError::IdentitySignature),
        };
        Ok(Self { signed, signer, facts: PrekeyFacts { kind, id, key, identity_signature } })
    }
}

/// A prekey that its device vouches for (spec §11.10).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Prekey {
    signed: SignedIn,
    signer: Signer,
    facts: PrekeyFacts,
}

impl Prekey {
    /// Whose it is.
    #[must_use]
    pub fn signer(&self) -> Signer {
        self.signer
    }

    /// Kind, id, key and the identity key's signature, which the protocol crate checks.
    #[must_use]
    pub fn facts(&self) -> &PrekeyFacts {
        &self.facts
    }

    /// The bytes that travel.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.signed.encode()
    }
}

impl DeviceKey {
    /// Vouches for a prekey of `signer`, whose key this is.
    ///
    /// # Errors
    /// The rule that the facts break.
    pub fn sign_prekey(&self, signer: Signer, facts: &PrekeyFacts) -> Result<PrekeyIn, PrekeyError> {
        let body = PrekeyBody {
            format: FORMAT,
            account: signer.account.as_bytes().to_vec(),
            generation: signer.generation.0,
            device: u32::from(signer.device.value()),
            kind: facts.kind.number(),
            id: facts.id,
            key: facts.key.clone(),
            identity_signature: facts.identity_signature.map(|signature| signature.as_bytes().to_vec()),
        };
        PrekeyIn::parse(SignedIn::sign(&self.0, label::PREKEY, body.encode_to_vec()))
    }
}

/// Why a prekey was refused (spec §11.10). Safe to log.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum PrekeyError {
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
    /// The kind is not 1 to 4.
    #[error("§11.10.1: a prekey of unknown kind")]
    Kind,
    /// Type byte, size or key do not fit the kind.
    #[error("§11.10.2: the key is not one of its kind")]
    Key,
    /// The identity key's signature is missing, or there where none belongs.
    #[error("§11.10.3: the identity key's signature is missing or misplaced")]
    IdentitySignature,
}

const FORMAT: u32 = 1;
const MAX_BODY: usize = 2048;
/// Signal's type bytes (spec/01).
const TYPE_X25519: u8 = 0x05;
const TYPE_KYBER1024: u8 = 0x08;
/// Bytes of a Kyber1024 public key.
const KYBER1024: usize = 1568;
