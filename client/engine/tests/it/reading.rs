//! Fetching what waited, and marking it as read.
use core::time::Duration;

use waxwing_engine::{Command, CommandError, Event, Input, ReadMessage, State, store::StoredMessage};
use waxwing_wire::{
    content::{Body, ChainHash, Content, MessageId},
    id::DeviceId,
    relay::{BacklogEnd, RelayPush},
};

use crate::town::Town;

const ALICE: usize = 0;
const BOB: usize = 1;

fn named(message: &StoredMessage) -> ReadMessage {
    let StoredMessage { id, device, sequence, .. } = *message;
    ReadMessage { id, device, sequence }
}

#[test]
fn what_waited_is_here_once_the_relay_has_said_so_and_not_before_nor_after_a_break() {
    let mut town = Town::with_two_friends();
    assert!(!town.residents[BOB].engine().is_drained(), "this relay has not said it");
    let (link, _) = town.residents[BOB].subscribed.expect("it is subscribed");
    let now = town.now;
    let bob = &mut town.residents[BOB];
    bob.handle(Input::Pushed { link, push: RelayPush::BacklogEnd(BacklogEnd { sequence: u64::MAX }) }, now);
    assert!(bob.engine().is_drained());
    bob.handle(Input::Disconnected { link }, now);
    assert!(!bob.engine().is_drained());
    // The relay's word may be given before its answer to the subscription, which it follows.
    bob.handle(Input::Pushed { link, push: RelayPush::BacklogEnd(BacklogEnd { sequence: u64::MAX }) }, now);
    assert!(!bob.engine().is_drained(), "nobody has asked for anything");
    town.pass(Duration::from_secs(10));
    let (link, _) = town.residents[BOB].subscribed.expect("it is subscribed again");
    let (bob, now) = (&mut town.residents[BOB], town.now);
    bob.handle(Input::Pushed { link, push: RelayPush::BacklogEnd(BacklogEnd { sequence: u64::MAX }) }, now);
    assert!(bob.engine().is_drained());
    bob.handle(Input::Pushed { link, push: RelayPush::Superseded }, now);
    assert!(!bob.engine().is_drained(), "somebody else fetches");
}

#[test]
fn many_messages_are_marked_as_read_in_one_save_and_their_author_hears_of_each() {
    let mut town = Town::with_two_friends();
    let (alice, bob) = (town.account(ALICE), town.account(BOB));
    let ids: Vec<MessageId> = (0..30).map(|number| town.say(ALICE, bob, &format!("number {number}"))).collect();
    town.pass(Duration::from_secs(60));
    let mut messages: Vec<ReadMessage> = town.residents[BOB].messages(&alice).iter().map(named).collect();
    messages.retain(|message| ids.contains(&message.id));
    assert_eq!(messages.len(), ids.len());
    // One that nobody knows is passed over.
    let unknown = ReadMessage { id: MessageId::from_bytes([0xee; 16]), device: DeviceId::MIN, sequence: u64::MAX };
    let nothing = Command::MarkRead { account: alice, messages: vec![unknown] };
    assert_eq!(town.order(BOB, nothing), Err(CommandError::UnknownMessage));
    assert_ne!(town.residents[BOB].store.unread_now(&alice), 0);
    messages.insert(3, unknown);
    let before = town.residents[BOB].saves;
    town.order(BOB, Command::MarkRead { account: alice, messages }).unwrap();
    assert_eq!(town.residents[BOB].saves - before, 1);
    assert_eq!(town.residents[BOB].store.unread_now(&alice), 0);
    town.pass(Duration::from_secs(60));
    let theirs = town.residents[ALICE].messages(&bob);
    let read = theirs.iter().filter(|message| ids.contains(&message.id) && message.state == State::Read);
    assert_eq!(read.count(), ids.len());
}

/// Device numbers and counts begin anew with a generation; what was read before says nothing about what comes after.
#[test]
fn what_a_new_generation_says_is_unread() {
    let mut town = Town::with_two_friends();
    let (alice, bob) = (town.account(ALICE), town.account(BOB));
    for number in 0..5 {
        town.say(BOB, alice, &format!("number {number}"));
    }
    town.pass(Duration::from_secs(60));
    let messages = town.residents[ALICE].messages(&bob).iter().map(named).collect();
    town.order(ALICE, Command::MarkRead { account: bob, messages }).unwrap();
    assert_eq!(town.residents[ALICE].store.unread_now(&bob), 0);
    town.recover(BOB, 9);
    let link = town.make_link(ALICE);
    town.command(BOB, Command::Add { link });
    town.say(BOB, alice, "it is me");
    town.pass(Duration::from_secs(120));
    assert_eq!(town.residents[ALICE].texts(&bob).last().map(String::as_str), Some("it is me"));
    assert_eq!(town.residents[ALICE].store.unread_now(&bob), 1);
    let newest = town.residents[ALICE].messages(&bob).last().map(named).unwrap();
    town.order(ALICE, Command::MarkRead { account: bob, messages: vec![newest] }).unwrap();
    assert_eq!(town.residents[ALICE].store.unread_now(&bob), 0, "and is read when it is read");
}

/// The hash of the content before is compared when it comes, and is 32 random bytes to whatever keeps it.
#[test]
fn what_is_stored_of_a_content_is_all_of_it_but_the_hash_of_the_one_before() {
    let mut town = Town::with_two_friends();
    let (alice, bob) = (town.account(ALICE), town.account(BOB));
    let ids = ["first", "second"].map(|text| town.say(ALICE, bob, text));
    for (whose, with) in [(ALICE, bob), (BOB, alice)] {
        let messages = town.residents[whose].messages(&with);
        for (id, text) in ids.iter().zip(["first", "second"]) {
            let message = messages.iter().find(|message| message.id == *id).expect("it is there");
            let content = Content::decode(&message.content).expect("what is stored decodes");
            assert_eq!(content.previous, ChainHash::NONE);
            assert!(content.sequence > 1 || text == "first", "something was before the second");
            assert!(matches!(&content.body, Body::Text(body) if body.text == text));
            assert_eq!((content.id, content.sent), (message.id, message.sent));
        }
    }
    assert!(
        !town.residents[BOB].events.iter().any(|event| matches!(event, Event::Gap { .. })),
        "each followed the other"
    );
}
