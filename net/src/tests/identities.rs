//! D9 and E2: what two identities share, and what a recorded first flight is good for.
use std::{collections::HashSet, time::Duration};

use tokio::time::sleep;

use super::*;
use crate::{Accepted, FramedStream, simulation::Network};

/// Source and destination connection ids of long headers (RFC 8999 §5.1), and the first 8 bytes after the first of short ones,
/// which is where our ids stand.
fn connection_ids(datagram: &[u8]) -> Vec<Vec<u8>> {
    let [first, rest @ ..] = datagram else { return Vec::new() };
    if first & 0x80 == 0 {
        return vec![rest[..8].to_vec()];
    }
    let length = usize::from(rest[4]);
    let (destination, rest) = rest[5..].split_at(length);
    let source = &rest[1..=usize::from(rest[0])];
    [destination, source].into_iter().filter(|id| !id.is_empty()).map(<[u8]>::to_vec).collect()
}

/// The token of an Initial packet (RFC 9000 §17.2.2), whose length is in its first byte or two.
fn initial_token(datagram: &[u8]) -> Option<&[u8]> {
    if datagram[0] & 0xf0 != 0xc0 {
        return None;
    }
    let rest = &datagram[6 + usize::from(datagram[5])..];
    let rest = &rest[1 + usize::from(rest[0])..];
    let (length, rest) = match rest[0] >> 6 {
        0 => (usize::from(rest[0]), &rest[1..]),
        _ => (usize::from(rest[0] & 0x3f) << 8 | usize::from(rest[1]), &rest[2..]),
    };
    Some(&rest[..length])
}

#[tokio::test(start_paused = true)]
async fn d9_two_identities_of_one_person_share_no_port_ticket_token_or_connection_id() {
    let network = Network::new(1);
    let listener = listen(&network, Service::Relay, Limits::default());
    network.record();
    let mut ids = Vec::new();
    for n in 1..=2 {
        let identity = client(&network, n);
        assert_eq!(identity.tickets(), 0, "a new identity has seen nothing");
        for round in 0..2 {
            let connection = connect(&identity).await;
            let there = listener.accept().await.unwrap();
            sleep(Duration::from_secs(1)).await;
            assert_eq!(identity.resumed(), round > 0, "its own ticket is used, and nobody else's");
            assert_eq!(identity.tickets(), 1);
            drop((connection, there));
            sleep(Duration::from_secs(60)).await;
        }
        let recorded = network.recorded();
        let (sent, got): (Vec<_>, Vec<_>) = recorded.into_iter().partition(|datagram| datagram.from == place(n));
        assert!(got.iter().all(|datagram| datagram.to == place(n)), "one port");
        for datagram in &sent {
            let token = initial_token(&datagram.bytes).unwrap_or_default();
            assert!(token.is_empty(), "no token from an earlier connection, of anybody");
        }
        let of_identity: HashSet<_> =
            sent.iter().chain(&got).flat_map(|datagram| connection_ids(&datagram.bytes)).collect();
        assert!(of_identity.len() >= 6, "{}", of_identity.len());
        ids.push(of_identity);
    }
    assert!(ids[0].is_disjoint(&ids[1]));
    assert_ne!(client(&network, 3).port(), client(&network, 4).port());
}

#[tokio::test(start_paused = true)]
async fn d9_a_ticket_is_shown_to_the_server_and_service_it_came_from_only() {
    let network = Network::new(1);
    let _listener = listen(&network, Service::Relay, Limits::default());
    let identity = client(&network, 1);
    let connection = connect(&identity).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(identity.tickets(), 1);
    drop(connection);
    // Another key at the same place, which is what a server that wants to recognise somebody would try.
    let other = ServerKey::from_seed(&[2; 32]).public_key();
    let pinned = ServerAddress::new(other, server_address().hosts().to_vec()).unwrap();
    for (address, service) in [(&pinned, Service::Relay), (&server_address(), Service::Keyserver)] {
        identity.connect(address, service, Trust::Configured).await.unwrap_err();
        assert_eq!(identity.tickets(), 1, "not taken for {service:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn e2_a_recorded_first_flight_replayed_100_times_is_good_for_nothing() {
    let network = Network::new(1);
    let listener = listen(&network, Service::Relay, Limits::default());
    let identity = client(&network, 1);
    let first = (connect(&identity).await, listener.accept().await.unwrap());
    sleep(Duration::from_secs(1)).await;
    drop(first);
    // A resumed connection: everything of its client until the server has answered.
    network.record();
    let connection = connect(&identity).await;
    let FramedStream { reader: _reader, sender } = connection.control().await.unwrap();
    sender.send(b"put once").await.unwrap();
    let mut there = listener.accept().await.unwrap();
    assert!(identity.resumed());
    let Accepted::Control(mut stream) = there.accept_stream().await.unwrap() else { panic!() };
    assert_eq!(stream.reader.next().await.unwrap().as_deref(), Some(&b"put once"[..]));
    let recorded = sent_by(&network.recorded(), place(1));
    assert!(recorded.len() >= 3);
    connection.close(CloseCode::Done);
    drop((stream, there));
    sleep(Duration::from_secs(120)).await;
    let before = listener.counts();
    for round in 0..100 {
        for datagram in &recorded {
            // From where it came, and from elsewhere.
            let from = if round % 2 == 0 { place(9) } else { datagram.from };
            network.inject(&Datagram { from, ..datagram.clone() });
        }
        sleep(Duration::from_millis(200)).await;
    }
    sleep(Duration::from_secs(60)).await;
    let after = listener.counts();
    assert!(after.incoming > before.incoming, "the replays arrived");
    assert_eq!(after.connected, before.connected, "and no connection came of them");
    assert_eq!(after.open, 0);
}
