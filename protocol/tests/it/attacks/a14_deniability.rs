//! A14: a transcript is no evidence. Whoever has the responder's keys makes, alone, the very bytes that the initiator makes
//! from the same randomness; so no bytes of a conversation convince a third party that the initiator took part.

use waxwing_protocol::{OpenError, PreKeySignalMessage, SignalMessage, Suite};

use crate::initiator::Initiator;
use crate::party::{Kyber, OneTime, Party, first_message, open, ordinary_message, rng};
use crate::proto::Framed;

/// The simulator speaks the Double Ratchet alone; what the third one adds is keyed by the same agreement and by key pairs of
/// its own, and nobody's identity.
///
/// The simulator has Alice's *public* key only. Equality for each value of the randomness is more than the
/// indistinguishability that deniability asks for.
#[test]
fn a14_the_responder_alone_makes_byte_for_byte_what_the_initiator_makes() {
    for suite in [Suite::X3dh, Suite::Pqxdh] {
        for one_time in [OneTime::With, OneTime::Without] {
            for seed in 0..20 {
                let setup = &mut rng(seed);
                let (alice, bob) =
                    (Party::without_post_quantum_ratchet(1, setup), Party::without_post_quantum_ratchet(2, setup));
                let mut genuine = alice.initiate(&bob, suite, one_time, &mut rng(1000 + seed));
                let mut simulated = Initiator::new(&alice, &bob, suite, one_time, &mut rng(1000 + seed));
                for plaintext in [&b"I said this"[..], b"", &[7; 500]] {
                    let genuine = first_message(&mut genuine, plaintext);
                    assert_eq!(simulated.first_message(plaintext), genuine.as_bytes(), "{suite:?} {one_time:?} {seed}");
                }
            }
        }
    }
}

/// And with randomness of its own: a conversation that never took place, which the responder's own device accepts.
#[test]
fn a14_the_responder_fabricates_a_conversation_that_its_own_session_opens() {
    for suite in [Suite::X3dh, Suite::Pqxdh] {
        let rng = &mut rng(7);
        let (alice, bob) = (Party::without_post_quantum_ratchet(1, rng), Party::without_post_quantum_ratchet(2, rng));
        let mut fabricated = Initiator::new(&alice, &bob, suite, OneTime::With, rng);
        let first = PreKeySignalMessage::decode(&fabricated.first_message(b"I never said this")).unwrap();
        let (mut at_bob, plaintext) = bob.join(&alice, &first, Kyber::OneTime, rng).unwrap();
        assert_eq!(plaintext, b"I never said this");
        assert_eq!(at_bob.remote_identity(), Some(alice.identity.public_key()));
        let next = SignalMessage::decode(&fabricated.signal(b"nor this")).unwrap();
        assert_eq!(open(&mut at_bob, &next, rng).unwrap(), b"nor this");
        // The simulator is no oracle that makes everything open.
        let mut spoiled = fabricated.signal(b"x");
        *spoiled.last_mut().unwrap() ^= 1;
        assert_eq!(open(&mut at_bob, &SignalMessage::decode(&spoiled).unwrap(), rng).unwrap_err(), OpenError::Forged);
    }
}

/// There is no room for a signature: these fields, of these sizes, and an 8-byte MAC.
#[test]
fn a14_pairwise_messages_have_the_fields_of_the_specification_and_no_signature() {
    let rng = &mut rng(8);
    let (alice, bob) = (Party::new(1, rng), Party::new(2, rng));
    let mut at_alice = alice.initiate(&bob, Suite::Pqxdh, OneTime::With, rng);
    let first = first_message(&mut at_alice, &[1; 20]);
    let outer = Framed::read(first.as_bytes(), 0).unwrap();
    assert_eq!(outer.fields.iter().map(|field| field.number).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7, 8]);
    let inner = Framed::read(first.message().as_bytes(), 8).unwrap();
    assert_eq!(inner.fields.iter().map(|field| field.number).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    let (mut at_bob, _) = bob.join(&alice, &first, Kyber::OneTime, rng).unwrap();
    let answer = Framed::read(ordinary_message(&mut at_bob, &[1; 20]).as_bytes(), 8).unwrap();
    assert_eq!(answer.fields.iter().map(|field| field.number).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    // The post-quantum ratchet's part is a chunk of 32 bytes at most.
    assert!(
        crate::proto::last_bytes(&inner.fields, 5).len() == 37
            && crate::proto::last_bytes(&answer.fields, 5).len() == 4
    );
    // 64 bytes that belong to no field: none. The ciphertext is 20 bytes of plaintext, padded.
    assert_eq!(crate::proto::last_bytes(&answer.fields, 4).len(), 32);
}
