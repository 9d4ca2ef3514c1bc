//! What verifying costs (spec §11.5): a manifest of 16 devices beside 17 strict Ed25519 verifications, in one run.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a benchmark may stop"
)]

#[path = "../tests/forge/mod.rs"]
mod forge;

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::{Criterion, criterion_group, criterion_main};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use waxwing_wire::{
    history, keys::RecoveryPublicKey, manifest::ManifestIn, statement::GenerationStatementIn, time::Timestamp,
};

use forge::{NOW, vectors::ALICE};

fn identity(criterion: &mut Criterion) {
    let recovery = RecoveryPublicKey::from_bytes(&ALICE.recovery()).unwrap();
    let statement = GenerationStatementIn::decode(&ALICE.statement(0).encode()).unwrap().verify(&recovery).unwrap();
    let sixteen = (2..=16).fold(ALICE.first(0), |manifest, seed| manifest.with_device(seed)).encode();
    let now = Timestamp(NOW);
    let verify = |bytes: &[u8]| ManifestIn::decode(bytes).unwrap().verify(&statement, now).unwrap();

    // The yardstick: what a manifest must verify at least, each with its key as bytes, as it comes from outside.
    let message = [7; 160];
    let signed: Vec<(SigningKey, Signature)> = (1..=17)
        .map(|seed| {
            let key = SigningKey::from_bytes(&[seed; 32]);
            let signature = key.sign(&message);
            (key, signature)
        })
        .collect();
    let pairs: Vec<_> =
        signed.iter().map(|(key, signature)| (key.verifying_key().to_bytes(), signature.to_bytes())).collect();

    let seventeen = || {
        for (key, signature) in &pairs {
            let key = VerifyingKey::from_bytes(black_box(key)).unwrap();
            key.verify_strict(&message, &Signature::from_bytes(signature)).unwrap();
        }
    };
    compare(seventeen, || drop(verify(black_box(&sixteen))));

    let mut group = criterion.benchmark_group("identity");
    group.bench_function("17 Ed25519 verify_strict", |bencher| bencher.iter(seventeen));
    group.bench_function("manifest of 16 devices, decoded and verified", |bencher| {
        bencher.iter(|| verify(black_box(&sixteen)));
    });
    let (one, two) = (verify(&sixteen), verify(&sixteen));
    group.bench_function("precedence and compatibility of two manifests", |bencher| {
        bencher.iter(|| (history::precedence(black_box(&one), &two), history::compatible(black_box(&one), &two)));
    });
    group.finish();
}

/// The floor of spec §11.5, in 400 interleaved rounds so that whatever else the machine does meets both: medians decide.
fn compare(mut yardstick: impl FnMut(), mut manifest: impl FnMut()) {
    let mut times: [Vec<Duration>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..400 {
        let works: [&mut dyn FnMut(); 2] = [&mut yardstick, &mut manifest];
        for (times, work) in times.iter_mut().zip(works) {
            let start = Instant::now();
            work();
            times.push(start.elapsed());
        }
    }
    let [yardstick, manifest] = times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    });
    let ratio = manifest.as_secs_f64() / yardstick.as_secs_f64();
    println!("17 Ed25519 verifications {yardstick:?}, manifest of 16 devices {manifest:?}: {ratio:.3}, floor 1");
    assert!(ratio < 1.0, "a manifest of 16 devices takes longer than 17 Ed25519 verifications");
}

criterion_group!(benches, identity);
criterion_main!(benches);
