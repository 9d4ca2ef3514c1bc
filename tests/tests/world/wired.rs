//! Bad minutes over real QUIC: what stands between engine and wire is shaken too.
//!
//! ```text
//! two people with two devices each ─▶ a bad minute, in which they talk ─▶ it heals ─▶ within 60 seconds everything is shown: once, in order
//! ```
//! [`crate::campaign`] says how to run many.
use std::time::Duration;

use waxwing_net::simulation::Faults as Weather;
use waxwing_tests::wired::{Trouble, Wired, live};

use crate::campaign::{self, Faults, Kind, Window};

/// A kind of bad minute.
struct Class {
    name: &'static str,
    weather: Weather,
    troubles: &'static [Trouble],
    faults: &'static [&'static str],
}

impl Class {
    const fn kind(&self) -> Kind {
        Kind { suite: "wired", name: self.name, seeds: 2, faults: self.faults }
    }
}

const MINUTE: Duration = Duration::from_secs(60);
const ROUNDS: usize = 8;
/// Milliseconds after which the weather may change.
const PIECE: u64 = 250;

const CALM: Weather = Weather { lost: 0, doubled: 0, delay: Duration::from_millis(20), jitter: Duration::ZERO };
/// One datagram of ten is lost, and they overtake each other.
const LOSSY: Weather = Weather { lost: 100, doubled: 0, jitter: Duration::from_millis(30), ..CALM };
const SHUFFLED: Weather = Weather { lost: 0, doubled: 200, jitter: Duration::from_millis(200), ..CALM };
const SLOW: Weather = Weather { delay: Duration::from_millis(600), jitter: Duration::from_millis(900), ..CALM };
const STORM: Weather = Weather { lost: 150, doubled: 100, jitter: Duration::from_millis(250), ..CALM };

/// One test for each class, and the list for the campaign.
macro_rules! classes {
    ($($name:ident { $weather:expr, $troubles:expr, $faults:expr })*) => {
        const CLASSES: &[Class] =
            &[$(Class { name: stringify!($name), weather: $weather, troubles: $troubles, faults: $faults }),*];
        $(
            #[test]
            fn $name() {
                let class = CLASSES.iter().find(|class| class.name == stringify!($name)).expect("there is such a class");
                campaign::test(&class.kind(), |seed, bad| live_through(class, seed, bad));
            }
        )*
    };
}

classes! {
    loss { LOSSY, &[], &["lost"] }
    twice_and_in_another_order { SHUFFLED, &[], &["doubled"] }
    delay { SLOW, &[], &[] }
    partition { CALM, &[Trouble::Partition], &["partition", "cut"] }
    one_way { CALM, &[Trouble::OneWay], &["one way only", "cut"] }
    relay_crashes { CALM, &[Trouble::RelayCrashes], &["relay crashed"] }
    key_server_away { CALM, &[Trouble::KeyserverAway], &["key server away"] }
    client_crashes { CALM, &[Trouble::ClientCrashes], &["client crashed"] }
    disk_full { CALM, &[Trouble::DiskFull], &["disk full", "save refused"] }
    clock_jumps { CALM, &[Trouble::ClockJumps], &["clock jumped"] }
    crashes_and_loss { LOSSY, &[Trouble::ClientCrashes, Trouble::RelayCrashes], &["lost", "client crashed", "relay crashed"] }
    one_way_and_full_disk { CALM, &[Trouble::OneWay, Trouble::DiskFull], &["one way only", "disk full"] }
    storm_and_all_troubles { STORM, &Trouble::ALL, &["lost", "doubled", "cut", "client crashed", "relay crashed", "disk full"] }
}

/// A bad minute of a class, from a seed: the faults that happened. Panics with what does not hold after it.
fn live_through(class: &Class, seed: u64, bad: Window) -> Faults {
    live(async {
        let mut world = Wired::new(seed).await;
        let (alice, bob) = (world.person().await, world.person().await);
        world.befriend(alice, bob).await;
        let mut minute = 0;
        world.schedule(class.troubles, Duration::from_secs(15), MINUTE);
        world.keep_scheduled(|at| bad.contains(at));
        for round in 0..ROUNDS {
            for (person, other) in [(alice, bob), (bob, alice)] {
                world.say(world.device(person, round % 2), other, &format!("{round}")).await;
            }
            for _ in 0..8 * (1_000 / PIECE) {
                world.network().set(if bad.contains(minute) { class.weather } else { CALM });
                world.run_for(Duration::from_millis(PIECE)).await;
                minute += PIECE;
            }
        }
        world.heal().await;
        world.run_for(MINUTE).await;
        world.judge().await.assert();
        world.run_for(Duration::from_secs(10)).await;
        assert!(world.mailboxes_are_empty().await, "what was dealt with is acked");
        world.faults()
    })
}

/// All classes with many seeds each, and a table of what happened; every failing seed is named.
#[test]
#[ignore = "a campaign: minutes to hours"]
fn campaign() {
    campaign::all(CLASSES, Class::kind, live_through);
}

/// In fair weather nothing goes wrong.
#[test]
fn calm() {
    let calm = Class { name: "calm", weather: CALM, troubles: &[], faults: &[] };
    campaign::test(&calm.kind(), |seed, bad| live_through(&calm, seed, bad));
}

/// Bugs that were planted are found: a disk that saves nothing leads to lost copies and to message keys that seal twice.
#[test]
fn planted_a_disk_that_lies_is_found() {
    live(async {
        let mut world = Wired::new(1).await;
        let (alice, bob) = (world.person().await, world.person().await);
        world.befriend(alice, bob).await;
        let device = world.device(alice, 0);
        world.disk(device).lie();
        world.say_once(device, bob, "before").await;
        world.run_for(MINUTE).await;
        world.crash(device);
        world.revive(device).await;
        world.say_once(device, bob, "after").await;
        world.run_for(MINUTE).await;
        let faults = world.judge().await.faults;
        for words in ["\"before\" by DeviceIndex(0) is not shown at DeviceIndex(0)", "sealed twice"] {
            assert!(faults.iter().any(|fault| fault.contains(words)), "{words}: {faults:?}");
        }
    });
}

/// An envelope that a relay keeps for somebody is found.
#[test]
fn planted_a_mailbox_that_is_not_empty_is_found() {
    live(async {
        let mut world = Wired::new(1).await;
        let (alice, bob) = (world.person().await, world.person().await);
        world.befriend(alice, bob).await;
        assert!(world.mailboxes_are_empty().await);
        world.crash(world.device(bob, 1));
        world.say(world.device(alice, 0), bob, "while you were out").await;
        world.run_for(MINUTE).await;
        assert!(!world.mailboxes_are_empty().await);
    });
}
