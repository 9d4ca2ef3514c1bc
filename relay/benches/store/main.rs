//! What the store can do without a network: `cargo bench -p waxwing-relay --bench store`. The machine's disk and load move absolute
//! figures by a factor of many, so everything is measured interleaved in one run, in medians, beside two yardsticks: a plain group
//! commit (the same engine, a queue, a table with an index, nothing else) and a log file with one fdatasync for whatever waits.
//!
//! `-- rates` (the default), `-- cycle`, `-- million`, `-- open`, or several. `WAXWING_ROUNDS` (5) and `WAXWING_PUTS` (20,000 a measurement);
//! for `open` also `WAXWING_ENVELOPES` (1,000,000), `WAXWING_MAILBOXES` (100,000) and `WAXWING_FOLDER` (a store that was filled before
//! and is kept).
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
mod opening;
mod yardstick;

use std::{
    env,
    time::{Duration, Instant},
};

use load::{Load, median};
use waxwing_relay::store::SqliteStore;
use yardstick::{LogFile, PlainBatcher};

const IN_FLIGHT: [usize; 5] = [1, 64, 256, 1_024, 4_096];

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let asked: Vec<_> = env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wants = |what: &str| asked.iter().any(|one| one == what) || (asked.is_empty() && what == "rates");
    if wants("rates") {
        runtime.block_on(rates());
    }
    if wants("cycle") {
        runtime.block_on(cycle());
    }
    if wants("million") {
        runtime.block_on(million());
    }
    if wants("open") {
        opening::run(&runtime);
    }
    if wants(opening::FILL) {
        runtime.block_on(opening::fill());
    }
}

fn rounds() -> usize {
    env::var("WAXWING_ROUNDS").map_or(5, |rounds| rounds.parse().unwrap())
}

fn puts(in_flight: usize) -> u64 {
    let puts: u64 = env::var("WAXWING_PUTS").map_or(20_000, |puts| puts.parse().unwrap());
    if in_flight == 1 { puts / 20 } else { puts }
}

/// Durable accepts a second.
async fn rates() {
    println!(
        "\n| in flight | store /s | p50, p99 ms | CPU µs | bytes written each | plain batcher /s | store ÷ plain | log file /s |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for in_flight in IN_FLIGHT {
        let (mut store_rates, mut plain_rates, mut log_rates) = (Vec::new(), Vec::new(), Vec::new());
        let (mut ratios, mut costs, mut written, mut times) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds() {
            let load = Load::new(1_000).await;
            let measured = load.puts(in_flight, puts(in_flight)).await;
            load.store.close().await;
            let plain = PlainBatcher::new().await.puts(in_flight, puts(in_flight)).await;
            log_rates.push(LogFile::new().puts(in_flight, puts(in_flight)).await);
            ratios.push(measured.rate / plain);
            store_rates.push(measured.rate);
            plain_rates.push(plain);
            costs.push(measured.cpu_each);
            written.push(measured.written_each);
            times.push((measured.p50, measured.p99));
        }
        let (p50, p99) = (median(times.iter().map(|time| time.0)), median(times.iter().map(|time| time.1)));
        println!(
            "| {in_flight} | {:.0} | {p50:.2}, {p99:.2} | {:.1} | {:.0} | {:.0} | {:.2} | {:.0} |",
            median(store_rates),
            median(costs),
            median(written),
            median(plain_rates),
            median(ratios),
            median(log_rates),
        );
    }
}

/// Put, read, ack: everything an envelope goes through.
async fn cycle() {
    println!("\n| in flight | puts /s | put, then ack /s | ÷ puts | acks of a backlog /s |");
    println!("|---|---|---|---|---|");
    for in_flight in [64, 256, 1_024] {
        let (mut alone, mut cycles, mut ratios, mut acks) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds() {
            let load = Load::new(1_000).await;
            let puts = load.puts(in_flight, puts(in_flight)).await.rate;
            acks.push(load.acks().await);
            let cycled = load.cycles(in_flight, self::puts(in_flight)).await;
            load.store.close().await;
            ratios.push(cycled / puts);
            alone.push(puts);
            cycles.push(cycled);
        }
        let (alone, cycles, ratio, acks) = (median(alone), median(cycles), median(ratios), median(acks));
        println!("| {in_flight} | {alone:.0} | {cycles:.0} | {ratio:.2} | {acks:.0} |");
    }
}

/// A store with a million envelopes beside an empty one, both with 100,000 mailboxes.
async fn million() {
    const MAILBOXES: usize = 100_000;
    let filling = Instant::now();
    let full = Load::new(MAILBOXES).await;
    let made = filling.elapsed();
    full.puts(4_096, 1_000_000).await;
    println!("\nfilled in {:.0} s (mailboxes {:.0} s)", filling.elapsed().as_secs_f64(), made.as_secs_f64());
    let empty = Load::new(MAILBOXES).await;
    println!("\n| in flight | empty /s | full /s | full ÷ empty |");
    println!("|---|---|---|---|");
    for in_flight in [256, 1_024] {
        let (mut without, mut with, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds() {
            let one = empty.puts(in_flight, puts(in_flight)).await.rate;
            empty.acks().await;
            let other = full.puts(in_flight, puts(in_flight)).await.rate;
            ratios.push(other / one);
            without.push(one);
            with.push(other);
        }
        println!("| {in_flight} | {:.0} | {:.0} | {:.2} |", median(without), median(with), median(ratios));
    }
    full.store.close().await;
    empty.store.close().await;
    let memory = load::resident();
    let mut openings = Vec::new();
    for _ in 0..rounds() {
        let opening = Instant::now();
        let store = SqliteStore::open(&full.folder, load::rules(), load::NOW).await.unwrap();
        openings.push(opening.elapsed().as_secs_f64());
        store.close().await;
    }
    println!("\nopened in {:.2} s; resident with both stores open: {} MiB", median(openings), memory >> 20);
    tokio::time::sleep(Duration::ZERO).await;
}
