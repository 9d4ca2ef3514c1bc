//! What a client keeps. Implements spec/20-client.md §20.4.
//!
//! ```text
//! records   (table, key) ─▶ secret bytes     all of them are loaded when an engine starts; opaque to a store
//! messages  what a screen shows              never loaded by an engine; read page by page
//! ```
//! Invariants: a batch is applied whole or not at all, and is on stable storage when `save` says so; no query counts anything
//! that another query does not (unread of all = sum of unread of each, S23).
//! Not here: encryption at rest, SQL (the client crate).
mod batch;
#[cfg(feature = "conformance")]
pub mod conformance;
mod memory;
mod message;

use core::future::Future;

use waxwing_wire::{content::MessageId, id::AccountId};
use zeroize::Zeroizing;

pub use self::{
    batch::{Batch, Record, Table, Write},
    memory::{MemoryStore, Refused},
    message::{Position, StoredMessage, count_of, sequence_in},
};

/// A client's storage. One engine writes to it at a time.
pub trait Store: Send {
    /// Why it failed; the engine that asked is dropped.
    type Error: core::error::Error + Send + Sync + 'static;

    /// Every record, in the order of table and key.
    fn load(&mut self) -> impl Future<Output = Result<Vec<Record>, Self::Error>> + Send;

    /// Applies a batch in one transaction, on stable storage. If it fails, nothing of it is there.
    fn save(&mut self, batch: &Batch) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// At most `limit` messages of a conversation, newest first, those before a position only.
    fn page(
        &mut self,
        conversation: &AccountId,
        before: Option<Position>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<StoredMessage>, Self::Error>> + Send;

    /// One message by its name.
    fn message(
        &mut self,
        conversation: &AccountId,
        id: &MessageId,
    ) -> impl Future<Output = Result<Option<StoredMessage>, Self::Error>> + Send;

    /// How many messages of others in a conversation lie above the read markers.
    fn unread(&mut self, conversation: &AccountId) -> impl Future<Output = Result<u64, Self::Error>> + Send;

    /// The same over all conversations.
    fn unread_in_all(&mut self) -> impl Future<Output = Result<u64, Self::Error>> + Send;
}

/// Bytes that only an encrypted store may keep; wiped when dropped.
pub type SecretBytes = Zeroizing<Vec<u8>>;
