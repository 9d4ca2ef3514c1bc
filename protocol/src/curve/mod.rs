//! Curve25519: points, agreement, signatures. Implements spec/01-keys.md.
//!
//! ```text
//!   33 bytes ──parse──▶ typed public key ──┐
//!                                          ├─▶ SharedSecret
//!   32 bytes ─────────▶ PrivateKey ────────┘
//! ```
//! Invariants: a public key that exists is canonical, on the curve and of large order; a key that others rely on as
//! unique is torsion-free besides. There is one function that verifies signatures.
//! Not here: what a key is for (`identity`, `prekey`, `ratchet`), Kyber (`kyber`).

mod point;
mod private;
mod public;
#[cfg(test)]
mod tests;
mod xeddsa;

pub(crate) use self::point::Point;
pub(crate) use self::private::{KeyPair, NonContributory, PrivateKey, RatchetPair, SharedSecret};
pub use self::public::{BaseKey, IdentityKey, PrekeyPublic, PublicKeyError, RatchetKey};
pub(crate) use self::public::{Decoded, EncodedKey, public_key};
pub(crate) use self::xeddsa::VerifyingKey;
pub use self::xeddsa::{InvalidSignature, Signature};
