//! The transport from outside: nothing here names QUIC or TLS.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a panic is the report"
)]

mod amplification;
mod dialling;
mod drain;
mod faults;
mod flow;
mod keyserver;
mod loopback;
mod migration;
mod requests;
mod world;
