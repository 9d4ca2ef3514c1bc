//! What the disk lost is nobody's key: fetches around it are served, and use nothing up in vain (spec/19-keyserver.md §19.6.4).
use waxwing_keyserver::store::{BundlesError, Store, Take, Unavailable, sqlite::SqliteStore};

use crate::people::{NOW, Person, device_id};

/// Where the counters of all devices stand, by device and kind.
fn counters(database: &rusqlite::Connection) -> Vec<(i64, i64)> {
    let mut rows = database.prepare("SELECT one_time_next, kyber_next FROM device ORDER BY number").unwrap();
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[tokio::test]
async fn a_fetch_that_misses_a_body_uses_up_no_key_of_any_device() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.db");
    let store = SqliteStore::open(&file).await.unwrap();
    let alice = Person::new(1);
    let first = alice.first(0);
    let both = alice.with_device(&first);
    store.create_account(alice.new_account(&first), NOW).await.unwrap();
    store.publish(alice.step(1, &both), NOW).await.unwrap();
    for device in [1, 2] {
        store.upload(alice.batch(&both, device, 10, 3)).await.unwrap();
    }
    let database = rusqlite::Connection::open(&file).unwrap();
    for (lost, kind) in [("Kyber", 2), ("X25519", 1)] {
        let before = counters(&database);
        let gone = "CREATE TABLE gone AS SELECT * FROM prekey WHERE number >> 26 = (SELECT max(number) FROM device) \
             AND number & 3 = ?";
        database.execute(gone, [kind]).unwrap();
        database.execute_batch("DELETE FROM prekey WHERE number IN (SELECT number FROM gone)").unwrap();
        for devices in [vec![], vec![device_id(1), device_id(2)], vec![device_id(2)]] {
            let refused = store.bundles(&alice.id(), &devices, Take::OneTime).await;
            assert_eq!(refused, Err(BundlesError::Unavailable(Unavailable)), "{lost}");
        }
        assert_eq!(counters(&database), before, "{lost}: nothing was used up");
        database.execute_batch("INSERT INTO prekey SELECT * FROM gone; DROP TABLE gone").unwrap();
        // What is whole is handed out, from where it stood.
        let served = store.bundles(&alice.id(), &[], Take::OneTime).await.unwrap();
        assert!(served.bundles.iter().all(|bundle| bundle.one_time.is_some() && !bundle.last_resort));
        let after: Vec<_> = before.iter().map(|(one_time, kyber)| (one_time + 1, kyber + 1)).collect();
        assert_eq!(counters(&database), after);
    }
}
