//! Sealed objects beside bare AES-256-GCM in the same run, and what a proof of work costs.
//!
//! `cargo bench -p waxwing-wire --bench sealed`; `-- --floor` measures interleaved rounds instead and fails below 0.8.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    reason = "a benchmark may stop, and criterion's macros have no documentation"
)]
use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use aes_gcm::{Aes256Gcm, KeyInit, Nonce, aead::AeadInOut};
use criterion::{Criterion, Throughput};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use waxwing_wire::{
    padding::EnvelopeHash,
    pow::{Challenge, Difficulty, Puzzle},
    sealed::{Header, ObjectSecret, Opener, Progress, Purpose, Sealer},
};

/// What an object of 8 MiB holds, so that both sides encrypt as much: padding is not the cipher's cost.
const LENGTH: usize = (8 << 20) - 65 - 128 * 16 - 8;
const PIECE: usize = 64 << 10;
const FLOOR: f64 = 0.8;

fn main() {
    if std::env::args().any(|argument| argument == "--floor") {
        return floor();
    }
    let mut criterion = Criterion::default().configure_from_args();
    let content = vec![0x5a; LENGTH];
    let object = seal(&content);
    let mut group = criterion.benchmark_group("sealed");
    group.throughput(Throughput::Bytes(LENGTH as u64)).sample_size(20);
    group.bench_function("bare AES-256-GCM, encrypt", |bench| bench.iter(|| bare_encrypt(&content)));
    group.bench_function("seal", |bench| bench.iter(|| seal_stream(&content)));
    group.bench_function("bare AES-256-GCM, decrypt", |bench| {
        bench.iter_custom(|rounds| bare_decrypt(&content, rounds));
    });
    group.bench_function("open", |bench| bench.iter(|| open_stream(&object)));
    group.finish();
    let mailbox = waxwing_wire::id::MailboxId::from_bytes([1; 16]);
    let (challenge, hash) = (Challenge::from_bytes([2; 32]), EnvelopeHash::from_bytes([3; 32]));
    let puzzle = Puzzle::put(&challenge, &mailbox, &hash, Difficulty::MAX);
    let mut group = criterion.benchmark_group("proof of work");
    group.throughput(Throughput::Elements(100_000));
    group.bench_function("100,000 nonces", |bench| bench.iter(|| black_box(puzzle.solve(0..100_000))));
    group.finish();
}

/// Medians of interleaved rounds; a ratio below the floor is a failure.
fn floor() {
    let content = vec![0x5a; LENGTH];
    let object = seal(&content);
    let mut ratios = [Vec::new(), Vec::new()];
    for _ in 0..15 {
        let bare = timed(|| bare_encrypt(&content));
        let sealed = timed(|| seal_stream(&content));
        ratios[0].push(bare.as_secs_f64() / sealed.as_secs_f64());
        let bare = bare_decrypt(&content, 1);
        let opened = timed(|| open_stream(&object));
        ratios[1].push(bare.as_secs_f64() / opened.as_secs_f64());
    }
    for (name, ratios) in ["seal", "open"].into_iter().zip(&mut ratios) {
        ratios.sort_by(f64::total_cmp);
        let median = ratios[ratios.len() / 2];
        println!("{name}: {median:.2} of bare AES-256-GCM (floor {FLOOR})");
        assert!(median >= FLOOR, "{name} is below its floor");
    }
}

fn timed(mut work: impl FnMut()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// The yardstick: pieces of 64 KiB, each copied into a reused buffer and encrypted in place.
fn bare_encrypt(content: &[u8]) {
    let cipher = Aes256Gcm::new(&[7; 32].into());
    let mut buffer = vec![0; PIECE];
    for (index, piece) in content.chunks(PIECE).enumerate() {
        let buffer = &mut buffer[..piece.len()];
        buffer.copy_from_slice(piece);
        black_box(cipher.encrypt_inout_detached(&nonce(index), &[], buffer.into()).unwrap());
    }
}

fn bare_decrypt(content: &[u8], rounds: u64) -> Duration {
    let cipher = Aes256Gcm::new(&[7; 32].into());
    let mut buffer = content.to_vec();
    let tags: Vec<_> = (buffer.chunks_mut(PIECE).enumerate())
        .map(|(index, piece)| cipher.encrypt_inout_detached(&nonce(index), &[], piece.into()).unwrap())
        .collect();
    let mut target = vec![0; PIECE];
    let start = Instant::now();
    for _ in 0..rounds {
        for (index, (piece, tag)) in buffer.chunks(PIECE).zip(&tags).enumerate() {
            let target = &mut target[..piece.len()];
            target.copy_from_slice(piece);
            cipher.decrypt_inout_detached(&nonce(index), &[], (&mut *target).into(), tag).unwrap();
            black_box(&target);
        }
    }
    start.elapsed()
}

fn nonce(index: usize) -> Nonce<aes_gcm::aead::consts::U12> {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&(index as u64).to_be_bytes());
    nonce.into()
}

fn seal(content: &[u8]) -> Vec<u8> {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let secret = ObjectSecret::from_bytes(&[9; 32]);
    waxwing_wire::sealed::seal(&secret, Purpose::Blob, &[], content, &mut rng).unwrap()
}

fn seal_stream(content: &[u8]) {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let secret = ObjectSecret::from_bytes(&[9; 32]);
    let mut sealer = Sealer::new(&secret, Purpose::Blob, &[], content.len() as u64, &mut rng).unwrap();
    let mut out = Vec::new();
    for piece in content.chunks(PIECE) {
        sealer.update(piece, &mut out).unwrap();
        black_box(&out);
        out.clear();
    }
    while sealer.finish(&mut out).unwrap() == Progress::More {
        out.clear();
    }
}

fn open_stream(object: &[u8]) {
    let secret = ObjectSecret::from_bytes(&[9; 32]);
    let (header, segments) = Header::parse(object).unwrap();
    let mut opener = Opener::new(&header, &secret, Purpose::Blob, &[], object.len() as u64).unwrap();
    let mut out = Vec::new();
    // As it is fetched: whole chunks of the object, the first one without its header.
    let (first, rest) = segments.split_at(PIECE - (object.len() - segments.len()));
    for piece in std::iter::once(first).chain(rest.chunks(PIECE)) {
        opener.update(piece, &mut out).unwrap();
        black_box(&out);
        out.clear();
    }
    opener.finish().unwrap();
}
