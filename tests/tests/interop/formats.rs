//! What the bytes of the library mean, taken apart by [`witness`](crate::witness).

use libtest_mimic::Failed;

use waxwing_tests::peer::{
    MessageType, PrekeyKind, SignalMessageParts,
    Version::{self, V0_72_1, V0_90_0, V0_103_0},
};

use crate::{
    stage::{self, Agreement, Pair, Proof},
    witness::{self, Field, Fields, MessageKeys, SignalMessage, State, rewrapped},
};

pub(crate) const TRIALS: &[Proof] = &[
    ("formats::each_version_writes_the_fields_it_knows_in_ascending_order", field_numbers),
    ("formats::the_addresses_field_is_two_service_ids_with_devices", addresses),
    ("formats::unknown_fields_and_addresses_are_ignored_by_versions_that_do_not_know_them", unknown_fields),
    ("formats::a_signal_message_made_by_hand_is_byte_for_byte_the_library_s", by_hand),
    ("formats::the_top_bit_of_a_signature_is_the_sign_of_the_public_key", signature_sign_bit),
    ("formats::signatures_by_the_xeddsa_specification_verify", specified_signatures),
    ("formats::a_bundle_signed_by_the_xeddsa_specification_is_accepted", specified_bundle),
    ("formats::an_alternate_identity_signature_is_one_over_the_label_and_the_key", alternate_identity),
    ("formats::kyber_keys_have_type_8_and_the_secret_contains_the_public_key", kyber_keys),
    ("formats::private_keys_are_clamped_when_they_are_loaded", clamping),
];

fn field_numbers() -> Result<(), Failed> {
    let prekey = |kyber, one_time| {
        let mut fields: Vec<u32> = vec![1, 2, 3, 4, 5, 6, 7, 8];
        fields.retain(|field| (*field != 1 || one_time) && (*field < 7 || kyber));
        fields
    };
    let known: [(Version, &[u32], &[u32]); 3] = [
        (V0_72_1, &[1, 2, 3, 4], &[1, 2, 3, 4]),
        (V0_90_0, &[1, 2, 3, 4, 5], &[1, 2, 3, 4, 5]),
        (V0_103_0, &[1, 2, 3, 4, 5, 6], &[1, 2, 3, 4, 5]),
    ];
    for (version, first, ordinary) in known {
        for (kyber, one_time) in [(true, true), (true, false), (false, true), (false, false)] {
            if !kyber && version != V0_72_1 {
                continue;
            }
            let peer = stage::peer(version);
            peer.reset()?;
            let pair = Pair::with_session(&peer, &peer, Agreement { kyber, one_time })?;
            let message = pair.send(b"first")?;
            assert_eq!(Fields::parse(&message.body[1..]).numbers(), prekey(kyber, one_time), "{version}");
            assert_eq!(SignalMessage::of(&message).fields.numbers(), first, "{version}");
            pair.answer_of(&message)?;
            let answer = pair.answer(b"answer")?;
            assert_eq!(SignalMessage::of(&answer).fields.numbers(), ordinary, "{version}");
            pair.hear_of(&answer)?;
            assert_eq!(SignalMessage::of(&pair.send(b"second")?).fields.numbers(), ordinary, "{version}");
        }
    }
    Ok(())
}

fn addresses() -> Result<(), Failed> {
    let peer = stage::peer(V0_103_0);
    let pair = Pair::with_session(&peer, &peer, Agreement::PQXDH)?;
    let sender = [peer.service_id(stage::ALICE)?.fixed_width.to_vec(), vec![1]].concat();
    let recipient = [peer.service_id(stage::BOB)?.fixed_width.to_vec(), vec![2]].concat();
    let first = SignalMessage::of(&pair.send(b"first")?);
    assert_eq!(first.fields.bytes(6), Some([sender, recipient].concat().as_slice()));
    Ok(())
}

/// Field 15 stands for a future one; field 6 names somebody else. Every message gets a right MAC, so that it is refused for
/// nothing but the field.
fn unknown_fields() -> Result<(), Failed> {
    let (old, new) = (stage::peer(V0_72_1), stage::peer(V0_90_0));
    for (initiator, responder, agreement) in [
        (&old, &old, Agreement::X3DH),
        (&old, &old, Agreement::PQXDH),
        (&old, &new, Agreement::PQXDH),
        (&new, &old, Agreement::PQXDH),
    ] {
        for number in [6, 15] {
            initiator.reset()?;
            responder.reset()?;
            let pair = Pair::with_session(initiator, responder, agreement)?;
            for wrapped in [true, false] {
                let keys = MessageKeys::derive(&State::of(&pair.initiator_session()?).sending().seed(), None);
                let genuine = pair.send(b"text")?;
                assert_eq!(genuine.kind == MessageType::PreKey, wrapped);
                let mut message = SignalMessage::of(&genuine);
                message.fields.0.push((number, Field::Bytes(vec![7; 36])));
                let (sender, receiver) =
                    (&pair.initiator.info().identity_public, &pair.responder.info().identity_public);
                let changed = message.sealed(&keys, sender, receiver);
                let changed = if wrapped { rewrapped(&genuine, &changed) } else { changed };
                assert_eq!(&*pair.answer_of(&changed)?.plaintext, b"text");
                pair.hear_of(&pair.answer(b"answer")?)?;
            }
        }
    }
    Ok(())
}

fn by_hand() -> Result<(), Failed> {
    for version in Version::ALL {
        let peer = stage::peer(version);
        let [ratchet, sender, receiver] =
            [peer.generate_key_pair()?, peer.generate_key_pair()?, peer.generate_key_pair()?];
        for (counter, previous_counter, pq_ratchet) in
            [(0, 0, None), (1, 0, Some(vec![])), (300, 7, Some(vec![1, 2, 3]))]
        {
            let pq_ratchet = pq_ratchet.filter(|_| version != V0_72_1);
            let parts = SignalMessageParts {
                version: 4,
                mac_key: [7; 32].into(),
                ratchet_key: ratchet.public.clone(),
                counter,
                previous_counter,
                ciphertext: [9; 16].into(),
                sender_identity: sender.public.clone(),
                receiver_identity: receiver.public.clone(),
                pq_ratchet: pq_ratchet.clone().map(Into::into),
            };
            let mut fields = vec![
                (1, Field::Bytes(ratchet.public.to_vec())),
                (2, Field::Number(counter.into())),
                (3, Field::Number(previous_counter.into())),
                (4, Field::Bytes(vec![9; 16])),
            ];
            // An empty field 5 is not written.
            if let Some(bytes) = pq_ratchet.filter(|bytes| !bytes.is_empty()) {
                fields.push((5, Field::Bytes(bytes)));
            }
            let ours = SignalMessage { version: 0x44, fields: Fields(fields), mac: [0; 8] };
            let ours = ours.sealed(&MessageKeys { mac: [7; 32] }, &sender.public, &receiver.public);
            assert_eq!(peer.construct_signal_message(&parts)?, ours.body, "{version}");
        }
    }
    Ok(())
}

fn signature_sign_bit() -> Result<(), Failed> {
    for version in Version::ALL {
        let peer = stage::peer(version);
        let mut seen = [0; 2];
        while seen.contains(&0) {
            let private: [u8; 32] = peer.generate_key_pair()?.private[..].try_into()?;
            let sign = witness::edwards_sign(&private);
            assert_eq!(peer.sign(&private, b"message")?[63] >> 7, sign);
            seen[usize::from(sign)] += 1;
        }
    }
    Ok(())
}

fn specified_signatures() -> Result<(), Failed> {
    for version in Version::ALL {
        let peer = stage::peer(version);
        let mut seen = [0; 2];
        while seen.iter().any(|count| *count < 4) {
            let pair = peer.generate_key_pair()?;
            let private: [u8; 32] = pair.private[..].try_into()?;
            let signature = witness::xeddsa_by_the_specification(&private, b"message", &[3; 64]);
            assert_eq!(signature[63] >> 7, 0);
            assert!(peer.verify(&pair.public, b"message", &signature)?, "{version}");
            assert!(!peer.verify(&pair.public, b"massage", &signature)?, "{version}");
            let mut flipped = signature;
            flipped[63] |= 0x80;
            assert!(!peer.verify(&pair.public, b"message", &flipped)?, "{version}: the sign is part of the check");
            seen[usize::from(witness::edwards_sign(&private))] += 1;
        }
    }
    Ok(())
}

fn specified_bundle() -> Result<(), Failed> {
    for version in Version::ALL {
        let peer = stage::peer(version);
        let pair = Pair::new(&peer, &peer)?;
        let private: [u8; 32] = pair.responder.info().identity_private[..].try_into()?;
        let mut bundle = pair.bundle(Agreement::PQXDH)?;
        let sign = |message: &[u8]| Some(witness::xeddsa_by_the_specification(&private, message, &[5; 64]).into());
        bundle.signed.signature = sign(&bundle.signed.public);
        let kyber = bundle.kyber.as_mut().unwrap();
        kyber.signature = sign(&kyber.public);
        pair.initiator.process_bundle(&pair.responder.address(), &bundle)?;
        assert_eq!(&*pair.answer_of(&pair.send(b"first")?)?.plaintext, b"first");
    }
    Ok(())
}

fn alternate_identity() -> Result<(), Failed> {
    for version in Version::ALL {
        let peer = stage::peer(version);
        let (account, number) = (peer.generate_key_pair()?, peer.generate_key_pair()?);
        let signed = [[0xFF; 32].as_slice(), b"Signal_PNI_Signature", &number.public].concat();
        let ours = peer.sign(&account.private, &signed)?;
        assert!(peer.verify_alternate_identity(&account.public, &number.public, &ours)?, "{version}");
        let theirs = peer.sign_alternate_identity(&account.private, &number.public)?;
        assert!(peer.verify(&account.public, &signed, &theirs)?, "{version}");
        assert!(!peer.verify_alternate_identity(&number.public, &account.public, &theirs)?, "{version}");
    }
    Ok(())
}

fn kyber_keys() -> Result<(), Failed> {
    for version in Version::ALL {
        let peer = stage::peer(version);
        let pair = peer.generate_kyber()?;
        assert_eq!((pair.public.len(), pair.private.len()), (1 + 1568, 1 + 3168));
        assert_eq!((pair.public[0], pair.private[0]), (8, 8));
        assert_eq!(
            &pair.private[1 + 1536..1 + 1536 + 1568],
            &pair.public[1..],
            "the secret key contains the public one"
        );
        assert_eq!(peer.kyber_public(&pair.public)?, pair.public);
        assert_eq!(peer.kyber_private(&pair.private)?, pair.private);
        for kind in [0x00, 0x05, 0x07, 0x0A] {
            assert!(peer.kyber_public(&[&[kind], &pair.public[1..]].concat()).is_err(), "{version} takes {kind:#x}");
        }
        assert!(peer.kyber_public(&pair.public[..1568]).is_err());
        assert!(peer.kyber_public(&[&*pair.public, &[0]].concat()).is_err());

        // A prekey record is the protobuf of 2.12, with the typed keys in it.
        let party = Pair::new(&peer, &peer)?.responder;
        let prekey = party.export_prekey(PrekeyKind::Kyber, 1)?;
        let record = Fields::parse(&prekey.record);
        assert_eq!(record.numbers(), [1, 2, 3, 4, 5]);
        assert_eq!((record.bytes(2), record.bytes(3)), (Some(&*prekey.public), Some(&*prekey.private)));
        let timestamp = Field::Fixed64(prekey.timestamp.unwrap());
        assert_eq!(record.0.last(), Some(&(5, timestamp)));
        peer.reset()?;
    }
    Ok(())
}

fn clamping() -> Result<(), Failed> {
    for version in Version::ALL {
        let peer = stage::peer(version);
        let loaded = peer.key_pair(&[0xFF; 32])?.private;
        let mut clamped = [0xFF; 32];
        (clamped[0], clamped[31]) = (0xF8, 0x7F);
        assert_eq!(&*loaded, &clamped, "{version}");
    }
    Ok(())
}
