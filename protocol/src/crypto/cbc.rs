//! AES-256-CBC with PKCS#7 padding (NIST SP 800-38A, RFC 5652 §6.3). No authentication: callers check a MAC first.

use alloc::vec::Vec;

use aes::Aes256;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};

/// The ciphertext is no positive multiple of 16 bytes, or its padding is malformed. Never shown apart from a bad MAC.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct CbcError;

/// Encrypts; the result is 1 to 16 bytes longer, a multiple of 16.
pub(crate) fn encrypt(key: &[u8; 32], iv: &[u8; 16], plaintext: &[u8]) -> Vec<u8> {
    cbc::Encryptor::<Aes256>::new(&(*key).into(), &(*iv).into()).encrypt_padded_vec::<Pkcs7>(plaintext)
}

/// Decrypts and removes the padding.
pub(crate) fn decrypt(key: &[u8; 32], iv: &[u8; 16], ciphertext: &[u8]) -> Result<Vec<u8>, CbcError> {
    cbc::Decryptor::<Aes256>::new(&(*key).into(), &(*iv).into())
        .decrypt_padded_vec::<Pkcs7>(ciphertext)
        .map_err(|_| CbcError)
}
