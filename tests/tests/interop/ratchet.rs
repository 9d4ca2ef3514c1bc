//! How the Double Ratchet's keys move, recomputed from exported records by [`witness`](crate::witness).

use libtest_mimic::Failed;

use waxwing_tests::peer::{
    Ciphertext, MessageType, Peer, PeerError,
    Version::{V0_72_1, V0_90_0, V0_103_0},
};

use crate::{
    stage::{self, Agreement, Pair, Proof},
    witness::{self, MessageKeys, SignalMessage, State},
};

pub(crate) const TRIALS: &[Proof] = &[
    ("ratchet::the_mac_of_a_message_follows_from_the_chain_key", macs),
    ("ratchet::the_first_message_of_0.90.0_is_keyed_without_spqr_though_it_offers_it", unkeyed_offer),
    ("ratchet::both_half_steps_follow_from_the_root_key", half_steps),
    ("ratchet::an_initiator_keeps_a_receiving_chain_under_the_signed_prekey", signed_prekey_chain),
    ("ratchet::previous_counter_is_the_index_of_the_last_message_not_their_number", previous_counter),
    ("ratchet::messages_are_prekey_messages_until_an_answer_is_decrypted", unacknowledged),
];

fn macs() -> Result<(), Failed> {
    let (old, new) = (stage::peer(V0_72_1), stage::peer(V0_90_0));
    let pairings: [(&Peer, &Peer, Agreement); 4] = [
        (&old, &old, Agreement::X3DH),
        (&old, &old, Agreement::PQXDH),
        (&old, &new, Agreement::PQXDH),
        (&new, &old, Agreement::PQXDH),
    ];
    for (initiator, responder, agreement) in pairings {
        initiator.reset()?;
        responder.reset()?;
        let pair = Pair::established(initiator, responder, agreement)?;
        for _ in 0..3 {
            let chain = State::of(&pair.initiator_session()?).sending();
            let message = pair.send(b"text")?;
            assert!(is_keyed_by(&pair, &message, &MessageKeys::derive(&chain.seed(), None)));
            let after = State::of(&pair.initiator_session()?).sending();
            assert_eq!((after.index, after.key), (chain.index + 1, witness::next_chain_key(&chain.key)));
            pair.answer_of(&message)?;
        }
    }
    Ok(())
}

fn unkeyed_offer() -> Result<(), Failed> {
    let (initiator, responder) = (stage::peer(V0_90_0), stage::peer(V0_72_1));
    let pair = Pair::with_session(&initiator, &responder, Agreement::PQXDH)?;
    for _ in 0..2 {
        let seed = State::of(&pair.initiator_session()?).sending().seed();
        let message = pair.send(b"text")?;
        assert_eq!(SignalMessage::of(&message).fields.numbers(), [1, 2, 3, 4, 5]);
        assert!(is_keyed_by(&pair, &message, &MessageKeys::derive(&seed, None)));
        pair.answer_of(&message)?;
    }
    Ok(())
}

/// Whether the initiator's message has the MAC that these keys make.
fn is_keyed_by(pair: &Pair<'_>, message: &Ciphertext, keys: &MessageKeys) -> bool {
    let parsed = SignalMessage::of(message);
    let sender = &pair.initiator.info().identity_public;
    parsed.mac_under(keys, sender, &pair.responder.info().identity_public) == parsed.mac
}

/// On a message with a new ratchet key: root step with the old private key for receiving, a new key pair, root step with
/// the new private key for sending. Checked on either side.
fn half_steps() -> Result<(), Failed> {
    for (version, agreement) in [
        (V0_72_1, Agreement::X3DH),
        (V0_72_1, Agreement::PQXDH),
        (V0_90_0, Agreement::PQXDH),
        (V0_103_0, Agreement::PQXDH),
    ] {
        let peer = stage::peer(version);
        peer.reset()?;
        let pair = Pair::established(&peer, &peer, agreement)?;
        for _ in 0..3 {
            let before = State::of(&pair.responder_session()?);
            let message = pair.send(b"ping")?;
            pair.answer_of(&message)?;
            check_step(&before, &State::of(&pair.responder_session()?), &message);

            let before = State::of(&pair.initiator_session()?);
            let message = pair.answer(b"pong")?;
            pair.hear_of(&message)?;
            check_step(&before, &State::of(&pair.initiator_session()?), &message);
        }
    }
    Ok(())
}

fn check_step(before: &State, after: &State, message: &Ciphertext) {
    let message = SignalMessage::of(message);
    let theirs = message.fields.bytes(1).unwrap();
    let (root, receiving) = witness::root_step(&before.root(), &before.sending().ratchet_private, theirs);
    let newest = after.receiving().pop().unwrap();
    assert_eq!(newest.ratchet_public, theirs);
    assert_eq!((newest.index, newest.key), (1, witness::next_chain_key(&receiving)), "receiving half-step");

    let ours = after.sending();
    let (root, sending) = witness::root_step(&root, &ours.ratchet_private, theirs);
    assert_eq!(after.root(), root);
    assert_eq!((ours.index, ours.key), (0, sending), "sending half-step");
    assert_ne!(ours.ratchet_private, before.sending().ratchet_private);
}

fn signed_prekey_chain() -> Result<(), Failed> {
    for (version, agreement) in [(V0_72_1, Agreement::X3DH), (V0_90_0, Agreement::PQXDH), (V0_103_0, Agreement::PQXDH)]
    {
        let peer = stage::peer(version);
        peer.reset()?;
        let pair = Pair::with_session(&peer, &peer, agreement)?;
        let initiator = State::of(&pair.initiator_session()?);
        let bundle = pair.bundle(agreement)?;
        let [chain] = initiator.receiving().try_into().unwrap();
        assert_eq!(chain.ratchet_public, &*bundle.signed.public);
        assert_eq!((chain.index, chain.ratchet_private.len()), (0, 0));

        // The responder's first sending chain would be that one, but its first receipt already moves it on.
        pair.answer_of(&pair.send(b"first")?)?;
        let responder = State::of(&pair.responder_session()?);
        assert_ne!(responder.sending().ratchet_public, &*bundle.signed.public);
        assert_eq!(responder.receiving().len(), 1);
    }
    Ok(())
}

fn previous_counter() -> Result<(), Failed> {
    for version in [V0_72_1, V0_90_0, V0_103_0] {
        let peer = stage::peer(version);
        peer.reset()?;
        let pair = Pair::established(&peer, &peer, Agreement::PQXDH)?;
        let mut expected = 0;
        for sent in [1, 2, 5] {
            for counter in 0..sent {
                let message = pair.send(b"text")?;
                let fields = SignalMessage::of(&message).fields;
                assert_eq!((fields.number(2), fields.number(3)), (Some(counter), Some(expected)));
                pair.answer_of(&message)?;
            }
            expected = sent - 1;
            pair.hear_of(&pair.answer(b"turn")?)?;
        }
    }
    Ok(())
}

fn unacknowledged() -> Result<(), Failed> {
    for version in [V0_72_1, V0_90_0, V0_103_0] {
        let peer = stage::peer(version);
        peer.reset()?;
        let pair = Pair::with_session(&peer, &peer, Agreement::PQXDH)?;
        let repeated = |message: &Ciphertext| -> Result<_, PeerError> {
            let fields = witness::Fields::parse(&message.body[1..]);
            Ok((message.kind, fields.bytes(2).map(<[u8]>::to_vec), fields.bytes(8).map(<[u8]>::to_vec)))
        };
        let first = pair.send(b"first")?;
        pair.answer_of(&first)?;
        let second = pair.send(b"second")?;
        assert_eq!(repeated(&first)?, repeated(&second)?, "same base key, same Kyber ciphertext");
        pair.answer_of(&second)?;
        pair.hear_of(&pair.answer(b"answer")?)?;
        assert_eq!(pair.send(b"third")?.kind, MessageType::Whisper);
    }
    Ok(())
}
