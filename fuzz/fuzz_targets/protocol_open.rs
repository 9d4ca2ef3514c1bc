//! Sessions in four situations open mutated messages. What opens is the honest message, bit for bit; after whatever fails every
//! record is as it was, and the honest message opens.
#![no_main]

mod protocol_harness;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use protocol_harness::{NOW, Party, Records, records, rng, spoil};
use waxwing_protocol::{Budget, PreKeySignalMessage, Session, SignalMessage};

/// A receiver as stored, and the message that it waits for.
struct Situation {
    receiver: Records,
    honest: Vec<u8>,
    plaintext: &'static [u8],
}

static SITUATIONS: LazyLock<[Situation; 4]> = LazyLock::new(situations);

fn seal(session: &mut Session, plaintext: &[u8]) -> Vec<u8> {
    session.seal(plaintext, NOW, &mut rng(400)).unwrap().commit().into_bytes()
}

fn open(session: &mut Session, message: &[u8], seed: u64) {
    let message = SignalMessage::decode(message).unwrap();
    let _ = session.open(&message, &mut Budget::default(), &mut rng(seed)).unwrap().commit();
}

fn situations() -> [Situation; 4] {
    let (alice, bob) = (Party::new(1), Party::new(2));
    let mut at_alice = alice.initiate(&bob);
    let first = PreKeySignalMessage::decode(&seal(&mut at_alice, b"first")).unwrap();
    let mut at_bob = Session::new();
    let accepted = at_bob.accept(bob.local(&alice), bob.prekeys_for(&first), &first, &mut rng(500)).unwrap();
    let _ = accepted.commit();
    let situation =
        |session: &Session, honest: Vec<u8>, plaintext| Situation { receiver: records(session), honest, plaintext };
    // The first answer: a ratchet step at the initiator.
    let answer = seal(&mut at_bob, b"answer");
    let unanswered = situation(&at_alice, answer.clone(), b"answer");
    // Another first message of the state that exists, with addresses.
    let again = PreKeySignalMessage::decode(&seal(&mut at_alice, b"again")).unwrap();
    let known = situation(&at_bob, again.message().as_bytes().to_vec(), b"again");
    // A skipped message, in a chain that went on and is no longer the newest.
    open(&mut at_alice, &answer, 501);
    let skipped = seal(&mut at_alice, b"skipped");
    let next = seal(&mut at_alice, b"next");
    open(&mut at_bob, &next, 502);
    let turn = seal(&mut at_bob, b"turn");
    open(&mut at_alice, &turn, 503);
    let newer = seal(&mut at_alice, b"newer");
    open(&mut at_bob, &newer, 504);
    let late = situation(&at_bob, skipped, b"skipped");
    // A message of an archived state.
    let of_archived = seal(&mut at_alice, b"of an archived state");
    at_bob.archive().commit();
    let bundle = alice.published().bundle_in().verify().unwrap();
    at_bob.initiate(bob.local(&alice), &bundle, NOW, &mut rng(600)).unwrap().commit();
    let archived = situation(&at_bob, of_archived, b"of an archived state");
    [unanswered, known, late, archived]
}

fuzz_target!(|data: &[u8]| {
    let Some((which, data)) = data.split_first() else { return };
    let Situation { receiver, honest, plaintext } = &SITUATIONS[usize::from(which % 4)];
    let spoiled = spoil(honest, data);
    let Ok(message) = SignalMessage::decode(&spoiled) else { return };
    let mut session = Session::load(receiver).unwrap();
    match session.open(&message, &mut Budget::new(2_000), &mut rng(700)) {
        Ok(opened) => {
            assert!(spoiled == *honest, "a message was forged");
            assert_eq!(opened.commit(), *plaintext);
            return;
        }
        Err(error) => {
            assert!(spoiled != *honest, "{error}");
            let _ = error.to_string();
        }
    }
    assert!(records(&session) == *receiver, "a failed open moved the session");
    let honest = SignalMessage::decode(honest).unwrap();
    let opened = session.open(&honest, &mut Budget::new(2_000), &mut rng(700)).unwrap();
    assert_eq!(opened.commit(), *plaintext);
});
