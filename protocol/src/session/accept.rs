//! Accepting a first message: agreement, then the message inside, and only then a session (spec §3.5).

use alloc::vec::Vec;

use rand_core::CryptoRng;

use super::error::AcceptError;
use super::receiving::ReceivingChains;
use super::sending::SendingChain;
use super::{LocalDevice, Session};
use crate::agreement::{self, Consumed, PrivatePrekeys, Response};
use crate::message::PreKeySignalMessage;

/// A first message that was opened. Store the session and apply [`Self::consumed`] in one transaction, then commit.
#[must_use = "persist the session and what was consumed, then commit; drop to forget the message"]
#[derive(Debug)]
pub struct Accepted {
    session: Session,
    consumed: Consumed,
    plaintext: zeroize::Zeroizing<Vec<u8>>,
}

impl Session {
    /// Accepts a first message by PQXDH (spec §3.5), if no session [is named by it](Self::is_named_by).
    ///
    /// That its [`identity_key`](PreKeySignalMessage::identity_key) is the right person's is for the caller to know.
    /// Draws 32 random bytes.
    ///
    /// # Errors
    /// [`AcceptError`]; nothing is consumed and no session made.
    pub fn accept(
        local: LocalDevice<'_>,
        prekeys: PrivatePrekeys<'_>,
        message: &PreKeySignalMessage,
        rng: &mut impl CryptoRng,
    ) -> Result<Accepted, AcceptError> {
        let response = agreement::respond(local.identity, prekeys, message)?;
        Self::from_response(local, prekeys, message, response, rng)
    }

    /// As [`Self::accept`] by X3DH, for peers that have nothing better: whoever records the traffic and one day owns a
    /// quantum computer reads the whole session. Never call it because a message asks for it.
    ///
    /// # Errors
    /// [`AcceptError`]; nothing is consumed and no session made.
    pub fn accept_without_post_quantum_secrecy(
        local: LocalDevice<'_>,
        prekeys: PrivatePrekeys<'_>,
        message: &PreKeySignalMessage,
        rng: &mut impl CryptoRng,
    ) -> Result<Accepted, AcceptError> {
        let response = agreement::respond_without_post_quantum_secrecy(local.identity, prekeys, message)?;
        Self::from_response(local, prekeys, message, response, rng)
    }

    /// The responder begins with its signed prekey as ratchet key and the agreement's chain for sending; the message
    /// inside makes the first ordinary ratchet step (spec §5.1).
    fn from_response(
        local: LocalDevice<'_>,
        prekeys: PrivatePrekeys<'_>,
        message: &PreKeySignalMessage,
        response: Response,
        rng: &mut impl CryptoRng,
    ) -> Result<Accepted, AcceptError> {
        let Response { secrets, consumed } = response;
        let ratchet = prekeys.signed.pair().duplicate();
        let mut session = Self {
            suite: message.suite(),
            local_identity: *local.identity.public_key(),
            remote_identity: *message.identity_key(),
            local_registration_id: local.registration_id,
            remote_registration_id: message.registration_id(),
            addresses: local.addresses,
            base_key: *message.base_key(),
            root_key: secrets.root_key,
            sending: SendingChain { ratchet, chain_key: secrets.chain_key, previous_counter: 0 },
            receiving: ReceivingChains::none(),
            unacknowledged: None,
        };
        let plaintext = zeroize::Zeroizing::new(session.open(message.message(), rng)?.commit());
        Ok(Accepted { session, consumed, plaintext })
    }
}

impl Accepted {
    /// The session as it will be: persist it before anything else happens.
    #[must_use]
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// What to delete and what to remember, in the same transaction.
    pub const fn consumed(&self) -> Consumed {
        self.consumed
    }

    /// The session and the plaintext.
    #[must_use = "the session and the plaintext can be had only once"]
    pub fn commit(mut self) -> (Session, Vec<u8>) {
        (self.session, core::mem::take(&mut *self.plaintext))
    }
}
