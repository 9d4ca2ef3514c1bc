//! What one operation would change in one state: staged, encoded into records, then applied (spec §5.4).

use alloc::boxed::Box;
use core::fmt;

use super::receiving::{ReceivingChain, Step};
use super::state::{SendingChain, State};
use crate::ratchet::{ChainKey, RootKey};

/// One operation's effect on one state.
pub(super) enum Change {
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
        match change {
            Change::Sent { chain_key } => self.sending.chain_key = chain_key,
            Change::Chain { position, step } => {
                self.unacknowledged = None;
                if let Some(chain) = self.receiving.chains.get_mut(position) {
                    chain.apply(step);
                }
            }
            Change::Ratchet(step) => {
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
        f.write_str(match self {
            Self::Sent { .. } => "Sent(..)",
            Self::Chain { .. } => "Chain(..)",
            Self::Ratchet(_) => "Ratchet(..)",
        })
    }
}
