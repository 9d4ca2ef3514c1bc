//! `PlaintextContent` and the `DecryptionErrorMessage` inside: how a device says that it could not read (spec §4.8).

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::error::DecodeError;
use super::framing;
use super::prekey::PreKeySignalMessage;
use super::proto::{ContentBody, DecryptionErrorBody};
use super::sender_key::SenderKeyMessage;
use super::signal::SignalMessage;
use crate::curve::RatchetKey;
use crate::time::Timestamp;

/// Stands where other messages have their version byte.
const CONTEXT: u8 = 0xC0;
/// Ends the content, as padding does in the official apps.
const BOUNDARY: u8 = 0x80;

/// "I could not read your message": sent unencrypted, because the session may be what is broken (spec §4.8).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DecryptionErrorMessage {
    /// The ratchet key of the unreadable message, if it was of a pairwise session: the peer resets that session only if it
    /// still uses this key.
    pub ratchet_key: Option<RatchetKey>,
    /// When the unreadable message said it was sent.
    pub timestamp: Timestamp,
    /// Which device sent it; any `u32`, as claimed.
    pub device_id: u32,
}

/// The message that could not be read. (Plaintext content is not here: it cannot fail to decrypt.)
#[derive(Clone, Copy, Debug)]
pub enum OriginalMessage<'a> {
    /// A session's message.
    Signal(&'a SignalMessage),
    /// A session's first message; it counts as the message inside.
    PreKey(&'a PreKeySignalMessage),
    /// A group message: there is no ratchet key to name.
    SenderKey(&'a SenderKeyMessage),
}

impl DecryptionErrorMessage {
    /// Says that `original`, which claimed to be sent at `timestamp` by device `device_id`, could not be read (spec §4.9).
    ///
    /// # Errors
    /// [`DecodeError::PublicKey`]: the original's ratchet key is no valid point, so it is no peer's and nobody is to be told.
    pub fn for_original<'o>(
        original: impl Into<OriginalMessage<'o>>,
        timestamp: Timestamp,
        device_id: u32,
    ) -> Result<Self, DecodeError> {
        let ratchet_key = match original.into() {
            OriginalMessage::Signal(message) => Some(message.ratchet_key()?),
            OriginalMessage::PreKey(message) => Some(message.message().ratchet_key()?),
            OriginalMessage::SenderKey(_) => None,
        };
        Ok(Self { ratchet_key, timestamp, device_id })
    }

    /// Parses a protobuf without frame (spec §4.8); the timestamp is required.
    ///
    /// # Errors
    /// [`DecodeError`]: the sender is at fault.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        framing::check_length(bytes, 0)?;
        let body: DecryptionErrorBody = framing::decode(bytes)?;
        let ratchet_key = match body.ratchet_key {
            None => None,
            Some(key) => Some(RatchetKey::parse(&key).map_err(DecodeError::key("ratchet_key"))?),
        };
        let timestamp = Timestamp(framing::require(body.timestamp, "timestamp")?);
        Ok(Self { ratchet_key, timestamp, device_id: body.device_id.unwrap_or(0) })
    }

    /// The protobuf without frame.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let body = DecryptionErrorBody {
            ratchet_key: self.ratchet_key.map(|key| key.to_bytes().into()),
            timestamp: Some(self.timestamp.0),
            device_id: Some(self.device_id),
        };
        prost::Message::encode_to_vec(&body)
    }
}

impl<'a> From<&'a SignalMessage> for OriginalMessage<'a> {
    fn from(message: &'a SignalMessage) -> Self {
        Self::Signal(message)
    }
}

impl<'a> From<&'a PreKeySignalMessage> for OriginalMessage<'a> {
    fn from(message: &'a PreKeySignalMessage) -> Self {
        Self::PreKey(message)
    }
}

impl<'a> From<&'a SenderKeyMessage> for OriginalMessage<'a> {
    fn from(message: &'a SenderKeyMessage) -> Self {
        Self::SenderKey(message)
    }
}

/// Unencrypted content as it travels: 0xC0 ‖ protobuf ‖ 0x80 (spec §4.8). The only content it may have is a
/// [`DecryptionErrorMessage`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PlaintextContent {
    bytes: Box<[u8]>,
    error: DecryptionErrorMessage,
}

impl PlaintextContent {
    /// Wraps a decryption error.
    #[must_use]
    pub fn new(error: DecryptionErrorMessage) -> Self {
        let body = ContentBody { decryption_error_message: Some(error.encode()) };
        let mut bytes = Vec::from([CONTEXT]);
        prost::Message::encode_raw(&body, &mut bytes);
        bytes.push(BOUNDARY);
        Self { bytes: bytes.into_boxed_slice(), error }
    }

    /// Parses `bytes` (spec §4.8).
    ///
    /// # Errors
    /// [`DecodeError`]: the sender is at fault. Content of any other kind must not travel unencrypted and is refused.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        framing::check_length(bytes, 2)?;
        let [CONTEXT, body @ .., BOUNDARY] = bytes else { return Err(DecodeError::Invalid { field: "frame" }) };
        let body: ContentBody = framing::decode(body)?;
        let error = framing::require(body.decryption_error_message, "decryption_error_message")?;
        Ok(Self { bytes: bytes.into(), error: DecryptionErrorMessage::decode(&error)? })
    }

    /// The bytes that travel.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What it says.
    #[must_use]
    pub const fn decryption_error(&self) -> &DecryptionErrorMessage {
        &self.error
    }
}
