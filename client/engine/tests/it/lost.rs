//! What gets lost on the way, and how it is made up for: first messages, questions, answers to an upload.
use core::time::Duration;

use waxwing_engine::{
    Command, Event, Purpose,
    store::{Batch, Record, SecretBytes, Table, Write},
};

use crate::town::Town;

const ALICE: usize = 0;
const BOB: usize = 1;
const MINUTE: Duration = Duration::from_secs(60);

/// Alice's second device, of which Bob heard nothing but that it is there.
fn with_second_device() -> (Town, usize) {
    let mut town = Town::with_two_friends();
    let second = town.join(ALICE, 3);
    let bob = town.account(BOB);
    town.say(ALICE, bob, "I have two now");
    town.pass(MINUTE * 2);
    (town, second)
}

fn gaps(town: &Town, of: usize) -> usize {
    town.residents[of].events.iter().filter(|event| matches!(event, Event::Gap { .. })).count()
}

/// Says something whose envelope for Bob a relay loses.
fn lose(town: &mut Town, by: usize, text: &str) {
    let bob = town.account(BOB);
    town.holds_deliveries = true;
    town.say(by, bob, text);
    town.waiting(BOB).clear();
    town.holds_deliveries = false;
}

/// E6: the first content of a device is counted as any other.
#[test]
fn the_first_message_of_a_device_is_missed_with_the_second() {
    let (mut town, second) = with_second_device();
    let (alice, bob) = (town.account(ALICE), town.account(BOB));
    lose(&mut town, second, "first");
    town.say(second, bob, "second");
    assert_eq!(gaps(&town, BOB), 0, "it may as well not have been for this device: nothing is said");
    town.pass(MINUTE * 2);
    let texts = town.residents[BOB].texts(&alice);
    let place = |text: &str| texts.iter().position(|shown| shown == text);
    assert!(place("first").is_some(), "{texts:?}");
    assert!(place("first") < place("second"), "{texts:?}");
}

/// A question for what is missing can be lost as well: it is asked again, three times in all.
#[test]
fn a_lost_question_is_asked_again() {
    let (mut town, second) = with_second_device();
    let (alice, bob) = (town.account(ALICE), town.account(BOB));
    lose(&mut town, second, "first");
    town.say(second, bob, "second");
    // What Bob asks does not arrive.
    town.holds_deliveries = true;
    town.pass(MINUTE * 2);
    town.waiting(second).clear();
    town.holds_deliveries = false;
    town.pass(MINUTE);
    assert!(!town.residents[BOB].texts(&alice).contains(&"first".to_owned()), "the question was lost");
    town.residents[BOB].restart();
    town.pass(MINUTE * 12);
    assert!(town.residents[BOB].texts(&alice).contains(&"first".to_owned()));
}

/// Nobody is asked for ever for what they do not have.
#[test]
fn what_nobody_has_is_asked_for_three_times() {
    let (mut town, second) = with_second_device();
    let bob = town.account(BOB);
    lose(&mut town, second, "first");
    // Its outbox is gone: there is nothing to send again.
    let outbox = town.residents[second].store.load_now().into_iter().filter(|record| record.table == Table::Outbox);
    let deletes: Batch = outbox.map(|record| Write::Delete { table: record.table, key: record.key }).collect();
    town.residents[second].store.save_now(&deletes).expect("memory takes it");
    town.residents[second].restart();
    town.say(second, bob, "second");
    town.pass(MINUTE * 2);
    let puts = town.residents[BOB].puts;
    // After ten minutes, and after twenty more.
    town.pass(MINUTE * 40);
    let asked = town.residents[BOB].puts;
    assert!(asked > puts, "it was asked again");
    town.pass(MINUTE * 600);
    assert_eq!(town.residents[BOB].puts, asked, "and not for ever");
}

/// Copies of receipts, of which there are many, do not take the place of what may be asked for.
#[test]
fn receipts_do_not_push_out_what_was_said() {
    let (mut town, second) = with_second_device();
    let (alice, bob) = (town.account(ALICE), town.account(BOB));
    // The second has asked three times for what Alice said before it was there.
    town.pass(MINUTE * 40);
    town.holds_deliveries = true;
    town.say(ALICE, bob, "first");
    town.pass(Duration::from_secs(10));
    town.waiting(second).clear();
    town.holds_deliveries = false;
    // Either of the two sends about half of the receipts.
    for number in 0..100 {
        town.say(BOB, alice, &format!("{number}"));
        town.pass(Duration::from_secs(12));
    }
    assert!(!town.residents[second].texts(&bob).contains(&"first".to_owned()), "its copy was lost");
    town.say(ALICE, bob, "second");
    town.pass(MINUTE * 2);
    let texts = town.residents[second].texts(&bob);
    assert!(texts.contains(&"first".to_owned()), "{texts:?}");
}

/// Copies of what is said to others do not take the place of a copy that was lost.
#[test]
fn other_conversations_do_not_push_out_what_was_said() {
    let (mut town, second) = with_second_device();
    let carol = town.settle_in(7);
    town.befriend(ALICE, carol);
    let (bob, carol) = (town.account(BOB), town.account(carol));
    // Copies to Alice's second device that are on their way are not lost.
    town.pass(MINUTE * 40);
    town.holds_deliveries = true;
    town.say(ALICE, bob, "first");
    town.pass(Duration::from_secs(10));
    town.waiting(second).clear();
    town.holds_deliveries = false;
    for number in 0..100 {
        town.say(ALICE, carol, &format!("{number}"));
        town.pass(Duration::from_secs(10));
    }
    assert!(!town.residents[second].texts(&bob).contains(&"first".to_owned()), "its copy was lost");
    town.say(ALICE, bob, "second");
    town.pass(MINUTE * 2);
    let texts = town.residents[second].texts(&bob);
    assert!(texts.contains(&"first".to_owned()), "{texts:?}");
}

/// The copies of a contact are not counted: that they were lost shows when a device that knows the contact writes to them.
#[test]
fn a_lost_copy_of_a_contact_is_asked_for() {
    let mut town = Town::with_two_friends();
    let bob = town.account(BOB);
    town.holds_deliveries = true;
    let second = town.join(ALICE, 3);
    town.pass(MINUTE);
    town.waiting(second).clear();
    town.holds_deliveries = false;
    town.pass(MINUTE * 20);
    let is_contact = |town: &Town| town.residents[second].engine().contacts().any(|(account, _)| account == bob);
    assert!(!is_contact(&town), "its copy was lost");
    town.say(ALICE, bob, "hello");
    town.pass(MINUTE * 2);
    assert!(is_contact(&town));
    let text = town.say(second, bob, "I can write to you as well");
    assert!(town.residents[second].messages(&bob).iter().any(|message| message.id == text));
}

/// What was said while somebody was blocked is not missing afterwards, on whichever of their devices.
#[test]
fn what_was_said_while_blocked_is_not_asked_for() {
    let (mut town, second) = with_second_device();
    let (alice, bob) = (town.account(ALICE), town.account(BOB));
    town.order(BOB, Command::Block { account: alice }).unwrap();
    for by in [ALICE, second] {
        town.say(by, bob, "into the void");
    }
    town.pass(MINUTE);
    town.order(BOB, Command::Unblock { account: alice }).unwrap();
    town.pass(MINUTE * 15);
    for by in [ALICE, second] {
        town.say(by, bob, "and again");
    }
    town.pass(MINUTE * 15);
    let texts = town.residents[BOB].texts(&alice);
    assert_eq!(texts.iter().filter(|text| *text == "and again").count(), 2, "{texts:?}");
    assert!(!texts.contains(&"into the void".to_owned()), "{texts:?}");
}

/// The key server took an upload, its answer was lost, and somebody used one of the keys: the same batch cannot be made again.
#[test]
fn an_upload_whose_answer_was_lost_ends_although_a_key_was_used() {
    let mut town = Town::new();
    let [alice, bob] = [1, 2].map(|seed| town.settle_in(seed));
    let [alices, bobs] = [alice, bob].map(|index| town.account(index));
    let link = town.make_link(bob);
    // What Bob's store says is what it said before the answer.
    for Record { table, key, value } in town.residents[bob].store.load_now() {
        let Some(before) = value.strip_suffix(UPLOADED).filter(|_| table == Table::Prekey) else { continue };
        let record = Record { table, key, value: SecretBytes::new(before.to_vec()) };
        town.residents[bob].store.save_now(&[Write::Put(record)].into_iter().collect()).expect("memory takes it");
    }
    town.out_of_reach = Some(|purpose| *purpose == Purpose::OwnDirectory);
    town.residents[bob].restart();
    town.run();
    assert!(!town.residents[bob].engine().is_ready(), "it does not know that the server has its keys");
    // Alice does, and takes one of each kind.
    town.order(alice, Command::Add { link }).unwrap();
    town.say(alice, bobs, "hello");
    town.pass(MINUTE);
    town.out_of_reach = None;
    town.pass(MINUTE * 10);
    assert_eq!(town.residents[bob].texts(&alices), ["hello"]);
    assert!(town.residents[bob].engine().is_ready(), "it goes on");
    let prekeys = town.residents[bob].engine().health().prekeys;
    assert!(prekeys.listed > 0 && !prekeys.last_resort_in_use, "{prekeys:?}");
}

/// `uploaded` in the record of a prekey, its last field.
const UPLOADED: &[u8] = &[0x28, 1];
