//! Two sessions, with the Triple Ratchet, over a network that loses, repeats, reorders and spoils messages, and restarts either
//! end from its records: what was not spoilt opens, once; what was does not; and epochs go on.
#![no_main]

mod protocol_harness;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use protocol_harness::{NOW, Party, Records, records, rng};
use waxwing_protocol::{Budget, OpenError, PreKeySignalMessage, Session, SignalMessage};

/// Both ends of an acknowledged session, as stored.
static ENDS: LazyLock<[Records; 2]> = LazyLock::new(|| {
    let (alice, bob) = (Party::new(1), Party::new(2));
    let mut at_alice = alice.initiate(&bob);
    let first = at_alice.seal(b"first", NOW, &mut rng(400)).unwrap().commit();
    let first = PreKeySignalMessage::decode(first.as_bytes()).unwrap();
    let mut at_bob = Session::new();
    let _ = at_bob.accept(bob.local(&alice), bob.prekeys_for(&first), &first, &mut rng(500)).unwrap().commit();
    let answer = at_bob.seal(b"answer", NOW, &mut rng(401)).unwrap().commit();
    let answer = SignalMessage::decode(answer.as_bytes()).unwrap();
    let _ = at_alice.open(&answer, &mut Budget::default(), &mut rng(501)).unwrap().commit();
    [records(&at_alice), records(&at_bob)]
});

fuzz_target!(|data: &[u8]| {
    let rng = &mut rng(1);
    let mut ends = ENDS.each_ref().map(|records| Session::load(records).unwrap());
    let mut inboxes: [Vec<Vec<u8>>; 2] = [Vec::new(), Vec::new()];
    let mut bytes = data.iter().copied();
    while let Some(step) = bytes.next() {
        let (side, action) = (usize::from(step & 1), step >> 1 & 7);
        match action {
            0..=2 => {
                for _ in 0..=step >> 4 {
                    let sealed = ends[side].seal(b"text", NOW, rng).unwrap().commit().into_bytes();
                    inboxes[1 - side].push(sealed);
                }
            }
            3..=5 => {
                for _ in 0..=step >> 4 {
                    if inboxes[side].is_empty() {
                        break;
                    }
                    let at = if action == 5 { inboxes[side].len() - 1 } else { 0 };
                    let message = SignalMessage::decode(&inboxes[side].remove(at)).unwrap();
                    match ends[side].open(&message, &mut Budget::default(), rng) {
                        Ok(guard) => assert_eq!(guard.commit(), b"text"),
                        // Its chain, or its epoch, may be gone; nothing else is a reason.
                        Err(error) => {
                            assert_eq!(error, OpenError::Forged);
                            continue;
                        }
                    }
                    let again = ends[side].open(&message, &mut Budget::default(), rng).map(|_| ());
                    assert_eq!(again, Err(OpenError::Duplicate { counter: message.counter() }));
                }
            }
            6 => ends[side] = Session::load(records(&ends[side])).unwrap(),
            _ => {
                let (Some(honest), Some(at), Some(by)) = (inboxes[side].last(), bytes.next(), bytes.next()) else {
                    break;
                };
                let mut spoilt = honest.clone();
                let at = usize::from(at) % spoilt.len();
                spoilt[at] ^= by.max(1);
                let Ok(message) = SignalMessage::decode(&spoilt) else { continue };
                // The low half of the version byte is under the MAC too.
                assert!(ends[side].open(&message, &mut Budget::default(), rng).is_err(), "a message was forged");
            }
        }
    }
});
