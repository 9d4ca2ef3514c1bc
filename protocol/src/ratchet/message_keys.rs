//! The keys of one message (spec §5.3, §5.4).
//!
//! A seed is kept instead of its keys where a message was skipped, because the post-quantum ratchet's key, which is the
//! salt, becomes known only with the message.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::crypto::{CbcError, Salt, decrypt, encrypt, hkdf, hmac};
use crate::curve::IdentityKey;
use crate::label;

/// 32 bytes from which one message's keys derive.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct MessageSeed(Box<[u8; 32]>);

/// What the sparse post-quantum ratchet contributes to a message's keys (spec §5.3).
#[derive(Clone, Copy)]
pub(crate) enum PqSalt<'a> {
    /// The session has none, or the sender could not know that we have one (spec §6.3).
    None,
    /// The epoch's message key.
    Key(&'a [u8; 32]),
}

/// Cipher key (32), MAC key (32) and IV (the third's first 16 bytes) of exactly one message.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct MessageKeys(Box<[[u8; 32]; 3]>);

impl MessageSeed {
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Box::new(*bytes))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The keys of this seed's message.
    pub(crate) fn message_keys(&self, salt: PqSalt<'_>) -> MessageKeys {
        let salt = match salt {
            PqSalt::None => Salt::None,
            PqSalt::Key(key) => Salt::Key(key),
        };
        MessageKeys(Box::new(*hkdf::<3>(salt, &[&self.0[..]], label::MESSAGE_KEYS)))
    }
}

impl MessageKeys {
    /// Restores keys that were stored without their seed: 80 bytes, cipher key ‖ MAC key ‖ IV.
    pub(crate) fn from_bytes(bytes: &[u8; 80]) -> Self {
        let mut keys = Box::new([[0; 32]; 3]);
        let (stored, _) = keys.as_flattened_mut().split_at_mut(80);
        stored.copy_from_slice(bytes);
        Self(keys)
    }

    /// A copy to try a message with, so that a forged one does not use the keys up.
    pub(crate) fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }

    /// The 80 bytes that [`Self::from_bytes`] takes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        let (stored, _) = self.0.as_flattened().split_at(80);
        stored
    }

    pub(crate) fn encrypt(&self, plaintext: &[u8]) -> Vec<u8> {
        encrypt(self.cipher_key(), &self.iv(), plaintext)
    }

    /// Only after the MAC was found right.
    pub(crate) fn decrypt(&self, ciphertext: &[u8]) -> Result<Vec<u8>, CbcError> {
        decrypt(self.cipher_key(), &self.iv(), ciphertext)
    }

    /// The first 8 bytes of the HMAC over both identity keys and the message, version byte included (spec §5.4).
    pub(crate) fn mac(&self, sender: &IdentityKey, recipient: &IdentityKey, message: &[u8]) -> [u8; 8] {
        let [_, mac_key, _] = &*self.0;
        let [a, b, c, d, e, f, g, h, ..] = *hmac(mac_key, &[&sender.to_bytes(), &recipient.to_bytes(), message]);
        [a, b, c, d, e, f, g, h]
    }

    fn cipher_key(&self) -> &[u8; 32] {
        let [cipher_key, _, _] = &*self.0;
        cipher_key
    }

    fn iv(&self) -> [u8; 16] {
        let [_, _, [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ..]] = *self.0;
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
    }
}

impl fmt::Debug for MessageSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MessageSeed(..)")
    }
}

impl fmt::Debug for MessageKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MessageKeys(..)")
    }
}
