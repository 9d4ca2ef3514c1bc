//! Integration tests of waxwing-wire.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a panic is the report"
)]

#[path = "../forge/mod.rs"]
mod forge;
mod identity_vectors;
