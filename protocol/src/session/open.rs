//! Opening a message: trial first, commit later (spec §5.4, §5.7).

use alloc::boxed::Box;
use alloc::vec::Vec;

use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::Session;
use super::error::OpenError;
use super::receiving::{ReceivingChain, Step};
use super::sending::SendingChain;
use crate::curve::{IdentityKey, KeyPair, RatchetKey};
use crate::message::SignalMessage;
use crate::ratchet::{MessageSeed, PqSalt, RootKey};

/// A message that was opened and a session that has not moved yet.
#[must_use = "commit to move the session and get the plaintext; drop to leave the session unchanged"]
#[derive(Debug)]
pub struct Opened<'s> {
    session: &'s mut Session,
    change: Change,
    plaintext: Zeroizing<Vec<u8>>,
}

enum Change {
    /// The message was of a chain we know.
    Chain { position: usize, step: Step },
    /// The peer has a new ratchet key: a new receiving chain, and a new sending chain in answer.
    Ratchet(Box<RatchetStep>),
}

struct RatchetStep {
    root_key: RootKey,
    receiving: ReceivingChain,
    sending: SendingChain,
}

impl Session {
    /// Opens a message of the peer's (spec §5.4, §5.7). Dropping the result leaves the session as it was.
    ///
    /// A message with a ratchet key that is new to the session costs a ratchet step of three scalar multiplications and
    /// draws 32 random bytes. A message that is n ahead costs 2n HMACs, n at most 25,000.
    ///
    /// # Errors
    /// [`OpenError`] tells duplicates from forgeries; the session is as it was.
    pub fn open(&mut self, message: &SignalMessage, rng: &mut impl CryptoRng) -> Result<Opened<'_>, OpenError> {
        if message.suite() != self.suite {
            return Err(OpenError::WrongSuite);
        }
        self.check_addresses(message)?;
        let (change, plaintext) = match self.receiving.position(message.encoded_ratchet_key()) {
            Some(position) => self.open_in_chain(position, message)?,
            None => self.open_with_ratchet_step(message, rng)?,
        };
        Ok(Opened { session: self, change, plaintext })
    }

    /// A message that names its addresses must name ours (spec §4.6). One that names none is accepted.
    fn check_addresses(&self, message: &SignalMessage) -> Result<(), OpenError> {
        match (self.addresses, message.addresses()) {
            (Some(ours), Some(theirs)) if !bool::from(ours.receiving().ct_eq(theirs)) => Err(OpenError::Forged),
            _ => Ok(()),
        }
    }

    fn open_in_chain(
        &self,
        position: usize,
        message: &SignalMessage,
    ) -> Result<(Change, Zeroizing<Vec<u8>>), OpenError> {
        let chain = self.receiving.chain(position).ok_or(OpenError::Forged)?;
        let step = chain.step_to(message.counter())?;
        let plaintext = authenticate(&step.seed, message, &self.remote_identity, &self.local_identity)?;
        Ok((Change::Chain { position, step }, plaintext))
    }

    fn open_with_ratchet_step(
        &self,
        message: &SignalMessage,
        rng: &mut impl CryptoRng,
    ) -> Result<(Change, Zeroizing<Vec<u8>>), OpenError> {
        let encoded = message.encoded_ratchet_key();
        let theirs = RatchetKey::from_point(encoded.point().map_err(OpenError::RatchetKey)?);
        let (root_key, chain_key) =
            self.root_key.step(&self.sending.ratchet, &theirs).map_err(|_| OpenError::Forged)?;
        let mut receiving = ReceivingChain::new(encoded, chain_key);
        let step = receiving.step_to(message.counter())?;
        // Before anything more is computed: whoever sends this must hold the root key.
        let plaintext = authenticate(&step.seed, message, &self.remote_identity, &self.local_identity)?;
        receiving.apply(step);

        let ratchet = KeyPair::generate(rng);
        let (root_key, chain_key) = root_key.step(&ratchet, &theirs).map_err(|_| OpenError::Forged)?;
        let previous_counter = self.sending.chain_key.index().saturating_sub(1);
        let sending = SendingChain { ratchet, chain_key, previous_counter };
        Ok((Change::Ratchet(Box::new(RatchetStep { root_key, receiving, sending })), plaintext))
    }
}

/// MAC first, over the whole message and in constant time; only then padding is looked at, and both fail alike.
fn authenticate(
    seed: &MessageSeed,
    message: &SignalMessage,
    sender: &IdentityKey,
    recipient: &IdentityKey,
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let keys = seed.message_keys(PqSalt::None);
    if !message.is_authentic(&keys, sender, recipient) {
        return Err(OpenError::Forged);
    }
    keys.decrypt(message.ciphertext()).map(Zeroizing::new).map_err(|_| OpenError::Forged)
}

impl Opened<'_> {
    /// Moves the session on, and hands out the plaintext.
    #[must_use = "the plaintext can be had only once"]
    pub fn commit(self) -> Vec<u8> {
        let Self { session, change, mut plaintext } = self;
        match change {
            Change::Chain { position, step } => session.receiving.apply(position, step),
            Change::Ratchet(step) => {
                let RatchetStep { root_key, receiving, sending } = *step;
                session.root_key = root_key;
                session.receiving.push(receiving);
                session.sending = sending;
            }
        }
        session.unacknowledged = None;
        core::mem::take(&mut *plaintext)
    }
}

impl core::fmt::Debug for Change {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Chain { .. } => "Chain(..)",
            Self::Ratchet(_) => "Ratchet(..)",
        })
    }
}
