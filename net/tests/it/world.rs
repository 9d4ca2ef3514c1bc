//! Servers and clients on loopback, or on a simulated network.
use std::net::SocketAddr;

use waxwing_net::{
    Accepted, Client, ClientConfig, Connection, FramedStream, Listener, ListenerConfig, Service, Trust,
    simulation::Network,
};
use waxwing_wire::{
    address::{Host, ServerAddress},
    keys::{ServerKey, ServerPublicKey},
};

pub(crate) const TRUST: Trust = Trust::Configured;

pub(crate) fn key(seed: u8) -> ServerKey {
    ServerKey::from_seed(&[seed; 32])
}

pub(crate) fn address(key: ServerPublicKey, socket: SocketAddr) -> ServerAddress {
    let host: Host = socket.to_string().parse().unwrap();
    ServerAddress::new(key, vec![host]).unwrap()
}

/// A listener on a loopback port of its own, and its address.
pub(crate) fn listen(config: ListenerConfig) -> (Listener, ServerAddress) {
    let listener = Listener::bind(([127, 0, 0, 1], 0).into(), &key(1), config).unwrap();
    let address = address(*listener.key(), listener.local_address());
    (listener, address)
}

pub(crate) fn relay() -> (Listener, ServerAddress) {
    listen(ListenerConfig::new(Service::Relay))
}

pub(crate) fn client() -> Client {
    Client::new(ClientConfig::default()).unwrap()
}

/// The same on a simulated network.
pub(crate) fn listen_on(network: &Network, config: ListenerConfig) -> (Listener, ServerAddress) {
    let place = SocketAddr::from(([10, 0, 0, 1], 443));
    let listener = Listener::on(network.socket(place).unwrap(), &key(1), config).unwrap();
    let address = address(*listener.key(), place);
    (listener, address)
}

pub(crate) fn client_on(network: &Network, n: u8, config: ClientConfig) -> Client {
    let place = SocketAddr::from(([10, 0, 1, n], 1_000));
    Client::on(network.socket(place).unwrap(), config).unwrap()
}

/// The control stream that a client has opened.
pub(crate) async fn control(connection: &mut Connection) -> FramedStream {
    match connection.accept_stream().await.unwrap() {
        Accepted::Control(stream) => stream,
        other => panic!("{other:?}"),
    }
}
