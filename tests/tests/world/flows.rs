//! FLOWS, as they travel: which lane, which size, how often, over which connection (spec §20.3).
use std::{collections::BTreeSet, time::Duration};

use waxwing_engine::{Command, Engine, NameNews, OwnNameState, Purpose, State};
use waxwing_tests::world::{PersonIndex, Told, Weather, What, World, for_each_seed};
use waxwing_wire::{name::Name, padding::EnvelopeSize};

use crate::seen::{LANE_CONTACTS, LANE_LINK, LANE_OWN, by, delivered, is_own, lookups, puts, puts_into};

const USUAL: usize = 2_560;
const OPENING: usize = 4_096;

fn sizes(puts: &[(waxwing_engine::Link, bool, EnvelopeSize)]) -> Vec<usize> {
    puts.iter().map(|(_, _, size)| size.bytes()).collect()
}

#[test]
fn a_by_link_while_bob_is_offline() {
    let mut world = World::new(1, 1);
    let (alice, bob) = (world.person(2), world.person(2));
    let (a, b) = (world.device(alice, 0), world.device(bob, 0));
    let other_b = world.device(bob, 1);
    let link = world.make_link(bob);
    world.run_for(Duration::from_secs(120));
    let mailboxes: Vec<_> = world.devices(bob).iter().map(|device| world.engine(*device).mailbox_id()).collect();
    world.switch_off(b);
    world.switch_off(other_b);
    world.forget_observed();

    // What Alice asks, of whom, and what she puts.
    world.command(a, Command::Add { link }).expect("a link of somebody else");
    world.say(a, bob, "hello");
    world.run_for(Duration::from_secs(60));
    assert_eq!(lookups(&world, a), ["account", "reach", "bundles"], "each once, for one account");
    let links: BTreeSet<_> =
        by(&world, a).iter().filter(|seen| matches!(seen.what, What::Directory(..))).map(|seen| seen.link).collect();
    assert_eq!(links.len(), 1, "over one connection");
    assert!(
        links.iter().all(|link| link.purpose == Purpose::Directory(world.account(bob))),
        "that is for nothing else"
    );
    let sent = puts_into(&world, a, &mailboxes);
    assert_eq!(sizes(&sent), [OPENING, OPENING], "an opening for each device of his, in the size for two of hers");
    assert!(sent.iter().all(|(link, by_key, _)| *by_key && link.purpose == Purpose::Conversation(world.account(bob))));
    let state = world.state(a, bob, "hello");
    assert_eq!(state, State::Sent, "his relay has it");

    // Bob's devices verify without asking anybody, show a request, and send nothing.
    world.forget_observed();
    world.switch_on(b);
    world.switch_on(other_b);
    world.run_for(Duration::from_secs(120));
    for device in [b, other_b] {
        assert!(world.is_told(device, Told::Request(world.account(alice))));
        assert_eq!(delivered(&world, device), [(LANE_LINK, EnvelopeSize::exactly(OPENING).expect("a size"))]);
        assert!(by(&world, device).iter().all(|seen| is_own(&seen.link)), "no server hears of it");
        assert_eq!(puts(&world, device, alice), [], "nor does she");
    }

    // He accepts on one: the other hears of it, both of hers are told, and each device of his answers each opening.
    world.forget_observed();
    world.command(b, Command::Accept { account: world.account(alice) }).expect("there is a request");
    world.run_for(Duration::from_secs(120));
    assert!(delivered(&world, other_b).iter().any(|(lane, _)| *lane == LANE_OWN), "his devices copy each other");
    assert!(!puts(&world, other_b, alice).is_empty(), "each device of his answers");
    for device in [b, other_b] {
        let answers = puts(&world, device, alice);
        assert!(answers.iter().all(|(_, by_key, _)| *by_key), "by the secret that stood in her block");
        assert!(
            answers.iter().all(|(_, _, size)| size.bytes() == OPENING),
            "in the opening's size: {:?}",
            sizes(&answers)
        );
    }
    for number in 0..2 {
        let lanes = delivered(&world, world.device(alice, number));
        assert!(!lanes.is_empty() && lanes.iter().any(|(lane, _)| *lane == LANE_CONTACTS));
        assert!(lanes.iter().all(|(lane, _)| [LANE_CONTACTS, LANE_OWN].contains(lane)));
    }
    world.settle();
    world.judge().assert();

    // From then on: contacts lane, usual size, once sessions are acknowledged and three answers are given.
    for number in 0..4 {
        world.say(a, bob, &format!("{number}"));
        world.say(b, alice, &format!("{number}"));
        world.run_for(Duration::from_secs(30));
    }
    world.forget_observed();
    world.say(a, bob, "usual");
    world.run_for(Duration::from_millis(500));
    assert_eq!(sizes(&puts(&world, a, bob)), [USUAL, USUAL]);
    assert_eq!(delivered(&world, b), [(LANE_CONTACTS, EnvelopeSize::exactly(USUAL).expect("a size"))]);
}

/// A name that is listed, and by which somebody can be written to.
fn list(world: &mut World, of: PersonIndex, name: &str) {
    let device = world.device(of, 0);
    let claim = Command::ClaimName { name: name.parse().expect("a name"), listed: true, admission: None };
    world.command(device, claim).expect("it is the primary");
    assert!(world.run_until(Duration::from_secs(30), |world| world.is_told(device, Told::Name(NameNews::Listed))));
}

#[test]
fn b_by_name_while_bob_is_offline() {
    let mut world = World::new(9, 1);
    let (alice, bob) = (world.person(2), world.person(2));
    let (a, b, other_b) = (world.device(alice, 0), world.device(bob, 0), world.device(bob, 1));
    world.run_for(Duration::from_secs(120));
    world.forget_observed();
    list(&mut world, bob, "bob");
    let asked: Vec<_> = by(&world, b).iter().map(|seen| seen.what.clone()).collect();
    assert_eq!(asked, [What::OwnDirectory("bound"), What::OwnDirectory("bound")], "the name, and its listing");
    let mailboxes: Vec<_> = world.devices(bob).iter().map(|device| world.engine(*device).mailbox_id()).collect();
    world.switch_off(b);
    world.switch_off(other_b);
    world.forget_observed();

    // What Alice asks, over what, and what she puts.
    let name: Name = "bob".parse().expect("a name");
    world.command(a, Command::AddByName { name, server: None }).expect("a name");
    let account = world.account(bob);
    assert!(world.run_until(Duration::from_secs(30), |world| world.is_told(a, Told::NameFound(account))));
    world.say(a, bob, "hello");
    world.run_for(Duration::from_secs(60));
    let asked = by(&world, a);
    let of_names = asked.iter().filter(|seen| matches!(seen.what, What::Name(..)));
    let of_names: Vec<_> = of_names.map(|seen| (seen.what.clone(), seen.link.purpose)).collect();
    let over = Purpose::Name(name);
    assert_eq!(
        of_names,
        [(What::Name("lookup", name), over), (What::Name("account", name), over)],
        "by one connection"
    );
    assert_eq!(lookups(&world, a), ["reach", "bundles"], "the account is known by then");
    let sent = puts_into(&world, a, &mailboxes);
    assert_eq!(sizes(&sent), [OPENING, OPENING], "as by a link");
    assert!(sent.iter().all(|(link, by_key, _)| !by_key && link.purpose == Purpose::Conversation(account)), "by work");
    assert_eq!(world.state(a, bob, "hello"), State::Sent);
    assert!(world.engine(a).safety_number(&account).is_some(), "which is shown: the key server was believed");

    // Bob's devices verify without asking anybody, show a request, and send nothing.
    world.forget_observed();
    world.switch_on(b);
    world.switch_on(other_b);
    world.run_for(Duration::from_secs(120));
    for device in [b, other_b] {
        assert!(world.is_told(device, Told::Request(world.account(alice))));
        assert_eq!(
            delivered(&world, device),
            [(0, EnvelopeSize::exactly(OPENING).expect("a size"))],
            "the strangers' lane"
        );
        assert!(by(&world, device).iter().all(|seen| is_own(&seen.link)), "no server hears of it");
    }
    world.command(b, Command::Accept { account: world.account(alice) }).expect("there is a request");
    world.run_for(Duration::from_secs(120));
    world.talk_until_usual(alice, bob);
    world.forget_observed();
    world.say(a, bob, "a usual one");
    world.settle();
    let sent = puts(&world, a, bob);
    assert!(!sent.is_empty() && sent.iter().all(|(_, by_key, _)| *by_key), "no work any more");
    world.judge().assert();
}

#[test]
fn b_by_name_in_foul_weather() {
    for_each_seed("flows::b_by_name_in_foul_weather", 10, |seed| {
        let mut world = World::new(seed, 1);
        let (alice, bob) = (world.person(2), world.person(1));
        let (a, b) = (world.device(alice, 0), world.device(bob, 0));
        world.run_for(Duration::from_secs(120));
        world.weather = Weather { crash: 3_000, refused: 8_000, broken: 2_000, ..Weather::calm() };
        let name: Name = "bob".parse().expect("a name");
        // A device that is down takes no command: the person sees that, and tries again.
        let claim = || Command::ClaimName { name, listed: true, admission: None };
        while world.engine_if_up(b).is_none_or(|engine| engine.own_names().is_empty()) {
            let _ = world.command(b, claim());
            world.run_for(Duration::from_secs(1));
        }
        let listed = |world: &World| {
            let is_listed = |engine: &Engine| engine.own_names().iter().all(|own| own.state == OwnNameState::Listed);
            world.engine_if_up(b).is_some_and(is_listed)
        };
        assert!(world.run_until(Duration::from_secs(600), listed), "seed {seed}");
        let account = world.account(bob);
        let knows = |world: &World| world.engine_if_up(a).is_some_and(|engine| engine.contact(&account).is_some());
        while !knows(&world) && world.engine_if_up(a).is_none_or(|engine| engine.searches().is_empty()) {
            let _ = world.command(a, Command::AddByName { name, server: None });
            world.run_for(Duration::from_secs(1));
        }
        assert!(world.run_until(Duration::from_secs(600), knows), "seed {seed}: what is looked for is found");
        world.heal();
        world.run_for(Duration::from_secs(60));
        assert!(world.engine(a).searches().is_empty());
        world.say(a, bob, "hello");
        let account = world.account(alice);
        assert!(world.run_until(Duration::from_secs(60), |world| world.is_told(b, Told::Request(account))));
        world.command(b, Command::Accept { account }).expect("there is a request");
        world.settle();
        world.judge().assert();
    });
}

#[test]
fn c_a_usual_message_from_one_of_two_devices_to_three() {
    let mut world = World::new(2, 1);
    let (alice, bob) = world.two_friends(2, 3);
    let (a, other_a) = (world.device(alice, 0), world.device(alice, 1));
    world.talk_until_usual(alice, bob);
    world.forget_observed();

    let id = world.say(a, bob, "a usual text");
    world.run_for(Duration::from_millis(900));
    let sent = puts(&world, a, bob);
    assert_eq!(sizes(&sent), [USUAL; 3], "one for each of his devices");
    let connections: BTreeSet<_> = sent.iter().map(|(link, _, _)| *link).collect();
    assert_eq!(connections.len(), 1, "in one connection");
    assert!(sent.iter().all(|(link, by_key, _)| *by_key && matches!(link.purpose, Purpose::Conversation(_))));
    for device in world.devices(bob).to_vec() {
        assert_eq!(delivered(&world, device), [(LANE_CONTACTS, EnvelopeSize::exactly(USUAL).expect("a size"))]);
    }
    assert_eq!(world.state_of(a, bob, id), State::Sent);

    // One own copy within five seconds; the receipt after 1 to 10, to both of hers, once for the account.
    world.run_for(Duration::from_secs(25));
    let copies = puts(&world, a, alice);
    assert_eq!(copies.len(), 1, "one own copy");
    assert!(copies.iter().all(|(link, _, _)| matches!(link.purpose, Purpose::Owner(_))), "by her own connection");
    assert_eq!(world.state_of(a, bob, id), State::Delivered);
    let by_device: Vec<_> = world.devices(bob).iter().map(|device| puts(&world, *device, alice)).collect();
    let receipts: Vec<_> = by_device.iter().filter(|puts| !puts.is_empty()).collect();
    assert!(receipts.iter().all(|puts| puts.len() == 2), "to her two devices");
    for (link, _, size) in receipts.iter().flat_map(|puts| puts.iter()) {
        assert!(matches!(link.purpose, Purpose::Receipts(_)), "by a connection of their own");
        assert_eq!(size.bytes(), USUAL, "as large as a text (D3)");
    }
    assert!(lookups(&world, a).is_empty() && lookups(&world, other_a).is_empty(), "nobody is asked");
    world.judge().assert();
}

#[test]
fn g_alice_blocks_mallory() {
    let mut world = World::new(3, 1);
    let (mallory, alice) = world.two_friends(1, 2);
    let carol = world.person(1);
    world.befriend(carol, alice);
    let (m, a, other_a) = (world.device(mallory, 0), world.device(alice, 0), world.device(alice, 1));
    let c = world.device(carol, 0);
    world.forget_observed();
    world.command(a, Command::Block { account: world.account(mallory) }).expect("a contact");
    world.run_for(Duration::from_secs(30));
    let asked = |world: &World, device, what| by(world, device).iter().any(|seen| seen.what == What::Relay(what));
    for device in [a, other_a] {
        assert!(asked(&world, device, "end lane"), "the token by which he came is revoked at each mailbox");
        assert!(!asked(&world, device, "rotate lane"), "and nothing else yet");
    }

    // He goes on writing; nothing of it is shown on either device, and nothing is sent to him.
    world.forget_observed();
    world.say_in_vain(m, alice, "are you there?");
    world.run_for(Duration::from_secs(120));
    for device in [a, other_a] {
        assert!(delivered(&world, device).iter().any(|(lane, _)| *lane == LANE_CONTACTS), "it arrived");
        assert_eq!(puts(&world, device, mallory), [], "he hears nothing");
        assert!(lookups(&world, device).is_empty());
    }
    assert_eq!(world.state(m, alice, "are you there?"), State::Sent, "the relay has it, and that is all he sees");
    world.judge().assert();

    // Since he goes on, everybody else gets another secret with the next message; that happens once a day at most.
    for device in [a, other_a] {
        assert!(asked(&world, device, "rotate lane"));
    }
    world.forget_observed();
    world.say(a, carol, "not you");
    world.settle();
    world.forget_observed();
    world.say(c, alice, "thank you");
    world.say_in_vain(m, alice, "hello?");
    world.settle();
    world.judge().assert();
    for device in [a, other_a] {
        let lanes: BTreeSet<_> = delivered(&world, device).iter().map(|(lane, _)| *lane).collect();
        assert!(lanes.iter().any(|lane| *lane > LANE_LINK), "hers come by the new key: {lanes:?}");
        assert!(lanes.contains(&LANE_CONTACTS), "his by the old one, while it lasts");
        assert!(!asked(&world, device, "rotate lane"), "once a day");
    }

    // Unblocked, he is a contact again.
    world.command(a, Command::Unblock { account: world.account(mallory) }).expect("he is blocked");
    world.run_for(Duration::from_secs(30));
    world.say(m, alice, "again");
    world.say(a, mallory, "hello");
    world.settle();
    world.judge().assert();
}

#[test]
fn j_prekeys_run_out() {
    let mut world = World::new(4, 1);
    let bob = world.person(1);
    let link = world.make_link(bob).to_text();
    world.run_for(Duration::from_secs(30));
    let b = world.device(bob, 0);
    world.switch_off(b);
    // More people than there are one-time prekeys.
    let people: Vec<_> = (0..6).map(|_| world.person(1)).collect();
    for person in &people {
        let device = world.device(*person, 0);
        world.command(device, Command::Add { link: link.parse().expect("a link") }).expect("a link");
        world.say(device, bob, "hello");
    }
    world.run_for(Duration::from_secs(60));
    world.switch_on(b);
    world.run_for(Duration::from_secs(60));
    for person in &people {
        world
            .command(b, Command::Accept { account: world.account(*person) })
            .expect("openings by the last resort are as good");
    }
    world.settle();
    world.judge().assert();
    let last_resort = world.store(b).count(waxwing_engine::store::Table::LastResortUse);
    assert_eq!(last_resort, 2, "two found no one-time key, which is remembered (A5)");
}

#[test]
fn refused_and_the_device_is_as_before() {
    let mut world = World::new(5, 1);
    let (alice, bob) = world.two_friends(1, 1);
    let (a, b) = (world.device(alice, 0), world.device(bob, 0));
    // Bob's relay no longer takes Alice's key.
    assert!(world.end_lane(b, LANE_CONTACTS), "it is connected");
    world.forget_observed();
    world.say(a, bob, "still there?");
    world.run_for(Duration::from_secs(60));
    assert_eq!(lookups(&world, a), ["account", "reach"], "manifest and reach entries are looked at anew");
    let sent = puts(&world, a, bob);
    let hashes: BTreeSet<_> = by(&world, a)
        .iter()
        .filter_map(|seen| match seen.what {
            What::Put { mailbox, hash, .. } if mailbox == world.engine(b).mailbox_id() => Some(hash),
            _ => None,
        })
        .collect();
    assert_eq!(hashes.len(), 1, "the same ciphertext");
    assert!(sent.first().is_some_and(|(_, by_key, _)| *by_key) && sent.last().is_some_and(|(_, by_key, _)| !by_key));
    assert!(delivered(&world, b).iter().any(|(lane, _)| *lane == 0), "by the strangers' lane");
    world.settle();
    world.judge().assert();
}

#[test]
fn refused_and_the_device_is_gone() {
    let mut world = World::new(6, 1);
    let (alice, bob) = world.two_friends(1, 2);
    let (a, b, lost) = (world.device(alice, 0), world.device(bob, 0), world.device(bob, 1));
    world.talk_until_usual(alice, bob);
    let lost = (lost, world.engine(lost).mailbox_id());
    // Alice does not hear that the second device is off the list, and its mailbox takes nothing any more.
    world.switch_off(a);
    assert!(world.end_lane(lost.0, LANE_CONTACTS), "it is connected");
    let lost = lost.1;
    world.unlink(bob, 1);
    world.run_for(Duration::from_secs(30));
    world.switch_on(a);
    world.run_for(Duration::from_secs(2));
    world.forget_observed();
    world.say(a, bob, "who is there?");
    world.settle();
    world.judge().assert();
    assert!(lookups(&world, a).contains(&"account"), "she looked");
    let sent: Vec<_> = by(&world, a)
        .iter()
        .filter_map(|seen| match seen.what {
            What::Put { mailbox, .. } => Some(mailbox),
            _ => None,
        })
        .collect();
    assert!(sent.contains(&world.engine(b).mailbox_id()));
    let after_refusal = sent.iter().skip_while(|mailbox| **mailbox != lost).skip(1);
    assert_eq!(after_refusal.filter(|mailbox| **mailbox == lost).count(), 0, "and knows that it is gone");
}
