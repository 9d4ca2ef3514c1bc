//! Servers with accounts, in this process.
use std::{
    net::Ipv4Addr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tempfile::TempDir;
use waxwing_keyserver::{
    server::{self, Surroundings},
    service::{Keyserver, Limits, Settings},
    store::{NewManifest, Store, sqlite::SqliteStore},
};
use waxwing_net::{Limits as Peers, Listener, ListenerConfig, Service};
use waxwing_wire::{address::ServerAddress, id::AccountId, keys::ServerKey, manifest::Manifest};

use super::{
    machine::SERVING,
    people::{NOW, Person},
};

pub(super) const DEVICES: u32 = 3;

/// A server over a database with so many accounts of three devices, each with so many one-time keys.
pub(super) struct Place {
    pub(super) address: ServerAddress,
    pub(super) accounts: Vec<AccountId>,
    /// How many fetches there were: each takes the next account, so that all are asked for equally often.
    walked: AtomicU64,
    /// Owners whose devices have no one-time keys yet, and how many of them have been used.
    owners: Vec<(Person, Manifest)>,
    used: AtomicUsize,
    pub(super) file: PathBuf,
    _folder: TempDir,
}

/// What a database is made with.
#[derive(Clone, Copy)]
pub(super) struct Stock {
    pub(super) accounts: u64,
    pub(super) one_time: u32,
    /// Accounts besides, for uploads.
    pub(super) newcomers: u64,
}

impl Place {
    pub(super) async fn open(stock: Stock) -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let file = folder.path().join("keys.db");
        stock.bring(&file).await;
        let store = SqliteStore::open(&file).await.unwrap();
        let (listener, address) = listen();
        let mut settings = Settings { limits: Limits::UNLIMITED, ..Settings::default() };
        settings.admission.open = true;
        let keyserver = Keyserver::new(store, *listener.key(), settings).await.unwrap();
        // The people are of a day in 2027; so is the clock.
        let surroundings = Surroundings { clock: waxwing_net::Clock::new(|| NOW), ..Surroundings::system() };
        tokio::spawn(async move {
            server::serve(&listener, &keyserver, &surroundings, std::future::pending(), Duration::ZERO).await;
        });
        let owners = stock.owners().map(Person::new).map(|person| {
            let manifest = manifest(&person);
            (person, manifest)
        });
        Self {
            address,
            accounts: (0..stock.accounts).map(|seed| Person::new(seed).id()).collect(),
            walked: AtomicU64::new(0),
            owners: owners.collect(),
            used: AtomicUsize::new(0),
            file,
            _folder: folder,
        }
    }

    pub(super) fn next_account(&self) -> AccountId {
        // A step that has no divisor in common with any number of accounts here.
        let at = self.walked.fetch_add(1, Relaxed).wrapping_mul(7_919) % self.accounts.len() as u64;
        self.accounts[at as usize]
    }

    pub(super) fn next_owners(&self, count: usize) -> &[(Person, Manifest)] {
        let first = self.used.fetch_add(count, Relaxed);
        self.owners.get(first..first + count).expect("enough newcomers for all rounds")
    }
}

impl Stock {
    fn owners(self) -> impl Iterator<Item = u64> {
        (1 << 40)..(1 << 40) + self.newcomers
    }

    /// Makes the file, or copies one that was kept.
    async fn bring(self, file: &std::path::Path) {
        let Self { accounts, one_time, newcomers } = self;
        let kept = std::env::var_os("WAXWING_KEEP").map(PathBuf::from);
        let kept = kept.map(|folder| folder.join(format!("{accounts}-{one_time}-{newcomers}.db")));
        if let Some(kept) = kept.as_ref().filter(|kept| kept.exists()) {
            std::fs::copy(kept, file).unwrap();
            return;
        }
        self.make(file).await;
        if let Some(kept) = kept {
            std::fs::copy(file, kept).unwrap();
        }
    }

    async fn make(self, file: &std::path::Path) {
        let store = Arc::new(SqliteStore::open(file).await.unwrap());
        let seeds: Vec<_> =
            (0..self.accounts).map(|seed| (seed, self.one_time)).chain(self.owners().map(|seed| (seed, 0))).collect();
        for some in seeds.chunks(256) {
            let making = some.iter().map(|(seed, one_time)| {
                let (store, seed, one_time) = (Arc::clone(&store), *seed, *one_time);
                tokio::spawn(async move { make(&store, seed, one_time).await })
            });
            for made in making.collect::<Vec<_>>() {
                made.await.unwrap();
            }
        }
        Arc::into_inner(store).unwrap().close().await;
        // The file is to have everything, and the log nothing.
        let database = rusqlite::Connection::open(file).unwrap();
        database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    }
}

pub(super) fn listen() -> (Arc<Listener>, ServerAddress) {
    let limits = Peers { connections_per_source: usize::MAX, ..Peers::default() };
    let config = ListenerConfig { limits, ..ListenerConfig::new(Service::Keyserver) };
    let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0).into(), &ServerKey::from_seed(&[1; 32]), config).unwrap();
    let host = listener.local_address().to_string().parse().unwrap();
    let address = ServerAddress::new(*listener.key(), vec![host]).unwrap();
    (Arc::new(listener), address)
}

/// Where servers run: with the generator, or, so that a profile and the clocks of threads tell them apart, on threads of their own.
pub(super) struct Serving(Option<tokio::runtime::Runtime>);

impl Serving {
    pub(super) fn new(apart: bool) -> Self {
        let threads = || {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(2).thread_name(SERVING).enable_all().build().unwrap()
        };
        Self(apart.then(threads))
    }

    /// What `work` spawns runs there; it itself runs here.
    pub(super) async fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let _entered = self.0.as_ref().map(tokio::runtime::Runtime::enter);
        work.await
    }
}

fn manifest(person: &Person) -> Manifest {
    (1..DEVICES).fold(person.first(0), |manifest, _| person.with_device(&manifest))
}

async fn make(store: &SqliteStore, seed: u64, one_time: u32) {
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
}
