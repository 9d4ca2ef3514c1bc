//! B3: a forged header that asks for a long walk. B4: whatever fails to open leaves the session as it was, in every byte that
//! it would write and in everything that it does afterwards.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::Rng;
use waxwing_protocol::{Budget, OpenError, Session, SignalMessage, Suite};

use crate::edge_keys::edge_keys;
use crate::party::{Kyber, OneTime, Party, first_message, open, ordinary_message, rng};
use crate::proto::Framed;

/// Alice's and Bob's ends after one answer.
fn conversation(seed: u64) -> (Session, Session, ChaCha20Rng) {
    let mut rng = rng(seed);
    let (alice, bob) = (Party::new(1, &mut rng), Party::new(2, &mut rng));
    let mut at_alice = alice.initiate(&bob, Suite::Pqxdh, OneTime::With, &mut rng);
    let first = first_message(&mut at_alice, b"hello");
    let (mut at_bob, _) = bob.join(&alice, &first, Kyber::OneTime, &mut rng).unwrap();
    let answer = ordinary_message(&mut at_bob, b"answer");
    let _ = open(&mut at_alice, &answer, &mut rng).unwrap();
    (at_alice, at_bob, rng)
}

/// What the session would write: its whole state.
fn records(session: &Session) -> Vec<(Vec<u8>, Vec<u8>)> {
    session.records().map(|(key, value)| (key.as_bytes().to_vec(), value.to_vec())).collect()
}

/// The rest of B3, the budget for walks within the bound included, stands in `limits.rs`.
#[test]
fn b3_a_counter_beyond_the_cap_is_refused_at_once_and_one_within_stores_nothing() {
    let (mut at_alice, mut at_bob, mut rng) = conversation(1);
    let message = ordinary_message(&mut at_alice, b"next");
    let framed = Framed::read(message.as_bytes(), 8).unwrap();
    // The chain is new to Bob in the first round and known in the second.
    for index in 0..2 {
        let before = records(&at_bob);
        for counter in [index + 25_001, 100_000, u32::MAX - 1, u32::MAX] {
            let forged = SignalMessage::decode(&framed.with_varint(2, counter).write()).unwrap();
            let mut fastest = Duration::MAX;
            for _ in 0..10 {
                let start = Instant::now();
                let refused = open(&mut at_bob, &forged, &mut rng).unwrap_err();
                fastest = fastest.min(start.elapsed());
                assert_eq!(refused, OpenError::TooFarAhead { counter, ahead: counter - index });
            }
            assert!(fastest < Duration::from_millis(1), "counter {counter} took {fastest:?}");
        }
        let forged = SignalMessage::decode(&framed.with_varint(2, index + 25_000).write()).unwrap();
        assert_eq!(open(&mut at_bob, &forged, &mut rng).unwrap_err(), OpenError::Forged);
        assert_eq!(records(&at_bob), before);
        if index == 0 {
            assert_eq!(open(&mut at_bob, &message, &mut rng).unwrap(), b"next");
        }
    }
}

/// What an attacker can send in place of `honest`, each certain to fail.
fn forgeries(honest: &SignalMessage, seed: u64) -> Vec<SignalMessage> {
    let framed = Framed::read(honest.as_bytes(), 8).unwrap();
    let mut forgeries = Vec::new();
    let mut choice = rng(seed);
    for _ in 0..24 {
        let mut bytes = honest.as_bytes().to_vec();
        let bit = choice.next_u32() as usize % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        forgeries.push(bytes);
    }
    for counter in [0, 1, 2, 3, 7, 1000] {
        let forged = framed.with_varint(2, counter);
        forgeries.extend((counter != honest.counter()).then(|| forged.write()));
    }
    forgeries.extend(edge_keys().into_iter().map(|key| framed.with(1, &key.bytes).write()));
    let other_peer = crate::initiator::public_of(&[9; 32]);
    forgeries.push(framed.with(1, crate::initiator::encoded(&other_peer)).write());
    forgeries.push(framed.with(4, []).write());
    forgeries.push(framed.with(4, [0; 32]).write());
    forgeries.push(Framed { trailer: vec![0; 8], ..framed }.write());
    forgeries.iter().filter_map(|bytes| SignalMessage::decode(bytes).ok()).collect()
}

/// Plays `script` (who sends, and whether delivery waits until the end) and returns every byte that was sent or opened. With
/// `attacked`, every delivery is preceded by forgeries, and by opening the honest message without committing.
fn play(script: &[(bool, bool)], seed: u64, attacked: bool) -> Vec<Vec<u8>> {
    crate::party::draw_from_the_start();
    let (mut at_alice, mut at_bob, mut rng) = conversation(seed);
    let (mut transcript, mut late) = (Vec::new(), Vec::new());
    for (step, (from_alice, is_late)) in script.iter().enumerate() {
        let (from, to) = if *from_alice { (&mut at_alice, &mut at_bob) } else { (&mut at_bob, &mut at_alice) };
        let message = ordinary_message(from, &step.to_le_bytes());
        transcript.push(message.as_bytes().to_vec());
        if *is_late {
            late.push((*from_alice, message));
        } else {
            transcript.push(deliver(to, &message, seed, attacked, &mut rng));
        }
    }
    for (from_alice, message) in late.into_iter().rev() {
        let to = if from_alice { &mut at_bob } else { &mut at_alice };
        transcript.push(deliver(to, &message, seed, attacked, &mut rng));
    }
    for session in [&mut at_alice, &mut at_bob] {
        transcript.push(ordinary_message(session, b"end").as_bytes().to_vec());
    }
    transcript
}

fn deliver(to: &mut Session, message: &SignalMessage, seed: u64, attacked: bool, rng: &mut ChaCha20Rng) -> Vec<u8> {
    if attacked {
        let before = records(to);
        for forged in forgeries(message, seed) {
            // The generator is the one of the honest run: a failure that draws from it shows in every later byte.
            assert!(open(to, &forged, rng).is_err(), "{forged:?}");
        }
        // Opened, persisted by nobody, dropped.
        drop(to.open(message, &mut Budget::default(), &mut crate::party::rng(4711)));
        assert_eq!(records(to), before);
    }
    match open(to, message, rng) {
        Ok(plaintext) => plaintext,
        // Its chain was dropped in the meantime: the same in both runs.
        Err(error) => error.to_string().into_bytes(),
    }
}

proptest! {
    #![proptest_config(crate::cases(24))]

    /// B4. Two runs of one conversation, one of them under attack, are the same in every byte: nothing moved, nothing was
    /// stored, no randomness was drawn.
    #[test]
    fn b4_a_conversation_under_attack_is_byte_for_byte_the_undisturbed_one(
        script in prop::collection::vec((any::<bool>(), prop::bool::weighted(0.3)), 1..16),
        seed: u64,
    ) {
        prop_assert_eq!(play(&script, seed, true), play(&script, seed, false));
    }
}
