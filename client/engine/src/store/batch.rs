//! What one transaction writes.
use core::fmt;

use waxwing_wire::{
    content::MessageId,
    id::{AccountId, DeviceId},
};

use super::{SecretBytes, StoredMessage};
use crate::interface::State;

/// One transaction.
#[derive(Debug, Default)]
pub struct Batch {
    writes: Vec<Write>,
}

/// One change.
#[derive(Debug)]
pub enum Write {
    /// Puts a record into the place of the one with its key, if there is one.
    Put(Record),
    /// Deletes a record, if there is one.
    Delete {
        /// Of which table.
        table: Table,
        /// Which.
        key: Vec<u8>,
    },
    /// Adds a message; if one of that conversation, author and id is there, nothing changes.
    Message(StoredMessage),
    /// What became of a message that this account sent; one that is not there is not made.
    MessageState {
        /// In whose conversation.
        conversation: AccountId,
        /// Which.
        id: MessageId,
        /// What.
        state: State,
    },
    /// Everything that a device wrote up to this number was read; a lower number than before changes nothing.
    Read {
        /// In whose conversation.
        conversation: AccountId,
        /// From which device of theirs.
        device: DeviceId,
        /// [`StoredMessage::sequence`] of the last one.
        sequence: u64,
    },
}

/// A value under a key.
#[derive(Clone, Eq, PartialEq)]
pub struct Record {
    /// What it is.
    pub table: Table,
    /// At most 96 bytes.
    pub key: Vec<u8>,
    /// At most 128 KiB.
    pub value: SecretBytes,
}

/// What a record is. The numbers are stored: they never change their meaning.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Table {
    /// This device and its account: one record.
    Account = 1,
    /// The mailbox of this device, by its id.
    Mailbox = 2,
    /// Contacts, by account id.
    Contact = 3,
    /// Records of sessions, by account id ‖ device id ‖ record key of the protocol crate.
    Session = 4,
    /// What is known beside a session, by account id ‖ device id.
    Peer = 5,
    /// Private prekeys, by kind ‖ id.
    Prekey = 6,
    /// Uses of last-resort prekeys, by their 42 bytes.
    LastResortUse = 7,
    /// What is to be delivered, by account id ‖ message id.
    Outbox = 8,
    /// A sealed envelope on its way, by account id ‖ message id ‖ account id ‖ device id of the recipient.
    Envelope = 9,
    /// Message ids that were seen, by account id of the author ‖ message id.
    Seen = 10,
    /// What could not be opened, by a number.
    Quarantine = 11,
    /// Names of this account, by their letters.
    Name = 12,
    /// Names that are looked for, by key of the server ‖ letters.
    Search = 13,
}

impl Table {
    /// Every table, in the order of their numbers.
    pub const ALL: [Self; 13] = [
        Self::Account,
        Self::Mailbox,
        Self::Contact,
        Self::Session,
        Self::Peer,
        Self::Prekey,
        Self::LastResortUse,
        Self::Outbox,
        Self::Envelope,
        Self::Seen,
        Self::Quarantine,
        Self::Name,
        Self::Search,
    ];

    /// The number that is stored.
    #[must_use]
    pub fn number(self) -> u8 {
        Self::ALL.iter().zip(1..).find_map(|(table, number)| (*table == self).then_some(number)).unwrap_or_default()
    }

    /// The table of a number.
    #[must_use]
    pub fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.number() == number)
    }
}

impl Batch {
    /// Changes nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { writes: Vec::new() }
    }

    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// The changes, in their order.
    #[must_use]
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// Adds a change.
    pub fn push(&mut self, write: Write) {
        self.writes.push(write);
    }
}

impl FromIterator<Write> for Batch {
    fn from_iter<T: IntoIterator<Item = Write>>(writes: T) -> Self {
        Self { writes: writes.into_iter().collect() }
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, key: _, value } = self;
        f.debug_struct("Record").field("table", table).field("bytes", &value.len()).finish_non_exhaustive()
    }
}
