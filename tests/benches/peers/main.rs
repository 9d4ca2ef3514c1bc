//! What others make of the same work: one envelope of 2,560 bytes after another, each answered when it is on stable storage. Redis with
//! `appendfsync always`, `PostgreSQL` with a row and a commit each, NATS with a file-backed stream, and a relay, each by its own protocol over
//! loopback, in turns on one disk. Who is not installed is skipped, and the table says so. On demand; nothing of them is linked or shipped.
//!
//! ```sh
//! apt-get install --no-install-recommends redis-server postgresql nats-server
//! WAXWING_ROUNDS=3 WAXWING_SECONDS=3 cargo bench --workspace --bench peers
//! ```
//! They do not do the same: a relay encrypts its connections, proves keys and keeps ledgers, which none of the others does here. So a ratio says
//! what all of that costs beside a plain queue, not who is better.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a panic is the report"
)]

mod load;
mod nats;
mod postgres;
mod process;
mod redis;
mod relay;

use std::{env, time::Duration};

use self::load::Measured;

/// Something that takes envelopes, started for one measurement in a folder of its own.
type Measure = fn(&std::path::Path, Duration) -> Result<Measured, Skipped>;

/// Why somebody was not measured.
struct Skipped(String);

const PEERS: &[(&str, Measure)] = &[
    ("waxwing-relay", relay::measure),
    ("Redis, appendfsync always", redis::measure),
    ("PostgreSQL, a row a commit", postgres::measure),
    ("NATS JetStream, file", nats::measure),
];

fn main() {
    let number = |name: &str, usual: f64| env::var(name).map_or(usual, |value| value.parse().unwrap());
    let rounds = number("WAXWING_ROUNDS", 3.0) as usize;
    let time = Duration::from_secs_f64(number("WAXWING_SECONDS", 3.0));
    let mut figures: Vec<Vec<Measured>> = PEERS.iter().map(|_| Vec::new()).collect();
    let mut skipped = vec![None; PEERS.len()];
    for _ in 0..rounds {
        for (at, (_, measure)) in PEERS.iter().enumerate().filter(|(at, _)| skipped[*at].is_none()).collect::<Vec<_>>()
        {
            let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            match measure(folder.path(), time) {
                Ok(measured) => figures[at].push(measured),
                Err(Skipped(why)) => skipped[at] = Some(why),
            }
        }
    }
    println!("{} connections, {} envelopes in flight on each", load::CONNECTIONS, load::IN_FLIGHT);
    println!("| peer | accepted /s | p50, p99 ms | the relay beside it |\n|---|---|---|---|");
    for (at, (name, _)) in PEERS.iter().enumerate() {
        if let Some(why) = &skipped[at] {
            println!("| {name} | skipped: {why} | | |");
            continue;
        }
        let middle = |figure: fn(&Measured) -> f64| load::median(figures[at].iter().map(figure));
        let ratios = figures[0].iter().zip(&figures[at]).map(|(relay, peer)| relay.rate / peer.rate);
        println!(
            "| {name} | {:.0} | {:.1}, {:.1} | {:.2} |",
            middle(|one| one.rate),
            middle(|one| one.p50),
            middle(|one| one.p99),
            load::median(ratios)
        );
    }
}
