//! What the tests in `tests/` beside this crate's manifest share. Nothing depends on this crate.
//!
//! - [`peer`]: Signal's published library as a peer in a process of its own (`interop/README.md`).
//! - [`ours`]: a device made of our own crate, as the other end.
//! - [`sealing`]: our sealed sender with the identity keys of the library's parties.
//! - [`group`]: a member of a group made of our own crate.
//! - [`durability`]: what a power cut would have left of a folder.
//! - [`faults`]: a disk that fails when a test says so.
//! - [`disclosure`]: what the times of puts give away, and the attack on that.
//! - [`world`]: clients, relays and a key server in one thread, on virtual time, in any weather.
//! - [`wired`]: the same over real QUIC on a simulated network, with the drivers and servers that people run.
//! - [`servers`]: a relay and a key server in this process, over real QUIC.
//! - [`schedule`]: seeded conversations over a network that loses, reorders and duplicates.

pub mod disclosure;
pub mod durability;
pub mod faults;
pub mod group;
pub mod ours;
pub mod peer;
pub mod schedule;
pub mod sealing;
pub mod servers;
pub mod wired;
pub mod world;
