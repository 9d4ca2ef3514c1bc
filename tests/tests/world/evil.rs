//! Servers that lie, in whole: what they cannot do, what the person is told, and that all is well once they behave.
use std::{cell::Cell, rc::Rc, time::Duration};

use waxwing_engine::Command;
use waxwing_tests::world::{Evil, Told, What, World};
use waxwing_wire::keyserver::KeyserverReply;

use crate::seen::{by, lookups};

const MINUTE: Duration = Duration::from_secs(60);

/// B8: a key server that withholds where devices are, or their bundles, is asked ever more rarely; when it gives them, everything goes.
#[test]
fn b8_a_key_server_that_withholds_is_asked_rarely() {
    for withholds in ["reach", "bundles"] {
        let mut world = World::new(31, 1);
        let (alice, bob) = (world.person(1), world.person(1));
        let (a, b) = (world.device(alice, 0), world.device(bob, 0));
        let link = world.make_link(bob);
        world.run_for(MINUTE);
        world.evil_keyserver = Some(Box::new(move |reply| match reply {
            Ok(KeyserverReply::Reach(reach)) if withholds == "reach" => reach.records.clear(),
            Ok(KeyserverReply::Bundles(bundles)) if withholds == "bundles" => bundles.bundles.clear(),
            _ => {}
        }));
        world.forget_observed();
        world.command(a, Command::Add { link }).expect("a link");
        world.say(a, bob, "hello");
        world.run_for(MINUTE * 10);
        let asked = lookups(&world, a).len();
        assert!((5..40).contains(&asked), "{withholds}: asked {asked} times in ten minutes");
        assert!(by(&world, a).iter().all(|seen| !matches!(seen.what, What::Put { .. })));
        world.evil_keyserver = None;
        let account = world.account(alice);
        assert!(world.run_until(MINUTE * 3, |world| world.is_told(b, Told::Request(account))));
    }
}

/// B8: bundles of another device open no session, and nothing is sealed for them.
#[test]
fn b8_prekeys_of_another_device_are_refused() {
    let mut world = World::new(32, 1);
    let (alice, bob) = (world.person(1), world.person(2));
    let (a, b) = (world.device(alice, 0), world.device(bob, 0));
    let link = world.make_link(bob);
    world.run_for(MINUTE);
    let swapped = Rc::new(Cell::new(0));
    let count = Rc::clone(&swapped);
    world.evil_keyserver = Some(Box::new(move |reply| {
        if let Ok(KeyserverReply::Bundles(bundles)) = reply
            && let [one, other, ..] = bundles.bundles.as_mut_slice()
        {
            std::mem::swap(&mut one.device, &mut other.device);
            count.set(count.get() + 1);
        }
    }));
    world.forget_observed();
    world.command(a, Command::Add { link }).expect("a link");
    world.say(a, bob, "hello");
    world.run_for(MINUTE * 2);
    assert!(swapped.get() > 0);
    assert!(by(&world, a).iter().all(|seen| !matches!(seen.what, What::Put { .. })), "nothing was sealed");
    world.evil_keyserver = None;
    let account = world.account(alice);
    assert!(world.run_until(MINUTE * 3, |world| world.is_told(b, Told::Request(account))));
}

/// E6, B2: what a relay keeps back from one device is missed with the next message, said, and asked for; it is shown in its place.
#[test]
fn e6_what_a_relay_keeps_back_is_asked_for() {
    for number in 0..4_u64 {
        let mut world = World::new(33 + number, 1);
        let (alice, bob) = world.two_friends(1, 2);
        world.talk_until_usual(alice, bob);
        let (a, b) = (world.device(alice, 0), world.device(bob, 1));
        let kept = Rc::new(Cell::new(None));
        let chosen = Rc::clone(&kept);
        let count = Rc::new(Cell::new(0));
        world.evil_relay = Some(Box::new(move |device, delivery| {
            if device == b && delivery.lane.0 == 1 {
                count.set(count.get() + 1);
                if count.get() == number + 1 {
                    chosen.set(Some(delivery.sequence));
                }
            }
            if device == b && chosen.get() == Some(delivery.sequence) { Evil::Drop } else { Evil::Deliver }
        }));
        for text in 0..6 {
            world.say(a, bob, &format!("{text}"));
            world.run_for(Duration::from_secs(5));
        }
        assert!(kept.get().is_some() && world.is_told(b, Told::Gap(world.account(alice))), "it is said");
        // A minute for what is only late, ten between two questions.
        world.run_for(MINUTE * 12);
        world.judge().assert();
    }
}

/// E6: envelopes of one device at another, and again at their own, on every lane: nothing is shown that was not, and people go on.
#[test]
fn e6_what_a_relay_replays_changes_nothing() {
    let mut world = World::new(37, 1);
    world.recorded = Some(Vec::new());
    let (alice, bob) = world.two_friends(2, 2);
    for number in 0..3 {
        world.say(world.device(alice, number % 2), bob, &format!("{number}"));
        world.say(world.device(bob, number % 2), alice, &format!("{number}"));
        world.run_for(Duration::from_secs(20));
    }
    let all = world.recorded.take().expect("it was recorded");
    assert!(all.len() > 20, "{} envelopes", all.len());
    for device in [world.device(bob, 0), world.device(bob, 1), world.device(alice, 0)] {
        for (number, (_, envelope)) in all.iter().enumerate() {
            world.inject(device, u32::try_from(number % 5).expect("small"), envelope);
        }
        world.run_for(MINUTE * 2);
        world.judge().assert();
    }
    assert!(
        world.is_told(world.device(bob, 1), Told::Quarantined),
        "what was for somebody else is put aside, and said"
    );
    for (person, other) in [(alice, bob), (bob, alice)] {
        for device in world.devices(person).to_vec() {
            world.say(device, other, "and on");
        }
    }
    world.run_for(MINUTE * 15);
    world.judge().assert();
}
