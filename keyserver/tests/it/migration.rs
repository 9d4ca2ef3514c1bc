//! A file of an older layout is brought up to date, with everything in it (spec/19-keyserver.md §19.10).
use std::path::Path;

use waxwing_keyserver::store::{Batch, Store, Take, memory::MemoryStore, sqlite::SqliteStore};
use waxwing_wire::{manifest::Manifest, prekey::PrekeyKind};

use crate::people::{NOW, Person, server_key};

/// Makes of a file what the first version would have written.
fn as_of_the_first_layout(file: &Path) {
    let connection = rusqlite::Connection::open(file).unwrap();
    let back = "BEGIN; \
        ALTER TABLE prekey RENAME TO neighbours; \
        CREATE TABLE prekey (number INTEGER PRIMARY KEY NOT NULL, id INTEGER NOT NULL, body BLOB NOT NULL) STRICT; \
        INSERT INTO prekey SELECT ((number >> 26) << 26) | ((number & 3) << 24) | ((number >> 2) & 16777215), id, body \
            FROM neighbours; \
        INSERT INTO prekey SELECT number << 26, signed, body FROM device JOIN signed_prekey ON device = number; \
        DROP TABLE neighbours; \
        DROP TABLE signed_prekey; \
        DELETE FROM _sqlx_migrations WHERE version > 1; \
        COMMIT;";
    for statement in back.split_terminator(';') {
        connection.execute_batch(statement).unwrap();
    }
}

/// Two devices, one of them with more one-time keys of one kind than of the other.
struct People {
    person: Person,
    first: Manifest,
    both: Manifest,
    batches: Vec<Batch>,
}

impl People {
    fn new() -> Self {
        let person = Person::new(1);
        let first = person.first(0);
        let both = person.with_device(&first);
        let mut lopsided = person.batch(&both, 1, 20, 2);
        lopsided.prekeys.retain(|prekey| prekey.facts().kind == PrekeyKind::OneTimeX25519);
        let batches = vec![person.batch(&both, 1, 10, 3), lopsided, person.batch(&both, 2, 10, 3)];
        Self { person, first, both, batches }
    }

    /// Registers them, and hands some keys out.
    async fn fill(&self, store: &impl Store) {
        store.create_account(self.person.new_account(&self.first), NOW).await.unwrap();
        store.publish(self.person.step(1, &self.both), NOW).await.unwrap();
        for batch in &self.batches {
            store.upload(batch.clone()).await.unwrap();
        }
        store.bundles(&self.person.id(), &[], Take::OneTime).await.unwrap();
    }
}

#[tokio::test]
async fn a_file_of_the_first_layout_is_brought_up_to_date_with_everything_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.db");
    let (people, memory) = (People::new(), MemoryStore::new([7; 32]));
    people.fill(&memory).await;
    let store = SqliteStore::open(&file).await.unwrap();
    people.fill(&store).await;
    store.close().await;
    as_of_the_first_layout(&file);
    let store = SqliteStore::open(&file).await.unwrap();
    assert_eq!(store.verify(&server_key().public_key()).await.unwrap(), vec![]);
    let person = &people.person;
    for device in [1, 2] {
        let signer = person.signer(0, device);
        assert_eq!(store.prekey_ids(signer).await.unwrap(), memory.prekey_ids(signer).await.unwrap());
    }
    for take in [Take::LastResort, Take::OneTime, Take::OneTime, Take::OneTime, Take::OneTime, Take::OneTime] {
        let expected = memory.bundles(&person.id(), &[], take).await.unwrap();
        assert_eq!(store.bundles(&person.id(), &[], take).await.unwrap(), expected);
    }
    assert_eq!(store.verify(&server_key().public_key()).await.unwrap(), vec![]);
    store.close().await;
}
