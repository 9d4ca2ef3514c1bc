//! What `waxwing-client` keeps, and how.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a panic is the report"
)]
mod conformance;
mod damage;
mod folder;
mod kill;
mod packing;
mod plain;
mod put_back;
mod reading;
mod reuse;
mod scene;
mod search;
#[path = "../../engine/tests/town/mod.rs"]
#[allow(
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    reason = "made for tests that have it as a library"
)]
mod town;
