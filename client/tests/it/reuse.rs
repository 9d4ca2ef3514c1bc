//! B5: what goes over the wire when a profile is put back: who sealed each envelope, with which ratchet key, and its number, as its recipient
//! sees them. The engine is a real one, its servers are a town's.
use std::collections::{BTreeMap, BTreeSet};

use waxwing_client::store::{EncryptedStore, OpenError, Profile, Protection, Unlock};
use waxwing_engine::{
    Witness,
    store::{Batch, MemoryStore, Store as _, Write},
};

use crate::{scene::files, town::Town};

const ALICE: usize = 0;
const BOB: usize = 1;

/// Envelopes by what names the message key that sealed them.
type Sealed = BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>>;

/// Alice says something so often; each save of hers is one of the profile's, too.
async fn say(town: &mut Town, store: &mut EncryptedStore, times: usize) {
    for number in 0..times {
        let bob = town.account(BOB);
        town.say(ALICE, bob, &format!("number {number}"));
        keep(town, store).await;
    }
}

/// The profile holds what Alice's engine saved.
async fn keep(town: &Town, store: &mut EncryptedStore) {
    let records = town.residents[ALICE].store.load_now();
    let is_there = |table, key: &Vec<u8>| records.iter().any(|record| record.table == table && record.key == *key);
    let gone = store.load().await.unwrap().into_iter().filter(|record| !is_there(record.table, &record.key));
    let mut batch: Batch = gone.map(|record| Write::Delete { table: record.table, key: record.key }).collect();
    records.iter().cloned().for_each(|record| batch.push(Write::Put(record)));
    store.save(&batch).await.unwrap();
}

/// Alice's device begins anew with what the profile holds.
async fn wake(town: &mut Town, store: &mut EncryptedStore) {
    let mut memory = MemoryStore::new();
    memory.save_now(&store.load().await.unwrap().into_iter().map(Write::Put).collect()).unwrap();
    town.residents[ALICE].store = memory;
    town.residents[ALICE].restart();
    town.run();
}

/// Everything that ever came to the relay for Bob since it keeps it back.
fn scan(town: &mut Town) -> Sealed {
    let envelopes: Vec<Vec<u8>> = town.waiting(BOB).iter().map(|letter| letter.envelope.as_bytes().to_vec()).collect();
    let (mut sealed, mut witness) = (Sealed::new(), Witness::default());
    for envelope in envelopes {
        let name = town.residents[BOB].engine().message_key_name(&envelope, &mut witness);
        sealed.entry(name.expect("it is for Bob")).or_default().insert(envelope);
    }
    sealed
}

fn twice(sealed: &Sealed) -> usize {
    sealed.values().filter(|envelopes| envelopes.len() > 1).count()
}

#[tokio::test]
async fn b5_a_profile_that_was_put_back_seals_nothing_with_a_key_that_was_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alice");
    let noted = || Profile::new(&path).noted_in(folder.path().join("state"));
    let mut town = Town::with_two_friends();
    town.holds_deliveries = true;
    let mut store = EncryptedStore::create(noted(), Protection::None).await.unwrap();
    keep(&town, &mut store).await;
    say(&mut town, &mut store, 3).await;
    store.close().await.unwrap();
    let copy = files(&path);
    let mut store = EncryptedStore::open(noted(), Unlock::None).await.unwrap();
    wake(&mut town, &mut store).await;
    say(&mut town, &mut store, 4).await;
    store.close().await.unwrap();
    let put_back = || copy.iter().for_each(|(name, bytes)| std::fs::write(path.join(name), bytes).unwrap());

    // With its note: no engine gets anything of it, whatever is tried.
    put_back();
    assert_eq!(EncryptedStore::open(noted(), Unlock::None).await.err(), Some(OpenError::PutBack));
    EncryptedStore::open_archive(noted(), Unlock::None).await.unwrap().close().await;
    assert_eq!(EncryptedStore::open(noted(), Unlock::None).await.err(), Some(OpenError::PutBack));
    let sealed = scan(&mut town);
    assert_eq!((sealed.len(), twice(&sealed)), (7, 0), "each envelope has a key of its own");

    // Without it nothing is noticed (spec §21.12), and the scan shows what for the note is there.
    let mut store = EncryptedStore::open(Profile::new(&path), Unlock::None).await.unwrap();
    wake(&mut town, &mut store).await;
    say(&mut town, &mut store, 2).await;
    store.close().await.unwrap();
    assert_eq!(twice(&scan(&mut town)), 2, "two keys sealed two envelopes each");
}
