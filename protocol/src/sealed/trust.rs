//! Whom we let vouch for senders: trust roots, and servers that certificates may name by id (spec §8.2).

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::certificate::{SenderCertificate, ServerCertificateIn};
use super::error::CertificateError;
use super::key::CertificateKey;
use crate::curve::Point;

/// Trust roots and known servers. Nothing is built in; an empty one trusts nobody.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    roots: Vec<Point>,
    servers: BTreeMap<u32, KnownServer>,
    /// A sender certificate whose signature was found right.
    verified: Option<Box<[u8]>>,
}

/// A server certificate that a root signed, so that it is not verified again with every message.
#[derive(Clone, Debug)]
struct KnownServer {
    certificate: Box<[u8]>,
    key: Point,
}

impl Trust {
    /// Trusts what any of `roots` signed.
    #[must_use]
    pub fn new<'a>(roots: impl IntoIterator<Item = &'a CertificateKey>) -> Self {
        // A key that exists has a point; one that had none would be trusted with nothing.
        let roots = roots.into_iter().filter_map(|root| root.encoded().point().ok()).collect();
        Self { roots, servers: BTreeMap::new(), verified: None }
    }

    /// Knows a server from now on, so that sender certificates may name it by id and need not be verified down to the root
    /// each time. It replaces one of the same id.
    ///
    /// # Errors
    /// [`CertificateError::UntrustedServer`], [`CertificateError::RevokedServer`].
    pub fn add_server(&mut self, server: &ServerCertificateIn) -> Result<(), CertificateError> {
        let (_, key) = server.verify_key(self)?;
        // A certificate that names its server by id was verified under the key that this may replace.
        self.verified = None;
        self.servers.insert(server.id(), KnownServer { certificate: server.as_bytes().into(), key });
        Ok(())
    }

    /// Remembers a sender certificate that this trust verified, so that the signatures of the very same bytes are not verified again with every
    /// message; its expiry is still looked at. It replaces the one before.
    pub fn remember(&mut self, certificate: &SenderCertificate) {
        self.verified = Some(certificate.as_bytes().into());
    }

    pub(super) fn remembers(&self, certificate: &[u8]) -> bool {
        self.verified.as_deref() == Some(certificate)
    }

    pub(super) fn roots(&self) -> impl Iterator<Item = &Point> {
        self.roots.iter()
    }

    /// The key of a server that a sender certificate embeds.
    pub(super) fn key_of(&self, server: &ServerCertificateIn) -> Result<Point, CertificateError> {
        match self.servers.get(&server.id()) {
            Some(known) if *known.certificate == *server.as_bytes() => Ok(known.key),
            _ => server.verify_key(self).map(|(_, key)| key),
        }
    }

    /// The key of a server that a sender certificate names.
    pub(super) fn key_by_id(&self, id: u32) -> Result<Point, CertificateError> {
        self.servers.get(&id).map(|known| known.key).ok_or(CertificateError::UnknownServer { id })
    }
}
