//! X3DH and PQXDH: how two devices agree on a session's first keys. Implements spec/03-agreement.md.
//!
//! ```text
//!  initiator                                         responder
//!  DH(IK_A, SPK_B) ┐                                 ┌ DH(SPK_B, IK_A)
//!  DH(EK_A, IK_B)  │                                 │ DH(IK_B, EK_A)
//!  DH(EK_A, SPK_B) ├─ HKDF ─▶ SessionSecrets ◀─ HKDF ┤ DH(SPK_B, EK_A)
//! [DH(EK_A, OPK_B)]│                                 │[DH(OPK_B, EK_A)]
//! [Encaps(PQPK_B)] ┘                                 └[Decaps]
//! ```
//! Pure functions of keys and randomness. Most callers want [`Session`](crate::Session), which begins with them.
//! Invariants: a suite is chosen by the function that is called, never by what a peer sends or leaves out.
//! Not here: the verification of bundles (`prekey`), the first ratchet step (`session`).

mod initiator;
mod responder;
mod secrets;

use thiserror::Error;

pub use self::initiator::{Initiation, initiate, initiate_without_post_quantum_secrecy};
pub use self::responder::{
    Consumed, KyberPrekeyRef, PrivatePrekeys, RespondError, Response, respond, respond_without_post_quantum_secrecy,
};
pub use self::secrets::SessionSecrets;

/// An agreement came out as zero, which no key that parsed can cause: treat it as an attack and use other keys.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("the key agreement came out as zero")]
pub struct NonContributoryAgreement;

impl From<crate::curve::NonContributory> for NonContributoryAgreement {
    fn from(_: crate::curve::NonContributory) -> Self {
        Self
    }
}
