//! Names of connections and of what was asked over them.
use waxwing_wire::{
    id::{AccountId, MailboxId},
    name::Name,
};

/// Names a connection. Two links are two connections, and nothing that a server sees may tell that they are one client's (D9).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Link {
    /// The server's long-term key.
    pub server: [u8; 32],
    /// What it is for.
    pub purpose: Purpose,
}

/// What a connection is for; it is used for nothing else (DESIGN §5).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Purpose {
    /// Relay: as the owner of one's own mailbox.
    Owner(MailboxId),
    /// Relay, anonymous: puts to one person.
    Conversation(AccountId),
    /// Relay, anonymous: receipts to one person.
    Receipts(AccountId),
    /// Key server, anonymous: what is known of one person.
    Directory(AccountId),
    /// Key server, anonymous: who has a name, and what is known of them.
    Name(Name),
    /// Key server: requests that one's own device signs.
    OwnDirectory,
}

impl Purpose {
    /// Whether the other end is a relay; otherwise it is a key server.
    #[must_use]
    pub const fn is_relay(self) -> bool {
        matches!(self, Self::Owner(_) | Self::Conversation(_) | Self::Receipts(_))
    }
}

/// Names something that was asked; never used twice by an engine.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CallId(pub u64);
