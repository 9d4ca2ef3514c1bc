//! What `waxwing-wire` holds, seen from outside. One binary, a module per document of the specification.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used,
    reason = "tests"
)]
#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, reason = "numbers here are the test's own")]

mod account;
#[path = "../forge/mod.rs"]
mod forge;
mod identity_properties;
mod identity_vectors;
mod sealed;
