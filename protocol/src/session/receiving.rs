//! Receiving chains: which of a peer's messages can still be opened (spec §5.7).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;

use super::budget::Budget;
use super::error::OpenError;
use crate::curve::RatchetKey;
use crate::ratchet::{ChainKey, MessageKeys, MessageSeed, PqSalt};

/// How far a message may be ahead of the last one opened in its chain.
pub(crate) const MAX_FORWARD_JUMPS: u32 = 25_000;
/// How many skipped messages' keys a chain keeps; the oldest go first.
pub(crate) const MAX_SKIPPED: u32 = 2_000;
/// How many chains a state keeps; the oldest goes first.
pub(crate) const MAX_CHAINS: usize = 5;

/// The chains of the peer's newest ratchet keys, oldest first.
#[derive(Debug, Default)]
pub(crate) struct ReceivingChains {
    pub(crate) chains: Vec<ReceivingChain>,
    /// The number of the next chain: a record's key names one chain for ever.
    pub(crate) next_id: u32,
}

pub(crate) struct ReceivingChain {
    pub(crate) id: u32,
    pub(crate) ratchet_key: RatchetKey,
    pub(crate) chain_key: ChainKey,
    pub(crate) skipped: BTreeMap<u32, SkippedKey>,
}

/// What is kept of a message that has not come.
pub(crate) enum SkippedKey {
    /// The usual: the salt of its keys becomes known with the message.
    Seed(MessageSeed),
    /// Imported from a record that kept the keys themselves.
    Keys(MessageKeys),
}

/// What opening a message would do to its chain. Nothing has happened yet.
pub(crate) enum Step {
    /// A key that was kept is used up.
    Used { counter: u32 },
    /// The chain moves on, over messages that have not come.
    Advanced {
        /// The message's own seed.
        seed: MessageSeed,
        chain_key: ChainKey,
        skipped: Vec<(u32, SkippedKey)>,
        /// Kept keys below this number are dropped to stay within [`MAX_SKIPPED`].
        keep_from: u32,
    },
}

impl ReceivingChains {
    pub(crate) fn starting_with(ratchet_key: RatchetKey, chain_key: ChainKey) -> Self {
        let chain = ReceivingChain { id: 0, ratchet_key, chain_key, skipped: BTreeMap::new() };
        Self { chains: Vec::from([chain]), next_id: 1 }
    }

    /// The chain of a ratchet key, with its place.
    pub(crate) fn find(&self, ratchet_key: &RatchetKey) -> Option<(usize, &ReceivingChain)> {
        self.chains.iter().enumerate().find(|(_, chain)| chain.ratchet_key == *ratchet_key)
    }

    /// A chain for a new ratchet key, not yet part of the state.
    pub(crate) fn fresh(&self, ratchet_key: RatchetKey, chain_key: ChainKey) -> ReceivingChain {
        ReceivingChain { id: self.next_id, ratchet_key, chain_key, skipped: BTreeMap::new() }
    }

    /// Which chain [`Self::push`] will drop.
    pub(crate) fn displaced(&self) -> Option<&ReceivingChain> {
        if self.chains.len() < MAX_CHAINS { None } else { self.chains.first() }
    }

    pub(crate) fn push(&mut self, chain: ReceivingChain) {
        if self.displaced().is_some() {
            self.chains.remove(0);
        }
        self.next_id = chain.id.wrapping_add(1);
        self.chains.push(chain);
    }
}

impl ReceivingChain {
    /// Finds what message `counter` is keyed from: a kept key, or by walking the chain forward on a copy.
    pub(crate) fn step_to(&self, counter: u32, budget: &mut Budget) -> Result<Step, OpenError> {
        let Some(ahead) = counter.checked_sub(self.chain_key.index()) else {
            let is_kept = self.skipped.contains_key(&counter);
            return if is_kept { Ok(Step::Used { counter }) } else { Err(OpenError::Duplicate { counter }) };
        };
        if ahead > MAX_FORWARD_JUMPS {
            return Err(OpenError::TooFarAhead { counter, ahead });
        }
        budget.spend(ahead)?;
        self.walk(counter).map_err(|_| OpenError::TooFarAhead { counter, ahead })
    }

    fn walk(&self, counter: u32) -> Result<Step, crate::ratchet::ChainExhausted> {
        // Kept keys older than this would go at once: they are not even derived.
        let newest = counter.saturating_sub(MAX_SKIPPED);
        let mut skipped = Vec::new();
        let mut chain_key = self.chain_key.duplicate();
        while chain_key.index() < counter {
            if chain_key.index() >= newest {
                skipped.push((chain_key.index(), SkippedKey::Seed(chain_key.message_seed())));
            }
            chain_key = chain_key.next()?;
        }
        let keep_from = self.oldest_to_keep(skipped.len());
        Ok(Step::Advanced { seed: chain_key.message_seed(), chain_key: chain_key.next()?, skipped, keep_from })
    }

    /// The number below which kept keys are dropped when `added` more come.
    fn oldest_to_keep(&self, added: usize) -> u32 {
        let limit = usize::try_from(MAX_SKIPPED).unwrap_or(usize::MAX);
        let excess = self.skipped.len().saturating_add(added).saturating_sub(limit);
        match excess.checked_sub(1) {
            None => 0,
            // Everything up to the excess-th oldest goes; all of them if the new ones alone fill the limit.
            Some(last) => self.skipped.keys().nth(last).map_or(u32::MAX, |oldest| oldest.saturating_add(1)),
        }
    }

    /// The keys of the message that `step` leads to.
    pub(crate) fn message_keys(&self, step: &Step, salt: PqSalt<'_>) -> Option<MessageKeys> {
        match step {
            Step::Advanced { seed, .. } => Some(seed.message_keys(salt)),
            Step::Used { counter } => match self.skipped.get(counter)? {
                SkippedKey::Seed(seed) => Some(seed.message_keys(salt)),
                SkippedKey::Keys(keys) => Some(keys.duplicate()),
            },
        }
    }

    pub(crate) fn apply(&mut self, step: Step) {
        match step {
            Step::Used { counter } => {
                self.skipped.remove(&counter);
            }
            Step::Advanced { seed: _, chain_key, skipped, keep_from } => {
                self.chain_key = chain_key;
                while self.skipped.first_key_value().is_some_and(|(oldest, _)| *oldest < keep_from) {
                    self.skipped.pop_first();
                }
                self.skipped.extend(skipped);
            }
        }
    }
}

impl fmt::Debug for ReceivingChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, ratchet_key, chain_key, skipped } = self;
        f.debug_struct("ReceivingChain")
            .field("id", id)
            .field("ratchet_key", ratchet_key)
            .field("chain_key", chain_key)
            .field("skipped", &skipped.len())
            .finish()
    }
}
