//! One state of a session: what one agreement grew into (spec §5.1, §5.5).

use alloc::boxed::Box;
use core::fmt;

use super::receiving::ReceivingChains;
use crate::address::{RegistrationId, SessionAddresses};
use crate::curve::{BaseKey, IdentityKey, PrivateKey, RatchetKey, RatchetPair};
use crate::kyber::KyberCiphertext;
use crate::message::PreKeySignalMessage;
use crate::prekey::{KyberPrekeyId, OneTimePrekeyId, SignedPrekeyId};
use crate::ratchet::{ChainKey, RootKey};
use crate::spqr::Spqr;
use crate::suite::Suite;
use crate::time::Timestamp;

pub(crate) struct State {
    /// Names the state's records; never reused within a session.
    pub(crate) serial: u32,
    pub(crate) suite: Suite,
    pub(crate) local_identity: IdentityKey,
    pub(crate) remote_identity: IdentityKey,
    pub(crate) local_registration_id: RegistrationId,
    pub(crate) remote_registration_id: RegistrationId,
    pub(crate) addresses: Option<SessionAddresses>,
    /// The initiator's ephemeral key: with the suite, the state's name (spec §5.6).
    pub(crate) base_key: BaseKey,
    pub(crate) root_key: RootKey,
    /// The third ratchet (spec §6); a state that began without it never gets it.
    pub(crate) post_quantum: Option<Box<Spqr>>,
    pub(crate) sending: SendingChain,
    pub(crate) receiving: ReceivingChains,
    /// On the initiator's side until the peer's first answer: what every message must repeat.
    pub(crate) unacknowledged: Option<Unacknowledged>,
}

/// The sending chain with the ratchet key it belongs to (spec §5.2).
pub(crate) struct SendingChain {
    pub(crate) private: PrivateKey,
    pub(crate) public: RatchetKey,
    pub(crate) chain_key: ChainKey,
    /// The number of the last message of the chain before this one, or 0 (spec §5.2).
    pub(crate) previous_counter: u32,
}

/// What a responder needs to join, repeated with every message until it answers (spec §5.5).
#[derive(Clone, Debug)]
pub(crate) struct Unacknowledged {
    pub(crate) since: Timestamp,
    pub(crate) one_time_prekey_id: Option<OneTimePrekeyId>,
    pub(crate) signed_prekey_id: SignedPrekeyId,
    pub(crate) kyber: Option<(KyberPrekeyId, KyberCiphertext)>,
}

impl State {
    pub(crate) fn is_named_by(&self, message: &PreKeySignalMessage) -> bool {
        self.suite == message.suite() && self.base_key == *message.base_key()
    }
}

impl SendingChain {
    pub(crate) fn new(ratchet: RatchetPair, chain_key: ChainKey, previous_counter: u32) -> Self {
        let RatchetPair { private, public } = ratchet;
        Self { private, public, chain_key, previous_counter }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            serial,
            suite,
            local_identity: _,
            remote_identity,
            local_registration_id: _,
            remote_registration_id: _,
            addresses: _,
            base_key: _,
            root_key: _,
            post_quantum,
            sending: _,
            receiving: _,
            unacknowledged,
        } = self;
        f.debug_struct("State")
            .field("serial", serial)
            .field("suite", suite)
            .field("remote_identity", remote_identity)
            .field("acknowledged", &unacknowledged.is_none())
            .field("post_quantum", &post_quantum.is_some())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SendingChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { private: _, public, chain_key, previous_counter: _ } = self;
        f.debug_struct("SendingChain").field("public", public).field("chain_key", chain_key).finish_non_exhaustive()
    }
}
