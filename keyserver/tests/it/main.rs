//! What the key server holds, seen from outside. One binary, a module per concept.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::missing_errors_doc,
    reason = "a panic is the report"
)]

mod asking;
mod attacks;
mod conformance;
mod damage;
mod malicious;
mod migration;
mod people;
mod process;
mod properties;
mod quic;
mod races;
mod requests;
mod scenario;
mod stores;
mod vectors;
