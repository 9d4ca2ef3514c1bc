//! Seeded conversations between two ends over a network that loses, reorders and duplicates.
//!
//! ```text
//! initiator ──▶ [ in flight ] ──▶ responder      a step sends, delivers any message in flight,
//!           ◀── [ in flight ] ◀──                loses one, or delivers one a second time
//! ```
//! Invariants that every run checks: whatever arrives opens to what was sent, and whatever arrives twice is recognised
//! as a duplicate. A seed fixes every decision of the schedule; the keys are the ends' own.
//!
//! Not here: restarts, simultaneous initiation, identity changes.

use std::fmt;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use thiserror::Error;

use crate::peer::{Address, Ciphertext, Party, PeerError};

/// One end of a session that exists already (the initiator's) or begins with the first message (the responder's).
pub trait Endpoint {
    /// Encrypts to the other end.
    ///
    /// # Errors
    /// The reason, as text; the run ends with it.
    fn seal(&mut self, plaintext: &[u8]) -> Result<Ciphertext, String>;

    /// Decrypts from the other end.
    ///
    /// # Errors
    /// A duplicate, which a run may expect, or any other reason.
    fn open(&mut self, message: &Ciphertext) -> Result<Vec<u8>, OpenFailure>;
}

/// Why an end did not open a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum OpenFailure {
    /// It was opened before.
    Duplicate,
    /// Anything else.
    Refused(String),
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// Messages sent.
    pub sent: u32,
    /// Of these, opened.
    pub opened: u32,
    /// Of these, lost.
    pub lost: u32,
    /// Delivered a second time, and recognised.
    pub duplicates: u32,
    /// Times that an end began a new chain because it heard one.
    pub turns: u32,
}

/// Where a run and its expectation part.
#[derive(Debug, Error)]
#[error("step {step}: {who} {what}")]
pub struct Mismatch {
    /// From 0.
    pub step: u32,
    /// Initiator or responder.
    pub who: Role,
    /// What went wrong.
    pub what: String,
}

/// Which end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// Has processed a bundle.
    Initiator,
    /// Has published it.
    Responder,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Initiator => "initiator",
            Self::Responder => "responder",
        })
    }
}

/// Runs a conversation of `steps` steps, then delivers what is still in flight.
///
/// # Errors
/// The first [`Mismatch`].
pub fn run(
    seed: u64,
    steps: u32,
    initiator: &mut dyn Endpoint,
    responder: &mut dyn Endpoint,
) -> Result<Outcome, Mismatch> {
    let mut run = Run {
        rng: ChaCha8Rng::seed_from_u64(seed),
        step: 0,
        outcome: Outcome::default(),
        initiator: End::new(Role::Initiator, initiator),
        responder: End::new(Role::Responder, responder),
    };
    // Until the first message arrives the responder has nothing to say.
    run.send(Role::Initiator)?;
    for step in 1..steps {
        run.step = step;
        run.step()?;
    }
    run.step = steps;
    for role in [Role::Initiator, Role::Responder] {
        while !run.end(role).inbox.is_empty() {
            run.deliver(role)?;
        }
    }
    Ok(run.outcome)
}

struct Run<'e> {
    rng: ChaCha8Rng,
    step: u32,
    outcome: Outcome,
    initiator: End<'e>,
    responder: End<'e>,
}

struct End<'e> {
    role: Role,
    endpoint: &'e mut dyn Endpoint,
    /// In flight towards this end.
    inbox: Vec<Flying>,
    /// Delivered to this end before.
    delivered: Vec<Flying>,
    /// The newest of the other end's chains that this end has heard, from 1.
    heard: u32,
    /// This end's sending chain, from 1; it begins a new one whenever it hears a new one.
    chain: u32,
}

#[derive(Clone)]
struct Flying {
    message: Ciphertext,
    plaintext: Vec<u8>,
    chain: u32,
}

impl<'e> End<'e> {
    fn new(role: Role, endpoint: &'e mut dyn Endpoint) -> Self {
        Self { role, endpoint, inbox: Vec::new(), delivered: Vec::new(), heard: 0, chain: 1 }
    }

    fn can_send(&self) -> bool {
        self.role == Role::Initiator || self.heard > 0
    }
}

impl<'e> Run<'e> {
    fn step(&mut self) -> Result<(), Mismatch> {
        let role = if self.below(2) == 0 { Role::Initiator } else { Role::Responder };
        match self.below(20) {
            0..8 => self.send(role),
            8..16 => self.deliver(role),
            16..18 => {
                self.lose(role);
                Ok(())
            }
            _ => self.repeat(role),
        }
    }

    fn send(&mut self, from: Role) -> Result<(), Mismatch> {
        if !self.end(from).can_send() {
            return Ok(());
        }
        let mut plaintext = vec![0; self.below(300)];
        self.rng.fill_bytes(&mut plaintext);
        let end = self.end(from);
        let chain = end.chain;
        let message = end.endpoint.seal(&plaintext);
        let message = message.map_err(|error| self.mismatch(from, format!("does not encrypt: {error}")))?;
        self.end(from.other()).inbox.push(Flying { message, plaintext, chain });
        self.outcome.sent = self.outcome.sent.saturating_add(1);
        Ok(())
    }

    /// Delivers any of the messages in flight; those of chains that the receiver may have forgotten count as lost.
    fn deliver(&mut self, to: Role) -> Result<(), Mismatch> {
        let Some(flying) = self.take(to) else { return Ok(()) };
        let end = self.end(to);
        if flying.chain.saturating_add(CHAINS_KEPT) <= end.heard {
            self.outcome.lost = self.outcome.lost.saturating_add(1);
            return Ok(());
        }
        match end.endpoint.open(&flying.message) {
            Ok(plaintext) if plaintext == flying.plaintext => {}
            Ok(_) => return Err(self.mismatch(to, "opens to something else".into())),
            Err(failure) => return Err(self.mismatch(to, format!("does not open a message: {failure:?}"))),
        }
        if flying.chain > end.heard {
            end.heard = flying.chain;
            // The responder's first chain exists from the start; whoever hears a later one begins a new chain.
            end.chain = end.chain.saturating_add(1);
            self.outcome.turns = self.outcome.turns.saturating_add(1);
        }
        self.end(to).delivered.push(flying);
        self.outcome.opened = self.outcome.opened.saturating_add(1);
        Ok(())
    }

    fn lose(&mut self, to: Role) {
        if self.take(to).is_some() {
            self.outcome.lost = self.outcome.lost.saturating_add(1);
        }
    }

    fn repeat(&mut self, to: Role) -> Result<(), Mismatch> {
        let count = self.end(to).delivered.len();
        if count == 0 {
            return Ok(());
        }
        let index = self.below(count);
        let Some(flying) = self.end(to).delivered.get(index).cloned() else { return Ok(()) };
        let end = self.end(to);
        if flying.chain.saturating_add(CHAINS_KEPT) <= end.heard {
            return Ok(());
        }
        match end.endpoint.open(&flying.message) {
            Err(OpenFailure::Duplicate) => {
                self.outcome.duplicates = self.outcome.duplicates.saturating_add(1);
                Ok(())
            }
            other => Err(self.mismatch(to, format!("got a message twice, and said {other:?}"))),
        }
    }

    fn take(&mut self, to: Role) -> Option<Flying> {
        let count = self.end(to).inbox.len();
        if count == 0 {
            return None;
        }
        let index = self.below(count);
        Some(self.end(to).inbox.swap_remove(index))
    }

    fn end(&mut self, role: Role) -> &mut End<'e> {
        match role {
            Role::Initiator => &mut self.initiator,
            Role::Responder => &mut self.responder,
        }
    }

    /// A number below `bound`; the bias of the remainder does not matter here.
    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).unwrap_or(1);
        usize::try_from(self.rng.next_u64().checked_rem(bound).unwrap_or(0)).unwrap_or(0)
    }

    fn mismatch(&self, who: Role, what: String) -> Mismatch {
        Mismatch { step: self.step, who, what }
    }
}

impl Role {
    fn other(self) -> Self {
        match self {
            Self::Initiator => Self::Responder,
            Self::Responder => Self::Initiator,
        }
    }
}

/// A party's end of its session with `remote`.
#[derive(Debug)]
pub struct PartyEnd<'a, 'p> {
    /// Who.
    pub party: &'a Party<'p>,
    /// With whom.
    pub remote: Address,
}

impl Endpoint for PartyEnd<'_, '_> {
    fn seal(&mut self, plaintext: &[u8]) -> Result<Ciphertext, String> {
        self.party.encrypt(&self.remote, plaintext).map_err(|error| error.to_string())
    }

    fn open(&mut self, message: &Ciphertext) -> Result<Vec<u8>, OpenFailure> {
        match self.party.decrypt(&self.remote, message) {
            Ok(opened) => Ok(opened.plaintext.into_vec()),
            Err(error) if PeerError::is_duplicate(&error) => Err(OpenFailure::Duplicate),
            Err(error) => Err(OpenFailure::Refused(error.to_string())),
        }
    }
}

/// A receiver keeps five chains, and the initiator's first is one that the responder never sends in unless it speaks
/// before it ratchets; so four are certain to be there.
const CHAINS_KEPT: u32 = 4;
