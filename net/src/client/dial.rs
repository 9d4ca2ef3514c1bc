//! From an address to a connection. Implements spec/18-transport.md §18.9.2.
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use quinn::{ConnectionError, TransportErrorCode};
use thiserror::Error;
use tokio::{net::lookup_host, time::timeout};
use waxwing_wire::{
    address::{Host, ServerAddress, is_public},
    frame::ErrorCode,
};

use super::{Client, ClientConnection};
use crate::{CloseCode, Ended, LeafNumber, SendError, Service, leaf::SERVER_NAME};

/// Whether an address may name a private network (spec §11.12.4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trust {
    /// The address came from other people: only what resolves into the public internet is spoken to.
    Public,
    /// The person configured the address.
    Configured,
}

/// No host of an address could be connected to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConnectError {
    /// What each attempt came to, in order; never empty.
    pub attempts: Vec<Attempt>,
}

impl ConnectError {
    /// The most telling of the attempts' errors: a wrong key says more than a host that does not answer.
    #[must_use]
    pub fn reason(&self) -> AttemptError {
        self.attempts
            .iter()
            .map(|attempt| attempt.error)
            .max_by_key(|error| error.weight())
            .unwrap_or(AttemptError::Local)
    }

    pub(super) fn lost(address: &ServerAddress, error: SendError) -> Self {
        let ended = match error {
            SendError::Ended(ended) => ended,
            SendError::Stopped(code) => Ended::ClosedByPeer(code),
            SendError::Frame(_) | SendError::Finished | SendError::TooSlow => Ended::ClosedHere,
        };
        let host = address.hosts().first().cloned();
        Self { attempts: host.map(|host| Attempt { host, error: of_ended(ended) }).into_iter().collect() }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no connection: ")?;
        for (index, Attempt { host, error }) in self.attempts.iter().enumerate() {
            write!(f, "{}{host}: {error}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for ConnectError {}

/// One host that was tried.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Attempt {
    /// Which.
    pub host: Host,
    /// Why it did not lead to a connection.
    pub error: AttemptError,
}

/// Why a host did not lead to a connection, and what to do.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum AttemptError {
    /// It is in a private network, and nobody configured it.
    #[error("the host is in a private network; configure the address if that is meant")]
    NotPublic,
    /// The name resolves to nothing.
    #[error("the name does not resolve; check it, or the network")]
    Unresolved,
    /// Nobody answered in time: try again later.
    #[error("no answer; the server or the network is down")]
    Unreachable,
    /// The server has too many connections, of this source or in all: try again later.
    #[error("the server takes no more connections now")]
    Refused,
    /// The server is stopping: come back later.
    #[error("the server is going away")]
    Draining,
    /// Whoever answers has not the key that the address pins: the address is wrong, or somebody stands in between.
    #[error("the server does not prove the key of its address")]
    WrongKey,
    /// The server's certificate is over or not valid yet: one of the two clocks is wrong.
    #[error("the server's certificate is not valid now; check this machine's clock")]
    Dates,
    /// The server shows an older leaf than it did before: its leaf key may be in other hands.
    #[error("the server shows leaf {} where {} or higher is due", found.0, least.0)]
    RolledBack {
        /// Shown.
        found: LeafNumber,
        /// [`super::ClientConfig::least_leaf`].
        least: LeafNumber,
    },
    /// It is another kind of server, or speaks another version.
    #[error("the server does not speak this protocol and version")]
    NoProtocol,
    /// The connection ended at once.
    #[error(transparent)]
    Ended(Ended),
    /// Nothing can be sent from here: no such address family, or the client was closed.
    #[error("this machine cannot send there")]
    Local,
}

impl AttemptError {
    const fn weight(self) -> u8 {
        match self {
            Self::Local => 0,
            Self::Unresolved => 1,
            Self::Unreachable => 2,
            Self::Ended(_) => 3,
            Self::Refused => 4,
            Self::Draining => 5,
            Self::NotPublic => 6,
            Self::NoProtocol => 7,
            Self::Dates => 8,
            Self::RolledBack { .. } => 9,
            Self::WrongKey => 10,
        }
    }
}

pub(super) async fn dial(
    client: &Client,
    address: &ServerAddress,
    service: Service,
    trust: Trust,
) -> Result<ClientConnection, ConnectError> {
    let mut attempts = Vec::new();
    for host in address.hosts() {
        match try_host(client, address, host, service, trust).await {
            Ok(connection) => return Ok(connection),
            Err(error) => attempts.push(Attempt { host: host.clone(), error }),
        }
    }
    Err(ConnectError { attempts })
}

async fn try_host(
    client: &Client,
    address: &ServerAddress,
    host: &Host,
    service: Service,
    trust: Trust,
) -> Result<ClientConnection, AttemptError> {
    let mut error = AttemptError::Unresolved;
    for target in resolve(client, host).await?.into_iter().take(MOST_ADDRESSES) {
        // A name is judged by what it resolves to now, at every attempt: a name that led outside may lead inside today.
        let found = match trust == Trust::Public && !is_public(target.ip()) {
            true => Err(AttemptError::NotPublic),
            false => try_address(client, address, target, service).await,
        };
        match found {
            Ok(connection) => return Ok(connection),
            Err(found) if found.weight() >= error.weight() => error = found,
            Err(_) => {}
        }
    }
    Err(error)
}

async fn resolve(client: &Client, host: &Host) -> Result<Vec<SocketAddr>, AttemptError> {
    if let Ok(literal) = host.name().parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(literal, host.port())]);
    }
    match timeout(client.config.resolve, lookup_host((host.name(), host.port()))).await {
        Ok(Ok(addresses)) => Ok(addresses.collect()),
        Ok(Err(_)) | Err(_) => Err(AttemptError::Unresolved),
    }
}

async fn try_address(
    client: &Client,
    address: &ServerAddress,
    target: SocketAddr,
    service: Service,
) -> Result<ClientConnection, AttemptError> {
    let config = client.quic_config(address.key(), service)?;
    let connecting = client.endpoint.connect_with(config, target, SERVER_NAME).map_err(|_| AttemptError::Local)?;
    let connected = match timeout(client.config.attempt, connecting).await {
        Ok(Ok(connected)) => connected,
        Ok(Err(error)) => return Err(of_connection(&error)),
        Err(_) => return Err(AttemptError::Unreachable),
    };
    let connection = ClientConnection::new(connected, Arc::clone(&client.heard), service, &client.config)
        .ok_or(AttemptError::WrongKey)?;
    let (found, least) = (connection.leaf(), client.config.least_leaf);
    if found < least {
        connection.close(CloseCode::Done);
        return Err(AttemptError::RolledBack { found, least });
    }
    Ok(connection)
}

fn of_connection(error: &ConnectionError) -> AttemptError {
    match error {
        ConnectionError::TransportError(error) => of_code(error.code, Ended::Broken),
        ConnectionError::ConnectionClosed(close) => of_code(close.error_code, Ended::Broken),
        ConnectionError::TimedOut => AttemptError::Unreachable,
        ConnectionError::LocallyClosed | ConnectionError::CidsExhausted => AttemptError::Local,
        ConnectionError::VersionMismatch => AttemptError::NoProtocol,
        other => of_ended(other.clone().into()),
    }
}

fn of_code(code: TransportErrorCode, otherwise: Ended) -> AttemptError {
    const TLS: u64 = 0x100;
    match u64::from(code) {
        CONNECTION_REFUSED => AttemptError::Refused,
        code @ TLS..=0x1ff => match code & 0xff {
            CERTIFICATE_EXPIRED => AttemptError::Dates,
            NO_APPLICATION_PROTOCOL => AttemptError::NoProtocol,
            BAD_CERTIFICATE..=UNKNOWN_CA | DECRYPT_ERROR => AttemptError::WrongKey,
            _ => AttemptError::Ended(otherwise),
        },
        _ => AttemptError::Ended(otherwise),
    }
}

fn of_ended(ended: Ended) -> AttemptError {
    match ended {
        Ended::ClosedByPeer(CloseCode::Error(ErrorCode::Draining)) => AttemptError::Draining,
        Ended::ClosedByPeer(CloseCode::Error(ErrorCode::RateLimited | ErrorCode::Overloaded)) => AttemptError::Refused,
        ended => AttemptError::Ended(ended),
    }
}

/// Of one name.
const MOST_ADDRESSES: usize = 4;
// RFC 9000 §20.1, and alerts of RFC 8446 §6.2.
const CONNECTION_REFUSED: u64 = 0x02;
const BAD_CERTIFICATE: u64 = 42;
const CERTIFICATE_EXPIRED: u64 = 45;
const UNKNOWN_CA: u64 = 48;
const DECRYPT_ERROR: u64 = 51;
const NO_APPLICATION_PROTOCOL: u64 = 120;
