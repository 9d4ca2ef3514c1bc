//! First message and answer, both suites, and what an open may cost.

use waxwing_protocol::{
    AcceptError, IdentityEvent, KyberPrekey, KyberPrekeyId, LastResortKey, OpenError, RespondError, Session, Suite,
};

use crate::party::{Kyber, OneTime, Party, first_message, open, ordinary_message, rng};

#[test]
fn a_first_message_and_its_answer_arrive_in_both_suites_with_and_without_one_time_prekeys() {
    let mut seed = 0;
    for suite in [Suite::X3dh, Suite::Pqxdh] {
        for one_time in [OneTime::With, OneTime::Without] {
            for kyber in [Kyber::OneTime, Kyber::LastResort] {
                seed += 1;
                let rng = &mut rng(seed);
                let (alice, bob) = (Party::new(1, rng), Party::new(2, rng));
                let mut at_alice = alice.initiate(&bob, suite, one_time, rng);
                let message = first_message(&mut at_alice, b"hello");
                let mut at_bob = Session::new();
                let opened = bob.accept(&mut at_bob, &alice, &message, kyber, rng).unwrap();
                assert_eq!(opened.identity(), IdentityEvent::First(*alice.identity.public_key()));
                assert_eq!(opened.commit(), b"hello");
                let answer = ordinary_message(&mut at_bob, b"hello yourself");
                assert_eq!(open(&mut at_alice, &answer, rng).unwrap(), b"hello yourself");
                assert!(at_alice.is_acknowledged());
                let second = ordinary_message(&mut at_alice, b"good");
                assert_eq!(open(&mut at_bob, &second, rng).unwrap(), b"good");
                assert_eq!(open(&mut at_bob, &second, rng), Err(OpenError::Duplicate { counter: 0 }));
            }
        }
    }
}

/// ATTACKS A7, as far as it lies with the protocol: when the owner deletes a last-resort key, nothing opens its first
/// messages any more, and what it remembered of them may go with it.
#[test]
fn a_deleted_last_resort_key_answers_nobody() {
    let rng = &mut rng(77);
    let (alice, mut bob) = (Party::new(1, rng), Party::new(2, rng));
    let mut at_alice = alice.initiate(&bob, Suite::Pqxdh, OneTime::Without, rng);
    let message = first_message(&mut at_alice, b"hello");
    assert_eq!(message.one_time_prekey_id(), None, "who receives it can tell that only the last resort protected it");
    let mut at_bob = Session::new();
    let opened = bob.accept(&mut at_bob, &alice, &message, Kyber::LastResort, rng).unwrap();
    let last_resort_use = opened.consumed().last_resort_use.unwrap();
    let _ = opened.commit();
    bob.uses.insert(last_resort_use);

    let old = std::mem::replace(&mut bob.kyber, KyberPrekey::generate(KyberPrekeyId(999), &bob.identity, rng));
    bob.uses.forget(LastResortKey::Kyber(old.id()));
    assert!(!bob.uses.contains(&last_resort_use));
    let answer = bob.accept(&mut Session::new(), &alice, &message, Kyber::LastResort, rng).unwrap_err();
    assert_eq!(answer, AcceptError::Respond(RespondError::KyberPrekey { expected: Some(old.id()) }));
}
