//! What a person can ask about this device: what waits and why, connections, health.
use core::time::Duration;

use waxwing_wire::{
    content::MessageId,
    id::{AccountId, DeviceId},
    keys::IntroductionToken,
    link::ContactLink,
    time::Timestamp,
};

use super::Link;
use crate::mailbox;

/// A message that is not yet at all relays of its recipient.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Waiting {
    /// In whose conversation.
    pub conversation: AccountId,
    /// Which.
    pub id: MessageId,
    /// What the furthest behind of their devices waits for.
    pub reason: WaitReason,
    /// When something is tried next, if that is known; otherwise as soon as what is awaited comes.
    pub next_try: Option<Timestamp>,
}

/// Why a message is not there yet. In the order of the way that a message goes.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum WaitReason {
    /// Their generation changed: the person decides (F9).
    IdentityChange,
    /// No server is known that knows the account.
    NoServer,
    /// A key server is being asked who they are, or where they take messages.
    LookingUp,
    /// A key server that is to be asked cannot be reached, or refuses.
    KeyserverUnreachable,
    /// Their account is known, and one of its devices is nowhere to be reached yet.
    NoMailbox,
    /// There is no session, and keys for one are being asked for.
    NoKeys,
    /// It leaves at a random time.
    Scheduled,
    /// A connection to the relay is being made.
    Connecting,
    /// The relay cannot be reached.
    RelayUnreachable,
    /// The relay said no for now.
    RelayBusy,
    /// The relay no longer takes our key: the account is being looked at anew.
    Refused,
    /// Work is being done that strangers' messages cost.
    ProvingWork,
    /// The relay was given it and has not answered.
    Sending,
}

/// A connection, and how it is.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ConnectionView {
    /// Which.
    pub link: Link,
    /// To where.
    pub server: waxwing_wire::address::ServerAddress,
    /// How it is.
    pub state: ConnectionState,
    /// Tries that failed since it was last of use.
    pub failures: u32,
}

/// How a connection is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ConnectionState {
    /// Up.
    Up {
        /// Since then.
        since: Timestamp,
    },
    /// Being made.
    Connecting {
        /// Since then.
        since: Timestamp,
    },
    /// Not there.
    Down {
        /// Tried again then, if it is needed.
        next_try: Timestamp,
    },
}

/// How this device is.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Health {
    /// The mailbox and its lanes are there.
    pub mailbox_ready: bool,
    /// The key server has account, reach and prekeys.
    pub registered: bool,
    /// Prekeys for those who begin sessions with us.
    pub prekeys: PrekeyCounts,
    /// When this account's manifest expires.
    pub manifest_expires: Timestamp,
    /// What was last told of a clock that is off, since the engine was loaded.
    pub clock_skew: Option<ClockSkew>,
    /// Messages that could not be opened, so many since the account is here.
    pub quarantined: u32,
    /// By which others can write.
    pub open_links: Vec<OpenLink>,
    /// Of this account.
    pub devices: Vec<OwnDevice>,
    /// Delivery and read receipts are sent.
    pub receipts: bool,
}

/// How many prekeys there are.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct PrekeyCounts {
    /// One-time keys of X25519 that are held here.
    pub one_time: usize,
    /// One-time keys of Kyber that are held here.
    pub one_time_kyber: usize,
    /// Of the former, the server had so many when it was last asked, or was last given some.
    pub listed: usize,
    /// As [`Self::listed`], of Kyber.
    pub listed_kyber: usize,
    /// The server had none left of one kind, so that sessions begin with the last-resort key (A6).
    pub last_resort_in_use: bool,
}

/// Two clocks are apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ClockSkew {
    /// What the server said.
    pub server: Timestamp,
    /// What this device's clock said at that moment.
    pub here: Timestamp,
}

/// Names a contact link of this account; the same on all of its devices. Not secret.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LinkId([u8; 8]);

impl LinkId {
    /// The name of a link that was made here; none if it lets nobody in.
    #[must_use]
    pub fn of(link: &ContactLink) -> Option<Self> {
        link.token().map(Self::of_token)
    }

    pub(crate) fn of_token(token: &IntroductionToken) -> Self {
        Self(mailbox::token_name(token))
    }

    /// From what [`Self::as_bytes`] gave.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

/// How often a link serves.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum LinkUses {
    /// Until the first request that came by it is accepted.
    Once,
    /// Until it ends.
    #[default]
    Many,
}

/// A link by which others can write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct OpenLink {
    /// Which.
    pub id: LinkId,
    /// When it ends by itself.
    pub ends: Timestamp,
    /// How often it serves.
    pub uses: LinkUses,
    /// The relay of this device knows it.
    pub ready: bool,
}

impl OpenLink {
    /// How long it serves yet.
    #[must_use]
    pub fn left(&self, now: Timestamp) -> Duration {
        self.ends.since(now)
    }
}

/// A device of this account.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct OwnDevice {
    /// Which.
    pub device: DeviceId,
    /// It is this one.
    pub is_this: bool,
    /// It is the one that the generation began with, which holds the root key.
    pub is_primary: bool,
}
