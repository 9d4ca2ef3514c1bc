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
    #[cfg(feature = "simulation")]
    Simulated(Arc<dyn AsyncUdpSocket>),
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
    pub(crate) fn simulated(socket: Arc<dyn AsyncUdpSocket>) -> Self {
        Self(Kind::Simulated(socket))
    }

    /// Of a server: it has many connections, and is awake anyway.
    pub(crate) fn serve(self, server: ServerConfig) -> Result<Endpoint, BindError> {
        let (socket, _) = self.open()?;
        endpoint(Some(server), socket, Arc::new(TokioRuntime))
    }

    /// Of a client: it wakes as seldom as it can, and says when it was spoken to.
    pub(crate) fn dial(self) -> Result<(Endpoint, Arc<Heard>), BindError> {
        let (socket, time) = self.open()?;
        let (timer, runtime): (_, Arc<dyn Runtime>) = match time {
            Time::System => (Timer::new(), Arc::new(Sparing)),
            #[cfg(feature = "simulation")]
            Time::Simulated => (None, Arc::new(TokioRuntime)),
        };
        let (socket, heard) = Listening::on(socket, timer);
        Ok((endpoint(None, socket, runtime)?, heard))
    }

    fn open(self) -> Result<(Arc<dyn AsyncUdpSocket>, Time), BindError> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(BindError::NoRuntime);
        }
        Ok(match self.0 {
            Kind::Udp(socket) => (TokioRuntime.wrap_udp_socket(socket)?, Time::System),
            #[cfg(feature = "simulation")]
            Kind::Simulated(socket) => (socket, Time::Simulated),
        })
    }
}

fn endpoint(
    server: Option<ServerConfig>,
    socket: Arc<dyn AsyncUdpSocket>,
    runtime: Arc<dyn Runtime>,
) -> Result<Endpoint, BindError> {
    // Each endpoint has reset key, connection ids and token keys of its own, from the system's randomness.
    Ok(Endpoint::new_with_abstract_socket(EndpointConfig::default(), server, socket, runtime)?)
}

/// Whose time a socket's is.
#[derive(Clone, Copy, Debug)]
enum Time {
    System,
    /// tokio's, which tests pause.
    #[cfg(feature = "simulation")]
    Simulated,
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
