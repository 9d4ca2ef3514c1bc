//! What a server's history is, whatever is published in whatever order (spec/11-identity.md §11.6; attack B8).
use proptest::prelude::*;
use waxwing_keyserver::{
    service::{Rate, Settings},
    store::Store,
};
use waxwing_wire::{
    frame::Admission,
    history::{self, History},
    id::{Generation, Sequence},
    keyserver::{AccountObjects, FetchAccount, FetchHistory, KeyserverReply, KeyserverRequest},
    manifest::Manifest,
};

use crate::{
    asking::{Asking, open, publish, service_on},
    conformance::{Kind, Memory, Sqlite},
    people::{NOW, Person, at},
};

/// What an owner, or a thief of a root key, signs next. Numbers choose among what is possible.
#[derive(Clone, Copy, Debug)]
enum Act {
    Add(usize),
    Remove(usize, u8),
    Renew(usize, u64),
    Delete(usize),
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        5 => any::<usize>().prop_map(Act::Add),
        3 => (any::<usize>(), any::<u8>()).prop_map(|(from, which)| Act::Remove(from, which)),
        3 => (any::<usize>(), 1_u64..40).prop_map(|(from, days)| Act::Renew(from, days)),
        1 => any::<usize>().prop_map(Act::Delete),
        1 => Just(Act::Restart),
    ]
}

/// Genuine manifests, forks among them: each follows any earlier one of the newest generation.
fn world(person: &Person, acts: &[Act]) -> Vec<Manifest> {
    let mut made = vec![person.first(0)];
    for act in acts {
        let generation = made.iter().map(|manifest| manifest.content().generation()).max().unwrap();
        let of_it = made.iter().filter(|manifest| manifest.content().generation() == generation);
        let possible: Vec<_> = of_it.filter(|manifest| !manifest.content().is_final()).collect();
        let pick = |from: usize| possible.get(from % possible.len().max(1)).copied();
        let next = match *act {
            Act::Add(from) => pick(from)
                .filter(|manifest| manifest.content().devices().len() < 16)
                .map(|manifest| person.with_device(manifest)),
            Act::Remove(from, which) => {
                pick(from).filter(|manifest| manifest.content().devices().len() > 1).map(|manifest| {
                    let devices = manifest.content().devices();
                    let device = devices[usize::from(which) % devices.len()].id();
                    person.without_device(manifest, u32::from(device.value()))
                })
            }
            Act::Renew(from, days) => pick(from).map(|manifest| person.renewed(manifest, at(days))),
            Act::Delete(from) => pick(from).map(|manifest| person.deleted(manifest)),
            Act::Restart => Some(person.first(generation.0 + 1)),
        };
        made.extend(next);
    }
    made
}

async fn current<S: Store>(asking: &Asking<S>, person: &Person) -> Manifest {
    let request = KeyserverRequest::FetchAccount(FetchAccount { account: person.id() });
    let Ok(KeyserverReply::Account(objects)) = asking.at(request, at(60)).await else { panic!() };
    verified(&objects, person)
}

fn verified(objects: &AccountObjects, person: &Person) -> Manifest {
    objects.verify(&person.id(), at(60)).unwrap().manifest
}

/// What the server serves from the beginning on.
async fn served<S: Store>(asking: &Asking<S>, person: &Person) -> Vec<Manifest> {
    let request = FetchHistory { account: person.id(), generation: Generation(0), sequence: Sequence(0) };
    let reply = asking.at(KeyserverRequest::FetchHistory(request), at(60)).await;
    let Ok(KeyserverReply::History(page)) = reply else { panic!() };
    assert!(!page.more);
    page.verify(&person.recovery, at(60)).unwrap()
}

/// Offers everything in this order, again and again, until nothing more is taken.
async fn offer<K: Kind>(person: &Person, manifests: &[Manifest]) -> (Vec<Manifest>, Manifest) {
    let mut settings = Settings { ..open() };
    settings.limits.manifest = Rate::UNLIMITED;
    settings.limits.change = Rate::UNLIMITED;
    settings.limits.fetch = Rate::UNLIMITED;
    let (store, _place) = K::open().await;
    let keyserver = service_on(store, settings).await;
    let asking = Asking::new(&keyserver, 1);
    let first = manifests.iter().find(|manifest| manifest.content().generation() == Generation(0)).unwrap();
    asking.create(person, first, Admission::Open).await.unwrap();
    loop {
        let before = served(&asking, person).await;
        for manifest in manifests {
            // Whoever publishes has looked at what is current.
            let known = current(&asking, person).await;
            let _ = asking.at(publish(person, &known, manifest), at(60)).await;
            let now = current(&asking, person).await;
            assert_ne!(history::precedence(&now, &known), std::cmp::Ordering::Less, "nothing ever falls back");
        }
        let after = served(&asking, person).await;
        if after == before {
            return (after, current(&asking, person).await);
        }
    }
}

fn shuffled(manifests: &[Manifest], seed: u64) -> Vec<Manifest> {
    let (mut shuffled, mut state) = (manifests.to_vec(), seed | 1);
    // The first stays first: it creates the account.
    for index in (2..shuffled.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        shuffled.swap(index, 1 + usize::try_from(state >> 33).unwrap() % index);
    }
    shuffled
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// 32 cases, or `WAXWING_CASES`. A failure prints what was published.
fn cases() -> ProptestConfig {
    let cases = std::env::var("WAXWING_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(32);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn one_chain<K: Kind>(acts: &[Act], seed: u64) -> Result<(), TestCaseError> {
    let person = Person::new(7);
    let manifests = world(&person, acts);
    let (held, current) = run(offer::<K>(&person, &shuffled(&manifests, seed)));
    for pair in held.windows(2) {
        prop_assert!(history::step(Some(&pair[0]), &pair[1]).is_ok(), "each follows the one before it");
    }
    prop_assert_eq!(held.last(), Some(&current));
    // A client that is shown all of it sees one chain, no fork, and the same winner.
    let newest = current.content().generation();
    let mut of_it = held.iter().filter(|manifest| manifest.content().generation() == newest).cloned();
    let mut client = History::new(of_it.next().unwrap());
    for manifest in of_it {
        client.insert(manifest).unwrap();
    }
    prop_assert!(client.fork().is_none());
    prop_assert_eq!(client.winner(), Some(&current));
    Ok(())
}

fn order_of_arrival<K: Kind>(acts: &[Act], one: u64, other: u64) -> Result<(), TestCaseError> {
    let person = Person::new(7);
    let mut manifests = world(&person, acts);
    // Keep a set without forks: whatever is compatible with all that is kept already.
    let mut kept: Vec<Manifest> = Vec::new();
    for manifest in manifests.drain(..) {
        let content = manifest.content();
        let follows =
            content.sequence() == Sequence(0) || kept.iter().any(|other| other.content_hash() == content.previous());
        let known = kept.iter().any(|other| other.content_hash() == manifest.content_hash());
        if known || (follows && kept.iter().all(|other| history::compatible(other, &manifest).is_ok())) {
            kept.push(manifest);
        }
    }
    // Dates may forbid a step that comes after a renewal; the chain without renewals has none of that.
    kept.retain(|manifest| manifest.issued() == NOW);
    let (_, first) = run(offer::<K>(&person, &shuffled(&kept, one)));
    let (_, second) = run(offer::<K>(&person, &shuffled(&kept, other)));
    prop_assert_eq!(&first, &second);
    let winner = kept.iter().max_by(|one, other| history::precedence(one, other));
    prop_assert_eq!(Some(&first), winner);
    Ok(())
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn b8_what_a_server_holds_is_one_chain_for_each_generation_whatever_came_in_whatever_order(
        acts in prop::collection::vec(act(), 1..10), seed in any::<u64>(),
    ) {
        one_chain::<Memory>(&acts, seed)?;
    }

    #[test]
    fn b8_what_a_server_on_disk_holds_is_one_chain_for_each_generation_whatever_came_in_whatever_order(
        acts in prop::collection::vec(act(), 1..10), seed in any::<u64>(),
    ) {
        one_chain::<Sqlite>(&acts, seed)?;
    }

    #[test]
    fn b8_without_forks_the_order_of_arrival_changes_nothing(
        acts in prop::collection::vec(act(), 1..10), one in any::<u64>(), other in any::<u64>(),
    ) {
        order_of_arrival::<Memory>(&acts, one, other)?;
    }

    #[test]
    fn b8_without_forks_the_order_of_arrival_changes_nothing_on_disk(
        acts in prop::collection::vec(act(), 1..10), one in any::<u64>(), other in any::<u64>(),
    ) {
        order_of_arrival::<Sqlite>(&acts, one, other)?;
    }
}
