//! The side that opens connections. Implements spec/18-transport.md §18.2, §18.4 and §18.9.
//!
//! Invariants: a [`Client`] is one identity towards the network: socket and port, tickets and connection ids are its own and are
//! dropped with it; address validation tokens are not kept at all; tickets of one server are never shown to another.
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use quinn::{Endpoint, NoneTokenStore};
use waxwing_wire::{address::ServerAddress, frame::StreamKind, keys::ServerPublicKey, request::Exporter};

use crate::{
    BindError, BlobStream, Clock, CloseCode, Ended, FrameReader, FramedStream, KeyserverConnection, LeafNumber,
    Machine, RelayConnection, SendError, Service, Socket,
    silence::Heard,
    stream::{Deadlines, Link},
    tls, transport,
};

mod dial;
mod tickets;

pub use dial::{Attempt, AttemptError, ConnectError, Trust};
use tickets::Tickets;

/// One identity towards the network (spec §18.9): one socket, whose port changes when the client is made anew.
///
/// Use one for the owner's connection to its relay, another for each conversation, another for each account asked about at a
/// key server. Two of them have nothing in common that a server or an observer could match.
pub struct Client {
    endpoint: Endpoint,
    heard: Arc<Heard>,
    config: ClientConfig,
    /// TLS set-ups with their tickets, by server and service.
    servers: Mutex<HashMap<([u8; 32], Service), quinn::ClientConfig>>,
    #[cfg(test)]
    stores: Mutex<Vec<Arc<Tickets>>>,
}

/// How a client connects.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Dates of certificates are checked against this.
    pub clock: Clock,
    /// Where its socket comes from.
    pub machine: Machine,
    /// For one address: until the handshake is done. 5 s.
    pub attempt: Duration,
    /// For a name to be resolved. 5 s.
    pub resolve: Duration,
    /// Bytes of frames that may wait to be sent on one stream: 262,144.
    pub queue: usize,
    /// Requests without an answer on one connection: 256, what a relay announces unless it says otherwise.
    pub in_flight: usize,
    /// Bytes of pushes that may wait to be taken before nothing more is read: 8 MiB.
    pub pushes: usize,
    /// The lowest leaf to accept of a server whose leaf was seen before ([`ClientConnection::leaf`]).
    pub least_leaf: LeafNumber,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            clock: Clock::system(),
            machine: Machine::default(),
            attempt: Duration::from_secs(5),
            resolve: Duration::from_secs(5),
            queue: 256 * 1_024,
            in_flight: 256,
            pushes: 8 << 20,
            least_leaf: LeafNumber(0),
        }
    }
}

impl Client {
    /// A client with a port of its own, for IPv6 and IPv4 where the machine has both. From within a tokio runtime.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn new(config: ClientConfig) -> Result<Self, BindError> {
        Self::on(config.machine.socket()?, config)
    }

    /// A client on a socket that is there.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn on(socket: Socket, config: ClientConfig) -> Result<Self, BindError> {
        let (endpoint, heard) = socket.dial()?;
        Ok(Self {
            endpoint,
            heard,
            config,
            servers: Mutex::default(),
            #[cfg(test)]
            stores: Mutex::default(),
        })
    }

    /// Connects to the first host of `address` that answers and proves its key.
    ///
    /// # Errors
    /// [`ConnectError`]: what every attempt came to.
    pub async fn connect(
        &self,
        address: &ServerAddress,
        service: Service,
        trust: Trust,
    ) -> Result<ClientConnection, ConnectError> {
        dial::dial(self, address, service, trust).await
    }

    /// Connects to a relay and opens its control stream.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn relay(&self, address: &ServerAddress, trust: Trust) -> Result<RelayConnection, ConnectError> {
        let connection = self.connect(address, Service::Relay, trust).await?;
        RelayConnection::open(connection, &self.config).await.map_err(|error| ConnectError::lost(address, error))
    }

    /// Connects to a key server and opens its control stream.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn keyserver(&self, address: &ServerAddress, trust: Trust) -> Result<KeyserverConnection, ConnectError> {
        let connection = self.connect(address, Service::Keyserver, trust).await?;
        KeyserverConnection::open(connection, &self.config).await.map_err(|error| ConnectError::lost(address, error))
    }

    /// The local port.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.endpoint.local_addr().ok().map(|address| address.port())
    }

    /// Closes every connection of this client and waits, at most for a second, until the servers were told.
    pub async fn close(&self) {
        self.endpoint.close(CloseCode::Done.to_quic(), &[]);
        let _ = tokio::time::timeout(Duration::from_secs(1), self.endpoint.wait_idle()).await;
    }

    /// Raises the lowest leaf that is accepted from now on.
    pub fn require(&mut self, least: LeafNumber) {
        self.config.least_leaf = self.config.least_leaf.max(least);
    }

    /// How many tickets are kept, of whatever server.
    #[cfg(test)]
    pub(crate) fn tickets(&self) -> usize {
        self.stores.lock().unwrap().iter().map(|store| store.kept()).sum()
    }

    /// Whether a ticket was shown since this was last asked.
    #[cfg(test)]
    pub(crate) fn resumed(&self) -> bool {
        self.stores.lock().unwrap().iter().any(|store| store.was_shown())
    }

    fn quic_config(&self, key: &ServerPublicKey, service: Service) -> Result<quinn::ClientConfig, AttemptError> {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (*key.as_bytes(), service);
        if let Some(config) = servers.get(&place) {
            return Ok(config.clone());
        }
        let tickets = Arc::new(Tickets::default());
        #[cfg(test)]
        self.stores.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&tickets));
        let tls = tls::client(key, service, &self.config.clock, tickets).map_err(|_| AttemptError::Local)?;
        let tls = quinn::crypto::rustls::QuicClientConfig::try_from(tls).map_err(|_| AttemptError::Local)?;
        let mut config = quinn::ClientConfig::new(Arc::new(tls));
        config.transport_config(transport::client()).token_store(Arc::new(NoneTokenStore));
        servers.insert(place, config.clone());
        Ok(config)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("config", &self.config).finish_non_exhaustive()
    }
}

/// A connection to a server that proved its key. Closed when this and its streams are gone.
#[derive(Clone)]
pub struct ClientConnection {
    link: Arc<Link>,
    heard: Arc<Heard>,
    service: Service,
    exporter: Exporter,
    leaf: LeafNumber,
}

impl ClientConnection {
    /// What both ends of this connection know and nobody else (spec §11.11.1).
    #[must_use]
    pub fn exporter(&self) -> Exporter {
        self.exporter
    }

    /// The server's leaf. Keep the highest of each server for [`ClientConfig::least_leaf`].
    #[must_use]
    pub fn leaf(&self) -> LeafNumber {
        self.leaf
    }

    /// Opens the control stream: first, once.
    ///
    /// # Errors
    /// [`SendError::Ended`] if the connection is over.
    pub async fn control(&self) -> Result<FramedStream, SendError> {
        let (send, recv) = self.open(StreamKind::Control).await?;
        Ok(FramedStream::new(&self.link, StreamKind::Control, self.service.ceiling(), send, recv))
    }

    /// Opens the backlog stream: at most once, after the control stream, before subscribing.
    ///
    /// # Errors
    /// [`SendError::Ended`] if the connection is over.
    pub async fn backlog(&self) -> Result<FrameReader, SendError> {
        let (mut send, recv) = self.open(StreamKind::Backlog).await?;
        // Nothing more is said on it; the server may have stopped listening already.
        let _ = send.finish();
        Ok(FrameReader::one_way(&self.link, self.service.ceiling(), recv))
    }

    /// Opens a blob stream, after the control stream. Waits while as many are open as the server allows.
    ///
    /// # Errors
    /// [`SendError::Ended`] if the connection is over.
    pub async fn blob(&self) -> Result<BlobStream, SendError> {
        let (send, recv) = self.open(StreamKind::Blob).await?;
        Ok(BlobStream::new(&self.link, send, recv))
    }

    /// Closes the connection now: what was sent may not arrive.
    pub fn close(&self, code: CloseCode) {
        self.link.close(code);
    }

    /// Why it is over; none while it is not.
    #[must_use]
    pub fn ended(&self) -> Option<Ended> {
        self.link.ended()
    }

    /// Waits until the connection is over. Whoever waits also notices that nothing was heard at this client for 30 s, and ends it;
    /// without anybody who waits, QUIC does so up to a keep-alive later.
    pub async fn closed(&self) -> Ended {
        tokio::select! {
            ended = self.link.quic.closed() => ended.into(),
            () = self.heard.silence() => {
                self.close(CloseCode::Done);
                Ended::TimedOut
            }
        }
    }

    /// The smoothed round-trip time.
    #[must_use]
    pub fn round_trip(&self) -> Duration {
        self.link.quic.rtt()
    }

    /// What its path was like so far.
    #[must_use]
    pub fn path(&self) -> Path {
        let stats = self.link.quic.stats().path;
        Path { round_trip: stats.rtt, sent: stats.sent_packets, lost: stats.lost_packets }
    }

    async fn open(&self, kind: StreamKind) -> Result<(quinn::SendStream, quinn::RecvStream), SendError> {
        let (mut send, recv) = self.link.quic.open_bi().await.map_err(|error| SendError::Ended(error.into()))?;
        send.write_all(&[kind.byte()]).await?;
        Ok((send, recv))
    }

    /// For tests of what a client of ours never does.
    #[cfg(test)]
    pub(crate) fn quic(&self) -> &quinn::Connection {
        &self.link.quic
    }

    /// The connection that was established; none if the server showed no number, or it is over already.
    fn new(quic: quinn::Connection, heard: Arc<Heard>, service: Service, config: &ClientConfig) -> Option<Self> {
        let exporter = tls::exporter(&quic)?;
        let leaf = tls::leaf_number(&quic)?;
        let link =
            Arc::new(Link { quic, deadlines: Deadlines::default(), queue: config.queue, counters: None, _place: None });
        Some(Self { link, heard, service, exporter, leaf })
    }
}

/// What the way to a server was like while a connection lasted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Path {
    /// Smoothed.
    pub round_trip: Duration,
    /// Packets sent from here.
    pub sent: u64,
    /// Of them, those taken for lost.
    pub lost: u64,
}

impl fmt::Debug for ClientConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { link, heard: _, service, exporter: _, leaf } = self;
        f.debug_struct("ClientConnection")
            .field("service", service)
            .field("leaf", leaf)
            .field("ended", &link.ended())
            .finish_non_exhaustive()
    }
}
