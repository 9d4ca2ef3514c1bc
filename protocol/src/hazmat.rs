//! Sharp tools (feature `hazmat`): what benchmarks, auditors and special embedders need, and what breaks the protocol's
//! guarantees when misused.
//!
//! An identity key signs prekeys and nothing else (spec §2.1): signatures over other bytes can be presented as something
//! they were not meant to be. An agreement's output is no key before a KDF.

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::agreement::NonContributoryAgreement;
pub use crate::curve::InvalidSignature;
use crate::curve::{IdentityKey, Signature};
use crate::identity::IdentityKeyPair;
use crate::kyber::{self, KyberCiphertext, KyberPublicKey, KyberSecretKey};
use crate::message;

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
