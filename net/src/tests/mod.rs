//! What needs to see or do more than the public API allows: peers that break rules, and what travels in the clear.
#![allow(clippy::arithmetic_side_effects, reason = "tests")]
use std::net::SocketAddr;

use waxwing_wire::{
    address::{Host, ServerAddress},
    frame::ErrorCode,
    keys::ServerKey,
};

use crate::{
    Client, ClientConfig, ClientConnection, Clock, CloseCode, Ended, Limits, Listener, ListenerConfig, Service, Trust,
    simulation::{Datagram, Network},
};

mod identities;
mod leaves;
mod slow;
mod streams;

pub(crate) const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)), 443);

/// The `n`th client's address.
pub(crate) fn place(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 1, n], 1_000 + u16::from(n)))
}

pub(crate) fn server_key() -> ServerKey {
    ServerKey::from_seed(&[1; 32])
}

pub(crate) fn server_address() -> ServerAddress {
    let host: Host = SERVER.to_string().parse().unwrap();
    ServerAddress::new(server_key().public_key(), vec![host]).unwrap()
}

pub(crate) fn listen(network: &Network, service: Service, limits: Limits) -> Listener {
    let config = ListenerConfig { service, clock: Clock::system(), limits };
    Listener::on(network.socket(SERVER).unwrap(), &server_key(), config).unwrap()
}

pub(crate) fn client(network: &Network, n: u8) -> Client {
    Client::on(network.socket(place(n)).unwrap(), ClientConfig::default()).unwrap()
}

pub(crate) async fn connect(client: &Client) -> ClientConnection {
    client.connect(&server_address(), Service::Relay, Trust::Configured).await.unwrap()
}

pub(crate) const fn closed_by_peer(code: ErrorCode) -> Ended {
    Ended::ClosedByPeer(CloseCode::Error(code))
}

/// What `from` sent.
pub(crate) fn sent_by(recorded: &[Datagram], from: SocketAddr) -> Vec<Datagram> {
    recorded.iter().filter(|datagram| datagram.from == from).cloned().collect()
}
