//! The program as people and programs meet it: real processes, real servers on loopback.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::needless_pass_by_value,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says where"
)]
mod conversation;
mod daemon;
mod errors;
mod kills;
mod names;
mod pages;
mod picture;
mod place;
mod restore;
mod seen;
mod servers;
#[cfg(target_os = "linux")]
mod wakes;
