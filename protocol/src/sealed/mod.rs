//! Sealed sender: who carries a message does not learn who sent it. Implements spec/08-sealed-sender.md.
//!
//! ```text
//! sending    Content ──seal_v1───────▶ 0x11 ‖ protobuf           one recipient
//!                    ──seal_sent─────▶ 0x23 ‖ recipients ‖ ..    many, for Signal's server
//!                    ──seal_fan_out──▶ shared, header[48] each   many, for a blind relay
//!
//! receiving  bytes ──SealedMessage::decode / from_envelope
//!                  ──open(identity)──────────────▶ ContentIn        from whoever has the certificate's identity key
//!                  ──verify(trust, time, own)─────▶ VerifiedContent  .. which a trust root's server vouches for
//! ```
//! Invariants: nothing is believed of a sender before a trust root's signature stands behind it; every seal draws a fresh
//! message key; the header of version 2 commits to the key of the ciphertext.
//! Not here: the messages inside (`message`), what opens them (`session`), which trust root is right (the caller knows).
//!
//! # What the caller must do
//!
//! 1. [`SealedMessage::decode`], [`SealedMessage::open`], [`ContentIn::verify`] with the trust roots, the time and who we are.
//! 2. Load the session with [`VerifiedContent::sender`]'s address and open [`VerifiedContent::decode_message`] with it.
//! 3. **Compare** the session's identity key with [`Sender::identity_key`] before showing anything: the certificate speaks for
//!    the outside only.
//!
//! A sealed message can be delivered again, and opens again: the session inside is what notices.

mod agreements;
mod certificate;
mod content;
mod envelope;
mod error;
mod key;
mod message;
mod parallel;
mod proto;
mod received;
mod seal;
mod sent;
mod trust;
mod v1;
mod v2;

pub use self::agreements::Agreements;
pub use self::certificate::{
    Issuer, REVOKED_SERVER_ID, Sender, SenderCertificate, SenderCertificateIn, ServerCertificate, ServerCertificateIn,
    ServerReference,
};
pub use self::content::{Content, ContentHint, ContentKind, MAX_CONTENT_LEN};
pub use self::envelope::{ENVELOPE_OVERHEAD, EnvelopeSize, Padding};
pub use self::error::{CertificateError, IssueError, OpenError, SealError, VerifyError};
pub use self::key::{CertificateKey, CertificateKeyPair};
pub use self::message::SealedMessage;
pub use self::received::{ContentIn, Message, OwnDevice, VerifiedContent};
pub use self::seal::{FanOut, Recipient};
pub use self::sent::{MAX_SENT_LEN, NotAddressed, SentMessage, SentRecipient};
pub use self::trust::Trust;
pub use self::v2::Header;
