//! Spec §17.1: mailboxes come, close and go.
use std::sync::Arc;

use waxwing_relay::store::{CreateError, MailboxError, NewMailbox, PutError, Rules, Store, WatchError, Watcher};
use waxwing_wire::{frame::ErrorCode, relay::Ack};

use super::Subject;
use crate::scene::{CONTACTS, DAY, Ear, Heard, NOW, Owner, after, put};

super::conformance!(
    creating_twice_is_creating_once,
    an_owner_key_with_another_close_capability_is_taken,
    an_invitation_serves_one_mailbox,
    e9_an_absent_mailbox_refuses_everything,
    a_closed_mailbox_is_absent_and_closing_it_again_is_done_for_60_days,
    a_deleted_mailbox_is_absent_and_can_be_made_anew_without_what_was_in_it,
);

const ALICE: Owner = Owner(1);
const BOB: Owner = Owner(2);

async fn creating_twice_is_creating_once<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    ALICE.with_contacts(store).await;
    ALICE.put(store, 1).await;
    store.create_mailbox(ALICE.new_mailbox(), NOW).await.unwrap();
    assert_eq!(store.owner_key(&ALICE.mailbox()), Some([1; 32]));
    assert_eq!(ALICE.numbers(store, NOW).await, [1]);
    assert_eq!(store.state(&ALICE.mailbox(), NOW).await.unwrap().lanes.len(), 2);
}

async fn an_owner_key_with_another_close_capability_is_taken<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    ALICE.create(store).await;
    let other = NewMailbox { close_hash: [9; 32], ..ALICE.new_mailbox() };
    assert_eq!(store.create_mailbox(other, NOW).await, Err(CreateError::Taken));
    assert_eq!(store.close_mailbox(&ALICE.mailbox(), [9; 32], NOW).await, Err(MailboxError::Refused));
}

async fn an_invitation_serves_one_mailbox<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    let invited = |owner: Owner| NewMailbox { invite: Some([7; 32]), ..owner.new_mailbox() };
    assert_eq!(store.create_mailbox(invited(ALICE), NOW).await, Err(CreateError::Invite));
    assert_eq!(store.owner_key(&ALICE.mailbox()), None);
    store.add_invite([7; 32]).await.unwrap();
    store.create_mailbox(invited(ALICE), NOW).await.unwrap();
    // The same again spends nothing, whatever invitation it names.
    store.create_mailbox(invited(ALICE), NOW).await.unwrap();
    assert_eq!(store.create_mailbox(invited(BOB), NOW).await, Err(CreateError::Invite));
    store.add_invite([7; 32]).await.unwrap();
    store.create_mailbox(invited(ALICE), NOW).await.unwrap();
    store.create_mailbox(invited(BOB), NOW).await.unwrap();
}

async fn e9_an_absent_mailbox_refuses_everything<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    let id = ALICE.mailbox();
    let ear: Arc<dyn Watcher> = Arc::new(Ear::default());
    assert_eq!(store.owner_key(&id), None);
    assert_eq!(put(store, ALICE.envelope(1), NOW).await, Err(PutError::Refused));
    let mut by_work = ALICE.envelope(2);
    by_work.via = waxwing_relay::store::Via::Strangers;
    assert_eq!(put(store, by_work.clone(), NOW).await, Err(PutError::Refused));
    assert_eq!(store.put_online(by_work, NOW), Err(PutError::Refused));
    assert_eq!(store.state(&id, NOW).await, Err(MailboxError::Refused));
    assert_eq!(store.watch(&id, 0, Arc::clone(&ear), NOW).await, Err(WatchError::Refused));
    store.unwatch(&id, &ear);
    assert_eq!(store.read(&id, 0, 9, 9, NOW).await.unwrap_err(), MailboxError::Refused);
    let ack = Ack::new(1, Vec::new()).unwrap();
    assert_eq!(store.ack(&id, &ack, NOW).await.unwrap_err(), waxwing_relay::store::AckError::Refused);
    let end = waxwing_wire::relay::EndLane { lane: waxwing_wire::relay::LaneNumber(1), ends: NOW };
    let refused = waxwing_relay::store::LaneError::Rule(ErrorCode::Refused);
    assert_eq!(store.end_lane(&id, end, NOW).await, Err(refused));
    assert_eq!(store.close_mailbox(&id, ALICE.close_hash(), NOW).await, Err(MailboxError::Refused));
    assert_eq!(store.delete_mailbox(&id, NOW).await, Err(MailboxError::Refused));
}

async fn a_closed_mailbox_is_absent_and_closing_it_again_is_done_for_60_days<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    ALICE.with_contacts(store).await;
    ALICE.put(store, 1).await;
    let ear = Arc::new(Ear::default());
    let watcher: Arc<dyn Watcher> = Arc::clone(&ear) as _;
    store.watch(&ALICE.mailbox(), 0, watcher, NOW).await.unwrap();

    assert_eq!(store.close_mailbox(&ALICE.mailbox(), BOB.close_hash(), NOW).await, Err(MailboxError::Refused));
    assert_eq!(ear.heard(), []);
    store.close_mailbox(&ALICE.mailbox(), ALICE.close_hash(), NOW).await.unwrap();
    assert_eq!(ear.heard(), [Heard::Ended]);

    assert_eq!(store.owner_key(&ALICE.mailbox()), None);
    assert_eq!(put(store, ALICE.envelope(2), NOW).await, Err(PutError::Refused));
    assert_eq!(store.read(&ALICE.mailbox(), 0, 9, 9, NOW).await.unwrap_err(), MailboxError::Refused);
    assert_eq!(store.create_mailbox(ALICE.new_mailbox(), after(59 * DAY)).await, Err(CreateError::Taken));
    let id = ALICE.mailbox();
    let again = |at| store.close_mailbox(&id, ALICE.close_hash(), at);
    assert_eq!(again(after(60 * DAY - 1)).await, Ok(()));
    assert_eq!(store.close_mailbox(&id, BOB.close_hash(), NOW).await, Err(MailboxError::Refused));
    while store.expire(after(60 * DAY)).await.unwrap() {}
    assert_eq!(again(after(60 * DAY)).await, Err(MailboxError::Refused));
    store.create_mailbox(ALICE.new_mailbox(), after(60 * DAY)).await.unwrap();
    assert_eq!(ALICE.numbers(store, after(60 * DAY)).await, [0_u64; 0]);
}

async fn a_deleted_mailbox_is_absent_and_can_be_made_anew_without_what_was_in_it<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    ALICE.with_contacts(store).await;
    BOB.with_contacts(store).await;
    ALICE.put(store, 1).await;
    BOB.put(store, 2).await;
    store.delete_mailbox(&ALICE.mailbox(), NOW).await.unwrap();
    assert_eq!(store.owner_key(&ALICE.mailbox()), None);
    assert_eq!(put(store, ALICE.envelope(3), NOW).await, Err(PutError::Refused));
    assert_eq!(store.delete_mailbox(&ALICE.mailbox(), NOW).await, Err(MailboxError::Refused));
    // Not closed: nothing of it remains.
    let id = ALICE.mailbox();
    assert_eq!(store.close_mailbox(&id, ALICE.close_hash(), NOW).await, Err(MailboxError::Refused));

    store.create_mailbox(ALICE.new_mailbox(), NOW).await.unwrap();
    assert_eq!(put(store, ALICE.envelope(3), NOW).await, Err(PutError::Refused), "the lane went as well");
    ALICE.lane(store, waxwing_wire::relay::NewLane::Contacts, CONTACTS).await;
    ALICE.put(store, 4).await;
    assert_eq!(ALICE.numbers(store, NOW).await, [4]);
    assert_eq!(BOB.numbers(store, NOW).await, [2]);
}
