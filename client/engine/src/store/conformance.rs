//! What every store must do, said once. A store's own tests call [`conforms`] with something that opens it.
//!
//! The functions panic with a sentence when a store does not conform: they are for tests.
#![allow(clippy::expect_used, clippy::panic, missing_docs, reason = "a test suite")]
use core::future::Future;

use waxwing_wire::{
    content::MessageId,
    id::{AccountId, DeviceId},
    time::Timestamp,
};

use super::{Batch, Record, Store, StoredMessage, Table, Write};
use crate::interface::State;

/// Runs the suite. `open` opens the same storage again each time it is called with the same name; names that were not used are
/// empty.
///
/// # Panics
/// With the sentence that does not hold.
pub async fn conforms<S: Store, F: Future<Output = S>>(open: impl Fn(&'static str) -> F) {
    what_was_saved_is_loaded_in_order(&open).await;
    the_last_write_of_a_key_counts(&open).await;
    a_message_is_added_once(&open).await;
    pages_go_backwards_without_gaps_or_repeats(&open).await;
    states_change_own_messages_only(&open).await;
    unread_is_what_lies_above_the_markers(&open).await;
}

const ALICE: AccountId = AccountId::from_bytes([0xa1; 32]);
const BOB: AccountId = AccountId::from_bytes([0xb0; 32]);
const CAROL: AccountId = AccountId::from_bytes([0xca; 32]);

fn record(table: Table, key: &[u8], value: &[u8]) -> Record {
    Record { table, key: key.to_vec(), value: value.to_vec().into() }
}

fn device(number: u32) -> DeviceId {
    DeviceId::try_from(number).unwrap_or(DeviceId::MIN)
}

/// `number` names the message; `at` is when it was written.
fn message(conversation: AccountId, author: AccountId, number: u8, at: u64) -> StoredMessage {
    StoredMessage {
        conversation,
        id: MessageId::from_bytes([number; 16]),
        author,
        device: device(1),
        sequence: u64::from(number),
        sent: Timestamp(at),
        stored: Timestamp(at),
        state: State::Queued,
        text: format!("message {number}"),
        content: vec![number; 40],
    }
}

async fn save<S: Store>(store: &mut S, writes: impl IntoIterator<Item = Write>) {
    store.save(&writes.into_iter().collect::<Batch>()).await.expect("a save succeeds");
}

async fn what_was_saved_is_loaded_in_order<S: Store, F: Future<Output = S>>(open: &impl Fn(&'static str) -> F) {
    let mut store = open("order").await;
    assert_eq!(store.load().await.expect("it loads"), [], "a new store is empty");
    let all = [
        record(Table::Account, b"", b"this device"),
        record(Table::Session, b"a", b"1"),
        record(Table::Session, b"b", &[7; 100_000]),
        record(Table::Seen, &[0xff; 96], b""),
    ];
    let [one, two, three, four] = all.clone();
    save(&mut store, [Write::Put(four), Write::Put(two)]).await;
    save(&mut store, [Write::Put(three), Write::Put(one)]).await;
    drop(store);
    let mut store = open("order").await;
    assert_eq!(store.load().await.expect("it loads"), all, "everything is there, by table and key");
}

async fn the_last_write_of_a_key_counts<S: Store, F: Future<Output = S>>(open: &impl Fn(&'static str) -> F) {
    let mut store = open("last").await;
    let put = |value: &[u8]| Write::Put(record(Table::Peer, b"key", value));
    let delete = || Write::Delete { table: Table::Peer, key: b"key".to_vec() };
    save(&mut store, [put(b"1"), put(b"2")]).await;
    assert_eq!(store.load().await.expect("it loads"), [record(Table::Peer, b"key", b"2")], "put replaces");
    save(&mut store, [delete(), put(b"3")]).await;
    assert_eq!(store.load().await.expect("it loads"), [record(Table::Peer, b"key", b"3")], "in the batch's order");
    save(&mut store, [put(b"4"), delete(), delete()]).await;
    assert_eq!(store.load().await.expect("it loads"), [], "and deletes, what is not there too");
    let other = Write::Put(record(Table::Contact, b"key", b"5"));
    save(&mut store, [other, delete()]).await;
    assert_eq!(store.load().await.expect("it loads").len(), 1, "another table's key is another key");
}

async fn a_message_is_added_once<S: Store, F: Future<Output = S>>(open: &impl Fn(&'static str) -> F) {
    let mut store = open("once").await;
    let first = message(BOB, BOB, 1, 1_000);
    let again = StoredMessage { text: "another text".into(), sent: Timestamp(9_000), ..first.clone() };
    save(&mut store, [Write::Message(first.clone())]).await;
    save(&mut store, [Write::Message(again)]).await;
    let page = store.page(&BOB, None, 10).await.expect("it reads");
    assert_eq!(page, std::slice::from_ref(&first), "the first one stays");
    let found = store.message(&BOB, &first.id).await.expect("it reads");
    assert_eq!(found, Some(first), "found by its name");
    let other = store.message(&CAROL, &MessageId::from_bytes([1; 16])).await.expect("it reads");
    assert_eq!(other, None, "in its conversation only");
    save(&mut store, [Write::Message(message(BOB, ALICE, 1, 1_000))]).await;
    assert_eq!(store.page(&BOB, None, 10).await.expect("it reads").len(), 2, "another author's is another message");
}

async fn pages_go_backwards_without_gaps_or_repeats<S: Store, F: Future<Output = S>>(
    open: &impl Fn(&'static str) -> F,
) {
    let mut store = open("pages").await;
    // Written out of order, and two at one moment.
    let times = [(3, 300), (1, 100), (5, 500), (2, 300), (4, 400)];
    save(&mut store, times.map(|(number, at)| Write::Message(message(BOB, BOB, number, at)))).await;
    save(&mut store, [Write::Message(message(CAROL, CAROL, 9, 200))]).await;
    let mut seen = Vec::new();
    let mut before = None;
    loop {
        let page = store.page(&BOB, before, 2).await.expect("it reads");
        assert!(page.len() <= 2, "a page has at most its limit");
        let Some(last) = page.last() else { break };
        before = Some(last.position());
        seen.extend(page.iter().map(|message| message.sequence));
    }
    assert_eq!(seen, [5, 4, 3, 2, 1], "newest first, each once; at one moment by device and count");
}

async fn states_change_own_messages_only<S: Store, F: Future<Output = S>>(open: &impl Fn(&'static str) -> F) {
    let mut store = open("states").await;
    let (own, theirs) = (message(BOB, ALICE, 1, 100), message(BOB, BOB, 2, 200));
    let state = |id, state| Write::MessageState { conversation: BOB, id, state };
    save(&mut store, [Write::Message(own.clone()), Write::Message(theirs.clone())]).await;
    save(&mut store, [state(own.id, State::Delivered), state(theirs.id, State::Read)]).await;
    save(&mut store, [state(MessageId::from_bytes([99; 16]), State::Sent)]).await;
    let page = store.page(&BOB, None, 10).await.expect("it reads");
    let states: Vec<_> = page.iter().map(|message| (message.sequence, message.state)).collect();
    assert_eq!(states, [(2, State::Queued), (1, State::Delivered)], "one's own moved, theirs and absent ones did not");
}

async fn unread_is_what_lies_above_the_markers<S: Store, F: Future<Output = S>>(open: &impl Fn(&'static str) -> F) {
    let mut store = open("unread").await;
    let read = |conversation, sequence| Write::Read { conversation, device: device(1), sequence };
    let theirs = (1..=4).map(|number| Write::Message(message(BOB, BOB, number, u64::from(number))));
    save(&mut store, theirs).await;
    save(&mut store, [Write::Message(message(BOB, ALICE, 5, 5)), Write::Message(message(CAROL, CAROL, 1, 1))]).await;
    assert_eq!(store.unread(&BOB).await.expect("it counts"), 4, "own messages are never unread");
    assert_eq!(store.unread_in_all().await.expect("it counts"), 5, "all is the sum (S23)");
    save(&mut store, [read(BOB, 3)]).await;
    save(&mut store, [read(BOB, 2)]).await;
    assert_eq!(store.unread(&BOB).await.expect("it counts"), 1, "a marker never moves back (S24)");
    assert_eq!(store.unread_in_all().await.expect("it counts"), 2, "all is the sum (S23)");
    save(&mut store, [read(ALICE, 7)]).await;
    assert_eq!(store.unread(&ALICE).await.expect("it counts"), 0, "a marker may come before its messages");
    let mut other = message(BOB, BOB, 6, 6);
    other.device = device(2);
    save(&mut store, [Write::Message(other)]).await;
    assert_eq!(store.unread(&BOB).await.expect("it counts"), 2, "markers are for each device that wrote");
}
