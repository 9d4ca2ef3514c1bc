//! Sessions with one device of a peer. Implements spec/05-ratchet.md §5.4 to §5.10 and spec/06-spqr.md §6.8, §6.9.
//!
//! ```text
//!            initiate, accept                 seal, open
//!  (empty) ───────────────────▶ current state ──────────▶ current state'
//!                                │      ▲
//!       archive, a newer session ▼      │ a message of it opens
//!                               archived states (40)
//! ```
//! Every operation returns a guard that holds what would change: persist its `delta`, then `commit`; dropping it leaves the
//! session as it was.
//! Invariants: nothing a peer sends changes a session before its MAC was found right, and nothing at all changes before
//! `commit`; a message key seals or opens once; memory never runs ahead of what the caller persisted.
//! Not here: key schedule (`ratchet`), agreement (`agreement`), bytes of messages (`message`).

mod budget;
mod change;
mod delta;
mod error;
mod initiate;
mod open;
mod receive_first;
mod receiving;
mod record;
mod seal;
mod state;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

pub use self::budget::Budget;
pub use self::delta::{Delta, IdentityEvent, RecordKey};
pub use self::error::{AcceptError, OpenError, RecordError, SealError};
pub use self::initiate::{Archived, Initiated};
pub use self::open::Opened;
pub use self::seal::Sealed;
use self::state::State;
use crate::address::{RegistrationId, SessionAddresses};
use crate::curve::{BaseKey, IdentityKey, RatchetKey};
use crate::identity::IdentityKeyPair;
use crate::message::PreKeySignalMessage;
use crate::suite::Suite;

/// What the import of other records builds a state from.
pub(crate) mod state_parts {
    pub(crate) use super::receiving::{MAX_CHAINS, ReceivingChain, ReceivingChains, SkippedKey};
    pub(crate) use super::state::{SendingChain, State, Unacknowledged};
}

/// What records of other things are made of.
pub(crate) mod record_parts {
    pub(crate) use super::budget::{Exhausted, VERIFICATION};
    pub(crate) use super::delta::Write;
    pub(crate) use super::record::{Reader, Writer};
}

/// How many archived states a session keeps; the oldest goes first (spec §5.8).
const MAX_ARCHIVED: usize = 40;

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

/// Everything shared with one device of a peer: the current state and those it replaced (spec §5.8).
///
/// Begin with [`Session::new`] for a device never heard of, [`Session::load`] otherwise.
#[derive(Default)]
pub struct Session {
    current: Option<Box<State>>,
    /// Newest first.
    #[expect(clippy::vec_box, reason = "a state's secrets stay where they are when states change places")]
    archived: Vec<Box<State>>,
    /// The number of the next state; numbers are never reused, so that a record's key names one state for ever.
    next_serial: u32,
}

impl Session {
    /// A session without any state.
    #[must_use]
    pub const fn new() -> Self {
        Self { current: None, archived: Vec::new(), next_serial: 0 }
    }

    /// Whether there is a current state. It may still be too old to seal with ([`SealError::UnacknowledgedTooLong`]).
    #[must_use]
    pub const fn is_established(&self) -> bool {
        self.current.is_some()
    }

    /// Which agreement the current state began with.
    #[must_use]
    pub fn suite(&self) -> Option<Suite> {
        self.current.as_ref().map(|state| state.suite)
    }

    /// The initiator's ephemeral key of the current state: with the suite, its name (spec §5.6).
    #[must_use]
    pub fn base_key(&self) -> Option<&BaseKey> {
        self.current.as_ref().map(|state| &state.base_key)
    }

    /// Whom the current state is with.
    #[must_use]
    pub fn remote_identity(&self) -> Option<&IdentityKey> {
        self.current.as_ref().map(|state| &state.remote_identity)
    }

    /// The peer's registration id: from its bundle, or as its first message said.
    #[must_use]
    pub fn remote_registration_id(&self) -> Option<RegistrationId> {
        self.current.as_ref().map(|state| state.remote_registration_id)
    }

    /// How many exchanges of the post-quantum ratchet the current state's messages are sent with; none where it has no such
    /// ratchet (spec §6.3).
    #[must_use]
    pub fn post_quantum_epoch(&self) -> Option<u64> {
        let ratchet = self.current.as_ref()?.post_quantum.as_ref()?;
        Some(ratchet.sending_epoch().0)
    }

    /// Whether the peer has answered. Until then every message is a first message.
    #[must_use]
    pub fn is_acknowledged(&self) -> bool {
        self.current.as_ref().is_some_and(|state| state.unacknowledged.is_none())
    }

    /// Whether the next message would go out under `key`: whether a
    /// [`DecryptionErrorMessage`](crate::DecryptionErrorMessage) that names it complains of the current state (spec §4.9).
    /// Then [`Self::archive`] it and start anew; otherwise a newer state or chain is in use already, and nothing is to be
    /// done.
    #[must_use]
    pub fn uses_ratchet_key(&self, key: &RatchetKey) -> bool {
        self.current.as_ref().is_some_and(|state| state.sending.public == *key)
    }

    /// Whether `message` belongs to a state that exists: a retransmission, or one of several sent before the first answer.
    /// Then [`Self::open_first`] it; otherwise [`Self::accept`] it with prekeys.
    #[must_use]
    pub fn is_named_by(&self, message: &PreKeySignalMessage) -> bool {
        self.states().any(|state| state.is_named_by(message))
    }

    /// A session of states made elsewhere, with serials below `next_serial`.
    #[expect(clippy::vec_box, reason = "as the field")]
    pub(crate) fn from_states(current: Option<Box<State>>, mut archived: Vec<Box<State>>, next_serial: u32) -> Self {
        archived.truncate(MAX_ARCHIVED);
        for state in &mut archived {
            state.unacknowledged = None;
        }
        Self { current, archived, next_serial }
    }

    /// Current first, then archived from newest to oldest.
    fn states(&self) -> impl Iterator<Item = &State> {
        self.current.iter().chain(&self.archived).map(|state| &**state)
    }

    /// The identity that we knew last.
    fn known_identity(&self) -> Option<IdentityKey> {
        self.states().next().map(|state| state.remote_identity)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { current, archived, next_serial: _ } = self;
        f.debug_struct("Session").field("current", current).field("archived", &archived.len()).finish_non_exhaustive()
    }
}
