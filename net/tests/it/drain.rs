//! How a server stops (spec §18.8).
use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use waxwing_net::{
    AttemptError, ClientConfig, CloseCode, Drained, Ended, FramedStream, ListenerConfig, Service, simulation::Network,
};
use waxwing_wire::frame::ErrorCode;

use crate::world::{TRUST, client_on, control, listen_on};

#[tokio::test(start_paused = true)]
async fn a_drain_tells_lets_finish_and_turns_newcomers_away() {
    let network = Network::new(1);
    let (listener, address) = listen_on(&network, ListenerConfig::new(Service::Relay));
    let listener = Arc::new(listener);
    let client = client_on(&network, 1, ClientConfig::default());
    let here = client.connect(&address, Service::Relay, TRUST).await.unwrap();
    let FramedStream { mut reader, sender } = here.control().await.unwrap();
    sender.send(b"hello").await.unwrap();
    let mut there = listener.accept().await.unwrap();
    let serving = tokio::spawn(async move {
        let stream = control(&mut there).await;
        there.handle().draining().await;
        stream.sender.send(b"going away").await.unwrap();
        stream.sender.finish().await.unwrap();
    });
    let draining = tokio::spawn({
        let listener = Arc::clone(&listener);
        async move { listener.drain(Duration::from_secs(20)).await }
    });
    assert_eq!(reader.next().await.unwrap().as_deref(), Some(&b"going away"[..]));
    assert_eq!(reader.next().await, Ok(None));
    assert_eq!(listener.accept().await.map(drop), None);
    serving.await.unwrap();
    assert_eq!(draining.await.unwrap(), Drained::Clean);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_go_is_closed_at_the_deadline() {
    let network = Network::new(1);
    let (listener, address) = listen_on(&network, ListenerConfig::new(Service::Relay));
    let client = client_on(&network, 1, ClientConfig::default());
    let here = client.connect(&address, Service::Relay, TRUST).await.unwrap();
    let there = listener.accept().await.unwrap();
    let begin = Instant::now();
    let newcomer = client_on(&network, 2, ClientConfig::default());
    let (drained, refused) = tokio::join!(listener.drain(Duration::from_secs(20)), async {
        tokio::task::yield_now().await;
        newcomer.connect(&address, Service::Relay, TRUST).await.unwrap_err().reason()
    });
    assert_eq!((drained, refused), (Drained::Forced(1), AttemptError::Refused));
    assert!(begin.elapsed() < Duration::from_secs(21), "{:?}", begin.elapsed());
    assert_eq!(here.closed().await, Ended::ClosedByPeer(CloseCode::Error(ErrorCode::Draining)));
    assert_eq!(there.handle().closed().await, Ended::ClosedHere);
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_is_dropped_closes_what_it_accepted() {
    let network = Network::new(1);
    let (listener, address) = listen_on(&network, ListenerConfig::new(Service::Relay));
    let client = client_on(&network, 1, ClientConfig::default());
    let here = client.connect(&address, Service::Relay, TRUST).await.unwrap();
    let _there = listener.accept().await.unwrap();
    drop(listener);
    assert_eq!(here.closed().await, Ended::ClosedByPeer(CloseCode::Error(ErrorCode::Draining)));
}
