//! What the sparse post-quantum ratchet shows in records and on the wire, recomputed by [`witness`](crate::witness).

use libtest_mimic::Failed;

use waxwing_tests::peer::{
    Ciphertext, Opened, Peer, PeerError,
    Version::{V0_72_1, V0_90_0, V0_103_0},
};

use crate::{
    stage::{self, Agreement, Pair, Proof, refused},
    witness::{self, Field, MessageKeys, SignalMessage, SpqrHeader, State, rewrapped},
};

pub(crate) const TRIALS: &[Proof] = &[
    ("spqr::chains_and_authenticator_begin_with_the_agreement_s_third_key", start),
    ("spqr::every_message_key_is_salted_with_the_chain_of_its_epoch", message_keys),
    ("spqr::in_strict_alternation_the_wire_follows_the_state_diagram", state_diagram),
    ("spqr::0.90.0_counts_from_0_until_it_hears_an_answer_and_0.103.0_from_1", first_index),
    ("spqr::0.90.0_stops_when_the_answer_has_none", downgrade),
    ("spqr::0.103.0_takes_headers_as_the_table_says", headers),
];

fn start() -> Result<(), Failed> {
    for version in [V0_90_0, V0_103_0] {
        let peer = stage::peer(version);
        let pair = Pair::with_session(&peer, &peer, Agreement::PQXDH)?;
        let state = State::of(&pair.initiator_session()?);
        let spqr = state.spqr().unwrap();
        let auth_key = spqr.auth_key().unwrap();
        assert!(!spqr.has_chains());
        assert_eq!(spqr.authenticator(), witness::spqr_authenticator(&auth_key));

        let first = pair.send(b"first")?;
        pair.answer_of(&first)?;
        let spqr = State::of(&pair.responder_session()?).spqr().unwrap();
        let (root, there, back) = witness::spqr_start(&auth_key);
        assert_eq!((spqr.next_root(), spqr.sending(0)), (root, Some(back)));
        let (stepped, key) = there.step();
        if version == V0_103_0 {
            assert_eq!(spqr.receiving(0), Some(stepped));
            assert!(is_keyed_by(&pair, &first, &MessageKeys::derive(&state.sending().seed(), Some(&key))));
        } else {
            assert_eq!(spqr.receiving(0), Some(there), "{version} has not used the chain yet");
            assert!(is_keyed_by(&pair, &first, &MessageKeys::derive(&state.sending().seed(), None)));
        }
    }
    Ok(())
}

fn is_keyed_by(pair: &Pair<'_>, message: &Ciphertext, keys: &MessageKeys) -> bool {
    let parsed = SignalMessage::of(message);
    let (there, here) = (&pair.initiator.info().identity_public, &pair.responder.info().identity_public);
    parsed.mac == parsed.mac_under(keys, there, here) || parsed.mac == parsed.mac_under(keys, here, there)
}

/// The key of the next message of a session whose record this is.
fn next_keys(state: &State, header: &SpqrHeader) -> MessageKeys {
    let chain = state.spqr().unwrap().sending(header.epoch - 1).unwrap();
    let (stepped, key) = chain.step();
    assert_eq!(stepped.counter, header.index);
    MessageKeys::derive(&state.sending().seed(), Some(&key))
}

/// A hundred rounds go through two epochs. Both directions are checked, as are messages of a burst.
fn message_keys() -> Result<(), Failed> {
    let peer = stage::peer(V0_103_0);
    let pair = Pair::established(&peer, &peer, Agreement::PQXDH)?;
    let mut newest = 0;
    for round in 0..100 {
        for _ in 0..=round % 2 {
            let state = State::of(&pair.initiator_session()?);
            let message = pair.send(b"ping")?;
            let header = SpqrHeader::of(&message).unwrap();
            assert!(is_keyed_by(&pair, &message, &next_keys(&state, &header)), "round {round}: {header:?}");
            pair.answer_of(&message)?;
        }
        let state = State::of(&pair.responder_session()?);
        let message = pair.answer(b"pong")?;
        let header = SpqrHeader::of(&message).unwrap();
        assert!(is_keyed_by(&pair, &message, &next_keys(&state, &header)), "round {round}: {header:?}");
        pair.hear_of(&message)?;
        newest = newest.max(header.epoch - 1);
    }
    assert!(newest >= 2, "only epoch {newest} was reached");
    Ok(())
}

/// Runs of equal message types, per epoch: type, number of messages, first and last chunk.
type Runs = Vec<(u64, u8, u32, Option<(u64, u64)>)>;

const NONE: u8 = 0;
const HDR: u8 = 1;
const EK: u8 = 2;
const EK_CT1_ACK: u8 = 3;
const CT1_ACK: u8 = 4;
const CT1: u8 = 5;
const CT2: u8 = 6;

fn state_diagram() -> Result<(), Failed> {
    let peer = stage::peer(V0_103_0);
    let pair = Pair::with_session(&peer, &peer, Agreement::PQXDH)?;
    let (mut initiator, mut responder): (Runs, Runs) = (Vec::new(), Vec::new());
    for _ in 0..130 {
        let message = pair.send(b"ping")?;
        note(&mut initiator, &message);
        pair.answer_of(&message)?;
        let message = pair.answer(b"pong")?;
        note(&mut responder, &message);
        pair.hear_of(&message)?;
    }
    let key_side = |epoch| {
        [
            (epoch, HDR, 3, Some((0, 2))),
            (epoch, EK, 29, Some((0, 28))),
            (epoch, EK_CT1_ACK, 7, Some((29, 35))),
            (epoch, CT1_ACK, 4, None),
        ]
    };
    let ciphertext_side = |epoch, waiting| {
        [
            (epoch, NONE, waiting, None),
            (epoch, CT1, 30, Some((0, 29))),
            (epoch, NONE, 6, None),
            (epoch, CT2, 5, Some((0, 4))),
        ]
    };
    assert_eq!(initiator[..12], [key_side(1), ciphertext_side(2, 3), key_side(3)].concat());
    assert_eq!(responder[..12], [ciphertext_side(1, 2), key_side(2), ciphertext_side(3, 3)].concat());
    Ok(())
}

fn note(runs: &mut Runs, message: &Ciphertext) {
    let SpqrHeader { version, epoch, kind, chunk, rest, .. } = SpqrHeader::of(message).unwrap();
    assert_eq!((version, rest.len()), (1, 0));
    let chunk = chunk.map(|(index, _)| index);
    match runs.last_mut() {
        Some((of, same, count, chunks)) if (*of, *same) == (epoch, kind) => {
            *count += 1;
            if let (Some(chunks), Some(index)) = (chunks, chunk) {
                assert_eq!(index, chunks.1 + 1);
                chunks.1 = index;
            }
        }
        _ => runs.push((epoch, kind, 1, chunk.map(|index| (index, index)))),
    }
}

fn first_index() -> Result<(), Failed> {
    for (version, indices) in [(V0_90_0, [0, 0, 1, 2]), (V0_103_0, [1, 2, 3, 4])] {
        let peer = stage::peer(version);
        let pair = Pair::with_session(&peer, &peer, Agreement::PQXDH)?;
        let mut sent = Vec::new();
        for message in [pair.send(b"1")?, pair.send(b"2")?] {
            sent.push(SpqrHeader::of(&message).unwrap());
            pair.answer_of(&message)?;
        }
        let answer = pair.answer(b"answer")?;
        let header = SpqrHeader::of(&answer).unwrap();
        assert_eq!((header.epoch, header.index, header.kind), (1, 1, NONE), "a responder's first has a key in either");
        pair.hear_of(&answer)?;
        sent.extend([SpqrHeader::of(&pair.send(b"3")?).unwrap(), SpqrHeader::of(&pair.send(b"4")?).unwrap()]);
        assert_eq!(sent.iter().map(|header| header.index).collect::<Vec<_>>(), indices, "{version}");
        assert!(sent.iter().all(|header| (header.version, header.epoch) == (1, 1)));
    }
    Ok(())
}

fn downgrade() -> Result<(), Failed> {
    let (new, old) = (stage::peer(V0_90_0), stage::peer(V0_72_1));
    let pair = Pair::with_session(&new, &old, Agreement::PQXDH)?;
    for _ in 0..3 {
        let message = pair.send(b"first")?;
        assert!(SpqrHeader::of(&message).is_some());
        pair.answer_of(&message)?;
    }
    pair.hear_of(&pair.answer(b"answer")?)?;
    assert!(State::of(&pair.initiator_session()?).spqr().is_none());
    assert_eq!(SignalMessage::of(&pair.send(b"second")?).fields.bytes(5), None);

    new.reset()?;
    old.reset()?;
    let pair = Pair::with_session(&old, &new, Agreement::PQXDH)?;
    pair.answer_of(&pair.send(b"first")?)?;
    assert!(State::of(&pair.responder_session()?).spqr().is_none());
    assert_eq!(SignalMessage::of(&pair.answer(b"answer")?).fields.bytes(5), None);
    Ok(())
}

/// The initiator's next message with another header, under a MAC that fits `keyed`.
fn with_header(
    pair: &Pair<'_>,
    keyed: Keyed,
    change: impl FnOnce(&mut SpqrHeader) -> Option<Vec<u8>>,
) -> Result<Ciphertext, Failed> {
    let state = State::of(&pair.initiator_session()?);
    let genuine = pair.send(b"text")?;
    let mut header = SpqrHeader::of(&genuine).unwrap();
    let keys = match keyed {
        Keyed::AsSent => next_keys(&state, &header),
        Keyed::Without => MessageKeys::derive(&state.sending().seed(), None),
    };
    let mut message = SignalMessage::of(&genuine);
    let changed = change(&mut header);
    message.fields.0.retain(|(number, _)| *number != 5);
    if let Some(bytes) = changed {
        message.fields.0.push((5, Field::Bytes(bytes)));
    }
    let sealed = message.sealed(&keys, &pair.initiator.info().identity_public, &pair.responder.info().identity_public);
    Ok(if genuine.kind == sealed.kind { sealed } else { rewrapped(&genuine, &sealed) })
}

#[derive(Clone, Copy, Debug)]
enum Keyed {
    AsSent,
    Without,
}

/// What 0.103.0 makes of a header, as the first it hears and as a later one.
struct HeaderCase {
    name: &'static str,
    keyed: Keyed,
    change: fn(&mut SpqrHeader),
    opens_first: bool,
    opens_later: bool,
}

const fn case(
    name: &'static str,
    keyed: Keyed,
    (opens_first, opens_later): (bool, bool),
    change: fn(&mut SpqrHeader),
) -> HeaderCase {
    HeaderCase { name, keyed, change, opens_first, opens_later }
}

const BOTH: (bool, bool) = (true, true);
const NEITHER: (bool, bool) = (false, false);

const HEADER_CASES: &[HeaderCase] = &[
    case("as it was", Keyed::AsSent, BOTH, |_| ()),
    case("trailing bytes are ignored", Keyed::AsSent, BOTH, |header| header.rest = vec![1, 2, 3]),
    case(
        "a higher version is read as ours until the versions are negotiated",
        Keyed::AsSent,
        (true, false),
        |header| {
            header.version = 2;
        },
    ),
    case("so is the highest", Keyed::AsSent, (true, false), |header| header.version = 255),
    case("a higher version does not do without a key", Keyed::Without, NEITHER, |header| header.version = 2),
    case("version 0", Keyed::Without, NEITHER, |header| header.version = 0),
    case("version 0 with a key", Keyed::AsSent, NEITHER, |header| header.version = 0),
    case("epoch 0", Keyed::AsSent, NEITHER, |header| header.epoch = 0),
    case("an epoch that is not there yet", Keyed::AsSent, NEITHER, |header| header.epoch += 1),
    case("index 0 without a key", Keyed::Without, NEITHER, |header| header.index = 0),
    case("index 0 with a key", Keyed::AsSent, NEITHER, |header| header.index = 0),
    case("an unknown type", Keyed::AsSent, NEITHER, |header| header.kind = 7),
    case("a type without a chunk, which then is trailing", Keyed::AsSent, BOTH, |header| header.kind = NONE),
    case("a short chunk", Keyed::AsSent, NEITHER, |header| header.chunk.as_mut().unwrap().1.truncate(31)),
    case("chunk 65535", Keyed::AsSent, BOTH, |header| header.chunk.as_mut().unwrap().0 = 65_535),
    case("chunk 65536", Keyed::AsSent, NEITHER, |header| header.chunk.as_mut().unwrap().0 = 65_536),
    case("a wrong chunk is noticed later", Keyed::AsSent, BOTH, |header| header.chunk.as_mut().unwrap().1[0] ^= 1),
];

fn headers() -> Result<(), Failed> {
    let peer = stage::peer(V0_103_0);
    for HeaderCase { name, keyed, change, opens_first, opens_later } in HEADER_CASES {
        for (is_first, opens) in [(true, *opens_first), (false, *opens_later)] {
            let outcome = with_changed_header(&peer, is_first, *keyed, |header| {
                change(header);
                Some(header.encode())
            })?;
            assert_eq!(outcome.is_ok(), opens, "{name}, first: {is_first}, {outcome:?}");
        }
    }
    for is_first in [true, false] {
        for absent in [None, Some(vec![])] {
            refused(with_changed_header(&peer, is_first, Keyed::Without, |_| absent)?, "decryption failed")?;
        }
    }
    Ok(())
}

/// What becomes of a message with another header; a refused one leaves the responder's record as it was.
fn with_changed_header(
    peer: &Peer,
    is_first: bool,
    keyed: Keyed,
    change: impl FnOnce(&mut SpqrHeader) -> Option<Vec<u8>>,
) -> Result<Result<Opened, PeerError>, Failed> {
    peer.reset()?;
    let pair = Pair::with_session(peer, peer, Agreement::PQXDH)?;
    let sent = pair.send(b"the chains exist in the record only after the first message")?;
    if !is_first {
        pair.answer_of(&sent)?;
        pair.hear_of(&pair.answer(b"answer")?)?;
    }
    let before = pair.responder_session().ok();
    let outcome = pair.answer_of(&with_header(&pair, keyed, change)?);
    if outcome.is_err() {
        assert_eq!(pair.responder_session().ok(), before);
    }
    Ok(outcome)
}
