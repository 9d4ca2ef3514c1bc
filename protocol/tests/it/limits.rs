//! The limits of spec §5.5, §5.7 and §5.8, each at its edge; ATTACKS B3 (skipped-key exhaustion).

use waxwing_protocol::{
    AcceptError, Budget, IdentityEvent, MAX_MESSAGE_LEN, OpenError, PreKeySignalMessage, RecordError, SealError,
    Session, SignalMessage, Suite, Timestamp,
};

use crate::device::Device;
use crate::party::{Kyber, NOW, OneTime, Party, first_message, open, ordinary_message, rng};

const DAY: u64 = 24 * 60 * 60 * 1000;

/// Two acknowledged ends with the Double Ratchet alone (`post_quantum.rs` has the other's limits); the second has just opened message 0 of the first's chain.
fn pair(seed: u64) -> (Session, Session, rand_chacha::ChaCha20Rng) {
    let mut rng = rng(seed);
    let (alice, bob) =
        (Party::without_post_quantum_ratchet(1, &mut rng), Party::without_post_quantum_ratchet(2, &mut rng));
    let mut at_alice = alice.initiate(&bob, Suite::Pqxdh, OneTime::With, &mut rng);
    let first = first_message(&mut at_alice, b"first");
    let mut at_bob = Session::new();
    let _ = bob.accept(&mut at_bob, &alice, &first, Kyber::OneTime, &mut rng).unwrap().commit();
    let answer = ordinary_message(&mut at_bob, b"answer");
    open(&mut at_alice, &answer, &mut rng).unwrap();
    let second = ordinary_message(&mut at_alice, b"second");
    open(&mut at_bob, &second, &mut rng).unwrap();
    (at_alice, at_bob, rng)
}

fn records(session: &Session) -> Vec<(Vec<u8>, Vec<u8>)> {
    session.records().map(|(key, value)| (key.as_bytes().to_vec(), value.to_vec())).collect()
}

#[test]
fn a_chain_keeps_the_newest_2000_skipped_messages() {
    let (mut alice, mut bob, mut rng) = pair(1);
    let messages: Vec<SignalMessage> = (1..=2002).map(|_| ordinary_message(&mut alice, b"text")).collect();
    let (last, skipped) = messages.split_last().unwrap();
    open(&mut bob, last, &mut rng).unwrap();
    assert_eq!(open(&mut bob, &skipped[0], &mut rng), Err(OpenError::Duplicate { counter: 1 }));
    for message in &skipped[1..] {
        assert_eq!(open(&mut bob, message, &mut rng).unwrap(), b"text");
        assert_eq!(open(&mut bob, message, &mut rng), Err(OpenError::Duplicate { counter: message.counter() }));
    }
}

#[test]
fn what_was_skipped_in_several_jumps_is_dropped_oldest_first() {
    let (mut alice, mut bob, mut rng) = pair(2);
    let messages: Vec<SignalMessage> = (1..=3000).map(|_| ordinary_message(&mut alice, b"text")).collect();
    open(&mut bob, &messages[1499], &mut rng).unwrap();
    open(&mut bob, &messages[2999], &mut rng).unwrap();
    // 1,499 and then 1,499 were skipped: 2,998, of which the newest 2,000 are kept, one of the messages between them opened.
    let kept: Vec<u32> = messages
        .iter()
        .filter(|message| open(&mut bob, message, &mut rng).is_ok())
        .map(SignalMessage::counter)
        .collect();
    assert_eq!(kept.len(), 2000);
    assert_eq!(*kept.first().unwrap(), 999);
}

/// ATTACKS B3.
#[test]
fn a_jump_of_25000_opens_and_one_more_is_refused_before_any_work() {
    let (mut alice, mut bob, mut rng) = pair(3);
    for _ in 0..25_000 {
        let _ = alice.seal(b"", NOW, &mut crate::party::draw()).unwrap().commit();
    }
    let at_the_cap = ordinary_message(&mut alice, b"cap");
    let beyond = ordinary_message(&mut alice, b"beyond");
    let before = records(&bob);
    let mut budget = Budget::default();
    assert_eq!(
        bob.open(&beyond, &mut budget, &mut rng).unwrap_err(),
        OpenError::TooFarAhead { counter: beyond.counter(), ahead: 25_001 }
    );
    assert_eq!(budget, Budget::default(), "nothing was walked");
    assert_eq!(records(&bob), before);
    assert_eq!(bob.open(&at_the_cap, &mut budget, &mut rng).unwrap().commit(), b"cap");
    assert_eq!(budget, Budget::default(), "what opens is free");
    assert_eq!(open(&mut bob, &beyond, &mut rng).unwrap(), b"beyond");
}

/// ATTACKS B3: forged counters inside the cap cost at most one honest jump each, and in all no more than the budget.
#[test]
fn repeated_forged_counters_run_into_the_budget_and_store_nothing() {
    let (mut alice, mut bob, mut rng) = pair(4);
    let honest = ordinary_message(&mut alice, b"honest");
    let forged = with_counter(&honest, honest.counter() + 20_000);
    let before = records(&bob);
    let mut budget = Budget::new(45_000);
    let errors: Vec<OpenError> = (0..4).map(|_| bob.open(&forged, &mut budget, &mut rng).unwrap_err()).collect();
    assert_eq!(errors, [OpenError::Forged, OpenError::Forged, OpenError::OverBudget, OpenError::OverBudget]);
    assert_eq!(budget.remaining(), 5_000);
    assert_eq!(records(&bob), before);
    assert_eq!(bob.open(&honest, &mut budget, &mut rng).unwrap().commit(), b"honest");
}

/// The same message with another counter: the protobuf changes, the MAC does not.
fn with_counter(message: &SignalMessage, counter: u32) -> SignalMessage {
    let bytes = message.as_bytes();
    // version ‖ 0x0A 33 key[33] ‖ 0x10 counter ‖ ..
    assert_eq!((bytes[1], bytes[2], bytes[36]), (0x0A, 33, 0x10));
    let old = 1 + bytes[37..].iter().take_while(|byte| **byte >= 0x80).count();
    let mut forged = bytes[..37].to_vec();
    let mut left = counter;
    while left >= 0x80 {
        forged.push(left as u8 | 0x80);
        left >>= 7;
    }
    forged.push(left as u8);
    forged.extend_from_slice(&bytes[37 + old..]);
    let forged = SignalMessage::decode(&forged).unwrap();
    assert_eq!(forged.counter(), counter);
    forged
}

#[test]
fn a_forged_ratchet_key_costs_a_ratchet_step_of_the_budget_for_each_state() {
    let (_, mut bob, mut rng) = pair(5);
    let (mut mallory, _, _) = pair(6);
    let foreign = ordinary_message(&mut mallory, b"foreign");
    let mut budget = Budget::new(250);
    assert_eq!(bob.open(&foreign, &mut budget, &mut rng).unwrap_err(), OpenError::Forged);
    assert!(budget.remaining() < 150 && budget.remaining() >= 140, "{budget:?}");
    assert_eq!(bob.open(&foreign, &mut Budget::new(99), &mut rng).unwrap_err(), OpenError::OverBudget);
}

#[test]
fn a_state_keeps_five_receiving_chains() {
    let (mut alice, mut bob, mut rng) = pair(7);
    let mut late = Vec::new();
    for _ in 0..6 {
        let message = ordinary_message(&mut alice, b"in time");
        late.push(ordinary_message(&mut alice, b"late"));
        open(&mut bob, &message, &mut rng).unwrap();
        let answer = ordinary_message(&mut bob, b"turn");
        open(&mut alice, &answer, &mut rng).unwrap();
    }
    assert_eq!(open(&mut bob, &late[0], &mut rng), Err(OpenError::Forged));
    for message in &late[1..] {
        assert_eq!(open(&mut bob, message, &mut rng).unwrap(), b"late");
    }
}

#[test]
fn a_session_keeps_forty_archived_states_and_their_records_and_no_more() {
    let (mut alice, mut bob) = (Device::without_post_quantum_ratchet(1, 8), Device::without_post_quantum_ratchet(2, 8));
    let mut firsts = Vec::new();
    for _ in 0..43 {
        alice.initiate(&bob.party, Suite::Pqxdh, OneTime::Without);
        let first = alice.seal(b"first", crate::device::Fate::Lives).unwrap();
        bob.open(&first, &alice.party, crate::device::Fate::Lives).unwrap();
        firsts.push(first);
    }
    // A head, the current state and 40 archived ones; `Device` asserts that the deltas deleted the others.
    assert_eq!(bob.records.len(), 42);
    bob.restart();
    // Replays of what is remembered are duplicates; what was forgotten is caught by the last-resort key's memory.
    let known = bob.open(&firsts[2], &alice.party, crate::device::Fate::Lives);
    assert_eq!(known, Err(crate::device::Failure::Open(OpenError::Duplicate { counter: 0 })));
    let forgotten = bob.open(&firsts[0], &alice.party, crate::device::Fate::Lives);
    let replayed = AcceptError::Respond(waxwing_protocol::RespondError::Replayed);
    assert_eq!(forgotten, Err(crate::device::Failure::Accept(replayed)));
}

#[test]
fn an_unanswered_session_stops_sending_after_30_days_and_not_before() {
    let mut rng = rng(9);
    let (alice, bob) =
        (Party::without_post_quantum_ratchet(1, &mut rng), Party::without_post_quantum_ratchet(2, &mut rng));
    let mut session = alice.initiate(&bob, Suite::Pqxdh, OneTime::With, &mut rng);
    let at = |days: u64| Timestamp(NOW.0 + days * DAY);
    assert!(session.seal(b"in time", at(30), &mut crate::party::draw()).is_ok());
    let late = Timestamp(at(30).0 + 1);
    assert_eq!(session.seal(b"late", late, &mut crate::party::draw()).unwrap_err(), SealError::UnacknowledgedTooLong);
    let first = first_message(&mut session, b"first");
    let mut at_bob = Session::new();
    let _ = bob.accept(&mut at_bob, &alice, &first, Kyber::OneTime, &mut rng).unwrap().commit();
    let answer = ordinary_message(&mut at_bob, b"answer");
    open(&mut session, &answer, &mut rng).unwrap();
    assert!(session.seal(b"after an answer there is no end", at(10_000), &mut crate::party::draw()).is_ok());
}

#[test]
fn a_plaintext_at_the_limit_travels_and_a_longer_one_is_refused() {
    let (mut alice, mut bob, mut rng) = pair(10);
    let limit = MAX_MESSAGE_LEN - 2048;
    let message = ordinary_message(&mut alice, &vec![7; limit]);
    assert_eq!(open(&mut bob, &message, &mut rng).unwrap().len(), limit);
    assert_eq!(
        alice.seal(&vec![7; limit + 1], NOW, &mut crate::party::draw()).unwrap_err(),
        SealError::TooLong { got: limit + 1 }
    );
}

#[test]
fn without_a_state_nothing_seals_or_opens() {
    let (mut alice, _, mut rng) = pair(11);
    let message = ordinary_message(&mut alice, b"text");
    let mut empty = Session::new();
    assert_eq!(empty.seal(b"", NOW, &mut crate::party::draw()).unwrap_err(), SealError::NoSession);
    assert_eq!(open(&mut empty, &message, &mut rng), Err(OpenError::NoSession));
    assert_eq!(Session::load(Vec::<(Vec<u8>, Vec<u8>)>::new()).map(|session| session.is_established()), Ok(false));
}

#[test]
fn a_dropped_guard_changes_nothing() {
    let (mut alice, mut bob, mut rng) = pair(12);
    let before = records(&alice);
    drop(alice.seal(b"never sent", NOW, &mut crate::party::draw()).unwrap());
    drop(alice.archive());
    assert_eq!(records(&alice), before);
    let message = ordinary_message(&mut alice, b"text");
    let before = records(&bob);
    drop(bob.open(&message, &mut Budget::default(), &mut rng).unwrap());
    assert_eq!(records(&bob), before);
    assert_eq!(open(&mut bob, &message, &mut rng).unwrap(), b"text");
}

#[test]
fn a_second_agreement_reports_whether_the_identity_is_the_one_from_before() {
    let mut rng = rng(13);
    let (alice, bob) =
        (Party::without_post_quantum_ratchet(1, &mut rng), Party::without_post_quantum_ratchet(2, &mut rng));
    let mut at_bob = Session::new();
    let expect_events = [IdentityEvent::First(*alice.identity.public_key()), IdentityEvent::Unchanged];
    for expected in expect_events {
        let mut at_alice = alice.initiate(&bob, Suite::Pqxdh, OneTime::With, &mut rng);
        let first = first_message(&mut at_alice, b"first");
        let opened = bob.accept(&mut at_bob, &alice, &first, Kyber::LastResort, &mut rng).unwrap();
        assert_eq!((opened.identity(), opened.delta().identity()), (expected, expected));
        let _ = opened.commit();
    }
    let impostor = Party::without_post_quantum_ratchet(1, &mut rng);
    let mut at_impostor = impostor.initiate(&bob, Suite::Pqxdh, OneTime::With, &mut rng);
    let first = first_message(&mut at_impostor, b"first");
    let before = records(&at_bob);
    let opened = bob.accept(&mut at_bob, &impostor, &first, Kyber::LastResort, &mut rng).unwrap();
    let (from, to) = (*alice.identity.public_key(), *impostor.identity.public_key());
    assert_eq!(opened.identity(), IdentityEvent::Changed { from, to });
    drop(opened);
    assert_eq!(records(&at_bob), before, "the caller said no");
}

#[test]
fn a_first_message_of_a_known_state_is_not_accepted_anew() {
    let mut rng = rng(14);
    let (alice, bob) =
        (Party::without_post_quantum_ratchet(1, &mut rng), Party::without_post_quantum_ratchet(2, &mut rng));
    let mut at_alice = alice.initiate(&bob, Suite::Pqxdh, OneTime::With, &mut rng);
    let (first, second) = (first_message(&mut at_alice, b"1"), first_message(&mut at_alice, b"2"));
    let mut at_bob = Session::new();
    let _ = bob.accept(&mut at_bob, &alice, &first, Kyber::LastResort, &mut rng).unwrap().commit();
    let again = bob.accept(&mut at_bob, &alice, &second, Kyber::LastResort, &mut rng).unwrap_err();
    assert_eq!(again, AcceptError::KnownSession);
    assert!(at_bob.is_named_by(&second));
    let opened = at_bob.open_first(&second, &mut Budget::default(), &mut rng).unwrap();
    assert_eq!(opened.consumed(), waxwing_protocol::Consumed::default(), "no prekey is used twice");
    assert_eq!(opened.commit(), b"2");
}

/// The identity key outside is not under the MAC: ATTACKS A4.
#[test]
fn a_first_message_that_names_a_known_state_and_another_identity_is_refused() {
    let mut rng = rng(16);
    let (alice, bob, mallory) = (
        Party::without_post_quantum_ratchet(1, &mut rng),
        Party::without_post_quantum_ratchet(2, &mut rng),
        Party::new(3, &mut rng),
    );
    let mut at_alice = alice.initiate(&bob, Suite::Pqxdh, OneTime::With, &mut rng);
    let (first, second) = (first_message(&mut at_alice, b"1"), first_message(&mut at_alice, b"2"));
    let mut at_bob = Session::new();
    let _ = bob.accept(&mut at_bob, &alice, &first, Kyber::LastResort, &mut rng).unwrap().commit();

    let (honest, claimed) = (alice.identity.public_key().to_bytes(), mallory.identity.public_key().to_bytes());
    let mut bytes = second.as_bytes().to_vec();
    let at = bytes.windows(33).position(|window| window == honest).unwrap();
    bytes[at..at + 33].copy_from_slice(&claimed);
    let forged = PreKeySignalMessage::decode(&bytes).unwrap();
    assert_eq!(forged.identity_key(), mallory.identity.public_key());
    assert!(at_bob.is_named_by(&forged));
    assert_eq!(at_bob.open_first(&forged, &mut Budget::default(), &mut rng).unwrap_err(), OpenError::Forged);
    assert_eq!(at_bob.open_first(&second, &mut Budget::default(), &mut rng).unwrap().commit(), b"2");
}

#[test]
fn a_record_of_a_newer_version_is_told_from_a_damaged_one() {
    let (alice, _, _) = pair(15);
    let mut newer = records(&alice);
    newer[0].1[0] = 9;
    assert_eq!(Session::load(newer).err(), Some(RecordError::Version { got: 9 }));
}
