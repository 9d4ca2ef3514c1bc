//! Prekeys: what a device publishes so that sessions can start while it is away. Implements spec/02-prekeys.md.
//!
//! ```text
//!   owner                                       initiator
//!   SignedPrekey        ──public half, signed──▶ ┐
//!   OneTimePrekey       ──public half──────────▶ ├─ BundleIn ──verify──▶ Bundle
//!   KyberPrekey         ──public half, signed──▶ ┘
//! ```
//! Invariants: a [`Bundle`] exists only if every signature in it was verified; a one-time prekey is consumed by its
//! first use, a last-resort Kyber prekey remembers its uses.
//! Not here: the agreement that uses them (`agreement`), when to rotate and how many to publish (the caller; spec §2.5
//! recommends).

mod bundle;
mod private;
mod replay;

pub(crate) use self::bundle::Offer;
pub use self::bundle::{
    Bundle, BundleError, BundleIn, ClassicalBundle, KyberPrekeyIn, OneTimePrekeyIn, SignedPrekeyIn,
};
pub use self::private::{
    KyberPrekey, KyberPrekeyId, OneTimePrekey, OneTimePrekeyId, PrekeyError, SignedPrekey, SignedPrekeyId,
};
pub use self::replay::{LastResortKey, LastResortUse, LastResortUseError, LastResortUses};
