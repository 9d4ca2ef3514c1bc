//! What people want of a client.
use waxwing_client::{
    CommandFailed, Cursor, Event, Settled,
    engine::{Command, CommandError, Purpose, State},
};
use waxwing_tests::servers::Server;

use crate::person::{PATIENCE, Person};

#[tokio::test(flavor = "multi_thread")]
async fn two_people_on_two_relays_meet_by_a_link_and_talk() {
    let (relay_a, relay_b, keyserver) = (Server::relay().await, Server::relay().await, Server::keyserver().await);
    let alice = Person::at(&relay_a, &keyserver).await;
    let bob = Person::at(&relay_b, &keyserver).await;
    alice.befriends(&bob).await;
    let question = alice.says(&bob.id(), "are you there?").await;
    assert_eq!(bob.reads(&alice.id(), question).await.text, "are you there?");
    let answer = bob.says(&alice.id(), "yes").await;
    alice.reads(&bob.id(), answer).await;
    alice.is_told(&bob.id(), question, "delivered").await;
    assert_eq!(alice.client().settled(PATIENCE).await, Settled::Yes);
    let expected = ["hello, it is me", "are you there?", "yes"];
    assert_eq!(alice.sees(&bob.id()).await, expected);
    assert_eq!(bob.sees(&alice.id()).await, expected);
    // A command that is refused says so, and changes nothing.
    let stranger = waxwing_wire::id::AccountId::from_bytes([7; 32]);
    let refused = alice.client().command(Command::Accept { account: stranger }).await;
    assert_eq!(refused, Err(CommandFailed::Refused(CommandError::UnknownContact)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_to_somebody_who_is_away_waits_for_them() {
    let (relay, keyserver) = (Server::relay().await, Server::keyserver().await);
    let alice = Person::at(&relay, &keyserver).await;
    let mut bob = Person::at(&relay, &keyserver).await;
    alice.befriends(&bob).await;
    let bobs = bob.id();
    assert_eq!(bob.client().settled(PATIENCE).await, Settled::Yes);
    bob.goes_offline().await;
    let mut last = None;
    for number in 0..20 {
        last = Some(alice.says(&bobs, &format!("number {number}")).await);
    }
    assert_eq!(alice.client().settled(PATIENCE).await, Settled::Yes);
    bob.comes_back().await;
    bob.reads(&alice.id(), last.unwrap()).await;
    let expected: Vec<String> =
        [String::from("hello, it is me")].into_iter().chain((0..20).map(|number| format!("number {number}"))).collect();
    assert_eq!(bob.sees(&alice.id()).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_away_is_named_with_its_reason_and_nothing_is_lost() {
    let (mut relay, keyserver) = (Server::relay().await, Server::keyserver().await);
    let alice = Person::at(&relay, &keyserver).await;
    let bob = Person::at(&relay, &keyserver).await;
    alice.befriends(&bob).await;
    relay.stop().await;
    let lost = alice.says(&bob.id(), "into the night").await;
    let named = async {
        loop {
            let down = alice.client().down().await.unwrap();
            if down.keys().any(|link| matches!(link.purpose, Purpose::Conversation(_))) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, named).await.unwrap();
    let queued = alice.client().reader().message(&bob.id(), &lost).await.unwrap().unwrap();
    assert_eq!(queued.state, State::Queued);
    relay.start().await;
    assert_eq!(bob.reads(&alice.id(), lost).await.text, "into the night");
    alice.is_told(&bob.id(), lost, "sent").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_stops_goes_on_where_it_acknowledged() {
    let (relay, keyserver) = (Server::relay().await, Server::keyserver().await);
    let alice = Person::at(&relay, &keyserver).await;
    let mut bob = Person::at(&relay, &keyserver).await;
    alice.befriends(&bob).await;
    let first = alice.says(&bob.id(), "first").await;
    let cursor = bob.hears(|event| matches!(event, Event::Message { id, .. } if *id == first)).await;
    bob.client().acknowledge("bot", cursor).await.unwrap();
    // An older one takes nothing back, one from the future is none.
    bob.client().acknowledge("bot", Cursor(1)).await.unwrap();
    assert_eq!(bob.client().reader().acknowledged("bot").await.unwrap(), Some(cursor));
    assert_eq!(bob.client().reader().acknowledged("other").await.unwrap(), None);
    bob.goes_offline().await;
    bob.comes_back().await;
    let second = alice.says(&bob.id(), "second").await;
    let mut events = bob.client().events(cursor);
    let next = async {
        loop {
            let (_, event) = events.next().await.unwrap().unwrap();
            match event {
                Event::Message { id, .. } if id == first => panic!("what was acknowledged came again"),
                Event::Message { id, .. } if id == second => return,
                _ => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, next).await.unwrap();
    bob.client().acknowledge("bot", Cursor(u64::MAX)).await.unwrap();
    let newest = bob.client().reader().newest_event().await.unwrap();
    assert!(bob.client().reader().acknowledged("bot").await.unwrap().unwrap() <= newest);
    bob.client().forget_consumer("bot").await.unwrap();
    assert_eq!(bob.client().reader().acknowledged("bot").await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_client_says_so() {
    let (relay, keyserver) = (Server::relay().await, Server::keyserver().await);
    let alice = Person::at(&relay, &keyserver).await;
    alice.ready().await;
    let other = alice.client().clone();
    let mut events = other.events(other.reader().newest_event().await.unwrap());
    let mut alice = alice;
    alice.goes_offline().await;
    let refused = other.command(Command::Unblock { account: other.account_id() }).await;
    assert_eq!(refused, Err(CommandFailed::Closed));
    assert!(other.until(|condition| condition.broken).await.is_err());
    // The reader went with the store.
    assert!(matches!(events.next().await, Ok(None) | Err(_)));
}
