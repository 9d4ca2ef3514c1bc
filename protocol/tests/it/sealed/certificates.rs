//! Certificates: who vouches for whom, until when (spec §8.2, §8.9).

use waxwing_protocol::DecodeError;
use waxwing_protocol::sealed::{
    CertificateError, CertificateKeyPair, IssueError, Issuer, REVOKED_SERVER_ID, SenderCertificateIn,
    ServerCertificate, ServerCertificateIn, ServerReference, Trust,
};
use waxwing_protocol::{IdentityKeyPair, ServiceId, ServiceIdKind, Timestamp};

use super::scene::{EXPIRES, Scene, field, issuer, number, sender};

fn verify(bytes: &[u8], trust: &Trust, now: Timestamp) -> Result<(), CertificateError> {
    SenderCertificateIn::decode(bytes).unwrap().verify(trust, now).map(drop)
}

#[test]
fn a_certificate_counts_under_its_root_until_it_expires() {
    let scene = Scene::new(1);
    let bytes = scene.certificate.as_bytes();
    assert_eq!(verify(bytes, &scene.trust(), EXPIRES), Ok(()));
    let now = Timestamp(EXPIRES.0 + 1);
    assert_eq!(verify(bytes, &scene.trust(), now), Err(CertificateError::Expired { expires: EXPIRES, now }));
    let other = CertificateKeyPair::from_private_key(&[9; 32]);
    assert_eq!(verify(bytes, &Trust::new([other.public_key()]), EXPIRES), Err(CertificateError::UntrustedServer));
    assert_eq!(verify(bytes, &Trust::default(), EXPIRES), Err(CertificateError::UntrustedServer));
    let both = Trust::new([other.public_key(), scene.root.public_key()]);
    assert_eq!(verify(bytes, &both, EXPIRES), Ok(()));
}

#[test]
fn what_is_issued_reads_back() {
    let mut scene = Scene::new(2);
    for kind in [ServiceIdKind::Aci, ServiceIdKind::Pni] {
        for e164 in [None, Some("+4915112345678".to_owned())] {
            for reference in [ServerReference::Embedded, ServerReference::Id] {
                let mut sender = sender(&scene.alice);
                sender.address.service_id = ServiceId { kind, uuid: [0xA7; 16] };
                sender.e164.clone_from(&e164);
                let issued = scene.issuer.issue(sender.clone(), reference, &mut scene.rng);
                let read = SenderCertificateIn::decode(issued.as_bytes()).unwrap();
                assert_eq!(read.claims(), &sender);
                assert_eq!(read.verify(&scene.trust_with_server(), EXPIRES), Ok(issued));
            }
        }
    }
}

#[test]
fn a_server_named_by_id_must_be_known() {
    let mut scene = Scene::new(3);
    let certificate = scene.issuer.issue(sender(&scene.alice), ServerReference::Id, &mut scene.rng);
    let bytes = certificate.as_bytes();
    assert_eq!(verify(bytes, &scene.trust(), EXPIRES), Err(CertificateError::UnknownServer { id: 5 }));
    assert_eq!(verify(bytes, &scene.trust_with_server(), EXPIRES), Ok(()));
    // Another server of the same id: known, but it signed something else.
    let root = CertificateKeyPair::generate(&mut scene.rng);
    let other = issuer(&root, 5, &mut scene.rng);
    let mut trust = Trust::new([root.public_key(), scene.root.public_key()]);
    let other = ServerCertificateIn::decode(other.certificate().as_bytes()).unwrap();
    trust.add_server(&other).unwrap();
    assert_eq!(verify(bytes, &trust, EXPIRES), Err(CertificateError::ForgedSender));
    // An embedded server certificate with that id is still its own.
    assert_eq!(verify(scene.certificate.as_bytes(), &trust, EXPIRES), Ok(()));
    assert_eq!(scene.trust().add_server(&other), Err(CertificateError::UntrustedServer));
}

#[test]
fn the_revoked_server_certifies_nobody_although_a_root_signed_it() {
    let mut scene = Scene::new(4);
    let root = &scene.root;
    let key = CertificateKeyPair::generate(&mut scene.rng);
    let refused = ServerCertificate::issue(REVOKED_SERVER_ID, key.public_key(), root, &mut scene.rng);
    assert_eq!(refused, Err(IssueError::RevokedId { id: 0xDEAD_C357 }));
    // As an attacker with the leaked private key has it: recorded from the official library, trust root 0^32.
    let cases: serde_json::Value = serde_json::from_str(super::vectors::FILE).unwrap();
    let case = cases["cases"].as_array().unwrap().iter().find(|case| case["expect"]["error"] == "revoked_server");
    assert!(case.is_some(), "the transcripts have a revoked server");
}

#[test]
fn an_issuer_has_the_key_that_its_certificate_names() {
    let mut scene = Scene::new(5);
    let other = CertificateKeyPair::generate(&mut scene.rng);
    let outcome = Issuer::new(scene.issuer.certificate().clone(), other);
    assert_eq!(outcome.map(drop), Err(IssueError::OtherKey));
}

#[test]
fn a_device_that_certifies_itself_is_believed_by_whoever_trusts_its_certificate_key() {
    let mut scene = Scene::new(6);
    let key = CertificateKeyPair::generate(&mut scene.rng);
    let trust = Trust::new([key.public_key()]);
    let own = Issuer::self_signed(key, &mut scene.rng).unwrap();
    assert_eq!(own.certificate().id(), 0);
    let certificate = own.issue(sender(&scene.alice), ServerReference::Embedded, &mut scene.rng);
    assert_eq!(verify(certificate.as_bytes(), &trust, EXPIRES), Ok(()));
    assert_eq!(verify(certificate.as_bytes(), &scene.trust(), EXPIRES), Err(CertificateError::UntrustedServer));
}

#[test]
fn who_certifies_itself_says_by_which_key_and_nothing_more() {
    let mut scene = Scene::new(8);
    let key = CertificateKeyPair::generate(&mut scene.rng);
    let public = *key.public_key();
    let own = Issuer::self_signed(key, &mut scene.rng).unwrap();
    let certificate = own.issue(sender(&scene.alice), ServerReference::Embedded, &mut scene.rng);
    let read = SenderCertificateIn::decode(certificate.as_bytes()).unwrap();
    let embedded = read.embedded_server_key().unwrap();
    assert_eq!(embedded, public);
    assert_eq!(verify(certificate.as_bytes(), &Trust::new([&embedded]), EXPIRES), Ok(()));
    // By a key that only claims it, nothing verifies.
    let mut forged = certificate.as_bytes().to_vec();
    let at = forged.windows(32).position(|bytes| bytes == &public.to_bytes()[1..]).unwrap();
    let other = CertificateKeyPair::generate(&mut scene.rng);
    forged[at..at + 32].copy_from_slice(&other.public_key().to_bytes()[1..]);
    let read = SenderCertificateIn::decode(&forged).unwrap();
    let claimed = read.embedded_server_key().unwrap();
    assert_eq!(&claimed, other.public_key());
    assert!(read.verify(&Trust::new([&claimed]), EXPIRES).is_err());
    let named = scene.issuer.issue(sender(&scene.alice), ServerReference::Id, &mut scene.rng);
    assert_eq!(SenderCertificateIn::decode(named.as_bytes()).unwrap().embedded_server_key(), None);
}

#[test]
fn a_remembered_certificate_still_expires_and_vouches_for_no_other_bytes() {
    let mut scene = Scene::new(9);
    let mut trust = scene.trust();
    let read = SenderCertificateIn::decode(scene.certificate.as_bytes()).unwrap();
    trust.remember(&read.verify(&trust, EXPIRES).unwrap());
    assert_eq!(verify(scene.certificate.as_bytes(), &trust, EXPIRES), Ok(()));
    let now = Timestamp(EXPIRES.0 + 1);
    let expired = CertificateError::Expired { expires: EXPIRES, now };
    assert_eq!(verify(scene.certificate.as_bytes(), &trust, now), Err(expired));
    for bit in 0..scene.certificate.as_bytes().len() * 8 {
        let mut forged = scene.certificate.as_bytes().to_vec();
        forged[bit / 8] ^= 1 << (bit % 8);
        if let Ok(certificate) = SenderCertificateIn::decode(&forged) {
            assert!(certificate.verify(&trust, EXPIRES).is_err(), "bit {bit}");
        }
    }
    // The key that an id named when the certificate was remembered may be another one now.
    let root = CertificateKeyPair::generate(&mut scene.rng);
    let other = issuer(&root, 5, &mut scene.rng);
    let mut trust = Trust::new([scene.root.public_key(), root.public_key()]);
    trust.add_server(&ServerCertificateIn::decode(scene.issuer.certificate().as_bytes()).unwrap()).unwrap();
    let named = scene.issuer.issue(sender(&scene.alice), ServerReference::Id, &mut scene.rng);
    trust.remember(&named);
    trust.add_server(&ServerCertificateIn::decode(other.certificate().as_bytes()).unwrap()).unwrap();
    assert_eq!(verify(named.as_bytes(), &trust, EXPIRES), Err(CertificateError::ForgedSender));
}

#[test]
fn every_bit_of_a_certificate_is_signed_or_needed() {
    let scene = Scene::new(7);
    let bytes = scene.certificate.as_bytes();
    for bit in 0..bytes.len() * 8 {
        let mut forged = bytes.to_vec();
        forged[bit / 8] ^= 1 << (bit % 8);
        if let Ok(certificate) = SenderCertificateIn::decode(&forged) {
            assert!(certificate.verify(&scene.trust(), EXPIRES).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn fields_that_are_missing_ambiguous_or_out_of_range_are_refused() {
    let scene = Scene::new(8);
    let inner = |without: Option<u32>, more: &[u8]| {
        let key = scene.alice.public_key().to_bytes();
        let fields = [
            (2, number(2, 1)),
            (3, [&[0x19][..], &31_337_u64.to_le_bytes()].concat()),
            (4, field(4, &key)),
            (5, field(5, scene.issuer.certificate().as_bytes())),
            (6, field(6, b"01010101-0101-0101-0101-010101010101")),
        ];
        let body: Vec<u8> =
            fields.into_iter().filter(|(number, _)| Some(*number) != without).flat_map(|(_, bytes)| bytes).collect();
        let body = [&body, more].concat();
        SenderCertificateIn::decode(&[field(1, &body), field(2, &[0; 64])].concat())
    };
    assert_eq!(inner(None, &[]).unwrap().claims(), scene.certificate.sender());
    assert_eq!(inner(None, &field(99, b"unknown")).unwrap().claims(), scene.certificate.sender());
    assert_eq!(inner(Some(6), &field(7, &[1; 16])).unwrap().claims(), scene.certificate.sender());
    let missing = |field| Err(DecodeError::Missing { field });
    let invalid = |field| Err(DecodeError::Invalid { field });
    for (number, name) in [(2, "sender_device"), (3, "expires"), (4, "identity_key"), (5, "server_certificate")] {
        assert_eq!(inner(Some(number), &[]).map(drop), missing(name));
    }
    assert_eq!(inner(Some(6), &[]).map(drop), missing("sender_uuid"));
    assert_eq!(inner(Some(6), &field(6, b"alice")).map(drop), invalid("sender_uuid"));
    assert_eq!(inner(Some(6), &field(7, &[1; 15])).map(drop), invalid("sender_uuid"));
    assert_eq!(inner(None, &field(7, &[1; 16])).map(drop), invalid("sender_uuid"));
    assert_eq!(inner(None, &number(8, 3)).map(drop), invalid("server_certificate"));
    for device in [0, 128, 300] {
        assert_eq!(inner(Some(2), &number(2, device)).map(drop), invalid("sender_device"), "{device}");
    }
    let long = [scene.alice.public_key().to_bytes().as_slice(), &[0]].concat();
    assert!(matches!(inner(Some(4), &field(4, &long)), Err(DecodeError::PublicKey { field: "identity_key", .. })));
    for len in [0, 63, 65] {
        let bytes = [field(1, &[]), field(2, &vec![0; len])].concat();
        assert_eq!(ServerCertificateIn::decode(&bytes).map(drop), invalid("signature"));
    }
}

/// ATTACKS B14: a self-signing device uses one key for both certificates; neither passes for the other.
#[test]
fn b14_server_and_sender_certificates_cannot_be_taken_for_each_other() {
    let mut scene = Scene::new(9);
    let own = Issuer::self_signed(CertificateKeyPair::generate(&mut scene.rng), &mut scene.rng).unwrap();
    for e164 in [None, Some("+49151".to_owned())] {
        let mut sender = sender(&scene.alice);
        sender.e164 = e164;
        let certificate = own.issue(sender, ServerReference::Embedded, &mut scene.rng);
        assert_eq!(ServerCertificateIn::decode(certificate.as_bytes()).map(drop), Err(DecodeError::Protobuf));
    }
    let server = own.certificate().as_bytes();
    assert_eq!(SenderCertificateIn::decode(server).map(drop), Err(DecodeError::Protobuf));
}

/// ATTACKS B14: an identity key signs prekeys, a certificate key certificates; the one does not stand in for the other even
/// if both had the same bytes, because what they sign has different forms.
#[test]
fn b14_a_prekey_signature_is_no_certificate() {
    let mut scene = Scene::new(10);
    let same = IdentityKeyPair::from_private_key(&scene.root.private_key());
    let prekey = waxwing_protocol::SignedPrekey::generate(waxwing_protocol::SignedPrekeyId(1), &same, &mut scene.rng);
    let signed = [field(1, &prekey.public_key().to_bytes()), field(2, prekey.signature().as_bytes())].concat();
    assert!(ServerCertificateIn::decode(&signed).is_err());
    assert!(SenderCertificateIn::decode(&signed).is_err());
}
