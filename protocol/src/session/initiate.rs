//! Starting a session from a verified bundle (spec §3.4).

use rand_core::CryptoRng;

use super::receiving::ReceivingChains;
use super::sending::SendingChain;
use super::{LocalDevice, Session, Unacknowledged};
use crate::agreement::{self, Initiation, NonContributoryAgreement};
use crate::curve::{KeyPair, RatchetKey};
use crate::prekey::{Bundle, ClassicalBundle, Offer};
use crate::suite::Suite;
use crate::time::Timestamp;

impl Session {
    /// Starts a session by PQXDH (spec §3.4). Nothing is sent: the first [`Self::seal`] makes the first message.
    ///
    /// That the bundle's [`identity_key`](Bundle::identity_key) is the right person's is for the caller to know. Draws 96
    /// random bytes.
    ///
    /// # Errors
    /// [`NonContributoryAgreement`]: use another bundle.
    pub fn initiate(
        local: LocalDevice<'_>,
        bundle: &Bundle,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, NonContributoryAgreement> {
        let initiation = agreement::initiate(local.identity, bundle, rng)?;
        Self::from_initiation(local, &bundle.offer, initiation, now, rng)
    }

    /// As [`Self::initiate`] by X3DH, for peers without Kyber prekeys: whoever records the traffic and one day owns a
    /// quantum computer reads the whole session.
    ///
    /// # Errors
    /// [`NonContributoryAgreement`]: use another bundle.
    pub fn initiate_without_post_quantum_secrecy(
        local: LocalDevice<'_>,
        bundle: &ClassicalBundle,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, NonContributoryAgreement> {
        let initiation = agreement::initiate_without_post_quantum_secrecy(local.identity, bundle, rng)?;
        Self::from_initiation(local, &bundle.offer, initiation, now, rng)
    }

    /// The initiator's first ratchet step: the responder's signed prekey stands in for its ratchet key, and the agreement's
    /// chain is kept for what the responder may send before it steps (spec §5.1).
    fn from_initiation(
        local: LocalDevice<'_>,
        offer: &Offer,
        initiation: Initiation,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, NonContributoryAgreement> {
        let Initiation { secrets, base_key, kyber } = initiation;
        let (signed_prekey_id, signed_prekey) = offer.signed_prekey;
        let theirs = RatchetKey::from_point(*signed_prekey.point());
        let ratchet = KeyPair::generate(rng);
        let (root_key, chain_key) = secrets.root_key.step(&ratchet, &theirs)?;
        let one_time_prekey_id = offer.one_time_prekey.map(|(id, _)| id);
        Ok(Self {
            suite: if kyber.is_some() { Suite::Pqxdh } else { Suite::X3dh },
            local_identity: *local.identity.public_key(),
            remote_identity: offer.identity_key,
            local_registration_id: local.registration_id,
            remote_registration_id: offer.registration_id,
            addresses: local.addresses,
            base_key,
            root_key,
            sending: SendingChain { ratchet, chain_key, previous_counter: 0 },
            receiving: ReceivingChains::starting_with(theirs, secrets.chain_key),
            unacknowledged: Some(Unacknowledged { one_time_prekey_id, signed_prekey_id, kyber, since: now }),
        })
    }
}
