//! The store in memory does what every store must do.
use std::{
    cell::RefCell,
    collections::BTreeMap,
    rc::Rc,
    sync::{Arc, Mutex},
};

use waxwing_engine::store::{
    Batch, MemoryStore, Position, Record, Refused, Store, StoredMessage, Table, Write, conformance,
};
use waxwing_wire::{content::MessageId, id::AccountId};

use crate::ready_future;

/// A handle on a store that lives on when the handle is dropped, as a file does.
struct Shared(Arc<Mutex<MemoryStore>>);

impl Shared {
    fn ask<T>(&self, ask: impl FnOnce(&mut MemoryStore) -> T) -> T {
        ask(&mut self.0.lock().expect("one thread"))
    }
}

impl Store for Shared {
    type Error = Refused;

    async fn load(&mut self) -> Result<Vec<Record>, Refused> {
        self.ask(|store| ready_future::result(store.load()))
    }

    async fn save(&mut self, batch: &Batch) -> Result<(), Refused> {
        self.ask(|store| ready_future::result(store.save(batch)))
    }

    async fn page(
        &mut self,
        conversation: &AccountId,
        before: Option<Position>,
        limit: usize,
    ) -> Result<Vec<StoredMessage>, Refused> {
        self.ask(|store| ready_future::result(store.page(conversation, before, limit)))
    }

    async fn message(&mut self, conversation: &AccountId, id: &MessageId) -> Result<Option<StoredMessage>, Refused> {
        self.ask(|store| ready_future::result(store.message(conversation, id)))
    }

    async fn unread(&mut self, conversation: &AccountId) -> Result<u64, Refused> {
        self.ask(|store| ready_future::result(store.unread(conversation)))
    }

    async fn unread_in_all(&mut self) -> Result<u64, Refused> {
        self.ask(|store| ready_future::result(store.unread_in_all()))
    }
}

#[test]
fn the_store_in_memory_conforms() {
    type Stores = BTreeMap<&'static str, Arc<Mutex<MemoryStore>>>;
    let stores: Rc<RefCell<Stores>> = Rc::default();
    ready_future::result(conformance::conforms(|name| {
        let store = Arc::clone(stores.borrow_mut().entry(name).or_default());
        async move { Shared(store) }
    }));
    assert!(stores.borrow().len() > 3, "the suite opened its stores");
}

#[test]
fn a_copy_is_what_a_crash_leaves() {
    let mut store = MemoryStore::new();
    let put = |value: u8| Write::Put(Record { table: Table::Peer, key: vec![1], value: vec![value].into() });
    store.save_now(&[put(1)].into_iter().collect()).unwrap();
    let left = store.clone();
    store.save_now(&[put(2)].into_iter().collect()).unwrap();
    assert_eq!(left.load_now()[0].value.as_slice(), [1]);
    assert_eq!(store.load_now()[0].value.as_slice(), [2]);
}

#[test]
fn a_refused_save_leaves_nothing_of_its_batch() {
    let mut store = MemoryStore::new();
    let put = |key: u8| Write::Put(Record { table: Table::Peer, key: vec![key], value: vec![key].into() });
    store.refuse_after(Some(1));
    store.save_now(&[put(1)].into_iter().collect()).unwrap();
    assert_eq!(store.save_now(&[put(2), put(3)].into_iter().collect()), Err(Refused));
    assert_eq!(store.count(Table::Peer), 1);
    store.refuse_after(None);
    store.save_now(&[put(2)].into_iter().collect()).unwrap();
    assert_eq!(store.count(Table::Peer), 2);
}
