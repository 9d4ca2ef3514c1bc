//! Spec §17.19.4: `verify` finds what is wrong with a store, and nothing else, also while the store is at work.
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::task::JoinSet;
use waxwing_relay::store::{Finding, Life, Registers as _, Rules, SqliteStore, Store as _};
use waxwing_wire::{padding::EnvelopeSize, relay::EntryKind};

use crate::{
    conformance::{
        fan_outs::{fan_out, fanned},
        registers::{entry, head, new, write},
    },
    scene::{CONTACTS, DAY, NOW, Owner, after, put},
};

const OWNERS: [Owner; 3] = [Owner(1), Owner(2), Owner(3)];

/// Envelopes put alone at places 1 to 3, one fanned out to three at 5 to 7 with its body at 4, a register of two versions.
async fn store(folder: &Path) -> SqliteStore {
    let store = SqliteStore::open(folder, Rules::default(), NOW).await.unwrap();
    for owner in OWNERS {
        owner.with_contacts(&store).await;
    }
    for number in 1..=3 {
        OWNERS[0].put(&store, number).await;
    }
    assert_eq!(fanned(&store, fan_out(4, EnvelopeSize::B4096, &OWNERS, CONTACTS)).await, [Ok(false); 3]);
    store.create_register(new(1), NOW).await.unwrap();
    let change = write(1, head(&store, 1), entry(EntryKind::Change, 512, 2));
    store.write_register(&change, NOW).await.unwrap();
    store
}

async fn damage(folder: &Path, text: &str) {
    let options = SqliteConnectOptions::new().filename(folder.join("mailboxes.sqlite"));
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    let done = connection.execute(AssertSqlSafe(text.to_owned())).await.unwrap();
    assert!(done.rows_affected() > 0, "{text}");
    connection.close().await.unwrap();
}

fn said(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|Finding { place, what }| format!("{place}: {what}")).collect()
}

#[tokio::test]
async fn every_damage_is_found_where_it_is() {
    let cases = [
        ("DELETE FROM envelope WHERE place = 2", &["body 2: no envelope", "envelope 2: mailbox 1 has it"][..]),
        ("DELETE FROM body WHERE place = 2", &["envelope 2: its body is not there"]),
        ("DELETE FROM body WHERE place = 4", &["envelope 5: its body", "envelope 6: its body", "envelope 7: its body"]),
        ("UPDATE body SET bytes = zeroblob(2560) WHERE place = 3", &["envelope 3: its hash is another"]),
        ("UPDATE body SET bytes = zeroblob(4096) WHERE place = 3", &["envelope 3: it has another size"]),
        ("UPDATE body SET bytes = x'00' WHERE place = 3", &["envelope 3: it has no envelope's length"]),
        ("UPDATE envelope SET header = zeroblob(48) WHERE place = 6", &["envelope 6: its hash is another"]),
        ("UPDATE envelope SET mailbox = 2 WHERE place = 1", &["envelope 1: memory says otherwise"]),
        ("UPDATE envelope SET sequence = 99 WHERE place = 1", &["envelope 1: memory says otherwise"]),
        (
            "INSERT INTO envelope SELECT 99, 9, 1, lane, pool, size, ends, delivery, identity, header, body \
             FROM envelope WHERE place = 1",
            &["envelope 99: no mailbox has it"],
        ),
        ("INSERT INTO body VALUES (99, x'00')", &["body 99: no envelope has it"]),
        ("UPDATE lane SET mailbox = 9 WHERE mailbox = 3", &["lanes of mailbox 9: there is no such mailbox"]),
        ("UPDATE version SET bytes = zeroblob(512) WHERE version = 2", &["version 2 is not what its hash says"]),
        ("UPDATE version SET version = 3 WHERE version = 2", &["version 3 is not what its hash says"]),
        ("DELETE FROM register", &["there is no such register"]),
        ("DELETE FROM version", &["it has no version"]),
    ];
    for (text, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path()).await;
        assert_eq!(said(&store.verify().await.unwrap()), [""; 0]);
        damage(folder.path(), text).await;
        let mut found = said(&store.verify().await.unwrap());
        found.sort();
        assert_eq!(found.len(), expected.len(), "{text}: {found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{text}: {found}");
        }
        store.close().await;
    }
}

/// `WAXWING_ROUNDS=3000` for more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_at_work_verifies() {
    let rounds = std::env::var("WAXWING_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(300);
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    let (mut work, accepted) = (JoinSet::new(), Arc::new(AtomicU64::new(0)));
    for owner in OWNERS {
        let (store, accepted) = (store.clone(), Arc::clone(&accepted));
        work.spawn(async move {
            for number in 10.. {
                let mut one = owner.envelope(number);
                // Every other one is over at once, and waits to be swept.
                one.life = if number % 2 == 0 { Life::Day } else { Life::Fortnight };
                accepted.fetch_add(u64::from(put(&store, one, NOW).await.is_ok()), Relaxed);
                if number % 5 == 0 {
                    let newest = store.state(&owner.mailbox(), after(DAY)).await.unwrap().newest;
                    owner.ack(&store, newest.saturating_sub(2), &[newest]).await;
                }
            }
        });
    }
    let fanning = store.clone();
    work.spawn(async move {
        for number in 1_000_000.. {
            fanned(&fanning, fan_out(number, EnvelopeSize::B2560, &OWNERS, CONTACTS)).await;
        }
    });
    let closing = Arc::new(store.clone());
    work.spawn(async move {
        let owner = Owner(9);
        for number in 1.. {
            owner.with_contacts(&*closing).await;
            owner.put(&*closing, number).await;
            closing.delete_mailbox(&owner.mailbox(), NOW).await.unwrap();
        }
    });
    for round in 0..rounds {
        let before = accepted.load(Relaxed);
        assert_eq!(said(&store.verify().await.unwrap()), [""; 0], "round {round}");
        // Each round beside some work.
        while accepted.load(Relaxed) == before {
            tokio::task::yield_now().await;
        }
    }
    println!("{rounds} rounds beside {} puts", accepted.load(Relaxed));
    // Whoever works has worked all the while.
    assert!(work.try_join_next().is_none());
    work.shutdown().await;
    assert_eq!(said(&store.verify().await.unwrap()), [""; 0]);
    store.close().await;
}
