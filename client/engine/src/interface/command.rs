//! What a person can want.
use core::time::Duration;

use thiserror::Error;
use waxwing_wire::{
    address::ServerAddress,
    content::{ContactName, MessageId},
    frame::InviteToken,
    id::{AccountId, DeviceId},
    link::ContactLink,
    manifest::{Device, DeviceError},
    name::Name,
    time::Timestamp,
};

use super::{LinkId, LinkUses, Verification};

/// What the person wants. Anything refused changes nothing.
#[derive(Debug)]
#[non_exhaustive]
pub enum Command {
    /// Make a link for others to write to this account by; the answer is [`Event::LinkMade`](super::Event::LinkMade).
    MakeLink {
        /// How long it serves.
        lifetime: Duration,
        /// How often.
        uses: LinkUses,
    },
    /// Let nobody in by a link any more, on any device.
    RevokeLink {
        /// Which.
        link: LinkId,
    },
    /// Add somebody by a link that they gave.
    Add {
        /// Theirs.
        link: ContactLink,
    },
    /// Add whoever has a name at a key server. What comes of it is told later: [`Event::NameFound`](super::Event::NameFound) or
    /// [`Event::NameNotFound`](super::Event::NameNotFound).
    AddByName {
        /// The name.
        name: Name,
        /// Where; none: at this account's own key server.
        server: Option<ServerAddress>,
    },
    /// Primary only: have a name at this account's key server, listed or not; or change whether it is listed. What comes of it is told
    /// later: [`Event::Name`](super::Event::Name).
    ClaimName {
        /// Which.
        name: Name,
        /// Whether whoever looks it up is to find this account, and how to reach it.
        listed: bool,
        /// For a server that gives names to whoever was invited.
        admission: Option<InviteToken>,
    },
    /// Primary only: give a name up.
    ReleaseName {
        /// Which.
        name: Name,
    },
    /// Send a text. The id is random, chosen by the caller, so that asking twice sends once.
    Send {
        /// To whom: a contact that is accepted or was added.
        to: AccountId,
        /// Its name for ever.
        id: MessageId,
        /// What it says.
        text: MessageText,
    },
    /// Accept a request.
    Accept {
        /// Whose.
        account: AccountId,
    },
    /// Put a request away; its sender hears nothing, and nothing more of theirs is shown.
    Ignore {
        /// Whose.
        account: AccountId,
    },
    /// Drop everything of theirs from now on.
    Block {
        /// Whom.
        account: AccountId,
    },
    /// No longer block; they are an accepted contact again if they were one.
    Unblock {
        /// Whom.
        account: AccountId,
    },
    /// Call somebody by a name, or no longer.
    Rename {
        /// Whom.
        account: AccountId,
        /// How.
        name: Option<ContactName>,
    },
    /// Take somebody off the contacts: what was not sent fails, everything noted of them is forgotten, messages stay in the store. What they
    /// write next is a request.
    Remove {
        /// Whom.
        account: AccountId,
    },
    /// The person compared the safety number, or takes that back.
    SetVerified {
        /// Whose.
        account: AccountId,
        /// What came of it.
        verification: Verification,
    },
    /// No sound for somebody's messages; they come as always.
    Mute {
        /// Whose.
        account: AccountId,
        /// Until then; `u64::MAX` for ever, none: no longer.
        until: Option<Timestamp>,
    },
    /// Messages of theirs were read, and everything that the same devices wrote before. They hear of those that are named. One that is not
    /// known here any more is passed over; none at all is refused.
    MarkRead {
        /// In whose conversation.
        account: AccountId,
        /// The messages.
        messages: Vec<ReadMessage>,
    },
    /// Go on with somebody whose generation changed: the person saw it (F9).
    AcceptIdentity {
        /// Whose.
        account: AccountId,
    },
    /// Primary only: list one more device, which counter-signed for [`Engine::next_place`](crate::Engine::next_place).
    AddDevice {
        /// As it signed itself in.
        device: Device,
    },
    /// Primary only: take a device off the list.
    RemoveDevice {
        /// Which.
        device: DeviceId,
    },
    /// Whether delivery and read receipts are sent; they are by default.
    SendReceipts(bool),
}

/// A message that was read, as it stands in the store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReadMessage {
    /// Its name.
    pub id: MessageId,
    /// On which device of its author it was written.
    pub device: DeviceId,
    /// Its count: [`StoredMessage::sequence`](crate::store::StoredMessage::sequence).
    pub sequence: u64,
}

/// A text as it is sent: UTF-8, 1 to 32,768 bytes.
#[derive(Clone, Eq, PartialEq)]
pub struct MessageText(String);

impl MessageText {
    /// Takes a text; none if it is empty or too long.
    #[must_use]
    pub fn new(text: String) -> Option<Self> {
        if text.is_empty() || text.len() > 32_768 { None } else { Some(Self(text)) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, taken out.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl core::fmt::Debug for MessageText {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "MessageText({})", self.0.len())
    }
}

/// Why a command was refused. Nothing changed.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum CommandError {
    /// Nobody of that account is known: add them first.
    #[error("nobody of that account is known")]
    UnknownContact,
    /// They asked to be a contact and were not accepted: accept them first.
    #[error("accept the request first")]
    NotAccepted,
    /// They are blocked: unblock them first.
    #[error("the contact is blocked")]
    Blocked,
    /// It is one's own account.
    #[error("that is this account itself")]
    OwnAccount,
    /// Another contact has the same service id, which nobody makes by chance: refused.
    #[error("the account looks like another contact's to Signal's structures")]
    ServiceIdTaken,
    /// A link names key servers in private networks, or a name is looked for at one, which only the person can allow.
    #[error("a key server of theirs is in a private network")]
    PrivateServer,
    /// Only the primary device can do that.
    #[error("only the primary device can do that")]
    NotPrimary,
    /// There is no such message here.
    #[error("no such message")]
    UnknownMessage,
    /// The message is longer than the largest envelope takes.
    #[error("the message is too long")]
    TooLong,
    /// That id was used for another message.
    #[error("the message id is taken")]
    IdTaken,
    /// There is no change of identity to accept.
    #[error("there is no identity change to accept")]
    NoIdentityChange,
    /// Nothing verified is known of the account yet: there is no safety number.
    #[error("nothing is known of the account yet")]
    NothingKnown,
    /// Two histories of the account were signed: its safety number says nothing until it has a new generation.
    #[error("the account is in two hands")]
    Forked,
    /// There is no such link, or it has ended.
    #[error("no such link")]
    UnknownLink,
    /// As many links are open as a mailbox takes (8): let one end first.
    #[error("too many open links")]
    TooManyLinks,
    /// As many names are being looked for as can be at once (16): wait for an answer first.
    #[error("too many names are being looked for")]
    TooManySearches,
    /// This account asks for as many names as it may (16): release one first.
    #[error("too many names")]
    TooManyNames,
    /// This account has no such name.
    #[error("no such name")]
    UnknownName,
    /// The device cannot be listed or taken off.
    #[error("the device list cannot change that way")]
    DeviceList,
}

impl From<DeviceError> for CommandError {
    fn from(_: DeviceError) -> Self {
        Self::DeviceList
    }
}
