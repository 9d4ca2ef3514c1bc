//! Spec §17.2: lanes come, split, rotate and end.
use waxwing_relay::store::{LaneError, PutError, Quota, Rules, Store, Via};
use waxwing_wire::{
    frame::ErrorCode,
    relay::{AddLane, EndLane, LaneKind, LaneNumber, NewLane, RotateLane},
    time::Timestamp,
};

use super::Subject;
use crate::scene::{CONTACTS, DAY, NOW, Owner, after, put};

super::conformance!(
    a_mailbox_is_made_with_the_strangers_lane_alone,
    lanes_have_numbers_that_are_never_used_again,
    adding_the_same_lane_twice_is_adding_it_once,
    one_live_lane_of_each_audience_eight_open_ones_sixteen_in_all,
    a_rotated_key_goes_on_until_its_end_at_the_strangers_share,
    an_ended_lane_admits_nobody_and_keeps_what_waits,
    a_split_has_half_of_what_it_splits,
    the_strangers_lane_cannot_be_ended,
);

const ALICE: Owner = Owner(1);

fn rule(code: ErrorCode) -> LaneError {
    LaneError::Rule(code)
}

async fn add(
    store: &impl Store,
    lane: NewLane,
    key: u8,
    ends: Option<Timestamp>,
    now: Timestamp,
) -> Result<LaneNumber, LaneError> {
    store.add_lane(&ALICE.mailbox(), AddLane { lane, hash: ALICE.key(key), ends }, now).await
}

async fn rotate(
    store: &impl Store,
    lane: LaneNumber,
    key: u8,
    old_ends: Timestamp,
    now: Timestamp,
) -> Result<LaneNumber, LaneError> {
    store.rotate_lane(&ALICE.mailbox(), RotateLane { lane, hash: ALICE.key(key), old_ends }, now).await
}

async fn end(store: &impl Store, lane: LaneNumber, ends: Timestamp, now: Timestamp) -> Result<(), LaneError> {
    store.end_lane(&ALICE.mailbox(), EndLane { lane, ends }, now).await
}

async fn put_by(store: &impl Store, key: u8, number: u64, now: Timestamp) -> Result<bool, PutError> {
    let mut one = ALICE.envelope(number);
    one.via = Via::Lane(ALICE.key(key));
    put(store, one, now).await
}

async fn listed(store: &impl Store, now: Timestamp) -> Vec<(u32, LaneKind, Option<Timestamp>)> {
    let state = store.state(&ALICE.mailbox(), now).await.unwrap();
    state.lanes.iter().map(|lane| (lane.lane.0, lane.kind, lane.ends)).collect()
}

async fn a_mailbox_is_made_with_the_strangers_lane_alone<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    ALICE.create(store).await;
    assert_eq!(listed(store, NOW).await, [(0, LaneKind::Strangers, None)]);
    let mut one = ALICE.envelope(1);
    one.via = Via::Strangers;
    assert_eq!(put(store, one, NOW).await, Ok(false));
}

async fn lanes_have_numbers_that_are_never_used_again<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    ALICE.create(store).await;
    for number in 1..=5 {
        let lane = add(store, NewLane::Contacts, CONTACTS, None, NOW).await.unwrap();
        assert_eq!(lane, LaneNumber(number));
        end(store, lane, NOW, NOW).await.unwrap();
        assert_eq!(listed(store, NOW).await, [(0, LaneKind::Strangers, None)]);
    }
    let rotated = add(store, NewLane::Own, 3, None, NOW).await.unwrap();
    assert_eq!(rotate(store, rotated, 4, NOW, NOW).await, Ok(LaneNumber(7)));
    assert_eq!(listed(store, NOW).await, [(0, LaneKind::Strangers, None), (7, LaneKind::Own, None)]);
    let over = add(store, NewLane::Introduction, 9, Some(NOW), NOW).await;
    assert_eq!(over, Ok(LaneNumber(8)), "a token may be over before it begins");
    assert_eq!(put_by(store, 9, 1, NOW).await, Err(PutError::Refused));
    assert_eq!(add(store, NewLane::Introduction, 9, Some(after(DAY)), NOW).await, Ok(LaneNumber(9)));
}

async fn adding_the_same_lane_twice_is_adding_it_once<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    ALICE.create(store).await;
    let contacts = add(store, NewLane::Contacts, 1, None, NOW).await.unwrap();
    assert_eq!(add(store, NewLane::Contacts, 1, None, NOW).await, Ok(contacts));
    assert_eq!(add(store, NewLane::Groups, 1, None, NOW).await, Err(rule(ErrorCode::Taken)));
    let rotated = rotate(store, contacts, 2, after(DAY), NOW).await.unwrap();
    assert_eq!(rotate(store, contacts, 2, after(DAY), NOW).await, Ok(rotated));
    assert_eq!(rotate(store, rotated, 1, after(DAY), NOW).await, Err(rule(ErrorCode::Taken)));
    assert_eq!(end(store, contacts, after(DAY), NOW).await, Ok(()));
    assert_eq!(listed(store, NOW).await.len(), 3);
}

async fn one_live_lane_of_each_audience_eight_open_ones_sixteen_in_all<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    ALICE.create(store).await;
    for (lane, key) in [(NewLane::Contacts, 1), (NewLane::Groups, 2), (NewLane::Own, 3)] {
        add(store, lane, key, None, NOW).await.unwrap();
        assert_eq!(add(store, lane, key + 100, None, NOW).await, Err(rule(ErrorCode::LaneExists)));
    }
    for key in 10..17 {
        add(store, NewLane::Introduction, key, Some(after(100 * DAY)), NOW).await.unwrap();
    }
    let parent = LaneNumber(1);
    add(store, NewLane::Split { parent }, 17, None, NOW).await.unwrap();
    let exhausted = Err(rule(ErrorCode::LanesExhausted));
    assert_eq!(add(store, NewLane::Split { parent }, 18, None, NOW).await, exhausted);
    assert_eq!(add(store, NewLane::Introduction, 18, Some(after(DAY)), NOW).await, exhausted);
    let none = Err(rule(ErrorCode::NoSuchLane));
    assert_eq!(add(store, NewLane::Split { parent: LaneNumber(99) }, 18, None, NOW).await, none);
    assert_eq!(add(store, NewLane::Split { parent: LaneNumber(4) }, 18, None, NOW).await, none, "of a token");

    // Eleven so far. Five ending ones fill it; for the sixth, the one nearest its end goes.
    for day in 1..=5 {
        add(store, NewLane::Contacts, 20 + day, Some(after(u64::from(10 - day) * DAY)), NOW).await.unwrap();
    }
    assert_eq!(listed(store, NOW).await.len(), 17);
    let rotated = rotate(store, LaneNumber(2), 30, after(8 * DAY), NOW).await.unwrap();
    let lanes = listed(store, NOW).await;
    assert_eq!(lanes.len(), 17);
    assert_eq!(lanes.last(), Some(&(rotated.0, LaneKind::Groups, None)));
    assert_eq!(put_by(store, 25, 1, NOW).await, Err(PutError::Refused), "it ended in 5 days");
    assert_eq!(put_by(store, 24, 1, NOW).await, Ok(false), "it ends in 6");
    assert_eq!(put_by(store, 2, 2, NOW).await, Ok(false), "the groups' old key ends in 8");
}

async fn a_rotated_key_goes_on_until_its_end_at_the_strangers_share<S: Subject>() {
    // 40 envelopes in all: contacts have 16, strangers 2.
    let subject = S::new(Rules { quota: Quota { bytes: 2_560 * 40, envelopes: 1_000 }, ..Rules::default() }).await;
    let store = subject.store();
    let old = ALICE.with_contacts(store).await;
    let new = rotate(store, old, 2, after(100 * DAY), NOW).await.unwrap();
    let (contacts, kept) = (LaneKind::Contacts, Some(after(14 * DAY)));
    let strangers = (0, LaneKind::Strangers, None);
    assert_eq!(listed(store, NOW).await, [strangers, (old.0, contacts, kept), (new.0, contacts, None)]);
    assert_eq!(rotate(store, old, 3, after(DAY), NOW).await, Err(rule(ErrorCode::NoSuchLane)), "it ends already");
    assert_eq!(put_by(store, CONTACTS, 1, NOW).await, Ok(false));
    assert_eq!(put_by(store, CONTACTS, 2, NOW).await, Ok(false));
    assert!(matches!(put_by(store, CONTACTS, 3, NOW).await, Err(PutError::LaneFull { .. })));
    for number in 10..24 {
        assert_eq!(put_by(store, 2, number, NOW).await, Ok(false), "{number}");
    }
    assert!(matches!(put_by(store, 2, 24, NOW).await, Err(PutError::LaneFull { .. })), "both are the contacts' share");
    ALICE.ack(store, 16, &[]).await;
    assert_eq!(put_by(store, CONTACTS, 4, after(14 * DAY - 1)).await, Ok(false));
    assert_eq!(put_by(store, CONTACTS, 5, after(14 * DAY)).await, Err(PutError::Refused));
    assert_eq!(listed(store, after(14 * DAY)).await, [strangers, (new.0, contacts, None)]);
    assert_eq!(end(store, old, NOW, after(14 * DAY)).await, Err(rule(ErrorCode::NoSuchLane)));
}

async fn an_ended_lane_admits_nobody_and_keeps_what_waits<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    let lane = ALICE.with_contacts(store).await;
    ALICE.put(store, 1).await;
    end(store, lane, after(DAY), NOW).await.unwrap();
    assert_eq!(put_by(store, CONTACTS, 2, NOW).await, Ok(false));
    end(store, lane, NOW, NOW).await.unwrap();
    assert_eq!(put_by(store, CONTACTS, 3, NOW).await, Err(PutError::Refused));
    assert_eq!(put_by(store, CONTACTS, 1, NOW).await, Err(PutError::Refused), "even what was put before");
    assert_eq!(ALICE.numbers(store, NOW).await, [1, 2]);
    assert_eq!(store.state(&ALICE.mailbox(), NOW).await.unwrap().envelopes, 2);
    ALICE.ack(store, 2, &[]).await;
    assert_eq!(store.state(&ALICE.mailbox(), NOW).await.unwrap().bytes, 0);
}

async fn a_split_has_half_of_what_it_splits<S: Subject>() {
    // Contacts have 16 envelopes of 40.
    let subject = S::new(Rules { quota: Quota { bytes: 2_560 * 40, envelopes: 1_000 }, ..Rules::default() }).await;
    let store = subject.store();
    let parent = ALICE.with_contacts(store).await;
    let halves = [2, 3];
    let mut lanes = Vec::new();
    for key in halves {
        lanes.push(add(store, NewLane::Split { parent }, key, None, NOW).await.unwrap());
    }
    let third = add(store, NewLane::Split { parent }, 4, None, NOW).await;
    assert_eq!(third, Err(rule(ErrorCode::LanesExhausted)), "a lane has two halves");
    end(store, parent, NOW, NOW).await.unwrap();
    // The flooder is among the holders of the first: split it again.
    let (one, two) = (lanes[0], lanes[1]);
    assert_ne!(one, two);
    let quarters = [5, 6];
    for key in quarters {
        add(store, NewLane::Split { parent: one }, key, None, NOW).await.unwrap();
    }
    end(store, one, NOW, NOW).await.unwrap();
    for (key, room) in [(5, 4), (3, 8), (6, 4)] {
        for number in 0..room + 1 {
            let put = put_by(store, key, u64::from(key) * 100 + number, NOW).await;
            assert_eq!(put.is_ok(), number < room, "{number} of {room} by key {key}: {put:?}");
        }
    }
    assert_eq!(store.state(&ALICE.mailbox(), NOW).await.unwrap().envelopes, 16);
}

async fn the_strangers_lane_cannot_be_ended<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    ALICE.create(store).await;
    let none = Err(rule(ErrorCode::NoSuchLane));
    assert_eq!(end(store, LaneNumber::STRANGERS, NOW, NOW).await, none);
    assert_eq!(end(store, LaneNumber(1), NOW, NOW).await, none);
    assert_eq!(rotate(store, LaneNumber::STRANGERS, 1, NOW, NOW).await, Err(rule(ErrorCode::NoSuchLane)));
}
