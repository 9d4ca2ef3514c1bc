//! Messages whose part of the post-quantum ratchet is forged, missing or wrong: refused, and the session goes on. Some have a
//! right MAC, as only the peer itself could make them.

use waxwing_tests::peer::{MessageType, Peer};

use crate::{
    Peers,
    edit::{Keyed, inner_edited, inner_sealed_triple, put},
    sessions::established,
    stage::{Setup, Stage},
    transcript::{
        Initiator::{Library, Us},
        Transcript,
    },
    triple::who,
    witness::{Field, SpqrHeader, State},
};

const PQ_RATCHET: u32 = 5;
const FORGED: &str = "OpenError::Forged";
const WRONG: &str = "OpenError::PostQuantumRatchet";
const ABSENT: &str = "OpenError::NoPostQuantumRatchet";

pub fn record(peers: &Peers) -> Vec<Transcript> {
    let (old, middle, new) = (&peers.v0_72_1, &peers.v0_90_0, &peers.v0_103_0);
    vec![
        forged_fields(new, Us),
        forged_fields(new, Library),
        first_headers(new),
        later_headers(new),
        stripped(middle),
        never_there(old),
        by_name(old),
        wrong_part(new, Part::Header),
        wrong_part(new, Part::EncapsulationKey),
        wrong_part(new, Part::Ciphertext2),
        two_epochs_ahead(new),
        over_budget(new),
    ]
}

/// Whatever was refused, the genuine message opens and the exchange goes on to its next epoch.
fn end(mut s: Stage<'_>, message: u32) -> Transcript {
    s.open(message);
    let before = s.key_epoch();
    for round in 0..50u8 {
        s.send(&[round]);
        s.receive(&[round]);
    }
    assert!(s.key_epoch() > before, "{}: no epoch was completed", s.transcript.name);
    s.library_record();
    s.done()
}

/// Without a MAC for it: what anybody on the way can do.
fn forged_fields(peer: &Peer, starter: crate::transcript::Initiator) -> Transcript {
    let name = format!("another pq_ratchet field under the old MAC is refused in {}", who(starter));
    let mut s = established(peer, &name, &Setup::triple(starter));
    let earlier = s.receive(b"an earlier one");
    s.send(b"turn");
    let message = s.library_seals(b"genuine");
    let body = s.body(message);
    let with = |field: Vec<u8>| {
        inner_edited(&body, MessageType::Whisper, |inner| put(&mut inner.fields, PQ_RATCHET, Field::Bytes(field)))
    };
    let genuine = SpqrHeader::of(&s.message(message)).unwrap();
    let changed = |change: &dyn Fn(&mut SpqrHeader)| {
        let mut header = genuine.clone();
        change(&mut header);
        with(header.encode())
    };
    let without = inner_edited(&body, MessageType::Whisper, |inner| {
        inner.fields.0.retain(|(number, _)| *number != PQ_RATCHET);
    });
    s.refuse_changed(message, "no field", &without, ABSENT);
    s.refuse_changed(message, "an empty field", &with(Vec::new()), ABSENT);
    s.refuse_changed(message, "version 0", &changed(&|header| header.version = 0), ABSENT);
    s.refuse_changed(message, "version 2", &changed(&|header| header.version = 2), WRONG);
    s.refuse_changed(message, "epoch 0", &changed(&|header| header.epoch = 0), WRONG);
    s.refuse_changed(message, "the next epoch", &changed(&|header| header.epoch += 1), FORGED);
    s.refuse_changed(message, "the last epoch there can be", &changed(&|header| header.epoch = u64::MAX), FORGED);
    s.refuse_changed(message, "index 0", &changed(&|header| header.index = 0), FORGED);
    s.refuse_changed(message, "the index before", &changed(&|header| header.index -= 1), FORGED);
    s.refuse_changed(message, "the index after", &changed(&|header| header.index += 1), FORGED);
    let far = "OpenError::TooFarAhead";
    let too_far = changed(&|header| header.index = u64::from(u32::MAX));
    let error = s.what_we_say(message, &too_far);
    assert!(error.starts_with(far), "{error}");
    s.refuse_changed(message, "the last index there can be", &too_far, &error);
    s.refuse_changed(message, "an index beyond", &changed(&|header| header.index = 1 << 32), WRONG);
    s.refuse_changed(message, "type 7", &changed(&|header| header.kind = 7), WRONG);
    s.refuse_changed(message, "a byte behind", &changed(&|header| header.rest.push(0)), FORGED);
    let earlier = SpqrHeader::of(&s.message(earlier)).unwrap().encode();
    s.refuse_changed(message, "the field of an earlier message", &with(earlier), FORGED);
    let field = genuine.encode();
    for len in 1..field.len().min(6) {
        let cut = with(field[..len].to_vec());
        let error = s.what_we_say(message, &cut);
        assert!(error == WRONG || error == FORGED, "{error}");
        s.refuse_changed(message, &format!("{len} bytes of the field"), &cut, &error);
    }
    if genuine.chunk.is_some() {
        s.refuse_changed(message, "another chunk number", &changed(&|header| chunk(header).0 += 1), FORGED);
        s.refuse_changed(message, "the last chunk number", &changed(&|header| chunk(header).0 = 65_535), FORGED);
        s.refuse_changed(message, "a chunk number beyond", &changed(&|header| chunk(header).0 = 65_536), WRONG);
        s.refuse_changed(message, "a bit of the chunk", &changed(&|header| chunk(header).1[9] ^= 4), FORGED);
        s.refuse_changed(message, "a short chunk", &changed(&|header| chunk(header).1.truncate(31)), WRONG);
    }
    end(s, message)
}

fn chunk(header: &mut SpqrHeader) -> &mut (u64, Vec<u8>) {
    header.chunk.as_mut().unwrap()
}

/// A change, which keys the message has, and what comes of it: none opens it.
type HeaderCase = (&'static str, Keyed, fn(&mut SpqrHeader), Option<&'static str>);

const HEADERS: [HeaderCase; 9] = [
    ("version 0 without a key", Keyed::Without, |header| header.version = 0, Some(ABSENT)),
    ("a higher version without a key", Keyed::Without, |header| header.version = 2, Some(FORGED)),
    ("epoch 0", Keyed::AsSent, |header| header.epoch = 0, Some(WRONG)),
    ("an epoch that is not there yet", Keyed::AsSent, |header| header.epoch += 1, Some(FORGED)),
    ("index 0 with a key", Keyed::AsSent, |header| header.index = 0, Some(FORGED)),
    ("an unknown type", Keyed::AsSent, |header| header.kind = 7, Some(WRONG)),
    ("a short chunk", Keyed::AsSent, |header| chunk(header).1.truncate(31), Some(WRONG)),
    ("chunk 65536", Keyed::AsSent, |header| chunk(header).0 = 65_536, Some(WRONG)),
    ("trailing bytes", Keyed::AsSent, |header| header.rest = vec![1, 2, 3], None),
];

/// With a right MAC, as the first that we hear; the library's own verdict stands beside ours.
fn first_headers(peer: &Peer) -> Transcript {
    let name = "a first message's pq_ratchet field under a right MAC: what opens and what does not";
    let mut s = Stage::new(peer, name, &Setup::triple(Library));
    s.library_initiates();
    // The library makes its chains with its first message.
    s.library_skips(1);
    let state = State::of(&s.party.export_session(&s.us()).unwrap());
    let message = s.library_seals(b"genuine");
    let change = |s: &Stage<'_>, keyed, edit: &dyn Fn(&mut SpqrHeader) -> Option<Vec<u8>>| {
        inner_sealed_triple(&s.body(message), MessageType::PreKey, &state, s.identities(), keyed, edit)
    };
    for absent in [None, Some(Vec::new())] {
        let what = if absent.is_none() { "no field" } else { "an empty field" };
        let changed = change(&s, Keyed::Without, &|_| absent.clone());
        s.refuse_changed(message, what, &changed, &format!("AcceptError::Open({})", bare(ABSENT)));
    }
    for (what, keyed, edit, error) in HEADERS.iter().filter(|(.., error)| error.is_some()) {
        let changed = change(&s, *keyed, &|header| encoded(header, *edit));
        let error = format!("AcceptError::Open({})", bare(error.unwrap_or_default()));
        s.refuse_changed(message, what, &changed, &error);
    }
    // Read as version 1 until somebody was heard.
    let newer = change(&s, Keyed::AsSent, &|header| encoded(header, |header| header.version = 2));
    s.open_changed(message, "version 2", &newer);
    s.send(b"answer");
    s.receive(b"ordinary");
    s.library_record();
    s.done()
}

fn bare(error: &str) -> &str {
    error.trim_start_matches("OpenError::")
}

fn encoded(header: &mut SpqrHeader, edit: fn(&mut SpqrHeader)) -> Option<Vec<u8>> {
    edit(header);
    Some(header.encode())
}

/// The same in a session that both ends have used.
fn later_headers(peer: &Peer) -> Transcript {
    let name = "a later message's pq_ratchet field under a right MAC: what opens and what does not";
    let mut s = established(peer, name, &Setup::triple(Us));
    // Until the library's messages carry chunks.
    for round in 0..6u8 {
        s.send(&[round]);
        s.receive(&[round]);
    }
    for (what, keyed, edit, error) in HEADERS {
        let state = State::of(&s.party.export_session(&s.us()).unwrap());
        let message = s.library_seals(b"genuine");
        let changed =
            inner_sealed_triple(&s.body(message), MessageType::Whisper, &state, s.identities(), keyed, &|header| {
                encoded(header, edit)
            });
        match error {
            // Then no higher version is looked into any more.
            Some(_) if what.starts_with("a higher version") => {
                s.refuse_changed(message, what, &changed, WRONG);
                s.open(message);
            }
            Some(error) => {
                s.refuse_changed(message, what, &changed, error);
                s.open(message);
            }
            None => s.open_changed(message, what, &changed),
        }
    }
    let message = s.library_seals(b"so nothing is broken");
    let newer = inner_edited(&s.body(message), MessageType::Whisper, |inner| {
        let mut field = inner.fields.bytes(PQ_RATCHET).unwrap().to_vec();
        field[0] = 2;
        put(&mut inner.fields, PQ_RATCHET, Field::Bytes(field));
    });
    s.refuse_changed(message, "version 2 once version 1 was agreed", &newer, WRONG);
    end(s, message)
}

/// A downgrade on the way: 0.90.0 would go along with it, and we do not.
fn stripped(peer: &Peer) -> Transcript {
    let name = "a first message stripped of its pq_ratchet field is refused, and the genuine one opens";
    let mut s = Stage::new(peer, name, &Setup::triple(Library));
    s.library_initiates();
    let message = s.library_seals(b"genuine");
    let body = s.body(message);
    let without = inner_edited(&body, MessageType::PreKey, |inner| {
        inner.fields.0.retain(|(number, _)| *number != PQ_RATCHET);
    });
    s.refuse_changed(message, "stripped", &without, "AcceptError::Open(NoPostQuantumRatchet)");
    s.open(message);
    s.send(b"answer");
    s.receive(b"ordinary");
    s.library_record();
    s.done()
}

/// Its sender cannot do better, and whoever did not ask for that by name refuses it.
fn never_there(peer: &Peer) -> Transcript {
    let name = "a peer without the post-quantum ratchet is refused unless asked for by name";
    let mut s = Stage::new(peer, name, &Setup::triple(Library));
    s.library_initiates();
    let message = s.library_seals(b"from 0.72.1");
    s.refuse(message, "AcceptError::Open(NoPostQuantumRatchet)");
    s.ask_for_double_ratchet();
    s.open(message);
    s.send(b"answer");
    s.receive(b"ordinary");
    s.library_record();
    s.done()
}

fn by_name(peer: &Peer) -> Transcript {
    let name = "a session begun without the post-quantum ratchet, by name, stays without";
    let mut s = Stage::new(peer, name, &Setup::new(4, Us));
    s.we_initiate();
    s.send(b"first");
    for round in 0..4u8 {
        s.receive(&[round]);
        s.send(&[round]);
    }
    assert_eq!(s.engine.device.session().post_quantum_epoch(), None);
    s.library_record();
    s.done()
}

#[derive(Clone, Copy, PartialEq)]
enum Part {
    Header,
    EncapsulationKey,
    Ciphertext2,
}

impl Part {
    /// The types of its chunks.
    const fn kinds(self) -> &'static [u8] {
        match self {
            Self::Header => &[1],
            Self::EncapsulationKey => &[2, 3],
            Self::Ciphertext2 => &[6],
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::EncapsulationKey => "encapsulation key",
            Self::Ciphertext2 => "ciphertext's second part",
        }
    }
}

/// The peer itself says something wrong: every message up to the last chunk opens, and the one that completes the part is
/// refused, whichever chunk it carries. What came before it is not lost: with the right last chunk the part would be right.
fn wrong_part(peer: &Peer, part: Part) -> Transcript {
    let name = format!("a wrong {} shows with its last chunk, which is refused", part.name());
    // Who sends which part first.
    let starter = if part == Part::Ciphertext2 { Us } else { Library };
    let mut s = established(peer, &name, &Setup::triple(starter));
    for _ in 0..60 {
        s.send(b"turn");
        let state = State::of(&s.party.export_session(&s.us()).unwrap());
        let message = s.library_seals(b"genuine");
        let header = SpqrHeader::of(&s.message(message)).unwrap();
        if !part.kinds().contains(&header.kind) {
            s.open(message);
            continue;
        }
        let body = s.body(message);
        let spoiled =
            inner_sealed_triple(&body, MessageType::Whisper, &state, s.identities(), Keyed::AsSent, &|header| {
                encoded(header, |header| chunk(header).1[3] ^= 1)
            });
        match s.what_we_say(message, &spoiled).as_str() {
            "" => s.open(message),
            error => {
                assert_eq!(error, WRONG);
                s.refuse_changed(message, "a bit of the last chunk", &spoiled, WRONG);
                return end(s, message);
            }
        }
    }
    panic!("{name}: no chunk completed it");
}

/// Two epochs ahead is ahead of what anybody can be.
fn two_epochs_ahead(peer: &Peer) -> Transcript {
    let name = "a message of an epoch that cannot be yet is refused in every state of an epoch";
    let mut s = established(peer, name, &Setup::triple(Library));
    for round in 0..50u8 {
        s.send(&[round]);
        let message = s.library_seals(&[round]);
        if round % 5 == 0 {
            let ahead = inner_edited(&s.body(message), MessageType::Whisper, |inner| {
                let mut header = SpqrHeader::of(&s.message(message)).unwrap();
                header.epoch += 2;
                put(&mut inner.fields, PQ_RATCHET, Field::Bytes(header.encode()));
            });
            s.refuse_changed(message, "two epochs ahead", &ahead, FORGED);
        }
        s.open(message);
    }
    s.library_record();
    s.done()
}

/// A step of either chain is counted before it is taken.
fn over_budget(peer: &Peer) -> Transcript {
    let name = "a jump of both ratchets costs four units a message, and not one is spent in vain";
    let mut s = established(peer, name, &Setup::triple(Library));
    s.send(b"turn");
    s.receive(b"of a chain that is known");
    s.library_skips(99);
    let message = s.library_seals(b"a hundred ahead");
    s.refuse_with_budget(message, 299, "OpenError::OverBudget");
    s.refuse_with_budget(message, 398, "OpenError::OverBudget");
    s.open(message);
    s.send(b"on we go");
    s.done()
}
