//! Sender certificates: a server says whose device has an identity key (spec §8.2).

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::{ServerCertificateIn, Signed};
use crate::address::{DeviceAddress, DeviceId, ServiceId};
use crate::curve::{Decoded, EncodedKey, IdentityKey};
use crate::message::{DecodeError, framing};
use crate::sealed::error::CertificateError;
use crate::sealed::key::CertificateKey;
use crate::sealed::proto::SenderCertificateBody;
use crate::sealed::trust::Trust;
use crate::time::Timestamp;

/// Whom a certificate is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sender {
    /// The sender's account and device.
    pub address: DeviceAddress,
    /// The sender's phone number, if the certificate tells.
    pub e164: Option<String>,
    /// The key that seals, and that the sender's sessions must have.
    pub identity_key: IdentityKey,
    /// The last moment at which the certificate counts.
    pub expires: Timestamp,
}

/// A sender certificate from outside: [`Self::claims`] is what it says, not what is so. [`Self::verify`] makes it a
/// [`SenderCertificate`].
#[derive(Clone, Eq, PartialEq)]
pub struct SenderCertificateIn {
    signed: Signed,
    claims: Sender,
    identity_key: Decoded<IdentityKey>,
    server: Server,
}

/// How a certificate says who signed it.
#[derive(Clone, Eq, PartialEq)]
enum Server {
    Embedded(Box<ServerCertificateIn>),
    Id(u32),
}

/// A sender certificate that was verified, or made by [`Issuer::issue`](super::Issuer::issue).
#[derive(Clone, Eq, PartialEq)]
pub struct SenderCertificate {
    signed: Signed,
    sender: Sender,
}

impl SenderCertificateIn {
    /// Parses `bytes` (spec §8.2).
    ///
    /// # Errors
    /// [`DecodeError`]: whoever made it is at fault.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::decode_with(bytes, |_| None)
    }

    /// As [`Self::decode`], with the point of an identity key that was checked before: the very same bytes are the very same key.
    pub(in crate::sealed) fn decode_with(
        bytes: &[u8],
        known: impl FnOnce(EncodedKey) -> Option<Decoded<IdentityKey>>,
    ) -> Result<Self, DecodeError> {
        let signed = Signed::decode(bytes)?;
        let body: SenderCertificateBody = framing::decode(&signed.body)?;
        let service_id = service_id(body.sender_uuid.as_deref(), body.sender_uuid_bytes)?;
        let device_id = DeviceId::new(framing::require(body.sender_device, "sender_device")?)
            .map_err(|_| DecodeError::Invalid { field: "sender_device" })?;
        let expires = Timestamp(framing::require(body.expires, "expires")?);
        let identity_key = framing::require(body.identity_key, "identity_key")?;
        let known = EncodedKey::parse(&identity_key).ok().and_then(known);
        let identity_key = known.map_or_else(|| IdentityKey::decode(&identity_key), Ok);
        let identity_key = identity_key.map_err(DecodeError::key("identity_key"))?;
        let server = server(body.server_certificate, body.server_id)?;
        let address = DeviceAddress { service_id, device_id };
        let claims = Sender { address, e164: body.sender_e164, identity_key: identity_key.key, expires };
        Ok(Self { signed, claims, identity_key, server })
    }

    /// Checks everything that spec §8.2 asks for.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn verify(self, trust: &Trust, now: Timestamp) -> Result<SenderCertificate, CertificateError> {
        if !trust.remembers(&self.signed.bytes) {
            let key = match &self.server {
                Server::Embedded(server) => trust.key_of(server)?,
                Server::Id(id) => trust.key_by_id(*id)?,
            };
            key.verify(&[&self.signed.body], &self.signed.signature).map_err(|_| CertificateError::ForgedSender)?;
        }
        if now > self.claims.expires {
            return Err(CertificateError::Expired { expires: self.claims.expires, now });
        }
        Ok(SenderCertificate { signed: self.signed, sender: self.claims })
    }

    /// What it says: good for finding the trust root that might stand behind it, and for nothing else.
    #[must_use]
    pub const fn claims(&self) -> &Sender {
        &self.claims
    }

    /// The bytes that travel.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.signed.bytes
    }

    /// The key of the server certificate inside, if it is there and a key: for whoever certifies itself (spec §8.9) and tells by
    /// other means, perhaps inside the message, that this is its key. Trusting it proves only that whoever has it made the
    /// certificate.
    #[must_use]
    pub fn embedded_server_key(&self) -> Option<CertificateKey> {
        match &self.server {
            Server::Embedded(server) => server.key(),
            Server::Id(_) => None,
        }
    }

    /// The claimed identity key with its point.
    pub(in crate::sealed) const fn decoded_identity_key(&self) -> &Decoded<IdentityKey> {
        &self.identity_key
    }
}

impl SenderCertificate {
    pub(super) fn from_issued(body: Vec<u8>, signature: crate::curve::Signature, sender: Sender) -> Self {
        Self { signed: Signed::new(body, signature), sender }
    }

    /// Whom it is about.
    #[must_use]
    pub const fn sender(&self) -> &Sender {
        &self.sender
    }

    /// The bytes that travel.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.signed.bytes
    }
}

fn service_id(text: Option<&str>, bytes: Option<Vec<u8>>) -> Result<ServiceId, DecodeError> {
    const INVALID: DecodeError = DecodeError::Invalid { field: "sender_uuid" };
    match (text, bytes) {
        (Some(text), None) => ServiceId::parse(text).ok_or(INVALID),
        (None, Some(bytes)) => Ok(ServiceId::aci(bytes.try_into().map_err(|_| INVALID)?)),
        (Some(_), Some(_)) => Err(INVALID),
        (None, None) => Err(DecodeError::Missing { field: "sender_uuid" }),
    }
}

fn server(embedded: Option<Vec<u8>>, id: Option<u32>) -> Result<Server, DecodeError> {
    match (embedded, id) {
        (Some(bytes), None) => Ok(Server::Embedded(Box::new(ServerCertificateIn::decode(&bytes)?))),
        (None, Some(id)) => Ok(Server::Id(id)),
        (Some(_), Some(_)) => Err(DecodeError::Invalid { field: "server_certificate" }),
        (None, None) => Err(DecodeError::Missing { field: "server_certificate" }),
    }
}

impl fmt::Debug for SenderCertificateIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SenderCertificateIn").field("claims", &self.claims).finish_non_exhaustive()
    }
}

impl fmt::Debug for SenderCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SenderCertificate").field("sender", &self.sender).finish_non_exhaustive()
    }
}
