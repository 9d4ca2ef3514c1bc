//! What one or several inputs lead to, before it is performed.
//!
//! Invariant: everything that is written comes out as one save before anything else comes out.
use std::collections::VecDeque;

use waxwing_wire::time::Timestamp;

use crate::{
    interface::{Event, Output},
    store::{Batch, Record, SecretBytes, Table, Write},
};

/// Collects writes and effects.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    batch: Batch,
    effects: VecDeque<Output>,
    /// The last time that was asked for.
    wake: Option<Timestamp>,
}

impl Stage {
    pub(crate) const fn new() -> Self {
        Self { batch: Batch::new(), effects: VecDeque::new(), wake: None }
    }

    /// Whether a save comes next.
    pub(crate) fn has_writes(&self) -> bool {
        !self.batch.is_empty()
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
