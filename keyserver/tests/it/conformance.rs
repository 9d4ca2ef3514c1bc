//! What every store does (spec/19-keyserver.md §19.2 to §19.7). Each case runs on each store.
use std::collections::BTreeSet;

#[cfg(feature = "sqlite")]
use waxwing_keyserver::store::sqlite::SqliteStore;
use waxwing_keyserver::store::{
    BundlesError, ChangeKind, ClaimError, CreateError, DeviceError, InvitationState, InviteId, ListingError,
    MAX_CONTENTS, NewInvitation, NewManifest, NewName, NumberError, OperatorError, OwnError, PublishError, Store, Take,
    UploadError, memory::MemoryStore,
};
use waxwing_wire::{
    id::{Generation, Sequence},
    keyserver::{Bundles, PrekeyIds},
    manifest::Manifest,
    name::Name,
    prekey::{PrekeyIn, PrekeyKind},
};

use crate::people::{NOW, Person, at, device_id, name, server_key};

/// Where a suite gets its stores, each with what has to live as long.
pub(crate) trait Kind {
    type Store: Store;
    type Place;
    async fn open() -> (Self::Store, Self::Place);
}

pub(crate) struct Memory;

impl Kind for Memory {
    type Store = MemoryStore;
    type Place = ();
    async fn open() -> (MemoryStore, ()) {
        (MemoryStore::new([7; 32]), ())
    }
}

/// A database file that lives as long as its store.
#[cfg(feature = "sqlite")]
pub(crate) struct Sqlite;

#[cfg(feature = "sqlite")]
impl Kind for Sqlite {
    type Store = SqliteStore;
    type Place = tempfile::TempDir;
    async fn open() -> (SqliteStore, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (SqliteStore::open(&folder.path().join("keys.db")).await.unwrap(), folder)
    }
}

macro_rules! suite {
    ($($case:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test] async fn $case() { super::$case::<super::Memory>().await; })*
        }

        #[cfg(feature = "sqlite")]
        mod sqlite {
            $(#[tokio::test] async fn $case() { super::$case::<super::Sqlite>().await; })*
        }
    };
}

suite! {
    an_account_is_what_was_created_and_the_same_again_is_no_error,
    an_account_that_exists_is_not_created_otherwise,
    a_manifest_takes_the_place_of_the_one_it_was_checked_against_and_of_no_other,
    a_renewal_replaces_its_content_in_the_history_and_is_no_change,
    a_history_is_served_from_any_place_with_the_statements_it_needs,
    a_history_forgets_its_oldest_contents_beyond_the_ceiling,
    a_device_that_is_no_longer_listed_loses_everything,
    a_new_generation_starts_with_nothing_of_the_old,
    a_deleted_account_leaves_a_tombstone_that_only_a_higher_generation_follows,
    a6_each_one_time_key_is_handed_out_once_and_then_the_last_resort_flagged,
    b_a_fetch_for_named_devices_takes_from_no_other,
    a_kind_that_ran_out_before_the_other_skips_none_that_come_later,
    nothing_is_used_up_by_a_fetch_that_fails_or_may_take_nothing,
    an_upload_is_all_or_nothing,
    a_prekey_id_serves_once_in_a_devices_life,
    the_last_batch_again_is_no_error_and_no_upload,
    signed_and_last_resort_keys_are_replaced,
    ids_and_digest_say_what_is_there,
    a_reach_record_is_replaced_by_number_under_its_reach_key,
    a_name_is_one_accounts_and_so_is_what_looks_like_it,
    a_released_name_rests_for_everybody_but_its_owner,
    the_names_of_a_deleted_account_rest,
    an_account_holds_no_more_names_than_it_may,
    a_listing_is_shown_for_its_owner_only_and_numbers_ascend_for_ever,
    an_invitation_serves_once_and_a_subtree_is_revoked,
    changes_are_numbered_without_gaps_in_the_order_they_happened,
    counts_are_what_there_is,
    many_fetches_at_once_share_no_key,
}

/// An account with one device, taken in.
async fn resident<S: Store>(store: &S, seed: u64) -> (Person, Manifest) {
    let person = Person::new(seed);
    let first = person.first(0);
    store.create_account(person.new_account(&first), NOW).await.unwrap();
    (person, first)
}

async fn publish<S: Store>(store: &S, person: &Person, manifest: &Manifest) {
    let version = store.account(&person.id()).await.unwrap().unwrap().version;
    store.publish(person.step(version, manifest), NOW).await.unwrap();
}

async fn restart<S: Store>(store: &S, person: &Person, generation: u32) -> Manifest {
    let version = store.account(&person.id()).await.unwrap().unwrap().version;
    let manifest = person.first(generation);
    let statement = Some(person.statement(generation));
    store.publish(NewManifest { version, statement, manifest: manifest.clone() }, NOW).await.unwrap();
    manifest
}

fn claim(person: &Person, text: &str) -> NewName {
    NewName { name: name(text), account: person.id(), most: 4, invite: None }
}

async fn ids<S: Store>(store: &S, person: &Person, device: u32) -> PrekeyIds {
    store.prekey_ids(person.signer(0, device)).await.unwrap()
}

/// (device, signed, one-time, Kyber, last resort) of each bundle, by id.
fn handed(bundles: &Bundles) -> Vec<(u8, u32, Option<u32>, u32, bool)> {
    let id = |bytes: &[u8], kinds: &[PrekeyKind]| {
        let reference = waxwing_wire::manifest::ManifestIn::decode(&bundles.account.manifest).unwrap();
        let statement = waxwing_wire::statement::GenerationStatementIn::decode(&bundles.account.statement).unwrap();
        let recovery = waxwing_wire::keys::RecoveryPublicKey::from_bytes(&bundles.account.recovery_key).unwrap();
        let manifest = reference.verify(&statement.verify(&recovery).unwrap(), at(10_000)).unwrap();
        let prekey = PrekeyIn::decode(bytes).unwrap().verify(&manifest).unwrap();
        assert!(kinds.contains(&prekey.facts().kind));
        prekey.facts().id
    };
    let bundles = bundles.bundles.iter().map(|bundle| {
        let kyber = if bundle.last_resort { PrekeyKind::LastResortKyber1024 } else { PrekeyKind::OneTimeKyber1024 };
        (
            bundle.device.value(),
            id(&bundle.signed, &[PrekeyKind::SignedX25519]),
            bundle.one_time.as_deref().map(|bytes| id(bytes, &[PrekeyKind::OneTimeX25519])),
            id(&bundle.kyber, &[kyber]),
            bundle.last_resort,
        )
    });
    bundles.collect()
}

async fn an_account_is_what_was_created_and_the_same_again_is_no_error<K: Kind>() {
    let (store, _place) = K::open().await;
    let (person, first) = resident(&store, 1).await;
    let stored = store.account(&person.id()).await.unwrap().unwrap();
    assert_eq!(stored.objects.recovery_key, *person.recovery.as_bytes());
    assert_eq!(stored.objects.statement, person.statement(0).encode());
    assert_eq!(stored.objects.manifest, first.encode(), "the exact bytes");
    assert_eq!(store.account(&Person::new(2).id()).await.unwrap(), None);
    store.create_account(person.new_account(&first), at(1)).await.unwrap();
    assert_eq!(store.account(&person.id()).await.unwrap().unwrap(), stored);
    assert_eq!(store.changes(0, 10).await.unwrap().len(), 1);
}

async fn an_account_that_exists_is_not_created_otherwise<K: Kind>() {
    let (store, _place) = K::open().await;
    let (person, _) = resident(&store, 1).await;
    let before = store.account(&person.id()).await.unwrap();
    let other = person.first(0);
    assert_eq!(store.create_account(person.new_account(&other), NOW).await, Err(CreateError::Taken));
    assert_eq!(store.create_account(person.new_account(&person.first(1)), NOW).await, Err(CreateError::Taken));
    assert_eq!(store.account(&person.id()).await.unwrap(), before);
}

async fn a_manifest_takes_the_place_of_the_one_it_was_checked_against_and_of_no_other<K: Kind>() {
    let (store, _place) = K::open().await;
    let (person, first) = resident(&store, 1).await;
    let (second, rival) = (person.with_device(&first), person.with_device(&first));
    let version = store.account(&person.id()).await.unwrap().unwrap().version;
    store.publish(person.step(version, &second), NOW).await.unwrap();
    assert_eq!(store.publish(person.step(version, &rival), NOW).await, Err(PublishError::Conflict));
    assert_eq!(store.publish(person.step(version + 7, &rival), NOW).await, Err(PublishError::Conflict));
    let stored = store.account(&person.id()).await.unwrap().unwrap();
    assert_eq!(stored.objects.manifest, second.encode());
    assert_ne!(stored.version, version);
    let nobody = Person::new(9);
    assert_eq!(store.publish(nobody.step(0, &nobody.first(0)), NOW).await, Err(PublishError::Conflict));
}

async fn a_renewal_replaces_its_content_in_the_history_and_is_no_change<K: Kind>() {
    let (store, _place) = K::open().await;
    let (person, first) = resident(&store, 1).await;
    store.upload(person.batch(&first, 1, 10, 1)).await.unwrap();
    let renewed = person.renewed(&first, at(20));
    publish(&store, &person, &renewed).await;
    let history = store.history(&person.id(), (Generation(0), Sequence(0)), 10).await.unwrap().unwrap();
    assert_eq!(history.manifests.len(), 1);
    assert_eq!(history.manifests[0].bytes, renewed.encode());
    assert_eq!(store.account(&person.id()).await.unwrap().unwrap().objects.manifest, renewed.encode());
    assert_eq!(store.changes(0, 10).await.unwrap().len(), 1);
    assert_eq!(ids(&store, &person, 1).await.one_time(), [11], "a device keeps its keys");
}

async fn a_history_is_served_from_any_place_with_the_statements_it_needs<K: Kind>() {
    let (store, _place) = K::open().await;
    let (person, first) = resident(&store, 1).await;
    let second = person.with_device(&first);
    publish(&store, &person, &second).await;
    let third = restart(&store, &person, 4).await;
    let fourth = person.with_device(&third);
    publish(&store, &person, &fourth).await;
    let all = [&first, &second, &third, &fourth].map(Manifest::encode);
    for (from, expected, generations) in [
        ((0, 0), &all[..], &[0, 4][..]),
        ((0, 1), &all[1..], &[0, 4]),
        ((0, 2), &all[2..], &[4]),
        ((3, 9), &all[2..], &[4]),
        ((4, 1), &all[3..], &[4]),
        ((4, 2), &[], &[]),
    ] {
        let history = store.history(&person.id(), (Generation(from.0), Sequence(from.1)), 10).await.unwrap().unwrap();
        let manifests: Vec<_> = history.manifests.iter().map(|manifest| manifest.bytes.clone()).collect();
        assert_eq!(manifests, expected, "{from:?}");
        let expected: Vec<_> = generations.iter().map(|g| (Generation(*g), person.statement(*g).encode())).collect();
        assert_eq!(history.statements, expected, "{from:?}");
    }
    let page = store.history(&person.id(), (Generation(0), Sequence(0)), 2).await.unwrap().unwrap();
    assert_eq!((page.manifests.len(), page.statements.len()), (2, 1));
    assert_eq!(store.history(&Person::new(2).id(), (Generation(0), Sequence(0)), 2).await.unwrap(), None);
}

async fn a_history_forgets_its_oldest_contents_beyond_the_ceiling<K: Kind>() {
    let (store, _place) = K::open().await;
    let (person, first) = resident(&store, 1).await;
    let mut manifest = restart(&store, &person, 1).await;
    for _ in 0..MAX_CONTENTS {
        let draft = waxwing_wire::manifest::Draft::after(&manifest).unwrap();
        manifest = person.sign(1, &draft, NOW);
        publish(&store, &person, &manifest).await;
    }
    let from = (Generation(0), Sequence(0));
    let history = store.history(&person.id(), from, MAX_CONTENTS + 10).await.unwrap().unwrap();
    assert_eq!(history.manifests.len(), MAX_CONTENTS as usize);
    assert_eq!(history.manifests[0].sequence, Sequence(1));
    assert_eq!(history.manifests.last().unwrap().bytes, manifest.encode());
    assert_eq!(history.statements.len(), 1, "and the statements that nothing needs");
    assert!(history.manifests.iter().all(|kept| kept.bytes != first.encode()));
}

async fn a_device_that_is_no_longer_listed_loses_everything<K: Kind>() {
    let (store, _place) = K::open().await;
    let (person, first) = resident(&store, 1).await;
    let second = person.with_device(&first);
    publish(&store, &person, &second).await;
    for device in [1, 2] {
        store.upload(person.batch(&second, device, 10, 2)).await.unwrap();
        store.store_reach(&person.reach(&second, device, 0, 1)).await.unwrap();
    }
    for (device, text) in [(1, "alice"), (2, "other-vole")] {
        store.claim_name(claim(&person, text), NOW).await.unwrap();
        store.set_listing(&person.listing(&second, device, &name(text), 1)).await.unwrap();
    }
    publish(&store, &person, &person.without_device(&second, 2)).await;
    assert_eq!(store.prekey_ids(person.signer(0, 2)).await, Err(DeviceError::NotListed));
    assert_eq!(store.upload(person.batch(&second, 2, 50, 1)).await, Err(UploadError::NotListed));
    assert_eq!(store.store_reach(&person.reach(&second, 2, 0, 2)).await, Err(NumberError::NotListed));
    assert_eq!(store.unlist(person.signer(0, 2), &name("alice")).await, Err(OwnError::NotListed));
    assert_eq!(store.reach(&person.id()).await.unwrap().unwrap(), [person_reach(&store, &person).await]);
    assert!(store.lookup(&name("alice")).await.unwrap().is_some());
    assert_eq!(store.lookup(&name("other-vole")).await.unwrap(), None, "its listing is void");
    let bundles = store.bundles(&person.id(), &[], Take::LastResort).await.unwrap();
    assert_eq!(bundles.bundles.len(), 1);
    assert_eq!(store.bundles(&person.id(), &[device_id(2)], Take::OneTime).await, Err(BundlesError::NoPrekeys));
    assert_eq!(ids(&store, &person, 1).await.one_time(), [11, 12], "a sibling keeps what it has");
    // The place in the store may serve the next device; nothing of the old one is in it.
    let third = person.with_device(&person.without_device(&second, 2));
    publish(&store, &person, &third).await;
    assert_eq!(
        store.prekey_ids(person.signer(0, 3)).await.unwrap(),
        PrekeyIds::new(None, None, vec![], vec![]).unwrap()
    );
    store.upload(person.batch(&third, 3, 10, 2)).await.unwrap();
}

/// The one record that is left, read back as it was stored.
async fn person_reach<S: Store>(store: &S, person: &Person) -> Vec<u8> {
    let records = store.reach(&person.id()).await.unwrap().unwrap();
    assert_eq!(records.len(), 1);
    records[0].clone()
}

async fn a_new_generation_starts_with_nothing_of_the_old<K: Kind>() {
    let (store, _place) = K::open().await;
    let (person, first) = resident(&store, 1).await;
    store.upload(person.batch(&first, 1, 10, 2)).await.unwrap();
    store.store_reach(&person.reach(&first, 1, 0, 5)).await.unwrap();
    store.claim_name(claim(&person, "alice"), NOW).await.unwrap();
    store.set_listing(&person.listing(&first, 1, &name("alice"), 9)).await.unwrap();
    let next = restart(&store, &person, 1).await;
    assert_eq!(store.prekey_ids(person.signer(0, 1)).await, Err(DeviceError::NotListed));
    assert_eq!(store.prekey_ids(person.signer(1, 1)).await.unwrap().one_time(), [0; 0]);
    assert_eq!(store.reach(&person.id()).await.unwrap().unwrap(), Vec::<Vec<u8>>::new());
    assert_eq!(store.lookup(&name("alice")).await.unwrap(), None);
    // Ids and numbers begin anew with the device; the name is still the account's.
    store.upload(person.batch(&next, 1, 10, 2)).await.unwrap();
    store.store_reach(&person.reach(&next, 1, 0, 1)).await.unwrap();
    store.set_listing(&person.listing(&next, 1, &name("alice"), 1)).await.unwrap();
}

async fn a_deleted_account_leaves_a_tombstone_that_only_a_higher_generation_follows<K: Kind>() {
    let (store, _place) = K::open().await;
    let (person, first) = resident(&store, 1).await;
    store.upload(person.batch(&first, 1, 10, 2)).await.unwrap();
    let last = person.deleted(&first);
    publish(&store, &person, &last).await;
    assert_eq!(store.account(&person.id()).await.unwrap().unwrap().objects.manifest, last.encode());
    assert_eq!(store.bundles(&person.id(), &[], Take::OneTime).await, Err(BundlesError::Deleted));
    assert_eq!(store.prekey_ids(person.signer(0, 1)).await, Err(DeviceError::NotListed));
    assert_eq!(store.reach(&person.id()).await.unwrap().unwrap(), Vec::<Vec<u8>>::new());
    assert_eq!(store.claim_name(claim(&person, "alice"), NOW).await, Err(ClaimError::NoAccount));
    assert_eq!(store.create_account(person.new_account(&first), NOW).await, Err(CreateError::Taken));
    assert_eq!(store.stats(NOW).await.unwrap().one_time_keys, 0);
    let next = restart(&store, &person, 1).await;
    store.upload(person.batch(&next, 1, 10, 2)).await.unwrap();
    assert!(store.bundles(&person.id(), &[], Take::OneTime).await.is_ok());
}

async fn a6_each_one_time_key_is_handed_out_once_and_then_the_last_resort_flagged<K: Kind>() {
    let (store, _place) = K::open().await;
    let (person, first) = resident(&store, 1).await;
    let second = person.with_device(&first);
    publish(&store, &person, &second).await;
    store.upload(person.batch(&second, 1, 10, 3)).await.unwrap();
    store.upload(person.batch(&second, 2, 70, 1)).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.push(handed(&store.bundles(&person.id(), &[], Take::OneTime).await.unwrap()));
    }
    let expected = [
        [(1, 10, Some(11), 11, false), (2, 70, Some(71), 71, false)],
        [(1, 10, Some(12), 12, false), (2, 70, None, 70, true)],
        [(1, 10, Some(13), 13, false), (2, 70, None, 70, true)],
        [(1, 10, None, 10, true), (2, 70, None, 70, true)],
        [(1, 10, None, 10, true), (2, 70, None, 70, true)],
    ];
    assert_eq!(seen, expected);
    store.upload(person.batch(&second, 1, 30, 1)).await.unwrap();
    let after = handed(&store.bundles(&person.id(), &[], Take::OneTime).await.unwrap());
    assert_eq!(after, [(1, 30, Some(31), 31, false), (2, 70, None, 70, true)], "a refill is handed out");
}

async fn b_a_fetch_for_named_devices_takes_from_no_other<K: Kind>() {
    let (store, _place) = K::open().await;
    let (person, first) = resident(&store, 1).await;
    let third = person.with_device(&person.with_device(&first));
    publish(&store, &person, &person.with_device(&first)).await;
    let second = store.account(&person.id()).await.unwrap().unwrap();
    let second = second.objects.verify(&person.id(), at(0)).unwrap().manifest;
    let third = {
        let _ = third;
        person.with_device(&second)
    };
    publish(&store, &person, &third).await;
    for device in [1, 2, 3] {
        store.upload(person.batch(&third, device, device * 100, 2)).await.unwrap();
    }
    let asked = [device_id(2), device_id(3)];
    let bundles = handed(&store.bundles(&person.id(), &asked, Take::OneTime).await.unwrap());
    assert_eq!(bundles.iter().map(|bundle| bundle.0).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(ids(&store, &person, 1).await.one_time(), [101, 102]);
    assert_eq!(ids(&store, &person, 2).await.one_time(), [202]);
}

async fn a_kind_that_ran_out_before_the_other_skips_none_that_come_later<K: Kind>() {
    let kinds = [PrekeyKind::OneTimeX25519, PrekeyKind::OneTimeKyber1024];
    for (seed, short) in (1..).zip(kinds) {
        let (store, _place) = K::open().await;
        let (person, first) = resident(&store, seed).await;
        let mut batch = person.batch(&first, 1, 1, 3);
        let mut kept = 0;
        batch.prekeys.retain(|prekey| {
            kept += u32::from(prekey.facts().kind == short);
            prekey.facts().kind != short || kept == 1
        });
        store.upload(batch).await.unwrap();
        let had = |bundle: (u8, u32, Option<u32>, u32, bool)| (bundle.2.is_some(), !bundle.4);
        for turn in 0..3 {
            let bundles = handed(&store.bundles(&person.id(), &[], Take::OneTime).await.unwrap());
            let (one_time, kyber) = had(bundles[0]);
            let (short_one, long_one) = if short == kinds[0] { (one_time, kyber) } else { (kyber, one_time) };
            assert_eq!((short_one, long_one), (turn == 0, true), "{short:?}, {turn}");
        }
        let mut more = person.batch(&first, 1, 50, 2);
        more.prekeys.retain(|prekey| !kinds.contains(&prekey.facts().kind) || prekey.facts().kind == short);
        let state = store.upload(more).await.unwrap();
        assert_eq!(state, ids(&store, &person, 1).await.state());
        for turn in 0..3 {
            let bundles = handed(&store.bundles(&person.id(), &[], Take::OneTime).await.unwrap());
            let (one_time, kyber) = had(bundles[0]);
            let (short_one, long_one) = if short == kinds[0] { (one_time, kyber) } else { (kyber, one_time) };
            assert_eq!((short_one, long_one), (turn < 2, false), "{short:?}, {turn} of those that came later");
        }
    }
}

async fn nothing_is_used_up_by_a_fetch_that_fails_or_may_take_nothing<K: Kind>() {
    let (store, _place) = K::open().await;
    let (person, first) = resident(&store, 1).await;
    let nobody = Person::new(2).id();
    assert_eq!(store.bundles(&person.id(), &[], Take::OneTime).await, Err(BundlesError::NoPrekeys));
    assert_eq!(store.bundles(&nobody, &[], Take::OneTime).await, Err(BundlesError::NoAccount));
    // One-time keys alone make no bundle.
    let lone = vec![
        person.prekey(&first, 1, PrekeyKind::OneTimeX25519, 1),
        person.prekey(&first, 1, PrekeyKind::OneTimeKyber1024, 1),
    ];
    store.upload(person.batch_of(&first, 1, lone)).await.unwrap();
    assert_eq!(store.bundles(&person.id(), &[], Take::OneTime).await, Err(BundlesError::NoPrekeys));
    let signed = vec![person.prekey(&first, 1, PrekeyKind::SignedX25519, 1)];
    store.upload(person.batch_of(&first, 1, signed)).await.unwrap();
    assert_eq!(store.bundles(&person.id(), &[], Take::LastResort).await, Err(BundlesError::NoPrekeys));
    let both = [device_id(1), device_id(2)];
    assert_eq!(store.bundles(&person.id(), &both, Take::OneTime).await, Err(BundlesError::NoPrekeys));
    assert_eq!(ids(&store, &person, 1).await.one_time(), [1]);
    assert_eq!(ids(&store, &person, 1).await.one_time_kyber(), [1]);
    store.upload(person.batch(&first, 1, 10, 2)).await.unwrap();
    let bundles = handed(&store.bundles(&person.id(), &[], Take::LastResort).await.unwrap());
    assert_eq!(bundles, [(1, 10, None, 10, true)]);
    assert_eq!(ids(&store, &person, 1).await.one_time(), [1, 11, 12]);
}

async fn an_upload_is_all_or_nothing<K: Kind>() {
    let (store, _place) = K::open().await;
    let (person, first) = resident(&store, 1).await;
    store.upload(person.batch(&first, 1, 10, 100)).await.unwrap();
    let before = ids(&store, &person, 1).await;
    assert_eq!(store.upload(person.batch(&first, 1, 1_000, 101)).await, Err(UploadError::TooMany));
    assert_eq!(store.upload(person.batch(&first, 1, 109, 1)).await, Err(UploadError::IdUsed), "110 is there");
    let mut small = person.batch(&first, 1, 2_000, 1);
    small.most = 100;
    assert_eq!(store.upload(small).await, Err(UploadError::TooMany), "what the server announces counts");
    assert_eq!(ids(&store, &person, 1).await, before);
    store.upload(person.batch(&first, 1, 1_000, 100)).await.unwrap();
    assert_eq!(ids(&store, &person, 1).await.one_time().len(), 200);
    assert_eq!(store.upload(person.batch(&first, 1, 5_000, 1)).await, Err(UploadError::TooMany));
    // Rotation needs no room.
    store.upload(person.batch(&first, 1, 5_000, 0)).await.unwrap();
    store.bundles(&person.id(), &[], Take::OneTime).await.unwrap();
    store.upload(person.batch(&first, 1, 6_000, 1)).await.unwrap();
}

async fn a_prekey_id_serves_once_in_a_devices_life<K: Kind>() {
    let (store, _place) = K::open().await;
    let (person, first) = resident(&store, 1).await;
    store.upload(person.batch(&first, 1, 10, 2)).await.unwrap();
    for _ in 0..2 {
        store.bundles(&person.id(), &[], Take::OneTime).await.unwrap();
    }
    store.upload(person.batch(&first, 1, 20, 0)).await.unwrap();
    let one = |kind, id| person.batch_of(&first, 1, vec![person.prekey(&first, 1, kind, id)]);
    for (kind, id) in [
        (PrekeyKind::SignedX25519, 10),
        (PrekeyKind::SignedX25519, 20),
        (PrekeyKind::OneTimeX25519, 11),
        (PrekeyKind::OneTimeKyber1024, 12),
        (PrekeyKind::LastResortKyber1024, 10),
        // Messages name a Kyber key by its id alone.
        (PrekeyKind::LastResortKyber1024, 11),
        (PrekeyKind::OneTimeKyber1024, 10),
    ] {
        assert_eq!(store.upload(one(kind, id)).await, Err(UploadError::IdUsed), "{kind:?} {id}");
    }
    let twice = vec![person.prekey(&first, 1, PrekeyKind::OneTimeX25519, 77); 2];
    assert_eq!(store.upload(person.batch_of(&first, 1, twice)).await, Err(UploadError::IdUsed));
    let kyber_twice = vec![
        person.prekey(&first, 1, PrekeyKind::OneTimeKyber1024, 78),
        person.prekey(&first, 1, PrekeyKind::LastResortKyber1024, 78),
    ];
    assert_eq!(store.upload(person.batch_of(&first, 1, kyber_twice)).await, Err(UploadError::IdUsed));
    // The spaces are apart, the devices too, and the highest id is one.
    store.upload(one(PrekeyKind::OneTimeX25519, 10)).await.unwrap();
    store.upload(one(PrekeyKind::SignedX25519, 11)).await.unwrap();
    store.upload(one(PrekeyKind::OneTimeKyber1024, u32::MAX)).await.unwrap();
    let second = person.with_device(&first);
    publish(&store, &person, &second).await;
    store.upload(person.batch(&second, 2, 10, 2)).await.unwrap();
}

async fn the_last_batch_again_is_no_error_and_no_upload<K: Kind>() {
    let (store, _place) = K::open().await;
    let (person, first) = resident(&store, 1).await;
    let batch = person.batch(&first, 1, 10, 2);
    let state = store.upload(batch.clone()).await.unwrap();
    assert_eq!(store.upload(batch.clone()).await.unwrap(), state);
    store.bundles(&person.id(), &[], Take::OneTime).await.unwrap();
    let less = store.upload(batch.clone()).await.unwrap();
    assert_eq!((less.one_time, less.one_time_kyber), (1, 1), "what was handed out does not come back");
    store.upload(person.batch(&first, 1, 20, 1)).await.unwrap();
    assert_eq!(store.upload(batch).await, Err(UploadError::IdUsed), "only the last one");
    let empty = person.batch_of(&first, 1, vec![]);
    assert_eq!(store.upload(empty).await.unwrap(), ids(&store, &person, 1).await.state());
}

async fn signed_and_last_resort_keys_are_replaced<K: Kind>() {
    let (store, _place) = K::open().await;
    let (person, first) = resident(&store, 1).await;
    store.upload(person.batch(&first, 1, 10, 0)).await.unwrap();
    let signed = vec![person.prekey(&first, 1, PrekeyKind::SignedX25519, 30)];
    let state = store.upload(person.batch_of(&first, 1, signed)).await.unwrap();
    assert_eq!((state.signed, state.last_resort), (Some(30), Some(10)));
    let bundles = handed(&store.bundles(&person.id(), &[], Take::OneTime).await.unwrap());
    assert_eq!(bundles, [(1, 30, None, 10, true)]);
    let last = vec![person.prekey(&first, 1, PrekeyKind::LastResortKyber1024, 40)];
    store.upload(person.batch_of(&first, 1, last)).await.unwrap();
    let bundles = handed(&store.bundles(&person.id(), &[], Take::LastResort).await.unwrap());
    assert_eq!(bundles, [(1, 30, None, 40, true)]);
}

async fn ids_and_digest_say_what_is_there<K: Kind>() {
    let (store, _place) = K::open().await;
    let (person, first) = resident(&store, 1).await;
    assert_eq!(ids(&store, &person, 1).await, PrekeyIds::new(None, None, vec![], vec![]).unwrap());
    let descending: Vec<_> = [9, 5, 7].map(|id| person.prekey(&first, 1, PrekeyKind::OneTimeX25519, id)).into();
    store.upload(person.batch_of(&first, 1, descending)).await.unwrap();
    let state = store.upload(person.batch(&first, 1, 20, 2)).await.unwrap();
    let expected = PrekeyIds::new(Some(20), Some(20), vec![5, 7, 9, 21, 22], vec![21, 22]).unwrap();
    assert_eq!(ids(&store, &person, 1).await, expected);
    assert_eq!(state, expected.state());
    store.bundles(&person.id(), &[], Take::OneTime).await.unwrap();
    let expected = PrekeyIds::new(Some(20), Some(20), vec![5, 7, 21, 22], vec![22]).unwrap();
    assert_eq!(ids(&store, &person, 1).await, expected, "the oldest went, which was 9");
}

async fn a_reach_record_is_replaced_by_number_under_its_reach_key<K: Kind>() {
    let (store, _place) = K::open().await;
    let (person, first) = resident(&store, 1).await;
    let second = person.with_device(&first);
    publish(&store, &person, &second).await;
    assert_eq!(store.reach(&Person::new(2).id()).await.unwrap(), None);
    assert_eq!(store.reach(&person.id()).await.unwrap().unwrap(), Vec::<Vec<u8>>::new());
    let record = |device, key, number| person.reach(&second, device, key, number);
    let (old, newer) = (record(1, 0, 4), record(1, 0, 5));
    store.store_reach(&old).await.unwrap();
    assert_eq!(store.store_reach(&record(1, 0, 4)).await, Err(NumberError::Stale));
    assert_eq!(store.store_reach(&record(1, 0, 3)).await, Err(NumberError::Stale));
    assert_eq!(store.reach(&person.id()).await.unwrap().unwrap(), [old.encode()]);
    store.store_reach(&newer).await.unwrap();
    let sibling = record(2, 0, 1);
    store.store_reach(&sibling).await.unwrap();
    assert_eq!(store.reach(&person.id()).await.unwrap().unwrap(), [newer.encode(), sibling.encode()]);
    // Two reach keys at most; the one written longest ago goes.
    let (next, again, third) = (record(1, 1, 1), record(1, 0, 6), record(1, 2, 1));
    for record in [&next, &again, &third] {
        store.store_reach(record).await.unwrap();
    }
    let left = [again.encode(), third.encode(), sibling.encode()];
    assert_eq!(store.reach(&person.id()).await.unwrap().unwrap(), left);
}

async fn a_name_is_one_accounts_and_so_is_what_looks_like_it<K: Kind>() {
    let (store, _place) = K::open().await;
    let ((alice, _), (mallory, _)) = (resident(&store, 1).await, resident(&store, 2).await);
    store.claim_name(claim(&alice, "modern-vole"), NOW).await.unwrap();
    store.claim_name(claim(&alice, "modern-vole"), NOW).await.unwrap();
    for lookalike in ["modern-vole", "rnodern-vole", "modern-v0le", "modernvole", "moclern-vole"] {
        assert_eq!(store.claim_name(claim(&mallory, lookalike), NOW).await, Err(ClaimError::Taken), "{lookalike}");
    }
    // Not even its owner: two names with one skeleton do not exist.
    assert_eq!(store.claim_name(claim(&alice, "modernvole"), NOW).await, Err(ClaimError::Taken));
    assert_eq!(store.claim_name(claim(&Person::new(3), "carol"), NOW).await, Err(ClaimError::NoAccount));
    assert_eq!(store.stats(NOW).await.unwrap().names, 1);
}

async fn a_released_name_rests_for_everybody_but_its_owner<K: Kind>() {
    let (store, _place) = K::open().await;
    let ((alice, first), (mallory, _)) = (resident(&store, 1).await, resident(&store, 2).await);
    let text = name("alice");
    store.claim_name(claim(&alice, "alice"), NOW).await.unwrap();
    store.set_listing(&alice.listing(&first, 1, &text, 1)).await.unwrap();
    assert_eq!(store.release_name(mallory.signer(0, 1), &text, NOW).await, Err(OwnError::NotYours));
    assert_eq!(store.release_name(alice.signer(0, 1), &name("a1ice"), NOW).await, Err(OwnError::NotYours));
    store.release_name(alice.signer(0, 1), &text, NOW).await.unwrap();
    assert_eq!(store.release_name(alice.signer(0, 1), &text, NOW).await, Err(OwnError::NotYours), "once");
    assert_eq!(store.lookup(&text).await.unwrap(), None);
    assert_eq!(store.set_listing(&alice.listing(&first, 1, &text, 2)).await, Err(ListingError::NotYours));
    assert_eq!(store.claim_name(claim(&mallory, "a1ice"), at(89)).await, Err(ClaimError::Taken));
    store.claim_name(claim(&alice, "alice"), at(89)).await.unwrap();
    assert_eq!(store.lookup(&text).await.unwrap(), None, "given back unlisted");
    assert_eq!(store.set_listing(&alice.listing(&first, 1, &text, 1)).await, Err(ListingError::Stale));
    store.release_name(alice.signer(0, 1), &text, at(89)).await.unwrap();
    assert_eq!(store.claim_name(claim(&mallory, "alice"), at(178)).await, Err(ClaimError::Taken));
    store.claim_name(claim(&mallory, "alice"), at(179)).await.unwrap();
    assert_eq!(store.claim_name(claim(&alice, "alice"), at(179)).await, Err(ClaimError::Taken));
}

async fn the_names_of_a_deleted_account_rest<K: Kind>() {
    let (store, _place) = K::open().await;
    let ((alice, first), (mallory, _)) = (resident(&store, 1).await, resident(&store, 2).await);
    store.claim_name(claim(&alice, "alice"), NOW).await.unwrap();
    store.set_listing(&alice.listing(&first, 1, &name("alice"), 1)).await.unwrap();
    publish(&store, &alice, &alice.deleted(&first)).await;
    assert_eq!(store.lookup(&name("alice")).await.unwrap(), None);
    assert_eq!(store.claim_name(claim(&mallory, "alice"), at(89)).await, Err(ClaimError::Taken));
    restart(&store, &alice, 1).await;
    store.claim_name(claim(&alice, "alice"), at(89)).await.unwrap();
}

async fn an_account_holds_no_more_names_than_it_may<K: Kind>() {
    let (store, _place) = K::open().await;
    let (alice, _) = resident(&store, 1).await;
    for text in ["first-name", "second-name", "third-name", "fourth-name"] {
        store.claim_name(claim(&alice, text), NOW).await.unwrap();
    }
    assert_eq!(store.claim_name(claim(&alice, "fifth-name"), NOW).await, Err(ClaimError::Quota));
    store.claim_name(claim(&alice, "first-name"), NOW).await.unwrap();
    store.release_name(alice.signer(0, 1), &name("first-name"), NOW).await.unwrap();
    assert_eq!(store.claim_name(claim(&alice, "fifth-name"), at(89)).await, Err(ClaimError::Quota), "it rests");
    let within = |most| NewName { most, ..claim(&alice, "first-name") };
    store.claim_name(within(1), at(89)).await.unwrap();
    store.release_name(alice.signer(0, 1), &name("first-name"), NOW).await.unwrap();
    store.claim_name(claim(&alice, "fifth-name"), at(90)).await.unwrap();
}

async fn a_listing_is_shown_for_its_owner_only_and_numbers_ascend_for_ever<K: Kind>() {
    let (store, _place) = K::open().await;
    let ((alice, first), (mallory, evil)) = (resident(&store, 1).await, resident(&store, 2).await);
    let text: Name = name("alice");
    store.claim_name(claim(&alice, "alice"), NOW).await.unwrap();
    assert_eq!(store.lookup(&text).await.unwrap(), None, "a name alone is unlisted");
    assert_eq!(store.set_listing(&mallory.listing(&evil, 1, &text, 9)).await, Err(ListingError::NotYours));
    let one = alice.listing(&first, 1, &text, 1);
    store.set_listing(&one).await.unwrap();
    assert_eq!(store.lookup(&text).await.unwrap(), Some(one.encode()));
    assert_eq!(store.lookup(&name("a1ice")).await.unwrap(), None, "as it is spelled");
    assert_eq!(store.set_listing(&alice.listing(&first, 1, &text, 1)).await, Err(ListingError::Stale));
    assert_eq!(store.unlist(mallory.signer(0, 1), &text).await, Err(OwnError::NotYours));
    store.unlist(alice.signer(0, 1), &text).await.unwrap();
    store.unlist(alice.signer(0, 1), &text).await.unwrap();
    assert_eq!(store.lookup(&text).await.unwrap(), None);
    assert_eq!(store.set_listing(&one).await, Err(ListingError::Stale));
    store.set_listing(&alice.listing(&first, 1, &text, 2)).await.unwrap();
}

async fn an_invitation_serves_once_and_a_subtree_is_revoked<K: Kind>() {
    let (store, _place) = K::open().await;
    let mint = |numbers: &[u8]| numbers.iter().map(|n| NewInvitation { hash: [*n; 32] }).collect::<Vec<_>>();
    let roots = store.mint(&mint(&[1, 2]), None, NOW).await.unwrap();
    assert_eq!(roots, [InviteId(1), InviteId(2)]);
    let children = store.mint(&mint(&[3, 4]), Some(InviteId(1)), NOW).await.unwrap();
    let grandchild = store.mint(&mint(&[5]), Some(children[0]), NOW).await.unwrap();
    let with = |seed: u64, invite: u8| {
        let person = Person::new(seed);
        let first = person.first(0);
        waxwing_keyserver::store::NewAccount { invite: Some([invite; 32]), ..person.new_account(&first) }
    };
    assert_eq!(store.create_account(with(1, 99), NOW).await, Err(CreateError::Invite));
    let guest = with(1, 3);
    store.create_account(guest.clone(), NOW).await.unwrap();
    store.create_account(guest, NOW).await.unwrap();
    assert_eq!(store.create_account(with(2, 3), NOW).await, Err(CreateError::Invite), "once");
    assert_eq!(store.account(&Person::new(2).id()).await.unwrap(), None);
    // A claim spends one too, and one that fails spends none.
    let person = Person::new(1);
    let claim = |text, invite: u8| NewName { invite: Some([invite; 32]), ..claim(&person, text) };
    store.claim_name(claim("alice", 4), NOW).await.unwrap();
    assert_eq!(store.claim_name(claim("other-name", 4), NOW).await, Err(ClaimError::Invite));
    assert_eq!(store.claim_name(claim("a1ice", 5), NOW).await, Err(ClaimError::Taken));
    // 1 and the unspent below it: 5. Spent ones stay spent, 2 is of another tree.
    assert_eq!(store.revoke(InviteId(1)).await.unwrap(), 2);
    assert_eq!(store.revoke(InviteId(1)).await.unwrap(), 0);
    assert_eq!(store.revoke(InviteId(77)).await, Err(OperatorError::NoInvitation));
    assert_eq!(store.create_account(with(2, 5), NOW).await, Err(CreateError::Invite));
    assert_eq!(store.mint(&mint(&[6]), Some(InviteId(1)), NOW).await, Err(OperatorError::Revoked));
    assert_eq!(store.mint(&mint(&[6]), Some(InviteId(77)), NOW).await, Err(OperatorError::NoInvitation));
    let states: Vec<_> = store.invitations(InviteId(0), 9).await.unwrap().iter().map(|known| known.state).collect();
    use InvitationState::{Open, Revoked, Spent};
    assert_eq!(states, [Revoked, Open, Spent, Spent, Revoked]);
    let page = store.invitations(InviteId(3), 1).await.unwrap();
    assert_eq!((page[0].id, page[0].below, page.len()), (InviteId(4), Some(InviteId(1)), 1));
    assert_eq!(grandchild, [InviteId(5)]);
    store.create_account(with(2, 2), NOW).await.unwrap();
}

async fn changes_are_numbered_without_gaps_in_the_order_they_happened<K: Kind>() {
    let (store, _place) = K::open().await;
    let (alice, first) = resident(&store, 1).await;
    store.claim_name(claim(&alice, "alice"), at(2)).await.unwrap();
    store.claim_name(claim(&alice, "zoe-vole"), at(1)).await.unwrap();
    store.release_name(alice.signer(0, 1), &name("alice"), at(3)).await.unwrap();
    publish(&store, &alice, &alice.renewed(&first, at(3))).await;
    let last = alice.deleted(&first);
    publish(&store, &alice, &last).await;
    let changes = store.changes(0, 100).await.unwrap();
    let kinds: Vec<_> = changes.iter().map(|change| change.kind.clone()).collect();
    let content = |manifest: &Manifest| {
        let reference = manifest.reference();
        let (generation, sequence, content) = (reference.generation, reference.sequence, reference.content);
        ChangeKind::Content { generation, sequence, content }
    };
    let expected = [
        content(&first),
        ChangeKind::NameClaimed(name("alice")),
        ChangeKind::NameClaimed(name("zoe-vole")),
        ChangeKind::NameReleased(name("alice")),
        content(&last),
        ChangeKind::NameReleased(name("zoe-vole")),
    ];
    assert_eq!(kinds, expected);
    assert_eq!(changes.iter().map(|change| change.number).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert!(changes.iter().all(|change| change.account == alice.id()));
    assert!(changes.is_sorted_by_key(|change| change.at), "a clock that goes back is not believed");
    assert_eq!(store.changes(4, 1).await.unwrap(), changes[4..5]);
    assert_eq!(store.changes(6, 9).await.unwrap(), []);
}

async fn counts_are_what_there_is<K: Kind>() {
    let (store, _place) = K::open().await;
    let ((alice, first), (bob, bobs)) = (resident(&store, 1).await, resident(&store, 2).await);
    let second = alice.with_device(&first);
    publish(&store, &alice, &second).await;
    store.upload(alice.batch(&second, 1, 10, 3)).await.unwrap();
    store.bundles(&alice.id(), &[], Take::OneTime).await.unwrap();
    store.claim_name(claim(&alice, "alice"), NOW).await.unwrap();
    store.claim_name(claim(&bob, "bob-vole"), NOW).await.unwrap();
    publish(&store, &bob, &bob.deleted(&bobs)).await;
    store.mint(&[NewInvitation { hash: [1; 32] }], None, NOW).await.unwrap();
    let stats = store.stats(at(1)).await.unwrap();
    assert_eq!((stats.accounts, stats.deleted, stats.devices), (1, 1, 2));
    assert_eq!((stats.names, stats.resting, stats.one_time_keys), (1, 1, 4));
    assert_eq!((stats.open_invitations, stats.changes), (1, 7));
    assert_eq!(store.stats(at(91)).await.unwrap().resting, 0);
    assert_eq!(store.verify(&server_key().public_key()).await.unwrap(), []);
    assert_eq!(store.secret().await.unwrap(), store.secret().await.unwrap());
}

async fn many_fetches_at_once_share_no_key<K: Kind>() {
    let (store, _place) = K::open().await;
    let store = std::sync::Arc::new(store);
    let (person, first) = resident(&*store, 1).await;
    store.upload(person.batch(&first, 1, 10, 40)).await.unwrap();
    let fetches = (0..60).map(|_| {
        let (store, account) = (std::sync::Arc::clone(&store), person.id());
        tokio::spawn(async move { store.bundles(&account, &[], Take::OneTime).await.unwrap() })
    });
    let (mut one_time, mut kyber, mut last) = (BTreeSet::new(), BTreeSet::new(), 0);
    for fetch in fetches.collect::<Vec<_>>() {
        for (_, _, ec, pq, is_last) in handed(&fetch.await.unwrap()) {
            assert!(ec.is_none_or(|id| one_time.insert(id)));
            if is_last { last += 1 } else { assert!(kyber.insert(pq)) }
        }
    }
    assert_eq!((one_time.len(), kyber.len(), last), (40, 40, 20));
}
