//! Two servers on one database want the same thing at the same moment: one gets it (spec/19-keyserver.md §19.2.1, §19.4.1, §19.10).
use std::{collections::BTreeSet, path::Path};

use waxwing_keyserver::{
    service::invite_hash,
    store::{
        ChangeKind, ClaimError, CreateError, InvitationState, InviteId, NewAccount, NewInvitation, NewName,
        PublishError, Store, Take, sqlite::SqliteStore,
    },
};
use waxwing_wire::{frame::InviteToken, manifest::Manifest};

use crate::people::{NOW, Person, name, server_key};

/// Two stores, as two processes have them: connections, writers and all of their own.
async fn two(folder: &Path) -> [SqliteStore; 2] {
    let file = folder.join("keys.db");
    [SqliteStore::open(&file).await.unwrap(), SqliteStore::open(&file).await.unwrap()]
}

fn invitation(seed: u8) -> [u8; 32] {
    invite_hash(&InviteToken::from_bytes([seed; 16]))
}

const ROUNDS: u8 = 40;

/// A name for each of a hundred rounds, none of which looks like another's.
pub(crate) fn distinct(text: &str, round: usize) -> String {
    let letters = ['a', 'b', 'e', 'f', 'g', 'h', 'k', 'p', 's', 't'];
    format!("{text}-{}{}", letters[round / 10], letters[round % 10])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_stores_that_give_a_name_exactly_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let [one, other] = two(folder.path()).await;
    let (alice, bob) = (Person::new(1), Person::new(2));
    for person in [&alice, &bob] {
        one.create_account(person.new_account(&person.first(0)), NOW).await.unwrap();
    }
    for round in 0..ROUNDS {
        // Spelled differently, they are the same name.
        let claim = |person: &Person, text: &str| NewName {
            name: name(&distinct(text, round.into())),
            account: person.id(),
            most: 1_000,
            invite: None,
        };
        let (first, second) =
            tokio::join!(one.claim_name(claim(&alice, "modern"), NOW), other.claim_name(claim(&bob, "rnodern"), NOW));
        let lost = Err(ClaimError::Taken);
        assert!([(Ok(()), lost), (lost, Ok(()))].contains(&(first, second)), "{first:?} {second:?}");
    }
    let changes = one.changes(0, 1_000).await.unwrap();
    let given = changes.iter().filter(|change| matches!(change.kind, ChangeKind::NameClaimed(_))).count();
    assert_eq!(given, usize::from(ROUNDS), "each name was given once");
    assert!(changes.iter().zip(1..).all(|(change, number)| change.number == number));
    assert_eq!(one.verify(&server_key().public_key()).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_stores_that_spend_an_invitation_exactly_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let [one, other] = two(folder.path()).await;
    let minted: Vec<_> = (0..ROUNDS).map(|seed| NewInvitation { hash: invitation(seed) }).collect();
    one.mint(&minted, None, NOW).await.unwrap();
    for round in 0..ROUNDS {
        let account = |seed: u64| {
            let person = Person::new(seed);
            NewAccount { invite: Some(invitation(round)), ..person.new_account(&person.first(0)) }
        };
        let (mine, yours) = (account(100 + u64::from(round)), account(500 + u64::from(round)));
        let ids = [mine.recovery_key.account_id(), yours.recovery_key.account_id()];
        let (first, second) = tokio::join!(one.create_account(mine, NOW), other.create_account(yours, NOW));
        let lost = Err(CreateError::Invite);
        assert!([(Ok(()), lost), (lost, Ok(()))].contains(&(first, second)), "{first:?} {second:?}");
        // What the loser asked for is nowhere.
        for (id, result) in ids.iter().zip([first, second]) {
            assert_eq!(one.account(id).await.unwrap().is_some(), result.is_ok());
        }
    }
    let listed = other.invitations(InviteId(0), 1_000).await.unwrap();
    assert!(listed.iter().all(|invitation| invitation.state == InvitationState::Spent));
    assert_eq!(one.verify(&server_key().public_key()).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_stores_that_take_a_manifest_in_exactly_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let [one, other] = two(folder.path()).await;
    let alice = Person::new(1);
    let mut current: Manifest = alice.first(0);
    one.create_account(alice.new_account(&current), NOW).await.unwrap();
    // Its creation was the first.
    for version in 1..=u64::from(ROUNDS) {
        // A device more, or one less again: in one place there are two contents to choose from.
        let next = || {
            if current.content().devices().len() == 1 {
                alice.with_device(&current)
            } else {
                let newest = current.content().devices().last().unwrap().id();
                alice.without_device(&current, u32::from(newest.value()))
            }
        };
        let renewed = alice.renewed(&current, crate::people::at(1));
        let (mine, yours) = (next(), renewed);
        let (first, second) = tokio::join!(
            one.publish(alice.step(version, &mine), NOW),
            other.publish(alice.step(version, &yours), crate::people::at(1))
        );
        let lost = Err(PublishError::Conflict);
        assert!([(Ok(()), lost), (lost, Ok(()))].contains(&(first, second)), "{first:?} {second:?}");
        let winner = if first.is_ok() { &mine } else { &yours };
        let stored = other.account(&alice.id()).await.unwrap().unwrap();
        assert_eq!((stored.version, stored.objects.manifest), (version + 1, winner.encode()));
        current = winner.clone();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_that_uses_nothing_up_is_from_one_point_in_time_too() {
    let folder = tempfile::tempdir().unwrap();
    let [one, other] = two(folder.path()).await;
    let alice = Person::new(1);
    let first = alice.first(0);
    one.create_account(alice.new_account(&first), NOW).await.unwrap();
    one.upload(alice.batch(&first, 1, 1, 0)).await.unwrap();
    let (stop, stopped) = tokio::sync::watch::channel(());
    let changing = async {
        let mut current = first.clone();
        for turn in 0..u64::from(ROUNDS) {
            // A device comes with its prekeys, and goes with them.
            let joined = alice.with_device(&current);
            other.publish(alice.step(2 * turn + 1, &joined), NOW).await.unwrap();
            let newest = u32::from(joined.content().devices().last().unwrap().id().value());
            other.upload(alice.batch(&joined, newest, 1, 0)).await.unwrap();
            current = alice.without_device(&joined, newest);
            other.publish(alice.step(2 * turn + 2, &current), NOW).await.unwrap();
        }
        drop(stop);
    };
    let looking = async {
        let mut looked = 0;
        while stopped.has_changed().is_ok() {
            let bundles = one.bundles(&alice.id(), &[], Take::LastResort).await.unwrap();
            // Each bundle is of a device that the manifest beside it lists, signed for its place.
            bundles.verify(&alice.id(), &[], NOW).unwrap();
            looked += 1;
            tokio::task::yield_now().await;
        }
        looked
    };
    let ((), looked) = tokio::join!(changing, looking);
    assert!(looked > u32::from(ROUNDS), "{looked} looks");
}

/// A transaction that began by reading could not go on to write once the other store has written: whoever loses that race would be
/// told that the store is unavailable, although nothing is wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_stores_that_hand_out_keys_neither_is_told_that_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let [one, other] = two(folder.path()).await;
    let people: Vec<_> = (1..=4).map(Person::new).collect();
    for person in &people {
        let first = person.first(0);
        one.create_account(person.new_account(&first), NOW).await.unwrap();
        one.upload(person.batch(&first, 1, 1, KEYS)).await.unwrap();
    }
    let mut handed = BTreeSet::new();
    for _ in 0..KEYS / EACH {
        // Each store has many in one transaction, and both have some at the same time.
        let fetches =
            people.iter().flat_map(|person| (0..EACH).map(move |number| (person, number))).map(|(person, number)| {
                let (store, account) = (if number % 2 == 0 { &one } else { &other }, person.id());
                async move { store.bundles(&account, &[], Take::OneTime).await }
            });
        for fetched in futures_util::future::join_all(fetches).await {
            let bundle = fetched.expect("nothing is wrong with the store").bundles.remove(0);
            assert!(!bundle.last_resort);
            assert!(handed.insert(bundle.kyber) && handed.insert(bundle.one_time.unwrap()), "handed out twice");
        }
    }
    assert_eq!(handed.len(), 2 * 4 * usize::try_from(KEYS).unwrap(), "all of them, each once");
}

const KEYS: u32 = 200;
/// Of each person's keys in a round, from both stores.
const EACH: u32 = 20;
