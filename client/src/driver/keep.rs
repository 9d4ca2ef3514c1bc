//! What a driver needs of a store, beside what an engine does (spec/23-client-driver.md §23.1).
//!
//! The encrypted store is the one that people have; a simulation has another one, in memory.
use waxwing_engine::{
    Output,
    store::{Batch, Record},
};

use crate::{
    Cursor, Event,
    store::{EncryptedStore, StoreError},
};

/// Keeps an engine's records, the events for programs, and the leaves that servers showed.
pub(crate) trait Keep: Send + 'static {
    /// The records.
    fn load(&mut self) -> impl Future<Output = Result<Vec<Record>, StoreError>> + Send;

    /// Applies a batch and adds events in one transaction, on stable storage. The cursor of the last event, if there was one.
    fn save_with(
        &mut self,
        batch: &Batch,
        told: &[Event],
    ) -> impl Future<Output = Result<Option<Cursor>, StoreError>> + Send;

    /// Whether something can be written.
    fn probe(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The newest event.
    fn newest_event(&self) -> impl Future<Output = Result<Cursor, StoreError>> + Send;

    /// The highest leaf that each server showed, by the server's key.
    fn leaves(&self) -> impl Future<Output = Result<Vec<([u8; 32], u64)>, StoreError>> + Send;

    /// A server showed a leaf.
    fn saw_leaf(&mut self, server: &[u8; 32], number: u64) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Lets it go.
    fn close(self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Hears of every output that is about to be performed; whoever looks for what must not leave yet looks here.
    fn about_to(&mut self, _: &Output) {}
}

impl Keep for EncryptedStore {
    async fn load(&mut self) -> Result<Vec<Record>, StoreError> {
        waxwing_engine::store::Store::load(self).await
    }

    async fn save_with(&mut self, batch: &Batch, told: &[Event]) -> Result<Option<Cursor>, StoreError> {
        Self::save_with(self, batch, told).await
    }

    async fn probe(&mut self) -> Result<(), StoreError> {
        Self::probe(self).await
    }

    async fn newest_event(&self) -> Result<Cursor, StoreError> {
        self.reader().newest_event().await
    }

    async fn leaves(&self) -> Result<Vec<([u8; 32], u64)>, StoreError> {
        Self::leaves(self).await
    }

    async fn saw_leaf(&mut self, server: &[u8; 32], number: u64) -> Result<(), StoreError> {
        Self::saw_leaf(self, server, number).await
    }

    async fn close(self) -> Result<(), StoreError> {
        Self::close(self).await
    }
}
