//! What a driver relies on, through the public API: records, stores that fail, servers and peers that mean ill.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is the report"
)]
#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, reason = "test arithmetic is small")]
#![allow(unreachable_pub, missing_docs, missing_debug_implementations, reason = "one binary, many modules")]

mod failing_store;
mod hostile_peer;
mod hostile_servers;
mod links;
mod lost;
mod names;
mod people;
mod reading;
mod ready_future;
mod records;
mod safety_numbers;
mod status;
mod store;
#[path = "../town/mod.rs"]
mod town;

/// Cases of a property test: `WAXWING_CASES`, or this many. A failure prints its seed; `WAXWING_SEED` begins with it.
fn cases(default: u64) -> impl Iterator<Item = u64> {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().expect("a number"));
    let first = number("WAXWING_SEED").unwrap_or(1);
    first..first + number("WAXWING_CASES").unwrap_or(default)
}
