//! A12: a man in the middle turns version 4 into version 3. There is nothing to negotiate: each function serves one suite, and
//! the version is under the MAC and in the agreement. So is the post-quantum ratchet. (Capabilities come later.)

use waxwing_protocol::{
    AcceptError, BundleError, DecodeError, OpenError, PreKeySignalMessage, RespondError, Session, SignalMessage, Suite,
};

use crate::party::{Kyber, OneTime, Party, first_message, open, ordinary_message, rng};
use crate::proto::{Framed, last_bytes};

#[test]
fn a12_a_bundle_stripped_of_its_kyber_prekey_is_refused_unless_asked_for_by_name() {
    let party = Party::new(2, &mut rng(1));
    let mut bundle = party.published();
    bundle.kyber_prekey = None;
    assert_eq!(bundle.bundle_in().verify().unwrap_err(), BundleError::NoKyberPrekey);
    // A classical bundle is another type: `Session::initiate` does not take it.
    assert!(bundle.bundle_in().verify_without_post_quantum_secrecy().is_ok());
}

#[test]
fn a12_a_first_message_with_any_version_byte_rewritten_opens_as_nothing_else() {
    for suite in [Suite::X3dh, Suite::Pqxdh] {
        for one_time in [OneTime::With, OneTime::Without] {
            let rng = &mut rng(2);
            let (alice, bob) = (Party::new(1, rng), Party::new(2, rng));
            let message = first_message(&mut alice.initiate(&bob, suite, one_time, rng), b"hello");
            let outer = Framed::read(message.as_bytes(), 0).unwrap();
            let inner = Framed::read(message.message().as_bytes(), 8).unwrap();
            let honest = outer.version;
            for version in 0..=255_u8 {
                // The outer byte alone: its low nibble says nothing and is looked at by nobody.
                let rewritten = PreKeySignalMessage::decode(&Framed { version, ..outer.clone() }.write());
                assert_eq!(rewritten.is_ok(), version >> 4 == honest >> 4, "outer {version:#04x}");
                if let Ok(rewritten) = rewritten {
                    assert_eq!(rewritten.suite(), suite);
                }
                // The inner byte alone.
                let inner = Framed { version, ..inner.clone() }.write();
                match PreKeySignalMessage::decode(&outer.with(4, &inner).write()) {
                    Err(_) => assert_ne!(version >> 4, honest >> 4, "inner {version:#04x}"),
                    Ok(rewritten) if version == honest => assert_eq!(rewritten, message),
                    Ok(rewritten) => {
                        let refused = bob.join(&alice, &rewritten, Kyber::LastResort, rng).unwrap_err();
                        assert_eq!(refused, AcceptError::Open(OpenError::Forged), "inner {version:#04x}");
                    }
                }
                // Both.
                let both = Framed { version, ..outer.with(4, &inner) }.write();
                assert_eq!(PreKeySignalMessage::decode(&both).is_ok(), version >> 4 == honest >> 4, "{version:#04x}");
            }
            assert!(bob.join(&alice, &message, Kyber::LastResort, rng).is_ok());
        }
    }
}

/// The whole attack: everything that says PQXDH is taken out, consistently.
#[test]
fn a12_a_pqxdh_message_made_an_x3dh_message_opens_nowhere() {
    for one_time in [OneTime::With, OneTime::Without] {
        let rng = &mut rng(3);
        let (alice, bob) = (Party::new(1, rng), Party::new(2, rng));
        let message = first_message(&mut alice.initiate(&bob, Suite::Pqxdh, one_time, rng), b"hello");
        let outer = Framed::read(message.as_bytes(), 0).unwrap();
        for low in [3, 4] {
            let version = 0x30 | low;
            let inner = Framed { version, ..Framed::read(last_bytes(&outer.fields, 4), 8).unwrap() }.write();
            let stripped = Framed { version, ..outer.with(4, inner).without(&[7, 8]) }.write();
            let stripped = PreKeySignalMessage::decode(&stripped).unwrap();
            assert_eq!(stripped.suite(), Suite::X3dh);
            let prekeys = bob.prekeys_for(&stripped, Kyber::LastResort);
            // Whoever did not ask for X3DH does not get it.
            let refused = Session::new().accept(bob.local(&alice), prekeys, &stripped, rng).unwrap_err();
            assert_eq!(refused, AcceptError::Respond(RespondError::ClassicalSuite));
            // Whoever did finds that this is none.
            let refused = Session::new()
                .accept_without_post_quantum_secrecy(bob.local(&alice), prekeys, &stripped, rng)
                .unwrap_err();
            assert_eq!(refused, AcceptError::Open(OpenError::Forged));
        }
        // Half stripped is no message at all.
        for (numbers, field) in
            [(&[7][..], "kyber_pre_key_id"), (&[8], "kyber_ciphertext"), (&[7, 8], "kyber_pre_key_id")]
        {
            let refused = PreKeySignalMessage::decode(&outer.without(numbers).write());
            assert_eq!(refused, Err(DecodeError::Missing { field }));
        }
        assert!(bob.join(&alice, &message, Kyber::OneTime, rng).is_ok());
    }
}

#[test]
fn a12_a_classical_responder_refuses_pqxdh_instead_of_ignoring_half_of_it() {
    let rng = &mut rng(4);
    let (alice, bob) = (Party::new(1, rng), Party::new(2, rng));
    let message = first_message(&mut alice.initiate(&bob, Suite::Pqxdh, OneTime::With, rng), b"hello");
    let prekeys = bob.prekeys_for(&message, Kyber::OneTime);
    let refused =
        Session::new().accept_without_post_quantum_secrecy(bob.local(&alice), prekeys, &message, rng).unwrap_err();
    assert_eq!(refused, AcceptError::Respond(RespondError::PostQuantumSuite));
}

/// In a running session: every version byte of every message, in both directions.
#[test]
fn a12_a_session_refuses_messages_of_any_other_version_and_keeps_its_own() {
    for (suite, honest) in [(Suite::X3dh, 0x34), (Suite::Pqxdh, 0x44)] {
        let rng = &mut rng(5);
        let (alice, bob) = (Party::new(1, rng), Party::new(2, rng));
        let mut at_alice = alice.initiate(&bob, suite, OneTime::With, rng);
        let first = first_message(&mut at_alice, b"hello");
        let (mut at_bob, _) = bob.join(&alice, &first, Kyber::OneTime, rng).unwrap();
        for turn in 0..4 {
            let (from, to) = if turn % 2 == 0 { (&mut at_bob, &mut at_alice) } else { (&mut at_alice, &mut at_bob) };
            let message = ordinary_message(from, b"next");
            let framed = Framed::read(message.as_bytes(), 8).unwrap();
            assert_eq!(framed.version, honest);
            for version in (0..=255).filter(|version| *version != honest) {
                match SignalMessage::decode(&Framed { version, ..framed.clone() }.write()) {
                    Err(DecodeError::LegacyVersion { got }) => assert!(got < 3),
                    Err(DecodeError::UnknownVersion { got }) => assert!(got > 4),
                    Err(other) => panic!("{version:#04x}: {other}"),
                    Ok(message) if message.suite() == suite => {
                        assert_eq!(open(to, &message, rng).unwrap_err(), OpenError::Forged, "{version:#04x}");
                    }
                    Ok(message) => assert_eq!(open(to, &message, rng).unwrap_err(), OpenError::WrongSuite),
                }
                assert_eq!(to.suite(), Some(suite));
            }
            assert_eq!(open(to, &message, rng).unwrap(), b"next");
        }
    }
}

/// Without the post-quantum ratchet only by name, on either side; what the other side offers or leaves out decides nothing.
#[test]
fn a12_a_session_without_the_post_quantum_ratchet_must_be_asked_for_by_name() {
    let rng = &mut rng(12);
    let (old, new) = (Party::without_post_quantum_ratchet(1, rng), Party::new(2, rng));
    let mut at_old = old.initiate(&new, Suite::Pqxdh, OneTime::With, rng);
    let message = first_message(&mut at_old, b"hello");
    assert_eq!(message.message().pq_ratchet(), None);
    let refused = new.join(&old, &message, Kyber::OneTime, rng).unwrap_err();
    assert_eq!(refused, AcceptError::Open(OpenError::NoPostQuantumRatchet));
    let mut session = Session::new();
    let prekeys = new.prekeys_for(&message, Kyber::OneTime);
    let opened = session.accept_without_post_quantum_ratchet(new.local(&old), prekeys, &message, rng).unwrap();
    assert_eq!(opened.commit(), b"hello");
    assert_eq!(session.post_quantum_epoch(), None);
    assert_eq!(ordinary_message(&mut session, b"answer").pq_ratchet(), None);

    // Who asks for it by name does not get a session out of a peer that has the ratchet.
    let message = first_message(&mut new.initiate(&old, Suite::Pqxdh, OneTime::With, rng), b"hello");
    let refused = old.join(&new, &message, Kyber::OneTime, rng).unwrap_err();
    assert_eq!(refused, AcceptError::Open(OpenError::Forged));
}

/// A man in the middle takes the field out, or says in it that there is no ratchet, in every message.
#[test]
fn a12_a_field_taken_out_or_made_version_0_is_refused_and_the_session_never_falls_back() {
    let (mut alice, mut bob, mut rng) = crate::post_quantum::pair(12);
    for _ in 0..5 {
        let message = ordinary_message(&mut alice, b"text");
        let framed = Framed::read(message.as_bytes(), 8).unwrap();
        let field = last_bytes(&framed.fields, 5);
        let version_0 = [&[0], &field[1..]].concat();
        let version_2 = [&[2], &field[1..]].concat();
        for (stripped, error) in [
            (framed.without(&[5]), OpenError::NoPostQuantumRatchet),
            (framed.with(5, b""), OpenError::NoPostQuantumRatchet),
            (framed.with(5, version_0), OpenError::NoPostQuantumRatchet),
            (framed.with(5, version_2), OpenError::PostQuantumRatchet),
        ] {
            let stripped = SignalMessage::decode(&stripped.write()).unwrap();
            assert_eq!(open(&mut bob, &stripped, &mut rng).unwrap_err(), error);
        }
        assert_eq!(open(&mut bob, &message, &mut rng).unwrap(), b"text");
        crate::post_quantum::round_trip(&mut bob, &mut alice, &mut rng);
        assert!(alice.post_quantum_epoch().is_some() && bob.post_quantum_epoch().is_some());
    }
}
