//! A simulated world: clients with several devices, relays and a key server, in one thread, on virtual time, from one seed.
//!
//! ```text
//! script ──command──▶ device: engine + store ──requests──▶ network: delays, breaks, partitions ──▶ relay, key server: their services
//!                        ▲                                      │
//!                        └────────── replies, pushes ───────────┘            observer: what travelled      judge: what was shown
//! ```
//! The services are the real ones over their memory stores; so are the engines. Only time, chance and the network are the world's, and all of
//! them follow from the seed: the same seed is the same world, byte for byte.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::needless_pass_by_value,
    clippy::panic,
    reason = "a test's world: whatever goes wrong in it is a finding, and is to be loud"
)]
mod device;
mod events;
mod evil;
mod executor;
mod faults;
pub(crate) mod judge;
mod keyserver;
mod network;
mod observer;
mod relay;
mod script;
mod trouble;
mod weather;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng as _};
use waxwing_relay::ledger::Quota;
use waxwing_wire::{
    content::MessageId,
    id::{AccountId, MailboxId},
    time::Timestamp,
};

use self::{
    device::Device, judge::Said, keyserver::KeyserverHost, network::Network, observer::Observer, relay::RelayHost,
};
use zeroize::Zeroizing;

pub use self::{
    device::{DeviceIndex, PersonIndex, Told},
    evil::{Evil, EvilKeyserver, EvilRelay, Planted},
    judge::Verdict,
    observer::{Delivered, Observed, What},
    relay::Backup,
    trouble::Trouble,
    weather::Weather,
};

/// When worlds begin.
pub const BEGINNING: Timestamp = Timestamp(1_800_000_000_000);

/// Everything.
pub struct World {
    now: Arc<AtomicU64>,
    rng: ChaCha20Rng,
    /// Weather at the moment.
    pub weather: Weather,
    network: Network,
    relays: Vec<RelayHost>,
    keyservers: Vec<KeyserverHost>,
    devices: Vec<Device>,
    people: Vec<Person>,
    observer: Observer,
    said: Vec<Said>,
    next_id: u64,
    /// Everything that goes into and comes out of engines is printed, and what goes wrong: `WAXWING_TRACE`.
    is_traced: bool,
    /// Relays are honest if there is none.
    pub evil_relay: Option<EvilRelay>,
    /// Key servers are honest if there is none.
    pub evil_keyserver: Option<EvilKeyserver>,
    /// A bug in everybody's program, to see whether it is found.
    pub planted: Option<Planted>,
    /// Every envelope that a relay was handed, with the mailbox it is for, if a test wants them.
    pub recorded: Option<Vec<(MailboxId, Vec<u8>)>>,
    /// The number of the last delivery that a test made up.
    injected: u64,
    /// Envelopes of devices that are off.
    unwatched: BTreeMap<[u8; 32], (MailboxId, Vec<u8>)>,
    /// How many crashes, broken connections and so on there were: a test of bad weather says that there was some.
    pub faults: BTreeMap<&'static str, u64>,
}

/// Somebody with an account.
struct Person {
    account: AccountId,
    devices: Vec<DeviceIndex>,
    words: Zeroizing<String>,
}

impl World {
    /// A world with so many relays and one key server.
    #[must_use]
    pub fn new(seed: u64, relays: usize) -> Self {
        Self::with_mailboxes(seed, relays, Quota::default())
    }

    /// The same with mailboxes of another size.
    #[must_use]
    pub fn with_mailboxes(seed: u64, relays: usize, quota: Quota) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let now = Arc::new(AtomicU64::new(BEGINNING.0));
        let relays = (0..relays).map(|index| RelayHost::new(index, quota, &now, &mut rng)).collect();
        let keyservers = vec![KeyserverHost::new(&mut rng)];
        Self {
            now,
            rng,
            weather: Weather::calm(),
            network: Network::default(),
            relays,
            keyservers,
            devices: Vec::new(),
            people: Vec::new(),
            observer: Observer::default(),
            said: Vec::new(),
            next_id: 1,
            is_traced: std::env::var_os("WAXWING_TRACE").is_some(),
            recorded: None,
            injected: 1 << 40,
            evil_relay: None,
            evil_keyserver: None,
            planted: None,
            unwatched: BTreeMap::new(),
            faults: BTreeMap::new(),
        }
    }

    /// The time there.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::Relaxed))
    }

    /// What travelled so far.
    #[must_use]
    pub fn observed(&self) -> &[Observed] {
        &self.observer.all
    }

    /// What relays delivered so far.
    #[must_use]
    pub fn delivered(&self) -> &[Delivered] {
        &self.observer.delivered
    }

    /// Forgets what travelled so far.
    pub fn forget_observed(&mut self) {
        self.observer.delivered.clear();
        self.observer.all.clear();
    }

    /// A hash of everything that travelled: equal for two runs of one seed.
    #[must_use]
    pub fn trace(&self) -> [u8; 32] {
        self.observer.trace()
    }

    fn print(&self, device: DeviceIndex, direction: &str, what: &dyn std::fmt::Debug) {
        if self.is_traced {
            let mut text = format!("{what:?}");
            text.truncate(text.floor_char_boundary(3_000));
            let time = self.now().0 - BEGINNING.0;
            eprintln!("{time:>9} device {} {direction} {text}", device.0);
        }
    }

    fn fault(&mut self, name: &'static str) {
        if self.is_traced {
            eprintln!("{:>9} {name}", self.now().0 - BEGINNING.0);
        }
        let count = self.faults.entry(name).or_default();
        *count = count.saturating_add(1);
    }

    pub(super) fn message_id(&mut self) -> MessageId {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.next_id.to_be_bytes());
        self.next_id += 1;
        MessageId::from_bytes(id)
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World")
            .field("now", &self.now())
            .field("devices", &self.devices.len())
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}

/// The seeds of a test: `WAXWING_SEED` alone, or `WAXWING_SEEDS` from `WAXWING_FIRST`.
#[must_use]
pub fn seeds(default: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    match number("WAXWING_SEED") {
        Some(seed) => seed..seed + 1,
        None => {
            let first = number("WAXWING_FIRST").unwrap_or(1);
            first..first + number("WAXWING_SEEDS").unwrap_or(default)
        }
    }
}

/// Runs a test for each of its seeds. Says how to replay one that fails.
pub fn for_each_seed(name: &str, default: u64, mut run: impl FnMut(u64)) {
    for seed in seeds(default) {
        let replay = Replay { name, seed };
        run(seed);
        std::mem::forget(replay);
    }
}

struct Replay<'n> {
    name: &'n str,
    seed: u64,
}

impl Drop for Replay<'_> {
    fn drop(&mut self) {
        eprintln!("to replay: WAXWING_SEED={} cargo test --workspace --test world -- {}", self.seed, self.name);
    }
}
