//! A8 and A9: small-order, mixed-order, twist and non-canonical keys in each of the slots where a peer can put one. Each is
//! refused with its own error, and the honest message that follows finds everything as it was.

use waxwing_protocol::{
    BundleError, DecodeError, OpenError, PreKeySignalMessage, PublicKeyError, SignalMessage, Suite,
};

use crate::edge_keys::edge_keys;
use crate::initiator::xeddsa_sign;
use crate::party::{Kyber, OneTime, Party, first_message, open, ordinary_message, rng};
use crate::proto::Framed;

#[test]
fn a8_a9_the_edge_keys_are_as_many_as_the_table_says() {
    let keys = edge_keys();
    let count = |error| keys.iter().filter(|key| key.error == error).count();
    assert_eq!(count(PublicKeyError::SmallOrder), 4);
    assert_eq!(count(PublicKeyError::NotOnCurve), 1 + 8);
    assert_eq!(count(PublicKeyError::MixedOrder), 7);
    assert_eq!(count(PublicKeyError::NonCanonical), 2 + 2 * 19 + 8);
    assert_eq!(keys.len(), 4 + 9 + 7 + 48 + 5 + 6);
}

/// The prekey's signature is good: what refuses it is the key.
#[test]
fn a8_a9_no_edge_key_passes_in_a_bundle() {
    let party = Party::new(2, &mut rng(1));
    let private = party.identity.private_key();
    for key in edge_keys() {
        let mut bundle = party.published();
        bundle.identity_key.clone_from(&key.bytes);
        assert_eq!(bundle.bundle_in().verify().unwrap_err(), BundleError::IdentityKey(key.error), "{}", key.name);

        let mut bundle = party.published();
        bundle.signed_prekey_signature = xeddsa_sign(&private, &key.bytes).into();
        bundle.signed_prekey.clone_from(&key.bytes);
        assert_eq!(bundle.bundle_in().verify().unwrap_err(), BundleError::SignedPrekey(key.error), "{}", key.name);

        let mut bundle = party.published();
        bundle.one_time_prekey.as_mut().unwrap().1.clone_from(&key.bytes);
        assert_eq!(bundle.bundle_in().verify().unwrap_err(), BundleError::OneTimePrekey(key.error), "{}", key.name);
        let error = bundle.bundle_in().verify_without_post_quantum_secrecy().unwrap_err();
        assert_eq!(error, BundleError::OneTimePrekey(key.error), "{}", key.name);

        let mut bundle = party.published();
        let kyber = bundle.kyber_prekey.as_mut().unwrap();
        kyber.1.clone_from(&key.bytes);
        let error = bundle.bundle_in().verify().unwrap_err();
        assert!(matches!(error, BundleError::KyberPrekey(_)), "{}: {error}", key.name);
    }
}

#[test]
fn a8_a9_no_edge_key_passes_in_a_first_message_and_nothing_is_consumed() {
    for suite in [Suite::X3dh, Suite::Pqxdh] {
        let rng = &mut rng(2);
        let (alice, bob) = (Party::new(1, rng), Party::new(2, rng));
        let message = first_message(&mut alice.initiate(&bob, suite, OneTime::With, rng), b"hello");
        let framed = Framed::read(message.as_bytes(), 0).unwrap();
        let inner = Framed::read(message.message().as_bytes(), 8).unwrap();
        for key in edge_keys() {
            let (name, error) = (&key.name, key.error);
            for (number, field) in [(2, "base_key"), (3, "identity_key")] {
                let refused = PreKeySignalMessage::decode(&framed.with(number, &key.bytes).write());
                assert_eq!(refused, Err(DecodeError::PublicKey { field, error }), "{name} as {field}");
            }
            let spoiled = framed.with(4, inner.with(1, &key.bytes).write()).write();
            match PreKeySignalMessage::decode(&spoiled) {
                Err(refused) => assert_eq!(refused, DecodeError::PublicKey { field: "ratchet_key", error }, "{name}"),
                Ok(spoiled) => {
                    let refused = bob.join(&alice, &spoiled, Kyber::OneTime, rng).unwrap_err();
                    let expected =
                        if key.is_refused_everywhere() { OpenError::RatchetKey(error) } else { OpenError::Forged };
                    assert_eq!(refused, expected.into(), "{name}");
                }
            }
        }
        assert_eq!(bob.join(&alice, &message, Kyber::OneTime, rng).unwrap().1, b"hello", "{suite:?}");
    }
}

/// As a new ratchet key in the middle of a conversation.
#[test]
fn a8_a9_no_edge_key_passes_as_the_next_ratchet_key() {
    let rng = &mut rng(3);
    let (alice, bob) = (Party::new(1, rng), Party::new(2, rng));
    let mut at_alice = alice.initiate(&bob, Suite::Pqxdh, OneTime::With, rng);
    let first = first_message(&mut at_alice, b"hello");
    let (mut at_bob, _) = bob.join(&alice, &first, Kyber::OneTime, rng).unwrap();
    let answer = ordinary_message(&mut at_bob, b"answer");
    let framed = Framed::read(answer.as_bytes(), 8).unwrap();
    for key in edge_keys() {
        let refused = match SignalMessage::decode(&framed.with(1, &key.bytes).write()) {
            Err(DecodeError::PublicKey { field: "ratchet_key", error }) => error,
            Err(other) => panic!("{}: {other}", key.name),
            Ok(message) => {
                let parsed = message.ratchet_key();
                match open(&mut at_alice, &message, rng).unwrap_err() {
                    OpenError::RatchetKey(error) => {
                        assert_eq!(parsed, Err(DecodeError::PublicKey { field: "ratchet_key", error }), "{}", key.name);
                        error
                    }
                    // The one class that only the MAC refuses.
                    other => {
                        assert_eq!((other, key.error), (OpenError::Forged, PublicKeyError::MixedOrder), "{}", key.name);
                        PublicKeyError::MixedOrder
                    }
                }
            }
        };
        assert_eq!(refused, key.error, "{}", key.name);
        assert!(!at_alice.is_acknowledged());
    }
    assert_eq!(open(&mut at_alice, &answer, rng).unwrap(), b"answer");
}
