//! What `waxwing-wire` holds, seen from outside. One binary, a module per document of the specification.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a panic is the report"
)]

mod account;
#[path = "../forge/mod.rs"]
mod forge;
mod identity_properties;
mod identity_vectors;
mod message_vectors;
mod messages;
#[path = "../samples/mod.rs"]
mod samples;
mod sealed;
