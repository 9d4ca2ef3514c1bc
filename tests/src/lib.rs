//! What the tests in `tests/` beside this crate's manifest share. Nothing depends on this crate.
//!
//! - [`peer`]: Signal's published library as a peer in a process of its own (`interop/README.md`).
//! - [`schedule`]: seeded conversations over a network that loses, reorders and duplicates.

pub mod peer;
pub mod schedule;
