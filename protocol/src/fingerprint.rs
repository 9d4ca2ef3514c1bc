//! Safety numbers: what two people compare to know that nobody sits between them. Implements spec/09-safety-numbers.md.
//!
//! ```text
//!   (key, id) ──n hashes──▶ Fingerprint ──┬── 30 digits of each side, sorted ──▶ display: read aloud
//!   one per side                          └── 32 bytes of each side ───────────▶ scannable: in a QR code
//! ```
//! Invariants: both sides see the same digits; a scanned code matches only if each side has the other's key and id as the
//! other has its own.
//! Not here: who was verified, and what happens when a key changes (the caller).

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use prost::Message as _;
use sha2::{Digest, Sha512};
use subtle::ConstantTimeEq;
use thiserror::Error;

use crate::curve::IdentityKey;
use crate::label;
use crate::message::DecodeError;

/// How many hashes a fingerprint takes (spec §9.1): the cost of looking for a key whose fingerprint resembles another's.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Iterations(u32);

impl Iterations {
    /// 5,200, what Signal's apps use: about 2^12.3 times the work per trial, 112 bits in all for 30 digits (spec §9.1).
    pub const STANDARD: Self = Self(5_200);

    /// Another number; both sides must use the same.
    ///
    /// # Errors
    /// [`IterationsError`] outside 2 to 1,000,000, which is what the official library takes.
    pub const fn new(iterations: u32) -> Result<Self, IterationsError> {
        match iterations {
            2..=1_000_000 => Ok(Self(iterations)),
            got => Err(IterationsError { got }),
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// A number of iterations outside 2 to 1,000,000.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("{got} iterations are not in 2..=1000000")]
pub struct IterationsError {
    /// The number that came.
    pub got: u32,
}

/// What the stable id is, written into the scannable form (spec §9.3). The hash is the same for both.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum FingerprintVersion {
    /// 1: a phone number, in Signal's older apps.
    PhoneNumber,
    /// 2: a service id in Signal's apps, an account id in Waxwing's.
    AccountId,
}

impl FingerprintVersion {
    /// 1 or 2.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::PhoneNumber => 1,
            Self::AccountId => 2,
        }
    }
}

/// One side's half of a safety number: 32 bytes that stand for its key and id (spec §9.1). Not secret. Computing it costs
/// thousands of hashes, so keep the own one: it is the same towards everybody.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Hashes `key` and `stable_id`, any bytes that name the account for good (spec §9.1).
    ///
    /// In Waxwing: the recovery key's Montgomery form ([`IdentityKey::from_ed25519`]), the 32-byte account id, and
    /// [`Iterations::STANDARD`].
    #[must_use]
    pub fn new(key: &IdentityKey, stable_id: &[u8], iterations: Iterations) -> Self {
        let key = key.to_bytes();
        let first = Sha512::new().chain_update(label::FINGERPRINT.as_bytes()).chain_update(key);
        let mut hash = first.chain_update(stable_id).chain_update(key).finalize();
        // Hash ‖ key in one piece: given in two, each of the thousands of rounds costs a tenth more.
        let mut input = [0; 64 + 33];
        let (_, tail) = input.split_at_mut(64);
        tail.copy_from_slice(&key);
        for _ in 1..iterations.0 {
            let (head, _) = input.split_at_mut(64);
            head.copy_from_slice(&hash);
            hash = Sha512::digest(input.as_slice());
        }
        let mut bytes = [0; 32];
        let (kept, _) = hash.split_at(32);
        bytes.copy_from_slice(kept);
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Restores a fingerprint that was computed before.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// 30 digits: six times five bytes, big-endian, modulo 100,000 (spec §9.2).
    fn write_digits(&self, out: &mut impl fmt::Write) -> fmt::Result {
        let (chunks, _) = self.0.as_chunks::<5>();
        chunks.iter().try_for_each(|chunk| {
            let number = chunk.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
            write!(out, "{:05}", number % 100_000)
        })
    }
}

/// What two people compare (spec §9.2, §9.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SafetyNumber {
    /// Both sides must use the same.
    pub version: FingerprintVersion,
    /// Ours.
    pub local: Fingerprint,
    /// The other's, as we have it.
    pub remote: Fingerprint,
}

impl SafetyNumber {
    /// The 60 digits that both sides see alike (spec §9.2). Apps show them in groups of five.
    #[must_use]
    pub fn display(&self) -> String {
        let digits = |fingerprint: &Fingerprint| {
            let mut digits = String::with_capacity(60);
            // Writing into a string cannot fail.
            let _ = fingerprint.write_digits(&mut digits);
            digits
        };
        let (local, remote) = (digits(&self.local), digits(&self.remote));
        let (mut first, second) = if local <= remote { (local, remote) } else { (remote, local) };
        first.push_str(&second);
        first
    }

    /// What the QR code holds, 74 bytes (spec §9.3): for the other's [`Self::compare`].
    #[must_use]
    pub fn scannable(&self) -> ScannableFingerprint {
        let Self { version, local, remote } = *self;
        ScannableFingerprint { version: version.number(), local: local.0.into(), remote: remote.0.into() }
    }

    /// Compares with what was scanned from the other's screen: what they call local must be our remote, and the reverse.
    ///
    /// # Errors
    /// [`CompareError::Version`] says who must update the app; [`CompareError::Different`] that there is somebody between
    /// the two, or that one of them has changed keys and the other does not know yet.
    pub fn compare(&self, scanned: &ScannableFingerprint) -> Result<(), CompareError> {
        let ours = self.version.number();
        if scanned.version != ours {
            return Err(CompareError::Version { ours, theirs: scanned.version });
        }
        let same = scanned.local.ct_eq(&self.remote.0) & scanned.remote.ct_eq(&self.local.0);
        if same.into() { Ok(()) } else { Err(CompareError::Different) }
    }
}

/// Why a scanned safety number does not match. Safe to log.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum CompareError {
    /// The versions differ: nothing can be said about the keys. Whoever has the lower one must update.
    #[error("the scanned safety number has version {theirs}, ours {ours}")]
    Version {
        /// Ours.
        ours: u32,
        /// As scanned.
        theirs: u32,
    },
    /// The keys, or the ids, are not the same on both sides: do not talk until it is clear why.
    #[error("the safety numbers are different")]
    Different,
}

/// What a QR code said (spec §9.3). It is a claim until [`SafetyNumber::compare`]d.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ScannableFingerprint {
    version: u32,
    local: Vec<u8>,
    remote: Vec<u8>,
}

/// Nothing longer was ever in such a QR code.
const MAX_SCANNABLE: usize = 512;

impl ScannableFingerprint {
    /// Parses what was scanned. A version that we do not know parses, so that [`SafetyNumber::compare`] can say so.
    ///
    /// # Errors
    /// [`DecodeError`]: it is no safety number.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > MAX_SCANNABLE {
            return Err(DecodeError::TooLong { got: bytes.len() });
        }
        let body = CombinedBody::decode(bytes).map_err(|_| DecodeError::Protobuf)?;
        let require =
            |half: Option<LogicalBody>, field| half.and_then(|half| half.content).ok_or(DecodeError::Missing { field });
        Ok(Self {
            version: body.version.unwrap_or(0),
            local: require(body.local, "local_fingerprint")?,
            remote: require(body.remote, "remote_fingerprint")?,
        })
    }

    /// The bytes for the QR code.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let half = |content: &[u8]| Some(LogicalBody { content: Some(content.into()) });
        let body = CombinedBody { version: Some(self.version), local: half(&self.local), remote: half(&self.remote) };
        body.encode_to_vec()
    }

    /// The version the other side uses.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_digits(f)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct CombinedBody {
    #[prost(uint32, optional, tag = "1")]
    version: Option<u32>,
    #[prost(message, optional, tag = "2")]
    local: Option<LogicalBody>,
    #[prost(message, optional, tag = "3")]
    remote: Option<LogicalBody>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct LogicalBody {
    #[prost(bytes = "vec", optional, tag = "1")]
    content: Option<Vec<u8>>,
}
