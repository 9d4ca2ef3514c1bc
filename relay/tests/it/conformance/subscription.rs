//! Spec §17.4: numbers, reading, listening, acks.
use std::sync::Arc;

use waxwing_relay::store::{AckError, Rules, Store, WatchError, Watched, Watcher};
use waxwing_wire::relay::Ack;

use super::Subject;
use crate::scene::{Ear, Heard, NOW, Owner};

super::conformance!(
    a_watcher_hears_what_comes_after_it_was_told_the_newest_number,
    one_watcher_at_a_time,
    reading_goes_from_the_cursor_to_the_end_and_takes_no_more_than_asked,
    acks_are_cumulative_and_selective_and_may_be_repeated,
    an_ack_for_what_was_never_given_changes_nothing,
    a_cursor_ahead_of_the_mailbox_is_told,
    numbers_are_not_given_again_when_everything_is_acked,
);

const ALICE: Owner = Owner(1);

async fn a_watcher_hears_what_comes_after_it_was_told_the_newest_number<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    let lane = ALICE.with_contacts(store).await;
    for number in 1..=4 {
        ALICE.put(store, number).await;
    }
    ALICE.ack(store, 0, &[2]).await;
    let ear = Arc::new(Ear::default());
    let watcher: Arc<dyn Watcher> = Arc::clone(&ear) as _;
    let watched = store.watch(&ALICE.mailbox(), 1, Arc::clone(&watcher), NOW).await.unwrap();
    assert_eq!(watched, Watched { newest: 4, waiting: 2 });
    // Heard at once, before the commit.
    let admitted = store.put(ALICE.envelope(5), NOW).await.unwrap();
    assert_eq!(ear.heard(), [Heard::Admitted { sequence: 5, number: 5, lane }]);
    // And read at once.
    assert_eq!(ALICE.waiting(store, NOW).await, [(1, 1), (3, 3), (4, 4), (5, 5)]);
    admitted.commit.await.unwrap();
    assert_eq!(ALICE.waiting(store, NOW).await, [(1, 1), (3, 3), (4, 4), (5, 5)]);

    store.unwatch(&ALICE.mailbox(), &watcher);
    ALICE.put(store, 6).await;
    assert_eq!(ear.heard(), []);
}

async fn one_watcher_at_a_time<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    ALICE.with_contacts(store).await;
    let ears = [Arc::new(Ear::default()), Arc::new(Ear::default())];
    let watchers = ears.clone().map(|ear| ear as Arc<dyn Watcher>);
    store.watch(&ALICE.mailbox(), 0, Arc::clone(&watchers[0]), NOW).await.unwrap();
    store.watch(&ALICE.mailbox(), 0, Arc::clone(&watchers[1]), NOW).await.unwrap();
    assert_eq!(ears[0].heard(), [Heard::Superseded]);
    // The one before takes nobody else away.
    store.unwatch(&ALICE.mailbox(), &watchers[0]);
    ALICE.put(store, 1).await;
    assert_eq!((ears[0].heard().len(), ears[1].heard().len()), (0, 1));
}

async fn reading_goes_from_the_cursor_to_the_end_and_takes_no_more_than_asked<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    ALICE.with_contacts(store).await;
    for number in 1..=9 {
        ALICE.put(store, number).await;
    }
    ALICE.ack(store, 2, &[5]).await;
    for (after, up_to, most, expected) in [
        (0, u64::MAX, u32::MAX, vec![3, 4, 6, 7, 8, 9]),
        (3, 8, u32::MAX, vec![4, 6, 7, 8]),
        (0, u64::MAX, 3, vec![3, 4, 6]),
        (4, 5, 9, vec![]),
        (9, u64::MAX, 9, vec![]),
        (u64::MAX, 0, 9, vec![]),
        (0, 9, 0, vec![]),
    ] {
        let read = store.read(&ALICE.mailbox(), after, up_to, most, NOW).await.unwrap();
        let sequences: Vec<_> = read.iter().map(|one| one.sequence).collect();
        assert_eq!(sequences, expected, "after {after} up to {up_to}, at most {most}");
    }
}

async fn acks_are_cumulative_and_selective_and_may_be_repeated<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    ALICE.with_contacts(store).await;
    for number in 1..=8 {
        ALICE.put(store, number).await;
    }
    for _ in 0..2 {
        ALICE.ack(store, 3, &[5, 7]).await;
        assert_eq!(ALICE.numbers(store, NOW).await, [4, 6, 8]);
    }
    ALICE.ack(store, 1, &[]).await;
    assert_eq!(ALICE.numbers(store, NOW).await, [4, 6, 8]);
    let state = store.state(&ALICE.mailbox(), NOW).await.unwrap();
    assert_eq!((state.envelopes, state.bytes, state.oldest, state.newest), (3, 3 * 2_560, 4, 8));
    ALICE.ack(store, 8, &[]).await;
    let state = store.state(&ALICE.mailbox(), NOW).await.unwrap();
    assert_eq!((state.envelopes, state.bytes, state.oldest, state.newest), (0, 0, 0, 8));
}

async fn an_ack_for_what_was_never_given_changes_nothing<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    ALICE.with_contacts(store).await;
    ALICE.put(store, 1).await;
    for (up_to, also) in [(2, vec![]), (1, vec![2]), (u64::MAX, vec![])] {
        let ack = Ack::new(up_to, also).unwrap();
        assert_eq!(store.ack(&ALICE.mailbox(), &ack, NOW).await.unwrap_err(), AckError::CursorAhead);
    }
    assert_eq!(ALICE.numbers(store, NOW).await, [1]);
}

async fn a_cursor_ahead_of_the_mailbox_is_told<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    ALICE.with_contacts(store).await;
    ALICE.put(store, 1).await;
    let ears = [Arc::new(Ear::default()), Arc::new(Ear::default())];
    let watchers = ears.clone().map(|ear| ear as Arc<dyn Watcher>);
    store.watch(&ALICE.mailbox(), 1, Arc::clone(&watchers[0]), NOW).await.unwrap();
    let ahead = store.watch(&ALICE.mailbox(), 2, Arc::clone(&watchers[1]), NOW).await;
    assert_eq!(ahead, Err(WatchError::CursorAhead));
    assert_eq!(ears[0].heard(), [], "the one that watches goes on");
}

async fn numbers_are_not_given_again_when_everything_is_acked<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    ALICE.with_contacts(store).await;
    for number in 1..=40 {
        ALICE.put(store, number).await;
        ALICE.ack(store, number, &[]).await;
    }
    ALICE.put(store, 41).await;
    assert_eq!(ALICE.waiting(store, NOW).await, [(41, 41)]);
}
