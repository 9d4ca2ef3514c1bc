//! The keys of one group message (spec §7.2). There is no MAC key: the signature authenticates.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::crypto::{CbcError, Salt, decrypt, encrypt, hkdf};
use crate::label;
use crate::ratchet::MessageSeed;

/// What seals exactly one message.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct GroupMessageKeys {
    iv: Box<[u8; 16]>,
    cipher_key: Box<[u8; 32]>,
}

impl GroupMessageKeys {
    /// The IV comes first, unlike in pairwise messages.
    pub(super) fn derive(seed: &MessageSeed) -> Self {
        let output = hkdf::<2>(Salt::None, &[seed.as_bytes()], label::GROUP_MESSAGE_KEYS);
        let mut keys = Self { iv: Box::new([0; 16]), cipher_key: Box::new([0; 32]) };
        let (iv, rest) = output.as_flattened().split_at(16);
        let (cipher_key, _) = rest.split_at(32);
        keys.iv.copy_from_slice(iv);
        keys.cipher_key.copy_from_slice(cipher_key);
        keys
    }

    pub(super) fn encrypt(&self, plaintext: &[u8]) -> Vec<u8> {
        encrypt(&self.cipher_key, &self.iv, plaintext)
    }

    /// Only after the signature was found right.
    pub(super) fn decrypt(&self, ciphertext: &[u8]) -> Result<Vec<u8>, CbcError> {
        decrypt(&self.cipher_key, &self.iv, ciphertext)
    }
}

impl fmt::Debug for GroupMessageKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GroupMessageKeys(..)")
    }
}
