//! What a person asks about this device.
use core::time::Duration;

use waxwing_engine::{Command, ConnectionState, Event, Purpose, TroubleCause, WaitReason, store::Table};
use waxwing_wire::{frame::ErrorCode, time::Timestamp};

use crate::town::Town;

/// The only message that waits: why, and until when.
fn why(town: &Town, of: usize) -> (WaitReason, Option<Timestamp>) {
    let waiting = town.residents[of].engine().waiting();
    assert_eq!(waiting.len(), 1, "{waiting:?}");
    (waiting[0].reason, waiting[0].next_try)
}

fn conversations(purpose: &Purpose) -> bool {
    matches!(purpose, Purpose::Conversation(_))
}

fn directories(purpose: &Purpose) -> bool {
    matches!(purpose, Purpose::Directory(_))
}

#[test]
fn a_message_says_that_the_relay_is_unreachable_and_when_it_is_tried_again() {
    let mut town = Town::with_two_friends();
    let bob = town.account(1);
    assert_eq!(town.residents[0].engine().waiting(), []);
    town.out_of_reach = Some(conversations);
    let id = town.say(0, bob, "hello?");
    let (reason, next_try) = why(&town, 0);
    assert_eq!(reason, WaitReason::RelayUnreachable);
    assert!(next_try.is_some_and(|at| at > town.now && at <= town.now.saturating_add(Duration::from_secs(1))));
    let waiting = town.residents[0].engine().waiting();
    assert_eq!((waiting[0].conversation, waiting[0].id), (bob, id));
    let down = town.residents[0].engine().connections();
    let down = down.iter().find(|one| conversations(&one.link.purpose)).unwrap();
    assert_eq!((down.state, down.failures), (ConnectionState::Down { next_try: next_try.unwrap() }, 1));
    town.pass(Duration::from_secs(10));
    let trouble = town.residents[0].events.iter().any(|event| {
        matches!(event, Event::Trouble { link, cause: TroubleCause::Unreachable, .. } if conversations(&link.purpose))
    });
    assert!(trouble);
    town.out_of_reach = None;
    town.pass(Duration::from_secs(60));
    assert_eq!(town.residents[0].engine().waiting(), []);
}

/// 20.10.5: so many are sealed for a device as may be on their way; all of them wait for the same.
#[test]
fn whoever_writes_much_to_somebody_out_of_reach_has_few_envelopes_and_nothing_is_lost() {
    let mut town = Town::with_two_friends();
    let (alice, bob) = (town.account(0), town.account(1));
    town.out_of_reach = Some(conversations);
    town.pass(Duration::from_secs(60));
    let before = town.residents[1].texts(&alice).len();
    let texts: Vec<String> = (0..300).map(|number| format!("message {number}")).collect();
    for text in &texts {
        town.say(0, bob, text);
    }
    let waiting = town.residents[0].engine().waiting();
    assert_eq!(waiting.len(), 300);
    for one in &waiting {
        assert_eq!(one.reason, WaitReason::RelayUnreachable, "also what is not sealed yet");
    }
    let envelopes = |town: &Town| {
        let records = town.residents[0].store.load_now();
        records.iter().filter(|record| record.table == Table::Envelope).count()
    };
    assert_eq!(envelopes(&town), 128);
    town.residents[0].restart();
    town.run();
    assert_eq!((town.residents[0].engine().waiting().len(), envelopes(&town)), (300, 128));
    town.out_of_reach = None;
    town.pass(Duration::from_secs(60));
    assert_eq!((town.residents[0].engine().waiting(), envelopes(&town)), (vec![], 0));
    assert_eq!(town.residents[1].texts(&alice)[before..], texts, "each once, in order");
}

/// The waits of the conversation's link, one after each failure: failures so far, and how long.
fn waits(town: &mut Town, count: usize) -> Vec<(u32, Duration)> {
    let mut waits = Vec::new();
    while waits.len() < count {
        let connections = town.residents[0].engine().connections();
        let down = connections.iter().find(|one| conversations(&one.link.purpose)).unwrap();
        let ConnectionState::Down { next_try } = down.state else { panic!("{down:?}") };
        waits.push((down.failures, next_try.since(town.now)));
        town.pass(next_try.since(town.now));
    }
    waits
}

/// 20.1.5: so that everything goes out within a minute after it is good again; only what lasts is asked seldom.
#[test]
fn waits_are_short_while_it_may_soon_be_good_again() {
    let mut town = Town::with_two_friends();
    let bob = town.account(1);
    town.out_of_reach = Some(conversations);
    town.pass(Duration::from_secs(60));
    town.say(0, bob, "hello?");
    let waits = waits(&mut town, 30);
    for (failures, wait) in &waits {
        let most = match failures {
            1 => 1,
            2 => 2,
            3 => 4,
            4 => 8,
            5 => 16,
            6..=20 => 20,
            _ => 60,
        };
        let whole = Duration::from_secs(most);
        assert!((whole / 2..=whole).contains(wait), "{failures} failures: {wait:?}");
    }
    assert_eq!(waits.last().map(|(failures, _)| *failures), Some(30));
}

#[test]
fn a_server_that_is_there_and_ends_connections_is_asked_again_soon() {
    let mut town = Town::with_two_friends();
    let bob = town.account(1);
    town.out_of_reach = Some(conversations);
    town.pass(Duration::from_secs(60));
    town.say(0, bob, "hello?");
    waits(&mut town, 10);
    town.out_of_reach = None;
    town.ends_at_once = Some(conversations);
    town.pass(Duration::from_secs(30));
    for (failures, wait) in waits(&mut town, 5) {
        assert!(failures == 4 && wait <= Duration::from_secs(8), "{failures} failures: {wait:?}");
    }
    town.ends_at_once = None;
    town.pass(Duration::from_secs(10));
    assert_eq!(town.residents[0].engine().waiting(), []);
}

#[test]
fn a_message_says_that_the_account_is_being_looked_up_and_that_nobody_answers() {
    let mut town = Town::new();
    let (alice, bob) = (town.settle_in(1), town.settle_in(2));
    let link = town.make_link(bob);
    let bob = town.account(bob);
    town.out_of_reach = Some(directories);
    town.order(alice, Command::Add { link }).unwrap();
    town.say(alice, bob, "hello");
    assert_eq!(why(&town, alice).0, WaitReason::KeyserverUnreachable);
    town.out_of_reach = None;
    town.pass(Duration::from_secs(60));
    assert_eq!(town.residents[alice].engine().waiting(), []);
}

#[test]
fn a_message_says_that_the_person_must_look_at_a_change_of_identity() {
    let mut town = Town::with_two_friends();
    let (alice, bob) = (town.account(0), town.account(1));
    town.recover(1, 9);
    let link = town.make_link(0);
    town.order(1, Command::Add { link }).unwrap();
    town.say(1, alice, "a new telephone");
    town.pass(Duration::from_secs(60));
    town.say(0, bob, "are you yourself?");
    town.pass(Duration::from_secs(60));
    assert_eq!(why(&town, 0), (WaitReason::IdentityChange, None));
    town.order(0, Command::AcceptIdentity { account: bob }).unwrap();
    town.pass(Duration::from_secs(60));
    assert_eq!(town.residents[0].engine().waiting(), []);
    assert_eq!(town.residents[1].texts(&alice).last().map(String::as_str), Some("are you yourself?"));
}

#[test]
fn a_message_says_that_the_relay_is_busy_and_when_it_is_tried_again() {
    let mut town = Town::with_two_friends();
    let bob = town.account(1);
    town.puts_fail = Some((ErrorCode::QuotaExceeded, Duration::from_secs(90)));
    town.say(0, bob, "hello?");
    let (reason, next_try) = why(&town, 0);
    assert_eq!((reason, next_try), (WaitReason::RelayBusy, Some(town.now.saturating_add(Duration::from_secs(90)))));
    town.puts_fail = Some((ErrorCode::Refused, Duration::from_secs(90)));
    town.pass(Duration::from_secs(90));
    assert_eq!(why(&town, 0).0, WaitReason::Refused);
}

#[test]
fn connections_say_since_when_they_are_up() {
    let mut town = Town::with_two_friends();
    let began = town.now;
    let bob = town.account(1);
    town.say(0, bob, "now");
    town.pass(Duration::from_secs(5));
    let connections = town.residents[0].engine().connections();
    let up = connections.iter().find(|one| conversations(&one.link.purpose)).unwrap();
    assert_eq!((up.state, up.failures), (ConnectionState::Up { since: began }, 0));
    assert_eq!(up.server.key().as_bytes(), &up.link.server);
    town.pass(Duration::from_secs(60));
    let connections = town.residents[0].engine().connections();
    assert!(!connections.iter().any(|one| conversations(&one.link.purpose)), "nobody needs it any more");
    assert!(connections.iter().any(|one| matches!(one.link.purpose, Purpose::Owner(_))));
}

#[test]
fn health_says_what_there_is() {
    let mut town = Town::new();
    let alice = town.settle_in(1);
    let second = town.join(alice, 3);
    town.pass(Duration::from_secs(60));
    town.make_link(alice);
    let health = town.residents[alice].engine().health();
    assert!(health.mailbox_ready && health.registered && health.receipts);
    assert_eq!((health.clock_skew, health.quarantined, health.open_links.len()), (None, 0, 1));
    assert!(health.open_links[0].ready);
    assert_eq!(health.open_links[0].left(town.now), Duration::from_secs(30 * 86_400));
    // The second device began a session with one of the two of each kind that this one had.
    assert_eq!((health.prekeys.listed, health.prekeys.last_resort_in_use), (2, false));
    let facts: Vec<_> = health.devices.iter().map(|device| (device.is_this, device.is_primary)).collect();
    assert_eq!(facts, [(true, true), (false, false)]);
    let facts = town.residents[second].engine().health().devices;
    let facts: Vec<_> = facts.iter().map(|device| (device.is_this, device.is_primary)).collect();
    assert_eq!(facts, [(false, true), (true, false)]);
    town.order(alice, Command::SendReceipts(false)).unwrap();
    assert!(!town.residents[alice].engine().health().receipts);
}

#[test]
fn health_says_that_new_sessions_begin_with_the_last_resort_key() {
    let mut town = Town::new();
    let alice = town.settle_in(1);
    let account = town.account(alice);
    for seed in 2..5 {
        let one = town.settle_in(seed);
        let link = town.make_link(alice);
        town.order(one, Command::Add { link }).unwrap();
        town.say(one, account, "hello");
        town.pass(Duration::from_secs(30));
    }
    // Until the next look at the server, which is given more then.
    assert_eq!(town.residents[alice].engine().health().prekeys.one_time, 0);
    assert!(town.residents[alice].engine().health().prekeys.last_resort_in_use);
    town.pass(Duration::from_secs(7 * 3_600));
    let prekeys = town.residents[alice].engine().health().prekeys;
    assert_eq!((prekeys.listed, prekeys.listed_kyber, prekeys.last_resort_in_use), (2, 2, false));
}
