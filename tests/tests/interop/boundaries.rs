//! What the library does at the edges: limits, refusals, what a refusal leaves behind.

use libtest_mimic::Failed;

use waxwing_tests::peer::{
    Address, BundleChoice, Ciphertext, Event, PartyOptions, PeerError, PrekeyKind, Trust,
    Version::{self, V0_72_1, V0_103_0},
};

use crate::{
    stage::{self, Agreement, Pair, Proof, alice, bob, refused},
    witness::{self, Field, Fields, SignalMessage},
};

pub(crate) const TRIALS: &[Proof] = &[
    ("boundaries::a_first_message_under_a_wrong_address_is_refused_by_0.103.0_only", wrong_address),
    ("boundaries::names_that_are_no_service_ids_leave_the_addresses_out", plain_names),
    ("boundaries::a_bundle_with_a_forged_signature_is_refused", forged_bundle),
    ("boundaries::a_replay_is_a_duplicate_with_its_counters", replay),
    ("boundaries::the_low_nibble_of_the_version_is_authenticated_though_no_parser_reads_it", low_nibble),
    ("boundaries::device_ids_are_1_to_127_since_0.90.0_at_the_latest", device_ids),
    ("boundaries::24999_skipped_messages_open_with_spqr_and_25000_do_not", jump_with_spqr),
    ("boundaries::25000_skipped_messages_open_without_spqr_and_25001_do_not", jump_without_spqr),
    ("boundaries::a_session_with_oneself_may_jump_further", jump_with_oneself),
    ("boundaries::a_session_without_an_answer_sends_for_30_days", unanswered),
    ("boundaries::a_last_resort_key_is_reported_with_its_base_key", last_resort),
    ("boundaries::a_changed_identity_is_refused_until_it_is_trusted", changed_identity),
    ("boundaries::a_public_key_parses_with_type_5_and_trailing_bytes", public_keys),
    ("boundaries::an_agreement_that_yields_zero_is_an_error_but_not_in_0.72.1", zero_agreement),
    ("boundaries::a_first_message_of_another_version_or_length_is_refused", broken_first_messages),
    ("boundaries::a_base_key_that_is_not_canonical_is_refused_but_not_by_0.72.1", base_keys),
    ("boundaries::a_refused_message_leaves_the_record_unchanged", failure_changes_nothing),
    ("boundaries::2000_skipped_keys_are_kept_and_the_oldest_goes_first", skipped_keys),
    ("boundaries::five_receiving_chains_are_kept", receiving_chains),
    ("boundaries::forty_archived_states_are_kept", archived_states),
];

fn wrong_address() -> Result<(), Failed> {
    for version in Version::ALL {
        let peer = stage::peer(version);
        peer.reset()?;
        let pair = Pair::with_session(&peer, &peer, Agreement::PQXDH)?;
        let first = pair.send(b"first")?;
        let mistaken = pair.responder.decrypt(&Address::new(stage::BOB, 7), &first);
        if version == V0_103_0 {
            refused(mistaken, "invalid PreKey message: decryption failed")?;
            assert_eq!(&*pair.answer_of(&first)?.plaintext, b"first");
        } else {
            assert_eq!(&*mistaken?.plaintext, b"first", "{version} binds addresses");
        }
    }
    Ok(())
}

fn plain_names() -> Result<(), Failed> {
    let peer = stage::peer(V0_103_0);
    for (here, there, is_bound) in
        [("alice", "bob", false), (stage::ALICE, "bob", false), (stage::ALICE, stage::BOB, true)]
    {
        peer.reset()?;
        let pair = Pair::with_addresses(&peer, Address::new(here, 1), &peer, Address::new(there, 1))?;
        pair.agree(Agreement::PQXDH)?;
        let first = pair.send(b"first")?;
        assert_eq!(SignalMessage::of(&first).fields.bytes(6).is_some(), is_bound, "{here} to {there}");
        assert_eq!(&*pair.answer_of(&first)?.plaintext, b"first");
    }
    Ok(())
}

fn forged_bundle() -> Result<(), Failed> {
    for version in Version::ALL {
        let peer = stage::peer(version);
        let pair = Pair::new(&peer, &peer)?;
        let genuine = pair.bundle(Agreement::PQXDH)?;
        let mut forged = [genuine.clone(), genuine];
        forged[0].signed.signature = forged[0].kyber.as_ref().and_then(|kyber| kyber.signature.clone());
        let signature = forged[1].signed.signature.clone();
        forged[1].kyber.as_mut().unwrap().signature = signature;
        for bundle in forged {
            refused(pair.initiator.process_bundle(&bob(), &bundle), "invalid signature detected")?;
            assert!(pair.initiator_session().is_err(), "a refused bundle leaves a session behind");
        }
    }
    Ok(())
}

fn replay() -> Result<(), Failed> {
    for version in Version::ALL {
        let peer = stage::peer(version);
        let pair = Pair::with_session(&peer, &peer, Agreement::PQXDH)?;
        let first = pair.send(b"first")?;
        pair.answer_of(&first)?;
        let Err(PeerError::Library(refusal)) = pair.answer_of(&first) else { return Err("replayed".into()) };
        assert_eq!((refusal.name.as_str(), refusal.code), ("DuplicatedMessage", 1));
        assert_eq!(refusal.message, "message with old counter 1 / 0");
    }
    Ok(())
}

fn low_nibble() -> Result<(), Failed> {
    for version in Version::ALL {
        let peer = stage::peer(version);
        let pair = Pair::established(&peer, &peer, Agreement::PQXDH)?;
        let genuine = pair.send(b"text")?;
        let mut body = genuine.body.to_vec();
        body[0] = 0x43;
        assert_eq!(peer.decode_signal_message(&body)?.version, 4);
        refused(pair.answer_of(&Ciphertext { kind: genuine.kind, body: body.into() }), "decryption failed")?;
        assert_eq!(&*pair.answer_of(&genuine)?.plaintext, b"text");
    }
    Ok(())
}

fn device_ids() -> Result<(), Failed> {
    for version in Version::ALL {
        let peer = stage::peer(version);
        for (device, is_valid) in [(0, false), (1, true), (127, true), (128, false)] {
            let made = peer.create_party(&PartyOptions::new(format!("{device}"), Address::new(stage::ALICE, device)));
            assert_eq!(made.is_ok(), is_valid || version == V0_72_1, "{version} and device {device}");
        }
    }
    Ok(())
}

fn jump_with_spqr() -> Result<(), Failed> {
    jump(V0_103_0, 24_999)
}

fn jump_without_spqr() -> Result<(), Failed> {
    jump(V0_72_1, 25_000)
}

/// `most` skipped messages are opened over; one more is not, and does no harm.
fn jump(version: Version, most: u32) -> Result<(), Failed> {
    let peer = stage::peer(version);
    let pair = Pair::established(&peer, &peer, Agreement::PQXDH)?;
    pair.initiator.skip(&bob(), most)?;
    let reachable = pair.send(b"reachable")?;
    let too_far = pair.send(b"too far")?;
    refused(pair.answer_of(&too_far), "decryption failed")?;
    assert_eq!(&*pair.answer_of(&reachable)?.plaintext, b"reachable");
    assert_eq!(&*pair.answer_of(&too_far)?.plaintext, b"too far", "now it is the next one");
    Ok(())
}

/// The same identity key and service id on two devices.
fn jump_with_oneself() -> Result<(), Failed> {
    for version in [V0_72_1, V0_103_0] {
        let peer = stage::peer(version);
        let here = peer.create_party(&PartyOptions::new("phone", alice()))?;
        let identity_private = Some(here.info().identity_private.clone());
        let there = Address::new(stage::ALICE, 2);
        let laptop = PartyOptions { identity_private, ..PartyOptions::new("laptop", there) };
        let pair = Pair { initiator: here, responder: peer.create_party(&laptop)? };
        for kind in [PrekeyKind::OneTime, PrekeyKind::Signed, PrekeyKind::Kyber] {
            pair.responder.generate_prekey(kind, 1)?;
        }
        pair.agree(Agreement::PQXDH)?;
        pair.answer_of(&pair.send(b"first")?)?;
        pair.hear_of(&pair.answer(b"answer")?)?;
        pair.initiator.skip(&pair.responder.address(), 26_000)?;
        assert_eq!(&*pair.answer_of(&pair.send(b"after 26,000")?)?.plaintext, b"after 26,000", "{version}");
    }
    Ok(())
}

fn unanswered() -> Result<(), Failed> {
    const DAY: u64 = 24 * 60 * 60 * 1000;
    for version in Version::ALL {
        let peer = stage::peer(version);
        let pair = Pair::with_session(&peer, &peer, Agreement::PQXDH)?;
        let now = stage::now();
        pair.initiator.encrypt_at(&bob(), b"in time", now + 30 * DAY - 60_000)?;
        let late = pair.initiator.encrypt_at(&bob(), b"late", now + 30 * DAY + 60_000);
        refused(late, "session with 796abedb-ca4e-4f18-8803-1fde5b921f9f.2 not found")?;

        pair.answer_of(&pair.send(b"first")?)?;
        pair.hear_of(&pair.answer(b"answer")?)?;
        pair.initiator.encrypt_at(&bob(), b"an answered session has no end", now + 300 * DAY)?;
    }
    Ok(())
}

fn last_resort() -> Result<(), Failed> {
    for version in Version::ALL {
        let peer = stage::peer(version);
        let pair = Pair::new(&peer, &peer)?;
        pair.responder.generate_last_resort_prekey(9)?;
        let bundle = pair.responder.bundle(BundleChoice { one_time: None, signed: 1, kyber: Some(9) })?;
        pair.initiator.process_bundle(&bob(), &bundle)?;
        let base_key = pair.initiator.session_info(&bob())?.current.unwrap().base_key;
        let first = pair.send(b"first")?;
        let told = version != V0_72_1;
        let used =
            Event::KyberPrekeyUsed { id: 9, signed_prekey_id: told.then_some(1), base_key: told.then_some(base_key) };
        assert!(pair.answer_of(&first)?.events.contains(&used), "{version} does not report {used:?}");

        // Without the session only the store can tell that this is a replay.
        pair.responder.remove_session(&alice())?;
        match pair.answer_of(&first) {
            Ok(_) => assert!(!told, "{version}"),
            Err(PeerError::Store(_)) => assert!(told, "{version}"),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn changed_identity() -> Result<(), Failed> {
    for version in Version::ALL {
        let peer = stage::peer(version);
        let pair = Pair::established(&peer, &peer, Agreement::PQXDH)?;
        let before = pair.responder_session()?;
        let Pair { initiator, responder } = pair;
        initiator.forget()?;
        let reinstalled = peer.create_party(&PartyOptions::new("reinstalled", alice()))?;
        let pair = Pair { initiator: reinstalled, responder };
        pair.responder.generate_prekey(PrekeyKind::OneTime, 1)?;
        pair.responder.generate_prekey(PrekeyKind::Kyber, 1)?;
        pair.agree(Agreement::PQXDH)?;
        let first = pair.send(b"it is still me")?;
        refused(pair.answer_of(&first), "untrusted identity")?;
        assert_eq!(pair.responder_session()?, before);
        assert_eq!(pair.responder.prekey_ids(PrekeyKind::OneTime)?, [1], "a refused message consumes a prekey");

        pair.responder.trust(Trust::Always)?;
        assert_eq!(&*pair.answer_of(&first)?.plaintext, b"it is still me");
    }
    Ok(())
}

fn public_keys() -> Result<(), Failed> {
    for version in Version::ALL {
        let peer = stage::peer(version);
        let key = peer.generate_key_pair()?.public;
        let trailing = [&*key, &[1, 2, 3]].concat();
        assert_eq!(peer.public_key(&trailing)?, key, "trailing bytes are dropped");
        assert!(peer.public_key(&key[..32]).is_err());
        for kind in [0x00, 0x04, 0x06, 0x85] {
            assert!(peer.public_key(&[&[kind], &key[1..]].concat()).is_err(), "{version} takes type {kind:#x}");
        }
    }
    Ok(())
}

/// The eight points of small order and their encodings above the prime, from RFC 7748's security considerations.
fn zero_agreement() -> Result<(), Failed> {
    let small = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    for version in Version::ALL {
        let peer = stage::peer(version);
        let private = peer.generate_key_pair()?.private;
        for point in small {
            let public = [vec![5], hex::decode(point)?].concat();
            let agreed = peer.agree(&private, &public);
            if version == V0_72_1 {
                assert_eq!(&*agreed?, &[0; 32]);
            } else {
                refused(agreed, "invalid key agreement")?;
            }
        }
    }
    Ok(())
}

fn broken_first_messages() -> Result<(), Failed> {
    type Case = (&'static str, fn(&mut Vec<u8>), &'static str);
    let cases: [Case; 6] = [
        ("version 5", |body| body[0] = 0x54, "ciphertext version was unrecognized <5>"),
        ("version 2", |body| body[0] = 0x24, "ciphertext version was too old <2>"),
        ("empty", Vec::clear, "ciphertext serialized bytes were too short <0>"),
        ("only a version", |body| body.truncate(1), "protobuf encoding was invalid"),
        ("cut", |body| body.truncate(200), "protobuf encoding was invalid"),
        ("cut in its MAC", |body| body.truncate(body.len() - 1), "protobuf encoding was invalid"),
    ];
    for version in Version::ALL {
        let peer = stage::peer(version);
        let pair = Pair::with_session(&peer, &peer, Agreement::PQXDH)?;
        let first = pair.send(b"first")?;
        for (name, change, text) in cases {
            let mut body = first.body.to_vec();
            change(&mut body);
            let outcome = pair.answer_of(&Ciphertext { kind: first.kind, body: body.into() });
            refused(outcome, text)
                .map_err(|failed| format!("{version}, {name}: {}", failed.message().unwrap_or("")))?;
        }
        assert_eq!(&*pair.answer_of(&first)?.plaintext, b"first");
    }
    Ok(())
}

/// The base key is in no MAC, and neither its top bit nor a component of small order changes any agreement: whoever does
/// not check it accepts such a message.
fn base_keys() -> Result<(), Failed> {
    for version in Version::ALL {
        let peer = stage::peer(version);
        for change in [witness::with_top_bit, witness::with_torsion] {
            peer.reset()?;
            let pair = Pair::with_session(&peer, &peer, Agreement::PQXDH)?;
            let genuine = pair.send(b"first")?;
            let mut fields = Fields::parse(&genuine.body[1..]);
            for (number, field) in &mut fields.0 {
                if let (2, Field::Bytes(key)) = (number, field) {
                    *key = change(key);
                }
            }
            let body = [vec![genuine.body[0]], fields.encode()].concat();
            let outcome = pair.answer_of(&Ciphertext { kind: genuine.kind, body: body.into() });
            if version == V0_72_1 {
                assert_eq!(&*outcome?.plaintext, b"first");
            } else {
                refused(outcome, "incoming base key is invalid")?;
            }
        }
    }
    Ok(())
}

fn failure_changes_nothing() -> Result<(), Failed> {
    for version in Version::ALL {
        let peer = stage::peer(version);
        let pair = Pair::established(&peer, &peer, Agreement::PQXDH)?;
        let genuine = pair.send(b"text")?;
        let before = pair.responder_session()?;
        for at in [1, genuine.body.len() / 2, genuine.body.len() - 1] {
            let mut body = genuine.body.to_vec();
            body[at] ^= 1;
            assert!(pair.answer_of(&Ciphertext { kind: genuine.kind, body: body.into() }).is_err());
            assert_eq!(pair.responder_session()?, before);
        }
        assert_eq!(&*pair.answer_of(&genuine)?.plaintext, b"text");
    }
    Ok(())
}

fn skipped_keys() -> Result<(), Failed> {
    for version in [V0_72_1, V0_103_0] {
        let peer = stage::peer(version);
        let pair = Pair::established(&peer, &peer, Agreement::PQXDH)?;
        let oldest = pair.send(b"oldest")?;
        let second = pair.send(b"second")?;
        pair.initiator.skip(&bob(), 1_999)?;
        pair.answer_of(&pair.send(b"after 2,001")?)?;
        let gone = pair.answer_of(&oldest);
        assert!(gone.as_ref().is_err_and(PeerError::is_duplicate), "{version}: {gone:?}");
        assert_eq!(&*pair.answer_of(&second)?.plaintext, b"second");
    }
    Ok(())
}

fn receiving_chains() -> Result<(), Failed> {
    for version in [V0_72_1, V0_103_0] {
        let peer = stage::peer(version);
        let pair = Pair::established(&peer, &peer, Agreement::PQXDH)?;
        let mut late = Vec::new();
        for _ in 0..6 {
            late.push(pair.send(b"late")?);
            pair.answer_of(&pair.send(b"in time")?)?;
            pair.hear_of(&pair.answer(b"turn")?)?;
        }
        refused(pair.answer_of(&late[0]), "decryption failed")?;
        for message in &late[1..] {
            assert_eq!(&*pair.answer_of(message)?.plaintext, b"late", "{version}");
        }
        assert_eq!(pair.responder.session_info(&alice())?.current.unwrap().receiver_chains, 5);
    }
    Ok(())
}

fn archived_states() -> Result<(), Failed> {
    for version in Version::ALL {
        let peer = stage::peer(version);
        let pair = Pair::new(&peer, &peer)?;
        for _ in 0..45 {
            pair.agree(Agreement { kyber: true, one_time: false })?;
        }
        assert_eq!(pair.initiator.session_info(&bob())?.archived, 40, "{version}");
    }
    Ok(())
}
