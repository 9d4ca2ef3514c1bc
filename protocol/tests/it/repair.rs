//! What could not be read, said to the sender; and what an identity says of another one (spec §1.8, §4.8, §4.9).

use waxwing_protocol::{
    DecodeError, DecryptionErrorMessage, DistributionId, IdentityKeyPair, PlaintextContent, PreKeySignalMessage,
    SenderKey, Session, SignalMessage, Signature, Suite, Timestamp,
};

use crate::party::{Kyber, OneTime, Party, first_message, open, ordinary_message, rng};

#[test]
fn a_wedged_session_is_repaired_by_its_peer() {
    let rng = &mut rng(1);
    let (alice, bob) = (Party::new(1, rng), Party::new(2, rng));
    let mut at_alice = alice.initiate(&bob, Suite::Pqxdh, OneTime::With, rng);
    let first = first_message(&mut at_alice, b"one");
    let mut at_bob = Session::new();
    let _ = bob.accept(&mut at_bob, &alice, &first, Kyber::LastResort, rng).unwrap().commit();
    let answer = ordinary_message(&mut at_bob, b"two");
    open(&mut at_alice, &answer, rng).unwrap();

    // Bob loses the session. He cannot read what comes, and says so.
    at_bob = Session::new();
    let unreadable = ordinary_message(&mut at_alice, b"three");
    assert!(open(&mut at_bob, &unreadable, rng).is_err());
    let error = DecryptionErrorMessage::for_original(&unreadable, Timestamp(99), 1).unwrap();
    let travels = PlaintextContent::new(error);

    // Alice finds that it is about what she sends with now, gives the state up and begins anew.
    let heard = PlaintextContent::decode(travels.as_bytes()).unwrap();
    let key = heard.decryption_error().ratchet_key.unwrap();
    assert!(at_alice.uses_ratchet_key(&key));
    at_alice.archive().commit();
    assert!(!at_alice.uses_ratchet_key(&key), "the same complaint a second time resets nothing");
    alice.initiate_in(&mut at_alice, &bob, Suite::Pqxdh, OneTime::Without, rng).commit();
    assert!(!at_alice.uses_ratchet_key(&key), "nor does it reset the new state");
    let again = first_message(&mut at_alice, b"three, again");
    let _ = bob.accept(&mut at_bob, &alice, &again, Kyber::LastResort, rng).unwrap().commit();
    let answer = ordinary_message(&mut at_bob, b"four");
    assert_eq!(open(&mut at_alice, &answer, rng).unwrap(), b"four");
}

#[test]
fn a_complaint_about_a_chain_that_was_left_behind_resets_nothing() {
    let rng = &mut rng(2);
    let (alice, bob) = (Party::new(1, rng), Party::new(2, rng));
    let mut at_alice = alice.initiate(&bob, Suite::Pqxdh, OneTime::With, rng);
    let first = first_message(&mut at_alice, b"one");
    let key = first.message().ratchet_key().unwrap();
    assert!(at_alice.uses_ratchet_key(&key));
    let mut at_bob = Session::new();
    let _ = bob.accept(&mut at_bob, &alice, &first, Kyber::OneTime, rng).unwrap().commit();
    let answer = ordinary_message(&mut at_bob, b"two");
    open(&mut at_alice, &answer, rng).unwrap();
    assert!(!at_alice.uses_ratchet_key(&key), "the answer made Alice step");
    assert!(!Session::new().uses_ratchet_key(&key));
}

#[test]
fn a_decryption_error_names_the_original_s_ratchet_key_and_none_for_a_group() {
    let rng = &mut rng(3);
    let (alice, bob) = (Party::new(1, rng), Party::new(2, rng));
    let mut at_alice = alice.initiate(&bob, Suite::X3dh, OneTime::With, rng);
    let first = first_message(&mut at_alice, b"one");
    let key = first.message().ratchet_key().unwrap();
    let of = |error: Result<DecryptionErrorMessage, DecodeError>| error.unwrap();
    let from_prekey = of(DecryptionErrorMessage::for_original(&first, Timestamp(1), 7));
    let from_inner = of(DecryptionErrorMessage::for_original(first.message(), Timestamp(1), 7));
    assert_eq!((from_prekey.ratchet_key, &from_prekey), (Some(key), &from_inner));
    let group = SenderKey::generate(DistributionId([1; 16]), rng).seal(b"", rng).unwrap().commit();
    let from_group = of(DecryptionErrorMessage::for_original(&group, Timestamp(0), 0));
    assert_eq!(from_group.encode(), [0x10, 0x00, 0x18, 0x00]);
    assert_eq!(DecryptionErrorMessage::decode(&from_group.encode()), Ok(from_group));
}

#[test]
fn nobody_is_told_of_a_message_whose_ratchet_key_is_no_point() {
    let rng = &mut rng(4);
    let (alice, bob) = (Party::new(1, rng), Party::new(2, rng));
    let mut at_alice = alice.initiate(&bob, Suite::X3dh, OneTime::With, rng);
    let mut bytes = first_message(&mut at_alice, b"one").message().as_bytes().to_vec();
    bytes[4..36].fill(0);
    let message = SignalMessage::decode(&bytes).unwrap();
    let refused = DecryptionErrorMessage::for_original(&message, Timestamp(1), 1);
    assert!(matches!(refused, Err(DecodeError::PublicKey { field: "ratchet_key", .. })), "{refused:?}");
}

#[test]
fn plaintext_content_is_parsed_as_the_official_library_parses_it() {
    let key = IdentityKeyPair::from_private_key(&[7; 32]).public_key().to_bytes();
    let error = [&[0x0A, 33][..], &key, &[0x10, 0x05, 0x18, 0x03]].concat();
    let field = |error: &[u8]| [&[0x42, u8::try_from(error.len()).unwrap()][..], error].concat();
    let framed = |body: &[u8]| [&[0xC0], body, &[0x80]].concat();
    let content = field(&error);
    let good = framed(&content);
    let decoded = PlaintextContent::decode(&good).unwrap();
    assert_eq!(decoded.decryption_error().timestamp, Timestamp(5));
    assert_eq!(decoded.decryption_error().device_id, 3);
    assert_eq!(PlaintextContent::new(decoded.decryption_error().clone()).as_bytes(), good);

    let accepted = [
        ("other content before", framed(&[&[0x0A, 2, 1, 2][..], &content].concat()), 5),
        ("unknown content behind", framed(&[&content[..], &[0x4A, 1, 9]].concat()), 5),
        ("of two the last counts", framed(&[&content[..], &field(&[0x10, 9])].concat()), 9),
        ("timestamp zero", framed(&field(&[0x10, 0])), 0),
        ("any field order", framed(&field(&[0x18, 3, 0x10, 5])), 5),
        ("a device id of 32 bits", framed(&field(&[0x10, 5, 0x18, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F])), 5),
    ];
    for (name, bytes, timestamp) in accepted {
        let decoded = PlaintextContent::decode(&bytes);
        assert_eq!(decoded.map(|decoded| decoded.decryption_error().timestamp), Ok(Timestamp(timestamp)), "{name}");
    }
    let refused = [
        ("empty", vec![]),
        ("only the first byte", vec![0xC0]),
        ("no content", framed(&[])),
        ("no boundary", [&[0xC0], &content[..]].concat()),
        ("two boundaries", [&good[..], &[0x80]].concat()),
        ("zeros behind the boundary", [&good[..], &[0, 0]].concat()),
        ("another boundary", [&[0xC0], &content[..], &[0x81]].concat()),
        ("another first byte", [&[0x44], &content[..], &[0x80]].concat()),
        ("only other content", framed(&[0x0A, 2, 1, 2])),
        ("no timestamp", framed(&field(&[0x18, 3]))),
        ("empty error", framed(&field(&[]))),
        ("a key of 32 bytes", framed(&field(&[&[0x0A, 32][..], &key[..32], &[0x10, 5]].concat()))),
        // The official library takes these three: §1.2 is stricter everywhere.
        ("a key of 34 bytes", framed(&field(&[&[0x0A, 34][..], &key, &[0, 0x10, 5]].concat()))),
        ("a key of small order", framed(&field(&[&[0x0A, 33, 5][..], &[0; 32], &[0x10, 5]].concat()))),
        ("a key not reduced", framed(&field(&[&[0x0A, 33, 5][..], &[0xFF; 32], &[0x10, 5]].concat()))),
    ];
    for (name, bytes) in refused {
        assert!(PlaintextContent::decode(&bytes).is_err(), "{name}");
    }
}

#[test]
fn an_alternate_identity_signature_says_one_thing_only() {
    let rng = &mut rng(5);
    let (aci, pni) = (IdentityKeyPair::generate(rng), IdentityKeyPair::generate(rng));
    let signature = pni.sign_alternate_identity(aci.public_key(), rng);
    assert_eq!(pni.public_key().verify_alternate_identity(aci.public_key(), &signature), Ok(()));
    assert!(aci.public_key().verify_alternate_identity(pni.public_key(), &signature).is_err(), "not the reverse");
    assert!(pni.public_key().verify_alternate_identity(pni.public_key(), &signature).is_err(), "not of itself");
    for bit in 0..512 {
        let mut bytes = *signature.as_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let forged = Signature::from_bytes(bytes);
        assert!(pni.public_key().verify_alternate_identity(aci.public_key(), &forged).is_err(), "bit {bit}");
    }
}

/// A first message is still one after a complaint about it was decoded from bytes.
#[test]
fn decryption_errors_are_made_of_decoded_messages() {
    let rng = &mut rng(6);
    let (alice, bob) = (Party::new(1, rng), Party::new(2, rng));
    let mut at_alice = alice.initiate(&bob, Suite::Pqxdh, OneTime::With, rng);
    let sent = first_message(&mut at_alice, b"one");
    let received = PreKeySignalMessage::decode(sent.as_bytes()).unwrap();
    let error = DecryptionErrorMessage::for_original(&received, Timestamp(1), 1).unwrap();
    assert!(at_alice.uses_ratchet_key(&error.ratchet_key.unwrap()));
}
