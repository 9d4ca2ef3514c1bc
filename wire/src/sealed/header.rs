//! An object's header, and the keys that follow from it. Implements spec/12-sealed-objects.md §12.2 and §12.3.
//!
//! Invariants: Argon2id parameters are checked against floor and ceiling before memory is taken; keys exist only after the
//! commitment matched.
//! Not here: what is done with the keys ([`super::stream`]).
use alloc::{boxed::Box, vec::Vec};
use core::fmt;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{ObjectSecret, OpenError, Purpose, SealError, size::Plan, stream::Stream};
use crate::kdf::hkdf;

/// The parsed beginning of an object. Holds nothing secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header {
    access: Access,
    salt: [u8; 32],
    commitment: [u8; 32],
}

impl Header {
    /// Bytes that are always enough to parse a header.
    pub const MOST: usize = PASSPHRASE_HEADER;

    /// Takes the header off the beginning of an object; the rest are segments. When an object arrives in pieces, give the
    /// first [`Self::MOST`] bytes, or all there are.
    ///
    /// # Errors
    /// [`OpenError::Header`], [`OpenError::UnknownFormat`], [`OpenError::Parameters`].
    pub fn parse(object: &[u8]) -> Result<(Self, &[u8]), OpenError> {
        let (access, rest) = match object.split_first().ok_or(OpenError::Header)? {
            (&SECRET, rest) => (Access::Secret, rest),
            (&PASSPHRASE, rest) => {
                let (&[m0, m1, m2, m3, passes, lanes], rest) = rest.split_first_chunk().ok_or(OpenError::Header)?;
                let memory = u32::from_be_bytes([m0, m1, m2, m3]);
                let parameters = Parameters::new(memory, passes, lanes).map_err(|_| OpenError::Parameters)?;
                (Access::Passphrase(parameters), rest)
            }
            (&format, _) => return Err(OpenError::UnknownFormat(format)),
        };
        let (&salt, rest) = rest.split_first_chunk().ok_or(OpenError::Header)?;
        let (&commitment, rest) = rest.split_first_chunk().ok_or(OpenError::Header)?;
        Ok((Self { access, salt, commitment }, rest))
    }

    /// What a passphrase object asks for, so that a program can say so before it computes; none for a secret's.
    #[must_use]
    pub const fn parameters(&self) -> Option<Parameters> {
        match self.access {
            Access::Secret => None,
            Access::Passphrase(parameters) => Some(parameters),
        }
    }

    /// Bytes of the header.
    pub(super) const fn size(&self) -> usize {
        match self.access {
            Access::Secret => SECRET_HEADER,
            Access::Passphrase(_) => PASSPHRASE_HEADER,
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.access.encode();
        bytes.extend_from_slice(&self.salt);
        bytes.extend_from_slice(&self.commitment);
        bytes
    }

    /// A fresh header for `secret`, and the cipher that goes with it.
    pub(super) fn create(
        secret: &ObjectSecret,
        place: Place<'_>,
        plan: Plan,
        rng: &mut impl CryptoRng,
    ) -> Result<(Self, Stream), SealError> {
        place.check().map_err(|_| SealError::Context)?;
        Ok(Self::fill(Access::Secret, secret.expose(), place, plan, fresh_salt(rng)))
    }

    /// As [`Self::create`], for a passphrase.
    pub(super) fn create_with_passphrase(
        passphrase: &Passphrase,
        parameters: Parameters,
        place: Place<'_>,
        plan: Plan,
        rng: &mut impl CryptoRng,
    ) -> Result<(Self, Stream), SealError> {
        let salt = fresh_salt(rng);
        let secret = parameters.stretch(passphrase, &salt).ok_or(SealError::Parameters)?;
        Ok(Self::fill(Access::Passphrase(parameters), &secret, place, plan, salt))
    }

    fn fill(access: Access, secret: &[u8; 32], place: Place<'_>, plan: Plan, salt: [u8; 32]) -> (Self, Stream) {
        let keys = Keys::derive(secret, &salt, access, place);
        let header = Self { access, salt, commitment: keys.commitment };
        (header, keys.stream(plan))
    }

    /// The cipher of the object, if `secret` is the one it commits to.
    pub(super) fn unlock(&self, secret: &ObjectSecret, place: Place<'_>, plan: Plan) -> Result<Stream, OpenError> {
        match self.access {
            Access::Secret => self.unlock_with(secret.expose(), place, plan),
            Access::Passphrase(_) => Err(OpenError::UnknownFormat(PASSPHRASE)),
        }
    }

    /// As [`Self::unlock`], for a passphrase.
    pub(super) fn unlock_with_passphrase(
        &self,
        passphrase: &Passphrase,
        place: Place<'_>,
        plan: Plan,
    ) -> Result<Stream, OpenError> {
        let Access::Passphrase(parameters) = self.access else { return Err(OpenError::UnknownFormat(SECRET)) };
        let secret = parameters.stretch(passphrase, &self.salt).ok_or(OpenError::Parameters)?;
        self.unlock_with(&secret, place, plan)
    }

    fn unlock_with(&self, secret: &[u8; 32], place: Place<'_>, plan: Plan) -> Result<Stream, OpenError> {
        place.check()?;
        let keys = Keys::derive(secret, &self.salt, self.access, place);
        if bool::from(keys.commitment.ct_eq(&self.commitment)) {
            Ok(keys.stream(plan))
        } else {
            Err(OpenError::Commitment)
        }
    }
}

/// What an object is for and where it belongs: both enter its keys (spec §12.1).
#[derive(Clone, Copy)]
pub(super) struct Place<'c> {
    pub(super) purpose: Purpose,
    pub(super) context: &'c [u8],
}

impl Place<'_> {
    fn check(self) -> Result<(), OpenError> {
        u8::try_from(self.context.len()).map(|_| ()).map_err(|_| OpenError::Context)
    }
}

/// How much work Argon2id does for a passphrase (spec §12.2). Only values within floor and ceiling exist.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Parameters {
    memory: u32,
    passes: u8,
    lanes: u8,
}

impl Parameters {
    /// Memory in KiB (65,536 to 1,048,576), passes (3 to 10), lanes (1 to 4); memory times passes at most 4,194,304.
    ///
    /// # Errors
    /// [`SealError::Parameters`]: one of them is outside its bounds.
    pub fn new(memory: u32, passes: u8, lanes: u8) -> Result<Self, SealError> {
        let work = memory.saturating_mul(u32::from(passes));
        let allowed =
            MEMORY.contains(&memory) && PASSES.contains(&passes) && LANES.contains(&lanes) && work <= MOST_WORK;
        if allowed { Ok(Self { memory, passes, lanes }) } else { Err(SealError::Parameters) }
    }

    /// Memory in KiB.
    #[must_use]
    pub const fn memory(&self) -> u32 {
        self.memory
    }

    /// Passes over that memory.
    #[must_use]
    pub const fn passes(&self) -> u8 {
        self.passes
    }

    /// Argon2id's output for the passphrase; none if the memory is not to be had.
    fn stretch(self, passphrase: &Passphrase, salt: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
        let Self { memory, passes, lanes } = self;
        let parameters = Params::new(memory, u32::from(passes), u32::from(lanes), Some(32)).ok()?;
        let mut blocks = Vec::new();
        blocks.try_reserve_exact(parameters.block_count()).ok()?;
        blocks.resize(parameters.block_count(), Block::default());
        let mut output = Zeroizing::new([0; 32]);
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters);
        let done = argon2.hash_password_into_with_memory(&passphrase.0, salt, output.as_mut_slice(), &mut blocks);
        blocks.iter_mut().for_each(Zeroize::zeroize);
        done.ok().map(|()| output)
    }
}

impl Default for Parameters {
    /// 256 MiB, 3 passes, 1 lane.
    fn default() -> Self {
        Self { memory: 262_144, passes: 3, lanes: 1 }
    }
}

/// What a person typed, as bytes: UTF-8 in NFC, which the program that asks for it sees to. 1 to 1,024 bytes.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Passphrase(Box<[u8]>);

impl Passphrase {
    /// Takes the bytes; none if there are no bytes or more than 1,024.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        if (1..=1_024).contains(&bytes.len()) { Some(Self(bytes.into())) } else { None }
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// How one gets at the object's keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Access {
    Secret,
    Passphrase(Parameters),
}

impl Access {
    /// The header before its salt.
    fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(PASSPHRASE_HEADER);
        match self {
            Self::Secret => bytes.push(SECRET),
            Self::Passphrase(Parameters { memory, passes, lanes }) => {
                bytes.push(PASSPHRASE);
                bytes.extend_from_slice(&memory.to_be_bytes());
                bytes.extend_from_slice(&[passes, lanes]);
            }
        }
        bytes
    }
}

/// What the secret expands to: key[32] ‖ prefix[7] ‖ commitment[32].
struct Keys {
    key: Zeroizing<[u8; 32]>,
    prefix: [u8; 7],
    commitment: [u8; 32],
}

impl Keys {
    fn derive(secret: &[u8; 32], salt: &[u8; 32], access: Access, place: Place<'_>) -> Self {
        let mut tail = access.encode();
        // `Place::check` came first.
        tail.push(u8::try_from(place.context.len()).unwrap_or(u8::MAX));
        tail.extend_from_slice(place.context);
        let output: Zeroizing<[u8; 71]> = hkdf(Some(salt), secret, &place.purpose.label().with(&tail));
        let mut keys = Self { key: Zeroizing::new([0; 32]), prefix: [0; 7], commitment: [0; 32] };
        let parts = keys.key.iter_mut().chain(&mut keys.prefix).chain(&mut keys.commitment);
        parts.zip(output.iter()).for_each(|(part, byte)| *part = *byte);
        keys
    }

    fn stream(&self, plan: Plan) -> Stream {
        Stream::new(&self.key, self.prefix, plan)
    }
}

fn fresh_salt(rng: &mut impl CryptoRng) -> [u8; 32] {
    let mut salt = [0; 32];
    rng.fill_bytes(&mut salt);
    salt
}

const SECRET: u8 = 0x01;
const PASSPHRASE: u8 = 0x02;
pub(super) const SECRET_HEADER: usize = 65;
pub(super) const PASSPHRASE_HEADER: usize = 71;
const MEMORY: core::ops::RangeInclusive<u32> = 65_536..=1_048_576;
const PASSES: core::ops::RangeInclusive<u8> = 3..=10;
const LANES: core::ops::RangeInclusive<u8> = 1..=4;
const MOST_WORK: u32 = 4_194_304;
