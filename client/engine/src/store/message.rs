//! A message as a screen shows it.
use core::fmt;

use waxwing_wire::{
    content::MessageId,
    id::{AccountId, DeviceId, Generation},
    time::Timestamp,
};

use crate::interface::State;

/// A message of a conversation.
#[derive(Clone, Eq, PartialEq)]
pub struct StoredMessage {
    /// The peer of the conversation.
    pub conversation: AccountId,
    /// Its name, by its author.
    pub id: MessageId,
    /// Who wrote it: the peer, or this account.
    pub author: AccountId,
    /// On which device.
    pub device: DeviceId,
    /// That device's count in this conversation (spec §16.1), behind its account's generation ([`sequence_in`]).
    pub sequence: u64,
    /// When it was written, by the author's clock.
    pub sent: Timestamp,
    /// When it came here (or was written here).
    pub stored: Timestamp,
    /// What became of it, if this account sent it.
    pub state: State,
    /// What it says: text, or the fallback of something that this version does not know.
    pub text: String,
    /// The encoded content (spec §16.1) without the hash of the one before (spec §20.14.6), for what is more than text.
    pub content: Vec<u8>,
}

/// A count as stores and markers have it: devices' numbers and counts begin anew with a generation of their account, and what was read
/// before says nothing about what comes after. The generation (below 2^23) times 2^40, and the count; a count of 2^40 and more, which only
/// a peer's nonsense has, stands as it is.
#[must_use]
pub fn sequence_in(generation: Generation, count: u64) -> u64 {
    if count > MOST_COUNTED { count } else { (u64::from(generation.0).min(MOST_GENERATIONS) << COUNT_BITS) | count }
}

/// The count of a number that [`sequence_in`] made of a count below 2^40.
#[must_use]
pub const fn count_of(sequence: u64) -> u64 {
    sequence & MOST_COUNTED
}

const COUNT_BITS: u32 = 40;
const MOST_COUNTED: u64 = (1 << COUNT_BITS) - 1;
/// So that every number is one of a database, too.
const MOST_GENERATIONS: u64 = (1 << 23) - 1;

/// Where a message stands in its conversation (S5): by the author's clock, but never before what its device wrote earlier; then by
/// author, device, and count.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Position {
    /// [`StoredMessage::sent`], raised to that of the device's message before.
    pub sent: Timestamp,
    /// Who.
    pub author: AccountId,
    /// On which device.
    pub device: DeviceId,
    /// Its count.
    pub sequence: u64,
}

impl StoredMessage {
    /// Where it stands.
    #[must_use]
    pub fn position(&self) -> Position {
        Position { sent: self.sent, author: self.author, device: self.device, sequence: self.sequence }
    }
}

impl fmt::Debug for StoredMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { conversation, id, author, device, sequence, sent: _, stored: _, state, text, content: _ } = self;
        f.debug_struct("StoredMessage")
            .field("conversation", conversation)
            .field("id", id)
            .field("author", author)
            .field("device", device)
            .field("sequence", sequence)
            .field("state", state)
            .field("bytes", &text.len())
            .finish_non_exhaustive()
    }
}
