//! Server certificates: a trust root says which key certifies senders (spec §8.2).

use core::fmt;

use rand_core::CryptoRng;

use super::Signed;
use crate::curve::{EncodedKey, Point};
use crate::message::{DecodeError, framing};
use crate::sealed::error::{CertificateError, IssueError};
use crate::sealed::key::{CertificateKey, CertificateKeyPair};
use crate::sealed::proto::ServerCertificateBody;
use crate::sealed::trust::Trust;

/// The id that no server may have: its private key is public (spec §8.2).
pub const REVOKED_SERVER_ID: u32 = 0xDEAD_C357;

/// A server certificate from outside. [`Self::verify`] makes it a [`ServerCertificate`].
#[derive(Clone, Eq, PartialEq)]
pub struct ServerCertificateIn {
    signed: Signed,
    id: u32,
    /// Decoded when it is verified: an embedded certificate is mostly one that is known already.
    key: EncodedKey,
}

/// A server certificate that a trust root signed.
#[derive(Clone, Eq, PartialEq)]
pub struct ServerCertificate {
    signed: Signed,
    id: u32,
    key: CertificateKey,
}

impl ServerCertificateIn {
    /// Parses `bytes` (spec §8.2); the key's point is looked at by [`Self::verify`].
    ///
    /// # Errors
    /// [`DecodeError`]: whoever made it is at fault.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let signed = Signed::decode(bytes)?;
        let body: ServerCertificateBody = framing::decode(&signed.body)?;
        let id = framing::require(body.id, "id")?;
        let key = EncodedKey::parse(&framing::require(body.key, "key")?).map_err(DecodeError::key("key"))?;
        Ok(Self { signed, id, key })
    }

    /// Whether a root of `trust` signed it and it is not revoked.
    ///
    /// # Errors
    /// [`CertificateError::UntrustedServer`] (also for a key that spec §1.2 refuses),
    /// [`CertificateError::RevokedServer`].
    pub fn verify(&self, trust: &Trust) -> Result<ServerCertificate, CertificateError> {
        let (key, _) = self.verify_key(trust)?;
        Ok(ServerCertificate { signed: self.signed.clone(), id: self.id, key })
    }

    /// As [`Self::verify`], for the key only.
    pub(in crate::sealed) fn verify_key(&self, trust: &Trust) -> Result<(CertificateKey, Point), CertificateError> {
        let is_signed = trust.roots().any(|root| root.verify(&[&self.signed.body], &self.signed.signature).is_ok());
        if !is_signed {
            return Err(CertificateError::UntrustedServer);
        }
        if self.id == REVOKED_SERVER_ID {
            return Err(CertificateError::RevokedServer { id: self.id });
        }
        let key = CertificateKey::decode(&self.key.to_bytes()).map_err(|_| CertificateError::UntrustedServer)?;
        Ok((key.key, key.point))
    }

    /// The bytes that travel.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.signed.bytes
    }

    /// The id it claims.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// The key it claims; none if that is no key.
    pub(super) fn key(&self) -> Option<CertificateKey> {
        CertificateKey::decode(&self.key.to_bytes()).ok().map(|key| key.key)
    }
}

impl ServerCertificate {
    /// Certifies `key` under the trust root `root` (spec §8.2). Draws 64 random bytes.
    ///
    /// # Errors
    /// [`IssueError::RevokedId`].
    pub fn issue(
        id: u32,
        key: &CertificateKey,
        root: &CertificateKeyPair,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, IssueError> {
        if id == REVOKED_SERVER_ID {
            return Err(IssueError::RevokedId { id });
        }
        let body = ServerCertificateBody { id: Some(id), key: Some(key.to_bytes().into()) };
        let body = prost::Message::encode_to_vec(&body);
        let signature = root.pair().sign(&[&body], rng);
        Ok(Self { signed: Signed::new(body, signature), id, key: *key })
    }

    /// The bytes that travel.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.signed.bytes
    }

    /// What a sender certificate may name it by.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// The key that signs sender certificates.
    #[must_use]
    pub const fn key(&self) -> &CertificateKey {
        &self.key
    }
}

impl fmt::Debug for ServerCertificateIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerCertificateIn").field("id", &self.id).field("key", &self.key).finish_non_exhaustive()
    }
}

impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerCertificate").field("id", &self.id).field("key", &self.key).finish_non_exhaustive()
    }
}
