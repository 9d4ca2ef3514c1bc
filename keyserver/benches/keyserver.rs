//! What a key server does over QUIC on loopback, beside a bare echo with the same provider and frames, interleaved in one run.
//!
//! `cargo bench --workspace --bench keyserver`; `WAXWING_ROUNDS`, `WAXWING_SECONDS`, `WAXWING_ACCOUNTS` (the many; 50,000). Figures are
//! the machine's, generator included: ratios carry over (keyserver/BENCHMARKS.md).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    dead_code,
    missing_docs,
    reason = "a bench"
)]
use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tempfile::TempDir;
use waxwing_keyserver::{
    server::{self, Surroundings},
    service::{Keyserver, Limits, Settings},
    store::{NewManifest, Store, sqlite::SqliteStore},
};
use waxwing_net::{
    Client, ClientConfig, FramedStream, KeyserverConnection, Limits as Peers, Listener, ListenerConfig, Service, Trust,
    echo,
};
use waxwing_wire::{
    address::ServerAddress,
    id::AccountId,
    keys::ServerKey,
    keyserver::{DeviceRequest, FetchBundles, KeyserverReply, KeyserverRequest, UploadPrekeys},
    manifest::Manifest,
    prekey::Prekey,
};

#[path = "../tests/it/people.rs"]
mod people;

use people::{NOW, Person};

const DEVICES: u32 = 3;
const IN_FLIGHT: usize = 256;

fn variable(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

/// A server in this process, over a database with so many accounts of three devices, each with so many one-time keys.
struct Place {
    address: ServerAddress,
    accounts: Vec<AccountId>,
    /// Owners whose devices have no one-time keys yet, and how many of them have been used.
    owners: Vec<(Person, Manifest)>,
    used: AtomicUsize,
    _folder: TempDir,
}

fn listen() -> (Arc<Listener>, ServerAddress) {
    let limits = Peers { connections_per_source: usize::MAX, ..Peers::default() };
    let config = ListenerConfig { limits, ..ListenerConfig::new(Service::Keyserver) };
    let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0).into(), &ServerKey::from_seed(&[1; 32]), config).unwrap();
    let host = listener.local_address().to_string().parse().unwrap();
    let address = ServerAddress::new(*listener.key(), vec![host]).unwrap();
    (Arc::new(listener), address)
}

async fn place(accounts: u64, one_time: u32, newcomers: u64) -> Place {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let store = Arc::new(SqliteStore::open(&folder.path().join("keys.db")).await.unwrap());
    let (listener, address) = listen();
    let mut ids = Vec::new();
    for some in (0..accounts).collect::<Vec<_>>().chunks(256) {
        let making = some.iter().map(|seed| {
            let (store, seed) = (Arc::clone(&store), *seed);
            tokio::spawn(async move { make(&store, seed, one_time).await })
        });
        for made in making.collect::<Vec<_>>() {
            ids.push(made.await.unwrap());
        }
    }
    let mut owners = Vec::new();
    for seed in (1 << 40)..(1 << 40) + newcomers {
        make(&store, seed, 0).await;
        let person = Person::new(seed);
        let manifest = manifest(&person);
        owners.push((person, manifest));
    }
    let store = Arc::into_inner(store).unwrap();
    let mut settings = Settings { limits: Limits::UNLIMITED, ..Settings::default() };
    settings.admission.open = true;
    let keyserver = Keyserver::new(store, *listener.key(), settings).await.unwrap();
    // The people are of a day in 2027; so is the clock.
    let surroundings = Surroundings { clock: waxwing_net::Clock::new(|| NOW), ..Surroundings::system() };
    tokio::spawn(async move {
        server::serve(&listener, &keyserver, &surroundings, std::future::pending(), Duration::ZERO).await;
    });
    Place { address, accounts: ids, owners, used: AtomicUsize::new(0), _folder: folder }
}

fn manifest(person: &Person) -> Manifest {
    (1..DEVICES).fold(person.first(0), |manifest, _| person.with_device(&manifest))
}

async fn make(store: &SqliteStore, seed: u64, one_time: u32) -> AccountId {
    let person = Person::new(seed);
    let mut manifest = person.first(0);
    store.create_account(person.new_account(&manifest), NOW).await.unwrap();
    for version in 1..DEVICES {
        let next = person.with_device(&manifest);
        let step = NewManifest { version: version.into(), statement: None, manifest: next.clone() };
        store.publish(step, NOW).await.unwrap();
        manifest = next;
    }
    for device in 1..=DEVICES {
        store.upload(person.batch(&manifest, device, 1, one_time)).await.unwrap();
    }
    person.id()
}

async fn connect(address: &ServerAddress) -> (Client, KeyserverConnection) {
    let client = Client::new(ClientConfig::default()).unwrap();
    let connection = client.keyserver(address, Trust::Configured).await.unwrap();
    (client, connection)
}

/// Bundles of whole accounts a second, and the times of each.
async fn fetches(place: &Place, in_flight: usize, time: Duration) -> (f64, Vec<Duration>) {
    static WALK: AtomicU64 = AtomicU64::new(1);
    let (_client, connection) = connect(&place.address).await;
    let (begun, mut open, mut times) = (Instant::now(), FuturesUnordered::new(), Vec::new());
    loop {
        while begun.elapsed() < time && open.len() < in_flight {
            let at =
                (WALK.fetch_add(1, Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) % place.accounts.len() as u64;
            let fetch = FetchBundles::new(place.accounts[at as usize], vec![]).unwrap();
            let (sent, pending) =
                (Instant::now(), connection.submit(KeyserverRequest::FetchBundles(fetch)).await.unwrap());
            open.push(async move { (pending.await, sent.elapsed()) });
        }
        let Some((reply, took)) = open.next().await else { break };
        let Ok(KeyserverReply::Bundles(bundles)) = reply else { panic!("{reply:?}") };
        assert_eq!(bundles.bundles.len(), DEVICES as usize);
        times.push(took);
    }
    let rate = times.len() as f64 / begun.elapsed().as_secs_f64();
    times.sort_unstable();
    (rate, times)
}

/// Frames a second of a bundle's size, answered with few bytes.
async fn echoes(address: &ServerAddress, bytes: usize, in_flight: usize, time: Duration) -> f64 {
    let client = Client::new(ClientConfig::default()).unwrap();
    let connection = client.connect(address, Service::Keyserver, Trust::Configured).await.unwrap();
    let FramedStream { mut reader, sender } = connection.control().await.unwrap();
    let (payload, begun, mut open, mut answered) = (vec![7; bytes], Instant::now(), 0, 0_u64);
    loop {
        while begun.elapsed() < time && open < in_flight {
            sender.send(&payload).await.unwrap();
            open += 1;
        }
        if open == 0 {
            return answered as f64 / begun.elapsed().as_secs_f64();
        }
        let mut batch = reader.read().await.unwrap().unwrap();
        while batch.next().unwrap().is_some() {
            open -= 1;
            answered += 1;
        }
    }
}

/// Uploads of 100 keys (49 of each one-time kind, a signed one and a last resort) a minute, each on stable storage before its device
/// sends the next, four devices at once; and processor time of each.
async fn uploads(place: &Place, time: Duration) -> (f64, f64) {
    let mut devices = Vec::new();
    for _ in 0..4 {
        let (client, connection) = connect(&place.address).await;
        let first = place.used.fetch_add(NEWCOMERS_EACH, Relaxed);
        let owners = place.owners.get(first..first + NEWCOMERS_EACH).expect("enough newcomers for all rounds");
        // What a device has to sign is made before.
        let signed = owners.iter().flat_map(|(person, manifest)| {
            (0..4).map(move |number| {
                let batch = person.batch(manifest, 1, 1_000 + 100 * number, 49);
                let prekeys: Vec<_> = batch.prekeys.iter().map(Prekey::encode).collect();
                (person.device_key(0, 1), person.signer(0, 1), batch.hash, prekeys)
            })
        });
        devices.push((client, connection, signed.collect::<Vec<_>>()));
    }
    let (begun, cpu) = (Instant::now(), cpu_time::ProcessTime::now());
    let uploading = devices.into_iter().map(|(client, connection, signed)| async move {
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
        drop(connection);
        client.close().await;
        done
    });
    let done: u64 = futures_util::future::join_all(uploading).await.into_iter().sum();
    (done as f64 * 60.0 / begun.elapsed().as_secs_f64(), cpu.elapsed().as_secs_f64() * 1e3 / done.max(1) as f64)
}

/// Owners that one connection uploads for in a round, four batches each.
const NEWCOMERS_EACH: usize = 60;

fn median(figures: &[f64]) -> f64 {
    let mut figures = figures.to_vec();
    figures.sort_unstable_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn main() {
    // `cargo bench` passes flags of its own.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (rounds, seconds) = (variable("WAXWING_ROUNDS", 5), variable("WAXWING_SECONDS", 2));
    let many = variable("WAXWING_ACCOUNTS", 50_000);
    runtime.block_on(async {
        let time = Duration::from_secs(seconds);
        let (listener, echo_address) = listen();
        tokio::spawn(async move { echo::serve(&listener, echo::Answer::First(12)).await });
        let stocked = place(500, 100, rounds * 4 * 60).await;
        let few = place(500, 1, 0).await;
        println!("made 500 accounts twice");
        let crowd = place(many, 1, 0).await;
        println!("made {many} accounts");
        let bytes = {
            let (_client, connection) = connect(&few.address).await;
            let fetch = FetchBundles::new(few.accounts[0], vec![]).unwrap();
            let Ok(KeyserverReply::Bundles(bundles)) = connection.request(KeyserverRequest::FetchBundles(fetch)).await
            else {
                panic!()
            };
            waxwing_wire::keyserver::Reply {
                id: waxwing_wire::relay::RequestId::new(1).unwrap(),
                result: Ok(KeyserverReply::Bundles(bundles)),
            }
            .encode()
            .unwrap()
            .len()
        };
        let mut rows: Vec<(&str, Vec<f64>)> = Vec::new();
        let mut note = |name: &'static str, figure: f64| match rows.iter_mut().find(|(known, _)| *known == name) {
            Some((_, figures)) => figures.push(figure),
            None => rows.push((name, vec![figure])),
        };
        for _ in 0..rounds {
            let (rate, _) = fetches(&stocked, IN_FLIGHT, time).await;
            let (last_resort, _) = fetches(&few, IN_FLIGHT, time).await;
            let bare = echoes(&echo_address, bytes, IN_FLIGHT, time).await;
            note("bundles of 3 devices a second", rate);
            note("the same without one-time keys left", last_resort);
            note("bare echo of as many bytes a second", bare);
            note("bundles / echo", rate / bare);
            note("last resort / echo", last_resort / bare);
            let (per_minute, cpu) = uploads(&stocked, time).await;
            note("uploads of 100 keys a minute", per_minute);
            note("processor time of an upload, ms, generator included", cpu);
            let p99 = |times: &[Duration]| times[times.len() * 99 / 100].as_secs_f64() * 1e6;
            let (_, with_few) = fetches(&few, 8, time).await;
            let (_, with_many) = fetches(&crowd, 8, time).await;
            note("p99 of 8 in flight with 500 accounts, µs", p99(&with_few));
            note("p99 of 8 in flight with many accounts, µs", p99(&with_many));
            note("p99 with many / with 500", p99(&with_many) / p99(&with_few));
        }
        println!("a bundle's frame has {bytes} bytes; medians of {rounds} rounds");
        for (name, figures) in rows {
            println!("{name:<56}{:>12.2}", median(&figures));
        }
    });
}
