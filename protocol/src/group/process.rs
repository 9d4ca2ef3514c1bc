//! Taking a distribution message (spec §7.5).

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::chain::ReceivingChain;
use super::delta::GroupDelta;
use super::error::WrongDistribution;
use super::peer::{MAX_STATES, PeerSenderKeys, PeerState};
use super::record;
use crate::message::SenderKeyDistributionMessage;

/// What a distribution message was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProcessedDistribution {
    /// A chain that was not known.
    New,
    /// A chain that is known, with the same signing key: a repetition. What was kept of it is kept, so that nothing opened
    /// before opens again.
    Known,
    /// The chain id was known with another signing key. That chain is replaced: two honest chains of one sender have one
    /// id once in 2^31 times.
    Replaced,
}

/// A distribution message that was understood and keys that do not have it yet.
#[must_use = "persist the delta, then commit; drop to leave the keys unchanged"]
#[derive(Debug)]
pub struct Processed<'k> {
    keys: &'k mut PeerSenderKeys,
    change: Change,
}

#[derive(Debug)]
enum Change {
    /// The state at this place becomes the newest.
    ToFront { position: usize },
    /// This one becomes the newest, in the place of the one with the same chain id.
    Insert { state: Box<PeerState>, replaced: Option<usize> },
}

impl PeerSenderKeys {
    /// Takes a distribution message (spec §7.5). Dropping the result leaves the keys as they were.
    ///
    /// It must have come inside a pairwise session with the sending device itself: it is not signed, and whoever makes us
    /// take one under another's name can write in that name.
    ///
    /// # Errors
    /// [`WrongDistribution`]: the message is of another distribution id; nothing else can be wrong with one that decoded.
    pub fn process(&mut self, message: &SenderKeyDistributionMessage) -> Result<Processed<'_>, WrongDistribution> {
        if message.distribution_id() != self.distribution_id {
            return Err(WrongDistribution);
        }
        let (chain_id, signing_key) = (message.chain_id(), *message.verifying_key());
        let known = self.states.iter().enumerate().find(|(_, state)| state.chain_id == chain_id);
        let change = match known {
            Some((position, state)) if state.signing_key.encoded() == signing_key.encoded() => {
                Change::ToFront { position }
            }
            other => {
                let chain = ReceivingChain::starting_at(message.chain());
                let state = Box::new(PeerState { serial: self.next_serial, chain_id, signing_key, chain });
                Change::Insert { state, replaced: other.map(|(position, _)| position) }
            }
        };
        Ok(Processed { keys: self, change })
    }
}

impl Processed<'_> {
    /// What the message was.
    #[must_use]
    pub const fn kind(&self) -> ProcessedDistribution {
        match self.change {
            Change::ToFront { .. } => ProcessedDistribution::Known,
            Change::Insert { replaced: None, .. } => ProcessedDistribution::New,
            Change::Insert { replaced: Some(_), .. } => ProcessedDistribution::Replaced,
        }
    }

    /// What must be on disk before [`Self::commit`].
    pub fn delta(&self) -> GroupDelta {
        let Self { keys, change } = self;
        let mut writes = Vec::new();
        match change {
            Change::ToFront { position: 0 } => {}
            Change::ToFront { position } => {
                let moved = keys.states.iter().skip(*position).take(1);
                let (before, after) = keys.states.split_at((*position).min(keys.states.len()));
                let states = moved.chain(before).chain(after.iter().skip(1)).map(|state| &**state);
                writes.push(record::chains(keys.distribution_id, keys.next_serial, states.map(record::Row::of)));
            }
            Change::Insert { state, replaced } => {
                let (kept, dropped) = keys.kept_beside(*replaced);
                let states = core::iter::once(&**state).chain(kept);
                let next_serial = state.serial.wrapping_add(1);
                writes.push(record::chains(keys.distribution_id, next_serial, states.map(record::Row::of)));
                dropped.for_each(|state| record::delete_kept(state, &mut writes));
            }
        }
        GroupDelta { writes }
    }

    /// Takes the chain over.
    pub fn commit(self) -> ProcessedDistribution {
        let kind = self.kind();
        let Self { keys, change } = self;
        match change {
            Change::ToFront { position } => {
                if let Some(states) = keys.states.get_mut(..=position) {
                    states.rotate_right(1);
                }
            }
            Change::Insert { state, replaced } => {
                if let Some(position) = replaced {
                    keys.states.remove(position);
                }
                keys.next_serial = state.serial.wrapping_add(1);
                keys.states.insert(0, state);
                keys.states.truncate(MAX_STATES);
            }
        }
        kind
    }
}

impl PeerSenderKeys {
    /// Which states stay when another one becomes the newest, and which go.
    fn kept_beside(
        &self,
        replaced: Option<usize>,
    ) -> (impl Iterator<Item = &PeerState>, impl Iterator<Item = &PeerState>) {
        let states = || self.states.iter().map(|state| &**state).enumerate();
        let others = move || states().filter(move |(position, _)| Some(*position) != replaced).map(|(_, state)| state);
        let same = states().filter(move |(position, _)| Some(*position) == replaced).map(|(_, state)| state);
        let room = MAX_STATES.saturating_sub(1);
        (others().take(room), same.chain(others().skip(room)))
    }
}
