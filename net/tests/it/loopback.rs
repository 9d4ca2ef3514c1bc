//! Connections over real sockets.
use waxwing_net::{FramedStream, Service, echo};

use crate::world::{TRUST, client, relay};

#[tokio::test]
async fn a_frame_comes_back_from_an_echo() {
    let (listener, address) = relay();
    let serving = tokio::spawn(async move { echo::serve(&listener, echo::Answer::Same).await });
    let connection = client().connect(&address, Service::Relay, TRUST).await.unwrap();
    let FramedStream { mut reader, sender } = connection.control().await.unwrap();
    for length in [1, 2_560, 65_536, 1_114_112] {
        let payload = vec![7; length];
        sender.send(&payload).await.unwrap();
        assert_eq!(reader.next().await.unwrap(), Some(payload));
    }
    serving.abort();
}

#[tokio::test]
async fn both_ends_export_the_same_and_no_other_connection_does() {
    let (listener, address) = relay();
    let client = client();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let here = client.connect(&address, Service::Relay, TRUST).await.unwrap();
        let there = listener.accept().await.unwrap();
        assert_eq!(here.exporter().as_bytes(), there.exporter().as_bytes());
        assert!(!seen.contains(here.exporter().as_bytes()), "also when the session was resumed");
        seen.push(*here.exporter().as_bytes());
        assert_eq!(here.leaf(), listener.leaf());
    }
}
