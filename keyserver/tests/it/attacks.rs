//! Rows of spec/90-attacks.md that a key server answers for.
use std::collections::BTreeSet;

use waxwing_keyserver::service::Keyserver;
use waxwing_keyserver::store::{Store as _, memory::MemoryStore};
use waxwing_wire::{
    frame::{Admission, ErrorCode},
    keyserver::{ClaimName, DeviceRequest, FetchAccount, KeyserverReply, KeyserverRequest, Lookup, Reply, SetListing},
    manifest::Manifest,
    relay::RequestId,
    time::Timestamp,
};

use crate::{
    asking::{Asking, open, service},
    people::{NOW, Person, name},
};

/// A victim with a full stock.
async fn victim(keyserver: &Keyserver<MemoryStore>) -> (Person, Manifest) {
    let (person, asking) = (Person::new(1), Asking::new(keyserver, 1));
    let first = person.first(0);
    asking.create(&person, &first, Admission::Open).await.unwrap();
    asking.upload(&person, &person.batch(&first, 1, 1_000, 100)).await.unwrap();
    asking.upload(&person, &person.batch(&first, 1, 2_000, 100)).await.unwrap();
    (person, first)
}

fn seconds(after: u64) -> Timestamp {
    Timestamp(NOW.0 + after * 1_000)
}

#[tokio::test]
async fn a6_one_attacker_with_10_000_fetches_leaves_the_keys_for_others() {
    let keyserver = service(open()).await;
    let (person, _) = victim(&keyserver).await;
    let attacker = Asking::new(&keyserver, 666);
    let (mut denied, mut one_time) = (0, 0);
    for fetch in 0..10_000 {
        // 100 a second.
        match attacker.bundles(person.id(), seconds(fetch / 100)).await {
            Err(error) => {
                assert_eq!(error.code, ErrorCode::RateLimited, "denial is for the source, and says so");
                assert!(error.retry_after.is_some());
                denied += 1;
            }
            Ok(bundles) => {
                let bundle = &bundles.bundles[0];
                assert_eq!(bundle.one_time.is_none(), bundle.last_resort);
                one_time += u32::from(!bundle.last_resort);
                bundles.verify(&person.id(), &[], NOW).unwrap();
            }
        }
    }
    assert_eq!(one_time, 2, "what one source gets of one target");
    assert!(denied > 9_000);
    let left = keyserver.store().prekey_ids(person.signer(0, 1)).await.unwrap();
    assert_eq!(left.one_time().len(), 198);
    // Others still get one-time keys, at once.
    for source in 0..20 {
        let bundles = Asking::new(&keyserver, 1_000 + source).bundles(person.id(), seconds(100)).await.unwrap();
        assert!(!bundles.bundles[0].last_resort, "{source}");
    }
}

#[tokio::test]
async fn a6_many_attackers_drain_no_more_than_the_targets_rate_and_nobody_is_refused() {
    let keyserver = service(open()).await;
    let (person, _) = victim(&keyserver).await;
    let mut handed = BTreeSet::new();
    // 10,000 sources in an hour, once each.
    for source in 0..10_000 {
        let asking = Asking::new(&keyserver, 10_000 + source);
        let bundles = asking.bundles(person.id(), seconds(source * 36 / 100)).await.unwrap();
        let verified = bundles.verify(&person.id(), &[], NOW).unwrap();
        let bundle = &verified.bundles[0];
        if let Some(one_time) = &bundle.one_time {
            assert!(handed.insert(one_time.facts().id), "no key twice");
        }
    }
    // 32 at once and 12 an hour.
    assert!((32..=44).contains(&handed.len()), "{}", handed.len());
    let left = keyserver.store().prekey_ids(person.signer(0, 1)).await.unwrap();
    assert!(left.one_time().len() >= 156, "a device that refills every 6 hours never runs dry");
    let statistics = keyserver.counters().handed().map(|(_, count)| count).collect::<Vec<_>>();
    assert_eq!(statistics[0], 10_000);
}

#[tokio::test]
async fn a6_a_fetch_that_comes_to_nothing_costs_no_share_of_the_keys() {
    let keyserver = service(open()).await;
    let (person, first) = (Person::new(1), Person::new(1).first(0));
    let asking = Asking::new(&keyserver, 1);
    for _ in 0..20 {
        assert!(asking.bundles(person.id(), NOW).await.is_err());
    }
    asking.create(&person, &first, Admission::Open).await.unwrap();
    asking.upload(&person, &person.batch(&first, 1, 10, 5)).await.unwrap();
    assert!(!asking.bundles(person.id(), NOW).await.unwrap().bundles[0].last_resort);
}

#[tokio::test]
async fn a7_a_last_resort_key_is_flagged_and_gone_when_it_is_replaced() {
    let keyserver = service(open()).await;
    let (person, asking) = (Person::new(1), Asking::new(&keyserver, 1));
    let first = person.first(0);
    asking.create(&person, &first, Admission::Open).await.unwrap();
    asking.upload(&person, &person.batch(&first, 1, 10, 0)).await.unwrap();
    let old = asking.bundles(person.id(), NOW).await.unwrap();
    assert!(old.bundles[0].last_resort);
    asking.upload(&person, &person.batch(&first, 1, 20, 0)).await.unwrap();
    let new = asking.bundles(person.id(), NOW).await.unwrap();
    assert_ne!(old.bundles[0].kyber, new.bundles[0].kyber);
    // The old id is used up: the key cannot come back.
    let again = asking.upload(&person, &person.batch(&first, 1, 10, 0)).await;
    assert_eq!(again.unwrap_err().code, ErrorCode::PrekeyIdUsed);
}

#[tokio::test]
async fn d5_names_are_not_enumerated_and_absent_ones_look_like_unlisted_ones() {
    let keyserver = service(open()).await;
    let (person, asking) = (Person::new(1), Asking::new(&keyserver, 1));
    let first = person.first(0);
    asking.create(&person, &first, Admission::Open).await.unwrap();
    for text in ["listed-vole", "unlisted-vole"] {
        let claim = DeviceRequest::ClaimName(ClaimName { name: name(text), admission: Admission::Open });
        asking.bound(&person, (0, 1), &claim).await.unwrap();
    }
    let listing = person.listing(&first, 1, &name("listed-vole"), 1).encode();
    asking.bound(&person, (0, 1), &DeviceRequest::SetListing(SetListing { listing })).await.unwrap();
    let lookup = |text: &str| KeyserverRequest::Lookup(Lookup { name: name(text) });
    let bytes = |result| Reply { id: RequestId::new(1).unwrap(), result }.encode().unwrap();
    let absent = bytes(asking.ask(lookup("absent-vole")).await);
    assert_eq!(bytes(asking.ask(lookup("unlisted-vole")).await), absent, "byte for byte");
    assert_eq!(bytes(asking.ask(lookup("listed-vole")).await).len(), absent.len(), "a listing is no longer");
    // A dictionary of 10,000 names takes two days from one source.
    let enumerator = Asking::new(&keyserver, 666);
    let mut answered = 0;
    for word in 0..10_000_u64 {
        match enumerator.at(lookup(&format!("word-{word}")), seconds(word)).await {
            Ok(_) => answered += 1,
            Err(error) => assert_eq!((error.code, error.retry_after.is_some()), (ErrorCode::RateLimited, true)),
        }
    }
    assert!(answered <= 30 + 10_000 / 20 + 1, "{answered} in 10,000 seconds");
    // Other sources are not affected.
    assert!(Asking::new(&keyserver, 2).ask(lookup("listed-vole")).await.is_ok());
}

#[tokio::test]
async fn e3_a_flood_from_one_source_is_denied_and_nobody_else_notices() {
    let keyserver = service(open()).await;
    let (person, _) = victim(&keyserver).await;
    let flood = Asking::new(&keyserver, 666);
    let fetch = || KeyserverRequest::FetchAccount(FetchAccount { account: person.id() });
    let mut denied = 0;
    for _ in 0..1_000 {
        match flood.ask(fetch()).await {
            Err(error) => {
                assert_eq!(error.code, ErrorCode::RateLimited);
                denied += 1;
            }
            Ok(KeyserverReply::Account(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(denied, 880);
    assert!(Asking::new(&keyserver, 2).ask(fetch()).await.is_ok());
    // Accounts by the dozen.
    let mut made = 0;
    for seed in 100..150 {
        let somebody = Person::new(seed);
        made += u32::from(flood.create(&somebody, &somebody.first(0), Admission::Open).await.is_ok());
    }
    assert_eq!(made, 10);
}
