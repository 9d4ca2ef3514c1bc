//! B18: chunks of the post-quantum ratchet are forged, cut, replayed, lost, reordered, or never sent. None of it wedges or
//! moves a session. (What a broken or malicious *peer* can say under a right MAC is tested in `src/spqr/braid/tests.rs`.)

use proptest::prelude::*;
use rand_chacha::rand_core::Rng;
use waxwing_protocol::{OpenError, Session, SignalMessage};

use crate::party::{open, ordinary_message, rng};
use crate::post_quantum::{pair, round_trip};
use crate::proto::{Framed, last_bytes};

fn records(session: &Session) -> Vec<(Vec<u8>, Vec<u8>)> {
    session.records().map(|(key, value)| (key.as_bytes().to_vec(), value.to_vec())).collect()
}

/// Every bit of the field, every length of it, none at all, and those of other messages, in several states of the exchange.
#[test]
fn b18_forged_cut_and_foreign_fields_are_refused_and_leave_the_session_as_it_was() {
    let (mut alice, mut bob, mut rng) = pair(18);
    let mut earlier: Vec<Vec<u8>> = Vec::new();
    for round in 0..100 {
        let honest = ordinary_message(&mut alice, b"honest");
        let framed = Framed::read(honest.as_bytes(), 8).unwrap();
        let field = last_bytes(&framed.fields, 5).to_vec();
        if round % 9 == 0 {
            let before = records(&bob);
            let mut forged = vec![framed.without(&[5]).write()];
            forged.extend((0..field.len()).map(|len| framed.with(5, &field[..len]).write()));
            forged.extend(earlier.iter().map(|other| framed.with(5, other).write()));
            for bit in 0..field.len() * 8 {
                let mut flipped = field.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                forged.push(framed.with(5, flipped).write());
            }
            for forged in forged {
                let refused = open(&mut bob, &SignalMessage::decode(&forged).unwrap(), &mut rng).unwrap_err();
                assert!(
                    matches!(
                        refused,
                        OpenError::Forged
                            | OpenError::NoPostQuantumRatchet
                            | OpenError::PostQuantumRatchet
                            | OpenError::TooFarAhead { .. }
                    ),
                    "{refused:?}"
                );
            }
            assert_eq!(records(&bob), before);
        }
        earlier.push(field);
        assert_eq!(open(&mut bob, &honest, &mut rng).unwrap(), b"honest");
        assert_eq!(open(&mut bob, &honest, &mut rng), Err(OpenError::Duplicate { counter: honest.counter() }));
        let answer = ordinary_message(&mut bob, b"answer");
        open(&mut alice, &answer, &mut rng).unwrap();
    }
    assert!(alice.post_quantum_epoch() >= Some(2));
}

/// One side never says anything: no epoch ends, and the conversation goes on; when it speaks again, so does the exchange.
#[test]
fn b18_a_peer_that_stalls_the_exchange_leaves_the_double_ratchet_working() {
    let (mut alice, mut bob, mut rng) = pair(19);
    for _ in 0..3_000 {
        let message = ordinary_message(&mut alice, b"one-sided");
        open(&mut bob, &message, &mut rng).unwrap();
    }
    assert_eq!((alice.post_quantum_epoch(), bob.post_quantum_epoch()), (Some(0), Some(0)));
    let size: usize = records(&bob).iter().map(|(_, value)| value.len()).sum();
    assert!(size < 4_096, "what is stored does not grow: {size}");
    for _ in 0..60 {
        round_trip(&mut alice, &mut bob, &mut rng);
    }
    assert!(alice.post_quantum_epoch() >= Some(1));
}

proptest! {
    #![proptest_config(crate::cases(16))]

    /// Chunks lost at 0 to 90 %, reordered and repeated: whatever arrives opens, and below half of loss epochs complete.
    #[test]
    fn b18_loss_reordering_and_repetition_never_wedge_a_session(seed: u64, loss in 0..90u32) {
        let (mut alice, mut bob, mut keys) = pair(seed);
        let mut random = rng(seed);
        for turn in 0..160 {
            let (from, to) = if turn % 2 == 0 { (&mut alice, &mut bob) } else { (&mut bob, &mut alice) };
            let mut burst: Vec<SignalMessage> = Vec::new();
            let count = 1 + random.next_u32() % 6;
            for i in 0..count {
                let message = ordinary_message(from, b"text");
                if i + 1 == count || random.next_u32() % 100 >= loss {
                    burst.push(message);
                }
            }
            while !burst.is_empty() {
                let message = burst.swap_remove(random.next_u32() as usize % burst.len());
                prop_assert_eq!(open(to, &message, &mut keys), Ok(b"text".to_vec()));
                let again = open(to, &message, &mut keys);
                prop_assert_eq!(again, Err(OpenError::Duplicate { counter: message.counter() }));
            }
        }
        let least = if loss < 50 { 2 } else { 1 };
        prop_assert!(alice.post_quantum_epoch() >= Some(least), "{:?} at {loss} %", alice.post_quantum_epoch());
    }
}
