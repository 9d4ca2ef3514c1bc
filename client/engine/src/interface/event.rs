//! What a person is told.
use waxwing_wire::{
    address::ServerAddress,
    content::MessageId,
    id::{AccountId, DeviceId, Generation},
    link::ContactLink,
    name::Name,
    time::Timestamp,
};

use super::{Link, NameNews, NotFound};

/// What the person is told. What a screen shows is read from the store; an event says that it changed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// This device can be reached, and its account found: mailbox, account, reach and prekeys are in place.
    Ready,
    /// A link that others can write by.
    LinkMade {
        /// Give it to one person, or show it to many.
        link: ContactLink,
    },
    /// A message is in the store.
    Message {
        /// In whose conversation.
        conversation: AccountId,
        /// Which.
        id: MessageId,
        /// Who wrote it: the peer, or this account on another device.
        author: AccountId,
    },
    /// What became of a message that this account sent.
    MessageState {
        /// In whose conversation.
        conversation: AccountId,
        /// Which.
        id: MessageId,
        /// What.
        state: State,
    },
    /// Somebody unknown wrote: accept, ignore or block.
    Request {
        /// Who.
        account: AccountId,
    },
    /// A contact is accepted now: here, on another device of this account, or by the peer.
    ContactAccepted {
        /// Who.
        account: AccountId,
        /// Whether it was they who accepted us.
        by_peer: bool,
    },
    /// A contact's devices changed by their own word.
    DevicesChanged {
        /// Whose.
        account: AccountId,
    },
    /// A contact is of another generation: nothing more is sent to them until the person accepts it (F9).
    IdentityChanged(IdentityChange),
    /// Two histories of one account were signed: its root key is in two hands (spec §11.6.4).
    Fork {
        /// Whose.
        account: AccountId,
    },
    /// A session with a device was begun anew, because its messages could not be opened.
    SessionRepaired {
        /// Whose.
        account: AccountId,
        /// Which of theirs.
        device: DeviceId,
    },
    /// A message could not be opened and was put aside; what it was is not known.
    Quarantined,
    /// A number is missing in what a device sent: messages did not arrive (E6).
    Gap {
        /// In whose conversation.
        conversation: AccountId,
        /// From which device of theirs.
        device: DeviceId,
    },
    /// The clock of this device and that of a server are more than five minutes apart.
    ClockSkew {
        /// What the server says.
        server: Timestamp,
    },
    /// A server cannot be reached, twice in a row or more; tried again at that time.
    Trouble {
        /// Which server, and what for.
        link: Link,
        /// What happened.
        cause: TroubleCause,
        /// When the next try is.
        retry_at: Timestamp,
    },
    /// What the person noted of a contact, or that they are one, changed on another device of this account.
    ContactChanged {
        /// Who.
        account: AccountId,
    },
    /// Somebody was found by a name and added. The server was believed: compare the safety number (spec §20.18.4).
    NameFound {
        /// Which name.
        name: Name,
        /// At which server.
        server: ServerAddress,
        /// Whose it is.
        account: AccountId,
    },
    /// Nobody was added by a name.
    NameNotFound {
        /// Which name.
        name: Name,
        /// At which server.
        server: ServerAddress,
        /// Why.
        reason: NotFound,
    },
    /// Something became of a name of this account.
    Name {
        /// Which.
        name: Name,
        /// What.
        news: NameNews,
    },
    /// This device is no longer listed by its account.
    Unlisted,
    /// A lane of the own mailbox is full: somebody floods it, or nobody fetched for long.
    MailboxFull,
}

/// What happened to a connection.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum TroubleCause {
    /// It could not be made.
    Unreachable,
    /// It was up and ended.
    Lost,
    /// The server did not answer in time.
    Silent,
}

/// A contact's generation changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct IdentityChange {
    /// Whose.
    pub account: AccountId,
    /// From.
    pub from: Generation,
    /// To.
    pub to: Generation,
}

/// What became of a message. Only moves to the right, but for `Failed`, which a retry leaves.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum State {
    /// Stored here; on its way as soon as there is one.
    Queued,
    /// It cannot be sent.
    Failed(FailReason),
    /// Every relay of the recipient's devices has it on stable storage.
    Sent,
    /// No receipt within its life: it may have expired; it is sent anew when the peer is heard from.
    MayHaveExpired,
    /// A device of the recipient's has it.
    Delivered,
    /// It was on a screen.
    Read,
}

/// Why a message cannot be sent.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum FailReason {
    /// The recipient's account is deleted.
    AccountDeleted,
    /// The recipient is blocked.
    Blocked,
    /// The recipient was removed from the contacts.
    Removed,
}
