//! What a key server does over QUIC on loopback, beside a bare echo with the same provider and frames, interleaved in one run.
//!
//! `cargo bench --workspace --bench keyserver`; `WAXWING_ROUNDS` (5), `WAXWING_SECONDS` of uploads (2), `WAXWING_ACCOUNTS` (the many;
//! 50,000), `WAXWING_COPY` (where to leave their database). `WAXWING_PART` (`one-time`, `last-resort` or `echo`) does nothing else, for
//! profiles; `WAXWING_APART=1` gives servers threads of their own. Figures are the machine's, generator included: ratios carry over
//! (keyserver/BENCHMARKS.md).
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
    path::PathBuf,
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
/// A connection may have 64 requests without an answer (spec §19.1.3): four of them, each full.
const BUSY: Load = Load { connections: 4, in_flight: 64 };
const CALM: Load = Load { connections: 1, in_flight: 8 };
/// Accounts whose keys fetches are measured with. Each of their devices has as many one-time keys as all rounds take from it.
const STOCKED: u64 = 500;
/// Fetches of a round.
const FETCHES: u64 = 9_000;
/// Fetches whose times are looked at, of a round.
const TIMED: u64 = 2_000;

/// How many ask at once.
#[derive(Clone, Copy)]
struct Load {
    connections: usize,
    in_flight: usize,
}

/// What a round asks for, and what every answer has to hold.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Expect {
    OneTime,
    LastResort,
}

fn variable(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

/// A server in this process, over a database with so many accounts of three devices, each with so many one-time keys.
struct Place {
    address: ServerAddress,
    accounts: Vec<AccountId>,
    /// How many fetches there were: each takes the next account, so that all are asked for equally often.
    walked: AtomicU64,
    /// Owners whose devices have no one-time keys yet, and how many of them have been used.
    owners: Vec<(Person, Manifest)>,
    used: AtomicUsize,
    file: PathBuf,
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

/// Where servers run: with the generator, or, so that a profile and the clocks of threads tell them apart, on threads of their own.
struct Serving(Option<tokio::runtime::Runtime>);

impl Serving {
    fn new(apart: bool) -> Self {
        let threads = || {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(2).thread_name(SERVING).enable_all().build().unwrap()
        };
        Self(apart.then(threads))
    }

    /// What `work` spawns runs there; it itself runs here.
    async fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let _entered = self.0.as_ref().map(tokio::runtime::Runtime::enter);
        work.await
    }
}

/// Processor time of the server's threads so far, SQLite's among them, in seconds.
fn served() -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let nanoseconds = threads.filter_map(|thread| {
        let name = std::fs::read_to_string(thread.path().join("comm")).ok()?;
        let serves = name.trim_end() == SERVING || name.starts_with("sqlx-sqlite") || name.starts_with("sqlite-");
        let clock = std::fs::read_to_string(thread.path().join("schedstat")).ok().filter(|_| serves)?;
        clock.split_whitespace().next()?.parse::<u64>().ok()
    });
    nanoseconds.sum::<u64>() as f64 / 1e9
}

const SERVING: &str = "serving";

async fn place(accounts: u64, one_time: u32, newcomers: u64) -> Place {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let file = folder.path().join("keys.db");
    let store = Arc::new(SqliteStore::open(&file).await.unwrap());
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
    Place {
        address,
        accounts: ids,
        walked: AtomicU64::new(0),
        owners,
        used: AtomicUsize::new(0),
        file,
        _folder: folder,
    }
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
async fn fetches(place: &Arc<Place>, load: Load, count: u64, expect: Expect) -> (f64, Vec<Duration>) {
    let mut connections = Vec::new();
    for _ in 0..load.connections {
        connections.push(connect(&place.address).await);
    }
    let begun = Instant::now();
    let each = count / load.connections as u64;
    let asking = connections.into_iter().map(|(client, connection)| {
        let place = Arc::clone(place);
        tokio::spawn(async move {
            let (mut left, mut open, mut times) = (each, FuturesUnordered::new(), Vec::new());
            loop {
                while left > 0 && open.len() < load.in_flight {
                    left -= 1;
                    // A step that has no divisor in common with any number of accounts here.
                    let at = place.walked.fetch_add(1, Relaxed).wrapping_mul(7_919) % place.accounts.len() as u64;
                    let fetch = FetchBundles::new(place.accounts[at as usize], vec![]).unwrap();
                    let (sent, pending) =
                        (Instant::now(), connection.submit(KeyserverRequest::FetchBundles(fetch)).await.unwrap());
                    open.push(async move { (pending.await, sent.elapsed()) });
                }
                let Some((reply, took)) = open.next().await else { break };
                let Ok(KeyserverReply::Bundles(bundles)) = reply else { panic!("{reply:?}") };
                assert_eq!(bundles.bundles.len(), DEVICES as usize);
                let last_resort = expect == Expect::LastResort;
                assert!(bundles.bundles.iter().all(|bundle| bundle.last_resort == last_resort));
                times.push(took);
            }
            drop(connection);
            client.close().await;
            times
        })
    });
    let mut times = Vec::new();
    for asked in asking.collect::<Vec<_>>() {
        times.extend(asked.await.unwrap());
    }
    let rate = times.len() as f64 / begun.elapsed().as_secs_f64();
    times.sort_unstable();
    (rate, times)
}

/// Frames a second of a bundle's size, answered with few bytes.
async fn echoes(address: &ServerAddress, bytes: usize, load: Load, count: u64) -> f64 {
    let mut streams = Vec::new();
    for _ in 0..load.connections {
        let client = Client::new(ClientConfig::default()).unwrap();
        let connection = client.connect(address, Service::Keyserver, Trust::Configured).await.unwrap();
        let stream = connection.control().await.unwrap();
        streams.push((client, connection, stream));
    }
    let (begun, each) = (Instant::now(), count / load.connections as u64);
    let asking = streams.into_iter().map(|(client, connection, stream)| {
        tokio::spawn(async move {
            let FramedStream { mut reader, sender } = stream;
            let (payload, mut left, mut open) = (vec![7; bytes], each, 0);
            loop {
                while left > 0 && open < load.in_flight {
                    sender.send(&payload).await.unwrap();
                    left -= 1;
                    open += 1;
                }
                if open == 0 {
                    break;
                }
                let mut batch = reader.read().await.unwrap().unwrap();
                while batch.next().unwrap().is_some() {
                    open -= 1;
                }
            }
            drop(connection);
            client.close().await;
        })
    });
    for asked in asking.collect::<Vec<_>>() {
        asked.await.unwrap();
    }
    (each * load.connections as u64) as f64 / begun.elapsed().as_secs_f64()
}

/// What `work` comes to, and the processor time of each of its `count` parts in µs: the whole process, generator included.
/// What other processes take meanwhile is not in it.
async fn timed<T>(count: u64, work: impl Future<Output = T>) -> (T, f64) {
    let cpu = cpu_time::ProcessTime::now();
    let done = work.await;
    (done, cpu.elapsed().as_secs_f64() * 1e6 / count as f64)
}

/// Uploads of 100 keys (49 of each one-time kind, a signed one and a last resort) a minute, each on stable storage before its device
/// sends the next, four devices at once; and processor time of each.
async fn uploads(place: &Place, time: Duration) -> (f64, f64) {
    let mut devices = Vec::new();
    for _ in 0..4 {
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
        devices.push(signed.collect::<Vec<_>>());
    }
    let mut connected = Vec::new();
    for signed in devices {
        let (client, connection) = connect(&place.address).await;
        connected.push((client, connection, signed));
    }
    let (begun, cpu) = (Instant::now(), cpu_time::ProcessTime::now());
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
        drop(connection);
        client.close().await;
        done
    });
    let done: u64 = futures_util::future::join_all(uploading).await.into_iter().sum();
    (done as f64 * 60.0 / begun.elapsed().as_secs_f64(), cpu.elapsed().as_secs_f64() * 1e3 / done.max(1) as f64)
}

/// One part alone, round after round: for a profile, and for what of it is the server's.
async fn one_part(part: &str, rounds: u64, stocked: &Arc<Place>, few: &Arc<Place>, echo: (&ServerAddress, usize)) {
    println!("begins");
    for _ in 0..rounds {
        let (begun, before) = (Instant::now(), served());
        let (count, work): (u64, futures_util::future::BoxFuture<'_, ()>) = match part {
            "one-time" => (FETCHES, Box::pin(async { drop(fetches(stocked, BUSY, FETCHES, Expect::OneTime).await) })),
            "last-resort" => (FETCHES, Box::pin(async { drop(fetches(few, BUSY, FETCHES, Expect::LastResort).await) })),
            "echo" => (
                3 * FETCHES,
                Box::pin(async {
                    let _ = echoes(echo.0, echo.1, BUSY, 3 * FETCHES).await;
                }),
            ),
            _ => panic!("one-time, last-resort or echo"),
        };
        let ((), all) = timed(count, work).await;
        let (took, server) = (begun.elapsed().as_secs_f64(), (served() - before) * 1e6 / count as f64);
        println!(
            "{part}: {:.0} a second, {all:.0} µs of processor time each, {server:.0} µs of it on the server's own threads",
            count as f64 / took
        );
    }
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
    let part = std::env::var("WAXWING_PART").ok();
    let serving = Serving::new(variable("WAXWING_APART", 0) == 1);
    runtime.block_on(async {
        let time = Duration::from_secs(seconds);
        let echo_address = serving.run(async {
            let (listener, address) = listen();
            tokio::spawn(async move { echo::serve(&listener, echo::Answer::First(12)).await });
            address
        });
        let echo_address = echo_address.await;
        let rounds_that_take = if part.as_deref().is_some_and(|part| part != "one-time") { 0 } else { rounds };
        let stock = u32::try_from((rounds_that_take * (FETCHES + TIMED)).div_ceil(STOCKED)).unwrap();
        assert!(stock <= 200, "no device may have keys for so many rounds");
        let begun = Instant::now();
        let newcomers = if part.is_some() { 0 } else { rounds * 4 * 60 };
        let stocked = Arc::new(serving.run(place(STOCKED, stock, newcomers)).await);
        let few = Arc::new(serving.run(place(500, 0, 0)).await);
        println!("made 500 accounts twice in {:.0?}", begun.elapsed());
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
        if let Some(part) = part {
            return one_part(&part, rounds, &stocked, &few, (&echo_address, bytes)).await;
        }
        let crowd = Arc::new(serving.run(place(many, 1, 0)).await);
        println!("made {many} accounts in all in {:.0?}", begun.elapsed());
        let mut rows: Vec<(&str, Vec<f64>)> = Vec::new();
        let mut note = |name: &'static str, figure: f64| match rows.iter_mut().find(|(known, _)| *known == name) {
            Some((_, figures)) => figures.push(figure),
            None => rows.push((name, vec![figure])),
        };
        for _ in 0..rounds {
            let ((rate, _), fetch) = timed(FETCHES, fetches(&stocked, BUSY, FETCHES, Expect::OneTime)).await;
            let ((last_resort, _), look) = timed(FETCHES, fetches(&few, BUSY, FETCHES, Expect::LastResort)).await;
            let (bare, echo) = timed(3 * FETCHES, echoes(&echo_address, bytes, BUSY, 3 * FETCHES)).await;
            note("processor time of a fetch with one-time keys, µs", fetch);
            note("processor time of one without, µs", look);
            note("processor time of an echo, µs", echo);
            note("echo / fetch by processor time", echo / fetch);
            note("echo / last resort by processor time", echo / look);
            note("bundles of 3 devices a second", rate);
            note("the same without one-time keys left", last_resort);
            note("bare echo of as many bytes a second", bare);
            note("bundles / echo", rate / bare);
            note("last resort / echo", last_resort / bare);
            let (per_minute, cpu) = uploads(&stocked, time).await;
            note("uploads of 100 keys a minute", per_minute);
            note("processor time of an upload, ms, generator included", cpu);
            note("uploads a minute of processor time", 60_000.0 / cpu);
            let at = |times: &[Duration], percent: usize| times[times.len() * percent / 100].as_secs_f64() * 1e6;
            let (_, with_few) = fetches(&stocked, CALM, TIMED, Expect::OneTime).await;
            let (_, with_many) = fetches(&crowd, CALM, TIMED, Expect::OneTime).await;
            note("p50 of 8 in flight with 500 accounts, µs", at(&with_few, 50));
            note("p50 of 8 in flight with many accounts, µs", at(&with_many, 50));
            note("p99 of 8 in flight with 500 accounts, µs", at(&with_few, 99));
            note("p99 of 8 in flight with many accounts, µs", at(&with_many, 99));
            note("p99 with many / with 500", at(&with_many, 99) / at(&with_few, 99));
        }
        println!("{many} accounts take {} bytes", std::fs::metadata(&crowd.file).unwrap().len());
        if let Ok(copy) = std::env::var("WAXWING_COPY") {
            // To look at with other tools: what is still in the log is not in it.
            std::fs::copy(&crowd.file, copy).unwrap();
        }
        println!("a bundle's frame has {bytes} bytes; medians of {rounds} rounds");
        for (name, figures) in rows {
            println!("{name:<56}{:>12.2}", median(&figures));
        }
    });
}
