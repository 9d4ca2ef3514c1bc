//! The same things in the words of the wire and of the protocol.
use waxwing_protocol::{self as signal, sealed};
use waxwing_wire::{
    id::{AccountId, DeviceId},
    keys::{CertificatePublicKey, IdentityPublicKey},
    padding::EnvelopeSize,
    time::Timestamp,
};

/// Signal's type byte of X25519 keys (spec §1.1).
const TYPE: u8 = 5;

pub(crate) fn time(time: Timestamp) -> signal::Timestamp {
    signal::Timestamp(time.0)
}

pub(crate) fn service_id(account: &AccountId) -> signal::ServiceId {
    signal::ServiceId::aci(*account.service_id().as_bytes())
}

/// None never: both are 1 to 127.
pub(crate) fn device_id(device: DeviceId) -> Option<signal::DeviceId> {
    signal::DeviceId::new(device.value().into()).ok()
}

pub(crate) fn address(account: &AccountId, device: DeviceId) -> Option<signal::DeviceAddress> {
    Some(signal::DeviceAddress { service_id: service_id(account), device_id: device_id(device)? })
}

/// None for a key with torsion, which only this crate's side looks for (spec §11.2.6).
pub(crate) fn identity_key(key: &IdentityPublicKey) -> Option<signal::IdentityKey> {
    signal::IdentityKey::parse(&typed(key.as_bytes())).ok()
}

/// As [`identity_key`].
pub(crate) fn certificate_key(key: &CertificatePublicKey) -> Option<sealed::CertificateKey> {
    sealed::CertificateKey::parse(&typed(key.as_bytes())).ok()
}

/// The u-coordinate of a key with type byte.
pub(crate) fn untyped(bytes: &[u8; 33]) -> &[u8] {
    let [_, u @ ..] = bytes;
    u
}

pub(crate) fn size(size: EnvelopeSize) -> sealed::EnvelopeSize {
    sealed::EnvelopeSize::of(size.bytes()).unwrap_or(sealed::EnvelopeSize::B65536)
}

fn typed(u: &[u8; 32]) -> [u8; 33] {
    let mut bytes = [TYPE; 33];
    bytes.iter_mut().skip(1).zip(u).for_each(|(to, from)| *to = *from);
    bytes
}
