//! The post-quantum ratchet inside sessions (spec/06-spqr.md): epochs, limits, records. Its attacks stand in `attacks`.

use std::collections::BTreeMap;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{TryCryptoRng, TryRng};
use waxwing_protocol::{Budget, OpenError, Session, SignalMessage, Suite};

use crate::device::{Device, Fate};
use crate::party::{Kyber, NOW, OneTime, Party, draw, first_message, open, ordinary_message, rng};

/// Two acknowledged ends; the second has just opened the second message of the first's.
pub fn pair(seed: u64) -> (Session, Session, ChaCha20Rng) {
    let mut rng = rng(seed);
    let (alice, bob) = (Party::new(1, &mut rng), Party::new(2, &mut rng));
    let mut at_alice = alice.initiate(&bob, Suite::Pqxdh, OneTime::With, &mut rng);
    let first = first_message(&mut at_alice, b"first");
    let (mut at_bob, _) = bob.join(&alice, &first, Kyber::OneTime, &mut rng).unwrap();
    round_trip(&mut at_bob, &mut at_alice, &mut rng);
    (at_alice, at_bob, rng)
}

pub fn round_trip(one: &mut Session, other: &mut Session, rng: &mut ChaCha20Rng) {
    let message = ordinary_message(one, b"there");
    assert_eq!(open(other, &message, rng).unwrap(), b"there");
    let message = ordinary_message(other, b"back");
    assert_eq!(open(one, &message, rng).unwrap(), b"back");
}

/// Every message is followed by a restart; `Device` asserts besides that deltas and records agree, in every state of the
/// exchange. Sizes are those of spec §6.9.
#[test]
fn a_session_goes_through_five_epochs_on_its_records_alone_and_they_stay_small() {
    let (mut alice, mut bob) = (Device::new(1, 1), Device::new(2, 1));
    alice.initiate(&bob.party, Suite::Pqxdh, OneTime::With);
    let mut largest: BTreeMap<u8, usize> = BTreeMap::new();
    let mut total = 0;
    for turn in 0..500 {
        let (from, to) = if turn % 2 == 0 { (&mut alice, &mut bob) } else { (&mut bob, &mut alice) };
        let message = from.seal(b"text", Fate::Lives).unwrap();
        to.open(&message, &from.party, Fate::Lives).unwrap();
        to.restart();
        from.restart();
        if turn > 2 {
            for (key, value) in &from.records {
                let kind = if key[0] == b'b' { key[8] } else { key[0] };
                largest.entry(kind).and_modify(|size| *size = value.len().max(*size)).or_insert(value.len());
            }
            total = total.max(from.records.values().map(Vec::len).sum());
        }
    }
    assert!(alice.session.post_quantum_epoch() >= Some(5), "{:?}", alice.session.post_quantum_epoch());
    let expected = [(b'h', 11), (b's', 644), (b'q', 549), (1, 2401), (2, 961), (3, 1296)];
    for (kind, size) in expected {
        assert!(largest[&kind] <= size, "{kind}: {}", largest[&kind]);
    }
    assert!(total <= 5_500, "{total}");
}

#[test]
fn a_jump_of_24999_skipped_messages_opens_and_one_more_is_refused_before_any_work() {
    let (mut alice, mut bob, mut rng) = pair(3);
    round_trip(&mut alice, &mut bob, &mut rng);
    for _ in 0..24_999 {
        drop(alice.seal(b"", NOW, &mut draw()).unwrap().commit());
    }
    let at_the_limit = ordinary_message(&mut alice, b"limit");
    let beyond = ordinary_message(&mut alice, b"beyond");
    let mut budget = Budget::default();
    let refused = bob.open(&beyond, &mut budget, &mut rng).unwrap_err();
    assert_eq!(refused, OpenError::TooFarAhead { counter: beyond.counter(), ahead: 25_001 });
    assert_eq!(budget, Budget::default(), "nothing was walked");
    assert_eq!(bob.open(&at_the_limit, &mut budget, &mut rng).unwrap().commit(), b"limit");
    assert_eq!(open(&mut bob, &beyond, &mut rng).unwrap(), b"beyond");
}

/// The Double Ratchet keeps 2,000 seeds a chain; this one keeps keys by their distance from the newest.
#[test]
fn skipped_messages_open_up_to_2000_behind() {
    let (mut alice, mut bob, mut rng) = pair(4);
    let messages: Vec<SignalMessage> = (0..2_102).map(|_| ordinary_message(&mut alice, b"text")).collect();
    open(&mut bob, &messages[50], &mut rng).unwrap();
    open(&mut bob, &messages[2_100], &mut rng).unwrap();
    assert!(open(&mut bob, &messages[99], &mut rng).is_err(), "2,001 behind");
    let records: Vec<_> = bob.records().collect();
    assert_eq!(open(&mut bob, &messages[100], &mut rng).unwrap(), b"text");
    assert_eq!(
        open(&mut bob, &messages[100], &mut rng),
        Err(OpenError::Duplicate { counter: messages[100].counter() })
    );
    let mut loaded = Session::load(records.iter().map(|(key, value)| (key, value))).unwrap();
    open(&mut loaded, &messages[2_101], &mut rng).unwrap();
    assert!(open(&mut loaded, &messages[100], &mut rng).is_err(), "the newer message moved the limit");
    assert_eq!(open(&mut loaded, &messages[101], &mut rng).unwrap(), b"text");
}

/// A chain of the Double Ratchet can outlive epochs when its owner hears nothing new: bursts, not round trips, carry the
/// exchange, so that five chains span more than two epochs.
#[test]
fn a_message_one_epoch_late_opens_and_one_two_epochs_late_does_not() {
    let (mut alice, mut bob, mut rng) = pair(5);
    let mut late = Vec::new();
    let mut seen = [0; 2];
    for _ in 0..14 {
        let message = ordinary_message(&mut alice, b"late");
        late.push((u64::from(message.pq_ratchet().unwrap()[1]) - 1, message));
        for _ in 0..40 {
            let message = ordinary_message(&mut alice, b"there");
            open(&mut bob, &message, &mut rng).unwrap();
        }
        for _ in 0..40 {
            let message = ordinary_message(&mut bob, b"back");
            open(&mut alice, &message, &mut rng).unwrap();
        }
        // Only chains that Bob still has.
        for (epoch, message) in late.iter().rev().take(4) {
            let mut bob = Session::load(bob.records().collect::<Vec<_>>().iter().map(|(k, v)| (k, v))).unwrap();
            let behind = bob.post_quantum_epoch().unwrap().saturating_sub(*epoch);
            assert_eq!(open(&mut bob, message, &mut rng).is_ok(), behind <= 1, "{behind} epochs");
            seen[usize::from(behind <= 1)] += 1;
        }
    }
    assert!(seen[0] > 0 && seen[1] > 0, "{seen:?}");
}

#[test]
fn sealing_draws_randomness_only_when_the_exchange_needs_it() {
    let (mut alice, mut bob, mut rng) = pair(6);
    let mut drawing = 0;
    for _ in 0..88 {
        let mut draws = Counting(0);
        let message = alice.seal(b"text", NOW, &mut draws).unwrap().commit();
        drawing += u32::from(draws.0 > 0);
        open(&mut bob, &SignalMessage::decode(message.as_bytes()).unwrap(), &mut rng).unwrap();
        let message = ordinary_message(&mut bob, b"back");
        open(&mut alice, &message, &mut rng).unwrap();
    }
    assert_eq!(drawing, 2, "an encapsulation in the second epoch, a key pair in the third");
}

/// Counts the bytes drawn.
struct Counting(usize);

impl TryRng for Counting {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        self.0 += 4;
        Ok(4)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        self.0 += 8;
        Ok(8)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        self.0 += bytes.len();
        bytes.fill(7);
        Ok(())
    }
}

impl TryCryptoRng for Counting {}
