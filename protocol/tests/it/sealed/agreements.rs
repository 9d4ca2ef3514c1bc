//! What identity keys agree on, kept (spec §8.9): the same bytes, the same answers.

use waxwing_protocol::IdentityKeyPair;
use waxwing_protocol::sealed::{Agreements, Header, OpenError, SealedMessage};

use super::scene::{Scene, received};

/// Kept for both directions between Alice and everybody.
fn kept(ours: &IdentityKeyPair, theirs: &[&IdentityKeyPair]) -> Agreements {
    let mut agreements = Agreements::new();
    theirs.iter().for_each(|pair| agreements.keep(ours, pair.public_key()));
    agreements
}

fn sealed_for_bob(scene: &Scene) -> Vec<u8> {
    let rng = &mut scene.rng.clone();
    let fan_out = scene.content(b"m").seal_fan_out(&scene.alice, &[*scene.bob.public_key()], rng).unwrap();
    received(&fan_out.envelope(0).unwrap())
}

#[test]
fn what_is_kept_changes_no_byte_of_what_is_sealed() {
    let mut scene = Scene::new(41);
    let others: Vec<_> = (0..20).map(|_| IdentityKeyPair::generate(&mut scene.rng)).collect();
    let keys: Vec<_> = others.iter().map(|pair| *pair.public_key()).collect();
    // Half of them are kept, and some of somebody else's.
    let mut agreements = kept(&scene.alice, &others.iter().step_by(2).collect::<Vec<_>>());
    others.iter().for_each(|pair| agreements.keep(&scene.bob, pair.public_key()));
    let (content, rng) = (scene.content(b"m"), &scene.rng);
    let with = content.seal_fan_out_with(&scene.alice, &keys, &agreements, &mut rng.clone()).unwrap();
    let without = content.seal_fan_out(&scene.alice, &keys, &mut rng.clone()).unwrap();
    assert_eq!(with, without);
}

#[test]
fn what_is_kept_opens_the_same_messages() {
    let scene = Scene::new(42);
    let sealed = SealedMessage::decode(&sealed_for_bob(&scene)).unwrap();
    let expected = sealed.open(&scene.bob).unwrap();
    let mut agreements = kept(&scene.bob, &[&scene.alice]);
    assert!(sealed.open_with(&scene.bob, &mut agreements).unwrap() == expected);
    // Computed by the first one, kept, and used by the second one.
    let mut agreements = Agreements::new();
    assert!(sealed.open_with(&scene.bob, &mut agreements).unwrap() == expected);
    agreements.keep(&scene.bob, scene.alice.public_key());
    assert!(sealed.open_with(&scene.bob, &mut agreements).unwrap() == expected);
    agreements.forget(scene.alice.public_key());
    assert!(sealed.open_with(&scene.bob, &mut agreements).unwrap() == expected);
}

#[test]
fn what_is_kept_lets_no_forgery_in() {
    let mut scene = Scene::new(43);
    let mallory = IdentityKeyPair::generate(&mut scene.rng);
    let mut agreements = kept(&scene.bob, &[&scene.alice, &mallory]);
    let sealed = sealed_for_bob(&scene);
    // AT, the second part of the header behind the version byte.
    for bit in 0..(Header::LEN - 32) * 8 {
        let mut forged = sealed.clone();
        forged[1 + 32 + bit / 8] ^= 1 << (bit % 8);
        let opened = SealedMessage::decode(&forged).unwrap().open_with(&scene.bob, &mut agreements);
        assert_eq!(opened, Err(OpenError::Forged), "bit {bit}");
    }
    assert!(SealedMessage::decode(&sealed).unwrap().open_with(&scene.bob, &mut agreements).is_ok());
}

#[test]
fn an_agreement_is_used_for_no_other_keys() {
    let mut scene = Scene::new(44);
    let (carol, sealed) = (IdentityKeyPair::generate(&mut scene.rng), sealed_for_bob(&scene));
    let sealed = SealedMessage::decode(&sealed).unwrap();
    // Carol keeps hers with Alice, and her agreements are there when Bob opens, and the other way round.
    let mut agreements = kept(&carol, &[&scene.alice, &scene.bob]);
    assert!(sealed.open_with(&scene.bob, &mut agreements).is_ok());
    assert_eq!(sealed.open_with(&carol, &mut agreements), Err(OpenError::Forged));
    agreements.keep(&scene.bob, scene.alice.public_key());
    assert_eq!(sealed.open_with(&carol, &mut agreements), Err(OpenError::Forged));
    // The newest one is Alice's and Bob's: to keep another takes nothing of it.
    let mut agreements = Agreements::new();
    assert!(sealed.open_with(&scene.bob, &mut agreements).is_ok());
    agreements.keep(&scene.bob, carol.public_key());
    let rng = &mut scene.rng.clone();
    let certificate =
        scene.issuer.issue(super::scene::sender(&scene.bob), waxwing_protocol::sealed::ServerReference::Embedded, rng);
    let content = waxwing_protocol::sealed::Content::new(
        &certificate,
        waxwing_protocol::sealed::ContentKind::Signal,
        b"to Carol",
    );
    let fan_out = content.seal_fan_out_with(&scene.bob, &[*carol.public_key()], &agreements, rng).unwrap();
    let to_carol = received(&fan_out.envelope(0).unwrap());
    assert!(SealedMessage::decode(&to_carol).unwrap().open(&carol).is_ok());
}

#[test]
fn it_shows_nothing() {
    let scene = Scene::new(45);
    let agreements = kept(&scene.bob, &[&scene.alice]);
    assert_eq!(format!("{agreements:?}"), "Agreements { kept: 1, .. }");
}
