//! `SignalMessage`: one ratchet message (spec §4.3).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use subtle::ConstantTimeEq;

use super::error::DecodeError;
use super::framing::{self, CURRENT_VERSION, Versions};
use super::proto::SignalBody;
use crate::curve::{EncodedKey, IdentityKey, RatchetKey};
use crate::ratchet::MessageKeys;
use crate::suite::Suite;

const VERSIONS: Versions = Versions { oldest: 3, newest: 4 };
const MAC: usize = 8;

/// A ratchet message as it travels: version ‖ protobuf ‖ MAC (spec §4.3).
///
/// Decoding does not authenticate: nothing it says is to be believed before a session opened it.
#[derive(Clone, Eq, PartialEq)]
pub struct SignalMessage {
    bytes: Box<[u8]>,
    suite: Suite,
    ratchet_key: EncodedKey,
    counter: u32,
    previous_counter: u32,
    ciphertext: Vec<u8>,
    pq_ratchet: Option<Vec<u8>>,
    addresses: Option<Vec<u8>>,
}

/// What a session puts into a message.
pub(crate) struct SignalParts<'a> {
    pub(crate) suite: Suite,
    pub(crate) ratchet_key: RatchetKey,
    pub(crate) counter: u32,
    pub(crate) previous_counter: u32,
    pub(crate) ciphertext: Vec<u8>,
    pub(crate) pq_ratchet: Option<Vec<u8>>,
    pub(crate) addresses: Option<[u8; 36]>,
    pub(crate) keys: &'a MessageKeys,
    pub(crate) sender: &'a IdentityKey,
    pub(crate) recipient: &'a IdentityKey,
}

/// Encodes and authenticates (spec §4.3, §5.4).
pub(crate) fn seal(parts: SignalParts<'_>) -> Vec<u8> {
    let SignalParts { suite, ratchet_key, counter, previous_counter, ciphertext, pq_ratchet, addresses, .. } = parts;
    let body = SignalBody {
        ratchet_key: Some(ratchet_key.to_bytes().into()),
        counter: Some(counter),
        previous_counter: Some(previous_counter),
        ciphertext: Some(ciphertext),
        pq_ratchet,
        addresses: addresses.map(Into::into),
    };
    let mut bytes = framing::frame(suite.version(), CURRENT_VERSION, &body, MAC);
    let mac = parts.keys.mac(parts.sender, parts.recipient, &bytes);
    bytes.extend_from_slice(&mac);
    bytes
}

/// In constant time: how many bytes of a forged MAC are right must not show (spec §5.4).
pub(crate) fn macs_are_equal(ours: &[u8; MAC], theirs: &[u8; MAC]) -> bool {
    ours.ct_eq(theirs).into()
}

impl SignalMessage {
    /// Parses `bytes` (spec §4.3): version 3 or 4, ratchet key, counter and ciphertext required.
    ///
    /// # Errors
    /// [`DecodeError`]: the sender, or whoever touched the bytes, is at fault.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        framing::check_length(bytes, 1 + MAC)?;
        let (version, rest) = framing::split_version(bytes, VERSIONS)?;
        let suite = Suite::from_version(version).ok_or(DecodeError::UnknownVersion { got: version })?;
        let (body, _) = rest.split_last_chunk::<MAC>().ok_or(DecodeError::TooShort { got: bytes.len() })?;
        let body: SignalBody = framing::decode(body)?;
        let ratchet_key = framing::require(body.ratchet_key, "ratchet_key")?;
        Ok(Self {
            bytes: bytes.into(),
            suite,
            ratchet_key: EncodedKey::parse(&ratchet_key).map_err(DecodeError::key("ratchet_key"))?,
            counter: framing::require(body.counter, "counter")?,
            previous_counter: body.previous_counter.unwrap_or(0),
            ciphertext: framing::require(body.ciphertext, "ciphertext")?,
            pq_ratchet: body.pq_ratchet,
            addresses: body.addresses,
        })
    }

    /// Whether the MAC is right under these keys; in constant time (spec §5.4).
    pub(crate) fn is_authentic(&self, keys: &MessageKeys, sender: &IdentityKey, recipient: &IdentityKey) -> bool {
        let Some((authenticated, mac)) = self.bytes.split_last_chunk::<MAC>() else { return false };
        macs_are_equal(&keys.mac(sender, recipient, authenticated), mac)
    }

    /// The bytes that travel.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Which agreement the session it belongs to began with.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// The sender's ratchet key, if it is a valid point: the one key that is decoded only when it is new to a session.
    ///
    /// # Errors
    /// [`DecodeError::PublicKey`].
    pub fn ratchet_key(&self) -> Result<RatchetKey, DecodeError> {
        self.ratchet_key.point().map_err(DecodeError::key("ratchet_key"))?;
        Ok(RatchetKey::from_stored(self.ratchet_key))
    }

    /// The ratchet key, its point not yet looked at.
    pub(crate) const fn claimed_ratchet_key(&self) -> RatchetKey {
        RatchetKey::from_stored(self.ratchet_key)
    }

    /// The message's number in its chain, from 0.
    #[must_use]
    pub const fn counter(&self) -> u32 {
        self.counter
    }

    /// The number of the last message of the sender's previous chain; informative (spec §5.2).
    #[must_use]
    pub const fn previous_counter(&self) -> u32 {
        self.previous_counter
    }

    /// AES-256-CBC ciphertext.
    #[must_use]
    pub fn ciphertext(&self) -> &[u8] {
        &self.ciphertext
    }

    /// The sparse post-quantum ratchet's part, not looked at.
    #[must_use]
    pub fn pq_ratchet(&self) -> Option<&[u8]> {
        self.pq_ratchet.as_deref()
    }

    /// Sender ‖ recipient, 36 bytes where both have service ids (spec §4.6), as the sender wrote it.
    #[must_use]
    pub fn addresses(&self) -> Option<&[u8]> {
        self.addresses.as_deref()
    }
}

impl fmt::Debug for SignalMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignalMessage")
            .field("suite", &self.suite)
            .field("ratchet_key", &self.ratchet_key)
            .field("counter", &self.counter)
            .field("len", &self.bytes.len())
            .finish_non_exhaustive()
    }
}
