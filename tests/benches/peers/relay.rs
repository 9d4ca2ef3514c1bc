//! A relay in this process, over QUIC: each envelope by the key of its mailbox, answered after its commit.
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use getrandom::SysRng;
use rand_core::UnwrapErr;
use tokio::{sync::oneshot, task::JoinSet};
use waxwing_net::{Client, ClientConfig, Limits, Listener, ListenerConfig, Pace, RelayConnection, Service, Trust};
use waxwing_relay::{
    server,
    service::{Clock, Rate, Rates, Relay, Settings},
    store::{NewMailbox, Rules, SqliteStore, Store as _},
};
use waxwing_wire::{
    address::ServerAddress,
    delivery::{DeliveryKey, LaneHash},
    id::{DeliveryId, MailboxId},
    keys::ServerKey,
    padding::Envelope,
    relay::{AddLane, Credential, NewLane, OwnerKey, Put, RelayReply, RelayRequest, Ttl},
    time::Timestamp,
};

use crate::{
    Skipped,
    load::{BYTES, CONNECTIONS, IN_FLIGHT, MAILBOXES, Measured},
};

const KEY: [u8; 16] = [7; 16];

pub(crate) fn measure(folder: &Path, time: Duration) -> Result<Measured, Skipped> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    Ok(runtime.block_on(run(folder, time)))
}

async fn run(folder: &Path, time: Duration) -> Measured {
    let rules = Rules { puts: Rate::UNLIMITED, ..Rules::default() };
    let store = SqliteStore::open(&folder.join("store"), rules, now()).await.unwrap();
    let mut mailboxes = Vec::with_capacity(MAILBOXES);
    for number in 0..MAILBOXES {
        mailboxes.push(make(&store, number).await);
    }
    let settings = Settings { rates: Rates::UNLIMITED, ..Settings::default() };
    let relay = Relay::new(store.clone(), settings, Clock::new(now), &mut UnwrapErr(SysRng));
    let limits = Limits { handshakes_per_source: Pace::UNLIMITED, ..Limits::default() };
    let key = ServerKey::generate(&mut UnwrapErr(SysRng));
    let config = ListenerConfig { limits, ..ListenerConfig::new(Service::Relay) };
    let listener = Listener::bind(([127, 0, 0, 1], 0).into(), &key, config).unwrap();
    let host = listener.local_address().to_string().parse().unwrap();
    let address = ServerAddress::new(key.public_key(), vec![host]).unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(async move {
        server::serve(&listener, &relay, async { drop(stopped.await) }, Duration::from_secs(1)).await
    });
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        let client = Client::new(ClientConfig::default()).unwrap();
        let connection = client.relay(&address, Trust::Configured).await.unwrap();
        connections.push((client, connection));
    }
    let (begun, mut driven, mailboxes) = (Instant::now(), JoinSet::new(), Arc::new(mailboxes));
    for (number, (client, connection)) in connections.into_iter().enumerate() {
        let mailboxes = Arc::clone(&mailboxes);
        driven.spawn(async move {
            let times = drive(&connection, &mailboxes, number, begun, time).await;
            drop(connection);
            (times, client)
        });
    }
    let (mut times, mut clients) = (Vec::new(), Vec::new());
    while let Some(done) = driven.join_next().await {
        let (some, client) = done.unwrap();
        times.extend(some);
        clients.push(client);
    }
    let measured = Measured::of(times, begun.elapsed());
    for client in clients {
        client.close().await;
    }
    drop(stop);
    serving.await.unwrap();
    store.close().await;
    measured
}

async fn drive(
    connection: &RelayConnection,
    mailboxes: &[MailboxId],
    number: usize,
    begun: Instant,
    time: Duration,
) -> Vec<Duration> {
    let (mut open, mut times, mut next) = (FuturesUnordered::new(), Vec::new(), number);
    loop {
        while begun.elapsed() < time && open.len() < IN_FLIGHT {
            let mut bytes = vec![0xe5; BYTES];
            bytes[..8].copy_from_slice(&(next as u64).to_be_bytes());
            let put = Put {
                mailbox: mailboxes[next % MAILBOXES],
                delivery: DeliveryId::from_bytes((next as u128).to_be_bytes()),
                ttl: Ttl::Fortnight,
                by: Credential::Key(DeliveryKey::from_bytes(KEY)),
                envelope: Envelope::new(bytes).unwrap(),
            };
            next += CONNECTIONS;
            let asked = Instant::now();
            let pending = connection.submit(RelayRequest::Put(put)).await.unwrap();
            open.push(async move { (pending.await, asked.elapsed()) });
        }
        match open.next().await {
            None => return times,
            Some((outcome, took)) => {
                assert_eq!(outcome, Ok(RelayReply::Done));
                times.push(took);
            }
        }
    }
}

async fn make(store: &SqliteStore, number: usize) -> MailboxId {
    let mut seed = [0x5a; 32];
    seed[..8].copy_from_slice(&(number as u64).to_be_bytes());
    let key = OwnerKey::from_seed(&seed);
    let new = NewMailbox { owner_key: *key.public_key().as_bytes(), close_hash: [1; 32], invite: None };
    store.create_mailbox(new, now()).await.unwrap();
    let lane = AddLane { lane: NewLane::Contacts, hash: LaneHash::of(&key.mailbox(), &KEY), ends: None };
    store.add_lane(&key.mailbox(), lane, now()).await.unwrap();
    key.mailbox()
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::EPOCH.saturating_add(since)
}
