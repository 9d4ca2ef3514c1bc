//! Who vouches for a sender (spec §8.2).
//!
//! ```text
//! trust root ──signs──▶ server certificate {id, key} ──signs──▶ sender certificate {who, which device, identity key, until}
//! ```
//! Invariants: a [`ServerCertificate`] or [`SenderCertificate`] was verified or made here; what came from outside is
//! [`ServerCertificateIn`] or [`SenderCertificateIn`] until a [`Trust`](super::Trust) and a time say otherwise.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::curve::Signature;
use crate::message::DecodeError;
use crate::message::framing;
use crate::sealed::proto::SignedBody;

mod issue;
mod sender;
mod server;

pub use self::issue::{Issuer, ServerReference};
pub use self::sender::{Sender, SenderCertificate, SenderCertificateIn};
pub use self::server::{REVOKED_SERVER_ID, ServerCertificate, ServerCertificateIn};

/// The outer form of both kinds: some bytes and a signature over exactly these.
#[derive(Clone, Eq, PartialEq)]
struct Signed {
    /// As it travels.
    bytes: Box<[u8]>,
    /// What the signature covers.
    body: Vec<u8>,
    signature: Signature,
}

impl Signed {
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        framing::check_length(bytes, 0)?;
        let outer: SignedBody = framing::decode(bytes)?;
        let body = framing::require(outer.certificate, "certificate")?;
        let signature = framing::require(outer.signature, "signature")?;
        let signature = signature.try_into().map_err(|_| DecodeError::Invalid { field: "signature" })?;
        Ok(Self { bytes: bytes.into(), body, signature: Signature::from_bytes(signature) })
    }

    fn new(body: Vec<u8>, signature: Signature) -> Self {
        let outer = SignedBody { certificate: Some(body.clone()), signature: Some(signature.as_bytes().into()) };
        Self { bytes: prost::Message::encode_to_vec(&outer).into(), body, signature }
    }
}
