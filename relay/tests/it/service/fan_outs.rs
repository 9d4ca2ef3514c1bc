//! Spec §17.20: one shared part for many, each as one put.
use waxwing_relay::store::{MemoryStore, Quota, Rules};
use waxwing_wire::{
    delivery::DeliveryKey,
    frame::ErrorCode,
    padding::{EnvelopeHeader, SharedPart},
    relay::{FanOut, Outcome, Outcomes, Recipients, RelayPush, RelayReply, RelayRequest, Ttl},
};

use super::desk::{Phone, Place, mailbox_of, place, settings};
use crate::scene::delivery;

const ALICE: u8 = 1;
const BOB: u8 = 2;
const CAROL: u8 = 3;

/// To each person, by a key, with a header that says whose it is.
pub(super) fn fan_out(number: u64, ttl: Ttl, recipients: &[(u8, u8)]) -> FanOut {
    let recipients = recipients.iter().map(|(person, key)| {
        let header = EnvelopeHeader::from_bytes([*person; 48]);
        (mailbox_of(*person), DeliveryKey::from_bytes([*key; 16]), header)
    });
    let mut shared = vec![0xab; 2_560 - 48];
    shared[..8].copy_from_slice(&number.to_be_bytes());
    FanOut {
        delivery: delivery(number),
        ttl,
        shared: SharedPart::new(shared).unwrap(),
        recipients: Recipients::new(recipients.collect()).unwrap(),
    }
}

/// Outcomes by person, whatever the order of mailbox ids.
fn by_person(outcomes: Vec<Outcome>, persons: &[u8]) -> Vec<(u8, Outcome)> {
    let mut persons = persons.to_vec();
    persons.sort_by_key(|person| mailbox_of(*person));
    let mut both: Vec<_> = persons.into_iter().zip(outcomes).collect();
    both.sort_by_key(|(person, _)| *person);
    both
}

async fn post(phone: &mut Phone<MemoryStore>, fan_out: FanOut, persons: &[u8]) -> Vec<(u8, Outcome)> {
    match phone.call(RelayRequest::FanOut(fan_out)).await {
        Ok(RelayReply::Outcomes(Outcomes { outcomes })) => {
            assert_eq!(outcomes.len(), persons.len());
            by_person(outcomes, persons)
        }
        other => panic!("{other:?}"),
    }
}

/// The envelopes that were pushed: first byte of the header, and the number in the shared part.
fn got(phone: &mut Phone<MemoryStore>) -> Vec<(u8, u64)> {
    phone.take_all();
    let envelopes = phone.control.drain(..).filter_map(|push| match push {
        RelayPush::Delivery(delivery) => Some(delivery.envelope),
        RelayPush::OnlineDelivery(delivery) => Some(delivery.envelope),
        _ => None,
    });
    envelopes
        .map(|envelope| {
            let bytes = envelope.as_bytes();
            (bytes[0], u64::from_be_bytes(bytes[48..56].try_into().unwrap()))
        })
        .collect()
}

#[tokio::test]
async fn each_recipient_has_an_outcome_and_gets_its_own_header_before_the_shared_part() {
    let place = place();
    let (mut alice, mut bob) = (place.owner(ALICE).await, place.owner(BOB).await);
    alice.subscribe(0, 16).await;
    bob.subscribe(0, 16).await;
    let mut sender = place.connect(usize::MAX);
    // Carol has no mailbox; Bob's key is wrong the second time.
    let outcomes =
        post(&mut sender, fan_out(1, Ttl::Day, &[(ALICE, 1), (BOB, 1), (CAROL, 1)]), &[ALICE, BOB, CAROL]).await;
    assert_eq!(outcomes, [(ALICE, Outcome::Accepted), (BOB, Outcome::Accepted), (CAROL, Outcome::Refused)]);
    let outcomes = post(&mut sender, fan_out(2, Ttl::Day, &[(ALICE, 1), (BOB, 9)]), &[ALICE, BOB]).await;
    assert_eq!(outcomes, [(ALICE, Outcome::Accepted), (BOB, Outcome::Refused)]);
    alice.settle().await;
    bob.settle().await;
    assert_eq!(got(&mut alice), [(ALICE, 1), (ALICE, 2)]);
    assert_eq!(got(&mut bob), [(BOB, 1)]);
}

#[tokio::test]
async fn the_same_again_is_accepted_once_and_other_bytes_are_a_conflict() {
    let place = place();
    let mut alice = place.owner(ALICE).await;
    alice.subscribe(0, 16).await;
    let mut sender = place.connect(usize::MAX);
    for _ in 0..2 {
        let outcomes = post(&mut sender, fan_out(1, Ttl::Fortnight, &[(ALICE, 1)]), &[ALICE]).await;
        assert_eq!(outcomes, [(ALICE, Outcome::Accepted)]);
    }
    let other = FanOut { delivery: delivery(1), ..fan_out(2, Ttl::Fortnight, &[(ALICE, 1)]) };
    assert_eq!(post(&mut sender, other, &[ALICE]).await, [(ALICE, Outcome::Conflict)]);
    alice.settle().await;
    assert_eq!(got(&mut alice), [(ALICE, 1)]);
    assert_eq!(place.relay.counters().repeated(), 1);
}

#[tokio::test]
async fn online_only_reaches_who_listens_and_is_never_stored() {
    let place = place();
    let (mut alice, bob) = (place.owner(ALICE).await, place.owner(BOB).await);
    alice.subscribe(0, 16).await;
    let mut sender = place.connect(usize::MAX);
    let outcomes =
        post(&mut sender, fan_out(1, Ttl::OnlineOnly, &[(ALICE, 1), (BOB, 1), (CAROL, 1)]), &[ALICE, BOB, CAROL]).await;
    assert_eq!(outcomes, [(ALICE, Outcome::Accepted), (BOB, Outcome::Accepted), (CAROL, Outcome::Refused)]);
    alice.settle().await;
    assert_eq!(got(&mut alice), [(ALICE, 1)]);
    drop(bob);
    let mut bob = place.back(BOB, usize::MAX).await;
    assert_eq!(bob.subscribe(0, 16).await.waiting, 0);
}

#[tokio::test]
async fn a_full_mailbox_is_an_outcome_and_disturbs_no_other_recipient() {
    let rules = Rules { quota: Quota { bytes: 1 << 20, envelopes: 20 }, ..Rules::default() };
    let place = Place::over(MemoryStore::new(rules), settings());
    let (_alice, mut bob) = (place.owner(ALICE).await, place.owner(BOB).await);
    let mut sender = place.connect(usize::MAX);
    // The contacts' share is 40% of 20 envelopes.
    for number in 1..=8 {
        assert_eq!(
            post(&mut sender, fan_out(number, Ttl::Day, &[(ALICE, 1)]), &[ALICE]).await,
            [(ALICE, Outcome::Accepted)]
        );
    }
    let outcomes = post(&mut sender, fan_out(9, Ttl::Day, &[(ALICE, 1), (BOB, 1)]), &[ALICE, BOB]).await;
    assert_eq!(outcomes, [(ALICE, Outcome::LaneFull), (BOB, Outcome::Accepted)]);
    assert_eq!(bob.subscribe(0, 16).await.waiting, 1);
}

#[tokio::test]
async fn more_recipients_than_announced_are_too_many_and_nothing_is_done() {
    let mut few = settings();
    few.limits.fan_out_recipients = 1;
    let place = Place::over(MemoryStore::new(Rules::default()), few);
    let mut alice = place.owner(ALICE).await;
    drop(place.owner(BOB).await);
    let mut sender = place.connect(usize::MAX);
    let two = RelayRequest::FanOut(fan_out(1, Ttl::Day, &[(ALICE, 1), (BOB, 1)]));
    assert_eq!(sender.code(two).await, ErrorCode::TooManyRecipients);
    assert_eq!(alice.subscribe(0, 16).await.waiting, 0);
}
