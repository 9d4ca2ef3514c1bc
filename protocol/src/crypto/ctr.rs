//! AES-256 in counter mode (NIST SP 800-38A §6.5) from counter block zero, 32-bit big-endian counter. No authentication:
//! callers check a MAC first.

use aes::Aes256;
use aes::cipher::{KeyIvInit, StreamCipher};

/// Encrypts or decrypts in place. A key serves one message only, because the counter always starts at zero.
pub(crate) fn apply_keystream(key: &[u8; 32], buffer: &mut [u8]) {
    ctr::Ctr32BE::<Aes256>::new(&(*key).into(), &[0; 16].into()).apply_keystream(buffer);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// NIST SP 800-38A §F.5.5 has another first counter block; the block cipher underneath is the witness instead.
    #[test]
    fn the_keystream_is_the_encryption_of_consecutive_counters() {
        use aes::cipher::{BlockCipherEncrypt, KeyInit};

        let key = [0x42; 32];
        let mut stream = [0; 40];
        apply_keystream(&key, &mut stream);
        let cipher = Aes256::new(&key.into());
        for (counter, chunk) in (0_u8..).zip(stream.chunks(16)) {
            let mut block = [0; 16];
            block[15] = counter;
            let mut block = block.into();
            cipher.encrypt_block(&mut block);
            assert_eq!(chunk, &block[..chunk.len()]);
        }
    }
}
