//! E7: SIGKILL under load, at random points, of one process and of two that share a database: no one-time key is handed out twice, no
//! accepted upload is lost.
//!
//! `WAXWING_KILLS=1000 cargo test --workspace --test it e7_one_time_keys` for more; a failure prints its seed.
use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use tokio::{sync::mpsc, task::JoinSet};
use waxwing_wire::{
    address::ServerAddress,
    keyserver::{DeviceRequest, KeyserverReply},
    manifest::Manifest,
};

use super::{
    people::{bound, client, connect, fetch, id_of, register, upload},
    server::{Process, Told},
    variable,
};
use crate::people::Person;

const UNLIMITED: &[(&str, &str)] = &[
    ("WAXWING_KEYSERVER_LIMITS_FETCH", "[1, 0.0]"),
    ("WAXWING_KEYSERVER_LIMITS_CHANGE", "[1, 0.0]"),
    ("WAXWING_KEYSERVER_LIMITS_UPLOAD", "[1, 0.0]"),
    ("WAXWING_KEYSERVER_LIMITS_ONE_TIME", "[1, 0.0]"),
    ("WAXWING_KEYSERVER_LIMITS_ONE_TIME_BY_SOURCE", "[1, 0.0]"),
];
const SHARED: &[(&str, &str)] =
    &[UNLIMITED[0], UNLIMITED[1], UNLIMITED[2], UNLIMITED[3], UNLIMITED[4], ("WAXWING_KEYSERVER_SHARED", "true")];
/// Fetches at once, of each process.
const FETCHERS: usize = 4;
/// One-time keys of each kind in an upload.
const BATCH: u32 = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e7_one_time_keys_are_handed_out_once_and_uploads_kept_through_sigkill() {
    run(1, UNLIMITED).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e7_one_time_keys_are_handed_out_once_by_two_processes_through_sigkill() {
    run(2, SHARED).await;
}

/// What happened, as the people know it. A one-time key is its kind and id.
enum Heard {
    Uploaded(u32),
    Handed(Key),
}

type Key = (&'static str, u32);

#[derive(Default)]
struct Known {
    accepted: BTreeSet<Key>,
    handed: BTreeSet<Key>,
    /// Handed to somebody whose answer the crash took.
    unheard: BTreeSet<Key>,
}

impl Known {
    fn hear(&mut self, heard: &Heard) {
        match *heard {
            Heard::Uploaded(first_id) => {
                let ids = first_id + 1..=first_id + BATCH;
                self.accepted.extend(ids.flat_map(|id| [("x25519", id), ("kyber", id)]));
            }
            Heard::Handed(key) => {
                assert!(self.handed.insert(key), "{key:?} was handed out twice");
                assert!(
                    !self.unheard.contains(&key),
                    "{key:?} was handed out twice, once to somebody who did not hear"
                );
            }
        }
    }

    /// Compares with what the server has after a crash; `in_flight` fetches had no answer.
    fn compare(&mut self, left: &BTreeSet<Key>, in_flight: usize) {
        let twice: Vec<_> = left.intersection(&self.handed).collect();
        assert!(twice.is_empty(), "handed out and still there: {twice:?}");
        let gone = self
            .accepted
            .iter()
            .filter(|key| !left.contains(key) && !self.handed.contains(key) && !self.unheard.contains(key));
        let gone: Vec<_> = gone.copied().collect();
        for kind in ["x25519", "kyber"] {
            let lost: Vec<_> = gone.iter().filter(|(of, _)| *of == kind).collect();
            assert!(lost.len() <= in_flight, "uploads were accepted and are gone: {lost:?}");
        }
        self.unheard.extend(gone);
    }
}

async fn run(processes: usize, variables: &'static [(&'static str, &'static str)]) {
    let (kills, seed) = (variable("WAXWING_KILLS", 50), variable("WAXWING_SEED", 1));
    println!("WAXWING_SEED={seed}");
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let (alice, next) = (Arc::new(Person::new(1)), Arc::new(AtomicU32::new(1)));
    let (mut known, mut manifest, mut slowest) = (Known::default(), None, Duration::ZERO);
    for kill in 0..=kills {
        let begun = Instant::now();
        let servers = start(folder.path(), processes, variables);
        slowest = slowest.max(begun.elapsed());
        let connection = connect(&client(), &servers[0].address).await;
        match &manifest {
            None => manifest = Some(register(&alice, &connection).await),
            Some(_) => known.compare(&left(&alice, &connection).await, FETCHERS * processes),
        }
        if kill == kills {
            break;
        }
        drop(connection);
        let enough = 1 + rng.next_u64() % 60;
        load_until(servers, &alice, manifest.as_ref().unwrap(), &next, (enough, &mut known)).await;
    }
    let Known { accepted, handed, unheard } = &known;
    let (accepted, handed, unheard) = (accepted.len(), handed.len(), unheard.len());
    println!(
        "{accepted} keys accepted, {handed} handed out, {unheard} unheard of, {kills} kills; slowest start {slowest:?}"
    );
    assert!(handed > 0 && accepted > 0);
}

fn start(folder: &Path, processes: usize, variables: &'static [(&'static str, &'static str)]) -> Vec<Process> {
    (0..processes).map(|_| Process::start_told(folder, Told { log: None, variables })).collect()
}

async fn left(alice: &Person, connection: &waxwing_net::KeyserverConnection) -> BTreeSet<Key> {
    match bound(alice, connection, &DeviceRequest::PrekeyIds, Vec::new()).await {
        Ok(KeyserverReply::PrekeyIds(ids)) => {
            let one_time = ids.one_time().iter().map(|id| ("x25519", *id));
            one_time.chain(ids.one_time_kyber().iter().map(|id| ("kyber", *id))).collect()
        }
        other => panic!("{other:?}"),
    }
}

/// Alice's device uploads and strangers fetch, at every process, until so much was heard; then all processes are killed.
async fn load_until(
    servers: Vec<Process>,
    alice: &Arc<Person>,
    manifest: &Manifest,
    next: &Arc<AtomicU32>,
    (enough, known): (u64, &mut Known),
) {
    let (heard, mut hearing) = mpsc::unbounded_channel();
    let mut people = JoinSet::new();
    for server in &servers {
        people.spawn(uploading(
            server.address.clone(),
            Arc::clone(alice),
            manifest.clone(),
            Arc::clone(next),
            heard.clone(),
        ));
        for _ in 0..FETCHERS {
            people.spawn(fetching(server.address.clone(), Arc::clone(alice), manifest.clone(), heard.clone()));
        }
    }
    drop(heard);
    for _ in 0..enough {
        known.hear(&hearing.recv().await.unwrap());
    }
    servers.into_iter().for_each(Process::kill);
    // Whoever waits for an answer waits in vain; what came before counts.
    people.abort_all();
    while let Some(heard) = hearing.recv().await {
        known.hear(&heard);
    }
}

async fn uploading(
    address: ServerAddress,
    alice: Arc<Person>,
    manifest: Manifest,
    next: Arc<AtomicU32>,
    heard: mpsc::UnboundedSender<Heard>,
) {
    let connection = connect(&client(), &address).await;
    loop {
        let first_id = next.fetch_add(BATCH + 1, Ordering::Relaxed);
        match upload(&alice, &manifest, &connection, (first_id, BATCH)).await {
            Ok(KeyserverReply::PrekeyState(_)) => drop(heard.send(Heard::Uploaded(first_id))),
            Ok(other) => panic!("{other:?}"),
            // Full; strangers make place.
            Err(waxwing_net::BoundError::Request(waxwing_net::RequestError::Server(error))) if error.code == FULL => {
                tokio::task::yield_now().await;
            }
            // Killed: whether it was accepted nobody knows.
            Err(_) => return,
        }
    }
}

const FULL: waxwing_wire::frame::ErrorCode = waxwing_wire::frame::ErrorCode::TooManyPrekeys;

async fn fetching(address: ServerAddress, alice: Arc<Person>, manifest: Manifest, heard: mpsc::UnboundedSender<Heard>) {
    let connection = connect(&client(), &address).await;
    loop {
        match fetch(alice.id(), &connection).await {
            Ok(bundle) => {
                if let Some(one_time) = &bundle.one_time {
                    let _ = heard.send(Heard::Handed(("x25519", id_of(one_time, &manifest))));
                }
                if !bundle.last_resort {
                    let _ = heard.send(Heard::Handed(("kyber", id_of(&bundle.kyber, &manifest))));
                }
            }
            // Before the first upload there is nothing to fetch.
            Err(waxwing_net::RequestError::Server(_)) => tokio::task::yield_now().await,
            Err(_) => return,
        }
    }
}
