//! Contact links: for one person, for many, revoked.
use core::time::Duration;

use waxwing_engine::{Command, CommandError, LinkId, LinkUses};
use waxwing_wire::{content::Standing, id::AccountId, link::ContactLink};

use crate::town::Town;

fn open(town: &Town, of: usize) -> Vec<(LinkId, LinkUses)> {
    town.residents[of].engine().health().open_links.iter().map(|link| (link.id, link.uses)).collect()
}

/// The same link, as it is typed twice.
fn again(link: &ContactLink) -> ContactLink {
    link.to_text().parse().expect("a link")
}

/// Somebody asks by a link.
fn ask(town: &mut Town, by: usize, whom: AccountId, link: &ContactLink) {
    town.order(by, Command::Add { link: again(link) }).unwrap();
    town.say(by, whom, "hello");
    town.pass(Duration::from_secs(120));
}

#[test]
fn a_link_for_one_serves_until_the_first_request_is_accepted() {
    let mut town = Town::new();
    let [alice, bob, carol] = [1, 2, 3].map(|seed| town.settle_in(seed));
    let [alices, bobs, carols] = [alice, bob, carol].map(|index| town.account(index));
    let link = town.make_link_for(alice, LinkUses::Once);
    let id = LinkId::of(&link).unwrap();
    assert_eq!(open(&town, alice), [(id, LinkUses::Once)]);
    ask(&mut town, bob, alices, &link);
    assert_eq!(open(&town, alice), [(id, LinkUses::Once)], "to ask is not to be accepted");
    town.order(alice, Command::Accept { account: bobs }).unwrap();
    assert_eq!(open(&town, alice), []);
    town.residents[alice].restart();
    town.run();
    assert_eq!(open(&town, alice), []);
    // Whoever comes later by the same link pays as a stranger.
    let puts = town.residents[carol].puts;
    ask(&mut town, carol, alices, &link);
    assert!(town.residents[carol].puts > puts + 1, "the token was refused");
    assert_eq!(town.residents[alice].engine().contact(&carols).map(|view| view.standing), Some(Standing::Asking));
}

#[test]
fn a_link_for_many_serves_on() {
    let mut town = Town::new();
    let [alice, bob, carol] = [1, 2, 3].map(|seed| town.settle_in(seed));
    let [alices, bobs] = [alice, bob].map(|index| town.account(index));
    let link = town.make_link_for(alice, LinkUses::Many);
    let id = LinkId::of(&link).unwrap();
    ask(&mut town, bob, alices, &link);
    town.order(alice, Command::Accept { account: bobs }).unwrap();
    assert_eq!(open(&town, alice), [(id, LinkUses::Many)]);
    let puts = town.residents[carol].puts;
    ask(&mut town, carol, alices, &link);
    assert_eq!(town.residents[carol].puts, puts + 1, "the token was taken");
}

#[test]
fn a_link_for_one_that_was_made_on_one_device_ends_by_an_acceptance_on_another() {
    let mut town = Town::new();
    let [alice, bob] = [1, 2].map(|seed| town.settle_in(seed));
    let second = town.join(alice, 3);
    town.pass(Duration::from_secs(60));
    let [alices, bobs] = [alice, bob].map(|index| town.account(index));
    let link = town.make_link_for(alice, LinkUses::Once);
    town.pass(Duration::from_secs(30));
    assert_eq!(open(&town, second), open(&town, alice), "it is the same link everywhere");
    assert_eq!(open(&town, second).len(), 1);
    ask(&mut town, bob, alices, &link);
    town.order(second, Command::Accept { account: bobs }).unwrap();
    town.pass(Duration::from_secs(30));
    assert_eq!((open(&town, alice), open(&town, second)), (vec![], vec![]));
}

#[test]
fn a_link_that_is_revoked_lets_nobody_in_on_any_device() {
    let mut town = Town::new();
    let alice = town.settle_in(1);
    let second = town.join(alice, 3);
    town.pass(Duration::from_secs(60));
    let (kept, revoked) = (town.make_link(alice), town.make_link(alice));
    town.pass(Duration::from_secs(30));
    let [kept, revoked] = [kept, revoked].map(|link| LinkId::of(&link).unwrap());
    town.order(second, Command::RevokeLink { link: revoked }).unwrap();
    assert_eq!(town.order(second, Command::RevokeLink { link: revoked }), Err(CommandError::UnknownLink));
    town.pass(Duration::from_secs(30));
    assert_eq!(open(&town, alice), [(kept, LinkUses::Many)]);
    assert_eq!(open(&town, second), [(kept, LinkUses::Many)]);
    assert_eq!(
        town.order(alice, Command::RevokeLink { link: LinkId::from_bytes([1; 8]) }),
        Err(CommandError::UnknownLink)
    );
}
