//! What was sealed, at the recipient: first unverified, then with a sender that somebody vouches for (spec §8.3).

use alloc::vec::Vec;
use core::fmt;

use super::certificate::{Sender, SenderCertificate, SenderCertificateIn};
use super::content::{ContentHint, ContentKind};
use super::error::VerifyError;
use super::proto::ContentBody;
use super::trust::Trust;
use crate::address::DeviceAddress;
use crate::curve::{Decoded, EncodedKey, IdentityKey};
use crate::message::framing;
use crate::message::{DecodeError, PlaintextContent, PreKeySignalMessage, SenderKeyMessage, SignalMessage};
use crate::time::Timestamp;

/// Content of a sealed message. Its maker has the private key of the identity key that the certificate names, or ours;
/// whose that is, is a claim until [`Self::verify`].
#[derive(Clone, Eq, PartialEq)]
pub struct ContentIn {
    certificate: SenderCertificateIn,
    payload: Payload,
}

/// Content whose sender a trust root's server vouches for.
#[derive(Clone, Eq, PartialEq)]
pub struct VerifiedContent {
    certificate: SenderCertificate,
    payload: Payload,
}

/// Everything but who sent it.
#[derive(Clone, Eq, PartialEq)]
struct Payload {
    kind: ContentKind,
    message: Vec<u8>,
    hint: ContentHint,
    group_id: Option<Vec<u8>>,
}

/// The device that opens: so that it does not take its own messages for somebody's.
#[derive(Clone, Copy, Debug)]
pub struct OwnDevice<'a> {
    /// Its account and device id.
    pub address: DeviceAddress,
    /// Its account's phone number, if it has one.
    pub e164: Option<&'a str>,
}

/// The message inside, parsed as its kind says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Message {
    /// The first message of a session, or one repeating its agreement.
    PreKey(PreKeySignalMessage),
    /// A message of a session.
    Signal(SignalMessage),
    /// A message of a group.
    SenderKey(SenderKeyMessage),
    /// A decryption error in plaintext: encrypted by nothing but this seal.
    Plaintext(PlaintextContent),
}

impl ContentIn {
    /// Parses the protobuf (spec §8.3).
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::decode_with(bytes, |_| None)
    }

    /// As [`Self::decode`], with the point of an identity key that was decoded before.
    pub(super) fn decode_with(
        bytes: &[u8],
        known: impl FnOnce(EncodedKey) -> Option<Decoded<IdentityKey>>,
    ) -> Result<Self, DecodeError> {
        framing::check_length(bytes, 0)?;
        let body: ContentBody = framing::decode(bytes)?;
        let kind = ContentKind::from_number(framing::require(body.kind, "type")?)?;
        let certificate = framing::require(body.sender_certificate, "sender_certificate")?;
        let message = framing::require(body.content, "content")?;
        let certificate = SenderCertificateIn::decode_with(&certificate, known)?;
        let hint = ContentHint::from_number(body.content_hint.unwrap_or(0));
        let group_id = body.group_id.filter(|id| !id.is_empty());
        Ok(Self { certificate, payload: Payload { kind, message, hint, group_id } })
    }

    /// Believes the certificate if `trust` vouches for it at `now`, and refuses our own messages (spec §8.2, §8.3).
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn verify(self, trust: &Trust, now: Timestamp, own: OwnDevice<'_>) -> Result<VerifiedContent, VerifyError> {
        let certificate = self.certificate.verify(trust, now)?;
        if own.is(certificate.sender()) {
            return Err(VerifyError::SentByUs);
        }
        Ok(VerifiedContent { certificate, payload: self.payload })
    }

    /// Who it says it is from: good for finding the trust root that might stand behind it, and for nothing else.
    #[must_use]
    pub const fn claims(&self) -> &Sender {
        self.certificate.claims()
    }

    /// The certificate, unverified.
    #[must_use]
    pub const fn certificate(&self) -> &SenderCertificateIn {
        &self.certificate
    }
}

impl OwnDevice<'_> {
    fn is(&self, sender: &Sender) -> bool {
        let same_account = sender.address.service_id == self.address.service_id
            || self.e164.is_some_and(|own| sender.e164.as_deref() == Some(own));
        same_account && sender.address.device_id == self.address.device_id
    }
}

impl VerifiedContent {
    /// Who sent it.
    #[must_use]
    pub const fn sender(&self) -> &Sender {
        self.certificate.sender()
    }

    /// The certificate that says so.
    #[must_use]
    pub const fn certificate(&self) -> &SenderCertificate {
        &self.certificate
    }

    /// The format of the message inside.
    #[must_use]
    pub const fn kind(&self) -> ContentKind {
        self.payload.kind
    }

    /// The message inside, not looked at.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        &self.payload.message
    }

    /// What to do if the message inside does not decrypt.
    #[must_use]
    pub const fn hint(&self) -> ContentHint {
        self.payload.hint
    }

    /// Which group it is about, as the sender says.
    #[must_use]
    pub fn group_id(&self) -> Option<&[u8]> {
        self.payload.group_id.as_deref()
    }

    /// Parses the message inside.
    ///
    /// # Errors
    /// [`DecodeError`]: the sender is at fault.
    pub fn decode_message(&self) -> Result<Message, DecodeError> {
        let Payload { kind, message, .. } = &self.payload;
        match kind {
            ContentKind::PreKey => PreKeySignalMessage::decode(message).map(Message::PreKey),
            ContentKind::Signal => SignalMessage::decode(message).map(Message::Signal),
            ContentKind::SenderKey => SenderKeyMessage::decode(message).map(Message::SenderKey),
            ContentKind::Plaintext => PlaintextContent::decode(message).map(Message::Plaintext),
        }
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, message, hint, group_id: _ } = self;
        f.debug_struct("Payload")
            .field("kind", kind)
            .field("hint", hint)
            .field("len", &message.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ContentIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { certificate: _, payload } = self;
        f.debug_struct("ContentIn").field("payload", payload).finish_non_exhaustive()
    }
}

impl fmt::Debug for VerifiedContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { certificate: _, payload } = self;
        f.debug_struct("VerifiedContent").field("payload", payload).finish_non_exhaustive()
    }
}
