//! Messages of a session that were changed, exchanged or sent back: refused, and the session goes on.

use waxwing_tests::peer::{Bytes, MessageType::Whisper, Peer};

use crate::{
    Peers,
    agreement_refused::{Strictness, public_key_error},
    edit::{self, flipped, inner_edited, inner_with, odd_keys, put},
    sessions::established,
    stage::{Setup, Stage},
    transcript::{
        Initiator::{Library, Us},
        Transcript,
    },
    witness::{Field, SignalMessage, State},
};

pub fn record(peers: &Peers) -> Vec<Transcript> {
    let (old, new) = (&peers.v0_72_1, &peers.v0_90_0);
    vec![
        flipped_bits(old, 3),
        flipped_bits(new, 4),
        every_byte(old),
        cut_and_extended(new),
        missing_fields(old),
        wrong_version(old, 3),
        wrong_version(new, 4),
        odd_ratchet_key(new),
        forged_counters(new),
        over_budget(old),
        sent_back(old),
        other_session(new),
        wrong_padding(old, 3),
        wrong_padding(new, 4),
        other_addresses(new),
        hostile_storm(new),
    ]
}

/// Whatever was refused, the genuine message opens and the answer arrives.
fn end(mut s: Stage<'_>, message: u32) -> Transcript {
    s.open(message);
    s.send(b"nothing is broken");
    s.receive(b"so it is");
    s.library_record();
    s.done()
}

fn flipped_bits(peer: &Peer, suite: u8) -> Transcript {
    let name = format!("an ordinary message with a flipped bit is refused, version {suite}");
    let mut s = established(peer, &name, &Setup::new(suite, Library));
    s.send(b"turn");
    let message = s.library_seals(b"it begins a new chain");
    let genuine = s.body(message);
    let forged = "OpenError::Forged";
    s.refuse_changed(message, "ratchet_key", &flipped(&genuine, 10, 2), &on_curve_or_not(&flipped(&genuine, 10, 2)));
    s.refuse_changed(message, "counter", &inner_with(&genuine, Whisper, 2, Field::Number(3)), forged);
    s.refuse_changed(message, "previous_counter", &inner_with(&genuine, Whisper, 3, Field::Number(9)), forged);
    let ciphertext = SignalMessage::parse(&genuine).fields.bytes(4).unwrap().to_vec();
    for (at, what) in [(0, "ciphertext: first byte"), (ciphertext.len() - 1, "ciphertext: last byte")] {
        let changed = inner_with(&genuine, Whisper, 4, Field::Bytes(flipped(&ciphertext, at, 1)));
        s.refuse_changed(message, what, &changed, forged);
    }
    for at in 1..=8 {
        let changed = flipped(&genuine, genuine.len() - at, 1);
        s.refuse_changed(message, &format!("MAC: byte {}", 8 - at), &changed, forged);
    }
    end(s, message)
}

/// What our end says of a ratchet key that is some u-coordinate: half of them are on the twist.
fn on_curve_or_not(message: &[u8]) -> String {
    let key = SignalMessage::parse(message).fields.bytes(1).unwrap().to_vec();
    match waxwing_protocol::RatchetKey::parse(&key) {
        Ok(_) => "OpenError::Forged".into(),
        Err(error) => format!("OpenError::RatchetKey({error:?})"),
    }
}

/// Bit 3 of every byte, one after the other, in a chain that exists.
fn every_byte(peer: &Peer) -> Transcript {
    let name = "bit 3 of each byte of an ordinary message matters";
    let mut s = established(peer, name, &Setup::new(3, Library));
    let message = s.library_seals(b"short");
    let genuine = s.body(message);
    for at in 0..genuine.len() {
        let changed = flipped(&genuine, at, 8);
        let error = s.what_we_say(message, &changed);
        assert_ne!(error, "", "byte {at}");
        s.refuse_changed(message, &format!("byte {at}"), &changed, &error);
    }
    end(s, message)
}

fn cut_and_extended(peer: &Peer) -> Transcript {
    let name = "an ordinary message that is cut or extended is refused";
    let mut s = established(peer, name, &Setup::new(4, Library));
    let message = s.library_seals(b"whole");
    let genuine = s.body(message);
    for len in [0, 1, 8] {
        let error = format!("DecodeError::TooShort {{ got: {len} }}");
        s.refuse_changed(message, &format!("{len} bytes"), &genuine[..len], &error);
    }
    let missing = "DecodeError::Missing { field: \"ratchet_key\" }";
    s.refuse_changed(message, "9 bytes: no field is left", &genuine[..9], missing);
    let protobuf = "DecodeError::Protobuf";
    s.refuse_changed(message, "cut in the ratchet key", &genuine[..30], protobuf);
    s.refuse_changed(message, "the last byte cut", &genuine[..genuine.len() - 1], protobuf);
    s.refuse_changed(message, "the first byte cut", &genuine[1..], "DecodeError::LegacyVersion { got: 0 }");
    s.refuse_changed(message, "a zero byte behind", &[&*genuine, &[0]].concat(), protobuf);
    s.refuse_changed(message, "twice", &[&*genuine, &genuine].concat(), &s.what_we_say(message, &genuine.repeat(2)));
    let unknown = inner_edited(&genuine, Whisper, |message| message.fields.0.push((99, Field::Number(1))));
    s.refuse_changed(message, "an unknown field without a MAC for it", &unknown, "OpenError::Forged");
    let swapped = inner_edited(&genuine, Whisper, |message| message.fields.0.swap(1, 2));
    s.refuse_changed(message, "two fields in another order", &swapped, "OpenError::Forged");
    end(s, message)
}

fn missing_fields(peer: &Peer) -> Transcript {
    let name = "an ordinary message without a required field is refused";
    let mut s = established(peer, name, &Setup::new(4, Us));
    let message = s.library_seals(b"complete");
    let genuine = s.body(message);
    for (number, field) in [(1, "ratchet_key"), (2, "counter"), (4, "ciphertext")] {
        let without = inner_edited(&genuine, Whisper, |message| message.fields.0.retain(|(found, _)| *found != number));
        let error = format!("DecodeError::Missing {{ field: \"{field}\" }}");
        s.refuse_changed(message, &format!("without {field}"), &without, &error);
    }
    let without = inner_edited(&genuine, Whisper, |message| message.fields.0.retain(|(found, _)| *found != 3));
    s.refuse_changed(
        message,
        "without previous_counter, which may be absent, but the MAC covers it",
        &without,
        "OpenError::Forged",
    );
    end(s, message)
}

fn wrong_version(peer: &Peer, suite: u8) -> Transcript {
    let name = format!("an ordinary message of a session of version {suite} with another version is refused");
    let mut s = established(peer, &name, &Setup::new(suite, Library));
    let message = s.library_seals(b"one version for ever");
    let genuine = s.body(message);
    let other = if suite == 3 { 0x44 } else { 0x34 };
    for (version, error) in [
        (other, "OpenError::WrongSuite".to_owned()),
        ((suite << 4) | 3, "OpenError::Forged".into()),
        (suite << 4, "OpenError::Forged".into()),
        (0x24, "DecodeError::LegacyVersion { got: 2 }".into()),
        (0x04, "DecodeError::LegacyVersion { got: 0 }".into()),
        (0x54, "DecodeError::UnknownVersion { got: 5 }".into()),
        (0xF4, "DecodeError::UnknownVersion { got: 15 }".into()),
    ] {
        let changed = [&[version], &genuine[1..]].concat();
        s.refuse_changed(message, &format!("version byte {version:#04x}"), &changed, &error);
    }
    end(s, message)
}

fn odd_ratchet_key(peer: &Peer) -> Transcript {
    let name = "an ordinary message with an odd ratchet key is refused";
    let mut s = established(peer, name, &Setup::new(4, Library));
    let message = s.library_seals(b"an honest key");
    let genuine = s.body(message);
    let key = SignalMessage::parse(&genuine).fields.bytes(1).unwrap().to_vec();
    for (what, odd) in odd_keys(&key) {
        let error = match public_key_error(what, &odd, Strictness::Ratchet) {
            error if error.is_empty() => "OpenError::Forged".into(),
            error if ["SmallOrder", "NotOnCurve"].contains(&&*error) => format!("OpenError::RatchetKey({error})"),
            error => format!("DecodeError::PublicKey {{ field: \"ratchet_key\", error: {error} }}"),
        };
        let changed = inner_with(&genuine, Whisper, 1, Field::Bytes(odd));
        s.refuse_changed(message, &format!("ratchet_key: {what}"), &changed, &error);
    }
    end(s, message)
}

fn forged_counters(peer: &Peer) -> Transcript {
    let name = "a forged counter is refused: behind as a duplicate, in reach as forged, out of reach as too far ahead";
    let mut s = established(peer, name, &Setup::new(4, Library));
    s.receive(b"1");
    let message = s.library_seals(b"2");
    let genuine = s.body(message);
    for (counter, error) in [
        (0, "OpenError::Duplicate { counter: 0 }"),
        (1, "OpenError::Duplicate { counter: 1 }"),
        (3, "OpenError::Forged"),
        (25_002, "OpenError::Forged"),
        (25_003, "OpenError::TooFarAhead { counter: 25003, ahead: 25001 }"),
        (u64::from(u32::MAX), "OpenError::TooFarAhead { counter: 4294967295, ahead: 4294967293 }"),
    ] {
        let changed = inner_with(&genuine, Whisper, 2, Field::Number(counter));
        s.refuse_changed(message, &format!("counter {counter}"), &changed, error);
    }
    end(s, message)
}

fn over_budget(peer: &Peer) -> Transcript {
    let name = "a message that costs more than the budget is refused, and opens with more";
    let mut s = established(peer, name, &Setup::new(4, Library));
    s.library_skips(50);
    let ahead = s.library_seals(b"50 ahead");
    s.refuse_with_budget(ahead, 49, "OpenError::OverBudget");
    s.refuse_with_budget(ahead, 0, "OpenError::OverBudget");
    s.open(ahead);
    s.send(b"turn");
    let turned = s.library_seals(b"with a ratchet step");
    s.refuse_with_budget(turned, 99, "OpenError::OverBudget");
    end(s, turned)
}

fn sent_back(peer: &Peer) -> Transcript {
    let name = "our own messages sent back to us are refused";
    let mut s = established(peer, name, &Setup::new(4, Us));
    let ours = s.send(b"ours");
    s.refuse(ours, "OpenError::Forged");
    s.receive(b"turn");
    s.refuse(ours, "OpenError::Forged");
    let next = s.seal(b"not delivered yet");
    s.refuse(next, "OpenError::Forged");
    s.delivered(next);
    s.done()
}

fn other_session(peer: &Peer) -> Transcript {
    let name = "a message of a session that we no longer have is refused by the one we have";
    let mut s = established(peer, name, &Setup::with_two(4, Library));
    let other = s.library_seals(b"of the session before");
    s.forget();
    s.library_archives();
    s.library_initiates();
    s.receive(b"of this session");
    s.refuse(other, "OpenError::Forged");
    let message = s.library_seals(b"on we go");
    end(s, message)
}

/// The library's message, encrypted to something else under its own keys: the MAC is right, the padding is not.
fn wrong_padding(peer: &Peer, suite: u8) -> Transcript {
    let name = format!("wrong padding under a right MAC is refused like a wrong MAC, version {suite}");
    let mut s = established(peer, &name, &Setup::new(suite, Library));
    let state = State::of(&s.party.export_session(&s.us()).unwrap());
    let message = s.library_seals(b"sixteen bytes...");
    let genuine = s.body(message);
    let ciphertext = SignalMessage::parse(&genuine).fields.bytes(4).unwrap().to_vec();
    assert_eq!(ciphertext.len(), 32);
    let (sender, recipient) =
        (s.party.info().identity_public.clone(), Bytes::from(s.engine.device.keys().identity.public_key().to_bytes()));
    let sealed = |changed: Vec<u8>| {
        edit::inner_sealed(&genuine, Whisper, &state, [&sender, &recipient], |message| {
            put(&mut message.fields, 4, Field::Bytes(changed));
        })
    };
    let forged = "OpenError::Forged";
    // The last block is all padding: 16 bytes of 16; the block before it is added to it.
    for (mask, what) in [(0x10, "0"), (0x01, "17"), (0x10 ^ 0xFF, "255"), (0x10 ^ 0x02, "2, before which is 16")] {
        let changed = sealed(flipped(&ciphertext, 15, mask));
        s.refuse_changed(message, &format!("the last byte of the padding is {what}"), &changed, forged);
    }
    s.refuse_changed(
        message,
        "the last byte of the padding is right, another is not",
        &sealed(flipped(&ciphertext, 3, 1)),
        forged,
    );
    s.refuse_changed(message, "no ciphertext", &sealed(Vec::new()), forged);
    s.refuse_changed(message, "half a block", &sealed(ciphertext[..24].to_vec()), forged);
    end(s, message)
}

fn other_addresses(peer: &Peer) -> Transcript {
    let name = "an ordinary message that names other addresses is refused, with a right MAC too";
    let mut s = established(peer, name, &Setup::new(4, Library));
    let state = State::of(&s.party.export_session(&s.us()).unwrap());
    let message = s.library_seals(b"for us");
    let genuine = s.body(message);
    let (sender, recipient) =
        (s.party.info().identity_public.clone(), Bytes::from(s.engine.device.keys().identity.public_key().to_bytes()));
    let named = edit::inner_sealed(&genuine, Whisper, &state, [&sender, &recipient], |message| {
        put(&mut message.fields, 6, Field::Bytes(vec![7; 36]));
    });
    s.refuse_changed(message, "addresses: somebody else's; MAC right", &named, "OpenError::Forged");
    end(s, message)
}

/// Many forgeries between genuine messages, in every state of the session.
fn hostile_storm(peer: &Peer) -> Transcript {
    let name = "forgeries between any two genuine messages change nothing";
    let mut s = Stage::new(peer, name, &Setup::new(4, Library));
    s.library_initiates();
    for round in 0..4u8 {
        let late = s.library_seals(&[round]);
        let message = s.library_seals(&[round, round]);
        for (id, at) in [(late, 20), (message, 9), (message, 0)] {
            let genuine = s.body(id);
            let changed = flipped(&genuine, genuine.len() - 1 - at, 0x20);
            let error = s.what_we_say(id, &changed);
            s.refuse_changed(id, &format!("byte {at} from the end"), &changed, &error);
        }
        s.open(message);
        s.open(late);
        s.send(&[round]);
    }
    let message = s.library_seals(b"last");
    end(s, message)
}
