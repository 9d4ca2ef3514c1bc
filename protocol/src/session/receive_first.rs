//! Accepting a first message: agreement, then the message inside, and only then a state (spec §3.5).

use alloc::boxed::Box;

use rand_core::CryptoRng;

use super::budget::Budget;
use super::error::{AcceptError, OpenError};
use super::open::{Opened, Trial};
use super::receiving::ReceivingChains;
use super::state::{SendingChain, State};
use super::{LocalDevice, Session};
use crate::agreement::{self, PrivatePrekeys, Response};
use crate::curve::RatchetPair;
use crate::message::PreKeySignalMessage;
use crate::spqr::{Role, Spqr};

impl Session {
    /// Accepts a first message by PQXDH (spec §3.5) of a peer with the post-quantum ratchet (spec §6), if no state
    /// [is named by it](Self::is_named_by); a current state is archived.
    ///
    /// That its [`identity_key`](PreKeySignalMessage::identity_key) is the right person's is for the caller to know;
    /// [`Opened::identity`] tells whether it is the one from before. Draws 32 random bytes.
    ///
    /// # Errors
    /// [`AcceptError`]; nothing is consumed and the session is as it was.
    pub fn accept(
        &mut self,
        local: LocalDevice<'_>,
        prekeys: PrivatePrekeys<'_>,
        message: &PreKeySignalMessage,
        rng: &mut impl CryptoRng,
    ) -> Result<Opened<'_>, AcceptError> {
        if self.is_named_by(message) {
            return Err(AcceptError::KnownSession);
        }
        let mut response = agreement::respond(local.identity, prekeys, message)?;
        // PQXDH always yields it. Were it not there, no session would be better than one without the ratchet.
        let auth_key = response.secrets.pq_ratchet_key.take().ok_or(OpenError::NoPostQuantumRatchet)?;
        let post_quantum = Box::new(Spqr::new(&auth_key.0, Role::Responder));
        self.join(local, prekeys, message, response, Some(post_quantum), rng)
    }

    /// As [`Self::accept`] without the post-quantum ratchet, for peers older than the official library's 0.74: who records the
    /// traffic, learns the session's keys once and one day owns a quantum computer reads everything after, for as long as the
    /// session lasts. What the message offers is ignored. Never call it because a message asks for it.
    ///
    /// # Errors
    /// [`AcceptError`]; nothing is consumed and the session is as it was.
    pub fn accept_without_post_quantum_ratchet(
        &mut self,
        local: LocalDevice<'_>,
        prekeys: PrivatePrekeys<'_>,
        message: &PreKeySignalMessage,
        rng: &mut impl CryptoRng,
    ) -> Result<Opened<'_>, AcceptError> {
        if self.is_named_by(message) {
            return Err(AcceptError::KnownSession);
        }
        let response = agreement::respond(local.identity, prekeys, message)?;
        self.join(local, prekeys, message, response, None, rng)
    }

    /// As [`Self::accept`] by X3DH, for peers that have nothing better: whoever records the traffic and one day owns a
    /// quantum computer reads the whole session. Never call it because a message asks for it.
    ///
    /// # Errors
    /// [`AcceptError`]; nothing is consumed and the session is as it was.
    pub fn accept_without_post_quantum_secrecy(
        &mut self,
        local: LocalDevice<'_>,
        prekeys: PrivatePrekeys<'_>,
        message: &PreKeySignalMessage,
        rng: &mut impl CryptoRng,
    ) -> Result<Opened<'_>, AcceptError> {
        if self.is_named_by(message) {
            return Err(AcceptError::KnownSession);
        }
        let response = agreement::respond_without_post_quantum_secrecy(local.identity, prekeys, message)?;
        self.join(local, prekeys, message, response, None, rng)
    }

    /// The responder begins with its signed prekey as ratchet key and the agreement's chain for sending; the message
    /// inside makes the first ordinary ratchet step (spec §5.1).
    fn join(
        &mut self,
        local: LocalDevice<'_>,
        prekeys: PrivatePrekeys<'_>,
        message: &PreKeySignalMessage,
        response: Response,
        post_quantum: Option<Box<Spqr>>,
        rng: &mut impl CryptoRng,
    ) -> Result<Opened<'_>, AcceptError> {
        let Response { secrets, consumed } = response;
        let mut state = Box::new(State {
            serial: self.next_serial,
            suite: message.suite(),
            local_identity: *local.identity.public_key(),
            remote_identity: *message.identity_key(),
            local_registration_id: local.registration_id,
            remote_registration_id: message.registration_id(),
            addresses: local.addresses,
            base_key: *message.base_key(),
            root_key: secrets.root_key,
            post_quantum,
            sending: SendingChain::new(RatchetPair::of_prekey(prekeys.signed.pair()), secrets.chain_key, 0),
            receiving: ReceivingChains::default(),
            unacknowledged: None,
        });
        // The agreement cost more than any jump: no budget could say more than that.
        let Trial { change, plaintext } = state.try_open(message.message(), &mut Budget::default(), rng)?;
        state.apply(change);
        Ok(Opened::first(self, state, plaintext, consumed))
    }
}
