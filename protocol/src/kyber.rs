//! CRYSTALS-Kyber1024 of round 3 (not FIPS 203), the KEM of PQXDH. Implements spec/01-keys.md §1.6.
//!
//! Keys and ciphertexts travel with the type byte 0x08 in front. Decapsulation rejects implicitly: a ciphertext made
//! for another key yields an unrelated secret, and the error surfaces when the first message fails to authenticate.
//! Secrets become libcrux values for one call only; SECURITY.md says what that leaves behind.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use libcrux_ml_kem::kyber1024;
use libcrux_ml_kem::mlkem1024::{self, MlKem1024Ciphertext, MlKem1024PrivateKey, MlKem1024PublicKey};
use rand_core::CryptoRng;
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::curve::PublicKeyError;

#[cfg(test)]
mod tests;

/// The type byte of Kyber1024 keys and ciphertexts.
const KYBER1024: u8 = 0x08;

const PUBLIC_KEY: usize = 1568;
const SECRET_KEY: usize = 3168;
/// What precedes the public key inside a secret key.
const DECRYPTION_KEY: usize = 1536;
const CIPHERTEXT: usize = 1568;

/// A Kyber1024 public key: 1,569 bytes, 0x08 ‖ key; every coefficient is below the modulus (spec §1.6).
#[derive(Clone, Eq, PartialEq)]
pub struct KyberPublicKey(Box<[u8; PUBLIC_KEY]>);

/// A Kyber1024 ciphertext: 1,569 bytes, 0x08 ‖ ciphertext. Any 1,568 bytes are one (spec §1.6).
#[derive(Clone, Eq, PartialEq)]
pub struct KyberCiphertext(Box<[u8; CIPHERTEXT]>);

/// A Kyber1024 secret key: 3,169 bytes, 0x08 ‖ key, as the official library stores it (spec §1.6).
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct KyberSecretKey(Box<[u8; SECRET_KEY]>);

/// What encapsulation and decapsulation agree on.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct KemSecret(Box<[u8; 32]>);

/// Why bytes are no Kyber ciphertext. Safe to log.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum KyberCiphertextError {
    /// Not exactly 1,569 bytes.
    #[error("a Kyber1024 ciphertext has {got} bytes instead of 1569")]
    Length {
        /// The size that came.
        got: usize,
    },
    /// The first byte is not 0x08.
    #[error("a Kyber1024 ciphertext has type {got:#04x} instead of 0x08")]
    KeyType {
        /// The type byte that came.
        got: u8,
    },
}

/// Why bytes are no Kyber secret key: the caller's storage is damaged. Safe to log.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum KyberSecretKeyError {
    /// Not exactly 3,169 bytes that begin with 0x08.
    #[error("a Kyber1024 secret key is not 3169 bytes that begin with 0x08")]
    Format,
    /// The public key inside does not have the hash inside (FIPS 203 §7.3 asks for the same check).
    #[error("a Kyber1024 secret key is inconsistent")]
    Inconsistent,
}

/// Makes a key pair from 64 random bytes.
pub(crate) fn generate(rng: &mut impl CryptoRng) -> (KyberPublicKey, KyberSecretKey) {
    let mut randomness = Zeroizing::new([0; 64]);
    rng.fill_bytes(randomness.as_mut());
    let pair = kyber1024::generate_key_pair(*randomness);
    (KyberPublicKey(Box::new(*pair.pk())), KyberSecretKey(Box::new(*pair.sk())))
}

impl KyberPublicKey {
    /// Parses exactly 1,569 bytes (spec §1.6).
    ///
    /// # Errors
    /// [`PublicKeyError::Length`], [`PublicKeyError::KeyType`], or [`PublicKeyError::NonCanonical`] where a coefficient
    /// is not below 3329.
    pub fn parse(bytes: &[u8]) -> Result<Self, PublicKeyError> {
        let (key_type, key) = bytes.split_first().ok_or(PublicKeyError::Length { expected: 1569, got: 0 })?;
        let key: &[u8; PUBLIC_KEY] =
            key.try_into().map_err(|_| PublicKeyError::Length { expected: 1569, got: bytes.len() })?;
        if *key_type != KYBER1024 {
            return Err(PublicKeyError::KeyType { expected: KYBER1024, got: *key_type });
        }
        if mlkem1024::validate_public_key(&MlKem1024PublicKey::from(key)) {
            Ok(Self(Box::new(*key)))
        } else {
            Err(PublicKeyError::NonCanonical)
        }
    }

    /// The 1,569 bytes that [`Self::parse`] takes, and that prekey signatures cover.
    #[must_use]
    pub fn to_bytes(&self) -> Box<[u8]> {
        tagged(&self.0[..])
    }

    /// Makes a secret and the ciphertext that carries it to the key's owner.
    pub(crate) fn encapsulate(&self, rng: &mut impl CryptoRng) -> (KyberCiphertext, KemSecret) {
        let mut randomness = Zeroizing::new([0; 32]);
        rng.fill_bytes(randomness.as_mut());
        let key = MlKem1024PublicKey::from(&*self.0);
        let (ciphertext, mut secret) = kyber1024::encapsulate(&key, *randomness);
        let result = KemSecret(Box::new(secret));
        secret.zeroize();
        (KyberCiphertext(Box::new(*ciphertext.as_slice())), result)
    }
}

impl KyberSecretKey {
    /// Parses exactly 3,169 bytes from the caller's own storage (spec §1.6).
    ///
    /// # Errors
    /// [`KyberSecretKeyError`]: the storage is damaged; restore it or make new prekeys.
    pub fn parse(bytes: &[u8]) -> Result<Self, KyberSecretKeyError> {
        let Some((&KYBER1024, key)) = bytes.split_first() else { return Err(KyberSecretKeyError::Format) };
        let key: &[u8; SECRET_KEY] = key.try_into().map_err(|_| KyberSecretKeyError::Format)?;
        let secret = Self(Box::new(*key));
        secret.check_hash()?;
        Ok(secret)
    }

    /// The 3,169 bytes that [`Self::parse`] takes; wiped when dropped.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Box<[u8]>> {
        Zeroizing::new(tagged(&self.0[..]))
    }

    /// The public key that stands inside the secret one (bytes 1536 to 3104 of the key).
    pub(crate) fn public_key(&self) -> KyberPublicKey {
        let (_, rest) = self.0.split_at(DECRYPTION_KEY);
        let (public, _) = rest.split_at(PUBLIC_KEY);
        let mut key = Box::new([0; PUBLIC_KEY]);
        key.copy_from_slice(public);
        KyberPublicKey(key)
    }

    fn check_hash(&self) -> Result<(), KyberSecretKeyError> {
        if mlkem1024::portable::validate_private_key_only(&MlKem1024PrivateKey::from(&*self.0)) {
            Ok(())
        } else {
            Err(KyberSecretKeyError::Inconsistent)
        }
    }

    /// Constant time, and infallible by design (implicit rejection).
    pub(crate) fn decapsulate(&self, ciphertext: &KyberCiphertext) -> KemSecret {
        let ciphertext = MlKem1024Ciphertext::from(&*ciphertext.0);
        let mut secret = kyber1024::decapsulate(&MlKem1024PrivateKey::from(&*self.0), &ciphertext);
        let result = KemSecret(Box::new(secret));
        secret.zeroize();
        result
    }
}

impl KyberCiphertext {
    /// Parses exactly 1,569 bytes (spec §1.6).
    ///
    /// # Errors
    /// [`KyberCiphertextError`]; the peer is at fault.
    pub fn parse(bytes: &[u8]) -> Result<Self, KyberCiphertextError> {
        let (key_type, ciphertext) = bytes.split_first().ok_or(KyberCiphertextError::Length { got: 0 })?;
        let ciphertext: &[u8; CIPHERTEXT] =
            ciphertext.try_into().map_err(|_| KyberCiphertextError::Length { got: bytes.len() })?;
        if *key_type != KYBER1024 {
            return Err(KyberCiphertextError::KeyType { got: *key_type });
        }
        Ok(Self(Box::new(*ciphertext)))
    }

    /// The 1,569 bytes that [`Self::parse`] takes.
    #[must_use]
    pub fn to_bytes(&self) -> Box<[u8]> {
        tagged(&self.0[..])
    }
}

impl KemSecret {
    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// `bytes` behind the type byte, in one allocation of the final size (no copy of a secret stays behind).
fn tagged(bytes: &[u8]) -> Box<[u8]> {
    let mut tagged = Vec::with_capacity(bytes.len().saturating_add(1));
    tagged.push(KYBER1024);
    tagged.extend_from_slice(bytes);
    tagged.into_boxed_slice()
}

impl fmt::Debug for KyberPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = *self.0;
        write!(f, "KyberPublicKey({a:02x}{b:02x}{c:02x}{d:02x}..)")
    }
}

impl fmt::Debug for KyberCiphertext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = *self.0;
        write!(f, "KyberCiphertext({a:02x}{b:02x}{c:02x}{d:02x}..)")
    }
}

impl fmt::Debug for KyberSecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KyberSecretKey(..)")
    }
}

impl fmt::Debug for KemSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KemSecret(..)")
    }
}
