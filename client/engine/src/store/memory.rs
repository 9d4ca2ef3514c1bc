//! A store in memory: for `--incognito`, and for tests.
use std::collections::BTreeMap;

use thiserror::Error;
use waxwing_wire::{
    content::MessageId,
    id::{AccountId, DeviceId},
};

use super::{Batch, Position, Record, SecretBytes, Store, StoredMessage, Table, Write};

/// Keeps everything in memory, in plain Rust. A copy is what a crash leaves.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    records: BTreeMap<(Table, Vec<u8>), Secret>,
    messages: BTreeMap<AccountId, Conversation>,
    /// How many more saves succeed; none: all of them.
    saves_left: Option<u64>,
}

#[derive(Clone, Default)]
struct Secret(SecretBytes);

#[derive(Clone, Debug, Default)]
struct Conversation {
    by_name: BTreeMap<(AccountId, MessageId), Position>,
    by_position: BTreeMap<Position, StoredMessage>,
    read: BTreeMap<DeviceId, u64>,
}

/// A save that was made to fail by [`MemoryStore::refuse_after`].
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("the store was told to fail")]
pub struct Refused;

impl MemoryStore {
    /// Without anything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets so many saves succeed, and every later one fail; none: all succeed. For tests of what a full disk does.
    pub fn refuse_after(&mut self, saves: Option<u64>) {
        self.saves_left = saves;
    }

    /// Whether any record holds these bytes, in its key or value. For tests of what must be gone.
    #[must_use]
    pub fn holds(&self, bytes: &[u8]) -> bool {
        let contains = |all: &[u8]| all.windows(bytes.len().max(1)).any(|window| window == bytes);
        self.records.iter().any(|((_, key), value)| contains(key) || contains(&value.0))
    }

    /// How many records a table has.
    #[must_use]
    pub fn count(&self, table: Table) -> usize {
        self.records.keys().filter(|(of, _)| *of == table).count()
    }

    /// Bytes of keys and values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.records.iter().map(|((_, key), value)| key.len().saturating_add(value.0.len())).sum()
    }

    /// As [`Store::save`], at once.
    ///
    /// # Errors
    /// [`Refused`], if it was told to.
    pub fn save_now(&mut self, batch: &Batch) -> Result<(), Refused> {
        if let Some(left) = &mut self.saves_left {
            *left = left.checked_sub(1).ok_or(Refused)?;
        }
        batch.writes().iter().for_each(|write| self.apply(write));
        Ok(())
    }

    /// As [`Store::load`], at once.
    #[must_use]
    pub fn load_now(&self) -> Vec<Record> {
        let record = |((table, key), value): (&(Table, Vec<u8>), &Secret)| Record {
            table: *table,
            key: key.clone(),
            value: value.0.clone(),
        };
        self.records.iter().map(record).collect()
    }

    /// As [`Store::page`], at once.
    #[must_use]
    pub fn page_now(&self, conversation: &AccountId, before: Option<Position>, limit: usize) -> Vec<StoredMessage> {
        let Some(conversation) = self.messages.get(conversation) else { return Vec::new() };
        let newest_first = conversation.by_position.iter().rev();
        let wanted = newest_first.filter(|(position, _)| before.is_none_or(|before| **position < before));
        wanted.take(limit).map(|(_, message)| message.clone()).collect()
    }

    /// As [`Store::message`], at once.
    #[must_use]
    pub fn message_now(&self, conversation: &AccountId, id: &MessageId) -> Option<StoredMessage> {
        let messages = self.messages.get(conversation)?;
        messages.by_position.values().find(|message| message.id == *id).cloned()
    }

    /// As [`Store::unread`], at once.
    #[must_use]
    pub fn unread_now(&self, conversation: &AccountId) -> u64 {
        self.messages.get(conversation).map_or(0, |messages| messages.unread(conversation))
    }

    /// As [`Store::unread_in_all`], at once.
    #[must_use]
    pub fn unread_in_all_now(&self) -> u64 {
        self.messages.keys().map(|conversation| self.unread_now(conversation)).sum()
    }

    fn apply(&mut self, write: &Write) {
        match write {
            Write::Put(Record { table, key, value }) => {
                self.records.insert((*table, key.clone()), Secret(value.clone()));
            }
            Write::Delete { table, key } => {
                self.records.remove(&(*table, key.clone()));
            }
            Write::Message(message) => self.messages.entry(message.conversation).or_default().add(message),
            Write::MessageState { conversation, id, state } => {
                let Some(messages) = self.messages.get_mut(conversation) else { return };
                let own = |message: &&mut StoredMessage| message.id == *id && message.author != *conversation;
                if let Some(message) = messages.by_position.values_mut().find(own) {
                    message.state = *state;
                }
            }
            Write::Read { conversation, device, sequence } => {
                let read = self.messages.entry(*conversation).or_default().read.entry(*device).or_default();
                *read = (*read).max(*sequence);
            }
        }
    }
}

impl Conversation {
    fn add(&mut self, message: &StoredMessage) {
        let name = (message.author, message.id);
        if self.by_name.contains_key(&name) {
            return;
        }
        self.by_name.insert(name, message.position());
        self.by_position.insert(message.position(), message.clone());
    }

    fn unread(&self, peer: &AccountId) -> u64 {
        let is_unread = |message: &&StoredMessage| {
            let read = self.read.get(&message.device).copied().unwrap_or_default();
            message.author == *peer && message.sequence > read
        };
        u64::try_from(self.by_position.values().filter(is_unread).count()).unwrap_or(u64::MAX)
    }
}

impl Store for MemoryStore {
    type Error = Refused;

    async fn load(&mut self) -> Result<Vec<Record>, Refused> {
        Ok(self.load_now())
    }

    async fn save(&mut self, batch: &Batch) -> Result<(), Refused> {
        self.save_now(batch)
    }

    async fn page(
        &mut self,
        conversation: &AccountId,
        before: Option<Position>,
        limit: usize,
    ) -> Result<Vec<StoredMessage>, Refused> {
        Ok(self.page_now(conversation, before, limit))
    }

    async fn message(&mut self, conversation: &AccountId, id: &MessageId) -> Result<Option<StoredMessage>, Refused> {
        Ok(self.message_now(conversation, id))
    }

    async fn unread(&mut self, conversation: &AccountId) -> Result<u64, Refused> {
        Ok(self.unread_now(conversation))
    }

    async fn unread_in_all(&mut self) -> Result<u64, Refused> {
        Ok(self.unread_in_all_now())
    }
}

impl core::fmt::Debug for Secret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Secret({})", self.0.len())
    }
}
