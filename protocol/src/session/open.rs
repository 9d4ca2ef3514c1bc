//! Opening a message: trial first, commit later (spec §5.4, §5.7, §5.8).

use alloc::boxed::Box;
use alloc::vec::Vec;

use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::budget::{Budget, POST_QUANTUM_STEP, RATCHET_STEP};
use super::change::{Change, RatchetChange, RatchetStep};
use super::delta::{Delta, IdentityEvent};
use super::error::OpenError;
use super::receiving::{ReceivingChain, Step};
use super::state::{SendingChain, State};
use super::{MAX_ARCHIVED, Session, record};
use crate::agreement::Consumed;
use crate::curve::{IdentityKey, RatchetPair};
use crate::message::{PreKeySignalMessage, SignalMessage};
use crate::ratchet::PqSalt;
use crate::spqr::{self, KeyError};

/// A message that was opened and a session that has not moved yet.
#[must_use = "persist the delta, then commit; drop to leave the session unchanged"]
#[derive(Debug)]
pub struct Opened<'s> {
    session: &'s mut Session,
    target: Target,
    plaintext: Zeroizing<Vec<u8>>,
    consumed: Consumed,
    identity: IdentityEvent,
}

/// Which state the message is of.
#[derive(Debug)]
pub(super) enum Target {
    Current(Change),
    /// An archived one, which becomes current.
    Archived {
        position: usize,
        change: Change,
    },
    /// One that the message itself began, the change already applied.
    New(Box<State>),
}

/// A plaintext, and what its message did to the post-quantum ratchet.
type Authenticated = (Zeroizing<Vec<u8>>, Option<Box<spqr::Step>>);

/// What a state makes of a message.
pub(super) struct Trial {
    pub(super) change: Change,
    pub(super) plaintext: Zeroizing<Vec<u8>>,
}

impl Session {
    /// Opens an ordinary message (spec §5.4). Dropping the result leaves the session as it was.
    ///
    /// The current state is tried first, then the archived ones from newest to oldest; an archived one that opens it
    /// becomes current. A ratchet key that is new to a state costs a ratchet step, and a message that is n ahead n to 2n
    /// HMACs, n at most 25,000; `budget` bounds what messages that fail may cost. Draws 32 random bytes on a ratchet step.
    ///
    /// # Errors
    /// [`OpenError`] tells duplicates from forgeries; the session is as it was.
    pub fn open(
        &mut self,
        message: &SignalMessage,
        budget: &mut Budget,
        rng: &mut impl CryptoRng,
    ) -> Result<Opened<'_>, OpenError> {
        let mut left = *budget;
        let tried = self.try_states(message, &mut left, rng);
        match tried {
            Ok((position, trial)) => Ok(self.opened(position, trial)),
            Err(error) => {
                *budget = left;
                Err(error)
            }
        }
    }

    /// Opens the message inside a first message whose state exists ([`Self::is_named_by`]; spec §5.6): only that state is
    /// tried, and becomes current. No prekey is consumed.
    ///
    /// # Errors
    /// [`OpenError`]; the session is as it was.
    pub fn open_first(
        &mut self,
        message: &PreKeySignalMessage,
        budget: &mut Budget,
        rng: &mut impl CryptoRng,
    ) -> Result<Opened<'_>, OpenError> {
        let mut left = *budget;
        let named = self.states().enumerate().find(|(_, state)| state.is_named_by(message));
        let (position, state) = named.ok_or(OpenError::NoSession)?;
        // Outside the MAC, and a caller may look at it: it must not name somebody else (spec §5.6).
        if state.remote_identity != *message.identity_key() {
            return Err(OpenError::Forged);
        }
        match state.try_open(message.message(), &mut left, rng) {
            Ok(trial) => {
                let position = if self.current.is_some() { position.checked_sub(1) } else { Some(position) };
                Ok(self.opened(position, trial))
            }
            Err(error) => {
                *budget = left;
                Err(error)
            }
        }
    }

    /// `None` is the current state, a number the place of an archived one.
    fn opened(&mut self, position: Option<usize>, trial: Trial) -> Opened<'_> {
        let Trial { change, plaintext } = trial;
        let state = match position {
            None => self.current.as_deref(),
            Some(position) => self.archived.get(position).map(|state| &**state),
        };
        let identity = state.map_or(IdentityEvent::Unchanged, |state| self.identity_event(state.remote_identity));
        let target = match position {
            None => Target::Current(change),
            Some(position) => Target::Archived { position, change },
        };
        Opened { session: self, target, plaintext, consumed: Consumed::default(), identity }
    }

    /// A duplicate ends the search: the message is of that state, and no other can open it.
    fn try_states(
        &self,
        message: &SignalMessage,
        budget: &mut Budget,
        rng: &mut impl CryptoRng,
    ) -> Result<(Option<usize>, Trial), OpenError> {
        let mut first_error = None;
        let archived = self.archived.iter().enumerate().map(|(position, state)| (Some(position), state));
        for (position, state) in self.current.iter().map(|state| (None, state)).chain(archived) {
            match state.try_open(message, budget, rng) {
                Ok(trial) => return Ok((position, trial)),
                Err(error @ (OpenError::Duplicate { .. } | OpenError::OverBudget)) => return Err(error),
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
        }
        Err(first_error.unwrap_or(OpenError::NoSession))
    }
}

impl State {
    pub(super) fn try_open(
        &self,
        message: &SignalMessage,
        budget: &mut Budget,
        rng: &mut impl CryptoRng,
    ) -> Result<Trial, OpenError> {
        if message.suite() != self.suite {
            return Err(OpenError::WrongSuite);
        }
        self.check_addresses(message)?;
        self.spend_on_post_quantum_ratchet(message, budget)?;
        match self.receiving.find(&message.claimed_ratchet_key()) {
            Some((position, chain)) => {
                let step = chain.step_to(message.counter(), budget)?;
                let (plaintext, post_quantum) = self.authenticate(chain, &step, message)?;
                let ratchet = RatchetChange::Chain { position, step };
                Ok(Trial { change: Change { ratchet, post_quantum }, plaintext })
            }
            None => self.try_ratchet_step(message, budget, rng),
        }
    }

    /// A message that names its addresses must name ours (spec §4.6). One that names none is accepted.
    fn check_addresses(&self, message: &SignalMessage) -> Result<(), OpenError> {
        match (self.addresses, message.addresses()) {
            (Some(ours), Some(theirs)) if !bool::from(ours.receiving().ct_eq(theirs)) => Err(OpenError::Forged),
            _ => Ok(()),
        }
    }

    fn try_ratchet_step(
        &self,
        message: &SignalMessage,
        budget: &mut Budget,
        rng: &mut impl CryptoRng,
    ) -> Result<Trial, OpenError> {
        budget.spend(RATCHET_STEP)?;
        let claimed = message.claimed_ratchet_key();
        let theirs = claimed.encoded().point().map_err(OpenError::RatchetKey)?;
        let (root_key, chain_key) =
            self.root_key.step(&self.sending.private, &theirs).map_err(|_| OpenError::Forged)?;
        let mut receiving = self.receiving.fresh(claimed, chain_key);
        let step = receiving.step_to(message.counter(), budget)?;
        // Before anything more is computed: whoever sends this must hold the root key.
        let (plaintext, post_quantum) = self.authenticate(&receiving, &step, message)?;
        receiving.apply(step);

        let ratchet = RatchetPair::generate(rng);
        let (root_key, chain_key) = root_key.step(&ratchet.private, &theirs).map_err(|_| OpenError::Forged)?;
        let previous_counter = self.sending.chain_key.index().saturating_sub(1);
        let sending = SendingChain::new(ratchet, chain_key, previous_counter);
        let ratchet = RatchetChange::Ratchet(Box::new(RatchetStep { root_key, receiving, sending }));
        Ok(Trial { change: Change { ratchet, post_quantum }, plaintext })
    }

    /// Before either ratchet walks a step.
    fn spend_on_post_quantum_ratchet(&self, message: &SignalMessage, budget: &mut Budget) -> Result<(), OpenError> {
        let Some(ratchet) = &self.post_quantum else { return Ok(()) };
        let field = message.pq_ratchet().ok_or(OpenError::NoPostQuantumRatchet)?;
        let steps = ratchet.steps_to(field).map_err(|error| post_quantum_error(error, message.counter()))?;
        Ok(budget.spend(steps.saturating_mul(POST_QUANTUM_STEP))?)
    }

    /// The key of the post-quantum ratchet, then the message, and only when it is authentic what it carries for that ratchet
    /// (spec §6.8).
    fn authenticate(
        &self,
        chain: &ReceivingChain,
        step: &Step,
        message: &SignalMessage,
    ) -> Result<Authenticated, OpenError> {
        let Some(ratchet) = &self.post_quantum else {
            return Ok((self.decrypt(chain, step, message, PqSalt::None)?, None));
        };
        let field = message.pq_ratchet().ok_or(OpenError::NoPostQuantumRatchet)?;
        let opening = ratchet.open(field).map_err(|error| post_quantum_error(error, message.counter()))?;
        let salt = ratchet.key(&opening).map_or(PqSalt::None, |key| PqSalt::Key(key.as_bytes()));
        let plaintext = self.decrypt(chain, step, message, salt)?;
        let step = ratchet.receive(opening).map_err(|_| OpenError::PostQuantumRatchet)?;
        Ok((plaintext, Some(Box::new(step))))
    }

    /// MAC first, over the whole message and in constant time; only then padding is looked at, and both fail alike.
    fn decrypt(
        &self,
        chain: &ReceivingChain,
        step: &Step,
        message: &SignalMessage,
        salt: PqSalt<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let keys = chain.message_keys(step, salt).ok_or(OpenError::Forged)?;
        let (sender, recipient): (&IdentityKey, &IdentityKey) = (&self.remote_identity, &self.local_identity);
        if !message.is_authentic(&keys, sender, recipient) {
            return Err(OpenError::Forged);
        }
        keys.decrypt(message.ciphertext()).map(Zeroizing::new).map_err(|_| OpenError::Forged)
    }
}

/// The Double Ratchet still has the message's key. Where the other ratchet has not, the message is not what its sender made,
/// or older than that ratchet keeps: which of the two, nothing authenticated tells.
const fn post_quantum_error(error: spqr::OpenError, counter: u32) -> OpenError {
    match error {
        spqr::OpenError::Message(spqr::MessageError::Absent) => OpenError::NoPostQuantumRatchet,
        spqr::OpenError::Message(_) | spqr::OpenError::Version(_) => OpenError::PostQuantumRatchet,
        spqr::OpenError::Key(KeyError::TooFarAhead { ahead }) => OpenError::TooFarAhead { counter, ahead },
        spqr::OpenError::Key(KeyError::Future(_) | KeyError::Gone | KeyError::Exhausted) => OpenError::Forged,
    }
}

impl<'s> Opened<'s> {
    /// A first message began `state`.
    pub(super) fn first(
        session: &'s mut Session,
        state: Box<State>,
        plaintext: Zeroizing<Vec<u8>>,
        consumed: Consumed,
    ) -> Self {
        let identity = session.identity_event(state.remote_identity);
        Self { session, target: Target::New(state), plaintext, consumed, identity }
    }

    /// What must be on disk before [`Self::commit`], and before the message is acknowledged to whoever delivered it.
    pub fn delta(&self) -> Delta {
        let Self { session, target, consumed, identity, plaintext: _ } = self;
        let mut writes = Vec::new();
        match target {
            Target::Current(change) => {
                if let Some(state) = &session.current {
                    state.write_changed(change, &mut writes);
                }
            }
            Target::Archived { position, change } => session.write_promoted(*position, change, &mut writes),
            Target::New(state) => {
                session.write_replaced(state.serial, &mut writes);
                state.write_all(&mut writes);
            }
        }
        Delta { writes, consumed: *consumed, identity: *identity }
    }

    /// What was said: to be stored in the delta's transaction, because no key is left to open the message again.
    #[must_use]
    pub fn plaintext(&self) -> &[u8] {
        &self.plaintext
    }

    /// What this says about who the peer is; the same as in [`Self::delta`].
    #[must_use]
    pub const fn identity(&self) -> IdentityEvent {
        self.identity
    }

    /// Prekeys to delete and uses to remember; the same as in [`Self::delta`].
    pub const fn consumed(&self) -> Consumed {
        self.consumed
    }

    /// Moves the session on, and hands out the plaintext.
    #[must_use = "no key is left to open the message again"]
    pub fn commit(mut self) -> Vec<u8> {
        match self.target {
            Target::Current(change) => {
                if let Some(state) = &mut self.session.current {
                    state.apply(change);
                }
            }
            Target::Archived { position, change } => self.session.promote(position, change),
            Target::New(state) => self.session.replace_current(state),
        }
        core::mem::take(&mut *self.plaintext)
    }
}

impl Session {
    /// An archived state opened a message: it becomes current, and the current one is archived (spec §5.8).
    fn write_promoted(&self, position: usize, change: &Change, writes: &mut Vec<super::delta::Write>) {
        let Some(state) = self.archived.get(position) else { return };
        let rest = self.archived.iter().filter(|other| other.serial != state.serial);
        let archived = self.current.iter().chain(rest).map(|state| state.serial).take(MAX_ARCHIVED);
        writes.push(record::head_write(self.next_serial, Some(state.serial), archived));
        if let Some(current) = &self.current {
            current.write_archived(writes);
        }
        state.write_changed(change, writes);
    }

    fn promote(&mut self, position: usize, change: Change) {
        if position < self.archived.len() {
            let mut state = self.archived.remove(position);
            state.apply(change);
            self.demote_current();
            self.current = Some(state);
        }
    }
}
