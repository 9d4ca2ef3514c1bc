//! Two clients that have nothing but `waxwing-wire` and `waxwing-net` exchange envelopes through restarts of the relay.
//!
//! `WAXWING_ENVELOPES=100000 cargo test --release -p waxwing-relay --test it exchange` for the whole of it.
use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinSet};
use waxwing_net::{Client, ClientConfig, RelayConnection, Trust};
use waxwing_wire::{
    address::ServerAddress,
    relay::{Ack, RelayPush, RelayReply, RelayRequest},
};

use super::{
    people::{Person, Subscription, client, connect, number_of},
    relay::Process,
    variable,
};

const IN_FLIGHT: usize = 128;
const RESTARTS: u64 = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_clients_exchange_envelopes_through_restarts_and_none_is_lost_or_doubled() {
    let each = variable("WAXWING_ENVELOPES", 6_000) / 2;
    let folder = tempfile::tempdir().unwrap();
    let mut relay = Process::start(folder.path());
    let (alice, bob) = (Person::new(1), Person::new(2));
    for person in [alice, bob] {
        person.create(&connect(&client(), &relay.address).await).await;
    }
    let (where_it_is, address) = watch::channel(relay.address.clone());
    let (counted, mut received) = watch::channel(0_u64);
    let mut people = JoinSet::new();
    for (from, to) in [(alice, bob), (bob, alice)] {
        people.spawn(send(to, each, address.clone()));
        people.spawn(receive(from, each, address.clone(), counted.clone()));
    }
    for restart in 1..=RESTARTS {
        // At some point of the exchange, not at some time.
        received.wait_for(|count| *count >= 2 * each * restart / (RESTARTS + 2)).await.unwrap();
        if restart % 2 == 0 {
            drop(relay.stop());
        } else {
            relay.kill();
        }
        relay = Process::start(folder.path());
        where_it_is.send_replace(relay.address.clone());
    }
    while let Some(done) = people.join_next().await {
        done.unwrap();
    }
    assert_eq!(*counted.borrow(), 2 * each);
    for person in [alice, bob] {
        let mut left = person.subscribe(connect(&client(), &relay.address).await, 0, 8).await.unwrap();
        assert_eq!(left.drain_backlog().await, [], "everything was acked");
    }
}

/// A connection to wherever the relay is now.
async fn reach(client: &Client, address: &mut watch::Receiver<ServerAddress>) -> RelayConnection {
    loop {
        let now = address.borrow_and_update().clone();
        if let Ok(connection) = client.relay(&now, Trust::Configured).await {
            return connection;
        }
        // Gone for the moment: it tells when it is back, unless that was between.
        let _ = tokio::time::timeout(Duration::from_millis(100), address.changed()).await;
    }
}

fn restless() -> Client {
    Client::new(ClientConfig { attempt: Duration::from_secs(2), ..ClientConfig::default() }).unwrap()
}

/// Puts numbers 1 to `count`, and each again whose answer did not come.
async fn send(to: Person, count: u64, mut address: watch::Receiver<ServerAddress>) {
    let client = restless();
    let mut open: Vec<u64> = (1..=count).rev().collect();
    while !open.is_empty() {
        let connection = Arc::new(reach(&client, &mut address).await);
        let mut puts = JoinSet::new();
        let mut lost = false;
        while !(puts.is_empty() && (open.is_empty() || lost)) {
            while !lost && puts.len() < IN_FLIGHT {
                let Some(number) = open.pop() else { break };
                let (connection, put) = (Arc::clone(&connection), to.put(number));
                puts.spawn(async move { (number, connection.request(put).await) });
            }
            let done = tokio::select! {
                done = puts.join_next() => done,
                // A relay that was killed says nothing: its successor does, sooner than the idle timeout.
                Ok(()) = address.changed() => {
                    connection.close();
                    puts.join_next().await
                }
            };
            let Some(done) = done else { break };
            match done.unwrap() {
                (_, Ok(RelayReply::Done)) => {}
                (number, Ok(other)) => panic!("{number}: {other:?}"),
                // Not known, full or draining: again.
                (number, Err(_)) => {
                    open.push(number);
                    lost = true;
                }
            }
        }
    }
}

/// Takes until every number came. What a device stores before it acks is `seen` here; it is its memory of the numbers too.
async fn receive(me: Person, count: u64, mut address: watch::Receiver<ServerAddress>, counted: watch::Sender<u64>) {
    let client = restless();
    let mut seen: HashMap<u64, u64> = HashMap::new();
    let mut cursor = 0;
    while u64::try_from(seen.len()).unwrap() < count {
        let connection = reach(&client, &mut address).await;
        let Ok(subscription) = me.subscribe(connection, 0, 256).await else { continue };
        tokio::select! {
            () = take(subscription, &mut seen, &mut cursor, count, &counted) => {}
            Ok(()) = address.changed() => {}
        }
    }
    // What was acked last may have been on its way when the relay went: once more.
    loop {
        let connection = reach(&client, &mut address).await;
        let Ok(subscription) = me.subscribe(connection, 0, 8).await else { continue };
        let ack = RelayRequest::Ack(Ack::new(subscription.subscribed.newest, Vec::new()).unwrap());
        if subscription.connection.request(ack).await == Ok(RelayReply::Done) {
            return;
        }
    }
}

async fn take(
    subscription: Subscription,
    seen: &mut HashMap<u64, u64>,
    cursor: &mut u64,
    count: u64,
    counted: &watch::Sender<u64>,
) {
    let Subscription { connection, mut pushes, mut backlog, .. } = subscription;
    let mut through = false;
    let mut acks = Vec::new();
    loop {
        let push = tokio::select! {
            push = pushes.next() => push,
            push = backlog.next(), if !through => push.ok().flatten(),
        };
        match push {
            Some(RelayPush::Delivery(delivery)) => {
                let (place, number) = (delivery.sequence.0, number_of(&delivery));
                let known = seen.insert(number, place);
                // Redelivered after a crash is the same envelope at the same place; doubled would be another place.
                assert!(known.is_none_or(|known| known == place), "{number} at {known:?} and {place}");
                if known.is_none() {
                    counted.send_modify(|count| *count += 1);
                }
                *cursor = (*cursor).max(place);
                acks.push(place);
            }
            Some(RelayPush::BacklogEnd(_)) => through = true,
            Some(RelayPush::GoingAway(_)) => return,
            Some(_) => {}
            None => return,
        }
        let whole = u64::try_from(seen.len()).unwrap() >= count;
        if acks.len() >= 32 || whole || through && acks.len() >= 16 {
            acks.sort_unstable();
            acks.dedup();
            let ack = RelayRequest::Ack(Ack::new(0, std::mem::take(&mut acks)).unwrap());
            if connection.request(ack).await.is_err() || whole {
                return;
            }
        }
    }
}
