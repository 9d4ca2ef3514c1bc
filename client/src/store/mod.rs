//! What a client keeps, encrypted. Implements spec/21-client-store.md.
//!
//! ```text
//! EncryptedStore ──one connection that writes──▶ store.db (SQLCipher)
//!        └─▶ Reader ──a few that read, a snapshot each──▶ pages, search, counts, export
//! ```
//! Invariants: no byte of a person's is in a file in the clear, not for a moment; what was reported saved is there after a crash;
//! the only module of the crate that knows SQL.
//! Not here: what the records mean (the engine), passphrases' prompts (the command line).
mod block;
mod candidates;
mod checking;
#[cfg(test)]
mod effort;
mod epoch;
mod error;
mod events;
mod export;
mod folder;
mod frame;
mod key;
mod layout;
mod letters;
mod maintain;
mod matching;
mod open;
mod packing;
mod profile;
mod query;
mod read;
mod repair;
mod row;
mod scripts;
mod search;
mod sieve;
mod snippet;
mod statements;
mod texts;
mod threads;
mod write;
mod writer;

use waxwing_engine::store::{Batch, Position, Record, Store, StoredMessage};
use waxwing_wire::{content::MessageId, id::AccountId};

pub use self::{
    error::{OpenError, StoreError},
    key::{Protection, Unlock},
    maintain::Finding,
    open::Archive,
    profile::Profile,
    read::{Around, Reader},
    repair::Salvage,
    search::{Hit, Search},
    snippet::Snippet,
    threads::wait_for_threads,
};

/// A profile that is open, by this process alone.
#[derive(Debug)]
pub struct EncryptedStore {
    // Closed before the folder is let go.
    writer: writer::Writer,
    reader: Reader,
    note: Option<epoch::Note>,
    folder: folder::Folder,
}

impl EncryptedStore {
    /// Reads beside whoever writes; cheap to clone.
    #[must_use]
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// Folds the journal into the database and lets the profile go. Dropped without it, the journal is folded in when the profile is
    /// opened next.
    ///
    /// # Errors
    /// [`StoreError`]; nothing that was saved is lost.
    pub async fn close(self) -> Result<(), StoreError> {
        let Self { writer, reader, note, folder } = self;
        reader.close().await;
        let closed = writer.close().await;
        folder.threads.ended().await;
        if let Some(note) = note {
            note.keep();
        }
        drop(folder);
        closed
    }
}

impl Store for EncryptedStore {
    type Error = StoreError;

    async fn load(&mut self) -> Result<Vec<Record>, StoreError> {
        self.reader.load().await
    }

    async fn save(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.save_with(batch, &[]).await.map(drop)
    }

    async fn page(
        &mut self,
        conversation: &AccountId,
        before: Option<Position>,
        limit: usize,
    ) -> Result<Vec<StoredMessage>, StoreError> {
        self.reader.page(conversation, before, limit).await
    }

    async fn message(&mut self, conversation: &AccountId, id: &MessageId) -> Result<Option<StoredMessage>, StoreError> {
        self.reader.message(conversation, id).await
    }

    async fn unread(&mut self, conversation: &AccountId) -> Result<u64, StoreError> {
        self.reader.unread(conversation).await
    }

    async fn unread_in_all(&mut self) -> Result<u64, StoreError> {
        self.reader.unread_in_all().await
    }
}
