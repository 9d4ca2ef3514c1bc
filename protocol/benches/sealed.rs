//! Sealed sender, in units of one x25519-dalek ladder measured in the same run.
//!
//! ```sh
//! cargo bench -p waxwing-protocol --bench sealed
//! ```
//! Criterion's own figures come first; the table at the end is a second, shorter measurement, the median of many calls
//! and the best of them, which says more where other work goes on.
//! Whole operations: keys are parsed beforehand as an app's store has them (33 bytes checked, point not kept).
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, clippy::as_conversions, reason = "a benchmark")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use waxwing_protocol::sealed::{
    CertificateKeyPair, Content, ContentKind, EnvelopeSize, Issuer, OwnDevice, Padding, SealedMessage, Sender,
    SenderCertificate, ServerCertificate, ServerCertificateIn, ServerReference, Trust,
};
use waxwing_protocol::{DeviceAddress, DeviceId, IdentityKey, IdentityKeyPair, ServiceId, Timestamp};
use x25519_dalek::{PublicKey, StaticSecret};

struct Scene {
    rng: ChaCha20Rng,
    alice: IdentityKeyPair,
    bob: IdentityKeyPair,
    certificate: SenderCertificate,
    trust: Trust,
    recipients: Vec<IdentityKey>,
}

/// Below the number from which threads are used (`sealed/parallel.rs`).
const ON_ONE_CORE: usize = 15;
const MANY: usize = 256;
const MESSAGE: [u8; 1_024] = [7; 1_024];

impl Scene {
    fn new() -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let (root, server) = (CertificateKeyPair::generate(&mut rng), CertificateKeyPair::generate(&mut rng));
        let (alice, bob) = (IdentityKeyPair::generate(&mut rng), IdentityKeyPair::generate(&mut rng));
        let certificate = ServerCertificate::issue(5, server.public_key(), &root, &mut rng).unwrap();
        let mut trust = Trust::new([root.public_key()]);
        trust.add_server(&ServerCertificateIn::decode(certificate.as_bytes()).unwrap()).unwrap();
        let sender =
            Sender { address: address(1), e164: None, identity_key: *alice.public_key(), expires: Timestamp(1) };
        let issuer = Issuer::new(certificate, server).unwrap();
        let certificate = issuer.issue(sender, ServerReference::Embedded, &mut rng);
        let recipients = (0..MANY).map(|_| *IdentityKeyPair::generate(&mut rng).public_key()).collect();
        Self { rng, alice, bob, certificate, trust, recipients }
    }

    fn content(&self) -> Content<'_> {
        Content::new(&self.certificate, ContentKind::SenderKey, &MESSAGE)
    }

    fn fan_out(&self, count: usize) {
        let recipients = self.recipients.get(..count).unwrap();
        black_box(self.content().seal_fan_out(&self.alice, recipients, &mut self.rng.clone()).unwrap());
    }

    fn seal_v1(&self) -> Vec<u8> {
        self.content().seal_v1(&self.alice, self.bob.public_key(), &mut self.rng.clone()).unwrap()
    }

    fn envelope(&self) -> Vec<u8> {
        let content = self.content().with_padding(Padding::To(EnvelopeSize::B2560));
        let fan_out = content.seal_fan_out(&self.alice, &[*self.bob.public_key()], &mut self.rng.clone()).unwrap();
        fan_out.envelope(0).unwrap()
    }

    fn open(&self, message: &SealedMessage) {
        black_box(message.open(&self.bob).unwrap());
    }

    fn open_and_verify(&self, bytes: &[u8]) {
        let content = SealedMessage::from_envelope(bytes).unwrap().open(&self.bob).unwrap();
        black_box(content.verify(&self.trust, Timestamp(0), OwnDevice { address: address(2), e164: None }).unwrap());
    }
}

fn address(account: u8) -> DeviceAddress {
    DeviceAddress { service_id: ServiceId::aci([account; 16]), device_id: DeviceId::new(1).unwrap() }
}

/// The unit: x25519-dalek's Montgomery ladder.
struct Ladder {
    secret: StaticSecret,
    public: PublicKey,
}

impl Ladder {
    fn new() -> Self {
        Self { secret: StaticSecret::from([7; 32]), public: PublicKey::from(&StaticSecret::from([9; 32])) }
    }

    fn climb(&self) {
        black_box(self.secret.diffie_hellman(black_box(&self.public)));
    }
}

fn criterion_figures(c: &mut Criterion) {
    let (scene, ladder) = (Scene::new(), Ladder::new());
    c.bench_function("unit: x25519-dalek ladder", |b| b.iter(|| ladder.climb()));
    c.bench_function("v1 seal", |b| b.iter(|| scene.seal_v1()));
    let v1 = SealedMessage::decode(&scene.seal_v1()).unwrap();
    c.bench_function("v1 open", |b| b.iter(|| scene.open(&v1)));
    let envelope = scene.envelope();
    let v2 = SealedMessage::from_envelope(&envelope).unwrap();
    c.bench_function("v2 open", |b| b.iter(|| scene.open(&v2)));
    c.bench_function("v2 open and verify, known server", |b| b.iter(|| scene.open_and_verify(&envelope)));
    let mut group = c.benchmark_group("v2 seal");
    for count in [1, ON_ONE_CORE, MANY] {
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(format!("{count} recipients"), |b| b.iter(|| scene.fan_out(count)));
    }
}

/// A line of the table; `share` is what one call's time is divided by.
struct Row<'a> {
    name: &'static str,
    share: f64,
    operation: Box<dyn Fn() + 'a>,
}

/// The median time of one call: operations take turns, so that a slow moment slows them alike, and each call is short beside
/// a scheduler's slice, so that other work on the machine mostly falls between calls.
fn table() {
    let (scene, ladder) = (Scene::new(), Ladder::new());
    let envelope = scene.envelope();
    let (v1, v2) = (SealedMessage::decode(&scene.seal_v1()).unwrap(), SealedMessage::from_envelope(&envelope).unwrap());
    let row = |name, share, operation| Row { name, share, operation };
    let operations: [Row<'_>; 8] = [
        row("x25519-dalek ladder", 1.0, Box::new(|| ladder.climb())),
        row("v1 seal", 1.0, Box::new(|| drop(black_box(scene.seal_v1())))),
        row("v1 open", 1.0, Box::new(|| scene.open(&v1))),
        row("v2 open", 1.0, Box::new(|| scene.open(&v2))),
        row("v2 open and verify, known server", 1.0, Box::new(|| scene.open_and_verify(&envelope))),
        row("v2 seal, 1 recipient", 1.0, Box::new(|| scene.fan_out(1))),
        row("v2 seal, per recipient of 15, one core", ON_ONE_CORE as f64, Box::new(|| scene.fan_out(ON_ONE_CORE))),
        row("v2 seal, per recipient of 256, all cores", MANY as f64, Box::new(|| scene.fan_out(MANY))),
    ];
    let mut times: Vec<Vec<Duration>> = operations.iter().map(|_| Vec::new()).collect();
    for _ in 0..400 {
        for (row, times) in operations.iter().zip(&mut times) {
            let start = Instant::now();
            (row.operation)();
            times.push(start.elapsed());
        }
    }
    let mut units = [1.0; 2];
    println!("\n{:<42} {:>10} {:>8} {:>10} {:>8}", "", "us", "units", "best us", "units");
    for (index, (Row { name, share, .. }, mut times)) in operations.iter().zip(times).enumerate() {
        times.sort();
        let [median, best] = [times.len() / 2, 0].map(|at| times.get(at).unwrap().as_secs_f64() * 1e6 / share);
        if index == 0 {
            units = [median, best];
        }
        let [unit, best_unit] = units;
        println!("{name:<42} {median:>10.1} {:>8.2} {best:>10.1} {:>8.2}", median / unit, best / best_unit);
    }
}

criterion_group!(benches, criterion_figures);

fn main() {
    if std::env::args().any(|argument| argument == "--table") {
        return table();
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
    table();
}
