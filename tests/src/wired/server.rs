//! A relay or a key server: the loop that operators run, over a memory store, at an address of the simulated network.
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use tokio::task::JoinHandle;
use waxwing_keyserver::{
    server::Surroundings,
    service::{Keyserver, Limits, Settings as KeyserverSettings},
    store::memory::MemoryStore as Accounts,
};
use waxwing_net::{Clock, Listener, ListenerConfig, Service, simulation::Network};
use waxwing_relay::{
    service::{Rates, Relay, Settings},
    store::{MemoryStore, Rules, Store as _},
};
use waxwing_wire::{address::ServerAddress, id::MailboxId, keys::ServerKey, pow::Difficulty};

/// A server whose process can end and begin anew with what it stored.
pub(super) struct Server {
    kind: Kind,
    key: ServerKey,
    at: SocketAddr,
    network: Network,
    clock: Clock,
    rng: ChaCha20Rng,
    running: Option<JoinHandle<()>>,
}

enum Kind {
    Relay(MemoryStore),
    /// What it keeps in memory outlives its connections.
    Keyserver(Arc<Keyserver<Accounts>>),
}

impl Server {
    pub(super) fn relay(at: IpAddr, network: &Network, clock: &Clock, rng: &mut ChaCha20Rng) -> Self {
        let key = ServerKey::generate(rng);
        Self::new(Kind::Relay(MemoryStore::new(Rules::default())), key, at, network, clock, rng)
    }

    pub(super) async fn keyserver(at: IpAddr, network: &Network, clock: &Clock, rng: &mut ChaCha20Rng) -> Self {
        let mut secret = [0; 32];
        rng.fill_bytes(&mut secret);
        let key = ServerKey::generate(rng);
        let admission = waxwing_keyserver::service::AdmissionSettings { open: true, ..Default::default() };
        let settings = KeyserverSettings { admission, limits: Limits::UNLIMITED, ..KeyserverSettings::default() };
        let keyserver = Keyserver::new(Accounts::new(secret), key.public_key(), settings).await;
        let kind = Kind::Keyserver(Arc::new(keyserver.expect("memory is there")));
        Self::new(kind, key, at, network, clock, rng)
    }

    fn new(kind: Kind, key: ServerKey, at: IpAddr, network: &Network, clock: &Clock, rng: &mut ChaCha20Rng) -> Self {
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        let rng = ChaCha20Rng::from_seed(seed);
        let at = SocketAddr::new(at, PORT);
        let mut server = Self { kind, key, at, network: network.clone(), clock: clock.clone(), rng, running: None };
        server.start();
        server
    }

    /// Where it is.
    pub(super) fn address(&self) -> ServerAddress {
        let host = self.at.to_string().parse().expect("a host");
        ServerAddress::new(self.key.public_key(), vec![host]).expect("one host")
    }

    pub(super) const fn machine(&self) -> IpAddr {
        self.at.ip()
    }

    /// Begins anew with what it stored.
    pub(super) fn start(&mut self) {
        if self.running.is_some() {
            return;
        }
        let service = match self.kind {
            Kind::Relay(_) => Service::Relay,
            Kind::Keyserver(_) => Service::Keyserver,
        };
        let socket = self.network.socket(self.at).expect("its process has ended");
        let config = ListenerConfig { clock: self.clock.clone(), ..ListenerConfig::new(service) };
        let listener = Listener::on(socket, &self.key, config).expect("a listener");
        let forever = std::future::pending();
        let clock = self.clock.clone();
        self.running = Some(match &self.kind {
            Kind::Relay(store) => {
                let strangers = Difficulty::try_from(4).expect("4 bits");
                let admission =
                    waxwing_relay::service::AdmissionSettings { open: true, strangers, ..Default::default() };
                let settings = Settings { admission, rates: Rates::UNLIMITED, ..Settings::default() };
                let now = waxwing_relay::service::Clock::new(move || clock.now());
                let relay = Relay::new(store.clone(), settings, now, &mut self.rng);
                tokio::spawn(async move {
                    waxwing_relay::server::serve(&listener, &relay, forever, PATIENCE).await;
                })
            }
            Kind::Keyserver(keyserver) => {
                let keyserver = Arc::clone(keyserver);
                tokio::spawn(async move {
                    let surroundings = Surroundings { clock, latencies: Arc::default() };
                    waxwing_keyserver::server::serve(&listener, &keyserver, &surroundings, forever, PATIENCE).await;
                })
            }
        });
    }

    /// Its process ends; nobody is told.
    pub(super) fn crash(&mut self) {
        if let Some(running) = self.running.take() {
            self.network.end(self.at.ip());
            running.abort();
        }
    }

    /// How many envelopes wait in a mailbox; none: it is not here.
    pub(super) async fn waiting(&self, mailbox: &MailboxId) -> Option<u32> {
        let Kind::Relay(store) = &self.kind else { return None };
        store.state(mailbox, self.clock.now()).await.ok().map(|state| state.envelopes)
    }
}

const PORT: u16 = 4_433;
const PATIENCE: Duration = Duration::from_secs(2);
