//! The sending chain with the ratchet key it belongs to (spec §5.2).

use core::fmt;

use crate::curve::{EncodedKey, KeyPair};
use crate::ratchet::ChainKey;

pub(super) struct SendingChain {
    pub(super) ratchet: KeyPair,
    pub(super) chain_key: ChainKey,
    /// The number of the last message of the chain before this one, or 0 (spec §5.2).
    pub(super) previous_counter: u32,
}

impl SendingChain {
    pub(super) fn encoded_ratchet_key(&self) -> EncodedKey {
        EncodedKey::from_point(self.ratchet.public())
    }
}

impl fmt::Debug for SendingChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ratchet: _, chain_key, previous_counter: _ } = self;
        f.debug_struct("SendingChain").field("chain_key", chain_key).finish_non_exhaustive()
    }
}
