//! A sender with a certificate, recipients, and what they trust.

use rand_chacha::ChaCha20Rng;
use waxwing_protocol::sealed::{
    CertificateKeyPair, Content, ContentIn, ContentKind, Issuer, OpenError, OwnDevice, SealedMessage, Sender,
    SenderCertificate, ServerCertificate, ServerCertificateIn, ServerReference, Trust,
};
use waxwing_protocol::{DeviceAddress, DeviceId, IdentityKeyPair, ServiceId, Timestamp};

use crate::party::rng;

pub const EXPIRES: Timestamp = Timestamp(31_337);

pub struct Scene {
    pub rng: ChaCha20Rng,
    pub root: CertificateKeyPair,
    pub issuer: Issuer,
    pub alice: IdentityKeyPair,
    pub bob: IdentityKeyPair,
    pub certificate: SenderCertificate,
}

impl Scene {
    pub fn new(seed: u64) -> Self {
        let mut rng = rng(seed);
        let root = CertificateKeyPair::generate(&mut rng);
        let issuer = issuer(&root, 5, &mut rng);
        let (alice, bob) = (IdentityKeyPair::generate(&mut rng), IdentityKeyPair::generate(&mut rng));
        let certificate = issuer.issue(sender(&alice), ServerReference::Embedded, &mut rng);
        Self { rng, root, issuer, alice, bob, certificate }
    }

    pub fn trust(&self) -> Trust {
        Trust::new([self.root.public_key()])
    }

    pub fn trust_with_server(&self) -> Trust {
        let mut trust = self.trust();
        trust.add_server(&ServerCertificateIn::decode(self.issuer.certificate().as_bytes()).unwrap()).unwrap();
        trust
    }

    pub fn content<'a>(&'a self, message: &'a [u8]) -> Content<'a> {
        Content::new(&self.certificate, ContentKind::Signal, message)
    }

    /// Bob opens bytes with a version byte.
    pub fn open(&self, bytes: &[u8]) -> Result<ContentIn, OpenError> {
        SealedMessage::decode(bytes).unwrap().open(&self.bob)
    }
}

pub fn issuer(root: &CertificateKeyPair, id: u32, rng: &mut ChaCha20Rng) -> Issuer {
    let key = CertificateKeyPair::generate(rng);
    let certificate = ServerCertificate::issue(id, key.public_key(), root, rng).unwrap();
    Issuer::new(certificate, key).unwrap()
}

pub fn sender(identity: &IdentityKeyPair) -> Sender {
    Sender { address: device(1, 1), e164: None, identity_key: *identity.public_key(), expires: EXPIRES }
}

pub fn device(account: u8, device: u32) -> DeviceAddress {
    DeviceAddress { service_id: ServiceId::aci([account; 16]), device_id: DeviceId::new(device).unwrap() }
}

pub fn bob() -> OwnDevice<'static> {
    OwnDevice { address: device(2, 1), e164: None }
}

/// A version 2 message in its received form.
pub fn received(envelope: &[u8]) -> Vec<u8> {
    [&[0x22], envelope].concat()
}

/// Protobuf by hand: a length-delimited field.
pub fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
    [varint(u64::from(number << 3 | 2)), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

/// Protobuf by hand: a varint field.
pub fn number(field: u32, value: u64) -> Vec<u8> {
    [varint(u64::from(field << 3)), varint(value)].concat()
}

pub fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 127 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
