//! A network that loses, doubles and reorders, servers that vanish and come back, and many clients at once.
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use proptest::prelude::*;
use waxwing_net::{
    Client, ClientConfig, Ended, FramedStream, Limits, ListenerConfig, Service, echo,
    simulation::{Datagram, Faults, Network, Way},
};

use crate::world::{TRUST, client, client_on, listen, listen_on};

fn cases() -> u32 {
    std::env::var("WAXWING_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(12)
}

/// Sends frames of these lengths to an echo through `faults`; how long it took.
async fn exchange(seed: u64, faults: Faults, lengths: &[usize]) -> Duration {
    let network = Network::new(seed);
    network.set(faults);
    let (listener, address) = listen_on(&network, ListenerConfig::new(Service::Relay));
    let serving = tokio::spawn(async move { echo::serve(&listener, echo::Answer::Same).await });
    let config = ClientConfig { attempt: Duration::from_secs(60), ..ClientConfig::default() };
    let client = client_on(&network, 1, config);
    let begin = tokio::time::Instant::now();
    let connection = client.connect(&address, Service::Relay, TRUST).await.unwrap();
    let FramedStream { mut reader, sender } = connection.control().await.unwrap();
    let frame = |(number, length): (usize, &usize)| [&number.to_be_bytes()[..], &vec![7; *length]].concat();
    let sending = async {
        for frame in lengths.iter().enumerate().map(frame) {
            sender.send(&frame).await.unwrap();
        }
    };
    let reading = async {
        for frame in lengths.iter().enumerate().map(frame) {
            assert_eq!(reader.next().await.unwrap(), Some(frame));
        }
    };
    tokio::join!(sending, reading);
    serving.abort();
    begin.elapsed()
}

fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn every_frame_arrives_once_and_in_order_through_loss_doubles_and_reordering(
        seed: u64,
        lost in 0_u16..150,
        doubled in 0_u16..200,
        jitter in 0_u64..60,
        lengths in prop::collection::vec(prop_oneof![1_usize..100, 2_560..2_561_usize, 1..70_000_usize], 1..60),
    ) {
        let faults = Faults { lost, doubled, jitter: Duration::from_millis(jitter), ..Faults::default() };
        paused().block_on(exchange(seed, faults, &lengths));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_comes_back_after_a_cut_and_resumes_with_a_new_exporter() {
    let network = Network::new(7);
    let (listener, address) = listen_on(&network, ListenerConfig::new(Service::Relay));
    let listener = Arc::new(listener);
    let serving = tokio::spawn({
        let listener = Arc::clone(&listener);
        async move { echo::serve(&listener, echo::Answer::Same).await }
    });
    let client = client_on(&network, 1, ClientConfig::default());
    let mut exporters = Vec::new();
    for round in 0..3_u8 {
        let connection = client.connect(&address, Service::Relay, TRUST).await.unwrap();
        let FramedStream { mut reader, sender } = connection.control().await.unwrap();
        sender.send(&[round]).await.unwrap();
        assert_eq!(reader.next().await.unwrap(), Some(vec![round]));
        assert!(!exporters.contains(connection.exporter().as_bytes()));
        exporters.push(*connection.exporter().as_bytes());
        network.cut(([10, 0, 0, 1], 443).into());
        sender.send(b"lost").await.unwrap();
        assert_eq!(reader.next().await, Err(waxwing_net::StreamError::Ended(Ended::TimedOut)));
        let error = client.connect(&address, Service::Relay, TRUST).await.unwrap_err();
        assert_eq!(error.reason(), waxwing_net::AttemptError::Unreachable);
        network.heal(([10, 0, 0, 1], 443).into());
    }
    // Those that were cut off are gone here as well, and took nothing with them.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(listener.counts().open, 0);
    serving.abort();
}

#[tokio::test(start_paused = true)]
async fn a_short_cut_is_survived() {
    let network = Network::new(7);
    let (listener, address) = listen_on(&network, ListenerConfig::new(Service::Relay));
    let serving = tokio::spawn(async move { echo::serve(&listener, echo::Answer::Same).await });
    let client = client_on(&network, 1, ClientConfig::default());
    let connection = client.connect(&address, Service::Relay, TRUST).await.unwrap();
    let FramedStream { mut reader, sender } = connection.control().await.unwrap();
    sender.send(b"first").await.unwrap();
    assert!(reader.next().await.unwrap().is_some());
    for round in 0..5_u8 {
        network.cut(([10, 0, 0, 1], 443).into());
        sender.send(&[round]).await.unwrap();
        tokio::time::sleep(Duration::from_secs(12)).await;
        network.heal(([10, 0, 0, 1], 443).into());
        assert_eq!(reader.next().await.unwrap(), Some(vec![round]));
    }
    serving.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_clients_is_served_under_retry_and_leaves_nothing_behind() {
    const CLIENTS: usize = 300;
    let limits = Limits { retry: waxwing_net::Retry::Above(8), ..Limits::default() };
    let (listener, address) = listen(ListenerConfig { limits, ..ListenerConfig::new(Service::Relay) });
    let listener = Arc::new(listener);
    let serving = tokio::spawn({
        let listener = Arc::clone(&listener);
        async move { echo::serve(&listener, echo::Answer::Same).await }
    });
    let mut storm = tokio::task::JoinSet::new();
    for number in 0..CLIENTS {
        let address = address.clone();
        storm.spawn(async move {
            let config = ClientConfig { attempt: Duration::from_secs(60), ..ClientConfig::default() };
            let client = Client::new(config).unwrap();
            let connection = client.connect(&address, Service::Relay, TRUST).await.unwrap();
            let FramedStream { mut reader, sender } = connection.control().await.unwrap();
            let payload = vec![u8::try_from(number % 251).unwrap(); 2_560];
            sender.send(&payload).await.unwrap();
            assert_eq!(reader.next().await.unwrap(), Some(payload));
            client.close().await;
        });
    }
    while let Some(done) = storm.join_next().await {
        done.unwrap();
    }
    let counts = listener.counts();
    assert_eq!(counts.connected, u64::try_from(CLIENTS).unwrap());
    assert_eq!((counts.refused, counts.malformed, counts.too_slow), (0, 0, 0));
    // Every one has closed; the last ones are being noticed.
    while listener.counts().open > 0 {
        tokio::task::yield_now().await;
    }
    drop(client());
    serving.abort();
}

/// What happens to the n-th datagram between two sockets does not depend on what others send, and comes again with the seed.
#[test]
fn faults_replay_by_seed_whatever_else_travels() {
    let lost = |seed: u64, noise: bool| {
        paused().block_on(async {
            let network = Network::new(seed);
            network.set(Faults { lost: 300, doubled: 200, ..Faults::default() });
            let at = |number: u8| SocketAddr::from(([10, 0, 0, number], 1));
            let mut fates = Vec::new();
            for number in 0..200 {
                if noise && number % 3 == 0 {
                    network.inject(&Datagram { from: at(9), to: at(2), bytes: vec![0] });
                }
                let before = network.tally();
                network.inject(&Datagram { from: at(1), to: at(2), bytes: vec![number] });
                let after = network.tally();
                fates.push((after.lost - before.lost, after.doubled - before.doubled));
            }
            fates
        })
    };
    assert_eq!(lost(7, false), lost(7, true));
    assert_ne!(lost(7, false), lost(8, false));
    let count = |fates: &[(u64, u64)], some: fn(&(u64, u64)) -> bool| fates.iter().filter(|fate| some(fate)).count();
    assert!((40..100).contains(&count(&lost(7, false), |fate| fate.0 > 0)), "about three of ten are lost");
    assert!((20..70).contains(&count(&lost(7, false), |fate| fate.1 > 0)), "about two of ten are doubled");
}

/// What is closed is closed in its direction only, for whomever it names.
#[tokio::test(start_paused = true)]
async fn each_way_is_closed_by_itself() {
    let at = |number: u8| SocketAddr::from(([10, 0, 0, number], 1));
    let [one, two] = [at(1), at(2)];
    for (from, to) in [(Some(one.ip()), Some(two.ip())), (Some(one.ip()), None), (None, Some(two.ip())), (None, None)] {
        let network = Network::new(1);
        network.close(Way { from, to });
        let is_closed = |from, to| {
            let before = network.tally().closed;
            network.inject(&Datagram { from, to, bytes: vec![0] });
            network.tally().closed > before
        };
        assert!(is_closed(one, two), "{from:?} to {to:?}");
        assert_eq!(is_closed(two, one), (from, to) == (None, None), "{from:?} to {to:?}, back");
        network.open(Way { from, to });
        assert!(!is_closed(one, two), "{from:?} to {to:?} is open again");
    }
}

/// A way is closed in its direction only, and a machine that ended sends nothing more, also when another took its place.
#[tokio::test(start_paused = true)]
async fn ways_are_closed_by_direction_and_machines_end() {
    let network = Network::new(1);
    let (listener, address) = listen_on(&network, ListenerConfig::new(Service::Relay));
    let serving = tokio::spawn(async move { echo::serve(&listener, echo::Answer::Same).await });
    let here = IpAddr::from([10, 3, 0, 1]);
    let config = ClientConfig { machine: network.machine(here), ..ClientConfig::default() };
    let client = Client::new(config.clone()).unwrap();
    let connection = client.connect(&address, Service::Relay, TRUST).await.unwrap();
    let FramedStream { mut reader, sender } = connection.control().await.unwrap();
    let back = Way { from: None, to: Some(here) };
    network.close(back);
    let cut = network.tally().closed;
    sender.send(&[1]).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(2), reader.next()).await.is_err(), "no answer comes back");
    assert!(network.tally().closed > cut);
    network.open(back);
    assert_eq!(reader.next().await.unwrap(), Some(vec![1]));
    let there = Way { from: Some(here), to: None };
    network.close(there);
    sender.send(&[2]).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(2), reader.next()).await.is_err(), "nothing gets there");
    network.open_all();
    assert_eq!(reader.next().await.unwrap(), Some(vec![2]));
    network.end(here);
    let sent = network.tally().sent;
    sender.send(&[3]).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(2), reader.next()).await.is_err());
    // The server still sends to it; from it comes nothing.
    network.record();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(network.recorded().iter().all(|datagram| datagram.from.ip() != here));
    assert!(network.tally().sent >= sent);
    // Another process at the same machine reaches the server.
    let again = Client::new(config).unwrap();
    again.connect(&address, Service::Relay, TRUST).await.unwrap();
    serving.abort();
}
