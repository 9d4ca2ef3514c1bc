//! What a person notes of people, and asks about them.
use core::time::Duration;

use waxwing_engine::{
    Command, CommandError, ContactName, ContactView, Event, FailReason, IdentityEvent, State, Verification,
};
use waxwing_wire::{
    content::Standing,
    id::{AccountId, DeviceId, Generation},
    time::Timestamp,
};

use crate::town::Town;

const ALICE: usize = 0;
const BOB: usize = 1;

fn view(town: &Town, of: usize, account: AccountId) -> ContactView {
    town.residents[of].engine().contact(&account).expect("a contact")
}

fn name(text: &str) -> Option<ContactName> {
    Some(text.parse().expect("a name"))
}

fn events(view: &ContactView) -> Vec<IdentityEvent> {
    view.log.iter().map(|entry| entry.event).collect()
}

fn verify(account: AccountId) -> Command {
    Command::SetVerified { account, verification: Verification::Verified }
}

/// Alice has two devices; the second one is resident 2.
fn with_second_device() -> (Town, usize) {
    let mut town = Town::with_two_friends();
    let second = town.join(ALICE, 3);
    let bob = town.account(BOB);
    // Bob hears of the second device.
    town.say(ALICE, bob, "I have two now");
    town.pass(Duration::from_secs(120));
    (town, second)
}

#[test]
fn a_name_is_shown_on_all_own_devices_and_survives_a_restart() {
    let (mut town, second) = with_second_device();
    let bob = town.account(BOB);
    assert_eq!(view(&town, ALICE, bob).name, None);
    town.order(ALICE, Command::Rename { account: bob, name: name("Bob from work") }).unwrap();
    town.pass(Duration::from_secs(30));
    assert_eq!(view(&town, second, bob).name, name("Bob from work"));
    assert!(
        town.residents[second]
            .events
            .iter()
            .any(|event| matches!(event, Event::ContactChanged { account } if *account == bob))
    );
    town.residents[ALICE].restart();
    assert_eq!(view(&town, ALICE, bob).name, name("Bob from work"));
    town.order(second, Command::Rename { account: bob, name: None }).unwrap();
    town.pass(Duration::from_secs(30));
    assert_eq!(view(&town, ALICE, bob).name, None);
}

#[test]
fn a_device_that_joins_later_knows_what_was_noted() {
    let mut town = Town::with_two_friends();
    let bob = town.account(BOB);
    town.order(ALICE, Command::Rename { account: bob, name: name("Bob") }).unwrap();
    town.order(ALICE, Command::Mute { account: bob, until: Some(Timestamp(u64::MAX)) }).unwrap();
    town.order(ALICE, verify(bob)).unwrap();
    let second = town.join(ALICE, 3);
    town.pass(Duration::from_secs(120));
    let seen = view(&town, second, bob);
    assert_eq!((seen.name, seen.muted_until), (name("Bob"), Some(Timestamp(u64::MAX))));
    assert_eq!(seen.verification, Verification::Verified);
}

#[test]
fn changes_of_different_things_on_two_devices_at_once_are_both_kept() {
    let (mut town, second) = with_second_device();
    let bob = town.account(BOB);
    town.order(ALICE, Command::Rename { account: bob, name: name("Bob") }).unwrap();
    town.order(second, Command::Mute { account: bob, until: Some(Timestamp(7)) }).unwrap();
    town.order(second, verify(bob)).unwrap();
    town.pass(Duration::from_secs(60));
    let views = [view(&town, ALICE, bob), view(&town, second, bob)];
    for seen in &views {
        assert_eq!((&seen.name, seen.muted_until), (&name("Bob"), Some(Timestamp(7))));
        assert_eq!(seen.verification, Verification::Verified);
    }
    // Of the same thing: both come to have the same, and that somebody is not verified wins.
    town.order(ALICE, Command::SetVerified { account: bob, verification: Verification::Unverified }).unwrap();
    town.order(ALICE, Command::Rename { account: bob, name: name("A") }).unwrap();
    town.order(second, Command::Rename { account: bob, name: name("B") }).unwrap();
    town.pass(Duration::from_secs(60));
    let views = [view(&town, ALICE, bob), view(&town, second, bob)];
    for seen in &views {
        assert_eq!((&seen.name, seen.verification), (&name("B"), Verification::Unverified));
    }
}

#[test]
fn somebody_who_is_muted_still_writes() {
    let mut town = Town::with_two_friends();
    let (alice, bob) = (town.account(ALICE), town.account(BOB));
    town.order(ALICE, Command::Mute { account: bob, until: Some(Timestamp(u64::MAX)) }).unwrap();
    town.say(BOB, alice, "listen");
    assert_eq!(town.residents[ALICE].texts(&bob).last().map(String::as_str), Some("listen"));
    assert_eq!(view(&town, ALICE, bob).muted_until, Some(Timestamp(u64::MAX)));
    town.order(ALICE, Command::Mute { account: bob, until: None }).unwrap();
    town.residents[ALICE].restart();
    assert_eq!(view(&town, ALICE, bob).muted_until, None);
}

#[test]
fn a_new_generation_ends_what_was_verified_until_the_number_is_compared_again() {
    let mut town = Town::with_two_friends();
    let (alice, bob) = (town.account(ALICE), town.account(BOB));
    let number = town.residents[ALICE].engine().safety_number(&bob);
    town.order(ALICE, verify(bob)).unwrap();
    assert_eq!(view(&town, ALICE, bob).verification, Verification::Verified);
    town.recover(BOB, 9);
    // Bob's new device knows nobody: Alice asks the key server about him because of somebody else's word, here by writing.
    let link = town.make_link(ALICE);
    town.order(BOB, Command::Add { link }).unwrap();
    town.say(BOB, alice, "I lost my telephone");
    town.pass(Duration::from_secs(120));
    let seen = view(&town, ALICE, bob);
    assert_eq!(seen.generation, Some(Generation(1)));
    assert_eq!(seen.verification, Verification::Unverified);
    let change = seen.identity_change.expect("the person has not seen it");
    assert_eq!((change.from, change.to), (Generation(0), Generation(1)));
    assert_eq!(town.residents[ALICE].engine().safety_number(&bob), number, "the number never changes");
    town.order(ALICE, Command::AcceptIdentity { account: bob }).unwrap();
    assert_eq!(view(&town, ALICE, bob).verification, Verification::Unverified, "to go on is not to compare");
    town.order(ALICE, verify(bob)).unwrap();
    let seen = view(&town, ALICE, bob);
    assert_eq!((seen.verification, seen.identity_change), (Verification::Verified, None));
    let first = DeviceId::try_from(1).unwrap();
    let expected = [
        IdentityEvent::FirstSeen(Generation(0)),
        IdentityEvent::AcceptedUs,
        IdentityEvent::Verified,
        IdentityEvent::Generation { from: Generation(0), to: Generation(1) },
        IdentityEvent::DeviceRemoved(first),
        IdentityEvent::DeviceAdded(first),
        IdentityEvent::GenerationAccepted(Generation(1)),
        IdentityEvent::Verified,
    ];
    assert_eq!(events(&seen), expected);
}

#[test]
fn the_log_says_which_devices_came_and_went_and_keeps_the_first_entry_and_the_newest() {
    let mut town = Town::with_two_friends();
    let (alice, bob) = (town.account(ALICE), town.account(BOB));
    let first = view(&town, ALICE, bob).log[0];
    let second = town.join(BOB, 3);
    let device = town.residents[second].engine().device_id();
    town.say(BOB, alice, "I have two now");
    town.pass(Duration::from_secs(60));
    let seen = view(&town, ALICE, bob);
    assert_eq!(seen.devices.len(), 2);
    assert_eq!(events(&seen).last(), Some(&IdentityEvent::DeviceAdded(device)));
    town.order(BOB, Command::RemoveDevice { device }).unwrap();
    town.say(BOB, alice, "and one again");
    town.pass(Duration::from_secs(60));
    let seen = view(&town, ALICE, bob);
    assert_eq!((seen.devices.len(), events(&seen).last()), (1, Some(&IdentityEvent::DeviceRemoved(device))));
    for _ in 0..20 {
        town.order(ALICE, verify(bob)).unwrap();
        town.order(ALICE, Command::SetVerified { account: bob, verification: Verification::Unverified }).unwrap();
    }
    town.residents[ALICE].restart();
    let log = view(&town, ALICE, bob).log;
    assert_eq!((log.len(), log[0]), (32, first));
    assert_eq!(log[31].event, IdentityEvent::Unverified);
}

#[test]
fn whoever_is_removed_is_known_no_more_and_what_was_not_sent_fails() {
    let mut town = Town::with_two_friends();
    let bob = town.account(BOB);
    town.order(ALICE, Command::Rename { account: bob, name: name("Bob") }).unwrap();
    let texts = town.residents[ALICE].texts(&bob);
    town.out_of_reach = Some(|purpose| matches!(purpose, waxwing_engine::Purpose::Conversation(_)));
    town.pass(Duration::from_secs(60));
    let id = town.say(ALICE, bob, "too late");
    town.order(ALICE, Command::Remove { account: bob }).unwrap();
    let engine = town.residents[ALICE].engine();
    assert!(engine.contact(&bob).is_none() && engine.contacts().count() == 0 && engine.contact_views().count() == 0);
    assert!(engine.is_quiet() && engine.safety_number(&bob).is_none());
    let kept = town.residents[ALICE].messages(&bob);
    assert_eq!(kept.len(), texts.len() + 1, "messages stay");
    let state = kept.iter().find(|message| message.id == id).map(|message| message.state);
    assert_eq!(state, Some(State::Failed(FailReason::Removed)));
    for command in [
        Command::Remove { account: bob },
        Command::Rename { account: bob, name: None },
        Command::Mute { account: bob, until: None },
        Command::Accept { account: bob },
        Command::Block { account: bob },
        verify(bob),
    ] {
        assert_eq!(town.order(ALICE, command), Err(CommandError::UnknownContact));
    }
    town.residents[ALICE].restart();
    assert!(town.residents[ALICE].engine().contact(&bob).is_none());
}

#[test]
fn whoever_was_removed_and_writes_again_is_a_request_of_whom_nothing_is_noted() {
    let (mut town, second) = with_second_device();
    let (alice, bob) = (town.account(ALICE), town.account(BOB));
    town.order(ALICE, Command::Rename { account: bob, name: name("Bob") }).unwrap();
    town.order(ALICE, verify(bob)).unwrap();
    town.pass(Duration::from_secs(30));
    town.order(ALICE, Command::Remove { account: bob }).unwrap();
    town.pass(Duration::from_secs(30));
    assert!(town.residents[second].engine().contact(&bob).is_none(), "own devices follow");
    town.residents[ALICE].restart();
    town.run();
    town.residents[ALICE].events.clear();
    town.say(BOB, alice, "are you there?");
    town.pass(Duration::from_secs(120));
    for device in [ALICE, second] {
        let seen = view(&town, device, bob);
        assert_eq!((seen.standing, &seen.name), (Standing::Asking, &None));
        assert_eq!((seen.verification, seen.log.len()), (Verification::Unverified, 0));
    }
    let requests = town.residents[ALICE].events.iter().filter(|event| matches!(event, Event::Request { .. }));
    assert_eq!(requests.count(), 1);
    let state = |town: &Town| town.residents[BOB].messages(&alice).last().map(|message| message.state);
    assert_eq!(state(&town), Some(State::Sent), "who asks gets no receipt");
    town.order(ALICE, Command::Accept { account: bob }).unwrap();
    town.say(ALICE, bob, "I am");
    town.pass(Duration::from_secs(120));
    assert_eq!(town.residents[BOB].texts(&alice).last().map(String::as_str), Some("I am"));
    assert_eq!(town.residents[second].texts(&bob).last().map(String::as_str), Some("I am"));
}

#[test]
fn whoever_was_removed_can_be_added_again() {
    let mut town = Town::with_two_friends();
    let (alice, bob) = (town.account(ALICE), town.account(BOB));
    town.order(ALICE, Command::Remove { account: bob }).unwrap();
    let link = town.make_link(BOB);
    town.order(ALICE, Command::Add { link }).unwrap();
    assert_eq!(view(&town, ALICE, bob).standing, Standing::Accepted, "they accepted us before");
    town.say(ALICE, bob, "me again");
    town.pass(Duration::from_secs(60));
    town.say(BOB, alice, "fine");
    town.pass(Duration::from_secs(60));
    assert_eq!(town.residents[BOB].texts(&alice).iter().filter(|text| *text == "me again").count(), 1);
    assert_eq!(town.residents[ALICE].texts(&bob).last().map(String::as_str), Some("fine"));
}

#[test]
fn a_contact_is_stale_once_its_manifest_has_expired() {
    let mut town = Town::with_two_friends();
    let bob = town.account(BOB);
    let seen = view(&town, ALICE, bob);
    assert!(!seen.stale && !seen.deleted && !seen.forked && seen.accepted_us);
    let expires = seen.expires.expect("there is a manifest");
    town.residents[ALICE].ahead = expires.since(town.now).as_millis() as u64;
    town.order(ALICE, Command::Mute { account: bob, until: None }).unwrap();
    town.command(ALICE, Command::SendReceipts(true));
    assert!(view(&town, ALICE, bob).stale);
}

#[test]
fn nothing_is_noted_of_who_is_not_known_nor_of_oneself() {
    let mut town = Town::new();
    let alice = town.settle_in(1);
    let own = town.account(alice);
    let nobody = AccountId::from_bytes([7; 32]);
    assert_eq!(town.order(alice, Command::Rename { account: own, name: None }), Err(CommandError::OwnAccount));
    assert_eq!(town.order(alice, Command::Remove { account: own }), Err(CommandError::OwnAccount));
    assert_eq!(town.order(alice, Command::Remove { account: nobody }), Err(CommandError::UnknownContact));
    assert_eq!(town.order(alice, verify(nobody)), Err(CommandError::UnknownContact));
    let engine = town.residents[alice].engine();
    assert!(engine.contact(&own).is_none() && engine.safety_number(&own).is_none());
    let bob = town.settle_in(2);
    town.out_of_reach = Some(|purpose| matches!(purpose, waxwing_engine::Purpose::Directory(_)));
    let link = town.make_link(bob);
    let bob = town.account(bob);
    town.order(alice, Command::Add { link }).unwrap();
    assert_eq!(town.order(alice, verify(bob)), Err(CommandError::NothingKnown));
}
