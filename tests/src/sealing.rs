//! The sealing layer opposite Signal's library: our crate takes a party's place with that party's own identity key, so that
//! what is inside the seal stays the library's business and every version can be tried.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a panic is the report")]

use std::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};
use waxwing_protocol::sealed::{CertificateKey, CertificateKeyPair, ContentHint, ContentKind, Trust};
use waxwing_protocol::{DeviceAddress, DeviceId, IdentityKeyPair, ServiceId};

use crate::peer::{Address, Bytes, MessageType, Party, Peer, PeerError};

/// A party's identity key pair, in our hands.
pub fn identity(party: &Party<'_>) -> IdentityKeyPair {
    IdentityKeyPair::from_private_key(&array(&party.info().identity_private))
}

/// A certificate key pair from its private key.
pub fn certificate_key(private: &Bytes) -> CertificateKeyPair {
    CertificateKeyPair::from_private_key(&array(private))
}

/// Trust in one root.
pub fn trust(root: &Bytes) -> Trust {
    Trust::new([&CertificateKey::parse(root).expect("a root key")])
}

/// An address whose name is a service id.
pub fn device_address(Address { name, device }: &Address) -> DeviceAddress {
    DeviceAddress {
        service_id: ServiceId::parse(name).expect("a service id"),
        device_id: DeviceId::new(*device).expect("a device id"),
    }
}

/// The library's message types as ours.
pub fn kind(kind: MessageType) -> ContentKind {
    match kind {
        MessageType::Whisper => ContentKind::Signal,
        MessageType::PreKey => ContentKind::PreKey,
        MessageType::SenderKey => ContentKind::SenderKey,
        MessageType::Plaintext => ContentKind::Plaintext,
    }
}

/// The library's numbers as ours.
pub fn hint(number: u32) -> ContentHint {
    match number {
        0 => ContentHint::Default,
        1 => ContentHint::Resendable,
        2 => ContentHint::Implicit,
        other => ContentHint::Unknown(other),
    }
}

/// M of a version 2 message in its received form, found with the recipient's private key by the library's own primitives
/// (spec §8.5): whoever opens a message can make it again.
///
/// # Errors
/// The driver's.
pub fn message_key(peer: &Peer, recipient: &Party<'_>, received: &[u8]) -> Result<[u8; 32], PeerError> {
    let ephemeral = [&[5], &received[49..81]].concat();
    let secret = peer.agree(&recipient.info().identity_private, &ephemeral)?;
    let ikm = [&*secret, &ephemeral, &recipient.info().identity_public].concat();
    let mask = peer.hkdf(None, &ikm, b"Sealed Sender v2: DH", 32)?;
    let c = &received[1..33];
    Ok(std::array::from_fn(|at| mask[at] ^ c[at]))
}

/// Randomness that was chosen: 32 bytes, once.
#[derive(Debug)]
pub struct Fixed(Option<[u8; 32]>);

impl Fixed {
    /// These bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Some(bytes))
    }
}

impl TryRng for Fixed {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("only bytes are asked for")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        panic!("only bytes are asked for")
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.copy_from_slice(&self.0.take().expect("asked for once"));
        Ok(())
    }
}

impl TryCryptoRng for Fixed {}

/// 32 bytes of hex.
fn array(bytes: &Bytes) -> [u8; 32] {
    bytes[..].try_into().expect("32 bytes")
}
