//! UDP sockets, real and simulated.
use std::{io, net::SocketAddr, sync::Arc};

#[cfg(feature = "simulation")]
use quinn::AsyncUdpSocket;
use quinn::{Endpoint, EndpointConfig, Runtime as _, ServerConfig, TokioRuntime};
use socket2::{Domain, Protocol, Type};
use thiserror::Error;

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

    pub(crate) fn into_endpoint(self, server: Option<ServerConfig>) -> Result<Endpoint, BindError> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(BindError::NoRuntime);
        }
        let socket = match self.0 {
            Kind::Udp(socket) => TokioRuntime.wrap_udp_socket(socket)?,
            #[cfg(feature = "simulation")]
            Kind::Simulated(socket) => socket,
        };
        // Each endpoint has reset key, connection ids and token keys of its own, from the system's randomness.
        let config = EndpointConfig::default();
        Ok(Endpoint::new_with_abstract_socket(config, server, socket, Arc::new(TokioRuntime))?)
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
