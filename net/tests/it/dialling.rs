//! From an address to a connection: every way in which it fails says what to do (spec §18.9.2).
use std::time::Duration;

use waxwing_net::{
    Attempt, AttemptError, ClientConfig, Limits, ListenerConfig, Retry, Service, Trust, simulation::Network,
};
use waxwing_wire::address::{Host, ServerAddress};

use crate::world::{TRUST, client, client_on, key, listen_on, relay};

fn hosts(texts: &[&str]) -> ServerAddress {
    ServerAddress::new(key(1).public_key(), texts.iter().map(|text| text.parse().unwrap()).collect()).unwrap()
}

#[tokio::test]
async fn what_leads_into_a_private_network_is_not_spoken_to_unless_configured() {
    let (listener, _) = relay();
    let port = listener.local_address().port();
    let client = client();
    // A literal, and a name that resolves to one.
    for host in [format!("127.0.0.1:{port}"), format!("localhost:{port}")] {
        let address = hosts(&[&host]);
        let error = client.connect(&address, Service::Relay, Trust::Public).await.unwrap_err();
        assert_eq!(error.reason(), AttemptError::NotPublic, "{host}");
        client.connect(&address, Service::Relay, Trust::Configured).await.unwrap();
    }
    assert_eq!(listener.counts().incoming, 2, "nothing was sent before");
}

#[tokio::test]
async fn a_name_without_an_address_is_said_to_have_none() {
    let error = client().connect(&hosts(&["nowhere.invalid:443"]), Service::Relay, TRUST).await.unwrap_err();
    let host: Host = "nowhere.invalid:443".parse().unwrap();
    assert_eq!(error.attempts, [Attempt { host, error: AttemptError::Unresolved }]);
    assert_eq!(
        error.to_string(),
        "no connection: nowhere.invalid:443: the name does not resolve; check it, or the network"
    );
}

#[tokio::test(start_paused = true)]
async fn hosts_are_tried_in_order_and_the_first_that_answers_serves() {
    let network = Network::new(1);
    let (listener, _) = listen_on(&network, ListenerConfig::new(Service::Relay));
    let client = client_on(&network, 1, ClientConfig::default());
    let begin = tokio::time::Instant::now();
    let address = hosts(&["10.0.0.9:443", "10.0.0.1:443", "10.0.0.8:443"]);
    client.connect(&address, Service::Relay, TRUST).await.unwrap();
    assert!(listener.accept().await.is_some());
    let elapsed = begin.elapsed();
    assert!((Duration::from_secs(5)..Duration::from_secs(6)).contains(&elapsed), "{elapsed:?}");
    let error = client.connect(&hosts(&["10.0.0.9:443", "10.0.0.8:1"]), Service::Relay, TRUST).await.unwrap_err();
    let errors: Vec<_> = error.attempts.iter().map(|attempt| attempt.error).collect();
    assert_eq!(errors, [AttemptError::Unreachable; 2]);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_key_is_reported_before_a_host_that_is_silent() {
    let network = Network::new(1);
    let (_listener, _) = listen_on(&network, ListenerConfig::new(Service::Relay));
    let client = client_on(&network, 1, ClientConfig::default());
    let hosts = hosts(&["10.0.0.1:443", "10.0.0.9:443"]).hosts().to_vec();
    let address = ServerAddress::new(key(2).public_key(), hosts).unwrap();
    let error = client.connect(&address, Service::Relay, TRUST).await.unwrap_err();
    assert_eq!(error.reason(), AttemptError::WrongKey);
    assert_eq!(error.attempts.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_full_server_says_so_and_retry_costs_one_round_trip() {
    let network = Network::new(1);
    let limits = Limits { connections: 1, retry: Retry::Always, ..Limits::default() };
    let (listener, address) = listen_on(&network, ListenerConfig { limits, ..ListenerConfig::new(Service::Relay) });
    let client = client_on(&network, 1, ClientConfig::default());
    let begin = tokio::time::Instant::now();
    let _connection = client.connect(&address, Service::Relay, TRUST).await.unwrap();
    let elapsed = begin.elapsed();
    assert!((Duration::from_millis(40)..Duration::from_millis(60)).contains(&elapsed), "two of 20 ms: {elapsed:?}");
    let error = client.connect(&address, Service::Relay, TRUST).await.unwrap_err();
    assert_eq!(error.reason(), AttemptError::Refused);
    let counts = listener.counts();
    assert_eq!((counts.retried, counts.refused, counts.open), (2, 1, 1));
}
