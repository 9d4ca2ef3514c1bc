//! The bare echo, the yardstick of whatever does more: a frame on one long-lived stream over loopback, one at a time and many at
//! once; and handshakes.
//!
//! `cargo bench -p waxwing-net`. Figures move with the machine: compare within one run only.
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::Runtime;
use waxwing_net::{Client, ClientConfig, FramedStream, Limits, Listener, ListenerConfig, Service, Trust, echo};
use waxwing_wire::{address::ServerAddress, keys::ServerKey};

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// An echo that answers with 12 bytes, as an ack would be.
fn serve(runtime: &Runtime) -> ServerAddress {
    let _inside = runtime.enter();
    let limits = Limits { connections_per_source: usize::MAX, ..Limits::default() };
    let config = ListenerConfig { limits, ..ListenerConfig::new(Service::Relay) };
    let key = ServerKey::from_seed(&[1; 32]);
    let listener = Arc::new(Listener::bind(([127, 0, 0, 1], 0).into(), &key, config).unwrap());
    let host = listener.local_address().to_string().parse().unwrap();
    let address = ServerAddress::new(*listener.key(), vec![host]).unwrap();
    runtime.spawn(async move { echo::serve(&listener, echo::Answer::First(12)).await });
    address
}

async fn open(address: &ServerAddress) -> (Client, FramedStream) {
    let client = Client::new(ClientConfig::default()).unwrap();
    let connection = client.connect(address, Service::Relay, Trust::Configured).await.unwrap();
    (client, connection.control().await.unwrap())
}

/// Sends `count` frames with at most `in_flight` of them unanswered.
async fn exchange(stream: &mut FramedStream, payload: &[u8], count: u64, in_flight: u64) {
    let FramedStream { reader, sender } = stream;
    let (mut sent, mut answered) = (0_u64, 0_u64);
    while answered < count {
        while sent < count && sent.saturating_sub(answered) < in_flight {
            sender.send(payload).await.unwrap();
            sent = sent.saturating_add(1);
        }
        let mut batch = reader.read().await.unwrap().unwrap();
        while batch.next().unwrap().is_some() {
            answered = answered.saturating_add(1);
        }
    }
}

fn frames(criterion: &mut Criterion) {
    let runtime = runtime();
    let address = serve(&runtime);
    let mut group = criterion.benchmark_group("echo");
    group.sample_size(20).measurement_time(Duration::from_secs(4)).throughput(Throughput::Elements(1));
    for (name, bytes, in_flight) in [
        ("32 B, 1 in flight", 32, 1),
        ("2,560 B, 1 in flight", 2_560, 1),
        ("2,560 B, 64 in flight", 2_560, 64),
        ("2,560 B, 256 in flight", 2_560, 256),
        ("2,560 B, 1,024 in flight", 2_560, 1_024),
    ] {
        let payload = vec![7; bytes];
        let (_client, mut stream) = runtime.block_on(open(&address));
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|count| {
                let begin = Instant::now();
                runtime.block_on(exchange(&mut stream, &payload, count, in_flight));
                begin.elapsed()
            });
        });
    }
    group.finish();
}

fn handshakes(criterion: &mut Criterion) {
    let runtime = runtime();
    let address = serve(&runtime);
    let mut group = criterion.benchmark_group("handshake");
    group.sample_size(20).measurement_time(Duration::from_secs(4));
    let connect = async |client: &Client| {
        let connection = client.connect(&address, Service::Relay, Trust::Configured).await.unwrap();
        let mut stream = connection.control().await.unwrap();
        exchange(&mut stream, b"hello", 1, 1).await;
    };
    group.bench_function("full, a new identity", |bencher| {
        bencher.iter(|| runtime.block_on(async { connect(&Client::new(ClientConfig::default()).unwrap()).await }));
    });
    let client = runtime.block_on(async { Client::new(ClientConfig::default()).unwrap() });
    group.bench_function("resumed by a ticket", |bencher| {
        bencher.iter(|| runtime.block_on(connect(&client)));
    });
    group.finish();
}

criterion_group!(benches, frames, handshakes);
criterion_main!(benches);
