//! Spec §17.3: what enters, once, and what does not.
use std::sync::Arc;

use waxwing_relay::store::{PutError, Quota, Rules, Store, Unavailable, Via, Watcher};
use waxwing_wire::{
    padding::EnvelopeSize,
    relay::{LaneNumber, NewLane},
};

use super::Subject;
use crate::scene::{CONTACTS, DAY, Ear, HOUR, Heard, NOW, Owner, after, envelope, put};

super::conformance!(
    what_is_put_waits_in_order_and_whole,
    e7_the_same_put_again_is_stored_once,
    other_bytes_under_a_delivery_id_are_a_conflict,
    after_an_ack_a_delivery_id_is_remembered_for_a_day,
    e3_a_flood_fills_its_own_lane_and_no_other,
    what_is_acked_makes_room,
    e3_all_mailboxes_together_hold_no_more_than_they_may,
    the_owner_hears_once_that_a_lane_is_full_until_there_is_room_again,
    strangers_have_256_envelopes_and_tokens_64_each,
    introductions_and_strangers_send_no_large_envelopes,
    an_online_envelope_is_shown_and_never_stored,
    a_refused_put_changes_nothing,
);

const ALICE: Owner = Owner(1);
const BOB: Owner = Owner(2);

async fn what_is_put_waits_in_order_and_whole<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    ALICE.with_contacts(store).await;
    BOB.with_contacts(store).await;
    for (number, size) in (0..).zip(EnvelopeSize::ALL) {
        assert_eq!(put(store, ALICE.sized(number, size), NOW).await, Ok(false));
        BOB.put(store, 100 + number).await;
    }
    assert_eq!(ALICE.waiting(store, NOW).await, [(1, 0), (2, 1), (3, 2), (4, 3), (5, 4), (6, 5)]);
    assert_eq!(BOB.numbers(store, NOW).await, [100, 101, 102, 103, 104, 105]);
    let state = store.state(&ALICE.mailbox(), NOW).await.unwrap();
    let bytes: usize = EnvelopeSize::ALL.iter().map(|size| size.bytes()).sum();
    assert_eq!((state.envelopes, state.bytes, state.oldest, state.newest), (6, bytes as u64, 1, 6));
}

async fn e7_the_same_put_again_is_stored_once<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    ALICE.with_contacts(store).await;
    let ear = Arc::new(Ear::default());
    store.watch(&ALICE.mailbox(), 0, Arc::clone(&ear) as Arc<dyn Watcher>, NOW).await.unwrap();
    // At once, before the first is on stable storage, and after it is.
    let first = store.put(ALICE.envelope(1), NOW).await.unwrap();
    let second = store.put(ALICE.envelope(1), NOW).await.unwrap();
    assert!(!first.repeated && second.repeated);
    second.commit.await.unwrap();
    first.commit.await.unwrap();
    assert_eq!(put(store, ALICE.envelope(1), NOW).await, Ok(true));
    assert_eq!(ALICE.numbers(store, NOW).await, [1]);
    assert_eq!(ear.heard().len(), 1);
    // By another lane it is still the same.
    ALICE.lane(store, NewLane::Own, 3).await;
    let mut own = ALICE.envelope(1);
    own.via = Via::Lane(ALICE.key(3));
    assert_eq!(put(store, own, NOW).await, Ok(true));
    // In another mailbox it is not.
    BOB.with_contacts(store).await;
    assert_eq!(put(store, BOB.envelope(1), NOW).await, Ok(false));
}

async fn other_bytes_under_a_delivery_id_are_a_conflict<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    ALICE.with_contacts(store).await;
    ALICE.put(store, 1).await;
    let mut other = ALICE.envelope(2);
    other.delivery = ALICE.envelope(1).delivery;
    assert_eq!(put(store, other.clone(), NOW).await, Err(PutError::Conflict));
    ALICE.ack(store, 1, &[]).await;
    assert_eq!(put(store, other, NOW).await, Err(PutError::Conflict), "while the acked one is remembered");
    assert_eq!(ALICE.numbers(store, NOW).await, [0_u64; 0]);
}

async fn after_an_ack_a_delivery_id_is_remembered_for_a_day<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    ALICE.with_contacts(store).await;
    ALICE.put(store, 1).await;
    ALICE.ack(store, 1, &[]).await;
    assert_eq!(put(store, ALICE.envelope(1), after(23 * HOUR)).await, Ok(true));
    assert_eq!(ALICE.numbers(store, NOW).await, [0_u64; 0]);
    assert_eq!(put(store, ALICE.envelope(1), after(3 * DAY)).await, Ok(false));
    assert_eq!(ALICE.waiting(store, NOW).await, [(2, 1)]);
}

/// Room for two envelopes of 2,560 bytes in each of the small pools.
fn small() -> Rules {
    Rules { quota: Quota { bytes: 2_560 * 40, envelopes: 1_000 }, ..Rules::default() }
}

async fn e3_a_flood_fills_its_own_lane_and_no_other<S: Subject>() {
    let subject = S::new(small()).await;
    let store = subject.store();
    let contacts = ALICE.with_contacts(store).await;
    let lanes = [(NewLane::Groups, 2, 14), (NewLane::Own, 3, 6)];
    for (lane, key, _) in lanes {
        ALICE.lane(store, lane, key).await;
    }
    let mut accepted = 0;
    for number in 0..10 * 16 {
        match put(store, ALICE.envelope(number), NOW).await {
            Ok(repeated) => accepted += u32::from(!repeated),
            Err(error) => assert!(matches!(error, PutError::LaneFull { .. }), "{error}"),
        }
    }
    assert_eq!(accepted, 16, "40% of 40 envelopes");
    let vias = lanes.map(|(_, key, room)| (Via::Lane(ALICE.key(key)), room)).into_iter();
    for (lane, (via, room)) in (1_u64..).zip(vias.chain([(Via::Strangers, 2)])) {
        for number in 0..room + 1 {
            let mut other = ALICE.envelope(lane * 1_000 + number);
            other.via = via;
            let put = put(store, other, NOW).await;
            assert_eq!(put.is_ok(), number < room, "{number} of {room} by {via:?}: {put:?}");
        }
    }
    let state = store.state(&ALICE.mailbox(), NOW).await.unwrap();
    let lane = state.lanes.iter().find(|lane| lane.lane == contacts).unwrap();
    assert_eq!((lane.envelopes, lane.bytes, lane.turned_away), (16, 16 * 2_560, 144));
    assert_eq!(state.envelopes, 16 + 14 + 6 + 2);
}

async fn what_is_acked_makes_room<S: Subject>() {
    let subject = S::new(small()).await;
    let store = subject.store();
    ALICE.with_contacts(store).await;
    for number in 0..16 {
        ALICE.put(store, number).await;
    }
    let full = put(store, ALICE.envelope(16), after(DAY * 10)).await;
    assert_eq!(full, Err(PutError::LaneFull { retry_after: Some(std::time::Duration::from_secs(4 * 86_400)) }));
    let full = put(store, ALICE.envelope(16), NOW).await;
    assert!(matches!(full, Err(PutError::LaneFull { retry_after: None })), "14 days is no answer: {full:?}");
    ALICE.ack(store, 0, &[7]).await;
    assert_eq!(put(store, ALICE.envelope(16), NOW).await, Ok(false));
    assert!(put(store, ALICE.envelope(17), NOW).await.is_err());
}

async fn e3_all_mailboxes_together_hold_no_more_than_they_may<S: Subject>() {
    let each = EnvelopeSize::B2560.bytes();
    let subject = S::new(Rules { total: 4 * u64::try_from(each).unwrap(), ..Rules::default() }).await;
    let store = subject.store();
    for owner in [ALICE, BOB] {
        owner.with_contacts(store).await;
        owner.put(store, 1).await;
        owner.put(store, 2).await;
    }
    let full = || async { put(store, ALICE.envelope(3), NOW).await };
    assert_eq!(full().await, Err(PutError::Unavailable(Unavailable)));
    // What is there already needs no room, and nobody learns anything of a mailbox that is not there.
    assert_eq!(put(store, ALICE.envelope(2), NOW).await, Ok(true));
    assert_eq!(put(store, Owner(3).envelope(1), NOW).await, Err(PutError::Refused));
    // Whatever makes room makes it for everybody: an ack, an end, a mailbox that goes.
    BOB.ack(store, 1, &[]).await;
    assert_eq!(full().await, Ok(false));
    assert!(put(store, ALICE.envelope(4), NOW).await.is_err());
    assert_eq!(store.stats().envelope_bytes, 4 * u64::try_from(each).unwrap());
    store.delete_mailbox(&BOB.mailbox(), NOW).await.unwrap();
    ALICE.put(store, 4).await;
    assert!(put(store, ALICE.envelope(5), NOW).await.is_err());
    for number in 5..9 {
        assert_eq!(put(store, ALICE.envelope(number), after(15 * DAY)).await, Ok(false), "all others have ended");
    }
    assert!(put(store, ALICE.envelope(9), after(15 * DAY)).await.is_err());
}

async fn the_owner_hears_once_that_a_lane_is_full_until_there_is_room_again<S: Subject>() {
    let subject = S::new(small()).await;
    let store = subject.store();
    let lane = ALICE.with_contacts(store).await;
    for number in 0..16 {
        ALICE.put(store, number).await;
    }
    let ear = Arc::new(Ear::default());
    store.watch(&ALICE.mailbox(), 0, Arc::clone(&ear) as Arc<dyn Watcher>, NOW).await.unwrap();
    for number in 16..20 {
        put(store, ALICE.envelope(number), NOW).await.unwrap_err();
    }
    assert_eq!(ear.heard(), [Heard::LaneFull { lane, turned_away: 1 }]);
    ALICE.ack(store, 1, &[]).await;
    ALICE.put(store, 20).await;
    put(store, ALICE.envelope(21), NOW).await.unwrap_err();
    let admitted = Heard::Admitted { sequence: 17, number: 20, lane };
    assert_eq!(ear.heard(), [admitted, Heard::LaneFull { lane, turned_away: 5 }]);
}

async fn strangers_have_256_envelopes_and_tokens_64_each<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    ALICE.create(store).await;
    ALICE.lane(store, NewLane::Introduction, 5).await;
    for (offset, via, room) in [(0, Via::Strangers, 256), (1_000, Via::Lane(ALICE.key(5)), 64)] {
        for number in 0..room + 1 {
            let mut one = ALICE.envelope(offset + number);
            one.via = via;
            assert_eq!(put(store, one, NOW).await.is_ok(), number < room, "{number} by {via:?}");
        }
    }
    // Acks make room for strangers; a token has admitted what it does.
    let newest = store.state(&ALICE.mailbox(), NOW).await.unwrap().newest;
    ALICE.ack(store, newest, &[]).await;
    for (number, via, admitted) in [(2_000, Via::Strangers, true), (2_001, Via::Lane(ALICE.key(5)), false)] {
        let mut one = ALICE.envelope(number);
        one.via = via;
        assert_eq!(put(store, one, NOW).await.is_ok(), admitted, "{via:?}");
    }
}

async fn introductions_and_strangers_send_no_large_envelopes<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    ALICE.with_contacts(store).await;
    ALICE.lane(store, NewLane::Introduction, 5).await;
    for (lane, via) in (0..).zip([Via::Strangers, Via::Lane(ALICE.key(5)), Via::Lane(ALICE.key(CONTACTS))]) {
        for (number, size) in (0..).zip(EnvelopeSize::ALL) {
            let mut one = ALICE.sized(lane * 10 + number, size);
            one.via = via;
            let fits = size <= EnvelopeSize::B16384 || lane == 2;
            let expected = if fits { Ok(()) } else { Err(PutError::Size) };
            assert_eq!(store.put_online(one.clone(), NOW), expected, "online");
            assert_eq!(put(store, one, NOW).await.map(drop), expected, "{size:?} by {via:?}");
        }
    }
}

async fn an_online_envelope_is_shown_and_never_stored<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    let lane = ALICE.with_contacts(store).await;
    assert_eq!(store.put_online(ALICE.envelope(1), NOW), Ok(()), "alike, whether or not somebody is there");
    let ear = Arc::new(Ear::default());
    store.watch(&ALICE.mailbox(), 0, Arc::clone(&ear) as Arc<dyn Watcher>, NOW).await.unwrap();
    assert_eq!(store.put_online(ALICE.envelope(2), NOW), Ok(()));
    let mut wrong = ALICE.envelope(3);
    wrong.via = Via::Lane(ALICE.key(99));
    assert_eq!(store.put_online(wrong, NOW), Err(PutError::Refused));
    assert_eq!(ear.heard(), [Heard::Online { number: 2, lane }]);
    assert_eq!(ALICE.numbers(store, NOW).await, [0_u64; 0]);
    assert_eq!(store.state(&ALICE.mailbox(), NOW).await.unwrap().newest, 0);
}

async fn a_refused_put_changes_nothing<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    ALICE.with_contacts(store).await;
    ALICE.put(store, 1).await;
    let ear = Arc::new(Ear::default());
    store.watch(&ALICE.mailbox(), 0, Arc::clone(&ear) as Arc<dyn Watcher>, NOW).await.unwrap();
    let before = store.state(&ALICE.mailbox(), NOW).await.unwrap();
    let mut wrong_key = ALICE.envelope(2);
    wrong_key.via = Via::Lane(BOB.key(CONTACTS));
    assert_eq!(put(store, wrong_key, NOW).await, Err(PutError::Refused));
    let mut conflict = ALICE.envelope(3);
    conflict.delivery = ALICE.envelope(1).delivery;
    assert_eq!(put(store, conflict, NOW).await, Err(PutError::Conflict));
    assert_eq!(store.state(&ALICE.mailbox(), NOW).await.unwrap(), before);
    assert_eq!(before.lanes.iter().map(|lane| lane.lane).collect::<Vec<_>>(), [LaneNumber(0), LaneNumber(1)]);
    assert_eq!(ear.heard(), []);
    // Not even its identity is remembered.
    ALICE.put(store, 2).await;
    assert_eq!(envelope(2, EnvelopeSize::B2560).hash(), ALICE.envelope(2).hash);
    assert_eq!(ALICE.waiting(store, NOW).await, [(1, 1), (2, 2)]);
}
