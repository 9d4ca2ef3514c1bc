//! Who asks: as many connections as one likes, each with as many requests without an answer as it is told.
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, future::join_all, stream::FuturesUnordered};
use waxwing_net::{Client, ClientConfig, FramedStream, KeyserverConnection, Service, Trust};
use waxwing_wire::{
    address::ServerAddress,
    keyserver::{DeviceRequest, FetchBundles, KeyserverReply, KeyserverRequest, UploadPrekeys},
    prekey::Prekey,
};

use super::{
    machine::Cost,
    place::{DEVICES, Place},
};

/// How many ask at once.
#[derive(Clone, Copy)]
pub(super) struct Load {
    pub(super) connections: usize,
    pub(super) in_flight: usize,
}

impl Load {
    /// A connection may have 64 requests without an answer (spec §19.1.3), and these have.
    pub(super) const fn busy(connections: usize) -> Self {
        Self { connections, in_flight: 64 }
    }
}

/// What a round asks for, and what every answer has to hold.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Expect {
    OneTime,
    LastResort,
}

pub(super) async fn connect(address: &ServerAddress) -> (Client, KeyserverConnection) {
    let client = Client::new(ClientConfig::default()).unwrap();
    let connection = client.keyserver(address, Trust::Configured).await.unwrap();
    (client, connection)
}

/// Bundles of whole accounts: what they cost, connecting and parting not counted, and the times of each in their order.
pub(super) async fn fetches(place: &Arc<Place>, load: Load, count: u64, expect: Expect) -> (Cost, Vec<Duration>) {
    let mut connections = Vec::new();
    for _ in 0..load.connections {
        connections.push(connect(&place.address).await);
    }
    let each = count / load.connections as u64;
    let asking = async {
        let asking = connections.into_iter().map(|(client, connection)| {
            let place = Arc::clone(place);
            tokio::spawn(async move {
                let times = fetch_all(&place, &connection, load.in_flight, each, expect).await;
                (client, connection, times)
            })
        });
        join_all(asking.collect::<Vec<_>>()).await
    };
    let (asked, cost) = Cost::of(asking).await;
    let mut times = Vec::new();
    for asked in asked {
        let (client, connection, some) = asked.unwrap();
        drop(connection);
        client.close().await;
        times.extend(some);
    }
    assert_eq!(times.len() as u64, each * load.connections as u64);
    times.sort_unstable();
    (cost, times)
}

async fn fetch_all(
    place: &Place,
    connection: &KeyserverConnection,
    in_flight: usize,
    mut left: u64,
    expect: Expect,
) -> Vec<Duration> {
    let (mut open, mut times) = (FuturesUnordered::new(), Vec::new());
    loop {
        while left > 0 && open.len() < in_flight {
            left -= 1;
            let fetch = FetchBundles::new(place.next_account(), vec![]).unwrap();
            let (sent, pending) =
                (Instant::now(), connection.submit(KeyserverRequest::FetchBundles(fetch)).await.unwrap());
            open.push(async move { (pending.await, sent.elapsed()) });
        }
        let Some((reply, took)) = open.next().await else { return times };
        let Ok(KeyserverReply::Bundles(bundles)) = reply else { panic!("{reply:?}") };
        assert_eq!(bundles.bundles.len(), DEVICES as usize);
        let last_resort = expect == Expect::LastResort;
        assert!(bundles.bundles.iter().all(|bundle| bundle.last_resort == last_resort));
        times.push(took);
    }
}

/// Frames of a bundle's size, answered with few bytes: what they cost, connecting and parting not counted.
pub(super) async fn echoes(address: &ServerAddress, bytes: usize, load: Load, count: u64) -> Cost {
    let mut streams = Vec::new();
    for _ in 0..load.connections {
        let client = Client::new(ClientConfig::default()).unwrap();
        let connection = client.connect(address, Service::Keyserver, Trust::Configured).await.unwrap();
        let stream = connection.control().await.unwrap();
        streams.push((client, connection, stream));
    }
    let each = count / load.connections as u64;
    let asking = async {
        let asking = streams.into_iter().map(|(client, connection, stream)| {
            tokio::spawn(async move {
                let stream = echo_all(stream, &vec![7; bytes], load.in_flight, each).await;
                (client, connection, stream)
            })
        });
        join_all(asking.collect::<Vec<_>>()).await
    };
    let (asked, cost) = Cost::of(asking).await;
    for asked in asked {
        let (client, connection, stream) = asked.unwrap();
        drop((connection, stream));
        client.close().await;
    }
    cost
}

async fn echo_all(stream: FramedStream, payload: &[u8], in_flight: usize, mut left: u64) -> FramedStream {
    let FramedStream { mut reader, sender } = stream;
    let mut open = 0;
    loop {
        while left > 0 && open < in_flight {
            sender.send(payload).await.unwrap();
            left -= 1;
            open += 1;
        }
        if open == 0 {
            return FramedStream { reader, sender };
        }
        let mut batch = reader.read().await.unwrap().unwrap();
        while batch.next().unwrap().is_some() {
            open -= 1;
        }
    }
}

/// Uploads of 100 keys (49 of each one-time kind, a signed one and a last resort), each on stable storage before its device sends
/// the next, four devices at once: how many, and what they cost.
pub(super) async fn uploads(place: &Place, time: Duration) -> (u64, Cost) {
    let mut connected = Vec::new();
    for _ in 0..UPLOADERS {
        // What a device has to sign is made before.
        let signed = place.next_owners(NEWCOMERS_EACH).iter().flat_map(|(person, manifest)| {
            (0..4).map(move |number| {
                let batch = person.batch(manifest, 1, 1_000 + 100 * number, 49);
                let prekeys: Vec<_> = batch.prekeys.iter().map(Prekey::encode).collect();
                (person.device_key(0, 1), person.signer(0, 1), batch.hash, prekeys)
            })
        });
        let signed = signed.collect::<Vec<_>>();
        let (client, connection) = connect(&place.address).await;
        connected.push((client, connection, signed));
    }
    let uploading = async {
        let begun = Instant::now();
        let uploading = connected.into_iter().map(|(client, connection, signed)| async move {
            let mut done = 0_u64;
            for (key, signer, batch, prekeys) in signed {
                if begun.elapsed() >= time {
                    break;
                }
                let request = DeviceRequest::UploadPrekeys(UploadPrekeys { batch });
                let state = connection.bound(&key, signer, &request, prekeys).await;
                assert!(matches!(state, Ok(KeyserverReply::PrekeyState(_))), "{state:?}");
                done += 1;
            }
            (client, connection, done)
        });
        join_all(uploading).await
    };
    let (uploaded, cost) = Cost::of(uploading).await;
    let mut all = 0;
    for (client, connection, done) in uploaded {
        drop(connection);
        client.close().await;
        all += done;
    }
    (all, cost)
}

/// Devices that upload at once.
pub(super) const UPLOADERS: u64 = 4;
/// Owners that one of them uploads for in a round, four batches each.
pub(super) const NEWCOMERS_EACH: usize = 60;
