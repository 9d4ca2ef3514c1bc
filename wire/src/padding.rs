//! The six sizes of an envelope. Implements spec/14-relay-messages.md §14.2.
//!
//! ```text
//! envelope = header[48] ‖ shared          2,560 4,096 8,192 16,384 32,768 65,536 bytes, and no other
//! ```
//! Invariants: an [`Envelope`] and a [`SharedPart`] of another size do not exist, so nothing can be put that tells a length.
//! Not here: the padding itself, which stands inside the seal and is the protocol's; padded replies ([`crate::frame`]).
use alloc::{boxed::Box, vec::Vec};
use core::fmt;

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::label;

/// How long an envelope is. Nothing else is ever put.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum EnvelopeSize {
    /// 2,560 bytes: a usual text.
    B2560,
    /// 4,096 bytes: an opening with up to 3 devices of the sender's.
    B4096,
    /// 8,192 bytes.
    B8192,
    /// 16,384 bytes: the largest that an introduction or strangers' lane takes.
    B16384,
    /// 32,768 bytes.
    B32768,
    /// 65,536 bytes. More than that is a blob.
    B65536,
}

impl EnvelopeSize {
    /// All six, ascending.
    pub const ALL: [Self; 6] = [Self::B2560, Self::B4096, Self::B8192, Self::B16384, Self::B32768, Self::B65536];

    /// Bytes of the whole envelope.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::B2560 => 2_560,
            Self::B4096 => 4_096,
            Self::B8192 => 8_192,
            Self::B16384 => 16_384,
            Self::B32768 => 32_768,
            Self::B65536 => 65_536,
        }
    }

    /// Bytes of the part that all recipients of a fan-out share: 48 fewer.
    #[must_use]
    pub const fn shared_bytes(self) -> usize {
        self.bytes().saturating_sub(EnvelopeHeader::SIZE)
    }

    /// The size of exactly so many bytes.
    #[must_use]
    pub fn exactly(bytes: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|size| size.bytes() == bytes)
    }

    /// The smallest size that holds so many bytes; none if it must be a blob.
    #[must_use]
    pub fn holding(bytes: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|size| size.bytes() >= bytes)
    }
}

/// A sealed message, padded: what a relay stores and a device opens. Opaque here.
#[derive(Clone, Eq, PartialEq)]
pub struct Envelope {
    size: EnvelopeSize,
    bytes: Box<[u8]>,
}

impl Envelope {
    /// Takes bytes of one of the six sizes.
    ///
    /// # Errors
    /// [`SizeError`]: pad inside the seal, or use a blob.
    pub fn new(bytes: Vec<u8>) -> Result<Self, SizeError> {
        let size = EnvelopeSize::exactly(bytes.len()).ok_or(SizeError { bytes: bytes.len() })?;
        Ok(Self { size, bytes: bytes.into_boxed_slice() })
    }

    /// What one recipient of a fan-out gets.
    #[must_use]
    pub fn of_parts(header: &EnvelopeHeader, shared: &SharedPart) -> Self {
        let mut bytes = Vec::with_capacity(shared.size.bytes());
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(&shared.bytes);
        Self { size: shared.size, bytes: bytes.into_boxed_slice() }
    }

    /// Its size.
    #[must_use]
    pub const fn size(&self) -> EnvelopeSize {
        self.size
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, given away.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes.into_vec()
    }

    /// The hash that a put's identity and its proof of work name (spec §14.2).
    #[must_use]
    pub fn hash(&self) -> EnvelopeHash {
        let (header, shared) = self.bytes.split_at_checked(EnvelopeHeader::SIZE).unwrap_or_default();
        EnvelopeHash::of_parts(header, &Sha256::digest(shared).into())
    }
}

/// The part of a fan-out that every recipient gets, 48 bytes short of an envelope.
#[derive(Clone, Eq, PartialEq)]
pub struct SharedPart {
    size: EnvelopeSize,
    bytes: Box<[u8]>,
}

impl SharedPart {
    /// Takes bytes that are 48 short of one of the six sizes.
    ///
    /// # Errors
    /// [`SizeError`]: pad inside the seal, or use a blob.
    pub fn new(bytes: Vec<u8>) -> Result<Self, SizeError> {
        let whole = bytes.len().saturating_add(EnvelopeHeader::SIZE);
        let size = EnvelopeSize::exactly(whole).ok_or(SizeError { bytes: bytes.len() })?;
        Ok(Self { size, bytes: bytes.into_boxed_slice() })
    }

    /// The size of the envelopes it becomes.
    #[must_use]
    pub const fn size(&self) -> EnvelopeSize {
        self.size
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256 of the part, computed once for all recipients (see [`EnvelopeHash::of_header`]).
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.bytes).into()
    }
}

/// The 48 bytes of a fan-out that are one recipient's own.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct EnvelopeHeader([u8; 48]);

impl EnvelopeHeader {
    /// Size in bytes.
    pub const SIZE: usize = 48;

    /// Takes the bytes as they are.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 48]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 48] {
        &self.0
    }
}

/// SHA-256(label ‖ 0x00 ‖ header ‖ SHA-256(shared)): the same for an envelope put alone and by a fan-out (spec §14.2).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct EnvelopeHash([u8; 32]);

impl EnvelopeHash {
    /// The hash of one recipient's envelope in a fan-out: one short hash each, however long the shared part is.
    #[must_use]
    pub fn of_header(header: &EnvelopeHeader, shared: &[u8; 32]) -> Self {
        Self::of_parts(&header.0, shared)
    }

    /// Takes a hash that was stored.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn of_parts(header: &[u8], shared: &[u8; 32]) -> Self {
        let hash = Sha256::new().chain_update(label::ENVELOPE.0).chain_update([0]);
        Self(hash.chain_update(header).chain_update(shared).finalize().into())
    }
}

/// Bytes that are no envelope: not of one of the six sizes (spec §14.2).
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("§14.2: {bytes} bytes is not the size of an envelope")]
pub struct SizeError {
    /// How many there were.
    pub bytes: usize,
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Envelope({})", self.size.bytes())
    }
}

impl fmt::Debug for SharedPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedPart({})", self.size.shared_bytes())
    }
}

impl fmt::Debug for EnvelopeHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnvelopeHeader(48)")
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn d3_only_the_six_sizes_are_envelopes() {
        let accepted: Vec<_> = (0..=70_000).filter(|length| Envelope::new(vec![0; *length]).is_ok()).collect();
        assert_eq!(accepted, [2_560, 4_096, 8_192, 16_384, 32_768, 65_536]);
        let shared: Vec<_> = (0..=70_000).filter(|length| SharedPart::new(vec![0; *length]).is_ok()).collect();
        assert_eq!(shared, [2_512, 4_048, 8_144, 16_336, 32_720, 65_488]);
    }

    #[test]
    fn an_envelope_hashes_alike_alone_and_in_a_fan_out() {
        let (header, shared) = (EnvelopeHeader::from_bytes([7; 48]), SharedPart::new(vec![9; 4_048]).unwrap());
        let envelope = Envelope::of_parts(&header, &shared);
        assert_eq!(envelope.hash(), EnvelopeHash::of_header(&header, &shared.digest()));
        assert_ne!(envelope.hash(), Envelope::new(vec![9; 4_096]).unwrap().hash());
    }

    #[test]
    fn the_smallest_size_that_holds_is_chosen() {
        assert_eq!(EnvelopeSize::holding(0), Some(EnvelopeSize::B2560));
        assert_eq!(EnvelopeSize::holding(2_561), Some(EnvelopeSize::B4096));
        assert_eq!(EnvelopeSize::holding(65_537), None);
    }
}
