//! A sealed message at its recipient, of either version (spec §8.4, §8.7, §8.8).

use alloc::boxed::Box;
use core::fmt;

use super::agreements::Agreements;
use super::envelope::EnvelopeSize;
use super::error::OpenError;
use super::received::ContentIn;
use super::v1::V1Message;
use super::v2::{self, Header, MIN_SHARED_LEN};
use crate::identity::IdentityKeyPair;
use crate::message::{DecodeError, framing};

/// The received form's first byte; a decoder accepts any low nibble.
pub(super) const V2_RECEIVED: u8 = 0x22;

/// A sealed message. Nothing can be said of it before [`Self::open`].
#[derive(Clone, Eq, PartialEq)]
pub struct SealedMessage(Form);

#[derive(Clone, Eq, PartialEq)]
enum Form {
    V1(V1Message),
    V2 { header: Header, shared: Box<[u8]> },
}

impl SealedMessage {
    /// Parses a message of version 1, or of version 2 in its received form: the high nibble of the first byte says which.
    ///
    /// # Errors
    /// [`DecodeError`]: whoever delivered or made it is at fault.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        framing::check_length(bytes, 1)?;
        let (version, rest) = bytes.split_first().ok_or(DecodeError::TooShort { got: 0 })?;
        match version >> 4 {
            0 | 1 => V1Message::decode(rest).map(|message| Self(Form::V1(message))),
            2 => Self::decode_v2(rest, bytes.len()),
            got => Err(DecodeError::UnknownVersion { got }),
        }
    }

    /// Parses an envelope, header ‖ shared: exactly one of the sizes of [`EnvelopeSize`].
    ///
    /// # Errors
    /// [`DecodeError::Invalid`] for any other size.
    pub fn from_envelope(bytes: &[u8]) -> Result<Self, DecodeError> {
        EnvelopeSize::of(bytes.len()).ok_or(DecodeError::Invalid { field: "envelope" })?;
        Self::decode_v2(bytes, bytes.len())
    }

    fn decode_v2(bytes: &[u8], whole: usize) -> Result<Self, DecodeError> {
        let (header, shared) = bytes.split_first_chunk().ok_or(DecodeError::TooShort { got: whole })?;
        if shared.len() < MIN_SHARED_LEN {
            return Err(DecodeError::TooShort { got: whole });
        }
        Ok(Self(Form::V2 { header: Header::from_bytes(*header), shared: shared.into() }))
    }

    /// Opens it with the recipient's identity key.
    ///
    /// # Errors
    /// [`OpenError`]; nothing is known about who sent it.
    pub fn open(&self, recipient: &IdentityKeyPair) -> Result<ContentIn, OpenError> {
        self.open_with(recipient, &mut Agreements::new())
    }

    /// As [`Self::open`], without computing again what the two identity keys agree on if that is kept (version 2).
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with(&self, recipient: &IdentityKeyPair, agreements: &mut Agreements) -> Result<ContentIn, OpenError> {
        match &self.0 {
            Form::V1(message) => message.open(recipient.pair()),
            Form::V2 { header, shared } => v2::open(header, shared, recipient.pair(), agreements),
        }
    }
}

impl fmt::Debug for SealedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::V1(_) => f.write_str("SealedMessage(v1)"),
            Form::V2 { shared, .. } => write!(f, "SealedMessage(v2, {} bytes shared)", shared.len()),
        }
    }
}
