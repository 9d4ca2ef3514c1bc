//! The simulated world over real QUIC: the drivers, relays and key server that people run, in one thread, on paused time, over a network that
//! loses, doubles, reorders and cuts.
//!
//! ```text
//! script ──command──▶ SimulatedClient: driver, engine ══QUIC══▶ Network: per datagram ══▶ serve(): relay, key server
//!                          │ saves                                                            │ memory stores
//!                          ▼                                                                  ▼
//!                         Disk ──────────────── judge: what is shown, which message keys sealed ────
//! ```
//! [`crate::world`] shakes the engine at the level of its inputs, and replays byte for byte. Here connections are shaken, and what is under
//! test is what stands between engine and wire. What befalls whom and when follows from the seed, and so does what happens to the n-th
//! datagram between two sockets; TLS and the runtime's choices have chance of their own, so that a seed replays the weather and not every byte.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "a test's world: whatever goes wrong in it is a finding, and is to be loud"
)]
mod agenda;
mod device;
mod script;
mod server;
mod verdict;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use tokio::time::Instant;
use waxwing_net::{Clock, simulation::Network};
use waxwing_wire::{id::AccountId, time::Timestamp};

use self::{agenda::Agenda, device::Device, server::Server};
use crate::world::{BEGINNING, DeviceIndex, PersonIndex, judge::Said};

pub use self::agenda::Trouble;

/// Everything.
pub struct Wired {
    network: Network,
    began: Instant,
    rng: ChaCha20Rng,
    relays: Vec<Server>,
    keyserver: Server,
    devices: Vec<Device>,
    people: Vec<Person>,
    said: Vec<Said>,
    agenda: Agenda,
    is_traced: bool,
    /// What befell whom, by its name.
    faults: BTreeMap<&'static str, u64>,
}

/// Somebody with an account.
struct Person {
    account: AccountId,
    devices: Vec<DeviceIndex>,
}

/// Lives through a world in a runtime of its own, whose time passes when nothing else is to be done.
pub fn live<T>(world: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(world)
}

impl Wired {
    /// Two relays and a key server, in fair weather. From within [`live`].
    pub async fn new(seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let network = Network::new(rng.next_u64());
        let began = Instant::now();
        let clock = clock(began, || 0);
        let relays = (1..=2).map(|number| Server::relay(machine(1, number), &network, &clock, &mut rng)).collect();
        let keyserver = Server::keyserver(machine(2, 1), &network, &clock, &mut rng).await;
        Self {
            network,
            began,
            rng,
            relays,
            keyserver,
            devices: Vec::new(),
            people: Vec::new(),
            said: Vec::new(),
            agenda: Agenda::default(),
            is_traced: std::env::var_os("WAXWING_TRACE").is_some(),
            faults: BTreeMap::new(),
        }
    }

    /// The network, whose faults are the weather.
    #[must_use]
    pub const fn network(&self) -> &Network {
        &self.network
    }

    /// What happened so far, by its name.
    #[must_use]
    pub fn faults(&self) -> BTreeMap<&'static str, u64> {
        let tally = self.network.tally();
        let refused = self.devices.iter().map(|device| device.disk.refused()).sum();
        let counted =
            [("lost", tally.lost), ("doubled", tally.doubled), ("cut", tally.closed), ("save refused", refused)];
        let counted = counted.into_iter().filter(|(_, count)| *count > 0);
        self.faults.clone().into_iter().chain(counted).collect()
    }

    fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    fn fault(&mut self, name: &'static str) {
        self.trace(name);
        *self.faults.entry(name).or_default() += 1;
    }

    fn trace(&self, what: &str) {
        if self.is_traced {
            eprintln!("{:>9} {what}", self.elapsed().as_millis());
        }
    }

    fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.rng.next_u64() % (most - least + 1)
    }

    fn one_of(&mut self, count: usize) -> usize {
        usize::try_from(self.between(1, u64::try_from(count).expect("a world is small"))).expect("small") - 1
    }

    fn fork_rng(&mut self) -> ChaCha20Rng {
        let mut seed = [0; 32];
        self.rng.fill_bytes(&mut seed);
        ChaCha20Rng::from_seed(seed)
    }

    /// Which device of somebody.
    #[must_use]
    pub fn device(&self, person: PersonIndex, number: usize) -> DeviceIndex {
        self.people[person.0].devices[number]
    }
}

impl std::fmt::Debug for Wired {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wired")
            .field("elapsed", &self.elapsed())
            .field("devices", &self.devices.len())
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}

/// The world's time, as somebody's clock shows it that is so many milliseconds ahead.
fn clock(began: Instant, ahead: impl Fn() -> i64 + Send + Sync + 'static) -> Clock {
    Clock::new(move || {
        let time = BEGINNING.saturating_add(began.elapsed());
        Timestamp(time.0.saturating_add_signed(ahead()))
    })
}

/// Addresses by kind: 1 relays, 2 key server, 3 devices.
fn machine(kind: u8, number: usize) -> IpAddr {
    Ipv4Addr::new(10, kind, 0, u8::try_from(number).expect("a world is small")).into()
}
