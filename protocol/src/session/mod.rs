//! A session with one device of a peer. Implements spec/05-ratchet.md.
//!
//! ```text
//!  initiator: Bundle ──initiate──▶ Session ──seal──▶ Sealed ──commit──▶ CiphertextMessage
//!  responder: PreKeySignalMessage ──accept──▶ Accepted ──commit──▶ (Session, plaintext)
//!  both:      SignalMessage ──open──▶ Opened ──commit──▶ plaintext
//! ```
//! Invariants: nothing a peer sends changes a session before its MAC was found right, and nothing at all changes before
//! `commit`; a message key seals or opens once.
//! Not here: key schedule (`ratchet`), agreement (`agreement`), bytes (`message`).

mod accept;
mod error;
mod initiate;
mod open;
mod receiving;
mod seal;
mod sending;

use core::fmt;

pub use self::accept::Accepted;
pub use self::error::{AcceptError, OpenError, SealError};
pub use self::open::Opened;
use self::receiving::ReceivingChains;
pub use self::seal::Sealed;
use self::sending::SendingChain;
use crate::address::{RegistrationId, SessionAddresses};
use crate::curve::{BaseKey, IdentityKey};
use crate::identity::IdentityKeyPair;
use crate::kyber::KyberCiphertext;
use crate::message::PreKeySignalMessage;
use crate::prekey::{KyberPrekeyId, OneTimePrekeyId, SignedPrekeyId};
use crate::ratchet::RootKey;
use crate::suite::Suite;
use crate::time::Timestamp;

/// Our own device, as a session needs it.
#[derive(Clone, Copy, Debug)]
pub struct LocalDevice<'a> {
    /// The device's long-term keys.
    pub identity: &'a IdentityKeyPair,
    /// The number that peers notice a reinstallation by.
    pub registration_id: RegistrationId,
    /// Both parties' addresses, if they have service ids: then first messages carry them under their MAC, and one that
    /// carries others is refused (spec §4.6).
    pub addresses: Option<SessionAddresses>,
}

/// A session with one device of a peer.
pub struct Session {
    suite: Suite,
    local_identity: IdentityKey,
    remote_identity: IdentityKey,
    local_registration_id: RegistrationId,
    remote_registration_id: RegistrationId,
    addresses: Option<SessionAddresses>,
    /// The initiator's ephemeral key: with the suite, the session's name (spec §5.6).
    base_key: BaseKey,
    root_key: RootKey,
    sending: SendingChain,
    receiving: ReceivingChains,
    /// On the initiator's side until the peer's first answer: what every message must repeat.
    unacknowledged: Option<Unacknowledged>,
}

/// What a responder needs to join the session, repeated with every message until it answers (spec §5.5).
#[derive(Clone, Debug)]
struct Unacknowledged {
    one_time_prekey_id: Option<OneTimePrekeyId>,
    signed_prekey_id: SignedPrekeyId,
    kyber: Option<(KyberPrekeyId, KyberCiphertext)>,
    since: Timestamp,
}

impl Session {
    /// Which agreement the session began with; it never changes.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// Whom the session is with.
    #[must_use]
    pub const fn remote_identity(&self) -> &IdentityKey {
        &self.remote_identity
    }

    /// The peer's registration id: from its bundle, or as its first message claimed.
    #[must_use]
    pub const fn remote_registration_id(&self) -> RegistrationId {
        self.remote_registration_id
    }

    /// Whether the peer has answered. Until then every message is a first message.
    #[must_use]
    pub const fn is_acknowledged(&self) -> bool {
        self.unacknowledged.is_none()
    }

    /// Whether `message` belongs to this session, so that [`Self::open`] its inner message instead of accepting it anew: a
    /// retransmission, or one of several sent before the first answer (spec §5.6).
    #[must_use]
    pub fn is_named_by(&self, message: &PreKeySignalMessage) -> bool {
        self.suite == message.suite() && self.base_key == *message.base_key()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            suite,
            local_identity: _,
            remote_identity,
            local_registration_id: _,
            remote_registration_id: _,
            addresses: _,
            base_key,
            root_key: _,
            sending: _,
            receiving: _,
            unacknowledged,
        } = self;
        f.debug_struct("Session")
            .field("suite", suite)
            .field("remote_identity", remote_identity)
            .field("base_key", base_key)
            .field("acknowledged", &unacknowledged.is_none())
            .finish_non_exhaustive()
    }
}
