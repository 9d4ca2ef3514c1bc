//! The initiator's view of prekeys: a bundle from a server, believed only after verification (spec §2.5, §2.6).

use thiserror::Error;

use super::private::{KyberPrekeyId, OneTimePrekeyId, SignedPrekeyId};
use crate::address::{DeviceId, RegistrationId};
use crate::curve::{Decoded, IdentityKey, PrekeyPublic, PublicKeyError, Signature, VerifyingKey};
use crate::kyber::KyberPublicKey;

/// A bundle as a server handed it out: nothing in it is believed. [`Self::verify`] makes it a [`Bundle`].
#[derive(Clone, Copy, Debug)]
pub struct BundleIn<'a> {
    /// The device's registration id.
    pub registration_id: RegistrationId,
    /// Which device of the account.
    pub device_id: DeviceId,
    /// The device's identity key, 33 bytes. That it is the right person's is for the caller to know.
    pub identity_key: &'a [u8],
    /// Always there.
    pub signed_prekey: SignedPrekeyIn<'a>,
    /// Missing when the device's supply ran out; the session starts without.
    pub one_time_prekey: Option<OneTimePrekeyIn<'a>>,
    /// Required by [`Self::verify`].
    pub kyber_prekey: Option<KyberPrekeyIn<'a>>,
}

/// An unverified signed prekey.
#[derive(Clone, Copy, Debug)]
pub struct SignedPrekeyIn<'a> {
    /// Its number at the owner.
    pub id: SignedPrekeyId,
    /// 33 bytes.
    pub public_key: &'a [u8],
    /// 64 bytes, over `public_key`, by the identity key.
    pub signature: &'a [u8],
}

/// An unverified one-time prekey. It carries no signature in Signal's protocol.
#[derive(Clone, Copy, Debug)]
pub struct OneTimePrekeyIn<'a> {
    /// Its number at the owner.
    pub id: OneTimePrekeyId,
    /// 33 bytes.
    pub public_key: &'a [u8],
}

/// An unverified Kyber prekey, one-time or last resort (the bundle does not say which).
#[derive(Clone, Copy, Debug)]
pub struct KyberPrekeyIn<'a> {
    /// Its number at the owner.
    pub id: KyberPrekeyId,
    /// 1,569 bytes.
    pub public_key: &'a [u8],
    /// 64 bytes, over `public_key`, by the identity key.
    pub signature: &'a [u8],
}

/// Why a bundle is not to be used. Whoever handed it out is at fault: fetch another, and if that fails too, tell the
/// person that the server's keys for this device are not genuine. Safe to log.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum BundleError {
    /// The identity key does not parse.
    #[error("identity key: {0}")]
    IdentityKey(PublicKeyError),
    /// The signed prekey does not parse.
    #[error("signed prekey: {0}")]
    SignedPrekey(PublicKeyError),
    /// The signed prekey's signature is missing, malformed or not the identity key's.
    #[error("the signed prekey's signature is not the identity key's")]
    SignedPrekeySignature,
    /// The one-time prekey does not parse.
    #[error("one-time prekey: {0}")]
    OneTimePrekey(PublicKeyError),
    /// The Kyber prekey does not parse.
    #[error("Kyber prekey: {0}")]
    KyberPrekey(PublicKeyError),
    /// The Kyber prekey's signature is missing, malformed or not the identity key's.
    #[error("the Kyber prekey's signature is not the identity key's")]
    KyberPrekeySignature,
    /// There is no Kyber prekey, so no agreement that withstands a quantum computer is possible.
    #[error("the bundle has no Kyber prekey")]
    NoKyberPrekey,
}

/// A verified bundle: every key parsed, every signature the identity key's. Good for PQXDH (spec §2.6).
#[derive(Clone, Debug)]
pub struct Bundle {
    pub(crate) offer: Offer,
    pub(crate) kyber: KyberOffer,
}

/// A verified bundle for X3DH, which gives up post-quantum secrecy (spec §2.6).
#[derive(Clone, Debug)]
pub struct ClassicalBundle {
    pub(crate) offer: Offer,
}

/// What both suites use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer {
    pub(crate) registration_id: RegistrationId,
    pub(crate) device_id: DeviceId,
    pub(crate) identity_key: Decoded<IdentityKey>,
    pub(crate) signed_prekey: (SignedPrekeyId, Decoded<PrekeyPublic>),
    pub(crate) one_time_prekey: Option<(OneTimePrekeyId, Decoded<PrekeyPublic>)>,
}

#[derive(Clone, Debug)]
pub(crate) struct KyberOffer {
    pub(crate) id: KyberPrekeyId,
    pub(crate) key: KyberPublicKey,
}

impl BundleIn<'_> {
    /// Parses every key and verifies every signature (spec §2.6).
    ///
    /// # Errors
    /// [`BundleError`]; nothing was computed with the bundle's keys.
    pub fn verify(&self) -> Result<Bundle, BundleError> {
        let kyber = self.kyber_prekey.ok_or(BundleError::NoKyberPrekey)?;
        let (offer, signer) = self.verify_offer()?;
        let kyber = kyber.verify(&signer)?;
        Ok(Bundle { offer, kyber })
    }

    /// As [`Self::verify`], for X3DH with peers that have no Kyber prekeys: whoever records the traffic and one day owns a
    /// quantum computer reads the whole session.
    ///
    /// A Kyber prekey that is there is verified all the same, and then not used.
    ///
    /// # Errors
    /// [`BundleError`], never [`BundleError::NoKyberPrekey`].
    pub fn verify_without_post_quantum_secrecy(&self) -> Result<ClassicalBundle, BundleError> {
        let (offer, signer) = self.verify_offer()?;
        if let Some(kyber) = self.kyber_prekey {
            kyber.verify(&signer)?;
        }
        Ok(ClassicalBundle { offer })
    }

    /// With the identity key as what verifies: the Kyber prekey's signature is under the same key.
    fn verify_offer(&self) -> Result<(Offer, VerifyingKey), BundleError> {
        let Self { registration_id, device_id, identity_key, signed_prekey, one_time_prekey, kyber_prekey: _ } = *self;
        let identity_key = IdentityKey::decode(identity_key).map_err(BundleError::IdentityKey)?;
        let public_key = PrekeyPublic::decode(signed_prekey.public_key).map_err(BundleError::SignedPrekey)?;
        let signer = VerifyingKey::new(&identity_key.point);
        verify_signature(&signer, &public_key.key.to_bytes(), signed_prekey.signature)
            .ok_or(BundleError::SignedPrekeySignature)?;
        let one_time_prekey = match one_time_prekey {
            None => None,
            Some(OneTimePrekeyIn { id, public_key }) => {
                Some((id, PrekeyPublic::decode(public_key).map_err(BundleError::OneTimePrekey)?))
            }
        };
        let signed_prekey = (signed_prekey.id, public_key);
        Ok((Offer { registration_id, device_id, identity_key, signed_prekey, one_time_prekey }, signer))
    }
}

impl KyberPrekeyIn<'_> {
    fn verify(&self, signer: &VerifyingKey) -> Result<KyberOffer, BundleError> {
        let key = KyberPublicKey::parse(self.public_key).map_err(BundleError::KyberPrekey)?;
        verify_signature(signer, &key.to_bytes(), self.signature).ok_or(BundleError::KyberPrekeySignature)?;
        Ok(KyberOffer { id: self.id, key })
    }
}

fn verify_signature(signer: &VerifyingKey, message: &[u8], signature: &[u8]) -> Option<()> {
    let signature = Signature::from_bytes(signature.try_into().ok()?);
    signer.verify(&[message], &signature).ok()
}

impl Bundle {
    /// Whose bundle this is: compare it with what is known of the person before starting a session.
    #[must_use]
    pub const fn identity_key(&self) -> &IdentityKey {
        &self.offer.identity_key.key
    }

    /// The device the bundle says it belongs to.
    #[must_use]
    pub const fn device_id(&self) -> DeviceId {
        self.offer.device_id
    }
}

impl ClassicalBundle {
    /// Whose bundle this is: compare it with what is known of the person before starting a session.
    #[must_use]
    pub const fn identity_key(&self) -> &IdentityKey {
        &self.offer.identity_key.key
    }

    /// The device the bundle says it belongs to.
    #[must_use]
    pub const fn device_id(&self) -> DeviceId {
        self.offer.device_id
    }
}
