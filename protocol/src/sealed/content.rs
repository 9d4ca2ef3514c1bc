//! What is sealed: a message with the sender's certificate (spec §8.3).

use alloc::vec::Vec;

use super::certificate::SenderCertificate;
use super::envelope::{Padding, pad};
use super::error::SealError;
use super::proto::ContentBody;
use crate::message::{CiphertextMessage, DecodeError, MAX_MESSAGE_LEN, MessageKind};

/// The longest content: what is sealed around it stays below [`MAX_MESSAGE_LEN`].
pub const MAX_CONTENT_LEN: usize = MAX_MESSAGE_LEN - 97;

/// Which of the formats of spec §4 the message inside is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ContentKind {
    /// A [`PreKeySignalMessage`](crate::PreKeySignalMessage); 1 here, 3 as a type of the official library.
    PreKey,
    /// A [`SignalMessage`](crate::SignalMessage); 2.
    Signal,
    /// A [`SenderKeyMessage`](crate::SenderKeyMessage); 7.
    SenderKey,
    /// A [`PlaintextContent`](crate::PlaintextContent); 8.
    Plaintext,
}

/// What the recipient should do if the message inside does not decrypt (spec §8.3).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum ContentHint {
    /// Show an error: the sender will not resend. Not written; 0.
    #[default]
    Default,
    /// The sender will resend if asked; 1.
    Resendable,
    /// Show nothing: the message is not meant to be seen; 2.
    Implicit,
    /// A number without a meaning yet.
    Unknown(u32),
}

/// A message to be sealed. [`Self::seal_v1`], [`Self::seal_sent`] and [`Self::seal_fan_out`] seal it.
#[derive(Clone, Copy, Debug)]
pub struct Content<'a> {
    certificate: &'a SenderCertificate,
    kind: ContentKind,
    message: &'a [u8],
    hint: ContentHint,
    group_id: &'a [u8],
    padding: Padding,
}

impl<'a> Content<'a> {
    /// `message` is a serialised message of the format that `kind` names.
    #[must_use]
    pub const fn new(certificate: &'a SenderCertificate, kind: ContentKind, message: &'a [u8]) -> Self {
        Self { certificate, kind, message, hint: ContentHint::Default, group_id: &[], padding: Padding::None }
    }

    /// A message of a session.
    #[must_use]
    pub fn of_session(certificate: &'a SenderCertificate, message: &'a CiphertextMessage) -> Self {
        Self::new(certificate, message.kind().into(), message.as_bytes())
    }

    /// Says what to do if the message does not decrypt.
    #[must_use]
    pub const fn with_hint(self, hint: ContentHint) -> Self {
        Self { hint, ..self }
    }

    /// Says which group it is about. An empty id is none.
    #[must_use]
    pub const fn with_group_id(self, group_id: &'a [u8]) -> Self {
        Self { group_id, ..self }
    }

    /// Pads it (spec §8.8). Without, the bytes are the official library's.
    #[must_use]
    pub const fn with_padding(self, padding: Padding) -> Self {
        Self { padding, ..self }
    }

    /// Bytes of the content without padding: what [`EnvelopeSize::smallest_for`](super::EnvelopeSize::smallest_for) takes.
    #[must_use]
    pub fn unpadded_len(&self) -> usize {
        prost::Message::encoded_len(&self.body())
    }

    /// The protobuf that is sealed, padded (spec §8.3).
    ///
    /// # Errors
    /// [`SealError::TooLong`].
    pub fn encode(&self) -> Result<Vec<u8>, SealError> {
        let mut content = Vec::new();
        self.encode_onto(&mut content)?;
        Ok(content)
    }

    /// Appends what [`Self::encode`] returns.
    pub(super) fn encode_onto(&self, buffer: &mut Vec<u8>) -> Result<(), SealError> {
        let body = self.body();
        let len = prost::Message::encoded_len(&body);
        let (target, max) = match self.padding {
            Padding::None => (len, MAX_CONTENT_LEN),
            Padding::To(size) => (size.bytes().saturating_sub(super::ENVELOPE_OVERHEAD), size.capacity()),
        };
        let too_long = SealError::TooLong { len, max };
        if len > max {
            return Err(too_long);
        }
        // The room for the tag that follows.
        buffer.reserve(target.saturating_add(crate::crypto::TAG_LEN));
        prost::Message::encode_raw(&body, buffer);
        match target.saturating_sub(len) {
            0 => Ok(()),
            missing => pad(buffer, missing).ok_or(too_long),
        }
    }

    fn body(&self) -> ContentBody {
        ContentBody {
            kind: Some(self.kind.number()),
            sender_certificate: Some(self.certificate.as_bytes().into()),
            content: Some(self.message.into()),
            content_hint: self.hint.number(),
            group_id: (!self.group_id.is_empty()).then(|| self.group_id.into()),
        }
    }

    pub(super) const fn certificate(&self) -> &SenderCertificate {
        self.certificate
    }
}

impl ContentKind {
    const fn number(self) -> i32 {
        match self {
            Self::PreKey => 1,
            Self::Signal => 2,
            Self::SenderKey => 7,
            Self::Plaintext => 8,
        }
    }

    pub(super) const fn from_number(number: i32) -> Result<Self, DecodeError> {
        match number {
            1 => Ok(Self::PreKey),
            2 => Ok(Self::Signal),
            7 => Ok(Self::SenderKey),
            8 => Ok(Self::Plaintext),
            _ => Err(DecodeError::Invalid { field: "type" }),
        }
    }
}

impl From<MessageKind> for ContentKind {
    fn from(kind: MessageKind) -> Self {
        match kind {
            MessageKind::PreKey => Self::PreKey,
            MessageKind::Signal => Self::Signal,
        }
    }
}

impl ContentHint {
    /// As the library has it, an enum's number is a signed varint.
    const fn number(self) -> Option<i32> {
        match self {
            Self::Default | Self::Unknown(0) => None,
            Self::Resendable => Some(1),
            Self::Implicit => Some(2),
            Self::Unknown(number) => Some(number.cast_signed()),
        }
    }

    pub(super) const fn from_number(number: i32) -> Self {
        match number {
            0 => Self::Default,
            1 => Self::Resendable,
            2 => Self::Implicit,
            number => Self::Unknown(number.cast_unsigned()),
        }
    }
}
