//! What Waxwing's programs say to each other, and who may be believed: ids, signed objects, messages, frames.
//!
//! Implements spec/10-wire-conventions.md and what follows it. Pure: time and randomness are arguments, nothing does I/O.
//! Every decoder is total, bounded and canonical: bytes from outside pass the scanner of spec §10.4 first, and one
//! value has one encoding. What came from outside is a `FooIn` until its proof has been checked, and a `Foo` after.
//!
//! Who may be believed, from the words down (spec/11-identity.md):
//!
//! ```text
//! words ─▶ keys ─▶ statement ─▶ manifest ─▶ history          which devices an account has, and which manifest counts
//!                                  └─▶ signer ─▶ reach, listing, prekey, request      what one device vouches for
//! address, link, name, moved                                 where servers and people are found
//! ```
#![cfg_attr(not(feature = "std"), no_std)]
extern crate alloc;

pub mod address;
mod base32;
pub mod canonical;
pub mod content;
pub mod delivery;
pub mod frame;
pub mod history;
pub mod id;
mod kdf;
pub mod keys;
pub mod keyserver;
mod label;
pub mod link;
pub mod listing;
pub mod manifest;
pub mod message;
pub mod moved;
pub mod name;
pub mod padding;
pub mod pow;
pub mod prekey;
pub mod reach;
pub mod relay;
pub mod request;
pub mod sealed;
pub mod signature;
pub mod signer;
pub mod statement;
pub mod time;
pub mod words;

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
