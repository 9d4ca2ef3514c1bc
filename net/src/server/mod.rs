//! The side that accepts. Implements spec/18-transport.md §18.4, §18.5 and §18.8.
//!
//! ```text
//! datagram ─▶ Incoming ─▶ retry? refuse? ─▶ handshake (deadline) ─▶ Connection ─▶ accept()
//! ```
//! Invariants: a source has bounded connections and begins them at a bounded rate, and everybody together bounded handshakes; under load an address proves itself
//! before anything is spent on it; nothing about a peer is logged.
use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use quinn::{Endpoint, Incoming};
use tokio::{
    sync::{Mutex, mpsc, watch},
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};
use waxwing_wire::{
    frame::ErrorCode,
    keys::{ServerKey, ServerPublicKey},
};

use crate::{
    BindError, Clock, CloseCode, LeafNumber, Service, Socket,
    leaf::Leaves,
    source::Sources,
    stream::{Deadlines, Link},
    tls, transport,
};

mod connection;
mod counts;
mod pace;
mod places;

pub use connection::{Accepted, Connection, ConnectionHandle};
pub(crate) use counts::Counters;
pub use counts::Counts;
pub use pace::Pace;
use pace::Paces;
pub(crate) use places::Place;
use places::Places;

/// Accepts connections on one socket for one service.
#[derive(Debug)]
pub struct Listener {
    shared: Arc<Shared>,
    accepted: Mutex<mpsc::Receiver<Connection>>,
    /// Ends with the listener.
    _tasks: JoinSet<()>,
}

/// How a server is set up.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// What is served.
    pub service: Service,
    /// Dates of certificates.
    pub clock: Clock,
    /// What peers may do.
    pub limits: Limits,
}

impl ListenerConfig {
    /// The system's clock and usual limits.
    #[must_use]
    pub fn new(service: Service) -> Self {
        Self { service, clock: Clock::system(), limits: Limits::default() }
    }
}

/// What peers may do (spec §18.5). The defaults suit a server of some ten thousand connections.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Connections in all: 100,000.
    pub connections: usize,
    /// Connections of one [`crate::Source`]: 1,024 (many people share an IPv4 address).
    pub connections_per_source: usize,
    /// Connections that one source begins: 1,024 at once, as many as it may have, and 10 a second.
    pub handshakes_per_source: Pace,
    /// Handshakes at once: 1,024.
    pub handshakes: usize,
    /// When an address must prove itself first.
    pub retry: Retry,
    /// From the first packet to the end of the handshake: 10 s.
    pub handshake: Duration,
    /// Until the first stream, until a stream says what it is, and until its first frame is whole, each: 10 s.
    pub first: Duration,
    /// For a frame that has begun: 120 s.
    pub frame: Duration,
    /// For the next bytes of a blob's chunk: 30 s.
    pub stall: Duration,
    /// Bytes of frames that may wait to be sent on one stream: 131,072.
    pub queue: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 100_000,
            connections_per_source: 1_024,
            handshakes_per_source: Pace { burst: 1_024, interval: Duration::from_millis(100) },
            handshakes: 1_024,
            retry: Retry::Above(64),
            handshake: Duration::from_secs(10),
            first: Duration::from_secs(10),
            frame: Duration::from_secs(120),
            stall: Duration::from_secs(30),
            queue: 128 * 1_024,
        }
    }
}

/// When an address must prove itself by a round trip (QUIC's Retry) before anything is spent on it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Retry {
    /// While more handshakes than this are going on.
    Above(usize),
    /// Always.
    Always,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Drained {
    /// Every connection was gone in time.
    Clean,
    /// So many were closed by the deadline, with `Draining`.
    Forced(usize),
}

impl Listener {
    /// Listens at `address` (port 0: the system chooses) under `key`. From within a tokio runtime.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn bind(address: SocketAddr, key: &ServerKey, config: ListenerConfig) -> Result<Self, BindError> {
        Self::on(Socket::bind(address)?, key, config)
    }

    /// Listens on a socket that is there.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn on(socket: Socket, key: &ServerKey, config: ListenerConfig) -> Result<Self, BindError> {
        let leaves = Arc::new(Leaves::new(key, config.clock.clone()).map_err(|_| BindError::Tls)?);
        let endpoint = socket.serve(quic_config(&leaves, &config)?)?;
        let local = endpoint.local_addr()?;
        let (draining, _) = watch::channel(false);
        let paces = Paces::new(config.limits.handshakes_per_source);
        let shared = Arc::new(Shared {
            endpoint,
            local,
            key: key.public_key(),
            leaves,
            config,
            sources: Sources::default(),
            places: Places::default(),
            paces,
            counters: Arc::default(),
            draining,
        });
        let (sender, receiver) = mpsc::channel(BACKLOG);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept_all(Arc::clone(&shared), sender));
        tasks.spawn(renew_leaves(Arc::clone(&shared)));
        Ok(Self { shared, accepted: Mutex::new(receiver), _tasks: tasks })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.shared.local
    }

    /// The key that addresses pin.
    #[must_use]
    pub fn key(&self) -> &ServerPublicKey {
        &self.shared.key
    }

    /// The number of the leaf that new connections are shown.
    #[must_use]
    pub fn leaf(&self) -> LeafNumber {
        self.shared.leaves.number()
    }

    /// The next connection, its handshake done. None once a drain has begun. Cancel-safe, and callable from several tasks.
    pub async fn accept(&self) -> Option<Connection> {
        let mut draining = self.shared.draining.subscribe();
        tokio::select! {
            biased;
            // The sender lives in `shared`.
            _ = draining.wait_for(|draining| *draining) => None,
            connection = async { self.accepted.lock().await.recv().await } => connection,
        }
    }

    /// What happened so far, and what is open now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.counters.read(self.shared.places.total())
    }

    /// Turns new connections away and tells those that stand ([`ConnectionHandle::draining`]). [`Self::accept`] gives none any
    /// more. May be called again.
    pub fn begin_drain(&self) {
        self.shared.draining.send_replace(true);
    }

    /// [`Self::begin_drain`], then waits until every connection is gone, at most for `deadline`; then closes the rest with
    /// `Draining` and gives the closes a moment to leave.
    pub async fn drain(&self, deadline: Duration) -> Drained {
        self.begin_drain();
        let endpoint = &self.shared.endpoint;
        let clean = timeout(deadline, endpoint.wait_idle()).await.is_ok();
        let left = endpoint.open_connections();
        endpoint.close(CloseCode::from(ErrorCode::Draining).to_quic(), &[]);
        if clean {
            return Drained::Clean;
        }
        // A close is repeated while its peer keeps sending; whoever is gone would make this wait for nothing.
        let _ = timeout(LAST_WORDS, endpoint.wait_idle()).await;
        Drained::Forced(left)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Connections that were handed out hold the endpoint; without its listener nobody would end them.
        self.shared.endpoint.close(CloseCode::from(ErrorCode::Draining).to_quic(), &[]);
    }
}

/// What the accepting task and its handshakes share.
struct Shared {
    endpoint: Endpoint,
    local: SocketAddr,
    key: ServerPublicKey,
    leaves: Arc<Leaves>,
    config: ListenerConfig,
    sources: Sources,
    places: Places,
    paces: Paces,
    counters: Arc<Counters>,
    draining: watch::Sender<bool>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("config", &self.config).field("leaves", &self.leaves).finish_non_exhaustive()
    }
}

fn quic_config(leaves: &Arc<Leaves>, config: &ListenerConfig) -> Result<quinn::ServerConfig, BindError> {
    let tls = tls::server(Arc::clone(leaves), config.service, &config.clock).map_err(|_| BindError::Tls)?;
    let tls = quinn::crypto::rustls::QuicServerConfig::try_from(tls).map_err(|_| BindError::Tls)?;
    let mut quic = quinn::ServerConfig::with_crypto(Arc::new(tls));
    quic.transport_config(transport::server());
    // Tokens that outlive a connection would name a client to the next one; Retry's are enough.
    quic.validation_token_config(quinn::ValidationTokenConfig::default().sent(0).clone());
    quic.max_incoming(config.limits.handshakes);
    quic.incoming_buffer_size(INCOMING_BUFFER);
    quic.incoming_buffer_size_total(INCOMING_BUFFER_TOTAL);
    Ok(quic)
}

async fn accept_all(shared: Arc<Shared>, accepted: mpsc::Sender<Connection>) {
    let mut handshakes = JoinSet::new();
    while let Some(incoming) = shared.endpoint.accept().await {
        // Reap, so that the set does not grow.
        while handshakes.try_join_next().is_some() {}
        shared.counters.incoming();
        match judge(&shared, &incoming, handshakes.len()) {
            Judgement::Retry => {
                shared.counters.retried();
                // It may always be retried while it is not validated, which `judge` looked at.
                let _ = incoming.retry();
            }
            Judgement::Refuse => {
                shared.counters.refused();
                incoming.refuse();
            }
            Judgement::TooOften => {
                shared.counters.too_often();
                incoming.refuse();
            }
            Judgement::Accept(place) => {
                let _ = handshakes.spawn(handshake(Arc::clone(&shared), incoming, place, accepted.clone()));
            }
        }
    }
}

enum Judgement {
    Retry,
    Refuse,
    TooOften,
    Accept(Place),
}

fn judge(shared: &Shared, incoming: &Incoming, handshakes: usize) -> Judgement {
    let limits = &shared.config.limits;
    if *shared.draining.borrow() {
        return Judgement::Refuse;
    }
    let validated = incoming.remote_address_validated();
    let under_load = match limits.retry {
        Retry::Above(above) => handshakes >= above,
        Retry::Always => true,
    };
    if under_load && !validated {
        return Judgement::Retry;
    }
    if handshakes >= limits.handshakes {
        return Judgement::Refuse;
    }
    let source = shared.sources.of(incoming.remote_address().ip());
    if !shared.paces.take(source, validated) {
        return if validated { Judgement::TooOften } else { Judgement::Retry };
    }
    match shared.places.take(source, limits.connections_per_source, limits.connections) {
        Some(place) => Judgement::Accept(place),
        // Only who proved its address is told that it has too many connections; anybody can write another's address.
        None if validated => Judgement::Refuse,
        None => Judgement::Retry,
    }
}

async fn handshake(shared: Arc<Shared>, incoming: Incoming, place: Place, accepted: mpsc::Sender<Connection>) {
    let limits = &shared.config.limits;
    let Ok(connecting) = incoming.accept() else { return shared.counters.failed_handshake() };
    let connected = match timeout(limits.handshake, connecting).await {
        Ok(Ok(connected)) => connected,
        Ok(Err(_)) | Err(_) => return shared.counters.failed_handshake(),
    };
    let source = place.source();
    let link = Arc::new(Link {
        quic: connected,
        deadlines: Deadlines { first_frame: Some(limits.first), frame: Some(limits.frame), stall: Some(limits.stall) },
        queue: limits.queue,
        counters: Some(Arc::clone(&shared.counters)),
        _place: Some(place),
    });
    let Some(connection) =
        Connection::new(link, source, shared.config.service, limits.first, shared.draining.subscribe())
    else {
        return shared.counters.failed_handshake();
    };
    shared.counters.connected();
    // The listener may be gone.
    let _ = accepted.send(connection).await;
}

/// Looks every hour whether the next leaf is due.
async fn renew_leaves(shared: Arc<Shared>) {
    let mut hours = interval(Duration::from_secs(3_600));
    hours.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        hours.tick().await;
        match shared.leaves.renew_if_due() {
            Ok(None) => {}
            Ok(Some(number)) => tracing::info!(number = number.0, "TLS leaf renewed"),
            Err(error) => tracing::error!(%error, "TLS leaf not renewed; trying again in an hour"),
        }
    }
}

/// Connections that wait for [`Listener::accept`].
const BACKLOG: usize = 64;
/// What a peer may send before its handshake is looked at.
const INCOMING_BUFFER: u64 = 16 * 1_024;
const INCOMING_BUFFER_TOTAL: u64 = 8 << 20;
const LAST_WORDS: Duration = Duration::from_millis(500);
