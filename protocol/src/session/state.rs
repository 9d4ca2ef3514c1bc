//! One state of a session: what one agreement grew into (spec §5.1, §5.5).

use core::fmt;

use super::receiving::ReceivingChains;
use crate::address::{RegistrationId, SessionAddresses};
use crate::curve::{BaseKey, IdentityKey, KeyPair, PrivateKey, RatchetKey};
use crate::kyber::KyberCiphertext;
use crate::message::PreKeySignalMessage;
use crate::prekey::{KyberPrekeyId, OneTimePrekeyId, SignedPrekeyId};
use crate::ratchet::{ChainKey, RootKey};
use crate::suite::Suite;
use crate::time::Timestamp;

pub(super) struct State {
    /// Names the state's records; never reused within a session.
    pub(super) serial: u32,
    pub(super) suite: Suite,
    pub(super) local_identity: IdentityKey,
    pub(super) remote_identity: IdentityKey,
    pub(super) local_registration_id: RegistrationId,
    pub(super) remote_registration_id: RegistrationId,
    pub(super) addresses: Option<SessionAddresses>,
    /// The initiator's ephemeral key: with the suite, the state's name (spec §5.6).
    pub(super) base_key: BaseKey,
    pub(super) root_key: RootKey,
    pub(super) sending: SendingChain,
    pub(super) receiving: ReceivingChains,
    /// On the initiator's side until the peer's first answer: what every message must repeat.
    pub(super) unacknowledged: Option<Unacknowledged>,
}

/// The sending chain with the ratchet key it belongs to (spec §5.2).
pub(super) struct SendingChain {
    pub(super) private: PrivateKey,
    pub(super) public: RatchetKey,
    pub(super) chain_key: ChainKey,
    /// The number of the last message of the chain before this one, or 0 (spec §5.2).
    pub(super) previous_counter: u32,
}

/// What a responder needs to join, repeated with every message until it answers (spec §5.5).
#[derive(Clone, Debug)]
pub(super) struct Unacknowledged {
    pub(super) since: Timestamp,
    pub(super) one_time_prekey_id: Option<OneTimePrekeyId>,
    pub(super) signed_prekey_id: SignedPrekeyId,
    pub(super) kyber: Option<(KyberPrekeyId, KyberCiphertext)>,
}

impl State {
    pub(super) fn is_named_by(&self, message: &PreKeySignalMessage) -> bool {
        self.suite == message.suite() && self.base_key == *message.base_key()
    }
}

impl SendingChain {
    pub(super) fn new(pair: KeyPair, chain_key: ChainKey, previous_counter: u32) -> Self {
        let public = RatchetKey::from_point(pair.public());
        Self { private: pair.into_private(), public, chain_key, previous_counter }
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
            sending: _,
            receiving: _,
            unacknowledged,
        } = self;
        f.debug_struct("State")
            .field("serial", serial)
            .field("suite", suite)
            .field("remote_identity", remote_identity)
            .field("acknowledged", &unacknowledged.is_none())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SendingChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { private: _, public, chain_key, previous_counter: _ } = self;
        f.debug_struct("SendingChain").field("public", public).field("chain_key", chain_key).finish_non_exhaustive()
    }
}
