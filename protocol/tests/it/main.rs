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

mod party;
mod session;
