//! What is sealed, and what the recipient makes of it (spec §8.3).

use waxwing_protocol::sealed::{Content, ContentHint, ContentKind, Message, OwnDevice, SealError, VerifyError};
use waxwing_protocol::{
    DecryptionErrorMessage, IdentityKeyPair, PlaintextContent, ServiceId, ServiceIdKind, Timestamp,
};

use super::scene::{EXPIRES, Scene, bob, device, received, sender};

#[test]
fn kind_hint_group_and_message_arrive_in_both_versions() {
    let mut scene = Scene::new(1);
    let hints = [ContentHint::Default, ContentHint::Resendable, ContentHint::Implicit, ContentHint::Unknown(u32::MAX)];
    let kinds = [ContentKind::PreKey, ContentKind::Signal, ContentKind::SenderKey, ContentKind::Plaintext];
    for (hint, kind) in hints.into_iter().flat_map(|hint| kinds.map(|kind| (hint, kind))) {
        for group in [&b""[..], b"group"] {
            let (certificate, mut rng) = (scene.certificate.clone(), scene.rng.clone());
            let content = Content::new(&certificate, kind, b"message").with_hint(hint).with_group_id(group);
            let v1 = content.seal_v1(&scene.alice, scene.bob.public_key(), &mut rng).unwrap();
            let v2 = content.seal_fan_out(&scene.alice, &[*scene.bob.public_key()], &mut rng).unwrap();
            for sealed in [v1, received(&v2.envelope(0).unwrap())] {
                let opened = scene.open(&sealed).unwrap();
                assert_eq!(opened.claims(), scene.certificate.sender());
                let verified = opened.verify(&scene.trust(), EXPIRES, bob()).unwrap();
                assert_eq!((verified.kind(), verified.hint(), verified.message()), (kind, hint, &b"message"[..]));
                assert_eq!(verified.group_id(), (!group.is_empty()).then_some(group));
                assert_eq!(verified.sender(), scene.certificate.sender());
                assert_eq!(verified.certificate(), &scene.certificate);
            }
            scene.rng = rng;
        }
    }
}

#[test]
fn the_message_inside_is_parsed_as_its_kind_says() {
    let scene = Scene::new(2);
    let error = DecryptionErrorMessage { ratchet_key: None, timestamp: Timestamp(7), device_id: 1 };
    let plaintext = PlaintextContent::new(error);
    let open = |kind| {
        let content = Content::new(&scene.certificate, kind, plaintext.as_bytes());
        let sealed = content.seal_v1(&scene.alice, scene.bob.public_key(), &mut scene.rng.clone()).unwrap();
        scene.open(&sealed).unwrap().verify(&scene.trust(), EXPIRES, bob()).unwrap().decode_message()
    };
    assert_eq!(open(ContentKind::Plaintext), Ok(Message::Plaintext(plaintext.clone())));
    for kind in [ContentKind::PreKey, ContentKind::Signal, ContentKind::SenderKey] {
        assert!(open(kind).is_err());
    }
}

#[test]
fn what_we_sent_ourselves_is_refused() {
    let mut scene = Scene::new(3);
    let mut sender = sender(&scene.alice);
    sender.e164 = Some("+49151".to_owned());
    let reference = waxwing_protocol::sealed::ServerReference::Embedded;
    let certificate = scene.issuer.issue(sender, reference, &mut scene.rng);
    let content = Content::new(&certificate, ContentKind::Signal, b"m");
    let sealed = content.seal_v1(&scene.alice, scene.bob.public_key(), &mut scene.rng).unwrap();
    let pni = |mut device: waxwing_protocol::DeviceAddress| {
        device.service_id = ServiceId { kind: ServiceIdKind::Pni, ..device.service_id };
        device
    };
    let cases = [
        (device(1, 1), None, true),
        (device(1, 1), Some("+1"), true),
        (device(1, 2), Some("+49151"), false),
        (device(9, 1), Some("+49151"), true),
        (device(9, 1), Some("+49152"), false),
        (device(9, 1), None, false),
        (pni(device(1, 1)), None, false),
    ];
    for (address, e164, is_own) in cases {
        let opened = scene.open(&sealed).unwrap().verify(&scene.trust(), EXPIRES, OwnDevice { address, e164 });
        assert_eq!(opened.err(), is_own.then_some(VerifyError::SentByUs), "{address:?} {e164:?}");
    }
    // Without a number in the certificate there is nothing to compare.
    let sealed = scene.content(b"m").seal_v1(&scene.alice, scene.bob.public_key(), &mut scene.rng.clone()).unwrap();
    let own = OwnDevice { address: device(9, 1), e164: Some("") };
    assert!(scene.open(&sealed).unwrap().verify(&scene.trust(), EXPIRES, own).is_ok());
}

#[test]
fn only_the_key_that_the_certificate_names_seals() {
    let mut scene = Scene::new(4);
    let mallory = IdentityKeyPair::generate(&mut scene.rng);
    let mut rng = scene.rng.clone();
    let bob = *scene.bob.public_key();
    let content = scene.content(b"m");
    assert_eq!(content.seal_v1(&mallory, &bob, &mut rng), Err(SealError::OtherCertificate));
    assert_eq!(content.seal_fan_out(&mallory, &[bob], &mut rng), Err(SealError::OtherCertificate));
    assert_eq!(content.seal_sent(&mallory, &[], &[], &mut rng), Err(SealError::OtherCertificate));
}

#[test]
fn what_is_received_says_nothing_of_itself_in_debug() {
    let scene = Scene::new(5);
    let content = scene.content(b"secret words").with_group_id(b"secret group");
    let sealed = content.seal_v1(&scene.alice, scene.bob.public_key(), &mut scene.rng.clone()).unwrap();
    let opened = scene.open(&sealed).unwrap();
    let verified = opened.clone().verify(&scene.trust(), EXPIRES, bob()).unwrap();
    let text = format!("{opened:?} {verified:?} {:?}", waxwing_protocol::sealed::SealedMessage::decode(&sealed));
    let alice = hex::encode(scene.alice.public_key().to_bytes());
    for hidden in ["secret", &alice[2..], "115, 101, 99, 114"] {
        assert!(!text.contains(hidden), "{text}");
    }
}
