//! B10: every single bit of a message, flipped. Which flips change nothing is spec §5.10's list and no more: of a
//! `SignalMessage` none, of a `PreKeySignalMessage` those after which an independent reader of protobuf finds the same values
//! everywhere but in the registration id, and the same high nibble in front.

use waxwing_protocol::{OpenError, PreKeySignalMessage, SignalMessage, Suite};

use crate::party::{Kyber, OneTime, Party, first_message, open, ordinary_message, rng};
use crate::proto::{Framed, Value, last};

fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

#[test]
fn b10_no_bit_of_a_signal_message_can_be_flipped() {
    for suite in [Suite::X3dh, Suite::Pqxdh] {
        let rng = &mut rng(1);
        let (alice, bob) = (Party::new(1, rng), Party::new(2, rng));
        let mut at_alice = alice.initiate(&bob, suite, OneTime::With, rng);
        let first = first_message(&mut at_alice, b"hello");
        let (mut at_bob, _) = bob.join(&alice, &first, Kyber::OneTime, rng).unwrap();
        // An answer (a new ratchet key), the message after it (a known one), and one with addresses.
        let (answer, second) = (ordinary_message(&mut at_bob, b"answer"), ordinary_message(&mut at_bob, b"second"));
        let third = first_message(&mut at_alice, b"third");
        for (message, is_from_bob) in [(&answer, true), (&second, true), (third.message(), false)] {
            let session = if is_from_bob { &mut at_alice } else { &mut at_bob };
            for bit in 0..message.as_bytes().len() * 8 {
                if let Ok(spoiled) = SignalMessage::decode(&flipped(message.as_bytes(), bit)) {
                    assert!(open(session, &spoiled, rng).is_err(), "bit {bit}");
                }
            }
            assert!(!open(session, message, rng).unwrap().is_empty());
        }
    }
}

/// What spec §5.10 says of a first message: these values may not change.
#[derive(Debug, PartialEq)]
struct Authenticated {
    suite: u8,
    /// Fields 1 to 4 and 6 to 8; numbers as the 32 bits that they are.
    fields: Vec<Option<Value>>,
}

impl Authenticated {
    fn read(bytes: &[u8]) -> Option<Self> {
        let Framed { version, fields, .. } = Framed::read(bytes, 0)?;
        let is_number = |number| matches!(number, 1 | 5 | 6 | 7);
        // A known field of another wire type is no message of this format.
        let well_typed = fields.iter().all(|field| match (field.number, &field.value) {
            (1..=8, Value::Varint(_)) => is_number(field.number),
            (1..=8, Value::Bytes(_)) => !is_number(field.number),
            (1..=8, _) => false,
            _ => true,
        });
        let value = |number| match last(&fields, number) {
            Some(Value::Varint(value)) => Some(Value::Varint(value & 0xFFFF_FFFF)),
            other => other.cloned(),
        };
        well_typed.then(|| Self { suite: version >> 4, fields: [1, 2, 3, 4, 6, 7, 8].map(value).into() })
    }
}

#[test]
fn b10_of_a_first_message_only_the_listed_bits_can_be_flipped() {
    for (suite, one_time) in
        [(Suite::X3dh, OneTime::With), (Suite::X3dh, OneTime::Without), (Suite::Pqxdh, OneTime::With)]
    {
        let rng = &mut rng(2);
        let (alice, bob) = (Party::new(1, rng), Party::new(2, rng));
        let message = first_message(&mut alice.initiate(&bob, suite, one_time, rng), b"hello");
        let honest = Authenticated::read(message.as_bytes()).unwrap();
        let (mut accepted, mut registration_ids) = (Vec::new(), 0);
        for bit in 0..message.as_bytes().len() * 8 {
            let bytes = flipped(message.as_bytes(), bit);
            let expected = Authenticated::read(&bytes).as_ref() == Some(&honest);
            let opened = PreKeySignalMessage::decode(&bytes).ok().and_then(|spoiled| {
                let opened = bob.join(&alice, &spoiled, Kyber::OneTime, rng).ok()?;
                registration_ids += usize::from(spoiled.registration_id() != alice.registration_id);
                Some(opened)
            });
            assert_eq!(opened.is_some(), expected, "{suite:?}: bit {bit} of {}", message.as_bytes().len() * 8);
            if let Some((mut session, plaintext)) = opened {
                assert_eq!(plaintext, b"hello");
                // What it changed is nothing that the session answers with.
                assert_eq!(session.remote_identity(), Some(alice.identity.public_key()));
                assert_eq!(
                    open(&mut session, message.message(), rng).unwrap_err(),
                    OpenError::Duplicate { counter: 0 }
                );
                accepted.push(bit);
            }
        }
        // The low nibble in front, the 14 bits of the registration id, and few bits of its key and length.
        assert_eq!(accepted[..4], [0, 1, 2, 3]);
        assert!((13..=20).contains(&registration_ids), "{registration_ids}");
        assert!(accepted.len() <= 4 + registration_ids, "{accepted:?}");
        assert!(bob.join(&alice, &message, Kyber::OneTime, rng).is_ok());
    }
}
