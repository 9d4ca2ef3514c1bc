//! The curve's code against witnesses that share nothing with it: Wycheproof's vectors, x25519-dalek's ladder, and a
//! classifier of u-coordinates in big integers.
#![allow(clippy::arithmetic_side_effects, reason = "test arithmetic is small or of unbounded integers")]

mod agreement;
pub(super) mod classify;
mod keys;
