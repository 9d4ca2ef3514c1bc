//! What one operation would change in one state: staged, encoded into records, then applied (spec §5.4, §6.8).

use alloc::boxed::Box;
use core::fmt;

use super::receiving::{ReceivingChain, Step};
use super::state::{SendingChain, State};
use crate::ratchet::{ChainKey, RootKey};
use crate::spqr;

/// One operation's effect on one state.
pub(super) struct Change {
    pub(super) ratchet: RatchetChange,
    /// Where the state has that ratchet.
    pub(super) post_quantum: Option<Box<spqr::Step>>,
}

/// Its effect on the Double Ratchet.
pub(super) enum RatchetChange {
    /// A message was sealed: the sending chain moves on.
    Sent { chain_key: ChainKey },
    /// A message of a known chain was opened.
    Chain { position: usize, step: Step },
    /// The peer has a new ratchet key: a new receiving chain, and a new sending chain in answer.
    Ratchet(Box<RatchetStep>),
}

pub(super) struct RatchetStep {
    pub(super) root_key: RootKey,
    pub(super) receiving: ReceivingChain,
    pub(super) sending: SendingChain,
}

impl State {
    pub(super) fn apply(&mut self, change: Change) {
        let Change { ratchet, post_quantum } = change;
        if let (Some(ratchet), Some(step)) = (&mut self.post_quantum, post_quantum) {
            ratchet.apply(*step);
        }
        match ratchet {
            RatchetChange::Sent { chain_key } => self.sending.chain_key = chain_key,
            RatchetChange::Chain { position, step } => {
                self.unacknowledged = None;
                if let Some(chain) = self.receiving.chains.get_mut(position) {
                    chain.apply(step);
                }
            }
            RatchetChange::Ratchet(step) => {
                self.unacknowledged = None;
                let RatchetStep { root_key, receiving, sending } = *step;
                self.root_key = root_key;
                self.receiving.push(receiving);
                self.sending = sending;
            }
        }
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.ratchet {
            RatchetChange::Sent { .. } => "Sent(..)",
            RatchetChange::Chain { .. } => "Chain(..)",
            RatchetChange::Ratchet(_) => "Ratchet(..)",
        })
    }
}
