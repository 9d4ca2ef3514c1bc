//! One error per operation (spec §8). All are safe to log.

use thiserror::Error;

use crate::message::DecodeError;
use crate::time::Timestamp;

/// Why a certificate vouches for nobody.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum CertificateError {
    /// No trust root signed the server certificate.
    #[error("no trust root signed the server certificate")]
    UntrustedServer,
    /// The server certificate was revoked.
    #[error("server certificate {id:#010x} is revoked")]
    RevokedServer {
        /// Its id.
        id: u32,
    },
    /// The certificate names its server by an id that [`Trust`](crate::sealed::Trust) was not told of.
    #[error("server certificate {id:#010x} is not known")]
    UnknownServer {
        /// The id it names.
        id: u32,
    },
    /// The server did not sign the sender certificate.
    #[error("the server did not sign the sender certificate")]
    ForgedSender,
    /// It was valid once. The sender's device was off for long, or our clock is wrong.
    #[error("the certificate expired at {}, it is {}", expires.0, now.0)]
    Expired {
        /// Its last moment.
        expires: Timestamp,
        /// The caller's time.
        now: Timestamp,
    },
}

/// Why a certificate was not made.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum IssueError {
    /// The id is one that every verifier refuses.
    #[error("server certificate id {id:#010x} is revoked")]
    RevokedId {
        /// The id asked for.
        id: u32,
    },
    /// The private key is not the one that the server certificate certifies.
    #[error("the server certificate is of another key")]
    OtherKey,
}

/// Why nothing was sealed. The caller is at fault.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum SealError {
    /// The certificate is of another identity key than the one that seals: no recipient could open the message.
    #[error("the certificate is not of the sealing identity key")]
    OtherCertificate,
    /// The content does not fit; take a larger envelope, or send the bulk as a blob.
    #[error("the content has {len} bytes, more than {max}")]
    TooLong {
        /// Bytes of the content without padding.
        len: usize,
        /// How many fit.
        max: usize,
    },
    /// A recipient without devices; name it among the excluded ones if that is meant.
    #[error("recipient {index} has no devices")]
    NoDevices {
        /// Its place in the argument.
        index: usize,
    },
    /// A registration id above 16,383, which version 2 cannot carry.
    #[error("registration id {got} of recipient {index} has more than 14 bits")]
    RegistrationId {
        /// The recipient's place in the argument.
        index: usize,
        /// The id.
        got: u32,
    },
    /// A device that is named twice.
    #[error("recipient {index} names device {device} twice")]
    RepeatedDevice {
        /// The recipient's place in the argument.
        index: usize,
        /// The device id.
        device: u8,
    },
    /// A service id that is named twice, be it as recipient or as excluded.
    #[error("recipient or excluded recipient {index} repeats an earlier one")]
    RepeatedRecipient {
        /// Its place among recipients and, after them, excluded ones.
        index: usize,
    },
    /// A recipient's key that nothing can be agreed with; no key that parsed is.
    #[error("no agreement with recipient {index} is possible")]
    RecipientKey {
        /// Its place in the argument.
        index: usize,
    },
}

/// Why a sealed message did not open. Nothing is known about who sent it: drop it.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum OpenError {
    /// Forged, corrupted, or sealed to another key; which one is not observable.
    #[error("the sealed message failed authentication")]
    Forged,
    /// It opened, but what it holds is malformed: its maker is at fault.
    #[error("the content of a sealed message: {0}")]
    Content(DecodeError),
}

/// Why a message that opened is not to be believed.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum VerifyError {
    /// Nobody we trust vouches for the sender.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Our own message came back.
    #[error("the message was sent by this device")]
    SentByUs,
}
