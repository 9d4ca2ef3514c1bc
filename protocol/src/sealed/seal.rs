//! Sealing: to one, to many for Signal's server, to many for a blind relay (spec §8.4 to §8.8).

use alloc::vec::Vec;

use rand_core::CryptoRng;

use super::agreements::Agreements;
use super::content::Content;
use super::error::SealError;
use super::v2::{Header, Seal};
use super::{parallel, sent, v1};
use crate::address::{DeviceId, RegistrationId, ServiceId};
use crate::curve::{IdentityKey, KeyPair};
use crate::identity::IdentityKeyPair;

/// An account with devices that share one identity key, as in the sent form (spec §8.6).
#[derive(Clone, Copy, Debug)]
pub struct Recipient<'a> {
    /// The account.
    pub service_id: ServiceId,
    /// Its identity key.
    pub identity_key: IdentityKey,
    /// Its devices, at least one, each once.
    pub devices: &'a [(DeviceId, RegistrationId)],
}

/// What a fan-out uploads: the shared part once, a header per recipient key (spec §8.8).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FanOut {
    shared: Vec<u8>,
    headers: Vec<Header>,
}

impl FanOut {
    /// Ephemeral key ‖ ciphertext: 48 bytes less than the envelope's size if the content was padded to one.
    #[must_use]
    pub fn shared(&self) -> &[u8] {
        &self.shared
    }

    /// One for each recipient key, in the order they were given.
    #[must_use]
    pub fn headers(&self) -> &[Header] {
        &self.headers
    }

    /// The envelope for one recipient: header ‖ shared.
    #[must_use]
    pub fn envelope(&self, index: usize) -> Option<Vec<u8>> {
        self.headers.get(index).map(|header| [header.as_bytes().as_slice(), &self.shared].concat())
    }

    /// Shared part and headers.
    #[must_use]
    pub fn into_parts(self) -> (Vec<u8>, Vec<Header>) {
        (self.shared, self.headers)
    }
}

impl Content<'_> {
    /// Seals for one recipient, version 1 (spec §8.4). Draws 32 random bytes.
    ///
    /// # Errors
    /// [`SealError::OtherCertificate`], [`SealError::TooLong`].
    pub fn seal_v1(
        &self,
        sender: &IdentityKeyPair,
        recipient: &IdentityKey,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, SealError> {
        self.check_sender(sender)?;
        let content = self.encode()?;
        let recipient = recipient.encoded().point().map_err(|_| SealError::RecipientKey { index: 0 })?;
        let ephemeral = KeyPair::generate(rng);
        v1::seal(content, sender.pair(), &recipient, &ephemeral).map_err(|_| SealError::RecipientKey { index: 0 })
    }

    /// Seals for many recipients, version 2 in the sent form (spec §8.6). `excluded` are members of the group who get
    /// nothing, which the server checks. Draws 32 random bytes.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn seal_sent(
        &self,
        sender: &IdentityKeyPair,
        recipients: &[Recipient<'_>],
        excluded: &[ServiceId],
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, SealError> {
        self.check_sender(sender)?;
        sent::check(recipients, excluded)?;
        let seal = Seal::generate(rng);
        let shared = seal.shared(self)?;
        let headers = headers(&seal, sender, recipients, |recipient| &recipient.identity_key, &Agreements::new())?;
        sent::encode(recipients, &headers, excluded, &shared)
    }

    /// Seals for many recipient keys, as a relay takes it (spec §8.8): each device key has a header of its own. Every call is
    /// an upload with a fresh message key. Draws 32 random bytes.
    ///
    /// # Errors
    /// [`SealError::OtherCertificate`], [`SealError::TooLong`].
    pub fn seal_fan_out(
        &self,
        sender: &IdentityKeyPair,
        recipients: &[IdentityKey],
        rng: &mut impl CryptoRng,
    ) -> Result<FanOut, SealError> {
        self.seal_fan_out_with(sender, recipients, &Agreements::new(), rng)
    }

    /// As [`Self::seal_fan_out`], byte for byte, without computing again what two identity keys agree on if that is kept.
    ///
    /// # Errors
    /// As [`Self::seal_fan_out`].
    pub fn seal_fan_out_with(
        &self,
        sender: &IdentityKeyPair,
        recipients: &[IdentityKey],
        agreements: &Agreements,
        rng: &mut impl CryptoRng,
    ) -> Result<FanOut, SealError> {
        self.check_sender(sender)?;
        let seal = Seal::generate(rng);
        let shared = seal.shared(self)?;
        let headers = headers(&seal, sender, recipients, |key| key, agreements)?;
        Ok(FanOut { shared, headers })
    }

    fn check_sender(&self, sender: &IdentityKeyPair) -> Result<(), SealError> {
        let certified = self.certificate().sender().identity_key;
        if certified == *sender.public_key() { Ok(()) } else { Err(SealError::OtherCertificate) }
    }
}

/// One header per recipient, on several threads if there are many.
fn headers<R: Sync>(
    seal: &Seal,
    sender: &IdentityKeyPair,
    recipients: &[R],
    key: impl Fn(&R) -> &IdentityKey + Sync,
    agreements: &Agreements,
) -> Result<Vec<Header>, SealError> {
    let header = |recipient: &R| {
        let key = key(recipient).encoded();
        // A key that is kept was decoded before.
        let known = agreements.decoded(sender.pair(), key).map(|decoded| decoded.point);
        let point = known.map_or_else(|| key.point().ok(), Some)?;
        seal.header(sender.pair(), &point, agreements.kept(sender.pair(), key)).ok()
    };
    let headers = parallel::map(recipients, header).into_iter().enumerate();
    headers.map(|(index, header)| header.ok_or(SealError::RecipientKey { index })).collect()
}
