//! Receiving chains: what of a peer's messages can still be opened (spec §5.7).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;

use super::error::OpenError;
use crate::curve::{EncodedKey, RatchetKey};
use crate::ratchet::{ChainKey, MessageSeed};

/// How far a message may be ahead of the last one opened in its chain.
pub(super) const MAX_FORWARD_JUMPS: u32 = 25_000;
/// How many skipped messages' seeds a chain keeps; the oldest go first.
pub(super) const MAX_SKIPPED: usize = 2_000;
/// How many chains a session keeps; the oldest goes first.
pub(super) const MAX_CHAINS: usize = 5;

/// The chains of the peer's newest ratchet keys, oldest first.
#[derive(Debug)]
pub(super) struct ReceivingChains(Vec<ReceivingChain>);

pub(super) struct ReceivingChain {
    ratchet_key: EncodedKey,
    chain_key: ChainKey,
    skipped: BTreeMap<u32, MessageSeed>,
}

/// What opening a message would do to its chain. Nothing has happened yet.
pub(super) struct Step {
    /// The seed of the message itself.
    pub(super) seed: MessageSeed,
    change: Change,
}

enum Change {
    /// A seed that was kept is used up.
    Used { counter: u32 },
    /// The chain moved on, over messages that have not come.
    Advanced { chain_key: ChainKey, skipped: Vec<(u32, MessageSeed)> },
}

impl ReceivingChains {
    pub(super) fn starting_with(ratchet_key: RatchetKey, chain_key: ChainKey) -> Self {
        Self(Vec::from([ReceivingChain::new(EncodedKey::from_point(ratchet_key.point()), chain_key)]))
    }

    pub(super) const fn none() -> Self {
        Self(Vec::new())
    }

    pub(super) fn position(&self, ratchet_key: EncodedKey) -> Option<usize> {
        self.0.iter().position(|chain| chain.ratchet_key == ratchet_key)
    }

    pub(super) fn chain(&self, position: usize) -> Option<&ReceivingChain> {
        self.0.get(position)
    }

    pub(super) fn apply(&mut self, position: usize, step: Step) {
        if let Some(chain) = self.0.get_mut(position) {
            chain.apply(step);
        }
    }

    pub(super) fn push(&mut self, chain: ReceivingChain) {
        if self.0.len() >= MAX_CHAINS {
            self.0.remove(0);
        }
        self.0.push(chain);
    }
}

impl ReceivingChain {
    pub(super) fn new(ratchet_key: EncodedKey, chain_key: ChainKey) -> Self {
        Self { ratchet_key, chain_key, skipped: BTreeMap::new() }
    }

    /// Finds the seed of message `counter`: a kept one, or by walking the chain forward on a copy.
    pub(super) fn step_to(&self, counter: u32) -> Result<Step, OpenError> {
        let index = self.chain_key.index();
        let Some(ahead) = counter.checked_sub(index) else {
            let kept = self.skipped.get(&counter).ok_or(OpenError::Duplicate { counter })?;
            return Ok(Step { seed: kept.duplicate(), change: Change::Used { counter } });
        };
        if ahead > MAX_FORWARD_JUMPS {
            return Err(OpenError::TooFarAhead { counter, ahead });
        }
        let too_far = |_| OpenError::TooFarAhead { counter, ahead };
        let keep_from = counter.saturating_sub(u32::try_from(MAX_SKIPPED).unwrap_or(u32::MAX));
        let mut skipped = Vec::new();
        let mut chain_key = self.chain_key.duplicate();
        while chain_key.index() < counter {
            if chain_key.index() >= keep_from {
                skipped.push((chain_key.index(), chain_key.message_seed()));
            }
            chain_key = chain_key.next().map_err(too_far)?;
        }
        let seed = chain_key.message_seed();
        Ok(Step { seed, change: Change::Advanced { chain_key: chain_key.next().map_err(too_far)?, skipped } })
    }

    pub(super) fn apply(&mut self, step: Step) {
        match step.change {
            Change::Used { counter } => {
                self.skipped.remove(&counter);
            }
            Change::Advanced { chain_key, skipped } => {
                self.chain_key = chain_key;
                self.skipped.extend(skipped);
                while self.skipped.len() > MAX_SKIPPED {
                    self.skipped.pop_first();
                }
            }
        }
    }
}

impl fmt::Debug for ReceivingChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ratchet_key, chain_key, skipped } = self;
        f.debug_struct("ReceivingChain")
            .field("ratchet_key", ratchet_key)
            .field("chain_key", chain_key)
            .field("skipped", &skipped.len())
            .finish_non_exhaustive()
    }
}
