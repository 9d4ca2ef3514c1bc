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
mod plain;
mod put_back;
mod reading;
mod scene;
