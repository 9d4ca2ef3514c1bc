//! Seeded worlds in all kinds of weather.
use std::{collections::BTreeMap, time::Duration};

use waxwing_tests::world::{Weather, World, for_each_seed};

#[test]
fn two_friends_talk_in_calm_weather() {
    let mut world = World::new(1, 2);
    let (alice, bob) = world.two_friends(1, 1);
    let (a, b) = (world.device(alice, 0), world.device(bob, 0));
    for number in 0..5 {
        world.say(a, bob, &format!("from Alice {number}"));
        world.say(b, alice, &format!("from Bob {number}"));
    }
    world.settle();
    world.judge().assert();
}

/// Two people with two devices each, in some weather for a virtual minute, then a fair one: everything is shown once, in order.
fn talk(name: &str, weather: Weather, faults: &[&str]) {
    let mut happened = BTreeMap::<&str, u64>::new();
    for_each_seed(name, 20, |seed| {
        let mut world = World::new(seed, 2);
        let (alice, bob) = world.two_friends(2, 2);
        world.weather = weather;
        world.schedule_weather(Duration::from_secs(60));
        for number in 0..10 {
            for (person, other) in [(alice, bob), (bob, alice)] {
                let device = world.device(person, number % 2);
                world.say(device, other, &format!("{number}"));
            }
            world.run_for(Duration::from_secs(6));
        }
        world.heal();
        world.run_for(Duration::from_secs(60));
        world.judge().assert();
        for (fault, count) in &world.faults {
            *happened.entry(fault).or_default() += count;
        }
    });
    println!("{name}: {happened:?}");
    // Fair weather would prove nothing.
    assert!(faults.iter().all(|fault| happened.contains_key(fault)), "{happened:?}");
}

#[test]
fn connections_break() {
    talk("weather::connections_break", Weather::lossy(), &["connection broken", "connection refused"]);
}

#[test]
fn what_arrives_comes_twice_or_in_another_order() {
    talk("weather::what_arrives_comes_twice_or_in_another_order", Weather::shuffled(), &["doubled", "overtaken"]);
}

#[test]
fn servers_cannot_be_reached_or_begin_anew() {
    talk("weather::servers_cannot_be_reached_or_begin_anew", Weather::torn(), &["partition", "relay restarted"]);
}

#[test]
fn devices_crash() {
    talk("weather::devices_crash", Weather::crashing(), &["crash"]);
}

#[test]
fn everything_at_once() {
    talk(
        "weather::everything_at_once",
        Weather::storm(),
        &["connection broken", "connection refused", "doubled", "overtaken", "partition", "relay restarted", "crash"],
    );
}
