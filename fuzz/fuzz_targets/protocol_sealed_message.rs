//! Decoding and opening is total, and a change to a sealed message opens only where spec §8.10 lists it.
//!
//! The input says how to change an honest message of either version; besides, it is taken as a message itself.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use waxwing_protocol::sealed::{
    CertificateKeyPair, Content, ContentKind, Issuer, SealedMessage, Sender, ServerReference,
};
use waxwing_protocol::{DeviceAddress, DeviceId, IdentityKeyPair, ServiceId, Timestamp};

struct Scene {
    bob: IdentityKeyPair,
    honest: [Vec<u8>; 2],
}

static SCENE: LazyLock<Scene> = LazyLock::new(|| {
    let rng = &mut ChaCha20Rng::seed_from_u64(1);
    let (alice, bob) = (IdentityKeyPair::generate(rng), IdentityKeyPair::generate(rng));
    let issuer = Issuer::self_signed(CertificateKeyPair::generate(rng), rng).unwrap();
    let address = DeviceAddress { service_id: ServiceId::aci([1; 16]), device_id: DeviceId::new(1).unwrap() };
    let sender = Sender { address, e164: None, identity_key: *alice.public_key(), expires: Timestamp(0) };
    let certificate = issuer.issue(sender, ServerReference::Embedded, rng);
    let content = Content::new(&certificate, ContentKind::Signal, b"message");
    let v1 = content.seal_v1(&alice, bob.public_key(), rng).unwrap();
    let fan_out = content.seal_fan_out(&alice, &[*bob.public_key()], rng).unwrap();
    let v2 = [vec![0x22], fan_out.envelope(0).unwrap()].concat();
    Scene { bob, honest: [v1, v2] }
});

fn opens(bytes: &[u8]) -> bool {
    SealedMessage::decode(bytes).is_ok_and(|message| message.open(&SCENE.bob).is_ok())
}

fuzz_target!(|data: &[u8]| {
    let _ = SealedMessage::from_envelope(data);
    let _ = opens(data);

    let [which, changes @ ..] = data else { return };
    let which = usize::from(which & 1);
    let honest = &SCENE.honest[which];
    let mut changed = honest.clone();
    for change in changes.chunks_exact(3) {
        let at = usize::from(u16::from_be_bytes([change[0], change[1]])) % honest.len();
        changed[at] ^= change[2];
    }
    let same_version = if which == 0 { changed[0] >> 5 == 0 } else { changed[0] >> 4 == 2 };
    // Version 1's outer protobuf has other encodings of the same fields; with bytes exchanged in place there is none.
    assert_eq!(opens(&changed), same_version && changed[1..] == honest[1..]);
});
