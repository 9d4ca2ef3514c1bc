//! Spec §17.6: what is past its time is gone, whether or not anybody looked.
use waxwing_relay::store::{Life, Quota, Rules, Store};

use super::Subject;
use crate::scene::{DAY, NOW, Owner, after, put};

super::conformance!(
    an_envelope_ends_after_its_life_to_the_millisecond,
    what_has_ended_makes_room_without_anybody_looking,
    expiry_goes_in_bounded_pieces_and_leaves_what_has_not_ended,
);

const ALICE: Owner = Owner(1);

async fn an_envelope_ends_after_its_life_to_the_millisecond<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    ALICE.with_contacts(store).await;
    for (number, life) in [(1, Life::Fortnight), (2, Life::Day), (3, Life::Fortnight)] {
        let mut one = ALICE.envelope(number);
        one.life = life;
        put(store, one, NOW).await.unwrap();
    }
    assert_eq!(ALICE.numbers(store, after(DAY - 1)).await, [1, 2, 3]);
    assert_eq!(ALICE.numbers(store, after(DAY)).await, [1, 3]);
    assert_eq!(ALICE.numbers(store, after(14 * DAY - 1)).await, [1, 3]);
    let state = store.state(&ALICE.mailbox(), after(14 * DAY)).await.unwrap();
    assert_eq!((state.envelopes, state.bytes, state.oldest, state.newest), (0, 0, 0, 3));
}

async fn what_has_ended_makes_room_without_anybody_looking<S: Subject>() {
    let subject = S::new(Rules { quota: Quota { bytes: 2_560 * 10, envelopes: 100 }, ..Rules::default() }).await;
    let store = subject.store();
    ALICE.with_contacts(store).await;
    for number in 0..4 {
        let mut one = ALICE.envelope(number);
        one.life = Life::Day;
        put(store, one, NOW).await.unwrap();
    }
    put(store, ALICE.envelope(4), after(DAY - 1)).await.unwrap_err();
    put(store, ALICE.envelope(4), after(DAY)).await.unwrap();
    assert_eq!(ALICE.numbers(store, after(DAY)).await, [4]);
}

async fn expiry_goes_in_bounded_pieces_and_leaves_what_has_not_ended<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    let owners: Vec<_> = (1..=200).map(Owner).collect();
    for owner in &owners {
        owner.with_contacts(store).await;
        let mut day = owner.envelope(1);
        day.life = Life::Day;
        put(store, day, NOW).await.unwrap();
        owner.put(store, 2).await;
    }
    assert!(!store.expire(after(DAY - 1)).await.unwrap());
    let mut calls = 1;
    while store.expire(after(DAY)).await.unwrap() {
        calls += 1;
    }
    assert!(calls > 1, "200 mailboxes are not one piece");
    for owner in &owners {
        assert_eq!(owner.numbers(store, NOW).await, [2], "gone for good, whatever the clock says now");
    }
    while store.expire(after(14 * DAY)).await.unwrap() {}
    for owner in &owners {
        assert_eq!(owner.numbers(store, NOW).await, [0_u64; 0]);
    }
}
