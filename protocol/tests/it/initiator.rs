//! An initiator written anew from spec §1.5, §3.3, §4 and §5.1 to §5.4 with other crates than ours uses where there are any
//! (x25519-dalek's ladder instead of the Edwards route, our own protobuf instead of prost). It is the independent witness
//! of those sections, and does what an honest initiator would not: wrong padding under a right MAC, say.
//!
//! It computes the agreement from the *responder's* private keys and the initiator's public identity key alone. That this
//! works is deniability (ATTACKS A14).

use aes::Aes256;
use aes::cipher::block_padding::{NoPadding, Pkcs7};
use aes::cipher::{BlockModeEncrypt, KeyIvInit};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use libcrux_ml_kem::kyber1024;
use libcrux_ml_kem::mlkem1024::MlKem1024PublicKey;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::Rng;
use sha2::{Digest, Sha256, Sha512};
use waxwing_protocol::Suite;
use x25519_dalek::{PublicKey, StaticSecret};

use crate::party::{OneTime, Party};
use crate::proto::{bytes, varint, write};

/// A session's initiating side, in plain arrays.
pub struct Initiator {
    pub suite: Suite,
    pub ratchet_private: [u8; 32],
    pub root_key: [u8; 32],
    pub chain_key: [u8; 32],
    pub counter: u32,
    base_public: [u8; 33],
    sender: [u8; 33],
    recipient: [u8; 33],
    addresses: Vec<u8>,
    registration_id: u32,
    one_time_prekey_id: Option<u32>,
    signed_prekey_id: u32,
    kyber: Option<(u32, Vec<u8>)>,
}

/// Cipher key, MAC key and IV of one message.
pub struct Keys {
    cipher_key: [u8; 32],
    mac_key: [u8; 32],
    iv: [u8; 16],
}

impl Initiator {
    /// Draws what `Session::initiate` draws, in its order.
    pub fn new(claimed: &Party, responder: &Party, suite: Suite, one_time: OneTime, rng: &mut ChaCha20Rng) -> Self {
        let base_private = draw(rng);
        let identity = public_part(&claimed.identity.public_key().to_bytes());
        let signed = responder.signed.private_key();
        let mut material = vec![0xFF; 32];
        // Every one of them on the responder's side.
        let base_public = public_of(&base_private);
        material.extend(dh(&signed, &identity));
        material.extend(dh(&responder.identity.private_key(), &base_public));
        material.extend(dh(&signed, &base_public));
        if one_time == OneTime::With {
            material.extend(dh(&responder.one_time.private_key(), &base_public));
        }
        let kyber = (suite == Suite::Pqxdh).then(|| {
            let public: [u8; 1568] = responder.kyber.public_key().to_bytes()[1..].try_into().unwrap();
            let (ciphertext, secret) = kyber1024::encapsulate(&MlKem1024PublicKey::from(public), draw(rng));
            material.extend(secret);
            (responder.kyber.id().0, [&[0x08][..], ciphertext.as_slice()].concat())
        });
        let info: &[u8] = match suite {
            Suite::X3dh => b"WhisperText",
            _ => b"WhisperText_X25519_SHA-256_CRYSTALS-KYBER-1024",
        };
        let [root_key, _] = hkdf(&[0; 32], &material, info);
        wipe(&mut material);

        let ratchet_private = draw(rng);
        let signed_public = public_part(&responder.signed.public_key().to_bytes());
        let [root_key, chain_key] = hkdf(&root_key, &dh(&ratchet_private, &signed_public), b"WhisperRatchet");
        Self {
            suite,
            ratchet_private,
            root_key,
            chain_key,
            counter: 0,
            base_public: encoded(&base_public),
            sender: claimed.identity.public_key().to_bytes(),
            recipient: responder.identity.public_key().to_bytes(),
            addresses: [claimed, responder].iter().flat_map(|party| address(party)).collect(),
            registration_id: claimed.registration_id.0,
            one_time_prekey_id: (one_time == OneTime::With).then_some(responder.one_time.id().0),
            signed_prekey_id: responder.signed.id().0,
            kyber,
        }
    }

    /// The next message of the chain, as an honest initiator seals it.
    pub fn signal(&mut self, plaintext: &[u8]) -> Vec<u8> {
        self.signal_of(|keys| keys.encrypt(plaintext))
    }

    /// The next message of the chain with any ciphertext, under a right MAC.
    pub fn signal_of(&mut self, ciphertext: impl FnOnce(&Keys) -> Vec<u8>) -> Vec<u8> {
        let keys = self.keys();
        let fields = [
            bytes(1, encoded(&public_of(&self.ratchet_private))),
            varint(2, self.counter),
            varint(3, 0_u32),
            bytes(4, ciphertext(&keys)),
            bytes(6, &self.addresses),
        ];
        let message = self.authenticate(&keys, &[&[self.version()][..], &write(&fields)].concat());
        self.chain_key = hmac(&self.chain_key, &[&[0x02]]);
        self.counter += 1;
        message
    }

    /// Any version byte and body, with the MAC of the chain's next message behind.
    pub fn authenticate(&self, keys: &Keys, message: &[u8]) -> Vec<u8> {
        let mac = hmac(&keys.mac_key, &[&self.sender, &self.recipient, message]);
        [message, &mac[..8]].concat()
    }

    pub fn keys(&self) -> Keys {
        let seed = hmac(&self.chain_key, &[&[0x01]]);
        let [cipher_key, mac_key, rest] = hkdf(&[0; 32], &seed, b"WhisperMessageKeys");
        Keys { cipher_key, mac_key, iv: rest[..16].try_into().unwrap() }
    }

    /// `signal` with everything that the responder needs.
    pub fn wrap(&self, signal: &[u8]) -> Vec<u8> {
        let mut fields = Vec::new();
        fields.extend(self.one_time_prekey_id.map(|id| varint(1, id)));
        fields.extend([bytes(2, self.base_public), bytes(3, self.sender), bytes(4, signal)]);
        fields.extend([varint(5, self.registration_id), varint(6, self.signed_prekey_id)]);
        if let Some((id, ciphertext)) = &self.kyber {
            fields.extend([varint(7, *id), bytes(8, ciphertext)]);
        }
        [&[self.version()][..], &write(&fields)].concat()
    }

    pub fn first_message(&mut self, plaintext: &[u8]) -> Vec<u8> {
        let signal = self.signal(plaintext);
        self.wrap(&signal)
    }

    fn version(&self) -> u8 {
        self.suite.version() << 4 | 4
    }
}

impl Keys {
    pub fn encrypt(&self, plaintext: &[u8]) -> Vec<u8> {
        self.cipher().encrypt_padded_vec::<Pkcs7>(plaintext)
    }

    /// Blocks as they are: the last may end in anything.
    pub fn encrypt_blocks(&self, blocks: &[u8]) -> Vec<u8> {
        assert!(blocks.len().is_multiple_of(16));
        self.cipher().encrypt_padded_vec::<NoPadding>(blocks)
    }

    fn cipher(&self) -> cbc::Encryptor<Aes256> {
        cbc::Encryptor::<Aes256>::new(&self.cipher_key.into(), &self.iv.into())
    }
}

/// XEdDSA as Signal's library signs (spec §1.5), for tests that need a good signature over a bad key.
pub fn xeddsa_sign(private: &[u8; 32], message: &[u8]) -> [u8; 64] {
    use curve25519_dalek::{EdwardsPoint, Scalar};
    let a = Scalar::from_bytes_mod_order(*private);
    let public = EdwardsPoint::mul_base(&a).compress().0;
    let wide = |parts: &[&[u8]]| {
        let hash = parts.iter().fold(Sha512::new(), |hash, part| hash.chain_update(part));
        Scalar::from_bytes_mod_order_wide(&hash.finalize().into())
    };
    let r = wide(&[b"a nonce of the tests", private, message]);
    let commitment = EdwardsPoint::mul_base(&r).compress().0;
    let s = r + wide(&[&commitment, &public, message]) * a;
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&commitment);
    signature[32..].copy_from_slice(s.as_bytes());
    signature[63] |= public[31] & 0x80;
    signature
}

/// HKDF-SHA256 in keys of 32 bytes.
pub fn hkdf<const N: usize>(salt: &[u8; 32], ikm: &[u8], info: &[u8]) -> [[u8; 32]; N] {
    let mut output = [[0; 32]; N];
    Hkdf::<Sha256>::new(Some(salt), ikm).expand(info, output.as_flattened_mut()).unwrap();
    output
}

pub fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut hmac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).unwrap();
    parts.iter().for_each(|part| hmac.update(part));
    hmac.finalize().into_bytes().into()
}

pub fn dh(private: &[u8; 32], public: &[u8; 32]) -> [u8; 32] {
    StaticSecret::from(*private).diffie_hellman(&PublicKey::from(*public)).to_bytes()
}

pub fn public_of(private: &[u8; 32]) -> [u8; 32] {
    PublicKey::from(&StaticSecret::from(*private)).to_bytes()
}

pub fn encoded(u: &[u8; 32]) -> [u8; 33] {
    let mut bytes = [0x05; 33];
    bytes[1..].copy_from_slice(u);
    bytes
}

pub fn public_part(encoded: &[u8; 33]) -> [u8; 32] {
    encoded[1..].try_into().unwrap()
}

fn draw(rng: &mut ChaCha20Rng) -> [u8; 32] {
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    bytes
}

fn address(party: &Party) -> Vec<u8> {
    let mut bytes = party.address.service_id.to_fixed_width().to_vec();
    bytes.push(party.address.device_id.get());
    bytes
}

/// The memory test looks for what the crate leaves behind, not for what this does.
fn wipe(bytes: &mut Vec<u8>) {
    zeroize::Zeroize::zeroize(bytes);
}
