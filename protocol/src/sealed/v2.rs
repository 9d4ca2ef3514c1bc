//! Version 2: the content is encrypted once under a key M, and M to every recipient (spec §8.5).
//!
//! ```text
//! M ─▶ e, E = eB    M ─▶ K ─▶ shared = E ‖ GCM-SIV(K, content)          once
//! DH(E, R) ─▶ C = .. ⊕ M          DH(S, R) ─▶ AT                        header = C ‖ AT, per recipient
//! ```
//! Invariant: nothing is decrypted under a K whose M does not lead to the E that everybody sees, so that one shared part has
//! one meaning for all recipients.

use alloc::boxed::Box;
use alloc::vec::Vec;

use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::agreements::Agreements;
use super::content::Content;
use super::error::{OpenError, SealError};
use super::received::ContentIn;
use crate::crypto::{Salt, TAG_LEN, decrypt_detached, encrypt_detached, hkdf};
use crate::curve::{EncodedKey, KeyPair, NonContributory, Point, PrivateKey, SharedSecret};
use crate::label::{self, Label};

/// What one recipient needs besides the shared part: C ‖ AT, 48 bytes (spec §8.5).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Header([u8; Header::LEN]);

impl Header {
    /// Its size.
    pub const LEN: usize = 48;

    /// Takes 48 bytes from outside. They mean nothing until a message opens with them.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The 48 bytes as they travel.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

/// The shared part's bytes before the ciphertext.
pub(super) const EPHEMERAL_LEN: usize = 32;
/// A shared part with an empty content.
pub(super) const MIN_SHARED_LEN: usize = EPHEMERAL_LEN + TAG_LEN;

/// M: what every recipient learns, and everything follows from.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct MessageKey(Box<[u8; 32]>);

/// What M leads to.
pub(super) struct Seal {
    message_key: MessageKey,
    ephemeral: KeyPair,
    cipher_key: Zeroizing<[u8; 32]>,
}

impl Seal {
    /// For one upload. Draws 32 random bytes.
    pub(super) fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut message_key = MessageKey(Box::new([0; 32]));
        rng.fill_bytes(message_key.0.as_mut());
        Self::new(message_key)
    }

    fn new(message_key: MessageKey) -> Self {
        let private = kdf(label::SEALED_V2_R, &[message_key.0.as_slice()]);
        let ephemeral = KeyPair::from_private(PrivateKey::from_bytes(&private));
        let cipher_key = kdf(label::SEALED_V2_K, &[message_key.0.as_slice()]);
        Self { message_key, ephemeral, cipher_key }
    }

    /// E ‖ ciphertext ‖ tag.
    pub(super) fn shared(&self, content: &Content<'_>) -> Result<Vec<u8>, SealError> {
        let mut shared = self.ephemeral.public().as_bytes().to_vec();
        content.encode_onto(&mut shared)?;
        let len = shared.len();
        let (_, buffer) = shared.split_at_mut(EPHEMERAL_LEN);
        let tag = encrypt_detached(&self.cipher_key, &NONCE, &[], buffer);
        // GCM-SIV takes 2^36 bytes; the content's limit is far below.
        let tag = tag.map_err(|_| SealError::TooLong { len, max: super::MAX_CONTENT_LEN })?;
        shared.extend_from_slice(&tag);
        Ok(shared)
    }

    /// `kept` is what sender and recipient agree on, if it was computed before.
    pub(super) fn header(
        &self,
        sender: &KeyPair,
        recipient: &Point,
        kept: Option<&SharedSecret>,
    ) -> Result<Header, NonContributory> {
        let parties = Parties {
            ephemeral: EncodedKey::from_point(self.ephemeral.public()),
            recipient: EncodedKey::from_point(recipient),
        };
        let c = parties.mask(&self.ephemeral.agree(recipient)?, &self.message_key.0);
        let sender_key = EncodedKey::from_point(sender.public());
        let at = match kept {
            Some(secret) => parties.tag(secret, &c, &sender_key),
            None => parties.tag(&sender.agree(recipient)?, &c, &sender_key),
        };
        let mut header = [0; Header::LEN];
        let (left, right) = header.split_at_mut(32);
        left.copy_from_slice(c.as_slice());
        right.copy_from_slice(&at);
        Ok(Header(header))
    }
}

/// Opens the shared part with the header made for `recipient`; `shared` has [`MIN_SHARED_LEN`] bytes or more.
pub(super) fn open(
    header: &Header,
    shared: &[u8],
    recipient: &KeyPair,
    agreements: &mut Agreements,
) -> Result<ContentIn, OpenError> {
    let (ephemeral, ciphertext) = shared.split_first_chunk::<EPHEMERAL_LEN>().ok_or(OpenError::Forged)?;
    let (ciphertext, tag) = ciphertext.split_last_chunk::<TAG_LEN>().ok_or(OpenError::Forged)?;
    let (c, at) = header.0.split_first_chunk::<32>().ok_or(OpenError::Forged)?;
    let ephemeral = EncodedKey::from_u(ephemeral).map_err(|_| OpenError::Forged)?;
    let parties = Parties { ephemeral, recipient: EncodedKey::from_point(recipient.public()) };

    let point = ephemeral.point().map_err(|_| OpenError::Forged)?;
    let secret = recipient.agree(&point).map_err(|_| OpenError::Forged)?;
    let seal = Seal::new(MessageKey(Box::new(*parties.mask(&secret, c))));
    if !bool::from(seal.ephemeral.public().as_bytes().ct_eq(ephemeral.as_u())) {
        return Err(OpenError::Forged);
    }

    let mut content = ciphertext.to_vec();
    decrypt_detached(&seal.cipher_key, &NONCE, &[], &mut content, tag).map_err(|_| OpenError::Forged)?;
    let known = |key| agreements.decoded(recipient, key);
    let content = ContentIn::decode_with(&content, known).map_err(OpenError::Content)?;

    let sender = content.certificate().decoded_identity_key();
    let secret = agreements.of(recipient, sender).map_err(|_| OpenError::Forged)?;
    let expected = parties.tag(secret, c, &sender.key.encoded());
    if expected.ct_eq(at).into() { Ok(content) } else { Err(OpenError::Forged) }
}

/// The keys that every derivation for one recipient covers.
struct Parties {
    ephemeral: EncodedKey,
    recipient: EncodedKey,
}

impl Parties {
    /// M to C and back: the XOR with what DH(E, R) gives.
    fn mask(&self, secret: &SharedSecret, input: &[u8; 32]) -> Zeroizing<[u8; 32]> {
        let ikm = [secret.as_bytes().as_slice(), &self.ephemeral.to_bytes(), &self.recipient.to_bytes()];
        let mut output = kdf(label::SEALED_V2_DH, &ikm);
        for (byte, input) in output.iter_mut().zip(input) {
            *byte ^= input;
        }
        output
    }

    /// AT: only who can compute DH(S, R) can make it.
    fn tag(&self, secret: &SharedSecret, c: &[u8; 32], sender: &EncodedKey) -> [u8; 16] {
        let (ephemeral, sender, recipient) = (self.ephemeral.to_bytes(), sender.to_bytes(), self.recipient.to_bytes());
        let ikm = [secret.as_bytes().as_slice(), &ephemeral, c, &sender, &recipient];
        let output = kdf(label::SEALED_V2_DH_SENDER, &ikm);
        let mut tag = [0; 16];
        for (byte, output) in tag.iter_mut().zip(output.iter()) {
            *byte = *output;
        }
        tag
    }
}

/// HKDF without salt. 16 bytes are the first half of 32.
fn kdf(label: Label, ikm: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let [output] = *hkdf::<1>(Salt::None, ikm, label);
    Zeroizing::new(output)
}

/// Every K encrypts once.
const NONCE: [u8; 12] = [0; 12];

#[cfg(test)]
mod tests;
