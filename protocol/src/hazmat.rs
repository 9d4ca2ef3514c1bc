//! Sharp tools (feature `hazmat`): what benchmarks, auditors and special embedders need, and what breaks the protocol's
//! guarantees when misused.
//!
//! An identity key signs prekeys and nothing else (spec §2.1): signatures over other bytes can be presented as something
//! they were not meant to be. An agreement's output is no key before a KDF.

use alloc::vec::Vec;

use rand_core::CryptoRng;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::agreement::NonContributoryAgreement;
pub use crate::curve::InvalidSignature;
use crate::curve::{IdentityKey, Signature};
use crate::identity::IdentityKeyPair;
use crate::kyber::{self, KyberCiphertext, KyberPublicKey, KyberSecretKey};
use crate::message;
use crate::spqr::{self, Role, Sent, Spqr};

/// XEdDSA over arbitrary bytes (spec §1.5). Draws 64 random bytes.
#[must_use]
pub fn sign(key: &IdentityKeyPair, message: &[u8], rng: &mut impl CryptoRng) -> Signature {
    key.pair().sign(&[message], rng)
}

/// The one verification function (spec §1.5).
///
/// # Errors
/// [`InvalidSignature`].
pub fn verify(key: &IdentityKey, message: &[u8], signature: &Signature) -> Result<(), InvalidSignature> {
    key.encoded().point().map_err(|_| InvalidSignature)?.verify(&[message], signature)
}

/// X25519 (spec §1.4): 32 bytes.
///
/// # Errors
/// [`NonContributoryAgreement`], which no key that parsed can cause.
pub fn agree(ours: &IdentityKeyPair, theirs: &IdentityKey) -> Result<Zeroizing<[u8; 32]>, NonContributoryAgreement> {
    let theirs = theirs.encoded().point().map_err(|_| NonContributoryAgreement)?;
    let secret = ours.pair().agree(&theirs)?;
    Ok(Zeroizing::new(*secret.as_bytes()))
}

/// The comparison that [`Session::open`](crate::Session::open) makes of 8-byte MACs (spec §5.4), for whoever wants to time
/// it.
#[must_use]
pub fn macs_are_equal(ours: &[u8; 8], theirs: &[u8; 8]) -> bool {
    message::macs_are_equal(ours, theirs)
}

/// A Kyber1024 key pair (spec §1.6). Draws 64 random bytes.
#[must_use]
pub fn kyber_generate(rng: &mut impl CryptoRng) -> (KyberPublicKey, KyberSecretKey) {
    kyber::generate(rng)
}

/// Kyber1024 encapsulation (spec §1.6): ciphertext and 32 bytes of secret. Draws 32 random bytes.
#[must_use]
pub fn kyber_encapsulate(key: &KyberPublicKey, rng: &mut impl CryptoRng) -> (KyberCiphertext, Zeroizing<[u8; 32]>) {
    let (ciphertext, secret) = key.encapsulate(rng);
    (ciphertext, Zeroizing::new(*secret.as_bytes()))
}

/// Kyber1024 decapsulation with implicit rejection (spec §1.6): 32 bytes.
#[must_use]
pub fn kyber_decapsulate(key: &KyberSecretKey, ciphertext: &KyberCiphertext) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(*key.decapsulate(ciphertext).as_bytes())
}

/// Parses the content of a sealed message that was decrypted elsewhere (spec §8.3). Nothing stands behind it: neither who
/// made it nor that its certificate's owner did.
///
/// # Errors
/// [`DecodeError`](crate::DecodeError).
pub fn decode_sealed_content(bytes: &[u8]) -> Result<crate::sealed::ContentIn, crate::DecodeError> {
    crate::sealed::ContentIn::decode(bytes)
}

/// The post-quantum ratchet alone (spec §6), without the messages whose MACs say whether a field may be believed: for fuzzers
/// and for whoever compares it with another implementation.
#[derive(Debug)]
pub struct PostQuantumRatchet(Spqr);

/// Why a field was refused; the ratchet is as it was. Spec §6.2, §6.3, §6.7.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("the field is malformed, has no key, or its part of the exchange is wrong")]
pub struct RefusedField;

impl PostQuantumRatchet {
    /// Begins with PQXDH's third key (spec §3.3).
    #[must_use]
    pub fn new(auth_key: &[u8; 32], is_initiator: bool) -> Self {
        Self(Spqr::new(auth_key, if is_initiator { Role::Initiator } else { Role::Responder }))
    }

    /// A message's field, at most 52 bytes, and the 32-byte key that salts its message keys. Draws as
    /// [`Session::seal`](crate::Session::seal) does. None once 2^32 - 1 messages were sent in one epoch.
    pub fn send(&mut self, rng: &mut impl CryptoRng) -> Option<(Vec<u8>, Zeroizing<[u8; 32]>)> {
        let Sent { field, key, step } = self.0.send(rng).ok()?;
        self.0.apply(step);
        Some((field, Zeroizing::new(*key.as_bytes())))
    }

    /// Takes any field for authentic. The key is absent if the message has none (spec §6.3, index 0).
    ///
    /// # Errors
    /// [`RefusedField`].
    pub fn receive(&mut self, field: &[u8]) -> Result<Option<Zeroizing<[u8; 32]>>, RefusedField> {
        let opening = self.0.open(field).map_err(|_| RefusedField)?;
        let key = self.0.key(&opening).map(|key| Zeroizing::new(*key.as_bytes()));
        let step = self.0.receive(opening).map_err(|_| RefusedField)?;
        self.0.apply(step);
        Ok(key)
    }

    /// How many epochs were completed and are used for sending.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.0.sending_epoch().0
    }
}

/// What a field says, written as this crate writes it (spec §6.2).
///
/// # Errors
/// [`RefusedField`] if it says nothing.
pub fn canonical_field(field: &[u8]) -> Result<Vec<u8>, RefusedField> {
    spqr::canonical_field(field).map_err(|_| RefusedField)
}
