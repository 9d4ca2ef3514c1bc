//! What Waxwing's programs say to each other, and who may be believed: ids, signed objects, messages, frames.
//!
//! Implements spec/10-wire-conventions.md and what follows it. Pure: time and randomness are arguments, nothing does I/O.
//! Every decoder is total, bounded and canonical: bytes from outside pass the scanner of spec §10.4 first, and one
//! value has one encoding. What came from outside is a `FooIn` until its proof has been checked, and a `Foo` after.
#![cfg_attr(not(feature = "std"), no_std)]
// Until the decoders that use the scanner stand here.
#![allow(dead_code, unused_imports, reason = "the first users of these modules come next")]
extern crate alloc;

mod base32;
pub mod canonical;
pub mod delivery;
pub mod frame;
pub mod id;
mod kdf;
mod keys;
mod label;
pub mod message;
pub mod padding;
pub mod pow;
pub mod relay;
pub mod sealed;
pub mod signature;
pub mod time;

pub use keys::{RecoveryKey, RecoveryPublicKey};

/// prost's types and the scanner's tables, written by build.rs. Never public.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::as_conversions,
    clippy::arithmetic_side_effects,
    unused_qualifications,
    dead_code,
    reason = "generated"
)]
mod proto {
    include!(concat!(env!("OUT_DIR"), "/proto.rs"));
}
