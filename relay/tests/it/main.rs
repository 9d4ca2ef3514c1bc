//! What the relay does, seen from outside of its crate.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a panic is the report"
)]

mod blob_files;
mod block;
mod carried;
mod conformance;
mod invites;
mod mailbox_files;
mod model;
mod process;
mod scene;
mod service;
mod sqlite;
mod verify;
