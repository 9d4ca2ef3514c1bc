//! Everybody comes back at once: each is served, gets what waited, and when they are gone their memory serves the next.
//!
//! `WAXWING_SUBSCRIBERS=5000 cargo test --release --workspace --test it storm` for the whole of it.
use std::fs;

use tokio::task::JoinSet;
use waxwing_net::Client;
use waxwing_wire::{address::ServerAddress, relay::RelayReply};

use super::{
    people::{Person, client, connect},
    relay::{Process, Told},
    variable,
};

const WAITING: u64 = 3;
/// Clients are sockets; each stands for so many devices.
const CONNECTIONS_OF_A_CLIENT: u64 = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_subscribers_is_served_and_leaves_nothing_behind() {
    let subscribers = variable("WAXWING_SUBSCRIBERS", 200);
    let folder = tempfile::tempdir().unwrap();
    // With an arena for each thread it is chance how much the allocator keeps; with one, what grows is ours.
    let told = Told { log: None, variables: &[("MALLOC_ARENA_MAX", "1")] };
    let relay = Process::start_told(folder.path(), told);
    prepare(&relay.address, subscribers).await;
    // The allocator keeps what the first storms took; what a storm leaves behind shows in those that follow.
    for _ in 0..3 {
        storm(&relay, subscribers).await;
    }
    let before = resident(&relay);
    for number in 1..=variable("WAXWING_STORMS", 3) {
        let shown = storm(&relay, subscribers).await;
        let after = resident(&relay);
        println!(
            "storm {number} of {subscribers}: {before} KiB before, {shown} KiB while connected, {after} KiB after"
        );
        assert!(after <= before + before / 10, "{before} KiB before, {after} KiB after");
    }
    relay.stop();
}

async fn prepare(address: &ServerAddress, subscribers: u64) {
    let mut making = JoinSet::new();
    for some in 0..subscribers.div_ceil(CONNECTIONS_OF_A_CLIENT) {
        let address = address.clone();
        making.spawn(async move {
            let client = client();
            let first = some * CONNECTIONS_OF_A_CLIENT;
            for number in first..(first + CONNECTIONS_OF_A_CLIENT).min(subscribers) {
                let connection = connect(&client, &address).await;
                let person = Person::new(number);
                person.create(&connection).await;
                for envelope in 1..=WAITING {
                    assert_eq!(connection.request(person.put(envelope)).await, Ok(RelayReply::Done));
                }
            }
        });
        if making.len() >= 8 {
            making.join_next().await.unwrap().unwrap();
        }
    }
    while let Some(made) = making.join_next().await {
        made.unwrap();
    }
}

/// All at once; each stays until everybody is there. Nothing is acked, so that the next storm finds the same. Returns what the relay
/// occupied while everybody was connected.
async fn storm(relay: &Process, subscribers: u64) -> u64 {
    let clients: Vec<_> =
        (0..subscribers.div_ceil(CONNECTIONS_OF_A_CLIENT)).map(|_| std::sync::Arc::new(client())).collect();
    let mut coming = JoinSet::new();
    for number in 0..subscribers {
        let client = std::sync::Arc::clone(&clients[usize::try_from(number / CONNECTIONS_OF_A_CLIENT).unwrap()]);
        let address = relay.address.clone();
        coming.spawn(async move { come(&client, &address, Person::new(number)).await });
    }
    let mut there = Vec::new();
    while let Some(came) = coming.join_next().await {
        there.push(came.unwrap());
    }
    assert_eq!(u64::try_from(there.len()).unwrap(), subscribers);
    let shown = resident(relay);
    drop(there);
    for client in clients {
        client.close().await;
    }
    shown
}

async fn come(client: &Client, address: &ServerAddress, person: Person) -> super::people::Subscription {
    let mut subscription = loop {
        // Turned away while too many come at once: again, as a client does.
        let Ok(connection) = client.relay(address, waxwing_net::Trust::Configured).await else { continue };
        if let Ok(subscription) = person.subscribe(connection, 0, 256).await {
            break subscription;
        }
    };
    let came = subscription.drain_backlog().await;
    assert_eq!(came.iter().map(|(_, number)| *number).collect::<Vec<_>>(), (1..=WAITING).collect::<Vec<_>>());
    subscription
}

fn resident(relay: &Process) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", relay.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}
