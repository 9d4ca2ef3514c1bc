//! The initiator's side (spec §3.3, §3.4).

use rand_core::CryptoRng;

use super::NonContributoryAgreement;
use super::secrets::{Agreed, SessionSecrets};
use crate::curve::{BaseKey, PrivateKey};
use crate::identity::IdentityKeyPair;
use crate::kyber::KyberCiphertext;
use crate::prekey::{Bundle, ClassicalBundle, KyberPrekeyId, Offer};

/// What the initiator has after an agreement: the secrets, and what the responder must be told to reach the same.
#[derive(Debug)]
pub struct Initiation {
    pub(crate) secrets: SessionSecrets,
    pub(crate) base_key: BaseKey,
    pub(crate) kyber: Option<(KyberPrekeyId, KyberCiphertext)>,
}

impl Initiation {
    /// The keys that the session starts from.
    #[must_use]
    pub const fn secrets(&self) -> &SessionSecrets {
        &self.secrets
    }

    /// The ephemeral key that the responder needs.
    #[must_use]
    pub const fn base_key(&self) -> &BaseKey {
        &self.base_key
    }

    /// The Kyber prekey used, and the ciphertext that the responder needs; none with X3DH.
    #[must_use]
    pub const fn kyber(&self) -> Option<&(KyberPrekeyId, KyberCiphertext)> {
        self.kyber.as_ref()
    }
}

/// PQXDH (version 4). Draws 32 bytes for the base key, then 32 for the encapsulation.
///
/// # Errors
/// [`NonContributoryAgreement`]: use another bundle.
pub fn initiate(
    ours: &IdentityKeyPair,
    bundle: &Bundle,
    rng: &mut impl CryptoRng,
) -> Result<Initiation, NonContributoryAgreement> {
    let base = PrivateKey::generate(rng);
    let (ciphertext, kem) = bundle.kyber.key.encapsulate(rng);
    let secrets = agree(ours, &base, &bundle.offer)?.into_pqxdh(&kem);
    let base_key = BaseKey::from_stored(base.public());
    Ok(Initiation { secrets, base_key, kyber: Some((bundle.kyber.id, ciphertext)) })
}

/// X3DH (version 3), for peers without Kyber prekeys. It gives up secrecy against whoever records the traffic and one day
/// owns a quantum computer. Draws 32 bytes for the base key.
///
/// # Errors
/// [`NonContributoryAgreement`]: use another bundle.
pub fn initiate_without_post_quantum_secrecy(
    ours: &IdentityKeyPair,
    bundle: &ClassicalBundle,
    rng: &mut impl CryptoRng,
) -> Result<Initiation, NonContributoryAgreement> {
    let base = PrivateKey::generate(rng);
    let secrets = agree(ours, &base, &bundle.offer)?.into_x3dh();
    Ok(Initiation { secrets, base_key: BaseKey::from_stored(base.public()), kyber: None })
}

fn agree(ours: &IdentityKeyPair, base: &PrivateKey, offer: &Offer) -> Result<Agreed, NonContributoryAgreement> {
    let (_, signed_prekey) = &offer.signed_prekey;
    Ok(Agreed {
        dh1: ours.pair().agree(&signed_prekey.point)?,
        dh2: base.agree(&offer.identity_key.point)?,
        dh3: base.agree(&signed_prekey.point)?,
        dh4: match &offer.one_time_prekey {
            None => None,
            Some((_, one_time_prekey)) => Some(base.agree(&one_time_prekey.point)?),
        },
    })
}
