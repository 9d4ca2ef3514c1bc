//! The fault matrix: each class is a kind of bad minute, alone or in pairs, and what has to hold after it.
//!
//! ```text
//! two people with two devices each ─▶ a bad minute, in which they talk ─▶ it heals ─▶ within 60 seconds everything is shown: once, in order
//! ```
//! [`crate::campaign`] says how to run many.
use std::time::Duration;

use waxwing_tests::world::{PersonIndex, Trouble, Weather, World};

use crate::campaign::{self, Faults, Kind, Window};

/// A kind of bad minute.
struct Class {
    name: &'static str,
    weather: Weather,
    troubles: &'static [Trouble],
    /// What each of the people also does, in round 4.
    meanwhile: Meanwhile,
    /// Seeds that run by default.
    seeds: u64,
    /// Faults that have to happen in so many seeds, once in two at least: otherwise the class says nothing.
    faults: &'static [&'static str],
    heals: Heals,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Meanwhile {
    Nothing,
    /// Bob lists a third device, and takes the second off the list.
    DevicesChange,
}

/// How it is good again.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Heals {
    /// By itself, within a minute.
    ByItself,
    /// What was accepted and lost is missed when the next thing is said, and asked for.
    WithTheNextWord,
}

const MINUTE: Duration = Duration::from_secs(60);
const ROUNDS: usize = 8;
/// Milliseconds after which the weather may change.
const PIECE: u64 = 250;

impl Class {
    const fn kind(&self) -> Kind {
        Kind { suite: "matrix", name: self.name, seeds: self.seeds, faults: self.faults }
    }
}

const CALM: Class = Class {
    name: "",
    weather: Weather::calm(),
    troubles: &[],
    meanwhile: Meanwhile::Nothing,
    seeds: 2,
    faults: &[],
    heals: Heals::ByItself,
};

/// One test for each class, and the list for the campaign.
macro_rules! classes {
    ($($name:ident { $($field:ident: $value:expr,)* })*) => {
        const CLASSES: &[Class] = &[$(Class { name: stringify!($name), $($field: $value,)* ..CALM }),*];
        $(
            #[test]
            fn $name() {
                run(stringify!($name));
            }
        )*
    };
}

classes! {
    loss { weather: Weather::lossy(), faults: &["connection broken", "connection refused"], }
    twice_and_in_another_order { weather: Weather::shuffled(), faults: &["doubled", "overtaken"], }
    delay { weather: Weather { latency: (5, 4_000), ..Weather::calm() }, }
    partition_and_restart { weather: Weather::torn(), faults: &["partition", "relay restarted"], }
    one_way { troubles: &[Trouble::OneWay], faults: &["one way only"], }
    key_server_away { troubles: &[Trouble::KeyserverAway], faults: &["key server away"], }
    crash { weather: Weather::crashing(), faults: &["crash"], }
    disk_full { troubles: &[Trouble::DiskFull], faults: &["disk full", "save refused"], }
    clock_jumps { troubles: &[Trouble::ClockJumps], faults: &["clock jumped"], }
    prekeys_taken { troubles: &[Trouble::PrekeysTaken], faults: &["prekeys taken"], }
    lane_ends { troubles: &[Trouble::LaneEnds], faults: &["lane ended"], }
    sessions_reset {
        troubles: &[Trouble::SessionsReset],
        faults: &["sessions reset"],
        heals: Heals::WithTheNextWord,
    }
    relay_forgets {
        troubles: &[Trouble::RelayForgets],
        faults: &["relay forgot"],
        heals: Heals::WithTheNextWord,
    }
    devices_change { meanwhile: Meanwhile::DevicesChange, }
    devices_change_and_loss {
        weather: Weather::lossy(),
        meanwhile: Meanwhile::DevicesChange,
        faults: &["connection broken", "connection refused"],
    }
    crash_and_another_order {
        weather: Weather { crash: 1_500, ..Weather::shuffled() },
        faults: &["crash", "doubled", "overtaken"],
    }
    crash_disk_full_and_clock {
        weather: Weather::crashing(),
        troubles: &[Trouble::DiskFull, Trouble::ClockJumps],
        faults: &["crash", "disk full", "clock jumped"],
    }
    one_way_loss_and_no_key_server {
        weather: Weather::lossy(),
        troubles: &[Trouble::OneWay, Trouble::KeyserverAway],
        faults: &["one way only", "key server away", "connection broken"],
    }
    reset_without_prekeys_and_key_server {
        troubles: &[Trouble::SessionsReset, Trouble::PrekeysTaken, Trouble::KeyserverAway],
        faults: &["sessions reset", "prekeys taken", "key server away"],
        heals: Heals::WithTheNextWord,
    }
    relay_forgets_lane_ends_and_loss {
        weather: Weather::lossy(),
        troubles: &[Trouble::RelayForgets, Trouble::LaneEnds],
        faults: &["relay forgot", "lane ended", "connection broken"],
        heals: Heals::WithTheNextWord,
    }
    storm {
        weather: Weather::storm(),
        faults: &["connection broken", "connection refused", "doubled", "overtaken", "partition", "relay restarted", "crash"],
        seeds: 3,
    }
    storm_and_all_troubles {
        weather: Weather::storm(),
        troubles: &Trouble::ALL,
        meanwhile: Meanwhile::DevicesChange,
        faults: &["crash", "sessions reset", "relay forgot", "disk full"],
        heals: Heals::WithTheNextWord,
    }
}

/// A bad minute of a class, from a seed: the faults that happened. Panics with what does not hold after it.
fn live_through(class: &Class, seed: u64, bad: Window) -> Faults {
    let mut world = World::new(seed, 2);
    let (alice, bob) = world.two_friends(2, 2);
    let mut minute = 0;
    world.weather = class.weather;
    world.schedule_weather(MINUTE);
    world.schedule_troubles(class.troubles, Duration::from_secs(15), MINUTE);
    world.keep_scheduled(|at| bad.contains(at));
    for round in 0..ROUNDS {
        for (person, other) in [(alice, bob), (bob, alice)] {
            let device = world.device(person, round % 2);
            // A receipt that a relay accepted and lost is not missed by anybody.
            if class.troubles.contains(&Trouble::RelayForgets) {
                world.say_unanswered(device, other, &format!("{round}"));
            } else {
                world.say(device, other, &format!("{round}"));
            }
        }
        if round == ROUNDS / 2 && class.meanwhile == Meanwhile::DevicesChange {
            change_devices(&mut world, bob);
        }
        for _ in 0..8 * (1_000 / PIECE) {
            world.weather = if bad.contains(minute) { class.weather } else { Weather::calm() };
            world.run_for(Duration::from_millis(PIECE));
            minute += PIECE;
        }
    }
    world.heal();
    if class.heals == Heals::WithTheNextWord {
        next_word(&mut world, alice, bob);
    }
    world.run_for(MINUTE);
    world.judge().assert();
    assert!(world.run_until(Duration::from_secs(10), World::mailboxes_are_empty), "what was dealt with is acked");
    world.faults
}

/// Somebody gets a device and another one goes.
fn change_devices(world: &mut World, of: PersonIndex) {
    world.link(of, 2);
    world.run_for(Duration::from_secs(2));
}

/// Each device says something, and is given the time to ask for what it misses.
fn next_word(world: &mut World, alice: PersonIndex, bob: PersonIndex) {
    world.run_for(MINUTE);
    for (person, other) in [(alice, bob), (bob, alice)] {
        for device in world.devices(person).to_vec() {
            world.say(device, other, "the next word");
        }
    }
    world.run_for(MINUTE * 12);
    for (person, other) in [(alice, bob), (bob, alice)] {
        for device in world.devices(person).to_vec() {
            world.say(device, other, "and another");
        }
    }
    world.run_for(MINUTE * 2);
}

fn run(name: &str) {
    let class = CLASSES.iter().find(|class| class.name == name).expect("there is such a class");
    campaign::test(&class.kind(), |seed, bad| live_through(class, seed, bad));
}

/// All classes with many seeds each, and a table of what happened; every failing seed is named.
#[test]
#[ignore = "a campaign: minutes to hours"]
fn campaign() {
    campaign::all(CLASSES, Class::kind, live_through);
}
