//! Servers and clients on loopback, or on a simulated network.
use waxwing_net::{Client, ClientConfig, Listener, ListenerConfig, Service, Trust};
use waxwing_wire::{
    address::{Host, ServerAddress},
    keys::{ServerKey, ServerPublicKey},
};

pub(crate) const TRUST: Trust = Trust::Configured;

pub(crate) fn key(seed: u8) -> ServerKey {
    ServerKey::from_seed(&[seed; 32])
}

pub(crate) fn address(key: ServerPublicKey, socket: std::net::SocketAddr) -> ServerAddress {
    let host: Host = socket.to_string().parse().unwrap();
    ServerAddress::new(key, vec![host]).unwrap()
}

/// A listener on a port of its own, and its address.
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
