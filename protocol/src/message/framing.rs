//! What all formats share: the version byte, the length ceiling, protobuf in the middle (spec §4.1, §4.2).

use alloc::vec::Vec;

use prost::Message;

use super::error::DecodeError;

/// Nothing longer is parsed: 256 KiB. Signal's own services carry at most 96 KiB; ours 64 KiB.
pub const MAX_MESSAGE_LEN: usize = 256 * 1024;

/// The version this crate speaks in the low nibble of the version byte; informative on the wire.
pub(crate) const CURRENT_VERSION: u8 = 4;

/// The high nibbles that a format accepts.
#[derive(Clone, Copy)]
pub(super) struct Versions {
    pub(super) oldest: u8,
    pub(super) newest: u8,
}

/// Refuses what is too long to be looked at, or too short for its frame.
pub(crate) fn check_length(bytes: &[u8], shortest: usize) -> Result<(), DecodeError> {
    match bytes.len() {
        got if got > MAX_MESSAGE_LEN => Err(DecodeError::TooLong { got }),
        got if got < shortest => Err(DecodeError::TooShort { got }),
        _ => Ok(()),
    }
}

/// Takes the version byte off: returns its high nibble and the rest. The low nibble is the sender's newest version and
/// is ignored (where a MAC or signature covers it, a change shows there).
pub(super) fn split_version(bytes: &[u8], accepted: Versions) -> Result<(u8, &[u8]), DecodeError> {
    let (byte, rest) = bytes.split_first().ok_or(DecodeError::TooShort { got: 0 })?;
    match byte >> 4 {
        got if got < accepted.oldest => Err(DecodeError::LegacyVersion { got }),
        got if got > accepted.newest => Err(DecodeError::UnknownVersion { got }),
        version => Ok((version, rest)),
    }
}

/// Starts a message: the version byte, then the protobuf, with room for `trailer` more bytes.
pub(super) fn frame(version: u8, current: u8, proto: &impl Message, trailer: usize) -> Vec<u8> {
    let len = proto.encoded_len().saturating_add(1).saturating_add(trailer);
    let mut bytes = Vec::with_capacity(len);
    bytes.push((version << 4) | current);
    proto.encode_raw(&mut bytes);
    bytes
}

pub(crate) fn decode<M: Message + Default>(bytes: &[u8]) -> Result<M, DecodeError> {
    M::decode(bytes).map_err(|_| DecodeError::Protobuf)
}

/// A required field.
pub(crate) fn require<T>(field: Option<T>, name: &'static str) -> Result<T, DecodeError> {
    field.ok_or(DecodeError::Missing { field: name })
}
