//! Our own vectors of the Triple Ratchet: sessions through an epoch (06-own-sessions.json), and records of every state of the
//! exchange with what becomes of damaged ones (06-records.json; spec §6.9).

use std::collections::BTreeSet;

use super::device::{Asks, Records};
use super::own::{OwnSession, Pair, RecordCase, Who, case};
use super::transcript::Ratchet;

const TRIPLE: Asks = Asks { suite: 4, ratchet: Ratchet::Triple };

fn pair(name: &str) -> Pair {
    Pair::with(name, TRIPLE, true, "")
}

pub fn sessions() -> Vec<OwnSession> {
    vec![
        pair("first message, answer, two rounds").first_message_and_answer(),
        alternating(),
        bursts(),
        pair("an archived state is promoted").promotion(),
        pair("both start").simultaneous(),
    ]
}

/// Everything is said once, in order.
fn alternating() -> OwnSession {
    let mut pair = pair("one epoch in strict alternation").with_digests();
    pair.initiate(Who::Alice);
    for round in 0..46u8 {
        pair.send(Who::Alice, &[round]);
        pair.send(Who::Bob, &[round]);
    }
    pair.session
}

/// Chunks beyond the parts themselves, kept keys of two epochs, late messages.
fn bursts() -> OwnSession {
    let mut pair = pair("bursts of which a part is lost or late, two epochs").with_digests();
    pair.initiate(Who::Alice);
    pair.send(Who::Alice, b"first");
    let mut late = Vec::new();
    for turn in 0..10u8 {
        let (from, to) = if turn % 2 == 0 { (Who::Bob, Who::Alice) } else { (Who::Alice, Who::Bob) };
        late.push((to, pair.seal(from, b"late")));
        for number in 0..12u8 {
            pair.skip(from, 3);
            pair.send(from, &[turn, number]);
        }
        if turn % 4 == 3 {
            pair.restart(Who::Alice);
            let (to, message) = late[usize::from(turn) - 1];
            pair.open(to, message);
        }
    }
    pair.session
}

/// The records of either end once `reached` says so of them, in a conversation of which a part may be lost.
fn when(name: &str, lost: fn(u8) -> bool, reached: impl Fn(&Records) -> bool) -> Records {
    let mut pair = pair(name);
    pair.initiate(Who::Alice);
    for turn in 0..400 {
        let from = if turn % 2 == 0 { Who::Alice } else { Who::Bob };
        let message = pair.seal(from, b"text");
        let is_lost = turn > 3 && state_of(pair.records(from)).is_some_and(lost);
        if !is_lost || turn % 4 < 2 {
            pair.open(from.other(), message);
        }
        for who in [Who::Alice, Who::Bob] {
            if reached(pair.records(who)) {
                return pair.records(who).clone();
            }
        }
    }
    panic!("{name}: never reached");
}

/// The state's number, by the table of spec §6.9.
fn state_of(records: &Records) -> Option<u8> {
    records.get(RATCHET).map(|record| record[state_at(record)])
}

fn state_at(record: &[u8]) -> usize {
    let mut at = COUNT + 1;
    for _ in 0..record[COUNT] {
        at += 8;
        at += 1 + if record[at] == 1 { 36 } else { 0 };
        at += 36;
    }
    at
}

pub fn record_cases() -> Vec<RecordCase> {
    let mut cases = intact();
    cases.extend(damaged_ratchets());
    cases.extend(damaged_parts());
    cases.extend(damaged_kept_keys());
    cases
}

fn in_state(number: u8) -> Records {
    // Half of the first part of the ciphertext is lost where the key is to arrive first.
    let lost: fn(u8) -> bool = if number == 9 { |state| state == 8 } else { |_| false };
    when(&format!("state {number}"), lost, |records| state_of(records) == Some(number))
}

fn with_kept_keys() -> Records {
    let mut pair = pair("kept keys");
    pair.initiate(Who::Alice);
    pair.send(Who::Alice, b"first");
    for turn in 0..20u8 {
        let from = if turn % 2 == 0 { Who::Bob } else { Who::Alice };
        for number in 0..20 {
            pair.skip(from, 2);
            pair.send(from, &[turn, number]);
            let records = pair.records(Who::Alice);
            let epochs: BTreeSet<_> = records.keys().filter(|key| key[0] == b'p').map(|key| &key[5..9]).collect();
            if epochs.len() == 2 {
                return records.clone();
            }
        }
    }
    panic!("no keys of two epochs were kept at once");
}

fn intact() -> Vec<RecordCase> {
    const NAMES: [&str; 11] = [
        "KeysUnsampled",
        "KeysSampled",
        "HeaderSent",
        "Ct1Received",
        "EkSentCt1Received",
        "NoHeaderReceived",
        "HeaderReceived",
        "Ct1Sampled",
        "EkReceivedCt1Sampled",
        "Ct1Acknowledged",
        "Ct2Sampled",
    ];
    let mut cases: Vec<RecordCase> =
        (1..).zip(NAMES).map(|(number, name)| case(name, &in_state(number), None)).collect();
    let mut unheard = pair("unheard");
    unheard.initiate(Who::Alice);
    unheard.seal(Who::Alice, b"first");
    cases.push(case("an initiator that has not heard its peer", unheard.records(Who::Alice), None));
    cases.push(case("kept keys of two epochs", &with_kept_keys(), None));
    let mut archived = pair("archived");
    archived.initiate(Who::Alice);
    archived.send(Who::Alice, b"first");
    archived.send(Who::Bob, b"answer");
    archived.archive(Who::Bob);
    archived.initiate(Who::Bob);
    archived.send(Who::Bob, b"second state");
    cases.push(case("a current and an archived state", archived.records(Who::Bob), None));
    cases
}

/// One damage to records that load.
fn damaged(name: &str, error: &str, records: &Records, damage: &dyn Fn(&mut Records)) -> RecordCase {
    let mut damaged = records.clone();
    damage(&mut damaged);
    case(name, &damaged, Some(&format!("RecordError::{error}")))
}

const STATE: &[u8] = b"s\0\0\0\0";
const RATCHET: &[u8] = b"q\0\0\0\0";
/// Of the number of key epochs in the ratchet's record.
const COUNT: usize = 1 + 1 + 1 + 32 + 8;

const fn part(number: u8) -> [u8; 9] {
    [b'b', 0, 0, 0, 0, 0, 0, 0, number]
}

fn at(record: &'static [u8], position: usize, value: u8) -> impl Fn(&mut Records) {
    move |records| records.get_mut(record).unwrap()[position] = value
}

fn damaged_ratchets() -> Vec<RecordCase> {
    let records = in_state(6);
    let plain = Pair::condition(4, "", Who::Bob);
    let state = state_at(&records[RATCHET]);
    let ratchet = records[RATCHET].clone();
    let damaged = |name, error, damage: &dyn Fn(&mut Records)| damaged(name, error, &records, damage);
    let mut cases = vec![
        damaged("the ratchet is missing", "Missing", &|records| drop(records.remove(RATCHET))),
        damaged("the state does not say that there is a ratchet", "Stray", &|records| {
            let state = records.get_mut(STATE).unwrap();
            (state[0], state[2]) = (1, state[2] & !16);
        }),
        damaged("version 3's state", "Version { got: 3 }", &at(STATE, 0, 3)),
        damaged("a state of X3DH", "Malformed", &at(STATE, 1, 3)),
        damaged("a ratchet of version 1", "Version { got: 1 }", &at(RATCHET, 0, 1)),
        damaged("a role that there is not", "Malformed", &at(RATCHET, 1, 2)),
        damaged("a peer half heard", "Malformed", &at(RATCHET, 2, 2)),
        damaged("a sending epoch without chains", "Malformed", &at(RATCHET, COUNT - 1, 9)),
        damaged("no key epoch", "Malformed", &at(RATCHET, COUNT, 0)),
        damaged("four key epochs", "Malformed", &at(RATCHET, COUNT, 4)),
        damaged("no sending chain where one is needed", "Malformed", &at(RATCHET, COUNT + 9, 0)),
        damaged("state 0", "Malformed", &at(RATCHET, state, 0)),
        damaged("state 12", "Malformed", &at(RATCHET, state, 12)),
        damaged("another state, without its parts", "Missing", &at(RATCHET, state, 4)),
        damaged("an exchange far ahead of the chains", "Malformed", &at(RATCHET, state + 8, 9)),
        damaged("a byte behind the ratchet", "Malformed", &|records| records.get_mut(RATCHET).unwrap().push(0)),
        damaged("a ratchet cut", "Malformed", &|records| records.get_mut(RATCHET).unwrap().truncate(90)),
        damaged("an empty ratchet", "Malformed", &|records| records.get_mut(RATCHET).unwrap().clear()),
        damaged("a ratchet of a state that is not there", "Stray", &|records| {
            records.insert(b"q\0\0\0\x07".to_vec(), ratchet.clone());
        }),
    ];
    cases.push(self::damaged("a ratchet of a state without one", "Stray", &plain, &|records| {
        records.insert(RATCHET.to_vec(), ratchet.clone());
    }));
    let two = with_kept_keys();
    assert!(two[RATCHET][COUNT] >= 2, "two key epochs");
    cases.push(self::damaged("key epochs that do not follow", "Malformed", &two, &|records| {
        records.get_mut(RATCHET).unwrap()[COUNT + 8] += 1;
    }));
    cases
}

fn damaged_parts() -> Vec<RecordCase> {
    let (sent, sampled) = (in_state(3), in_state(8));
    let edit = |number: u8, edit: fn(&mut Vec<u8>)| {
        move |records: &mut Records| edit(records.get_mut(part(number).as_slice()).unwrap())
    };
    let insert = |number: u8| {
        move |records: &mut Records| drop(records.insert(part(number).to_vec(), [&[2][..], &[0; 960]].concat()))
    };
    vec![
        damaged("the decapsulation key is missing", "Missing", &sent, &|records| {
            drop(records.remove(part(1).as_slice()));
        }),
        damaged("the decoder is missing", "Missing", &sent, &|records| drop(records.remove(part(3).as_slice()))),
        damaged("ct1 is missing", "Missing", &sampled, &|records| drop(records.remove(part(2).as_slice()))),
        damaged("ct1 in a state that has none", "Stray", &sent, &insert(2)),
        damaged("part 4", "Malformed", &sent, &insert(4)),
        damaged("a decapsulation key of another size", "Malformed", &sent, &edit(1, |part| part.truncate(2400))),
        damaged("a byte behind a decapsulation key", "Malformed", &sent, &edit(1, |part| part.push(0))),
        damaged("a part of version 1", "Version { got: 1 }", &sent, &edit(1, |part| part[0] = 1)),
        damaged("ct1 of another size", "Malformed", &sampled, &edit(2, |part| part.truncate(960))),
        damaged("a decoder of one chunk less", "Malformed", &sent, &edit(3, |part| part[1] -= 1)),
        damaged("a decoder that is complete", "Malformed", &sent, &edit(3, |part| part[1] = 30)),
        damaged(
            "a decoder with a chunk twice",
            "Malformed",
            &in_state_with_chunks(),
            &edit(3, |part| {
                (part[4], part[5]) = (part[2], part[3]);
            }),
        ),
        damaged(
            "a row that is final without a chunk",
            "Malformed",
            &sent,
            &edit(3, |part| {
                let last = part.len();
                part[last - 2..].fill(0);
            }),
        ),
        damaged("a byte behind a decoder", "Malformed", &sent, &edit(3, |part| part.push(0))),
        damaged("a decoder without chunks that has rows", "Malformed", &sent, &edit(3, |part| part[1] = 0)),
    ]
}

/// With more than one chunk in the decoder.
fn in_state_with_chunks() -> Records {
    when("chunks", |_| false, |records| state_of(records) == Some(3) && records[part(3).as_slice()][1] > 2)
}

fn damaged_kept_keys() -> Vec<RecordCase> {
    let kept = with_kept_keys();
    let block = |records: &Records| records.keys().find(|key| key[0] == b'p').unwrap().clone();
    let edit = |edit: fn(&mut Vec<u8>)| {
        move |records: &mut Records| {
            let key = block(records);
            edit(records.get_mut(&key).unwrap());
        }
    };
    let rename = |edit: fn(&mut Vec<u8>)| {
        move |records: &mut Records| {
            let mut key = block(records);
            let value = records.remove(&key).unwrap();
            edit(&mut key);
            records.insert(key, value);
        }
    };
    vec![
        damaged("kept keys of an epoch that is not there", "Stray", &kept, &rename(|key| key[8] = 9)),
        damaged("kept keys that are ahead of the chain", "Malformed", &kept, &rename(|key| key[11] = 9)),
        damaged("kept keys of a state that is not there", "Stray", &kept, &rename(|key| key[4] = 9)),
        damaged("a block without keys", "Malformed", &kept, &edit(|block| block.splice(1.., [0]).for_each(drop))),
        damaged("a block with an offset beyond", "Malformed", &kept, &edit(|block| block[2] = 32)),
        damaged("a block whose offsets do not ascend", "Malformed", &kept, &edit(|block| block[2 + 33] = block[2])),
        damaged("a block cut", "Malformed", &kept, &edit(|block| block.truncate(40))),
        damaged("a block of version 1", "Version { got: 1 }", &kept, &edit(|block| block[0] = 1)),
        damaged("a key of kept keys that is short", "Malformed", &kept, &rename(|key| key.truncate(9))),
    ]
}
