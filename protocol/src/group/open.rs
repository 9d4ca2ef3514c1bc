//! Opening a group message: signature first, trial second, commit last (spec §7.3, §7.4).

use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::chain::Step;
use super::delta::GroupDelta;
use super::error::{GroupOpenError, WrongDistribution};
use super::message_keys::GroupMessageKeys;
use super::peer::{PeerSenderKeys, PeerState};
use super::record;
use crate::message::SenderKeyMessage;
use crate::session::Budget;
use crate::session::record_parts::VERIFICATION;

/// A group message that was opened and keys that have not moved yet.
#[must_use = "persist the delta, then commit; drop to leave the keys unchanged"]
#[derive(Debug)]
pub struct OpenedGroupMessage<'k> {
    keys: &'k mut PeerSenderKeys,
    position: usize,
    step: Step,
    plaintext: Zeroizing<Vec<u8>>,
}

impl PeerSenderKeys {
    /// Opens a group message of this sender (spec §7.3, §7.4). Dropping the result leaves the keys as they were.
    ///
    /// Costs one signature verification, and n to 2n HMACs for a message that is n ahead, n at most 25,000; `budget`
    /// bounds what messages that fail may cost: 100 for the verification, 1 for each of the n.
    ///
    /// # Errors
    /// [`GroupOpenError`] tells duplicates from forgeries, and when to ask the sender for its distribution message; the
    /// keys are as they were.
    pub fn open(
        &mut self,
        message: &SenderKeyMessage,
        budget: &mut Budget,
    ) -> Result<OpenedGroupMessage<'_>, GroupOpenError> {
        if message.distribution_id() != self.distribution_id {
            return Err(WrongDistribution.into());
        }
        let chain_id = message.chain_id();
        let known = self.states.iter().enumerate().find(|(_, state)| state.chain_id == chain_id);
        let (position, state) = known.ok_or(GroupOpenError::UnknownChain { chain_id })?;
        let mut left = *budget;
        match state.try_open(message, &mut left) {
            Ok((step, plaintext)) => Ok(OpenedGroupMessage { keys: self, position, step, plaintext }),
            Err(error) => {
                *budget = left;
                Err(error)
            }
        }
    }
}

impl PeerState {
    /// Nothing the message says counts before its signature was found right.
    fn try_open(
        &self,
        message: &SenderKeyMessage,
        budget: &mut Budget,
    ) -> Result<(Step, Zeroizing<Vec<u8>>), GroupOpenError> {
        budget.spend(VERIFICATION)?;
        message.verify(&self.signing_key).map_err(|_| GroupOpenError::Forged)?;
        let iteration = message.iteration();
        let step = self.chain.step_to(iteration, budget)?;
        let seed = self.chain.seed(&step).ok_or(GroupOpenError::Duplicate { iteration })?;
        let plaintext = GroupMessageKeys::derive(seed).decrypt(message.ciphertext());
        let plaintext = plaintext.map(Zeroizing::new).map_err(|_| GroupOpenError::Undecryptable { iteration })?;
        Ok((step, plaintext))
    }
}

impl OpenedGroupMessage<'_> {
    /// What must be on disk before [`Self::commit`], and before the message is acknowledged to whoever delivered it.
    pub fn delta(&self) -> GroupDelta {
        let Self { keys, position, step, plaintext: _ } = self;
        let mut writes = Vec::new();
        if let Step::Advanced { chain_key, .. } = step {
            let rows = keys.states.iter().enumerate().map(|(place, state)| {
                let row = record::Row::of(state);
                if place == *position { row.at(chain_key) } else { row }
            });
            writes.push(record::chains(keys.distribution_id, keys.next_serial, rows));
        }
        if let Some(state) = keys.states.get(*position) {
            record::write_kept_changed(state, step, &mut writes);
        }
        GroupDelta { writes }
    }

    /// Moves the chain on, and hands out the plaintext.
    #[must_use = "the plaintext can be had only once"]
    pub fn commit(mut self) -> Vec<u8> {
        if let Some(state) = self.keys.states.get_mut(self.position) {
            state.chain.apply(self.step);
        }
        core::mem::take(&mut *self.plaintext)
    }
}
