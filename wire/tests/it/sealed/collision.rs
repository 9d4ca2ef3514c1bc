//! A second implementation of the keys of spec §12.3, from `hkdf` and `argon2` alone, and the attack of Dodis, Grubbs,
//! Ristenpart, Woodage (CRYPTO 2018) and of Len, Grubbs, Ristenpart (USENIX Security 2021): one AES-GCM ciphertext with one tag
//! that two keys accept.
//!
//! GHASH is linear. With subkey H, blocks C1…Cn and length block L: tag = E(J0) + Σ Ci·H^(n+2−i) + L·H, for either key.
//! Both tags are equal if Σ Ci·(H^(n+2−i) + H'^(n+2−i)) = E(J0) + E'(J0) + L·(H + H'): all blocks but the last are chosen
//! at will, and the last one solves it.
use aes_gcm::{Aes256Gcm, KeyInit, Nonce, Tag, aead::AeadInOut};
use hkdf::Hkdf;
use sha2::Sha256;
use waxwing_wire::sealed::ObjectSecret;

/// The keys of one object's header under one secret.
pub(super) struct Keys {
    key: [u8; 32],
    prefix: [u8; 7],
    pub(super) commitment: [u8; 32],
}

pub(super) fn keys(secret: &ObjectSecret, object: &[u8], label: &str) -> Keys {
    derive(secret.expose(), &object[1..33], label, &object[..1])
}

pub(super) fn passphrase_keys(passphrase: &[u8], object: &[u8], label: &str) -> Keys {
    let memory = u32::from_be_bytes(object[1..5].try_into().unwrap());
    let parameters = argon2::Params::new(memory, object[5].into(), object[6].into(), Some(32)).unwrap();
    let mut blocks = vec![argon2::Block::default(); parameters.block_count()];
    let argon2 = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, parameters);
    let mut secret = [0; 32];
    argon2.hash_password_into_with_memory(passphrase, &object[7..39], &mut secret, &mut blocks).unwrap();
    derive(&secret, &object[7..39], label, &object[..7])
}

fn derive(secret: &[u8; 32], salt: &[u8], label: &str, header: &[u8]) -> Keys {
    let info = [label.as_bytes(), &[0], header, &[0]].concat();
    let mut output = [0; 71];
    Hkdf::<Sha256>::new(Some(salt), secret).expand(&info, &mut output).unwrap();
    Keys {
        key: output[..32].try_into().unwrap(),
        prefix: output[32..39].try_into().unwrap(),
        commitment: output[39..].try_into().unwrap(),
    }
}

impl Keys {
    fn nonce(&self, last: u8) -> [u8; 12] {
        [&self.prefix[..], &[0, 0, 0, 0, last]].concat().try_into().unwrap()
    }

    /// Key and nonce of an object's only segment.
    pub(super) fn gcm(&self) -> ([u8; 32], [u8; 12]) {
        (self.key, self.nonce(1))
    }

    /// Key and nonce of the first of several segments.
    pub(super) fn gcm_more(&self) -> ([u8; 32], [u8; 12]) {
        (self.key, self.nonce(0))
    }

    pub(super) fn bare_open(&self, body: &[u8]) -> Option<Vec<u8>> {
        bare_open(&self.gcm(), body)
    }

    pub(super) fn bare_open_more(&self, body: &[u8]) -> Option<Vec<u8>> {
        bare_open(&self.gcm_more(), body)
    }

    pub(super) fn bare_seal(&self, stream: &[u8]) -> Vec<u8> {
        let mut body = stream.to_vec();
        let nonce = Nonce::from(self.nonce(1));
        let cipher = Aes256Gcm::new(&self.key.into());
        let tag = cipher.encrypt_inout_detached(&nonce, &[], body.as_mut_slice().into()).unwrap();
        body.extend_from_slice(&tag);
        body
    }
}

fn bare_open((key, nonce): &([u8; 32], [u8; 12]), body: &[u8]) -> Option<Vec<u8>> {
    let (ciphertext, tag) = body.split_last_chunk::<16>()?;
    let mut plaintext = ciphertext.to_vec();
    let cipher = Aes256Gcm::new(&(*key).into());
    let buffer = plaintext.as_mut_slice().into();
    cipher.decrypt_inout_detached(&Nonce::from(*nonce), &[], buffer, &Tag::from(*tag)).ok()?;
    Some(plaintext)
}

/// `length` bytes of ciphertext and a tag that both keys accept.
pub(super) fn build(one: &([u8; 32], [u8; 12]), two: &([u8; 32], [u8; 12]), length: usize) -> Vec<u8> {
    let whole = length / 16;
    let mut ciphertext: Vec<u8> = (0..length).map(|index| (index * 31) as u8).collect();
    // A last partial block counts as zero-padded; the block that solves the equation is the last whole one.
    let free = whole - 1;
    let count = length.div_ceil(16);
    let parts = [gcm_parts(one), gcm_parts(two)];
    ciphertext[free * 16..(free + 1) * 16].fill(0);
    let [sum_one, sum_two] = [0, 1].map(|index| parts[index].1 ^ ghash(parts[index].0, &ciphertext));
    let exponent = count + 1 - free;
    let coefficient = power(parts[0].0, exponent) ^ power(parts[1].0, exponent);
    let block = multiply(sum_one ^ sum_two, inverse(coefficient));
    ciphertext[free * 16..(free + 1) * 16].copy_from_slice(&block.to_be_bytes());
    let tag = parts[0].1 ^ ghash(parts[0].0, &ciphertext);
    assert_eq!(tag, parts[1].1 ^ ghash(parts[1].0, &ciphertext), "the equation is solved");
    ciphertext.extend_from_slice(&tag.to_be_bytes());
    ciphertext
}

/// H = E(0) and E(J0), both read off GCM itself: the tag of nothing is E(J0), and block 2 of the key stream of a nonce is
/// E(nonce ‖ 2); H needs the raw cipher.
fn gcm_parts((key, nonce): &([u8; 32], [u8; 12])) -> (u128, u128) {
    use aes_gcm::aes::{Aes256, cipher::BlockCipherEncrypt};
    let cipher = Aes256::new(&(*key).into());
    let encrypt = |block: [u8; 16]| {
        let mut block = block.into();
        cipher.encrypt_block(&mut block);
        u128::from_be_bytes(block.into())
    };
    let mut counter = [0; 16];
    counter[..12].copy_from_slice(nonce);
    counter[15] = 1;
    (encrypt([0; 16]), encrypt(counter))
}

fn ghash(subkey: u128, ciphertext: &[u8]) -> u128 {
    let mut state = 0;
    for block in ciphertext.chunks(16) {
        let mut padded = [0; 16];
        padded[..block.len()].copy_from_slice(block);
        state = multiply(state ^ u128::from_be_bytes(padded), subkey);
    }
    multiply(state ^ (ciphertext.len() as u128 * 8), subkey)
}

/// Multiplication in GCM's field (NIST SP 800-38D, algorithm 1): the leftmost bit is the coefficient of 1.
fn multiply(x: u128, mut y: u128) -> u128 {
    let mut product = 0;
    for bit in (0..128).rev() {
        if x >> bit & 1 == 1 {
            product ^= y;
        }
        let carry = y & 1;
        y >>= 1;
        y ^= carry * (0xe1 << 120);
    }
    product
}

fn power(base: u128, exponent: usize) -> u128 {
    let one = 1 << 127;
    (0..exponent).fold(one, |product, _| multiply(product, base))
}

/// x^(2^128 − 2).
fn inverse(x: u128) -> u128 {
    let (mut result, mut square) = (1 << 127, x);
    for _ in 1..128 {
        square = multiply(square, square);
        result = multiply(result, square);
    }
    result
}
