//! What an embedder relies on, through the public API only.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is the report"
)]
#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, reason = "test arithmetic is small")]
#![allow(unreachable_pub, reason = "one binary, many modules")]

mod attacks;
mod device;
mod edge_keys;
mod examples;
mod fingerprints;
mod formats;
mod group;
mod group_properties;
mod group_vectors;
mod initiator;
mod limits;
#[cfg(target_os = "linux")]
mod memory;
mod model;
mod party;
mod post_quantum;
mod properties;
mod proto;
mod records;
mod repair;
mod sealed;
mod session;
mod vectors;

/// Cases of a property test: `WAXWING_CASES`, or this many.
fn cases(default: u32) -> proptest::test_runner::Config {
    let cases = std::env::var("WAXWING_CASES").map_or(default, |cases| cases.parse().expect("a number"));
    proptest::test_runner::Config { cases, failure_persistence: None, ..Default::default() }
}
