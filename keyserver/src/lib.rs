//! Names, manifests nobody can forge, prekeys handed out exactly once. Implements spec/19-keyserver.md.
//!
//! ```text
//! main ─ config, process ─▶ run ─▶ server (connections) ─▶ service (verifies, limits) ─▶ store (one call, one transaction)
//! ```
//! The relay's twin in shape: who can read one can read the other. It never reaches `waxwing-protocol`; what it verifies is
//! Ed25519 over objects of `waxwing-wire`, and Signal's keys are opaque bytes to it.
#[cfg(feature = "server")]
pub mod admin;
#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "server")]
pub mod metrics;
#[cfg(feature = "server")]
pub mod run;
#[cfg(feature = "server")]
pub mod server;
pub mod service;
pub mod store;
