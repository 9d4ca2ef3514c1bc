//! E7: SIGKILL under load, at random points: every envelope that a sender was told is accepted is there, once.
//!
//! `WAXWING_KILLS=1000 cargo test --release -p waxwing-relay --test it kill` for more; a failure prints its seed.
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use tokio::{sync::mpsc, task::JoinSet};
use waxwing_wire::{address::ServerAddress, relay::RelayReply};

use super::{
    people::{Person, client, connect},
    relay::Process,
    variable,
};

const SENDERS: u64 = 2;
const IN_FLIGHT: usize = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e7_whatever_was_accepted_survives_sigkill_once() {
    let (kills, seed) = (variable("WAXWING_KILLS", 100), variable("WAXWING_SEED", 1));
    println!("WAXWING_SEED={seed}");
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let alice = Person::new(1);
    let next = Arc::new(AtomicU64::new(1));
    let (mut accepted, mut places) = (BTreeSet::new(), BTreeMap::new());
    let (mut cursor, mut slowest) = (0, Duration::ZERO);
    for kill in 0..=kills {
        let begun = Instant::now();
        let relay = Process::start(folder.path());
        slowest = slowest.max(begun.elapsed());
        let client = client();
        alice.create(&connect(&client, &relay.address).await).await;
        // The owner looks at what the last crash left, and acks it at a crash's risk.
        let connection = connect(&client, &relay.address).await;
        let mut subscription = alice.subscribe(connection, cursor, 256).await.unwrap();
        for (place, number) in subscription.drain_backlog().await {
            let known = places.insert(place, number);
            assert!(known.is_none_or(|known| known == number), "place {place} had {known:?} and has {number}");
            cursor = cursor.max(place);
        }
        let came: BTreeSet<u64> = places.values().copied().collect();
        assert_eq!(came.len(), places.len(), "after {kill} crashes an envelope has two places");
        let lost: Vec<_> = accepted.difference(&came).collect();
        assert!(lost.is_empty(), "after {kill} crashes: accepted and lost: {lost:?}");
        if kill == kills {
            break;
        }
        if cursor > 0 {
            subscription.ack(cursor).await;
        }
        drop(subscription);
        accepted.extend(load_until(relay, &alice, &next, 1 + rng.next_u64() % 200).await);
    }
    println!("{} accepted through {kills} kills; the slowest start took {slowest:?}", accepted.len());
    assert!(!accepted.is_empty());
}

/// Senders put as fast as they can until so many were accepted; then the relay is killed. What they heard is accepted.
async fn load_until(relay: Process, alice: &Person, next: &Arc<AtomicU64>, enough: u64) -> Vec<u64> {
    let (heard, mut hearing) = mpsc::unbounded_channel();
    let mut senders = JoinSet::new();
    for _ in 0..SENDERS {
        senders.spawn(send(relay.address.clone(), *alice, Arc::clone(next), heard.clone()));
    }
    drop(heard);
    let mut accepted = Vec::new();
    for _ in 0..enough {
        accepted.push(hearing.recv().await.unwrap());
    }
    relay.kill();
    senders.abort_all();
    while let Some(number) = hearing.recv().await {
        accepted.push(number);
    }
    accepted
}

pub(super) async fn send(
    address: ServerAddress,
    alice: Person,
    next: Arc<AtomicU64>,
    heard: mpsc::UnboundedSender<u64>,
) {
    let client = client();
    let connection = Arc::new(connect(&client, &address).await);
    let mut puts = JoinSet::new();
    loop {
        while puts.len() < IN_FLIGHT {
            let (connection, number) = (Arc::clone(&connection), next.fetch_add(1, Ordering::Relaxed));
            let put = alice.put(number);
            puts.spawn(async move { (number, connection.request(put).await) });
        }
        let Some(Ok((number, outcome))) = puts.join_next().await else { return };
        match outcome {
            Ok(RelayReply::Done) => drop(heard.send(number)),
            Ok(other) => panic!("{other:?}"),
            // Killed: whether it was accepted nobody knows.
            Err(_) => return,
        }
    }
}
