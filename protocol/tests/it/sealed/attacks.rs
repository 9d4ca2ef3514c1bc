//! What an attacker tries at the seal (ATTACKS B11, C4), each row's id in the name.

use waxwing_protocol::IdentityKeyPair;
use waxwing_protocol::sealed::{
    CertificateError, CertificateKeyPair, Content, ContentKind, Issuer, OpenError, SealedMessage, ServerReference,
    Trust, VerifyError,
};

use super::scene::{EXPIRES, Scene, bob, received, sender};

/// ATTACKS C4, the seal's part: a member who received N's certificate seals as N. It has not N's identity key, so it can only
/// seal with its own (the type refuses), or replace the tag; and a certificate of its own making has the wrong root.
#[test]
fn c4_a_member_with_another_s_certificate_cannot_seal_as_them() {
    let mut scene = Scene::new(1);
    let mallory = IdentityKeyPair::generate(&mut scene.rng);
    let mut rng = scene.rng.clone();

    // Mallory certifies its own key under Alice's name, with a root of its own.
    let own = Issuer::self_signed(CertificateKeyPair::generate(&mut rng), &mut rng).unwrap();
    let forged = own.issue(sender(&mallory), ServerReference::Embedded, &mut rng);
    let content = Content::new(&forged, ContentKind::SenderKey, b"as N");
    let fan_out = content.seal_fan_out(&mallory, &[*scene.bob.public_key()], &mut rng).unwrap();
    let opened = scene.open(&received(&fan_out.envelope(0).unwrap())).unwrap();
    let verified = opened.verify(&scene.trust(), EXPIRES, bob());
    assert_eq!(verified.err(), Some(VerifyError::Certificate(CertificateError::UntrustedServer)));

    // Mallory certifies Alice's key, and lacks its private half.
    let forged = own.issue(sender(&scene.alice), ServerReference::Embedded, &mut rng);
    let content = Content::new(&forged, ContentKind::SenderKey, b"as N");
    assert!(content.seal_fan_out(&mallory, &[*scene.bob.public_key()], &mut rng).is_err());
}

/// ATTACKS C4, the seal's part: Mallory keeps Alice's shared part and puts a tag of its own into a header.
#[test]
fn c4_an_authentication_tag_of_another_seal_is_refused() {
    let scene = Scene::new(2);
    let mut rng = scene.rng.clone();
    let keys = [*scene.bob.public_key()];
    let content = scene.content(b"m");
    let (one, two) = (
        content.seal_fan_out(&scene.alice, &keys, &mut rng).unwrap(),
        content.seal_fan_out(&scene.alice, &keys, &mut rng).unwrap(),
    );
    let header = [&one.headers()[0].as_bytes()[..32], &two.headers()[0].as_bytes()[32..]].concat();
    for header in [header, [&one.headers()[0].as_bytes()[..32], &[0; 16]].concat()] {
        let sealed = received(&[&header, one.shared()].concat());
        assert_eq!(scene.open(&sealed), Err(OpenError::Forged));
    }
}

/// ATTACKS B11 with recipients who pool what they know: a header of one upload over the shared part of another.
#[test]
fn b11_a_shared_part_has_one_meaning_for_all_recipients() {
    let mut scene = Scene::new(3);
    let carol = IdentityKeyPair::generate(&mut scene.rng);
    let mut rng = scene.rng.clone();
    let keys = [*scene.bob.public_key(), *carol.public_key()];
    let yes = scene.content(b"yes").seal_fan_out(&scene.alice, &keys, &mut rng).unwrap();
    let no = scene.content(b"no!").seal_fan_out(&scene.alice, &keys, &mut rng).unwrap();
    for (header, key) in no.headers().iter().zip([&scene.bob, &carol]) {
        // The other upload's ephemeral key in front does not help either.
        let with_ephemeral = [&no.shared()[..32], &yes.shared()[32..]].concat();
        for shared in [yes.shared().to_vec(), with_ephemeral] {
            let sealed = received(&[header.as_bytes().as_slice(), &shared].concat());
            assert_eq!(SealedMessage::decode(&sealed).unwrap().open(key), Err(OpenError::Forged));
        }
    }
}

#[test]
fn a_recipient_can_forge_to_itself_only_what_convinces_nobody_else() {
    // Spec §8.5: DH(S, R) is the recipient's too. What it makes does not open at anybody else.
    let mut scene = Scene::new(4);
    let carol = IdentityKeyPair::generate(&mut scene.rng);
    let content = scene.content(b"m");
    let fan_out = content.seal_fan_out(&scene.alice, &[*scene.bob.public_key()], &mut scene.rng.clone()).unwrap();
    let sealed = SealedMessage::decode(&received(&fan_out.envelope(0).unwrap())).unwrap();
    assert!(sealed.open(&scene.bob).is_ok());
    assert_eq!(sealed.open(&carol), Err(OpenError::Forged));
}

#[test]
fn a_verified_message_needs_a_trusted_root_even_if_it_opens() {
    let scene = Scene::new(5);
    let sealed = scene.content(b"m").seal_v1(&scene.alice, scene.bob.public_key(), &mut scene.rng.clone()).unwrap();
    let verified = scene.open(&sealed).unwrap().verify(&Trust::default(), EXPIRES, bob());
    assert_eq!(verified.err(), Some(VerifyError::Certificate(CertificateError::UntrustedServer)));
}
