//! What is kept of one sending device under one distribution id (spec §7.4, §7.5).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use super::chain::ReceivingChain;
use crate::curve::VerifyingKey;
use crate::message::DistributionId;

/// How many chains are kept of a sender; the one distributed longest ago goes first.
pub(crate) const MAX_STATES: usize = 5;

/// The sender keys of one device of a member, as far as it distributed them to us under one distribution id.
///
/// Keep one per sending device and distribution id, and look it up by who the message is *known* to be from: sealed sender
/// or a session says who that is, the message itself does not. Begin with [`PeerSenderKeys::new`] for a device never heard
/// of, [`PeerSenderKeys::load`] otherwise.
pub struct PeerSenderKeys {
    pub(super) distribution_id: DistributionId,
    /// Newest first.
    #[expect(clippy::vec_box, reason = "a chain's secrets stay where they are when chains change places")]
    pub(super) states: Vec<Box<PeerState>>,
    /// The number of the next state; numbers are never reused, so that a record's key names one chain for ever.
    pub(super) next_serial: u32,
}

/// One chain with the key that signs it.
pub(crate) struct PeerState {
    /// Names the chain's records.
    pub(crate) serial: u32,
    pub(crate) chain_id: u32,
    /// Its point is kept: a message costs one verification and no decoding.
    pub(crate) signing_key: VerifyingKey,
    pub(crate) chain: ReceivingChain,
}

impl PeerSenderKeys {
    /// Without any chain.
    #[must_use]
    pub const fn new(distribution_id: DistributionId) -> Self {
        Self { distribution_id, states: Vec::new(), next_serial: 0 }
    }

    /// The distribution id that all of them are under.
    #[must_use]
    pub const fn distribution_id(&self) -> DistributionId {
        self.distribution_id
    }

    /// The chains that can be read, newest first; at most 5.
    pub fn chain_ids(&self) -> impl Iterator<Item = u32> {
        self.states.iter().map(|state| state.chain_id)
    }

    /// States made elsewhere, newest first, with serials below `next_serial`.
    #[expect(clippy::vec_box, reason = "as the field")]
    pub(crate) fn from_states(
        distribution_id: DistributionId,
        mut states: Vec<Box<PeerState>>,
        next_serial: u32,
    ) -> Self {
        states.truncate(MAX_STATES);
        Self { distribution_id, states, next_serial }
    }
}

impl fmt::Debug for PeerSenderKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { distribution_id: _, states, next_serial: _ } = self;
        f.debug_struct("PeerSenderKeys").field("states", states).finish_non_exhaustive()
    }
}

impl fmt::Debug for PeerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { serial: _, chain_id, signing_key: _, chain } = self;
        f.debug_struct("PeerState").field("chain_id", chain_id).field("chain", chain).finish_non_exhaustive()
    }
}
