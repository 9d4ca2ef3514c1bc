//! First message and answer, both suites, and what an open may cost.

use waxwing_protocol::{IdentityEvent, OpenError, Session, Suite};

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
