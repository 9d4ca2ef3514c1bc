//! What every store does (spec/17-relay.md): one suite, run for each of them.
use std::future::Future;

use tempfile::TempDir;
use waxwing_relay::store::{MemoryStore, Registers, Rules, SqliteStore, Store};

use crate::scene::NOW;

pub(crate) mod blobs;
mod expiry;
pub(crate) mod fan_outs;
mod lanes;
mod mailboxes;
mod puts;
pub(crate) mod registers;
mod subscription;

/// A store that is tested.
pub(crate) trait Subject: Sized + Send {
    type Store: Store + Registers;

    /// An empty one.
    fn new(rules: Rules) -> impl Future<Output = Self> + Send;

    fn store(&self) -> &Self::Store;
}

pub(crate) struct InMemory(MemoryStore);

impl Subject for InMemory {
    type Store = MemoryStore;

    async fn new(rules: Rules) -> Self {
        Self(MemoryStore::new(rules))
    }

    fn store(&self) -> &MemoryStore {
        &self.0
    }
}

/// In a folder that lives as long as the test.
pub(crate) struct InSqlite {
    store: SqliteStore,
    _folder: TempDir,
}

impl Subject for InSqlite {
    type Store = SqliteStore;

    async fn new(rules: Rules) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path(), rules, NOW).await.unwrap();
        Self { store, _folder: folder }
    }

    fn store(&self) -> &SqliteStore {
        &self.store
    }
}

/// Runs each of a module's functions as a test of each store.
macro_rules! conformance {
    ($($test:ident),* $(,)?) => {
        mod in_memory {
            $(#[tokio::test]
            async fn $test() {
                super::$test::<crate::conformance::InMemory>().await;
            })*
        }

        mod in_sqlite {
            $(#[tokio::test]
            async fn $test() {
                super::$test::<crate::conformance::InSqlite>().await;
            })*
        }
    };
}
use conformance;
