//! Making sender certificates: as a server does, and as a device does for itself (spec §8.2, §8.9).

use rand_core::CryptoRng;

use super::sender::{Sender, SenderCertificate};
use super::server::ServerCertificate;
use crate::sealed::error::IssueError;
use crate::sealed::key::CertificateKeyPair;
use crate::sealed::proto::SenderCertificateBody;

/// The id of a server certificate that a device signs for itself (spec §8.9).
const SELF_SIGNED_ID: u32 = 0;

/// Who certifies senders: a server certificate with its private key.
#[derive(Debug)]
pub struct Issuer {
    certificate: ServerCertificate,
    key: CertificateKeyPair,
}

/// How sender certificates say which server signed them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ServerReference {
    /// The whole server certificate: every verifier can check it. What the official library writes.
    Embedded,
    /// Its id, 5 bytes instead of about 105: for verifiers that know the server certificate (0.90 and later).
    Id,
}

impl Issuer {
    /// A server that a trust root has certified.
    ///
    /// # Errors
    /// [`IssueError::OtherKey`] if `key` is not the certified one.
    pub fn new(certificate: ServerCertificate, key: CertificateKeyPair) -> Result<Self, IssueError> {
        if certificate.key() == key.public_key() { Ok(Self { certificate, key }) } else { Err(IssueError::OtherKey) }
    }

    /// A device that is its own trust root and server (spec §8.9). Draws 64 random bytes.
    ///
    /// # Errors
    /// None in practice: the id is not a revoked one.
    pub fn self_signed(key: CertificateKeyPair, rng: &mut impl CryptoRng) -> Result<Self, IssueError> {
        let certificate = ServerCertificate::issue(SELF_SIGNED_ID, key.public_key(), &key, rng)?;
        Self::new(certificate, key)
    }

    /// Certifies that `sender`'s identity key is of that device until it expires. Whether that is so is for the caller to
    /// know. Draws 64 random bytes.
    #[must_use]
    pub fn issue(&self, sender: Sender, server: ServerReference, rng: &mut impl CryptoRng) -> SenderCertificate {
        let body = self.body(&sender, server);
        let body = prost::Message::encode_to_vec(&body);
        let signature = self.key.pair().sign(&[&body], rng);
        SenderCertificate::from_issued(body, signature, sender)
    }

    fn body(&self, sender: &Sender, server: ServerReference) -> SenderCertificateBody {
        let Sender { address, e164, identity_key, expires } = sender;
        let (server_certificate, server_id) = match server {
            ServerReference::Embedded => (Some(self.certificate.as_bytes().into()), None),
            ServerReference::Id => (None, Some(self.certificate.id())),
        };
        SenderCertificateBody {
            sender_e164: e164.clone(),
            sender_device: Some(address.device_id.get().into()),
            expires: Some(expires.0),
            identity_key: Some(identity_key.to_bytes().into()),
            server_certificate,
            sender_uuid: Some(address.service_id.to_text()),
            sender_uuid_bytes: None,
            server_id,
        }
    }

    /// The server's certificate.
    #[must_use]
    pub const fn certificate(&self) -> &ServerCertificate {
        &self.certificate
    }
}
