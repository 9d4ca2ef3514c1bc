//! Attacks that clients answer, by their ids (spec/90-attacks.md).
use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use waxwing_engine::{Command, Purpose, State, store::Table};
use waxwing_tests::world::{BEGINNING, Evil, Told, Weather, What, World, for_each_seed};
use waxwing_wire::keyserver::KeyserverReply;

use crate::seen::{by, delivered, lookups, puts};

const DAY: Duration = Duration::from_secs(86_400);

/// Openings that found no one-time prekey are answered once, however often they come, after restarts and from the archive too.
#[test]
fn a5_an_opening_that_comes_again_is_answered_once() {
    let mut world = World::new(1, 1);
    let (alice, bob) = (world.person(1), world.person(1));
    let (a, b) = (world.device(alice, 0), world.device(bob, 0));
    assert!(world.drain(b, 10), "it is listed");
    world.recorded = Some(Vec::new());
    world.befriend(alice, bob);
    assert_eq!(world.store(b).count(Table::LastResortUse), 1, "there was no one-time key");
    let mailbox = world.engine(b).mailbox_id();
    let to_bob = |world: &World| -> Vec<Vec<u8>> {
        let recorded = world.recorded.iter().flatten();
        recorded.filter(|(to, _)| *to == mailbox).map(|(_, envelope)| envelope.clone()).collect()
    };
    let replay = |world: &mut World| {
        for envelope in to_bob(world) {
            for lane in [0, 1, 4] {
                world.inject(b, lane, &envelope);
            }
        }
        world.run_for(Duration::from_secs(90));
        world.judge().assert();
    };
    replay(&mut world);
    world.switch_off(b);
    world.switch_on(b);
    world.run_for(Duration::from_secs(10));
    replay(&mut world);
    // Another session with her, so that the first is in the archive.
    let again = world.recorded.take();
    for envelope in again.iter().flatten().filter(|(to, _)| *to == mailbox).map(|(_, envelope)| envelope) {
        world.inject(b, 4, envelope);
    }
    world.say(a, bob, "still one conversation");
    world.settle();
    world.judge().assert();
}

/// What a device's key server sees of the upkeep of its prekeys: the moments at which it asks, in milliseconds since the last.
fn upkeep_intervals(seed: u64, drained: bool) -> Vec<u64> {
    let mut world = World::new(seed, 1);
    let bob = world.person(1);
    let b = world.device(bob, 0);
    world.run_for(Duration::from_secs(3_600));
    let mut moments = Vec::new();
    let end = world.now().saturating_add(DAY * 8);
    while world.now() < end {
        world.forget_observed();
        let asked = |world: &World| by(world, b).iter().any(|seen| seen.what == What::OwnDirectory("bound"));
        assert!(world.run_until(DAY, asked), "it looks after its prekeys");
        moments
            .push(by(&world, b).iter().find(|seen| seen.what == What::OwnDirectory("bound")).expect("it asked").at.0);
        // What it asks at once thereafter belongs to the same look.
        world.run_for(Duration::from_secs(60));
        if drained {
            assert!(world.drain(b, 6), "it is listed");
        }
    }
    moments.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

/// The greatest distance of two empirical distributions.
fn kolmogorov_smirnov(one: &[u64], other: &[u64]) -> f64 {
    let share = |all: &[u64], at: u64| {
        let below = u32::try_from(all.iter().filter(|value| **value <= at).count()).expect("few");
        f64::from(below) / f64::from(u32::try_from(all.len()).expect("few"))
    };
    one.iter().chain(other).map(|at| (share(one, *at) - share(other, *at)).abs()).fold(0.0, f64::max)
}

/// When prekeys are refilled says nothing about when they were taken; ids are random.
#[test]
fn a6_refills_do_not_follow_fetches() {
    let (mut quiet, mut drained) = (Vec::new(), Vec::new());
    for seed in 1..=3 {
        quiet.extend(upkeep_intervals(seed, false));
        drained.extend(upkeep_intervals(seed + 100, true));
    }
    assert!(quiet.len() > 100 && drained.len() > 100, "{} {}", quiet.len(), drained.len());
    let size = |all: &[u64]| f64::from(u32::try_from(all.len()).expect("few"));
    let (n, m) = (size(&quiet), size(&drained));
    // Two-sided, at 0.1%.
    let limit = 1.95 * ((n + m) / (n * m)).sqrt();
    let distance = kolmogorov_smirnov(&quiet, &drained);
    assert!(distance < limit, "{distance} of {limit}");
    // The test can tell: refills an hour after each fetch would be found.
    let hourly: Vec<u64> = drained.iter().map(|_| 3_600_000).collect();
    assert!(kolmogorov_smirnov(&quiet, &hourly) > limit);
}

#[test]
fn a6_prekey_ids_are_random() {
    let mut ids = BTreeSet::new();
    let mut bits = [0_u32; 32];
    for seed in 1..=20 {
        let mut world = World::new(seed, 1);
        let bob = world.person(1);
        for record in world.store(world.device(bob, 0)).load_now().iter().filter(|record| record.table == Table::Prekey)
        {
            let id = u32::from_be_bytes(record.key[1..].try_into().expect("4 bytes"));
            assert!(ids.insert(id), "an id came twice");
            for (bit, count) in bits.iter_mut().enumerate() {
                *count += (id >> bit) & 1;
            }
        }
    }
    let all = u32::try_from(ids.len()).expect("few");
    assert_eq!(all, 20 * 10);
    // Four standard deviations of 200 fair bits.
    assert!(bits.iter().all(|ones| ones.abs_diff(all / 2) < 29), "{bits:?}");
    assert!(ids.iter().zip(ids.iter().skip(1)).all(|(one, next)| next - one > 1), "no two follow each other");
}

/// After rotation and grace no byte of a last-resort key is left, and an opening under it opens nothing.
#[test]
fn a7_a_last_resort_key_is_gone_after_its_time() {
    let mut world = World::new(2, 1);
    let (alice, bob) = (world.person(1), world.person(1));
    let b = world.device(bob, 0);
    let secrets = |world: &World| -> Vec<Vec<u8>> {
        let records = world.store(b).load_now();
        let prekeys = records.iter().filter(|record| record.table == Table::Prekey && [1, 4].contains(&record.key[0]));
        // From the middle of the private halves.
        prekeys.map(|record| record.value[8..28].to_vec()).collect()
    };
    let old = secrets(&world);
    assert_eq!(old.len(), 2, "a signed prekey and a last-resort key");
    assert!(world.drain(b, 10), "it is listed");
    world.recorded = Some(Vec::new());
    let link = world.make_link(bob);
    world.switch_off(b);
    let a = world.device(alice, 0);
    world.command(a, Command::Add { link }).expect("a link");
    world.say_in_vain(a, bob, "an opening that nobody got");
    world.run_for(Duration::from_secs(60));
    let opening = world.recorded.take().and_then(|all| all.last().cloned()).expect("she sent it").1;
    world.switch_off(a);
    world.switch_on(b);
    // Her opening is lost with the relay's patience; his keys are replaced after two days, and kept for thirty.
    world.evil_relay = Some(Box::new(|_, _| Evil::Drop));
    world.run_for(DAY * 29);
    assert!(old.iter().all(|secret| world.store(b).holds(secret)), "for thirty days somebody may still name them");
    world.run_for(DAY * 4);
    assert!(old.iter().all(|secret| !world.store(b).holds(secret)), "not a byte of them is left");
    world.evil_relay = None;
    world.inject(b, 4, &opening);
    world.run_for(Duration::from_secs(60));
    assert!(world.is_told(b, Told::Quarantined) && !world.is_told(b, Told::Request(world.account(alice))));
}

/// Both begin at once, in fair weather and in bad: one conversation comes of it.
#[test]
fn b7_both_sides_begin_at_once() {
    for_each_seed("attacks::b7_both_sides_begin_at_once", 6, |seed| {
        let mut world = World::new(seed, 2);
        let (alice, bob) = (world.person(2), world.person(2));
        let links = (world.make_link(alice), world.make_link(bob));
        world.run_for(Duration::from_secs(30));
        let (a, b) = (world.device(alice, 0), world.device(bob, 0));
        world.weather = if seed % 2 == 0 { Weather::shuffled() } else { Weather::storm() };
        world.command(a, Command::Add { link: links.1 }).expect("a link");
        world.command(b, Command::Add { link: links.0 }).expect("a link");
        for number in 0..4 {
            world.say(a, bob, &format!("{number}"));
            world.say(b, alice, &format!("{number}"));
            world.run_for(Duration::from_secs(2));
        }
        world.heal();
        world.settle();
        world.judge().assert();
        // They converged: what is said now needs no opening.
        world.talk_until_usual(alice, bob);
        world.forget_observed();
        world.say(a, bob, "usual");
        world.settle();
        let sizes: Vec<_> = puts(&world, a, bob).iter().map(|(_, _, size)| size.bytes()).collect();
        assert!(sizes.iter().all(|size| *size == 2_560), "{sizes:?}");
        world.judge().assert();
    });
}

/// A key server that lies about Bob's devices: another account's manifest, flipped bits, an older list.
#[test]
fn b8_a_key_server_cannot_add_or_hide_a_device() {
    let mut world = World::new(3, 1);
    let (alice, bob, mallory) = (world.person(1), world.person(1), world.person(1));
    let (a, ghost) = (world.device(alice, 0), world.engine(world.device(mallory, 0)).mailbox_id());
    let account = world.account(bob);
    let forged = world.objects(mallory);
    let link = world.make_link(bob);
    world.run_for(Duration::from_secs(30));

    // While it lies, nothing goes anywhere.
    let lies = Rc::new(Cell::new(0_usize));
    let told = Rc::clone(&lies);
    world.evil_keyserver = Some(Box::new(move |reply| {
        if let Ok(KeyserverReply::Account(objects)) = reply {
            told.set(told.get() + 1);
            if told.get().is_multiple_of(2) {
                objects.manifest.clone_from(&forged.manifest);
            } else {
                let bit = told.get() * 37 % (objects.manifest.len() * 8);
                objects.manifest[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }));
    world.forget_observed();
    world.command(a, Command::Add { link }).expect("a link");
    world.say(a, bob, "to Bob alone");
    world.run_for(Duration::from_secs(300));
    assert!(lies.get() > 4, "it was asked again and again");
    let is_put = |what: &What| matches!(what, What::Put { .. });
    assert!(by(&world, a).iter().all(|seen| !is_put(&seen.what)), "nothing was sealed for anybody");
    world.evil_keyserver = None;
    assert!(world.run_until(DAY, |world| world.is_told(world.device(bob, 0), Told::Request(world.account(alice)))));
    let b = world.device(bob, 0);
    world.command(b, Command::Accept { account: world.account(alice) }).expect("she asked");
    world.settle();
    world.judge().assert();

    // An older list does not hide a device that she has heard of.
    let old = world.objects(bob);
    world.link(bob, 1);
    world.say(b, alice, "I have another device");
    world.settle();
    assert!(world.is_told(a, Told::DevicesChanged(account)));
    world.evil_keyserver = Some(Box::new(move |reply| match reply {
        Ok(KeyserverReply::Account(objects)) => objects.manifest.clone_from(&old.manifest),
        Ok(KeyserverReply::Bundles(bundles)) => bundles.account.manifest.clone_from(&old.manifest),
        _ => {}
    }));
    world.say(a, bob, "to both");
    world.run_for(Duration::from_secs(120));
    world.evil_keyserver = None;
    world.settle();
    world.judge().assert();
    let to_ghost = |what: &What| matches!(what, What::Put { mailbox, .. } if *mailbox == ghost);
    assert!(world.observed().iter().all(|seen| !to_ghost(&seen.what)), "the ghost got nothing");
}

/// Receipts go to contacts only, once for the account, at moments that do not follow those of the messages.
#[test]
fn d1_receipts_are_few_late_and_for_contacts() {
    let mut world = World::new(4, 1);
    let (stranger, bob) = (world.person(1), world.person(2));
    let s = world.device(stranger, 0);
    let devices = world.devices(bob).to_vec();
    let link = world.make_link(bob);
    world.run_for(Duration::from_secs(120));
    world.command(s, Command::Add { link }).expect("a link");
    for number in 0..40 {
        world.say_unanswered(s, bob, &format!("{number}"));
        world.run_for(Duration::from_millis(500));
    }
    world.forget_observed();
    world.run_for(Duration::from_secs(300));
    for device in &devices {
        assert_eq!(puts(&world, *device, stranger), [], "a stranger gets no receipt");
        assert!(lookups(&world, *device).is_empty());
    }

    let friend = world.person(1);
    world.befriend(friend, bob);
    world.talk_until_usual(friend, bob);
    let f = world.device(friend, 0);
    let mut receipts = Vec::new();
    let mut waits = Vec::new();
    for number in 0..30 {
        world.forget_observed();
        let said = world.now();
        let id = world.say(f, bob, &format!("{number}"));
        let has_receipt = |world: &World| world.state_of(f, bob, id) >= State::Delivered;
        assert!(world.run_until(Duration::from_secs(30), has_receipt));
        let by_bob: Vec<_> = devices.iter().flat_map(|device| by(&world, *device)).collect();
        let sent = by_bob.iter().filter(|seen| matches!(seen.link.purpose, Purpose::Receipts(_)));
        let sent: Vec<_> = sent.filter(|seen| matches!(seen.what, What::Put { .. })).collect();
        waits.push(sent.iter().map(|seen| seen.at.0 - said.0).min().expect("a receipt was sent"));
        world.run_for(Duration::from_secs(40));
        let by_bob = devices.iter().flat_map(|device| by(&world, *device));
        receipts.push(
            by_bob
                .filter(|seen| {
                    matches!(seen.what, What::Put { .. }) && matches!(seen.link.purpose, Purpose::Receipts(_))
                })
                .count(),
        );
    }
    assert!(waits.iter().all(|wait| (1_000..12_000).contains(wait)), "{waits:?}");
    let (least, most) = (waits.iter().min().expect("many"), waits.iter().max().expect("many"));
    assert!(most - least > 3_000, "they are spread: {waits:?}");
    let single = receipts.iter().filter(|count| **count == 1).count();
    assert!(single * 10 >= receipts.len() * 8, "one for the account, but for the rare tie: {receipts:?}");
    // Many messages at once make few receipts.
    world.forget_observed();
    for number in 0..100 {
        world.say(f, bob, &format!("burst {number}"));
    }
    world.run_for(Duration::from_secs(60));
    let by_bob = devices.iter().flat_map(|device| by(&world, *device));
    let burst = by_bob
        .filter(|seen| matches!(seen.what, What::Put { .. }) && matches!(seen.link.purpose, Purpose::Receipts(_)))
        .count();
    assert!(burst <= 8, "{burst} receipts for a burst");
    world.settle();
    world.judge().assert();
}

/// A text of one byte, one of many, a receipt, a copy and a marker are one size.
#[test]
fn d3_what_is_small_has_one_size() {
    let mut world = World::new(5, 1);
    let (alice, bob) = world.two_friends(2, 2);
    world.talk_until_usual(alice, bob);
    let (a, b) = (world.device(alice, 0), world.device(bob, 0));
    for text in ["y", &"a long answer ".repeat(60)] {
        world.forget_observed();
        let id = world.say(a, bob, text);
        world.run_for(Duration::from_secs(20));
        world.read(b, alice, id);
        world.run_for(Duration::from_secs(20));
        let sizes: BTreeSet<_> = world
            .observed()
            .iter()
            .filter_map(|seen| match seen.what {
                What::Put { size, .. } => Some(size.bytes()),
                _ => None,
            })
            .collect();
        assert_eq!(sizes.into_iter().collect::<Vec<_>>(), [2_560], "{} bytes", text.len());
    }
    world.settle();
    world.judge().assert();
}

/// A server cannot tell a message that was read from one that was only delivered.
#[test]
fn d7_reading_looks_like_receiving() {
    let trace = |reads: bool| {
        let mut world = World::new(6, 1);
        let (alice, bob) = world.two_friends(1, 1);
        world.talk_until_usual(alice, bob);
        let (a, b) = (world.device(alice, 0), world.device(bob, 0));
        let mut kinds = BTreeMap::<String, usize>::new();
        for number in 0..10 {
            let id = world.say(a, bob, &format!("{number}"));
            world.run_for(Duration::from_millis(500));
            if reads {
                world.read(b, alice, id);
            }
            world.forget_observed();
            world.run_for(Duration::from_secs(30));
            for seen in by(&world, b) {
                if let What::Put { by_key, size, stored, .. } = seen.what {
                    let kind =
                        format!("{} {by_key} {size:?} {stored}", matches!(seen.link.purpose, Purpose::Receipts(_)));
                    *kinds.entry(kind).or_default() += 1;
                }
            }
        }
        assert_eq!(world.state(a, bob, "9"), if reads { State::Read } else { State::Delivered });
        kinds
    };
    let (delivered, read) = (trace(false), trace(true));
    // The kinds of envelopes are the same; a read receipt that goes with a delivery receipt is one more of that kind.
    assert_eq!(delivered.keys().collect::<Vec<_>>(), read.keys().collect::<Vec<_>>());
}

/// Whatever an evil relay does to one message, the next one shows it.
#[test]
fn e6_what_a_relay_drops_or_corrupts_is_noticed() {
    for evil in [Evil::Drop, Evil::Corrupt] {
        for number in 0..10_u64 {
            let mut world = World::new(7 + number, 1);
            let (alice, bob) = world.two_friends(1, 1);
            world.talk_until_usual(alice, bob);
            let (a, b) = (world.device(alice, 0), world.device(bob, 0));
            let victim = Rc::new(Cell::new(None));
            let chosen = Rc::clone(&victim);
            let count = Rc::new(Cell::new(0));
            world.evil_relay = Some(Box::new(move |device, delivery| {
                if device != b {
                    return Evil::Deliver;
                }
                count.set(count.get() + 1);
                if count.get() == number + 1 {
                    chosen.set(Some(delivery.sequence));
                }
                if chosen.get() == Some(delivery.sequence) { evil } else { Evil::Deliver }
            }));
            for text in 0..12 {
                world.say_in_vain(a, bob, &format!("{text}"));
                world.run_for(Duration::from_secs(3));
            }
            world.run_for(Duration::from_secs(60));
            assert!(victim.get().is_some(), "something came to harm");
            let noticed = world.is_told(b, Told::Gap(world.account(alice))) || world.is_told(b, Told::Quarantined);
            let resent = (0..12).all(|text| world.shows(b, alice, &format!("{text}")));
            assert!(noticed || resent, "{evil:?} of {number} went unnoticed");
            if evil == Evil::Corrupt {
                assert!(world.is_told(b, Told::Quarantined));
            }
        }
    }
}

/// Bob begins a new generation: what waits for him is held back until Alice agrees, and goes to his new device then.
#[test]
fn f9_nothing_goes_to_a_changed_identity_before_the_person_agrees() {
    let mut world = World::new(8, 1);
    let (alice, bob) = world.two_friends(2, 1);
    world.talk_until_usual(alice, bob);
    let (a, other_a) = (world.device(alice, 0), world.device(alice, 1));
    let account = world.account(bob);
    world.switch_off(world.device(bob, 0));
    let waiting = world.say_later(a, bob, "what waits");
    world.run_for(Duration::from_secs(30));
    let new = world.recover(bob);
    let mailbox = world.engine(new).mailbox_id();
    // He writes to her again, as somebody who knows no contacts any more.
    let link = world.make_link(alice);
    world.run_for(Duration::from_secs(60));
    world.forget_observed();
    world.command(new, Command::Add { link }).expect("a link");
    world.say(new, alice, "it is me");
    world.run_for(Duration::from_secs(300));
    for device in [a, other_a] {
        assert!(world.is_told(device, Told::IdentityChanged(account)), "she is told");
        let to_new = |what: &What| matches!(what, What::Put { mailbox: to, .. } if *to == mailbox);
        assert!(by(&world, device).iter().all(|seen| !to_new(&seen.what)), "and sends nothing to the new device");
    }
    world.say(a, bob, "more that waits");
    world.run_for(Duration::from_secs(300));
    let to_new = |what: &What| matches!(what, What::Put { mailbox: to, .. } if *to == mailbox);
    assert!(world.observed().iter().all(|seen| !to_new(&seen.what)));

    world.command(a, Command::AcceptIdentity { account }).expect("it changed");
    assert!(
        world.run_until(DAY, |world| world.shows(new, alice, "what waits")
            && world.shows(new, alice, "more that waits"))
    );
    world.expect(waiting);
    world.settle();
    assert!(delivered(&world, new).len() >= 2);
    assert!(world.now() > BEGINNING);
}
