//! First messages and their answers (issue: X3DH and PQXDH live): both roles, every suite, and what is refused.

use waxwing_tests::peer::MessageType::PreKey;
use waxwing_tests::peer::{Bytes, Peer};

use crate::{
    Peers, agreement_refused, edit,
    stage::{Setup, Stage},
    transcript::{
        Address,
        Initiator::{Library, Us},
        Transcript,
    },
    witness::{Field, State},
};

pub fn record(peers: &Peers) -> Vec<Transcript> {
    let mut transcripts = Vec::new();
    for (peer, suite) in [(&peers.v0_72_1, 3), (&peers.v0_72_1, 4), (&peers.v0_90_0, 4)] {
        for one_time in [1, 0] {
            transcripts.push(we_start(peer, suite, one_time));
            transcripts.push(library_starts(peer, suite, one_time));
        }
    }
    let (old, new) = (&peers.v0_72_1, &peers.v0_90_0);
    transcripts.extend([
        last_resort(old, 4),
        last_resort(new, 4),
        signed_prekey_as_last_resort(old),
        names(new, Us),
        names(new, Library),
        phone_number_identity(new, Us),
        phone_number_identity(new, Library),
        several_before_the_answer(old, 3, Us),
        several_before_the_answer(old, 3, Library),
        several_before_the_answer(new, 4, Us),
        several_before_the_answer(new, 4, Library),
        addresses(new),
        other_encoding(old),
    ]);
    transcripts.extend(agreement_refused::record(peers));
    transcripts
}

pub fn suite_name(suite: u8) -> &'static str {
    if suite == 3 { "X3DH" } else { "PQXDH" }
}

pub fn with_article(suite: u8) -> &'static str {
    if suite == 3 { "an X3DH" } else { "a PQXDH" }
}

fn with(one_time: u32) -> &'static str {
    if one_time == 0 { "without" } else { "with" }
}

fn we_start(peer: &Peer, suite: u8, one_time: u32) -> Transcript {
    let name =
        format!("our {} with {} {} one-time prekey, and the answer", suite_name(suite), peer.version(), with(one_time));
    let mut s = Stage::new(peer, &name, &Setup { one_time, ..Setup::new(suite, Us) });
    s.we_initiate();
    s.send(b"the first message carries the agreement");
    s.library_record();
    s.receive(b"the answer acknowledges it");
    s.send(b"from here on messages are ordinary");
    s.library_record();
    s.done()
}

fn library_starts(peer: &Peer, suite: u8, one_time: u32) -> Transcript {
    let name = format!(
        "{}'s {} with us {} one-time prekey, and the answer",
        peer.version(),
        suite_name(suite),
        with(one_time)
    );
    let mut s = Stage::new(peer, &name, &Setup { one_time, ..Setup::new(suite, Library) });
    s.library_initiates();
    s.receive(b"the first message carries the agreement");
    s.library_record();
    s.send(b"the answer acknowledges it");
    s.receive(b"from here on messages are ordinary");
    s.library_record();
    s.done()
}

fn last_resort(peer: &Peer, suite: u8) -> Transcript {
    let name = format!("a last-resort Kyber prekey answers {} once per first message", peer.version());
    let setup = Setup { one_time: 0, last_resort: true, ..Setup::new(suite, Library) };
    let mut s = Stage::new(peer, &name, &setup);
    s.library_initiates();
    let first = s.receive(b"first session");
    s.refuse(first, "OpenError::Duplicate { counter: 0 }");
    s.forget();
    s.refuse(first, "AcceptError::Respond(Replayed)");
    s.library_initiates();
    s.receive(b"the same prekey serves a second session");
    s.refuse(first, "AcceptError::Respond(Replayed)");
    s.send(b"answer");
    s.done()
}

fn signed_prekey_as_last_resort(peer: &Peer) -> Transcript {
    let name = "with X3DH and no one-time prekey the signed prekey remembers what it answered";
    let mut s = Stage::new(peer, name, &Setup { one_time: 0, ..Setup::new(3, Library) });
    s.library_initiates();
    let first = s.receive(b"first session");
    s.forget();
    s.refuse(first, "AcceptError::Respond(Replayed)");
    s.library_initiates();
    s.receive(b"second session");
    s.send(b"answer");
    s.done()
}

fn names(peer: &Peer, initiator: crate::transcript::Initiator) -> Transcript {
    let name = match initiator {
        Us => "names that are no service ids leave the addresses out, when we start",
        _ => "names that are no service ids leave the addresses out, when the library starts",
    };
    let (us, them) = (Address { name: "bob".into(), device: 1 }, Address { name: "alice".into(), device: 127 });
    short(peer, name, &Setup { us, peer: them, ..Setup::new(4, initiator) })
}

fn phone_number_identity(peer: &Peer, initiator: crate::transcript::Initiator) -> Transcript {
    let name = match initiator {
        Us => "a phone number identity is written to as kind 1",
        _ => "a phone number identity is written to by the library",
    };
    let mut setup = Setup::new(4, initiator);
    match initiator {
        Us => setup.peer.name = format!("PNI:{}", setup.peer.name),
        _ => setup.us.name = format!("PNI:{}", setup.us.name),
    }
    short(peer, name, &setup)
}

fn short(peer: &Peer, name: &str, setup: &Setup) -> Transcript {
    let mut s = Stage::new(peer, name, setup);
    match setup.initiator {
        Us => {
            s.we_initiate();
            s.send(b"first");
            s.receive(b"answer");
        }
        _ => {
            s.library_initiates();
            s.receive(b"first");
            s.send(b"answer");
        }
    }
    s.library_record();
    s.done()
}

fn several_before_the_answer(peer: &Peer, suite: u8, initiator: crate::transcript::Initiator) -> Transcript {
    let who = if initiator == Us { "we send" } else { "the library sends" };
    let name = format!("{who} three {} first messages before the answer, out of order", suite_name(suite));
    let mut s = Stage::new(peer, &name, &Setup::new(suite, initiator));
    match initiator {
        Us => {
            s.we_initiate();
            let sent = [&b"one"[..], b"two", b"three"].map(|text| s.seal(text));
            for message in [sent[1], sent[0]] {
                s.delivered(message);
            }
            s.receive(b"answer to one and two");
            s.delivered(sent[2]);
            s.delivered_in_vain(sent[1], "old counter");
            s.send(b"four, an ordinary one");
        }
        _ => {
            s.library_initiates();
            let sent = [&b"one"[..], b"two", b"three"].map(|text| s.library_seals(text));
            for message in [sent[1], sent[0]] {
                s.open(message);
            }
            s.send(b"answer to one and two");
            s.open(sent[2]);
            s.refuse(sent[1], "OpenError::Duplicate { counter: 1 }");
            s.receive(b"four, an ordinary one");
        }
    }
    s.library_record();
    s.done()
}

/// The library's message gets the field that newer versions write, under a right MAC.
fn addresses(peer: &Peer) -> Transcript {
    let name = "a message that names its addresses must name ours";
    let mut s = Stage::new(peer, name, &Setup::new(4, Library));
    s.library_initiates();
    let state = State::of(&s.party.export_session(&s.us()).unwrap());
    let first = s.library_seals(b"who is it for?");
    let (sender, recipient) =
        (s.party.info().identity_public.clone(), Bytes::from(s.engine.device.keys().identity.public_key().to_bytes()));
    let genuine = s.body(first);
    let named = |value: &[u8]| {
        edit::inner_sealed(&genuine, PreKey, &state, [&sender, &recipient], |message| {
            edit::put(&mut message.fields, 6, Field::Bytes(value.to_vec()));
        })
    };
    let service_id = |kind: u8, name: &str| [vec![kind], ::hex::decode(name.replace('-', "")).unwrap()].concat();
    let (alice, bob) = (service_id(0, crate::stage::ALICE), service_id(0, crate::stage::BOB));
    let right = [alice.clone(), vec![1], bob.clone(), vec![2]].concat();
    let forged = "AcceptError::Open(Forged)";
    for (what, value) in [
        ("the recipient is another device of ours", [alice.clone(), vec![1], bob.clone(), vec![3]].concat()),
        ("the sender is another device", [alice.clone(), vec![2], bob.clone(), vec![2]].concat()),
        (
            "the recipient is our phone number",
            [alice.clone(), vec![1], service_id(1, crate::stage::BOB), vec![2]].concat(),
        ),
        ("sender and recipient are exchanged", [bob, vec![2], alice, vec![1]].concat()),
        ("the field is a byte short", right[..35].to_vec()),
        ("the field is empty", Vec::new()),
    ] {
        s.refuse_changed(first, &format!("addresses: {what}; MAC right"), &named(&value), forged);
    }
    s.open_changed(first, "addresses: as they are; MAC right", &named(&right));
    s.send(b"answer");
    s.done()
}

fn other_encoding(peer: &Peer) -> Transcript {
    let name = "the encoding around a first message is not authenticated, and may differ";
    let mut s = Stage::new(peer, name, &Setup::new(4, Library));
    s.library_initiates();
    let messages = [&b"a"[..], b"b", b"c", b"d", b"e"].map(|text| s.library_seals(text));
    let body = s.body(messages[0]);
    s.open_changed(messages[0], "fields in descending order", &edit::edited(&body, |fields| fields.0.reverse()));
    let body = s.body(messages[1]);
    s.open_changed(messages[1], "an unknown field 99", &edit::with(&body, 99, Field::Number(7)));
    let body = s.body(messages[2]);
    let twice = edit::edited(&body, |fields| fields.0.insert(0, (5, Field::Number(1))));
    s.open_changed(messages[2], "registration_id twice: the last counts", &twice);
    let body = s.body(messages[3]);
    s.open_changed(messages[3], "low nibble of the outer version byte 0", &[&[0x40], &body[1..]].concat());
    let body = s.body(messages[4]);
    s.open_changed(messages[4], "without registration_id: 0", &edit::without(&body, 5));
    s.done()
}
