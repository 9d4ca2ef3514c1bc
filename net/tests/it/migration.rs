//! A client whose address changes while it is connected, as a phone's does, or one's behind a translator that has forgotten it.
use std::{net::SocketAddr, time::Duration};

use tokio::{net::UdpSocket, sync::mpsc, task::JoinHandle};
use waxwing_net::{FramedStream, Service, echo};

use crate::world::{TRUST, address, client, relay};

const LOCAL: (&str, u16) = ("127.0.0.1", 0);

/// Passes datagrams on between one client and a server, from another port whenever it is told to.
struct Translator {
    place: SocketAddr,
    changes: mpsc::Sender<()>,
    passing: JoinHandle<()>,
}

impl Translator {
    async fn before(server: SocketAddr) -> Self {
        let inside = UdpSocket::bind(LOCAL).await.unwrap();
        let place = inside.local_addr().unwrap();
        let (changes, asked) = mpsc::channel(1);
        Self { place, changes, passing: tokio::spawn(pass(inside, server, asked)) }
    }

    /// From now on the server sees another address; what it sends to the old one is lost.
    async fn change(&self) {
        self.changes.send(()).await.unwrap();
        // The second is taken when the first was done.
        self.changes.reserve().await.unwrap();
    }
}

impl Drop for Translator {
    fn drop(&mut self) {
        self.passing.abort();
    }
}

async fn pass(inside: UdpSocket, server: SocketAddr, mut asked: mpsc::Receiver<()>) {
    let mut outside = UdpSocket::bind(LOCAL).await.unwrap();
    let (mut from_client, mut from_server) = (vec![0; 65_536], vec![0; 65_536]);
    let mut client: Option<SocketAddr> = None;
    loop {
        tokio::select! {
            Some(()) = asked.recv() => outside = UdpSocket::bind(LOCAL).await.unwrap(),
            Ok((length, from)) = inside.recv_from(&mut from_client) => {
                client = Some(from);
                outside.send_to(&from_client[..length], server).await.unwrap();
            }
            Ok((length, _)) = outside.recv_from(&mut from_server) => {
                inside.send_to(&from_server[..length], client.expect("it spoke first")).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_connection_goes_on_when_the_clients_address_changes_and_loses_nothing() {
    let (listener, real) = relay();
    let server = listener.local_address();
    let serving = tokio::spawn(async move { echo::serve(&listener, echo::Answer::Same).await });
    let translator = Translator::before(server).await;
    let through = address(*real.key(), translator.place);
    let connection = client().connect(&through, Service::Relay, TRUST).await.unwrap();
    let FramedStream { mut reader, sender } = connection.control().await.unwrap();
    // QUIC lets nobody migrate before the handshake is confirmed (RFC 9000 §9), which both know by an answer.
    sender.send(&[9]).await.unwrap();
    assert_eq!(reader.next().await.unwrap(), Some(vec![9]));
    for number in 0..4_u8 {
        let payload = vec![number; 300_000];
        sender.send(&payload).await.unwrap();
        // In the middle of it. The server learns of the new address by the next that is said, if only by the keep-alive.
        translator.change().await;
        sender.send(&[number]).await.unwrap();
        for expected in [payload, vec![number]] {
            let answer = tokio::time::timeout(Duration::from_secs(20), reader.next()).await;
            assert_eq!(answer.unwrap_or_else(|_| panic!("round {number}: it does not go on")).unwrap(), Some(expected));
        }
        assert_eq!(connection.ended(), None);
    }
    serving.abort();
}
