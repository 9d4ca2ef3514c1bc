//! Servers that lie, in whole: what they cannot do, what the person is told, and that all is well once they behave.
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use waxwing_engine::{Command, CommandError, NameNews, NotFound, Verification};
use waxwing_tests::world::{Evil, Told, What, World};
use waxwing_wire::{keyserver::KeyserverReply, name::Name};

use crate::seen::{by, lookups, puts};

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

/// B8: bundles of another account, with its own objects or under Bob's, open no session with Bob.
#[test]
fn b8_prekeys_of_another_account_are_refused() {
    for whole in [false, true] {
        let mut world = World::new(41, 1);
        let (alice, bob, mallory) = (world.person(1), world.person(1), world.person(1));
        let (a, b) = (world.device(alice, 0), world.device(bob, 0));
        let links = [mallory, bob].map(|person| world.make_link(person));
        world.run_for(MINUTE);
        let bobs = world.objects(bob).recovery_key;
        let (seen, swapped) = (Rc::new(RefCell::new(None)), Rc::new(Cell::new(0)));
        let (kept, count) = (Rc::clone(&seen), Rc::clone(&swapped));
        world.evil_keyserver = Some(Box::new(move |reply| {
            let Ok(KeyserverReply::Bundles(bundles)) = reply else { return };
            if bundles.account.recovery_key != bobs {
                kept.replace(Some(bundles.clone()));
            } else if let Some(other) = kept.borrow().as_ref() {
                count.set(count.get() + 1);
                bundles.bundles.clone_from(&other.bundles);
                if whole {
                    bundles.account.clone_from(&other.account);
                }
            }
        }));
        let [to_mallory, to_bob] = links;
        world.command(a, Command::Add { link: to_mallory }).expect("a link");
        world.say(a, mallory, "hello");
        world.run_for(MINUTE);
        assert!(seen.borrow().is_some());
        world.command(a, Command::Add { link: to_bob }).expect("a link");
        world.say(a, bob, "for Bob");
        world.run_for(MINUTE * 2);
        assert!(swapped.get() > 0);
        assert_eq!(puts(&world, a, bob), [], "nothing was sealed for Bob");
        world.evil_keyserver = None;
        let account = world.account(alice);
        assert!(world.run_until(MINUTE * 3, |world| world.is_told(b, Told::Request(account))));
    }
}

/// B8: a key server shows another name's listing, or an account that the listing does not name: nobody is added. That it shows *its own* account
/// under Bob's name, nobody notices but who compares the safety number (DESIGN §9; spec §20.18.4).
#[test]
fn b8_a_name_leads_to_nobody_who_did_not_sign_it() {
    let mut world = World::new(43, 1);
    let (alice, bob, mallory) = (world.person(1), world.person(1), world.person(1));
    let a = world.device(alice, 0);
    world.run_for(MINUTE);
    let name = |text: &str| text.parse::<Name>().expect("a name");
    for (person, text) in [(bob, "bob"), (mallory, "mallory")] {
        let device = world.device(person, 0);
        world.command(device, Command::ClaimName { name: name(text), listed: true, admission: None }).expect("a name");
        assert!(world.run_until(MINUTE, |world| world.is_told(device, Told::Name(NameNews::Listed))));
    }
    let look = |world: &mut World, text: &str| {
        world.command(a, Command::AddByName { name: name(text), server: None }).expect("a name");
        world.run_for(MINUTE);
        world.told(a).last().copied()
    };
    let not_genuine = Some(Told::NameNotFound(NotFound::NotGenuine));

    // Mallory's listing for Bob's name.
    let listings = Rc::new(RefCell::new(None));
    let kept = Rc::clone(&listings);
    world.evil_keyserver = Some(Box::new(move |reply| {
        if let Ok(KeyserverReply::LookedUp(found)) = reply {
            let mut kept = kept.borrow_mut();
            if let Some(listing) = &*kept {
                found.listing = Some(Vec::clone(listing));
            } else {
                kept.clone_from(&found.listing);
            }
        }
    }));
    let mallorys = Told::NameFound(world.account(mallory));
    assert_eq!(look(&mut world, "mallory"), Some(mallorys), "nothing was changed of that");
    assert_eq!(look(&mut world, "bob"), not_genuine);

    // Mallory's objects for the account that Bob's listing names.
    let objects = world.objects(mallory);
    world.evil_keyserver = Some(Box::new(move |reply| {
        if let Ok(KeyserverReply::Account(account)) = reply {
            account.clone_from(&objects);
        }
    }));
    assert_eq!(look(&mut world, "bob"), not_genuine);

    // Nothing at all, which is not told apart from nobody's name.
    world.evil_keyserver = Some(Box::new(|reply| {
        if let Ok(KeyserverReply::LookedUp(found)) = reply {
            found.listing = None;
        }
    }));
    assert_eq!(look(&mut world, "bob"), Some(Told::NameNotFound(NotFound::NotListed)));
    assert!(world.engine(a).contact(&world.account(bob)).is_none());
    world.evil_keyserver = None;
    let bobs = Told::NameFound(world.account(bob));
    assert_eq!(look(&mut world, "bob"), Some(bobs));
    world.judge().assert();
}

/// B8: a generation that is over does not come back: not its devices, and not to a device that has yet to hear of the newer one.
#[test]
fn b8_a_generation_that_is_over_is_not_gone_back_to() {
    let mut world = World::new(42, 1);
    let (alice, bob) = world.two_friends(2, 1);
    world.talk_until_usual(alice, bob);
    let (a, other) = (world.device(alice, 0), world.device(alice, 1));
    let account = world.account(bob);
    let (old, lost) = (world.objects(bob), world.engine(world.device(bob, 0)).mailbox_id());
    world.switch_off(other);
    let new = world.recover(bob);
    let link = world.make_link(alice);
    world.command(new, Command::Add { link }).expect("a link");
    world.say(new, alice, "it is me");
    assert!(world.run_until(MINUTE * 5, |world| world.is_told(a, Told::IdentityChanged(account))));
    world.command(a, Command::AcceptIdentity { account }).expect("it changed");
    world.run_for(MINUTE);

    let rolled = Rc::new(Cell::new(0));
    let count = Rc::clone(&rolled);
    world.evil_keyserver = Some(Box::new(move |reply| {
        let objects = match reply {
            Ok(KeyserverReply::Account(objects)) => objects,
            Ok(KeyserverReply::Bundles(bundles)) => &mut bundles.account,
            _ => return,
        };
        if objects.recovery_key == old.recovery_key {
            objects.clone_from(&old);
            count.set(count.get() + 1);
        }
    }));
    world.forget_observed();
    world.switch_on(other);
    assert!(world.run_until(MINUTE * 5, |world| world.is_told(other, Told::IdentityChanged(account))));
    world.command(other, Command::AcceptIdentity { account }).expect("each device asks for itself");
    // Her key is refused, so that she looks where he is.
    assert!(world.end_lane(new, 1));
    for device in [a, other] {
        world.say(device, bob, "to the new one");
        world.run_for(MINUTE * 3);
    }
    assert!(rolled.get() > 0, "it was asked");
    let to_lost = |what: &What| matches!(what, What::Put { mailbox, .. } if *mailbox == lost);
    assert!(world.observed().iter().all(|seen| !to_lost(&seen.what)), "nothing goes to what is over");
    let changes = world.told(a).iter().filter(|told| **told == Told::IdentityChanged(account)).count();
    assert_eq!(changes, 1, "and nobody is asked about it again");
    world.evil_keyserver = None;
    world.settle();
    world.judge().assert();
}

/// B8: whoever has Bob's words signs another list beside his, which a key server shows to Alice alone. Bob's own words give it away: she is
/// told, and cannot mark him as verified.
#[test]
fn b8_a_fork_shows_with_what_the_other_says() {
    let mut world = World::new(43, 1);
    let (alice, bob) = world.two_friends(1, 1);
    let mallory = world.person(1);
    world.talk_until_usual(alice, bob);
    let (a, b) = (world.device(alice, 0), world.device(bob, 0));
    let account = world.account(bob);
    let forked = world.fork(bob, mallory);
    let shown = Rc::new(Cell::new(0));
    let count = Rc::clone(&shown);
    world.evil_keyserver = Some(Box::new(move |reply| {
        let objects = match reply {
            Ok(KeyserverReply::Account(objects)) => objects,
            Ok(KeyserverReply::Bundles(bundles)) => &mut bundles.account,
            _ => return,
        };
        // Bob's own device publishes, and does not ask.
        if objects.recovery_key == forked.recovery_key {
            objects.clone_from(&forked);
            count.set(count.get() + 1);
        }
    }));
    world.link(bob, 1);
    // He has two devices now. What he says names that list; the key server has another one for her.
    world.say(b, alice, "one");
    world.run_for(MINUTE * 5);
    assert!(shown.get() > 0);
    world.say(a, bob, "two");
    world.run_for(MINUTE * 5);
    world.say(b, alice, "three");
    world.run_for(MINUTE * 5);
    assert!(world.is_told(a, Told::Fork(account)), "{:?}", world.told(a));
    let verify = Command::SetVerified { account, verification: Verification::Verified };
    assert_eq!(world.command(a, verify), Err(CommandError::Forked));
    assert!(world.shows(a, bob, "three"), "they go on talking");
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
