//! One chain of a sender: which of its messages can still be opened (spec §7.4).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;

use super::error::GroupOpenError;
use crate::ratchet::{ChainExhausted, ChainKey, MessageSeed};
use crate::session::Budget;

/// How far a message may be ahead of the last one opened in its chain.
const MAX_FORWARD_JUMPS: u32 = 25_000;
/// How many skipped messages' seeds a chain keeps; the oldest go first.
const MAX_SKIPPED: u32 = 2_000;

pub(crate) struct ReceivingChain {
    pub(crate) chain_key: ChainKey,
    /// By number; all below the chain key's.
    pub(crate) skipped: BTreeMap<u32, MessageSeed>,
}

/// What opening a message would do to its chain. Nothing has happened yet.
pub(super) enum Step {
    /// A seed that was kept is used up.
    Used { iteration: u32 },
    /// The chain moves on, over messages that have not come.
    Advanced {
        /// The message's own seed.
        seed: MessageSeed,
        chain_key: ChainKey,
        skipped: Vec<(u32, MessageSeed)>,
        /// Kept seeds below this number are dropped to stay within [`MAX_SKIPPED`].
        keep_from: u32,
    },
}

impl ReceivingChain {
    pub(super) fn starting_at(chain_key: ChainKey) -> Self {
        Self { chain_key, skipped: BTreeMap::new() }
    }

    /// A chain as it was stored, or `None` if no chain is ever so.
    pub(crate) fn restore(chain_key: ChainKey, skipped: BTreeMap<u32, MessageSeed>) -> Option<Self> {
        let is_behind = skipped.last_key_value().is_none_or(|(last, _)| *last < chain_key.index());
        let is_within_limit = u32::try_from(skipped.len()).is_ok_and(|kept| kept <= MAX_SKIPPED);
        (is_behind && is_within_limit).then_some(Self { chain_key, skipped })
    }

    /// Finds what message `iteration` is keyed from: a kept seed, or by walking the chain forward on a copy.
    pub(super) fn step_to(&self, iteration: u32, budget: &mut Budget) -> Result<Step, GroupOpenError> {
        let Some(ahead) = iteration.checked_sub(self.chain_key.index()) else {
            let is_kept = self.skipped.contains_key(&iteration);
            return if is_kept { Ok(Step::Used { iteration }) } else { Err(GroupOpenError::Duplicate { iteration }) };
        };
        if ahead > MAX_FORWARD_JUMPS {
            return Err(GroupOpenError::TooFarAhead { iteration, ahead });
        }
        budget.spend(ahead)?;
        self.walk(iteration).map_err(|_| GroupOpenError::TooFarAhead { iteration, ahead })
    }

    fn walk(&self, iteration: u32) -> Result<Step, ChainExhausted> {
        // Seeds older than this would be dropped at once: they are not even derived.
        let newest = iteration.saturating_sub(MAX_SKIPPED);
        let mut skipped = Vec::new();
        let mut chain_key = self.chain_key.duplicate();
        while chain_key.index() < iteration {
            if chain_key.index() >= newest {
                skipped.push((chain_key.index(), chain_key.message_seed()));
            }
            chain_key = chain_key.next()?;
        }
        let keep_from = self.oldest_to_keep(skipped.len());
        Ok(Step::Advanced { seed: chain_key.message_seed(), chain_key: chain_key.next()?, skipped, keep_from })
    }

    /// The number below which kept seeds are dropped when `added` more come.
    fn oldest_to_keep(&self, added: usize) -> u32 {
        let limit = usize::try_from(MAX_SKIPPED).unwrap_or(usize::MAX);
        let excess = self.skipped.len().saturating_add(added).saturating_sub(limit);
        match excess.checked_sub(1) {
            None => 0,
            // Everything up to the excess-th oldest goes; all of them if the new ones alone fill the limit.
            Some(last) => self.skipped.keys().nth(last).map_or(u32::MAX, |oldest| oldest.saturating_add(1)),
        }
    }

    /// What the message that `step` leads to is keyed from.
    pub(super) fn seed<'a>(&'a self, step: &'a Step) -> Option<&'a MessageSeed> {
        match step {
            Step::Advanced { seed, .. } => Some(seed),
            Step::Used { iteration } => self.skipped.get(iteration),
        }
    }

    pub(super) fn apply(&mut self, step: Step) {
        match step {
            Step::Used { iteration } => {
                self.skipped.remove(&iteration);
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
        let Self { chain_key, skipped } = self;
        f.debug_struct("ReceivingChain").field("chain_key", chain_key).field("skipped", &skipped.len()).finish()
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Used { .. } => "Used(..)",
            Self::Advanced { .. } => "Advanced(..)",
        })
    }
}
