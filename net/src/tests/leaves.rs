//! Leaves under the pinned key (spec §18.1 and §18.2).
use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::sleep;
use waxwing_wire::time::Timestamp;

use super::*;
use crate::{AttemptError, FramedStream, LeafNumber, echo, leaf::Leaves, simulation::Network};

/// A clock that is set by hand.
#[derive(Clone)]
struct Hand(Arc<AtomicU64>);

impl Hand {
    fn at(millis: u64) -> Self {
        Self(Arc::new(AtomicU64::new(millis)))
    }

    fn clock(&self) -> Clock {
        let time = Arc::clone(&self.0);
        Clock::new(move || Timestamp(time.load(Ordering::SeqCst)))
    }

    fn pass(&self, days: u64) {
        self.0.fetch_add(days * DAY, Ordering::SeqCst);
    }

    fn back(&self, days: u64) {
        self.0.fetch_sub(days * DAY, Ordering::SeqCst);
    }
}

const DAY: u64 = 86_400_000;
const BEGIN: u64 = 1_800_000_000_000;

async fn attempt(network: &Network, config: ClientConfig) -> Result<LeafNumber, AttemptError> {
    // A port is free again only after the last packets of who had it.
    static NEXT: AtomicU8 = AtomicU8::new(0);
    let n = 100 + NEXT.fetch_add(1, Ordering::SeqCst) % 100;
    let client = Client::on(network.socket(place(n)).unwrap(), config).unwrap();
    let connected = client.connect(&server_address(), Service::Relay, Trust::Configured).await;
    connected.map(|connection| connection.leaf()).map_err(|error| error.reason())
}

#[tokio::test(start_paused = true)]
async fn a_leaf_is_renewed_while_running_and_no_connection_notices() {
    let (network, hand) = (Network::new(1), Hand::at(BEGIN));
    let config = ListenerConfig { clock: hand.clock(), ..ListenerConfig::new(Service::Relay) };
    let listener = Arc::new(Listener::on(network.socket(SERVER).unwrap(), &server_key(), config).unwrap());
    let serving = tokio::spawn({
        let listener = Arc::clone(&listener);
        async move { echo::serve(&listener, echo::Answer::Same).await }
    });
    let config = ClientConfig { clock: hand.clock(), ..ClientConfig::default() };
    let client = Client::on(network.socket(place(1)).unwrap(), config.clone()).unwrap();
    let connection = connect(&client).await;
    let FramedStream { mut reader, sender } = connection.control().await.unwrap();
    sender.send(b"first").await.unwrap();
    assert!(reader.next().await.unwrap().is_some());
    let mut seen = vec![connection.leaf()];
    assert_eq!(connection.leaf(), LeafNumber(BEGIN));
    for days in [29, 2, 30, 80] {
        hand.pass(days);
        // The hour in which it is looked at passes.
        sleep(Duration::from_secs(3_600)).await;
        sender.send(b"still").await.unwrap();
        assert_eq!(reader.next().await.unwrap().as_deref(), Some(&b"still"[..]), "after {days} days");
        seen.push(attempt(&network, config.clone()).await.unwrap());
        assert_eq!(seen.last(), Some(&listener.leaf()));
    }
    assert_eq!(connection.leaf(), seen[0]);
    let expected: Vec<_> = [0, 0, 31, 61, 141].map(|days| LeafNumber(BEGIN + days * DAY)).into();
    assert_eq!(seen, expected, "on day 29 the first one still serves");
    serving.abort();
}

#[tokio::test(start_paused = true)]
async fn a_client_refuses_another_key_a_wrong_date_and_an_older_leaf() {
    let (network, hand) = (Network::new(1), Hand::at(BEGIN));
    let config = ListenerConfig { clock: hand.clock(), ..ListenerConfig::new(Service::Relay) };
    let _listener = Listener::on(network.socket(SERVER).unwrap(), &server_key(), config).unwrap();
    let at = |millis| ClientConfig { clock: Hand::at(millis).clock(), ..ClientConfig::default() };
    let good = LeafNumber(BEGIN);
    for (millis, expected) in [
        (BEGIN, Ok(good)),
        (BEGIN - 2 * DAY + 2_000, Ok(good)),
        (BEGIN - 2 * DAY - 2_000, Err(AttemptError::Dates)),
        (BEGIN + 90 * DAY - 2_000, Ok(good)),
        (BEGIN + 90 * DAY + 2_000, Err(AttemptError::Dates)),
    ] {
        assert_eq!(attempt(&network, at(millis)).await, expected, "{}", i128::from(millis) - i128::from(BEGIN));
    }
    for (least, expected) in
        [(BEGIN, Ok(good)), (BEGIN + 1, Err(AttemptError::RolledBack { found: good, least: LeafNumber(BEGIN + 1) }))]
    {
        let config = ClientConfig { least_leaf: LeafNumber(least), ..at(BEGIN) };
        assert_eq!(attempt(&network, config).await, expected);
    }
    let client = Client::on(network.socket(place(2)).unwrap(), at(BEGIN)).unwrap();
    let other = ServerKey::from_seed(&[2; 32]).public_key();
    let pinned = ServerAddress::new(other, server_address().hosts().to_vec()).unwrap();
    let error = client.connect(&pinned, Service::Relay, Trust::Configured).await.unwrap_err();
    assert_eq!(error.reason(), AttemptError::WrongKey);
    let error = client.connect(&server_address(), Service::Keyserver, Trust::Configured).await.unwrap_err();
    assert_eq!(error.reason(), AttemptError::NoProtocol);
}

#[tokio::test(start_paused = true)]
async fn an_older_leaf_is_refused_on_a_resumed_session_too() {
    let (network, hand) = (Network::new(1), Hand::at(BEGIN));
    let config = ListenerConfig { clock: hand.clock(), ..ListenerConfig::new(Service::Relay) };
    let listener = Listener::on(network.socket(SERVER).unwrap(), &server_key(), config).unwrap();
    let config = ClientConfig { clock: hand.clock(), ..ClientConfig::default() };
    let mut client = Client::on(network.socket(place(1)).unwrap(), config).unwrap();
    let first = connect(&client).await;
    let _there = listener.accept().await.unwrap();
    sleep(Duration::from_secs(1)).await;
    client.require(LeafNumber(BEGIN + 1));
    let error = client.connect(&server_address(), Service::Relay, Trust::Configured).await.unwrap_err();
    let expected = AttemptError::RolledBack { found: first.leaf(), least: LeafNumber(BEGIN + 1) };
    assert_eq!(error.reason(), expected);
}

#[test]
fn numbers_ascend_whatever_the_clock_does() {
    let hand = Hand::at(BEGIN);
    let leaves = Leaves::new(&server_key(), hand.clock()).unwrap();
    assert_eq!(leaves.number(), LeafNumber(BEGIN));
    assert_eq!(leaves.renew_if_due(), Ok(None));
    hand.back(1);
    assert_eq!(leaves.renew_if_due(), Ok(None), "a clock that is a little behind changes nothing");
    hand.back(40);
    assert_eq!(leaves.renew_if_due(), Ok(Some(LeafNumber(BEGIN + 1))), "the leaf is not valid yet by this clock");
    hand.pass(200);
    assert_eq!(leaves.renew_if_due(), Ok(Some(LeafNumber(BEGIN + 159 * DAY))));
}

#[test]
fn a_clock_out_of_range_is_an_error() {
    for millis in [221_845_392_000_001, u64::MAX] {
        assert!(Leaves::new(&server_key(), Hand::at(millis).clock()).is_err(), "{millis}");
    }
    for millis in [0, 1, 127, 128, 255, 256, BEGIN, 221_845_392_000_000] {
        let leaves = Leaves::new(&server_key(), Hand::at(millis).clock()).unwrap();
        assert_eq!(leaves.shown(), Some(LeafNumber(millis)), "the certificate says {millis}");
    }
}
