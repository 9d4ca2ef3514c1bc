//! What one or several inputs lead to, before it is performed.
//!
//! Contacts and what is known beside sessions change with every message: they are noted here, and encoded once for all inputs that a
//! save is for.
//! Invariant: everything that is written comes out as one save before anything else comes out.
use std::collections::{BTreeSet, VecDeque};

use waxwing_wire::{id::AccountId, time::Timestamp};

use crate::{
    interface::{Event, Output},
    sessions::Device,
    store::{Batch, Record, SecretBytes, Table, Write},
};

/// Collects writes and effects.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    batch: Batch,
    /// Whose records are to be encoded for the batch.
    changed: Changed,
    effects: VecDeque<Output>,
    /// The last time that was asked for.
    wake: Option<Timestamp>,
}

/// What changed since the last save.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    pub(crate) contacts: BTreeSet<AccountId>,
    pub(crate) peers: BTreeSet<Device>,
}

impl Changed {
    const fn new() -> Self {
        Self { contacts: BTreeSet::new(), peers: BTreeSet::new() }
    }

    fn is_empty(&self) -> bool {
        self.contacts.is_empty() && self.peers.is_empty()
    }
}

impl Stage {
    pub(crate) const fn new() -> Self {
        Self { batch: Batch::new(), changed: Changed::new(), effects: VecDeque::new(), wake: None }
    }

    /// Whether a save comes next.
    pub(crate) fn has_writes(&self) -> bool {
        !self.batch.is_empty() || !self.changed.is_empty()
    }

    #[cfg(feature = "conformance")]
    pub(crate) fn writes(&self) -> &[Write] {
        self.batch.writes()
    }

    /// The contact's record is in the next save, as it is then.
    pub(crate) fn contact_changed(&mut self, account: AccountId) {
        self.changed.contacts.insert(account);
    }

    /// As [`Self::contact_changed`], for what is known beside a session.
    pub(crate) fn peer_changed(&mut self, device: Device) {
        self.changed.peers.insert(device);
    }

    /// What is to be encoded before the next save; none if nothing is.
    pub(crate) fn take_changed(&mut self) -> Option<Changed> {
        (!self.changed.is_empty()).then(|| core::mem::take(&mut self.changed))
    }

    pub(crate) fn write(&mut self, write: Write) {
        self.batch.push(write);
    }

    pub(crate) fn put(&mut self, table: Table, key: Vec<u8>, value: SecretBytes) {
        self.write(Write::Put(Record { table, key, value }));
    }

    /// Puts a record of ours.
    pub(crate) fn put_message(&mut self, table: Table, key: Vec<u8>, value: &impl prost::Message) {
        self.put(table, key, SecretBytes::new(value.encode_to_vec()));
    }

    pub(crate) fn delete(&mut self, table: Table, key: Vec<u8>) {
        self.write(Write::Delete { table, key });
    }

    pub(crate) fn effect(&mut self, output: Output) {
        self.effects.push_back(output);
    }

    pub(crate) fn notify(&mut self, event: Event) {
        self.effect(Output::Notify(event));
    }

    /// Asks to be woken, if that is not what was asked for last.
    pub(crate) fn wake_at(&mut self, at: Option<Timestamp>) {
        if let Some(at) = at.filter(|at| self.wake != Some(*at)) {
            self.wake = Some(at);
            self.effect(Output::WakeAt(at));
        }
    }

    /// The time that was asked for has come.
    pub(crate) fn woke(&mut self) {
        self.wake = None;
    }

    pub(crate) fn next(&mut self) -> Option<Output> {
        if self.batch.is_empty() {
            return self.effects.pop_front();
        }
        Some(Output::Save(core::mem::take(&mut self.batch)))
    }
}
