//! Sealing a message (spec §5.4, §5.5).

use core::time::Duration;

use super::error::SealError;
use super::{Session, Unacknowledged};
use crate::message::{
    CiphertextMessage, MAX_MESSAGE_LEN, PreKeyParts, PreKeySignalMessage, SignalMessage, SignalParts,
};
use crate::ratchet::{ChainKey, PqSalt};
use crate::time::Timestamp;

/// How long a session is good for sending without an answer (spec §5.5).
const MAX_UNACKNOWLEDGED: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Room for everything but the ciphertext: 1,569 bytes of Kyber ciphertext, keys, ids and framing.
const OVERHEAD: usize = 2 * 1024;

/// A message that was sealed and a session that has not moved yet.
#[must_use = "commit to move the session and get the message; drop to leave the session unchanged"]
#[derive(Debug)]
pub struct Sealed<'s> {
    session: &'s mut Session,
    next: ChainKey,
    message: CiphertextMessage,
}

impl Session {
    /// Seals `plaintext` for the peer's device (spec §5.4). Dropping the result leaves the session as it was.
    ///
    /// The ciphertext is at most 16 bytes longer, the message some 60 to 100 bytes more than that, and some 1,800 until
    /// the peer has answered. It hides content, not length: pad `plaintext` first if its length says something.
    ///
    /// # Errors
    /// [`SealError`] says whether to start a new session.
    pub fn seal(&mut self, plaintext: &[u8], now: Timestamp) -> Result<Sealed<'_>, SealError> {
        if plaintext.len() > MAX_MESSAGE_LEN.saturating_sub(OVERHEAD) {
            return Err(SealError::TooLong { got: plaintext.len() });
        }
        if self.unacknowledged.as_ref().is_some_and(|waiting| now.since(waiting.since) > MAX_UNACKNOWLEDGED) {
            return Err(SealError::UnacknowledgedTooLong);
        }
        let next = self.sending.chain_key.next()?;
        let message = self.ratchet_message(plaintext);
        let message = match &self.unacknowledged {
            None => CiphertextMessage::Signal(message),
            Some(waiting) => CiphertextMessage::PreKey(self.wrap(waiting, message)),
        };
        Ok(Sealed { session: self, next, message })
    }

    fn ratchet_message(&self, plaintext: &[u8]) -> SignalMessage {
        let keys = self.sending.chain_key.message_seed().message_keys(PqSalt::None);
        // Like the official library: addresses only until the peer has answered (spec §4.6).
        let addresses = self.unacknowledged.as_ref().and(self.addresses);
        SignalMessage::seal(SignalParts {
            suite: self.suite,
            ratchet_key: self.sending.encoded_ratchet_key(),
            counter: self.sending.chain_key.index(),
            previous_counter: self.sending.previous_counter,
            ciphertext: keys.encrypt(plaintext),
            addresses: addresses.map(|addresses| addresses.sending()),
            keys: &keys,
            sender: &self.local_identity,
            recipient: &self.remote_identity,
        })
    }

    fn wrap(&self, waiting: &Unacknowledged, message: SignalMessage) -> PreKeySignalMessage {
        let Unacknowledged { one_time_prekey_id, signed_prekey_id, kyber, since: _ } = waiting;
        PreKeySignalMessage::encode(PreKeyParts {
            registration_id: self.local_registration_id,
            one_time_prekey_id: *one_time_prekey_id,
            signed_prekey_id: *signed_prekey_id,
            kyber: kyber.clone(),
            base_key: self.base_key,
            identity_key: self.local_identity,
            message,
        })
    }
}

impl Sealed<'_> {
    /// Moves the session on, and hands out what to send.
    #[must_use = "send the message"]
    pub fn commit(self) -> CiphertextMessage {
        self.session.sending.chain_key = self.next;
        self.message
    }
}
