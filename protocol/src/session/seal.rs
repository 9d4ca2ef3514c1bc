//! Sealing a message (spec §5.4, §5.5).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use rand_core::CryptoRng;

use super::Session;
use super::change::{Change, RatchetChange};
use super::delta::{Delta, IdentityEvent};
use super::error::SealError;
use super::state::{State, Unacknowledged};
use crate::agreement::Consumed;
use crate::message::{self, CiphertextMessage, MAX_MESSAGE_LEN, MessageKind, PreKeyWrapper, SignalParts};
use crate::ratchet::PqSalt;
use crate::spqr::Sent;
use crate::time::Timestamp;

/// How long a state is good for sending without an answer (spec §5.5).
const MAX_UNACKNOWLEDGED: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Room for everything but the ciphertext: 1,569 bytes of Kyber ciphertext, keys, ids and framing.
const OVERHEAD: usize = 2 * 1024;

/// A message that was sealed and a session that has not moved yet.
#[must_use = "persist the delta, then commit and send; drop to leave the session unchanged"]
#[derive(Debug)]
pub struct Sealed<'s> {
    state: &'s mut State,
    change: Change,
    message: CiphertextMessage,
}

impl Session {
    /// Seals `plaintext` for the peer's device (spec §5.4). Dropping the result leaves the session as it was.
    ///
    /// The ciphertext is at most 16 bytes longer, the message some 60 to 100 bytes more than that, and some 1,800 until
    /// the peer has answered. It hides content, not length: pad `plaintext` first if its length says something. Draws 64
    /// random bytes when the post-quantum ratchet needs a key pair, 32 when it encapsulates (spec §6.7), mostly none.
    ///
    /// # Errors
    /// [`SealError`] says whether to start a new session.
    pub fn seal(
        &mut self,
        plaintext: &[u8],
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<Sealed<'_>, SealError> {
        let state = self.current.as_deref_mut().ok_or(SealError::NoSession)?;
        if plaintext.len() > MAX_MESSAGE_LEN.saturating_sub(OVERHEAD) {
            return Err(SealError::TooLong { got: plaintext.len() });
        }
        if state.unacknowledged.as_ref().is_some_and(|waiting| now.since(waiting.since) > MAX_UNACKNOWLEDGED) {
            return Err(SealError::UnacknowledgedTooLong);
        }
        let ratchet = RatchetChange::Sent { chain_key: state.sending.chain_key.next()? };
        let (bytes, post_quantum) = match state.post_quantum.as_ref().map(|ratchet| ratchet.send(rng)).transpose()? {
            None => (state.ratchet_message(plaintext, PqSalt::None, None), None),
            Some(Sent { field, key, step }) => {
                let bytes = state.ratchet_message(plaintext, PqSalt::Key(key.as_bytes()), Some(field));
                (bytes, Some(Box::new(step)))
            }
        };
        let change = Change { ratchet, post_quantum };
        let message = match &state.unacknowledged {
            None => CiphertextMessage { kind: MessageKind::Signal, bytes },
            Some(waiting) => CiphertextMessage { kind: MessageKind::PreKey, bytes: state.wrap(waiting, bytes) },
        };
        Ok(Sealed { state, change, message })
    }
}

impl State {
    fn ratchet_message(&self, plaintext: &[u8], salt: PqSalt<'_>, pq_ratchet: Option<Vec<u8>>) -> Vec<u8> {
        let keys = self.sending.chain_key.message_seed().message_keys(salt);
        // Like the official library: addresses only until the peer has answered (spec §4.6).
        let addresses = self.unacknowledged.as_ref().and(self.addresses);
        message::seal(SignalParts {
            suite: self.suite,
            ratchet_key: self.sending.public,
            counter: self.sending.chain_key.index(),
            previous_counter: self.sending.previous_counter,
            ciphertext: keys.encrypt(plaintext),
            pq_ratchet,
            addresses: addresses.map(|addresses| addresses.sending()),
            keys: &keys,
            sender: &self.local_identity,
            recipient: &self.remote_identity,
        })
    }

    fn wrap(&self, waiting: &Unacknowledged, message: Vec<u8>) -> Vec<u8> {
        let wrapper = PreKeyWrapper {
            suite: self.suite,
            registration_id: self.local_registration_id,
            one_time_prekey_id: waiting.one_time_prekey_id,
            signed_prekey_id: waiting.signed_prekey_id,
            kyber: waiting.kyber.as_ref(),
            base_key: &self.base_key,
            identity_key: &self.local_identity,
        };
        message::wrap(&wrapper, message)
    }
}

impl Sealed<'_> {
    /// What must be on disk before the message leaves: otherwise a restart would use its key again.
    pub fn delta(&self) -> Delta {
        let mut writes = Vec::with_capacity(1);
        self.state.write_changed(&self.change, &mut writes);
        Delta { writes, consumed: Consumed::default(), identity: IdentityEvent::Unchanged }
    }

    /// What will be sent: to be stored in the delta's transaction, so that a restart sends it instead of sealing again.
    #[must_use]
    pub const fn message(&self) -> &CiphertextMessage {
        &self.message
    }

    /// Moves the session on, and hands out what to send.
    #[must_use = "send the message"]
    pub fn commit(self) -> CiphertextMessage {
        self.state.apply(self.change);
        self.message
    }
}
