//! `SenderKeyMessage` and `SenderKeyDistributionMessage`: a group's messages and how members learn to read them
//! (spec §4.5, §4.7).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use zeroize::{Zeroize, Zeroizing};

use super::error::DecodeError;
use super::framing::{self, Versions};
use super::proto::{DistributionBody, SenderKeyBody};
use crate::curve::{EncodedKey, InvalidSignature, Signature, VerifyingKey};
use crate::ratchet::ChainKey;

/// Both are version 3, in both nibbles.
const VERSION: u8 = 3;
const VERSIONS: Versions = Versions { oldest: VERSION, newest: VERSION };
const SIGNATURE: usize = 64;
/// A distribution message holds two keys at least: 32 and 33 bytes.
const SHORTEST_DISTRIBUTION: usize = 65;

/// Names a sender key: a UUID's 16 bytes, big-endian as RFC 9562 prints them.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct DistributionId(pub [u8; 16]);

/// A group message as it travels: version ‖ protobuf ‖ signature (spec §4.5).
///
/// Decoding does not verify the signature: only the group session knows whose it must be.
#[derive(Clone, Eq, PartialEq)]
pub struct SenderKeyMessage {
    bytes: Box<[u8]>,
    distribution_id: DistributionId,
    chain_id: u32,
    iteration: u32,
    ciphertext: Vec<u8>,
    signature: Signature,
}

impl SenderKeyMessage {
    /// Assembles a message; `sign` is given the version byte and protobuf, and returns the sender key's signature.
    #[must_use]
    pub fn new(
        distribution_id: DistributionId,
        chain_id: u32,
        iteration: u32,
        ciphertext: Vec<u8>,
        sign: impl FnOnce(&[u8]) -> Signature,
    ) -> Self {
        let body = SenderKeyBody {
            distribution_uuid: Some(distribution_id.0.into()),
            chain_id: Some(chain_id),
            iteration: Some(iteration),
            ciphertext: Some(ciphertext),
        };
        let mut bytes = framing::frame(VERSION, VERSION, &body, SIGNATURE);
        let signature = sign(&bytes);
        bytes.extend_from_slice(signature.as_bytes());
        let (bytes, ciphertext) = (bytes.into_boxed_slice(), body.ciphertext.unwrap_or_default());
        Self { bytes, distribution_id, chain_id, iteration, ciphertext, signature }
    }

    /// Parses `bytes` (spec §4.5); all four fields are required.
    ///
    /// # Errors
    /// [`DecodeError`]: the sender, or whoever touched the bytes, is at fault.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        framing::check_length(bytes, 1 + SIGNATURE)?;
        let (_, rest) = framing::split_version(bytes, VERSIONS)?;
        let too_short = DecodeError::TooShort { got: bytes.len() };
        let (body, signature) = rest.split_last_chunk::<SIGNATURE>().ok_or(too_short)?;
        let body: SenderKeyBody = framing::decode(body)?;
        Ok(Self {
            bytes: bytes.into(),
            distribution_id: distribution_id(body.distribution_uuid)?,
            chain_id: framing::require(body.chain_id, "chain_id")?,
            iteration: framing::require(body.iteration, "iteration")?,
            ciphertext: framing::require(body.ciphertext, "ciphertext")?,
            signature: Signature::from_bytes(*signature),
        })
    }

    /// Whether the sender key's owner signed it, version byte and protobuf (spec §7.3).
    pub(crate) fn verify(&self, key: &VerifyingKey) -> Result<(), InvalidSignature> {
        let (signed, _) = self.bytes.split_last_chunk::<SIGNATURE>().ok_or(InvalidSignature)?;
        key.verify(&[signed], &self.signature)
    }

    /// The bytes that travel.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Which sender key of the sender's.
    #[must_use]
    pub const fn distribution_id(&self) -> DistributionId {
        self.distribution_id
    }

    /// Which chain of that sender key.
    #[must_use]
    pub const fn chain_id(&self) -> u32 {
        self.chain_id
    }

    /// The message's number in its chain, from 0.
    #[must_use]
    pub const fn iteration(&self) -> u32 {
        self.iteration
    }

    /// AES-256-CBC ciphertext.
    #[must_use]
    pub fn ciphertext(&self) -> &[u8] {
        &self.ciphertext
    }

    /// The signature over everything before it, unverified.
    #[must_use]
    pub const fn signature(&self) -> &Signature {
        &self.signature
    }
}

/// What a member needs to read a sender's next group messages: version ‖ protobuf (spec §4.7). It holds a chain key, so it
/// only ever travels inside a pairwise session; its bytes are wiped on drop.
pub struct SenderKeyDistributionMessage {
    bytes: Zeroizing<Vec<u8>>,
    distribution_id: DistributionId,
    chain_id: u32,
    iteration: u32,
    chain_key: Box<Zeroizing<[u8; 32]>>,
    signing_key: VerifyingKey,
}

impl SenderKeyDistributionMessage {
    /// Assembles the message that lets a member read a chain from its present place on (spec §4.7).
    pub(crate) fn new(
        distribution_id: DistributionId,
        chain_id: u32,
        chain_key: &ChainKey,
        signing_key: VerifyingKey,
    ) -> Self {
        let mut message = Self {
            bytes: Zeroizing::default(),
            distribution_id,
            chain_id,
            iteration: chain_key.index(),
            chain_key: Box::new(Zeroizing::new(*chain_key.as_bytes())),
            signing_key,
        };
        message.bytes = message.encode();
        message
    }

    /// Parses `bytes` (spec §4.7): all five fields are required, chain key 32 bytes, signing key 33.
    ///
    /// # Errors
    /// [`DecodeError`]: the sender is at fault.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        framing::check_length(bytes, SHORTEST_DISTRIBUTION)?;
        let (_, rest) = framing::split_version(bytes, VERSIONS)?;
        let body: DistributionBody = framing::decode(rest)?;
        let key_bytes = Zeroizing::new(framing::require(body.chain_key, "chain_key")?);
        let chain_key: &[u8; 32] =
            key_bytes.as_slice().try_into().map_err(|_| DecodeError::Invalid { field: "chain_key" })?;
        let signing_key = framing::require(body.signing_key, "signing_key")?;
        let signing_key =
            EncodedKey::parse(&signing_key).and_then(|key| key.point()).map_err(DecodeError::key("signing_key"))?;
        Ok(Self {
            bytes: Zeroizing::new(bytes.into()),
            distribution_id: distribution_id(body.distribution_uuid)?,
            chain_id: framing::require(body.chain_id, "chain_id")?,
            iteration: framing::require(body.iteration, "iteration")?,
            chain_key: Box::new(Zeroizing::new(*chain_key)),
            signing_key: VerifyingKey::new(&signing_key),
        })
    }

    /// Encodes the same values anew: byte for byte what was decoded, if the sender was canonical.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut body = DistributionBody {
            distribution_uuid: Some(self.distribution_id.0.into()),
            chain_id: Some(self.chain_id),
            iteration: Some(self.iteration),
            chain_key: Some(self.chain_key.to_vec()),
            signing_key: Some(self.signing_key.encoded().to_bytes().into()),
        };
        let bytes = Zeroizing::new(framing::frame(VERSION, VERSION, &body, 0));
        body.chain_key.zeroize();
        bytes
    }

    /// The bytes that travel.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Which sender key of the sender's.
    #[must_use]
    pub const fn distribution_id(&self) -> DistributionId {
        self.distribution_id
    }

    /// Which chain of that sender key.
    #[must_use]
    pub const fn chain_id(&self) -> u32 {
        self.chain_id
    }

    /// The first message that a receiver of this can read.
    #[must_use]
    pub const fn iteration(&self) -> u32 {
        self.iteration
    }

    /// The key that signs the sender's messages: 33 bytes.
    #[must_use]
    pub fn signing_key(&self) -> [u8; 33] {
        self.signing_key.encoded().to_bytes()
    }

    /// The signing key, ready to verify with.
    pub(crate) const fn verifying_key(&self) -> &VerifyingKey {
        &self.signing_key
    }

    /// The chain from [`Self::iteration`] on.
    pub(crate) fn chain(&self) -> ChainKey {
        ChainKey::new(&self.chain_key, self.iteration)
    }
}

fn distribution_id(field: Option<Vec<u8>>) -> Result<DistributionId, DecodeError> {
    let uuid = framing::require(field, "distribution_uuid")?;
    let uuid = uuid.try_into().map_err(|_| DecodeError::Invalid { field: "distribution_uuid" })?;
    Ok(DistributionId(uuid))
}

impl fmt::Debug for SenderKeyMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, distribution_id: _, chain_id, iteration, ciphertext: _, signature: _ } = self;
        f.debug_struct("SenderKeyMessage")
            .field("chain_id", chain_id)
            .field("iteration", iteration)
            .field("len", &bytes.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SenderKeyDistributionMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes: _, distribution_id: _, chain_id, iteration, chain_key: _, signing_key: _ } = self;
        f.debug_struct("SenderKeyDistributionMessage")
            .field("chain_id", chain_id)
            .field("iteration", iteration)
            .finish_non_exhaustive()
    }
}
