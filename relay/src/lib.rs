//! A blind relay: mailboxes of ciphertext envelopes, durable before it says so. Implements spec/17-relay.md.
//!
//! ```text
//! main ─ config, process ─▶ run ─▶ server (connections) ─▶ service (sessions) ─▶ store ─▶ ledger (pure)
//! ```
#[cfg(feature = "server")]
pub mod admin;
#[cfg(feature = "server")]
pub mod backup;
#[cfg(feature = "server")]
pub mod bench;
#[cfg(feature = "server")]
pub mod carry;
#[cfg(feature = "server")]
pub mod config;
pub mod ledger;
#[cfg(feature = "server")]
pub mod metrics;
pub mod portable;
mod rate;
#[cfg(feature = "server")]
pub mod run;
#[cfg(feature = "server")]
pub mod server;
pub mod service;
pub mod store;
