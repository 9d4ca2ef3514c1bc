//! Names, manifests nobody can forge, prekeys handed out exactly once. Implements spec/19-keyserver.md.
//!
//! ```text
//! connection ─▶ service::Session (verifies, limits) ─▶ store::Store (one call, one transaction)
//! ```
//! The relay's twin in shape: who can read one can read the other. It never reaches `waxwing-protocol`; what it verifies is
//! Ed25519 over objects of `waxwing-wire`, and Signal's keys are opaque bytes to it.
pub mod service;
pub mod store;
