//! What was lost, stale or away for long, and how it is good again.
use std::time::Duration;

use waxwing_engine::{Command, LinkId};
use waxwing_relay::ledger::Quota;
use waxwing_tests::world::{DeviceIndex, Evil, Observed, PersonIndex, Trouble, What, World, for_each_seed};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// E6: a relay that lost its disk gets every mailbox and lane again, and people go on.
#[test]
fn e6_a_relay_that_lost_everything_gets_the_mailboxes_again() {
    let mut world = World::new(21, 1);
    let (alice, bob) = world.two_friends(2, 2);
    world.relay_loses_everything(0);
    world.run_for(MINUTE * 3);
    for (person, other) in [(alice, bob), (bob, alice)] {
        for device in world.devices(person).to_vec() {
            world.say(device, other, "still here");
        }
    }
    world.run_for(MINUTE * 5);
    world.judge().assert();
    // By keys, not by the strangers' lane, which costs work.
    assert!(world.observed().iter().rev().take(20).filter_map(by_key).all(|by_key| by_key));
}

/// E6: a relay that is put back to an earlier day delivers again what was dealt with, has links again that were revoked and does not know
/// those that were made since, nor the contacts' new key. Nothing is shown twice, and within the hour everything is as it was.
#[test]
fn e6_a_relay_that_was_put_back_to_an_earlier_day_has_today_s_lanes_again() {
    let mut world = World::new(24, 1);
    let (alice, bob) = world.two_friends(2, 2);
    let (carol, dave) = (world.person(1), world.person(1));
    let revoked = world.make_link(bob);
    world.say(world.device(alice, 0), bob, "on its way");
    world.run_for(Duration::from_millis(300));
    let backup = world.relay_backup(0);
    world.run_for(MINUTE);
    let id = LinkId::of(&revoked).expect("it has a token");
    world.command(world.device(bob, 0), Command::RevokeLink { link: id }).expect("it is open");
    let newer = world.make_link(bob);
    world.run_for(MINUTE * 61);
    world.forget_observed();
    world.relay_goes_back(0, backup);
    world.run_for(MINUTE * 3);
    world.judge().assert();
    for (person, other) in [(alice, bob), (bob, alice)] {
        for device in world.devices(person).to_vec() {
            world.say(device, other, "still here");
        }
    }
    world.run_for(MINUTE * 5);
    world.judge().assert();
    assert!(puts_by_key(&world).all(|by_key| by_key), "contacts and own devices need no work");
    // Whoever has the newer link is let in by it; whoever has the revoked one is a stranger, who pays.
    for (person, link, text, is_let_in) in [(carol, newer, "by the link", true), (dave, revoked, "a stranger", false)] {
        world.forget_observed();
        world.command(world.device(person, 0), Command::Add { link }).expect("it is somebody else's");
        world.say_unanswered(world.device(person, 0), bob, text);
        world.run_for(MINUTE * 3);
        world.judge().assert();
        let d = world.device(person, 0);
        let mut puts = world.observed().iter().filter(|seen| seen.device == d).filter_map(by_key);
        assert!(puts.next().is_some(), "{text}: something was put");
        let has_paid = world.observed().iter().filter(|seen| seen.device == d).filter_map(by_key).any(|by_key| !by_key);
        assert_eq!(has_paid, !is_let_in, "{text}");
    }
}

/// E6: nor does such a relay know the contacts' new key, by which somebody who was blocked was shut out.
#[test]
fn e6_a_relay_that_was_put_back_gets_the_contacts_key_that_counts() {
    let mut world = World::new(25, 1);
    let (alice, bob) = world.two_friends(1, 1);
    let carol = world.person(1);
    world.befriend(carol, bob);
    let (a, b, c) = (world.device(alice, 0), world.device(bob, 0), world.device(carol, 0));
    let backup = world.relay_backup(0);
    world.command(b, Command::Block { account: world.account(carol) }).expect("they are a contact");
    for number in 0..3 {
        world.say_in_vain(c, bob, &format!("in vain {number}"));
        world.run_for(MINUTE * 2);
    }
    let rotations = |world: &World| {
        world.observed().iter().filter(|seen| seen.device == b && seen.what == What::Relay("rotate lane")).count()
    };
    assert_eq!(rotations(&world), 1, "the key was replaced");
    // Alice hears of it with what Bob says.
    world.say(b, alice, "as before");
    world.run_for(MINUTE * 61);
    world.forget_observed();
    world.relay_goes_back(0, backup);
    world.run_for(MINUTE * 3);
    assert_eq!(rotations(&world), 1, "and again");
    world.say(a, bob, "still here");
    world.run_for(MINUTE * 3);
    world.judge().assert();
    assert!(world.observed().iter().filter(|seen| seen.device == a).filter_map(by_key).all(|by_key| by_key));
}

fn by_key(seen: &Observed) -> Option<bool> {
    match seen.what {
        What::Put { by_key, .. } => Some(by_key),
        _ => None,
    }
}

fn puts_by_key(world: &World) -> impl Iterator<Item = bool> {
    world.observed().iter().filter_map(by_key)
}

/// A lane that was full has room when its owner was there; nobody waits until what is in it ends.
#[test]
fn a_full_lane_takes_the_rest_when_its_owner_was_there() {
    let mut world = World::with_mailboxes(22, 1, Quota { bytes: 64 << 20, envelopes: 200 });
    let (alice, bob) = world.two_friends(1, 1);
    let (a, b) = (world.device(alice, 0), world.device(bob, 0));
    world.switch_off(b);
    for number in 0..150 {
        world.say(a, bob, &format!("{number}"));
    }
    world.run_for(MINUTE * 20);
    assert!(world.waiting(b) < 150, "not all of them fit");
    world.switch_on(b);
    world.run_for(MINUTE * 20);
    world.judge().assert();
}

/// A device that was off for 60 days goes on with everybody; what is older than a relay keeps is not there.
#[test]
fn a_device_that_was_off_for_60_days_goes_on() {
    let mut world = World::new(23, 1);
    let (alice, bob) = world.two_friends(2, 2);
    world.talk_until_usual(alice, bob);
    let (a, b, away) = (world.device(alice, 0), world.device(bob, 0), world.device(bob, 1));
    world.switch_off(away);
    for week in 0..9 {
        world.say(a, bob, &format!("week {week}"));
        world.say(b, alice, &format!("answer {week}"));
        world.run_for(DAY * 20 / 3);
    }
    world.switch_on(away);
    world.run_for(MINUTE * 15);
    for device in [a, away] {
        let (to, text) = if device == a { (bob, "welcome back") } else { (alice, "I am back") };
        world.say(device, to, text);
    }
    world.run_for(MINUTE * 5);
    assert!(world.shows(away, alice, "welcome back") && world.shows(away, alice, "week 8"));
    for device in world.devices(alice).to_vec() {
        assert!(world.shows(device, bob, "I am back"));
    }
    assert!(world.shows(b, alice, "I am back"), "own devices copy each other");
    assert!(!world.shows(away, alice, "week 0"), "no relay keeps anything for 60 days");
}

/// A linked device goes on when the manifest that it joined by is over: it asks for the renewed one.
#[test]
fn a_linked_device_outlives_the_manifest_that_it_joined_by() {
    let mut world = World::new(25, 1);
    let (alice, bob) = world.two_friends(1, 2);
    world.talk_until_usual(alice, bob);
    world.run_for(DAY * 65);
    let linked = world.device(bob, 1);
    world.say(linked, alice, "still here");
    world.run_for(MINUTE * 2);
    world.judge().assert();
}

/// B8: whoever was away while devices came and went writes to those that there are.
#[test]
fn b8_who_was_away_finds_the_devices_that_there_are() {
    let mut world = World::new(24, 1);
    let (alice, bob) = world.two_friends(1, 2);
    world.talk_until_usual(alice, bob);
    let a = world.device(alice, 0);
    world.switch_off(a);
    world.link(bob, 2);
    world.unlink(bob, 1);
    world.link(bob, 2);
    world.run_for(MINUTE);
    world.switch_on(a);
    world.say(a, bob, "who is there?");
    world.run_for(MINUTE * 3);
    world.say(world.device(bob, 2), alice, "I am new");
    world.run_for(MINUTE * 3);
    world.judge().assert();
}

/// A device whose clock is behind, and that has not heard of a new one yet, says something: the new one gets its copy.
#[test]
fn what_a_device_with_a_wrong_clock_says_reaches_a_new_one() {
    let mut world = World::new(51, 1);
    let (alice, bob) = world.two_friends(1, 2);
    world.talk_until_usual(alice, bob);
    let b = world.device(bob, 1);
    world.switch_off(b);
    world.set_clock(b, -3_600_000);
    world.run_for(MINUTE * 30);
    world.link(bob, 2);
    world.evil_relay = Some(Box::new(move |device, _| if device == b { Evil::Drop } else { Evil::Deliver }));
    world.switch_on(b);
    world.say(b, alice, "is anybody new?");
    world.run_for(MINUTE);
    world.evil_relay = None;
    world.switch_off(b);
    world.switch_on(b);
    world.run_for(MINUTE * 15);
    world.judge().assert();
}

/// B7, B2: whatever befell sessions, after two words of each device in either direction nobody needs a third.
#[test]
fn b7_any_schedule_is_healed_in_two_round_trips() {
    let schedules = std::env::var("WAXWING_SCHEDULES").ok().and_then(|count| count.parse().ok()).unwrap_or(4);
    for_each_seed("healing::b7_any_schedule_is_healed_in_two_round_trips", 5, |seed| {
        let mut world = World::new(seed, 2);
        let (alice, bob) = world.two_friends(2, 2);
        let mut chance = Chance(seed);
        for number in 0..schedules {
            disturb(&mut world, &mut chance, (alice, bob), number);
            world.heal();
            for trip in ["first", "second"] {
                round_trip(&mut world, (alice, bob), &format!("{trip} word {number}"));
            }
            for (person, other) in [(alice, bob), (bob, alice)] {
                for device in world.devices(person).to_vec() {
                    for there in world.devices(other).to_vec() {
                        let text = format!("second word {number} of {}", device.0);
                        assert!(world.shows(there, person, &text), "schedule {number}: {there:?} lacks {text:?}");
                    }
                }
            }
            // Sessions are repaired once in ten minutes.
            world.run_for(MINUTE * 11);
        }
        assert!(world.faults.contains_key("sessions reset"), "{:?}", world.faults);
    });
}

/// Up to four things that go wrong, while people talk.
fn disturb(world: &mut World, chance: &mut Chance, (alice, bob): (PersonIndex, PersonIndex), number: usize) {
    let devices: Vec<DeviceIndex> = [alice, bob].iter().flat_map(|person| world.devices(*person).to_vec()).collect();
    for step in 0..=chance.below(3) {
        let device = devices[chance.below(devices.len())];
        match chance.below(6) {
            0 | 1 => world.reset_sessions(device),
            2 => world.befall(Trouble::RelayForgets),
            3 => world.befall(Trouble::PrekeysTaken),
            4 => world.befall(Trouble::OneWay),
            _ => world.crash_after(device, 3),
        }
        let speaker = devices[chance.below(devices.len())];
        let to = if world.person_of(speaker) == alice { bob } else { alice };
        world.say(speaker, to, &format!("schedule {number}, step {step}"));
        world.run_for(Duration::from_millis(200 + 300 * u64::try_from(chance.below(20)).expect("small")));
    }
    world.run_for(Duration::from_secs(10));
}

/// Every device says something, and gets what the others say.
fn round_trip(world: &mut World, (alice, bob): (PersonIndex, PersonIndex), text: &str) {
    for (person, other) in [(alice, bob), (bob, alice)] {
        for device in world.devices(person).to_vec() {
            world.say(device, other, &format!("{text} of {}", device.0));
        }
    }
    world.run_for(Duration::from_secs(30));
}

/// Small numbers from a seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % u64::try_from(bound).expect("small")).expect("small")
    }
}
