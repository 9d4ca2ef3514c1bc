//! Version 1: one recipient, two agreements, AES-CTR and HMAC (spec §8.4).
//!
//! ```text
//! DH(E, R) ─▶ chain, cipher, mac ──▶ encrypted_static: who sends
//!               └─salt─▶ DH(S, R) ─▶ cipher', mac' ──▶ encrypted_message
//! ```

use alloc::boxed::Box;
use alloc::vec::Vec;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::error::OpenError;
use super::proto::V1Body;
use super::received::ContentIn;
use crate::crypto::{Salt, apply_keystream, hkdf, hmac};
use crate::curve::{EncodedKey, IdentityKey, KeyPair, NonContributory, Point, SharedSecret};
use crate::label;
use crate::message::{DecodeError, framing};

/// The version byte that is written; a decoder accepts high nibbles 0 and 1.
const VERSION: u8 = 0x11;
const MAC: usize = 10;
const STATIC: usize = 33 + MAC;

/// A message of version 1 with its fields apart.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct V1Message {
    ephemeral: EncodedKey,
    encrypted_static: Box<[u8; STATIC]>,
    encrypted_message: Vec<u8>,
}

/// Seals `content` from `sender` to `recipient` under an ephemeral key that must be fresh.
pub(super) fn seal(
    content: Vec<u8>,
    sender: &KeyPair,
    recipient: &Point,
    ephemeral: &KeyPair,
) -> Result<Vec<u8>, NonContributory> {
    let outer = OuterKeys::derive(&ephemeral.agree(recipient)?, recipient, &EncodedKey::from_point(ephemeral.public()));
    seal_under(&outer, content, sender, recipient, &EncodedKey::from_point(ephemeral.public()))
}

/// As [`seal`], once it is known what the ephemeral key agrees on: a recorded message can be made again with the
/// recipient's private key instead of the ephemeral one.
fn seal_under(
    outer: &OuterKeys,
    content: Vec<u8>,
    sender: &KeyPair,
    recipient: &Point,
    ephemeral: &EncodedKey,
) -> Result<Vec<u8>, NonContributory> {
    let static_key = EncodedKey::from_point(sender.public()).to_bytes();
    let encrypted_static = outer.keys.encrypt(static_key.into());
    let inner = outer.inner_keys(&encrypted_static, &sender.agree(recipient)?);
    let body = V1Body {
        ephemeral_public: Some(ephemeral.to_bytes().into()),
        encrypted_static: Some(encrypted_static),
        encrypted_message: Some(inner.encrypt(content)),
    };
    let mut bytes = Vec::from([VERSION]);
    prost::Message::encode_raw(&body, &mut bytes);
    Ok(bytes)
}

impl V1Message {
    /// Parses the protobuf behind the version byte.
    pub(super) fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let body: V1Body = framing::decode(body)?;
        let ephemeral = framing::require(body.ephemeral_public, "ephemeral_public")?;
        let ephemeral = EncodedKey::parse(&ephemeral).map_err(DecodeError::key("ephemeral_public"))?;
        let encrypted_static = framing::require(body.encrypted_static, "encrypted_static")?;
        let encrypted_static = encrypted_static.try_into();
        let encrypted_static = encrypted_static.map_err(|_| DecodeError::Invalid { field: "encrypted_static" })?;
        let encrypted_message = framing::require(body.encrypted_message, "encrypted_message")?;
        if encrypted_message.len() < MAC {
            return Err(DecodeError::Invalid { field: "encrypted_message" });
        }
        Ok(Self { ephemeral, encrypted_static: Box::new(encrypted_static), encrypted_message })
    }

    pub(super) fn open(&self, recipient: &KeyPair) -> Result<ContentIn, OpenError> {
        let (sender, inner) = self.open_static(recipient).ok_or(OpenError::Forged)?;
        let content = inner.decrypt(&self.encrypted_message).ok_or(OpenError::Forged)?;
        let content = ContentIn::decode(&content).map_err(OpenError::Content)?;
        let certified = content.claims().identity_key.to_bytes();
        if sender.to_bytes().ct_eq(&certified).into() { Ok(content) } else { Err(OpenError::Forged) }
    }

    /// Who sends, and the keys of the message; `None` if anything is wrong.
    fn open_static(&self, recipient: &KeyPair) -> Option<(IdentityKey, Keys)> {
        let secret = recipient.agree(&self.ephemeral.point().ok()?).ok()?;
        let outer = OuterKeys::derive(&secret, recipient.public(), &self.ephemeral);
        let static_key = outer.keys.decrypt(self.encrypted_static.as_slice())?;
        let sender = IdentityKey::decode(&static_key).ok()?;
        let secret = recipient.agree(&sender.point).ok()?;
        Some((sender.key, outer.inner_keys(self.encrypted_static.as_slice(), &secret)))
    }
}

/// Keys of one CTR and HMAC encryption.
struct Keys {
    cipher: Zeroizing<[u8; 32]>,
    mac: Zeroizing<[u8; 32]>,
}

/// What the ephemeral key agrees on.
struct OuterKeys {
    chain: Zeroizing<[u8; 32]>,
    keys: Keys,
}

impl OuterKeys {
    /// `secret` is DH(E, R), from either side.
    fn derive(secret: &SharedSecret, recipient: &Point, ephemeral: &EncodedKey) -> Self {
        let recipient = EncodedKey::from_point(recipient).to_bytes();
        let salt = [label::SEALED_V1_SALT.as_bytes(), &recipient, &ephemeral.to_bytes()].concat();
        let [chain, cipher, mac] = *hkdf::<3>(Salt::Bytes(&salt), &[secret.as_bytes()], label::SEALED_V1_KEYS);
        Self { chain: Zeroizing::new(chain), keys: Keys { cipher: Zeroizing::new(cipher), mac: Zeroizing::new(mac) } }
    }

    /// `secret` is DH(S, R).
    fn inner_keys(&self, encrypted_static: &[u8], secret: &SharedSecret) -> Keys {
        let salt = Zeroizing::new([self.chain.as_slice(), encrypted_static].concat());
        let [_, cipher, mac] = *hkdf::<3>(Salt::Bytes(&salt), &[secret.as_bytes()], label::SEALED_V1_KEYS);
        Keys { cipher: Zeroizing::new(cipher), mac: Zeroizing::new(mac) }
    }
}

impl Keys {
    /// The ciphertext and ten bytes of MAC.
    fn encrypt(&self, mut buffer: Vec<u8>) -> Vec<u8> {
        apply_keystream(&self.cipher, &mut buffer);
        let tag = hmac(&self.mac, &[&buffer]);
        buffer.extend(tag.iter().take(MAC));
        buffer
    }

    /// Checks the MAC in constant time, then decrypts.
    fn decrypt(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let (ciphertext, tag) = bytes.split_last_chunk::<MAC>()?;
        let expected = hmac(&self.mac, &[ciphertext]);
        let (expected, _) = expected.split_first_chunk::<MAC>()?;
        if !bool::from(expected.ct_eq(tag)) {
            return None;
        }
        let mut buffer = ciphertext.to_vec();
        apply_keystream(&self.cipher, &mut buffer);
        Some(buffer)
    }
}

#[cfg(test)]
mod tests;
