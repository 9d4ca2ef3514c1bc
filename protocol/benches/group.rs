//! What a group message and a safety number cost, in units of one x25519-dalek ladder, or of bare hashing, of the same run.
//!
//! ```sh
//! cargo bench -p waxwing-protocol --bench group
//! ```
//! Every row runs once a round, so that a machine that slows down does so for the unit as well; medians and the fastest runs
//! are compared. What is measured goes from plaintext to the bytes that travel, and back, with delta and commit.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a benchmark that cannot go on stops"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest, Sha512};
use waxwing_protocol::{
    Budget, DistributionId, Fingerprint, IdentityKeyPair, Iterations, PeerSenderKeys, SenderKey, SenderKeyMessage,
};
use x25519_dalek::{PublicKey, StaticSecret};

const GROUP: DistributionId = DistributionId([7; 16]);
const ROUNDS: usize = 3000;

fn main() {
    // `cargo test --benches` only sees whether it runs.
    let rounds = if std::env::args().any(|argument| argument == "--bench") { ROUNDS } else { 2 };
    group(rounds);
    fingerprint(rounds.div_ceil(30));
}

/// Encrypting and decrypting, short and 1 KiB, and what a restart in between costs.
fn group(rounds: usize) {
    let rng = &mut ChaCha20Rng::seed_from_u64(1);
    let (ours, theirs) = (StaticSecret::from([0x77; 32]), PublicKey::from(&StaticSecret::from([0x33; 32])));
    let mut key = SenderKey::generate(GROUP, rng);
    let mut keys = PeerSenderKeys::new(GROUP);
    keys.process(&key.distribution_message()).unwrap().commit();
    let mut times = vec![Vec::new(); 7];
    for _ in 0..rounds {
        times[0].push(time(|| ours.diffie_hellman(black_box(&theirs))).0);
        for (at, len) in [(1, 64), (3, 1024)] {
            let plaintext = vec![0x57; len];
            let (spent, bytes) = time(|| {
                let sealed = key.seal(black_box(&plaintext), rng).unwrap();
                let _ = black_box(sealed.delta());
                sealed.commit().as_bytes().to_vec()
            });
            times[at].push(spent);
            let (spent, opened) = time(|| {
                let message = SenderKeyMessage::decode(black_box(&bytes)).unwrap();
                let opened = keys.open(&message, &mut Budget::default()).unwrap();
                let _ = black_box(opened.delta());
                opened.commit()
            });
            times[at + 1].push(spent);
            assert_eq!(opened, plaintext);
        }
        let records: Vec<_> = key.records().collect();
        times[5].push(time(|| SenderKey::load(records.iter().map(|(key, value)| (key, value))).unwrap()).0);
        let records: Vec<_> = keys.records().collect();
        times[6].push(time(|| PeerSenderKeys::load(GROUP, records.iter().map(|(key, value)| (key, value))).unwrap()).0);
    }
    let names = ["ladder", "encrypt 64 B", "decrypt 64 B", "encrypt 1 KiB", "decrypt 1 KiB", "load own", "load peer's"];
    print(&names, &[None, Some(0.6), Some(0.85), Some(0.6), Some(0.85), None, None], times);
}

/// One side of a safety number beside its 5,200 hashes of 97 bytes.
fn fingerprint(rounds: usize) {
    let key = *IdentityKeyPair::generate(&mut ChaCha20Rng::seed_from_u64(2)).public_key();
    let mut input = [0; 97];
    input[64..].copy_from_slice(&key.to_bytes());
    let mut times = vec![Vec::new(); 2];
    for _ in 0..rounds {
        let bare = || {
            for _ in 0..5_200 {
                let hash = Sha512::digest(black_box(&input));
                input[..64].copy_from_slice(&hash);
            }
        };
        times[0].push(time(bare).0);
        times[1].push(time(|| Fingerprint::new(black_box(&key), &[1; 32], Iterations::STANDARD)).0);
    }
    print(&["5,200 bare hashes", "fingerprint"], &[None, Some(1.05)], times);
}

fn time<T>(routine: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let output = black_box(routine());
    (start.elapsed(), output)
}

fn print(names: &[&str], floors: &[Option<f64>], mut times: Vec<Vec<Duration>>) {
    println!("{:<20} {:>12} {:>8} {:>8} {:>7}", "", "median", "ratio", "fastest", "floor");
    times.iter_mut().for_each(|row| row.sort_unstable());
    let (median, fastest) = (times[0][times[0].len() / 2], times[0][0]);
    for ((name, floor), row) in names.iter().zip(floors).zip(&times) {
        let middle = row[row.len() / 2];
        let ratio = middle.as_secs_f64() / median.as_secs_f64();
        let best = row[0].as_secs_f64() / fastest.as_secs_f64();
        let floor = floor.map_or(String::new(), |floor| format!("{floor:.2}"));
        println!("{name:<20} {:>9.2} µs {ratio:>8.3} {best:>8.3} {floor:>7}", middle.as_secs_f64() * 1e6);
    }
}
