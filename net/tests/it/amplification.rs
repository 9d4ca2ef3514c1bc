//! E1: what a server sends to an address that has not proved itself.
use std::{
    net::UdpSocket,
    time::{Duration, Instant},
};

use waxwing_net::{Limits, ListenerConfig, Retry, Service};

use crate::world::{TRUST, address, client, key, listen};

/// The first flight of a client, as it arrives at a socket that never answers.
async fn first_flight() -> Vec<Vec<u8>> {
    let trap = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let target = address(key(1).public_key(), trap.local_addr().unwrap());
    let dialling = tokio::spawn(async move {
        let _ = client().connect(&target, Service::Relay, TRUST).await;
    });
    let mut flight = Vec::new();
    let mut buffer = vec![0; 2_048];
    // The hybrid key share makes it two datagrams.
    while flight.len() < 2 {
        let length = trap.recv(&mut buffer).await.unwrap();
        flight.push(buffer[..length].to_vec());
    }
    dialling.abort();
    flight
}

/// Everything that comes back within `patience` of the last datagram.
fn drain(socket: &UdpSocket, patience: Duration) -> usize {
    let (mut bytes, mut buffer) = (0, vec![0; 65_536]);
    let mut end = Instant::now() + patience;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        socket.set_read_timeout(Some(left)).unwrap();
        if let Ok(length) = socket.recv(&mut buffer) {
            bytes += length;
            end = Instant::now() + patience;
        }
    }
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e1_a_spoofed_first_flight_is_answered_with_at_most_three_times_its_bytes() {
    for retry in [Retry::Above(64), Retry::Above(0), Retry::Always] {
        let limits = Limits { retry, ..Limits::default() };
        let (listener, _) = listen(ListenerConfig { limits, ..ListenerConfig::new(Service::Relay) });
        let server = listener.local_address();
        for count in 1..=2 {
            // A new one each: what belongs to a handshake that is under way would not be answered at another address.
            let mut flight = first_flight().await;
            flight.truncate(count);
            let (sent, got) = tokio::task::spawn_blocking(move || {
                // Whoever is spoofed stays silent: what comes is never answered, so the server repeats what it may.
                let victim = UdpSocket::bind("127.0.0.1:0").unwrap();
                let sent: usize = flight.iter().map(|datagram| victim.send_to(datagram, server).unwrap()).sum();
                (sent, drain(&victim, Duration::from_millis(1_500)))
            })
            .await
            .unwrap();
            assert!(got > 0, "the server does answer ({retry:?}, {count})");
            assert!(got <= 3 * sent, "{got} bytes for {sent} ({retry:?}, {count})");
            if retry != Retry::Above(64) {
                assert!(got <= sent, "a Retry is smaller than what asks for it: {got} for {sent}");
            }
        }
        assert_eq!(listener.counts().connected, 0);
    }
}

#[tokio::test]
async fn e1_garbage_is_not_answered_with_more() {
    let (listener, _) = listen(ListenerConfig::new(Service::Relay));
    let server = listener.local_address();
    tokio::task::spawn_blocking(move || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        // An unknown version, a short header of nobody's, zeros, a stub.
        let mut unknown = vec![0xc0, 0xff, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8, 8, 1, 2, 3, 4, 5, 6, 7, 8];
        unknown.resize(1_200, 0);
        let short = vec![0x40; 100];
        for datagram in [unknown, short, vec![0; 1_200], vec![0xc0; 5]] {
            socket.send_to(&datagram, server).unwrap();
            let got = drain(&socket, Duration::from_millis(100));
            assert!(got <= datagram.len(), "{got} bytes for {}", datagram.len());
        }
    })
    .await
    .unwrap();
    assert_eq!(listener.counts().open, 0);
}
