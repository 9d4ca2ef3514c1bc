//! UDP sockets, real and simulated.
use std::{io, net::SocketAddr, pin::Pin, sync::Arc, time::Instant};

use quinn::{AsyncTimer, AsyncUdpSocket, Endpoint, EndpointConfig, Runtime, ServerConfig, TokioRuntime};
use socket2::{Domain, Protocol, Type};
use thiserror::Error;

use crate::{
    alarm::{Alarm, system::Timer},
    silence::{Heard, Listening},
};

/// Where an endpoint sends and receives.
#[derive(Debug)]
pub struct Socket(Kind);

#[derive(Debug)]
enum Kind {
    Udp(std::net::UdpSocket),
    /// And from what the endpoint's chance follows.
    #[cfg(feature = "simulation")]
    Simulated(Arc<dyn AsyncUdpSocket>, [u8; 32]),
}

impl Socket {
    /// A UDP socket at `address`; port 0 lets the system choose. An IPv6 wildcard takes IPv4 as well.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        // The kernel takes what it allows; smaller buffers drop more in a burst and are no error.
        let _ = socket.set_recv_buffer_size(BUFFER);
        let _ = socket.set_send_buffer_size(BUFFER);
        socket.bind(&address.into())?;
        Ok(Self(Kind::Udp(socket.into())))
    }

    #[cfg(feature = "simulation")]
    pub(crate) fn simulated(socket: Arc<dyn AsyncUdpSocket>, seed: [u8; 32]) -> Self {
        Self(Kind::Simulated(socket, seed))
    }

    /// Of a server: it has many connections, and is awake anyway.
    pub(crate) fn serve(self, server: ServerConfig) -> Result<Endpoint, BindError> {
        let (socket, time) = self.open()?;
        endpoint(Some(server), socket, Arc::new(TokioRuntime), &time)
    }

    /// Of a client: it wakes as seldom as it can, and says when it was spoken to.
    pub(crate) fn dial(self) -> Result<(Endpoint, Arc<Heard>), BindError> {
        let (socket, time) = self.open()?;
        let (timer, runtime): (_, Arc<dyn Runtime>) = match time {
            Time::System => (Timer::new(), Arc::new(Sparing)),
            #[cfg(feature = "simulation")]
            Time::Simulated(_) => (None, Arc::new(TokioRuntime)),
        };
        let (socket, heard) = Listening::on(socket, timer);
        Ok((endpoint(None, socket, runtime, &time)?, heard))
    }

    fn open(self) -> Result<(Arc<dyn AsyncUdpSocket>, Time), BindError> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(BindError::NoRuntime);
        }
        Ok(match self.0 {
            Kind::Udp(socket) => (TokioRuntime.wrap_udp_socket(socket)?, Time::System),
            #[cfg(feature = "simulation")]
            Kind::Simulated(socket, seed) => (socket, Time::Simulated(seed)),
        })
    }
}

fn endpoint(
    server: Option<ServerConfig>,
    socket: Arc<dyn AsyncUdpSocket>,
    runtime: Arc<dyn Runtime>,
    time: &Time,
) -> Result<Endpoint, BindError> {
    // Each endpoint has reset key, connection ids and token keys of its own, from the system's randomness.
    #[cfg_attr(not(feature = "simulation"), expect(unused_mut, reason = "a simulation changes it"))]
    let mut config = EndpointConfig::default();
    match time {
        Time::System => {}
        // Which packet numbers it skips, and whatever else is to come out as before.
        #[cfg(feature = "simulation")]
        Time::Simulated(seed) => drop(config.rng_seed(Some(*seed))),
    }
    Ok(Endpoint::new_with_abstract_socket(config, server, socket, runtime)?)
}

/// Whose time a socket's is.
#[derive(Clone, Copy, Debug)]
enum Time {
    System,
    /// tokio's, which tests pause; with what chance follows from.
    #[cfg(feature = "simulation")]
    Simulated([u8; 32]),
}

/// tokio, with timers that wake the process when they are due and not before.
#[derive(Debug)]
struct Sparing;

impl Runtime for Sparing {
    fn new_timer(&self, due: Instant) -> Pin<Box<dyn AsyncTimer>> {
        Box::pin(Alarm::new(due))
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        TokioRuntime.spawn(future);
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        TokioRuntime.wrap_udp_socket(socket)
    }
}

/// Where a client's sockets come from, and who keeps its time: this machine, unless a simulation says otherwise.
#[derive(Clone, Debug, Default)]
pub struct Machine(#[cfg(feature = "simulation")] Option<Arc<dyn SocketSource>>);

/// Gives sockets.
#[cfg(feature = "simulation")]
pub(crate) trait SocketSource: std::fmt::Debug + Send + Sync {
    fn socket(&self) -> Result<Socket, BindError>;
}

impl Machine {
    #[cfg(feature = "simulation")]
    pub(crate) fn simulated(source: Arc<dyn SocketSource>) -> Self {
        Self(Some(source))
    }

    /// A socket with a port of its own, for IPv6 and IPv4 where the machine has both.
    pub(crate) fn socket(&self) -> Result<Socket, BindError> {
        #[cfg(feature = "simulation")]
        if let Some(source) = &self.0 {
            return source.socket();
        }
        Socket::bind(([0_u16; 8], 0).into()).or_else(|_| Socket::bind(([0_u8; 4], 0).into()))
    }

    /// An alarm that rings by the machine's time.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn alarm(&self, due: Instant) -> Alarm {
        #[cfg(feature = "simulation")]
        if self.0.is_some() {
            return Alarm::of_the_runtime(due);
        }
        Alarm::new(due)
    }
}

/// Why there is no endpoint.
#[derive(Debug, Error)]
pub enum BindError {
    /// The address is in use, not this machine's, or not allowed.
    #[error("the address cannot be used: {0}")]
    Address(#[from] io::Error),
    /// Not called from within a tokio runtime with I/O and time enabled.
    #[error("there is no tokio runtime here")]
    NoRuntime,
    /// The clock is far out of range, or the system has no randomness: no certificate can be made.
    #[error("TLS cannot be set up; check the clock")]
    Tls,
}

const BUFFER: usize = 8 << 20;
