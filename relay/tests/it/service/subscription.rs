//! Spec §17.14: what a subscription pushes, where, and how far.
use waxwing_relay::store::{MemoryStore, Rules};
use waxwing_wire::{
    frame::ErrorCode,
    relay::{BacklogEnd, LaneFull, LaneNumber, RelayPush, RelayReply, RelayRequest, Subscribed},
};

use super::desk::{Phone, Place, ack, place, put, settings, subscribe};

const ALICE: u8 = 1;

async fn fill<S: waxwing_relay::store::Store>(place: &Place<S>, numbers: std::ops::RangeInclusive<u64>) {
    let mut sender = place.connect(usize::MAX);
    for number in numbers {
        assert_eq!(sender.call(RelayRequest::Put(put(ALICE, number))).await, Ok(RelayReply::Done));
    }
}

fn backlog_end(phone: &mut Phone<MemoryStore>) -> Option<u64> {
    let ends = |push: &RelayPush| match push {
        RelayPush::BacklogEnd(BacklogEnd { sequence }) => Some(*sequence),
        _ => None,
    };
    phone.backlog.iter().chain(&phone.control).find_map(ends)
}

#[tokio::test]
async fn what_waited_comes_on_the_backlog_stream_and_what_is_new_on_control() {
    let place = place();
    let mut alice = place.owner(ALICE).await;
    fill(&place, 1..=3).await;
    assert_eq!(alice.subscribe(1, 16).await, Subscribed { newest: 3, waiting: 2 });
    fill(&place, 4..=5).await;
    alice.settle().await;
    assert_eq!(backlog_end(&mut alice), Some(3));
    assert_eq!(alice.deliveries(), (vec![4, 5], vec![2, 3]));
}

#[tokio::test]
async fn without_a_backlog_stream_everything_comes_on_control() {
    let place = place();
    drop(place.owner(ALICE).await);
    fill(&place, 1..=3).await;
    let mut alice = place.connect_without_backlog(usize::MAX);
    assert_eq!(alice.call(alice.authenticate(ALICE)).await, Ok(RelayReply::Done));
    alice.subscribe(0, 16).await;
    alice.settle().await;
    assert_eq!(backlog_end(&mut alice), Some(3));
    assert_eq!(alice.deliveries(), (vec![1, 2, 3], vec![]));
}

#[tokio::test]
async fn an_empty_backlog_ends_at_once() {
    let place = place();
    let mut alice = place.owner(ALICE).await;
    assert_eq!(alice.subscribe(0, 1).await, Subscribed { newest: 0, waiting: 0 });
    alice.settle().await;
    assert_eq!(backlog_end(&mut alice), Some(0));
}

#[tokio::test]
async fn an_ack_over_another_connection_frees_the_window_too() {
    let place = place();
    let mut alice = place.owner(ALICE).await;
    alice.subscribe(0, 2).await;
    fill(&place, 1..=5).await;
    alice.settle().await;
    assert_eq!(alice.deliveries().0, [1, 2]);
    let mut elsewhere = place.back(ALICE, usize::MAX).await;
    assert!(elsewhere.call(ack(2, &[])).await.is_ok());
    alice.settle().await;
    assert_eq!(alice.deliveries().0, [3, 4]);
}

#[tokio::test]
async fn no_more_than_the_window_is_without_an_ack_and_acks_free_it() {
    let place = place();
    let mut alice = place.owner(ALICE).await;
    alice.subscribe(0, 3).await;
    fill(&place, 1..=200).await;
    alice.settle().await;
    assert_eq!(alice.deliveries().0, [1, 2, 3]);
    assert!(alice.call(ack(0, &[2])).await.is_ok());
    alice.settle().await;
    assert_eq!(alice.deliveries().0, [4]);
    assert!(alice.call(ack(4, &[])).await.is_ok());
    assert!(alice.call(ack(4, &[])).await.is_ok(), "acks may be repeated");
    alice.settle().await;
    assert_eq!(alice.deliveries().0, [5, 6, 7]);
    for up_to in 7..=200 {
        assert!(alice.call(ack(up_to, &[])).await.is_ok());
    }
    alice.settle().await;
    let (live, _) = alice.deliveries();
    assert_eq!(live, (8..=200).collect::<Vec<_>>(), "beyond what is kept in memory it is read from the store");
    assert!(place.relay.counters().read_back() > 0);
}

#[tokio::test]
async fn a_backlog_and_what_is_new_never_stop_each_other() {
    for window in [1, 2, 3] {
        let place = place();
        let mut alice = place.owner(ALICE).await;
        fill(&place, 1..=20).await;
        alice.subscribe(0, window).await;
        fill(&place, 21..=40).await;
        // Acks in the mailbox's order only, as a client may: what is new waits for what is old.
        let (mut seen, mut up_to) = (std::collections::BTreeSet::new(), 0);
        for _ in 0..200 {
            alice.settle().await;
            let (live, backlog) = alice.deliveries();
            seen.extend(live.into_iter().chain(backlog));
            let next = (up_to + 1..).take_while(|number| seen.contains(number)).last();
            let Some(next) = next else { break };
            up_to = next;
            assert!(alice.call(ack(up_to, &[])).await.is_ok());
        }
        assert_eq!(up_to, 40, "window {window}");
    }
}

#[tokio::test]
async fn another_connection_supersedes_and_the_first_hears_nothing_more() {
    let place = place();
    let mut first = place.owner(ALICE).await;
    first.subscribe(0, 16).await;
    let mut second = place.back(ALICE, usize::MAX).await;
    second.subscribe(0, 16).await;
    fill(&place, 1..=2).await;
    first.settle().await;
    second.settle().await;
    assert_eq!(first.control.pop_back(), Some(RelayPush::Superseded));
    assert_eq!((first.deliveries(), second.deliveries()), ((vec![], vec![]), (vec![1, 2], vec![])));
    first.subscribe(0, 16).await;
    first.settle().await;
    second.settle().await;
    assert_eq!(first.deliveries().1, [1, 2], "it may come back");
    assert_eq!(second.control.pop_back(), Some(RelayPush::Superseded));
}

#[tokio::test]
async fn a_second_subscription_of_a_connection_takes_the_place_of_the_first() {
    let place = place();
    let mut alice = place.owner(ALICE).await;
    alice.subscribe(0, 2).await;
    fill(&place, 1..=4).await;
    alice.settle().await;
    assert_eq!(alice.deliveries().0, [1, 2]);
    alice.subscribe(1, 16).await;
    fill(&place, 5..=5).await;
    alice.settle().await;
    assert!(!alice.control.contains(&RelayPush::Superseded));
    assert_eq!(alice.deliveries(), (vec![5], vec![2, 3, 4]));
}

#[tokio::test]
async fn a_slow_client_is_waited_for_and_misses_nothing() {
    let place = place();
    drop(place.owner(ALICE).await);
    let mut alice = place.back(ALICE, 1).await;
    alice.subscribe(0, 1_024).await;
    fill(&place, 1..=300).await;
    let mut seen = Vec::new();
    while seen.len() < 300 {
        alice.settle().await;
        let before = seen.len();
        seen.extend(alice.deliveries().0);
        assert!(seen.len() > before, "stuck after {before}");
        assert!(alice.call(ack(*seen.last().unwrap(), &[])).await.is_ok());
    }
    assert_eq!(seen, (1..=300).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_cursor_or_ack_above_what_was_given_is_ahead() {
    let place = place();
    let mut alice = place.owner(ALICE).await;
    fill(&place, 1..=2).await;
    assert_eq!(alice.code(subscribe(3, 1)).await, ErrorCode::CursorAhead);
    assert_eq!(alice.code(ack(3, &[])).await, ErrorCode::CursorAhead);
    assert_eq!(alice.code(ack(0, &[1, 3])).await, ErrorCode::CursorAhead);
    assert_eq!(alice.subscribe(0, 8).await.waiting, 2, "nothing was forgotten");
}

#[tokio::test]
async fn an_ack_of_what_was_not_pushed_in_this_subscription_does_not_hold_the_window() {
    let place = place();
    let mut alice = place.owner(ALICE).await;
    fill(&place, 1..=6).await;
    alice.subscribe(0, 2).await;
    alice.settle().await;
    assert_eq!(alice.deliveries().1, [1], "half of the window is for what is new");
    assert!(alice.call(ack(0, &[3, 5])).await.is_ok(), "had before");
    assert!(alice.call(ack(1, &[])).await.is_ok());
    alice.settle().await;
    assert_eq!(alice.deliveries().1, [2]);
    assert!(alice.call(ack(2, &[])).await.is_ok());
    alice.settle().await;
    assert_eq!(alice.deliveries().1, [4]);
}

#[tokio::test]
async fn a_lane_that_is_full_is_told_to_its_owner_once() {
    let mut small = settings();
    small.limits.mailbox_envelopes = 20;
    let quota = waxwing_relay::store::Quota { envelopes: 20, ..Default::default() };
    let place = Place::over(MemoryStore::new(Rules { quota, ..Rules::default() }), small);
    let mut alice = place.owner(ALICE).await;
    alice.subscribe(0, 16).await;
    fill(&place, 1..=8).await;
    let mut sender = place.connect(usize::MAX);
    for number in 9..=11 {
        assert_eq!(sender.code(RelayRequest::Put(put(ALICE, number))).await, ErrorCode::LaneFull);
    }
    alice.settle().await;
    let full: Vec<_> = alice.control.iter().filter(|push| matches!(push, RelayPush::LaneFull(_))).collect();
    assert_eq!(full, [&RelayPush::LaneFull(LaneFull { lane: LaneNumber(1), turned_away: 1 })]);
    assert!(alice.call(ack(1, &[])).await.is_ok());
    assert!(sender.call(RelayRequest::Put(put(ALICE, 9))).await.is_ok());
}
