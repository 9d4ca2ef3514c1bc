//! The judge is judged: bugs that are planted in running programs are found, each by what it breaks.
use std::{cell::Cell, rc::Rc, time::Duration};

use waxwing_engine::{
    Output,
    store::{Batch, StoredMessage, Write},
};
use waxwing_tests::world::{DeviceIndex, PersonIndex, Planted, World};
use waxwing_wire::{content::MessageId, relay::RelayRequest, time::Timestamp};

const MINUTE: Duration = Duration::from_secs(60);

/// Two friends with two devices each who are through with getting to know each other.
fn friends() -> (World, PersonIndex, PersonIndex) {
    let mut world = World::new(71, 1);
    let (alice, bob) = world.two_friends(2, 2);
    world.talk_until_usual(alice, bob);
    world.judge().assert();
    assert!(world.run_until(MINUTE, World::mailboxes_are_empty));
    (world, alice, bob)
}

/// What is wrong after each of them said something three times.
fn faults_after_talk(world: &mut World, alice: PersonIndex, bob: PersonIndex) -> Vec<String> {
    for number in 0..3 {
        for (person, to) in [(alice, bob), (bob, alice)] {
            for device in world.devices(person).to_vec() {
                world.say(device, to, &format!("planted {number}"));
            }
            world.run_for(Duration::from_secs(20));
        }
    }
    world.run_for(MINUTE * 30);
    world.judge().faults
}

/// A bug in one device's program; it counts how often it showed.
fn plant(
    world: &mut World,
    at: DeviceIndex,
    mut bug: impl FnMut(Output, &Cell<u64>) -> Option<Output> + 'static,
) -> Rc<Cell<u64>> {
    let times = Rc::new(Cell::new(0));
    let count = Rc::clone(&times);
    let planted: Planted =
        Box::new(move |device, output| if device == at { bug(output, &count) } else { Some(output) });
    world.planted = Some(planted);
    times
}

/// It showed once more.
fn count(times: &Cell<u64>) {
    times.set(times.get() + 1);
}

/// A batch in which some messages are others, or several, or none.
fn with_messages(batch: &Batch, mut change: impl FnMut(&StoredMessage) -> Vec<StoredMessage>) -> Output {
    let mut changed = Batch::new();
    for write in batch.writes() {
        match write {
            Write::Message(message) => {
                change(message).into_iter().for_each(|message| changed.push(Write::Message(message)));
            }
            Write::Put(record) => changed.push(Write::Put(record.clone())),
            Write::Delete { table, key } => changed.push(Write::Delete { table: *table, key: key.clone() }),
            Write::MessageState { conversation, id, state } => {
                changed.push(Write::MessageState { conversation: *conversation, id: *id, state: *state });
            }
            Write::Read { conversation, device, sequence } => {
                changed.push(Write::Read { conversation: *conversation, device: *device, sequence: *sequence });
            }
        }
    }
    Output::Save(changed)
}

#[test]
fn without_a_bug_nothing_is_found() {
    let (mut world, alice, bob) = friends();
    let at = world.device(bob, 1);
    let times = plant(&mut world, at, |output, times| match output {
        Output::Save(batch) => {
            count(times);
            Some(with_messages(&batch, |message| vec![message.clone()]))
        }
        output => Some(output),
    });
    assert_eq!(faults_after_talk(&mut world, alice, bob), [""; 0]);
    assert!(world.mailboxes_are_empty());
    assert!(times.get() > 10, "its batches went through the bug's hands");
}

/// One that acks before it has saved, and loses what it acked.
#[test]
fn a_message_that_is_acked_and_not_saved_is_found() {
    let (mut world, alice, bob) = friends();
    let theirs = world.account(alice);
    let at = world.device(bob, 1);
    let times = plant(&mut world, at, move |output, times| match output {
        Output::Save(batch) if times.get() == 0 => Some(with_messages(&batch, |message| {
            if message.author == theirs {
                count(times);
                return vec![];
            }
            vec![message.clone()]
        })),
        output => Some(output),
    });
    let faults = faults_after_talk(&mut world, alice, bob);
    assert_eq!(times.get(), 1);
    assert!(faults.iter().any(|fault| fault.contains("is not shown")), "{faults:?}");
}

/// One whose acks get lost: its mailbox fills.
#[test]
fn a_lost_ack_is_found() {
    let (mut world, alice, bob) = friends();
    let at = world.device(bob, 1);
    let times = plant(&mut world, at, |output, times| match output {
        Output::Relay { request: RelayRequest::Ack(_), .. } => {
            count(times);
            None
        }
        output => Some(output),
    });
    faults_after_talk(&mut world, alice, bob);
    assert!(times.get() > 0);
    assert!(!world.run_until(MINUTE, World::mailboxes_are_empty), "what was not acked is there");
}

/// One that goes on from an older copy of its sessions.
#[test]
fn b6_a_message_key_that_is_used_twice_is_found() {
    let (mut world, alice, bob) = friends();
    let at = world.device(alice, 0);
    let before = world.store(at).load_now();
    world.say(at, bob, "once");
    world.run_for(MINUTE);
    world.judge().assert();
    world.put_sessions_back(at, before);
    world.say(at, bob, "twice");
    world.run_for(MINUTE);
    let faults = world.judge().faults;
    assert!(faults.iter().any(|fault| fault.contains("sealed with the key of another")), "{faults:?}");
}

/// One that takes a message that comes again for another one.
#[test]
fn a_message_that_is_shown_twice_is_found() {
    let (mut world, alice, bob) = friends();
    let theirs = world.account(alice);
    let at = world.device(bob, 1);
    let times = plant(&mut world, at, move |output, times| match output {
        Output::Save(batch) if times.get() == 0 => Some(with_messages(&batch, |message| {
            let mut shown = vec![message.clone()];
            if message.author == theirs {
                count(times);
                shown.push(StoredMessage { id: MessageId::from_bytes([9; 16]), ..message.clone() });
            }
            shown
        })),
        output => Some(output),
    });
    let faults = faults_after_talk(&mut world, alice, bob);
    assert_eq!(times.get(), 1);
    assert!(faults.iter().any(|fault| fault.contains("nobody said there")), "{faults:?}");
}

/// One that puts messages where the reader's clock says.
#[test]
fn a_message_in_another_place_is_found() {
    let (mut world, alice, bob) = friends();
    let theirs = world.account(alice);
    let at = world.device(bob, 1);
    let times = plant(&mut world, at, move |output, times| match output {
        Output::Save(batch) => Some(with_messages(&batch, |message| {
            let mut message = message.clone();
            if message.author == theirs && message.text == "planted 2" {
                count(times);
                message.sent = Timestamp(message.sent.0 / 2);
            }
            vec![message]
        })),
        output => Some(output),
    });
    let faults = faults_after_talk(&mut world, alice, bob);
    assert!(times.get() > 0);
    assert!(faults.iter().any(|fault| fault.contains("out of order")), "{faults:?}");
}
