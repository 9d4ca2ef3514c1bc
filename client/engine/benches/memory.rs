//! What an engine of a thousand contacts takes, each with a session in both directions: bytes that are allocated behind loading it.
//!
//! ```sh
//! cargo bench -p waxwing-engine --bench memory
//! ```
//! Fails if it is 20 MiB or more.
#![allow(
    clippy::expect_used,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    reason = "a benchmark"
)]
#![allow(unreachable_pub, missing_docs, missing_debug_implementations, reason = "the town is made for tests")]

#[path = "../tests/town/mod.rs"]
mod town;

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use waxwing_engine::Engine;

use self::town::{SETTINGS, Town};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const CONTACTS: usize = 1_000;
const FLOOR: usize = 20 << 20;

fn main() {
    // Built by `cargo test --benches` too, which asks for nothing but that it runs.
    let contacts = if std::env::args().any(|argument| argument == "--bench") { CONTACTS } else { 3 };
    let mut town = Town::new();
    let bob = town.settle_in(1);
    let link = town.make_link(bob).to_text();
    for number in 0..contacts {
        let other = town.settle_in(2 + number as u64);
        town.befriend_by(link.parse().expect("it was written"), other, bob);
        // Whoever is a contact needs no engine any more.
        town.residents.pop();
    }
    let records = town.residents[bob].store.load_now();
    let stored: usize = records.iter().map(|record| record.key.len() + record.value.len()).sum();
    let region = Region::new(ALLOCATOR);
    let engine = Engine::load(&records, SETTINGS).expect("it loads").expect("there is an account");
    let change = region.change();
    let taken = change.bytes_allocated.saturating_sub(change.bytes_deallocated);
    assert_eq!(engine.contacts().count(), contacts);
    println!(
        "{contacts} contacts: {taken} bytes, {} for each; {} records of {stored} bytes",
        taken / contacts,
        records.len()
    );
    assert!(taken < FLOOR, "20 MiB are the floor");
}
