//! Version 1: one recipient (spec §8.4).

use waxwing_protocol::IdentityKeyPair;
use waxwing_protocol::sealed::{OpenError, SealedMessage};

use super::scene::{EXPIRES, Scene, bob, field};

#[test]
fn only_its_recipient_opens_it() {
    let mut scene = Scene::new(1);
    let mut rng = scene.rng.clone();
    let sealed = scene.content(b"m").seal_v1(&scene.alice, scene.bob.public_key(), &mut rng).unwrap();
    assert_eq!(sealed[0], 0x11);
    assert!(scene.open(&sealed).is_ok());
    for other in [IdentityKeyPair::generate(&mut scene.rng), IdentityKeyPair::from_private_key(&[1; 32])] {
        assert_eq!(SealedMessage::decode(&sealed).unwrap().open(&other), Err(OpenError::Forged));
    }
    assert_eq!(SealedMessage::decode(&sealed).unwrap().open(&scene.alice), Err(OpenError::Forged));
}

/// Spec §8.10: of version 1 the low nibble of the first byte and bit 4 are free; every other bit is refused.
#[test]
fn every_bit_but_those_of_the_version_s_low_nibble_is_covered() {
    let scene = Scene::new(2);
    let sealed = scene.content(b"message").seal_v1(&scene.alice, scene.bob.public_key(), &mut scene.rng.clone());
    let sealed = sealed.unwrap();
    let mut free = Vec::new();
    for bit in 0..sealed.len() * 8 {
        let mut forged = sealed.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        let opened = SealedMessage::decode(&forged).ok().and_then(|message| message.open(&scene.bob).ok());
        if let Some(content) = opened {
            assert_eq!(content, scene.open(&sealed).unwrap());
            free.push(bit);
        }
    }
    assert_eq!(free, [0, 1, 2, 3, 4], "low nibble, and whether the high one is 0 or 1");
}

#[test]
fn field_order_and_unknown_fields_are_free() {
    let scene = Scene::new(3);
    let sealed = scene.content(b"message").seal_v1(&scene.alice, scene.bob.public_key(), &mut scene.rng.clone());
    let sealed = sealed.unwrap();
    // 1: 2 + 33 bytes, 2: 2 + 43 bytes, 3: the rest.
    let (one, rest) = sealed[1..].split_at(35);
    let (two, three) = rest.split_at(45);
    for body in [[three, two, one].concat(), [one, two, three, &field(15, b"new")].concat()] {
        let content = scene.open(&[&[0x11][..], &body].concat()).unwrap();
        assert_eq!(content.verify(&scene.trust(), EXPIRES, bob()).unwrap().message(), b"message");
    }
}

#[test]
fn what_is_truncated_or_lacks_a_field_is_refused() {
    let scene = Scene::new(4);
    let sealed = scene.content(b"message").seal_v1(&scene.alice, scene.bob.public_key(), &mut scene.rng.clone());
    let sealed = sealed.unwrap();
    for len in 0..sealed.len() {
        assert!(SealedMessage::decode(&sealed[..len]).is_err(), "{len}");
    }
    let (one, two, three) = (&sealed[1..36], &sealed[36..81], &sealed[81..]);
    for parts in [[two, three], [one, three], [one, two]] {
        assert!(SealedMessage::decode(&[&[0x11], parts[0], parts[1]].concat()).is_err());
    }
}
