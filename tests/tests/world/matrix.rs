//! The fault matrix: each class is a kind of bad minute, alone or in pairs, and what has to hold after it.
//!
//! ```text
//! two people with two devices each ─▶ a bad minute, in which they talk ─▶ it heals ─▶ within 60 seconds everything is shown: once, in order
//! ```
//! A campaign prints a table of classes, seeds, faults that happened and failures:
//!
//! ```sh
//! WAXWING_SEEDS=1000 cargo test --release --workspace --test world -- --ignored --nocapture matrix::campaign
//! ```
//! `WAXWING_CLASSES=loss,storm` runs some of them, `WAXWING_CLASSES=-loss` all others, `WAXWING_FIRST=201` begins with that seed: so a long
//! one is run in pieces.
use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Mutex,
    time::Duration,
};

use waxwing_tests::world::{PersonIndex, Trouble, Weather, World, for_each_seed, seeds};

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
fn live_through(class: &Class, seed: u64) -> BTreeMap<&'static str, u64> {
    let mut world = World::new(seed, 2);
    let (alice, bob) = world.two_friends(2, 2);
    world.weather = class.weather;
    world.schedule_weather(MINUTE);
    world.schedule_troubles(class.troubles, Duration::from_secs(15), MINUTE);
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
        world.run_for(Duration::from_secs(8));
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

/// What came of the seeds of a class.
#[derive(Default)]
struct Report {
    seeds: u64,
    faults: BTreeMap<&'static str, u64>,
    failed: Vec<u64>,
}

impl Report {
    fn add(&mut self, seed: u64, outcome: Option<BTreeMap<&'static str, u64>>) {
        self.seeds += 1;
        match outcome {
            Some(faults) => {
                faults.into_iter().for_each(|(fault, count)| *self.faults.entry(fault).or_default() += count);
            }
            None => self.failed.push(seed),
        }
    }

    /// Faults that the class is about and that did not happen often enough to say something.
    fn missing(&self, class: &Class) -> Vec<&'static str> {
        let enough = |fault: &&&str| self.faults.get(**fault).is_some_and(|count| count * 2 >= self.seeds);
        class.faults.iter().filter(|fault| !enough(fault)).copied().collect()
    }
}

fn run(name: &str) {
    let class = CLASSES.iter().find(|class| class.name == name).expect("there is such a class");
    let mut report = Report::default();
    for_each_seed(&format!("matrix::{name}"), class.seeds, |seed| report.add(seed, Some(live_through(class, seed))));
    println!("{name}: {:?}", report.faults);
    // A single seed is a replay.
    let missing = report.missing(class);
    assert!(report.seeds == 1 || missing.is_empty(), "{missing:?} of {:?}", report.faults);
}

/// All classes with many seeds each, and a table of what happened; every failing seed is named.
#[test]
#[ignore = "a campaign: minutes to hours"]
fn campaign() {
    let mut bad = Vec::new();
    println!("| class | seeds | faults that happened | failures |\n|---|---|---|---|");
    let chosen = std::env::var("WAXWING_CLASSES").unwrap_or_default();
    let (excluded, chosen): (Vec<&str>, Vec<&str>) =
        chosen.split(',').filter(|name| !name.is_empty()).partition(|name| name.starts_with('-'));
    let is_chosen = |class: &&Class| {
        (chosen.is_empty() || chosen.contains(&class.name))
            && excluded.iter().all(|name| name.strip_prefix('-') != Some(class.name))
    };
    for class in CLASSES.iter().filter(is_chosen) {
        let report = campaign_of(class);
        let faults: Vec<_> = report.faults.iter().map(|(fault, count)| format!("{fault} {count}")).collect();
        println!("| {} | {} | {} | {:?} |", class.name, report.seeds, faults.join(", "), report.failed);
        if !report.failed.is_empty() || !report.missing(class).is_empty() {
            bad.push(class.name);
        }
    }
    assert!(bad.is_empty(), "{bad:?}");
}

/// On as many threads as there are processors.
fn campaign_of(class: &Class) -> Report {
    let report = Mutex::new(Report::default());
    let next = Mutex::new(seeds(class.seeds));
    let work = || {
        loop {
            let seed = next.lock().expect("nobody panics in it").next();
            let Some(seed) = seed else { return };
            let outcome = catch_unwind(AssertUnwindSafe(|| live_through(class, seed))).ok();
            if outcome.is_none() {
                eprintln!(
                    "to replay: WAXWING_SEED={seed} cargo test --workspace --test world -- matrix::{}",
                    class.name
                );
            }
            report.lock().expect("nobody panics in it").add(seed, outcome);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    report.into_inner().expect("nobody panics in it")
}
