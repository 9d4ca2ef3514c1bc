//! What each request does, and what becomes of a bad one (spec/19-keyserver.md §19.1 to §19.6).
use std::time::Duration;

use waxwing_keyserver::{
    service::{Keyserver, Rate, Settings},
    store::{InvitationState, InviteId, NewInvitation, Store},
};
use waxwing_wire::{
    frame::{Admission, ErrorCode, InviteToken, Work},
    id::{Generation, Sequence},
    keyserver::{
        Bound, ClaimName, CreateAccount, DeviceRequest, FetchAccount, FetchBundles, FetchHistory, FetchReach, History,
        KeyserverReply, KeyserverRequest, Lookup, PublishManifest, SetListing, StoreReach, UploadPrekeys, batch_hash,
    },
    manifest::Manifest,
    pow::{Difficulty, Nonce, Puzzle},
    prekey::{Prekey, PrekeyKind},
    request::Exporter,
};

use crate::{
    asking::{Asking, code, create, open, publish, service},
    people::{DAY, NOW, Person, at, device_id, name, server_key},
};

/// Alice with one device and some prekeys, at a server that takes anybody.
async fn alice<S: Store>(keyserver: &Keyserver<S>) -> (Person, Manifest, Asking<S>) {
    let (person, asking) = (Person::new(1), Asking::new(keyserver, 1));
    let first = person.first(0);
    assert_eq!(asking.create(&person, &first, Admission::Open).await, Ok(KeyserverReply::Done));
    asking.upload(&person, &person.batch(&first, 1, 10, 3)).await.unwrap();
    (person, first, asking)
}

/// All that a store shows: to see that a refused request left no trace.
pub(crate) async fn everything<S: Store>(keyserver: &Keyserver<S>, people: &[&Person]) -> String {
    let store = keyserver.store();
    let mut all = format!("{:?} {:?}", store.stats(NOW).await, store.changes(0, 1_000).await);
    for person in people {
        let from = (Generation(0), Sequence(0));
        all += &format!("{:?}", store.account(&person.id()).await);
        all += &format!("{:?}", store.history(&person.id(), from, 1_000).await);
        all += &format!("{:?}", store.reach(&person.id()).await);
        all += &format!("{:?}", store.prekey_ids(person.signer(0, 1)).await);
    }
    for text in ["alice", "bob-vole"] {
        all += &format!("{:?}", store.lookup(&name(text)).await);
    }
    all
}

#[tokio::test]
async fn info_says_what_the_server_asks() {
    let mut settings = open();
    settings.admission.work = Some(Difficulty::try_from(20).unwrap());
    settings.moved = Some(vec![7; 100]);
    let keyserver = service(settings).await;
    let Ok(KeyserverReply::Info(info)) = Asking::new(&keyserver, 1).ask(KeyserverRequest::Info).await else { panic!() };
    assert_eq!((info.time, info.one_time_prekeys, info.moved), (NOW, 200, Some(vec![7; 100])));
    assert!(info.price.open && info.price.invites && info.price.ends > NOW);
    assert_eq!(info.price.admission.map(Difficulty::bits), Some(20));
    assert_eq!(info.price.strangers.bits(), 0);
}

#[tokio::test]
async fn an_account_comes_in_is_fetched_and_comes_in_again_harmlessly() {
    let keyserver = service(open()).await;
    let (person, first, asking) = alice(&keyserver).await;
    let fetch = || KeyserverRequest::FetchAccount(FetchAccount { account: person.id() });
    let Ok(KeyserverReply::Account(objects)) = asking.ask(fetch()).await else { panic!() };
    assert_eq!(objects.verify(&person.id(), NOW).unwrap().manifest, first);
    assert_eq!(asking.create(&person, &first, Admission::Open).await, Ok(KeyserverReply::Done));
    assert_eq!(code(asking.create(&person, &person.first(0), Admission::Open).await), ErrorCode::Taken);
}

#[tokio::test]
async fn each_way_of_admission_admits_and_nothing_else_does() {
    let mut settings = Settings::default();
    settings.admission.invites = false;
    let keyserver = service(settings.clone()).await;
    let (person, asking) = (Person::new(1), Asking::new(&keyserver, 1));
    let first = person.first(0);
    let invite = || Admission::Invite(InviteToken::from_bytes([5; 16]));
    for admission in [Admission::Open, Admission::Owner, invite()] {
        assert_eq!(code(asking.create(&person, &first, admission).await), ErrorCode::NotAdmitted);
    }
    settings.admission.invites = true;
    settings.admission.work = Some(Difficulty::try_from(8).unwrap());
    let keyserver = service(settings).await;
    let asking = Asking::new(&keyserver, 1);
    assert_eq!(code(asking.create(&person, &first, Admission::Owner).await), ErrorCode::NotAdmitted);
    assert_eq!(code(asking.create(&person, &first, invite()).await), ErrorCode::NotAdmitted, "never minted");
    // Work: for this account, at this difficulty, for this hour's challenge.
    let Ok(KeyserverReply::Info(info)) = asking.ask(KeyserverRequest::Info).await else { panic!() };
    let challenge = info.price.challenge;
    let solve = |person: &Person| {
        let puzzle = Puzzle::account(&challenge, &person.id(), Difficulty::try_from(8).unwrap());
        Work { challenge, nonce: puzzle.solve(0..1 << 20).unwrap() }
    };
    let (work, other) = (solve(&person), solve(&Person::new(2)));
    let too_easy = Work { challenge, nonce: (0..).map(Nonce).find(|nonce| *nonce != work.nonce).unwrap() };
    for bad in [other, too_easy] {
        assert_eq!(code(asking.create(&person, &first, Admission::Work(bad)).await), ErrorCode::WorkRequired);
    }
    let late = at(1);
    let reply = Asking::new(&keyserver, 2).at(create(&person, &first, Admission::Work(work)), late).await;
    assert_eq!(code(reply), ErrorCode::WorkRequired, "its hour is over");
    assert_eq!(asking.create(&person, &first, Admission::Work(work)).await, Ok(KeyserverReply::Done));
    // Invitations: once.
    let token = NewInvitation { hash: waxwing_keyserver::service::invite_hash(&InviteToken::from_bytes([5; 16])) };
    keyserver.store().mint(&[token], None, NOW).await.unwrap();
    let (bob, carol) = (Person::new(2), Person::new(3));
    assert_eq!(asking.create(&bob, &bob.first(0), invite()).await, Ok(KeyserverReply::Done));
    assert_eq!(code(asking.create(&carol, &carol.first(0), invite()).await), ErrorCode::NotAdmitted);
    let listed = keyserver.store().invitations(InviteId(0), 9).await.unwrap();
    assert_eq!(listed[0].state, InvitationState::Spent);
}

#[tokio::test]
async fn manifests_follow_each_other_as_section_11_6_2_says() {
    let keyserver = service(open()).await;
    let (person, first, asking) = alice(&keyserver).await;
    let second = person.with_device(&first);
    assert_eq!(asking.publish(&person, &first, &second).await, Ok(KeyserverReply::Done));
    assert_eq!(asking.publish(&person, &first, &second).await, Ok(KeyserverReply::Done), "an answer may be lost");
    let renewed = person.renewed(&second, at(1));
    assert_eq!(asking.publish(&person, &second, &renewed).await, Ok(KeyserverReply::Done));
    // The publisher names what is current by its content, which a renewal does not change.
    let third = person.sign(0, &waxwing_wire::manifest::Draft::after(&second).unwrap(), at(2));
    assert_eq!(asking.publish(&person, &second, &third).await, Ok(KeyserverReply::Done));
    for (current, stale) in [(&first, &second), (&third, &second), (&third, &renewed), (&second, &third)] {
        let reply = asking.publish(&person, current, stale).await;
        let same = *stale == third;
        assert!(if same { reply.is_ok() } else { code(reply) == ErrorCode::ManifestConflict });
    }
    let next = person.first(1);
    assert_eq!(asking.publish(&person, &third, &next).await, Ok(KeyserverReply::Done));
    let lower = person.with_device(&third);
    assert_eq!(code(asking.publish(&person, &next, &lower).await), ErrorCode::ManifestConflict);
    let gone = person.deleted(&next);
    assert_eq!(asking.publish(&person, &next, &gone).await, Ok(KeyserverReply::Done));
    let after = person.first(2);
    assert_eq!(asking.publish(&person, &gone, &after).await, Ok(KeyserverReply::Done), "the words begin anew");
    let history = KeyserverRequest::FetchHistory(FetchHistory {
        account: person.id(),
        generation: Generation(0),
        sequence: Sequence(0),
    });
    let Ok(KeyserverReply::History(page)) = asking.ask(history).await else { panic!() };
    let manifests = page.verify(&person.recovery, at(30)).unwrap();
    assert_eq!(manifests, [first, renewed, third, next, gone, after]);
    assert!(!page.more);
}

#[tokio::test]
async fn a_long_history_comes_in_pages_that_fit_a_frame() {
    let mut settings = open();
    settings.limits.manifest = Rate::UNLIMITED;
    let keyserver = service(settings).await;
    let (person, mut manifest, asking) = alice(&keyserver).await;
    let mut published = vec![manifest.clone()];
    // Long ones: sixteen devices; 64 of them exceed a frame.
    for step in 0..100 {
        let next = match step {
            0..15 => person.with_device(&manifest),
            _ => person.sign(0, &waxwing_wire::manifest::Draft::after(&manifest).unwrap(), NOW),
        };
        let reply = asking.at(publish(&person, &manifest, &next), at(step)).await;
        assert_eq!(reply, Ok(KeyserverReply::Done), "{step}");
        manifest = next;
        published.push(manifest.clone());
    }
    let (mut read, mut from, mut pages) = (Vec::new(), (Generation(0), Sequence(0)), 0);
    loop {
        let (generation, sequence) = from;
        let request = FetchHistory { account: person.id(), generation, sequence };
        let reply = asking.at(KeyserverRequest::FetchHistory(request), at(200)).await;
        let Ok(KeyserverReply::History(page)) = reply else { panic!() };
        assert!(!page.manifests.is_empty() && page.manifests.len() <= 64);
        read.extend(page.verify(&person.recovery, at(200)).unwrap());
        let last = read.last().unwrap().content();
        from = (last.generation(), last.sequence().next().unwrap());
        pages += 1;
        if !page.more {
            break;
        }
    }
    assert_eq!(read, published);
    assert!(pages > 1);
}

#[tokio::test]
async fn whoever_publishes_against_another_is_told_to_look_again() {
    let keyserver = service(open()).await;
    let (person, first, asking) = alice(&keyserver).await;
    let (one, other) = (person.with_device(&first), person.with_device(&first));
    let elsewhere = Asking::new(&keyserver, 2);
    let (one, other) = tokio::join!(asking.publish(&person, &first, &one), elsewhere.publish(&person, &first, &other));
    let results = [one, other];
    assert_eq!(results.iter().filter(|reply| reply.is_ok()).count(), 1);
    let lost = results.into_iter().find(Result::is_err).unwrap();
    assert_eq!(code(lost), ErrorCode::ManifestConflict);
}

/// Requests that are bad in one way each, and the code that each is answered with.
pub(crate) fn bad_publications(person: &Person, first: &Manifest) -> Vec<(&'static str, KeyserverRequest, ErrorCode)> {
    use ErrorCode::{InvalidManifest, ManifestConflict, NoSuchAccount};
    let mallory = Person::new(666);
    let second = person.with_device(first);
    let with = |current: &Manifest, statement: Option<Vec<u8>>, manifest: Vec<u8>| {
        KeyserverRequest::PublishManifest(PublishManifest { current: current.reference(), statement, manifest })
    };
    let flipped = |mut bytes: Vec<u8>| {
        *bytes.last_mut().unwrap() ^= 1;
        bytes
    };
    let by_thief = waxwing_wire::manifest::Draft::after(first).unwrap().sign(&mallory.root(0), NOW).unwrap();
    let unlisted = person.sign(0, &waxwing_wire::manifest::Draft::after(&second).unwrap(), NOW);
    let next = person.first(1);
    vec![
        ("no manifest", with(first, None, vec![1, 2, 3]), InvalidManifest),
        ("an altered signature", with(first, None, flipped(second.encode())), InvalidManifest),
        ("signed by another root", with(first, None, by_thief.encode()), InvalidManifest),
        ("another account's", with(first, None, mallory.first(0).encode()), NoSuchAccount),
        ("a gap", with(first, None, unlisted.encode()), ManifestConflict),
        ("another idea of what is current", with(&second, None, unlisted.encode()), ManifestConflict),
        ("a generation without its statement", with(first, None, next.encode()), InvalidManifest),
        (
            "a generation with another's statement",
            with(first, Some(mallory.statement(1).encode()), next.encode()),
            InvalidManifest,
        ),
        (
            "a generation with a lower statement",
            with(first, Some(person.statement(0).encode()), next.encode()),
            InvalidManifest,
        ),
        ("a statement too many", with(first, Some(person.statement(0).encode()), second.encode()), InvalidManifest),
        (
            "a generation that does not begin",
            with(first, Some(person.statement(1).encode()), person.with_device(&next).encode()),
            ManifestConflict,
        ),
    ]
}

pub(crate) fn bad_creations() -> Vec<(&'static str, KeyserverRequest, ErrorCode)> {
    use ErrorCode::{InvalidManifest, ManifestConflict};
    let (bob, mallory) = (Person::new(2), Person::new(666));
    let first = bob.first(0);
    let with = |recovery_key: [u8; 32], statement: Vec<u8>, manifest: Vec<u8>| {
        let admission = Admission::Open;
        KeyserverRequest::CreateAccount(CreateAccount { recovery_key, statement, manifest, admission })
    };
    let (key, statement) = (*bob.recovery.as_bytes(), bob.statement(0).encode());
    vec![
        ("no key", with([2; 32], statement.clone(), first.encode()), InvalidManifest),
        ("another's key", with(*mallory.recovery.as_bytes(), statement.clone(), first.encode()), InvalidManifest),
        ("no statement", with(key, vec![1], first.encode()), InvalidManifest),
        ("another's statement", with(key, mallory.statement(0).encode(), first.encode()), InvalidManifest),
        ("another generation's statement", with(key, bob.statement(1).encode(), first.encode()), InvalidManifest),
        ("another's manifest", with(key, statement.clone(), mallory.first(0).encode()), InvalidManifest),
        ("not the first", with(key, statement, bob.with_device(&first).encode()), ManifestConflict),
    ]
}

#[tokio::test]
async fn a_bad_account_or_manifest_is_a_typed_error_and_changes_nothing() {
    let keyserver = service(open()).await;
    let (person, first, _) = alice(&keyserver).await;
    let people = [&person, &Person::new(2), &Person::new(666)];
    let before = everything(&keyserver, &people).await;
    let bad = bad_publications(&person, &first).into_iter().chain(bad_creations());
    for (source, (what, request, expected)) in bad.enumerate() {
        // A source each, so that none runs into its limit.
        let reply = Asking::new(&keyserver, 100 + source as u64).ask(request).await;
        assert_eq!(code(reply), expected, "{what}");
        assert_eq!(everything(&keyserver, &people).await, before, "{what}");
    }
}

#[tokio::test]
async fn a_manifest_from_the_future_is_told_when_it_will_do() {
    let keyserver = service(open()).await;
    let (person, first, asking) = alice(&keyserver).await;
    let second = person.sign(0, &waxwing_wire::manifest::Draft::after(&first).unwrap(), at(3));
    let refused = asking.publish(&person, &first, &second).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::InvalidManifest);
    assert_eq!(refused.retry_after, Some(Duration::from_millis(DAY)));
    assert_eq!(asking.at(publish(&person, &first, &second), at(1)).await, Ok(KeyserverReply::Done));
}

#[tokio::test]
async fn an_accounts_manifests_have_a_rate_that_bad_ones_do_not_use_up() {
    let mut settings = open();
    settings.limits.manifest = Rate { burst: 2, interval: Duration::from_secs(900) };
    let keyserver = service(settings).await;
    let (person, first, asking) = alice(&keyserver).await;
    for (_, request, _) in bad_publications(&person, &first) {
        assert!(asking.ask(request).await.is_err());
    }
    let second = person.with_device(&first);
    let third = person.with_device(&second);
    let fourth = person.with_device(&third);
    for (current, next) in [(&first, &second), (&second, &third)] {
        assert_eq!(asking.publish(&person, current, next).await, Ok(KeyserverReply::Done));
    }
    let before = everything(&keyserver, &[&person]).await;
    // From another source as well: it is the account's rate.
    let refused = Asking::new(&keyserver, 2).publish(&person, &third, &fourth).await.unwrap_err();
    assert_eq!((refused.code, refused.retry_after), (ErrorCode::RateLimited, Some(Duration::from_secs(900))));
    assert_eq!(everything(&keyserver, &[&person]).await, before);
    let later = waxwing_wire::time::Timestamp(NOW.0 + 900_000);
    assert_eq!(asking.at(publish(&person, &third, &fourth), later).await, Ok(KeyserverReply::Done));
}

#[tokio::test]
async fn a_devices_uploads_have_a_rate() {
    let mut settings = open();
    settings.limits.upload = Rate { burst: 2, interval: Duration::from_secs(300) };
    let keyserver = service(settings).await;
    // Her first upload is done.
    let (person, first, asking) = alice(&keyserver).await;
    asking.upload(&person, &person.batch(&first, 1, 100, 1)).await.unwrap();
    let before = everything(&keyserver, &[&person]).await;
    let refused = asking.upload(&person, &person.batch(&first, 1, 200, 1)).await.unwrap_err();
    assert_eq!((refused.code, refused.retry_after), (ErrorCode::RateLimited, Some(Duration::from_secs(300))));
    assert_eq!(everything(&keyserver, &[&person]).await, before);
}

#[tokio::test]
async fn a_fetch_that_fails_uses_up_nothing_of_what_its_target_has_for_others() {
    let mut settings = open();
    settings.limits.one_time = Rate { burst: 2, interval: Duration::from_secs(300) };
    let keyserver = service(settings).await;
    let (person, ..) = alice(&keyserver).await;
    for source in 100..110 {
        let missing = FetchBundles::new(person.id(), vec![device_id(5)]).unwrap();
        let reply = Asking::new(&keyserver, source).ask(KeyserverRequest::FetchBundles(missing)).await;
        assert_eq!(code(reply), ErrorCode::NoPrekeys);
    }
    for (source, last_resort) in [(200, false), (201, false), (202, true)] {
        let bundles = Asking::new(&keyserver, source).bundles(person.id(), NOW).await.unwrap();
        assert_eq!(bundles.bundles[0].last_resort, last_resort, "{source}");
    }
}

#[tokio::test]
async fn a_devices_request_is_good_once_on_its_connection_and_nowhere_else() {
    let keyserver = service(open()).await;
    let (person, first, asking) = alice(&keyserver).await;
    let mallory = Person::new(666);
    let next = asking.number.load(std::sync::atomic::Ordering::Relaxed);
    let request = DeviceRequest::PrekeyState;
    let bound = |request: Vec<u8>| KeyserverRequest::Bound(Bound { request, prekeys: vec![] });
    let good = asking.signed(&person, (0, 1), next, &request);
    let key = person.device_key(0, 1);
    let inside = request.encode().unwrap();
    let by = |signer, key: &waxwing_wire::keys::DeviceKey| {
        key.sign_request(signer, &asking.exporter, next, &inside).unwrap().encode()
    };
    let elsewhere = Exporter::from_bytes([9; 32]);
    let foreign = key.sign_request(person.signer(0, 1), &elsewhere, next, &inside).unwrap().encode();
    for (what, request, expected) in [
        ("bytes", vec![1, 2, 3], ErrorCode::Malformed),
        ("an account that is not here", by(mallory.signer(0, 1), &key), ErrorCode::NoSuchAccount),
        ("made for another connection", foreign, ErrorCode::RequestReplayed),
        ("too early", asking.signed(&person, (0, 1), next + 1, &request), ErrorCode::RequestReplayed),
        ("late", asking.signed(&person, (0, 1), next - 1, &request), ErrorCode::RequestReplayed),
        ("of another generation", by(person.signer(1, 1), &key), ErrorCode::InvalidSignature),
        (
            "of a device that is not listed",
            by(person.signer(0, 2), &person.device_key(0, 2)),
            ErrorCode::InvalidSignature,
        ),
        ("signed by another key", by(person.signer(0, 1), &mallory.device_key(0, 1)), ErrorCode::InvalidSignature),
    ] {
        assert_eq!(code(asking.ask(bound(request)).await), expected, "{what}");
    }
    // None of those counted, so the good one is still due; and is good once.
    assert!(asking.ask(bound(good.clone())).await.is_ok());
    assert_eq!(code(asking.ask(bound(good)).await), ErrorCode::RequestReplayed);
    // What is inside counts as accepted whatever it comes to.
    asking.number.store(next + 1, std::sync::atomic::Ordering::Relaxed);
    let not_mine = DeviceRequest::Unlist(Lookup { name: name("alice") });
    assert_eq!(code(asking.bound(&person, (0, 1), &not_mine).await), ErrorCode::NotYourName);
    assert!(asking.bound(&person, (0, 1), &request).await.is_ok());
    // A device that was taken off the list is nobody.
    let second = person.with_device(&first);
    asking.publish(&person, &first, &second).await.unwrap();
    assert!(asking.bound(&person, (0, 2), &request).await.is_ok());
    asking.publish(&person, &second, &person.without_device(&second, 2)).await.unwrap();
    assert_eq!(code(asking.bound(&person, (0, 2), &request).await), ErrorCode::InvalidSignature);
}

#[tokio::test]
async fn an_inside_that_is_no_request_ends_the_stream() {
    let keyserver = service(open()).await;
    let (person, first, asking) = alice(&keyserver).await;
    let number = asking.number.load(std::sync::atomic::Ordering::Relaxed);
    let junk = person.device_key(0, 1).sign_request(person.signer(0, 1), &asking.exporter, number, b"junk").unwrap();
    let request = KeyserverRequest::Bound(Bound { request: junk.encode(), prekeys: vec![] });
    assert_eq!(code(asking.ask(request).await), ErrorCode::Malformed);
    // Prekeys beside anything but an upload.
    let asking = Asking::new(&keyserver, 2);
    let prekeys = vec![person.prekey(&first, 1, PrekeyKind::OneTimeX25519, 99).encode()];
    let reply = asking.bound_with(&person, (0, 1), &DeviceRequest::PrekeyIds, prekeys).await;
    assert_eq!(code(reply), ErrorCode::Malformed);
}

#[tokio::test]
async fn what_a_device_asks_first_happens_first_even_if_it_does_not_wait() {
    let keyserver = service(open()).await;
    let (person, first, asking) = alice(&keyserver).await;
    let number = asking.number.load(std::sync::atomic::Ordering::Relaxed);
    let batch = person.batch(&first, 1, 100, 20);
    let requests = [
        DeviceRequest::UploadPrekeys(UploadPrekeys { batch: batch.hash }),
        DeviceRequest::ClaimName(ClaimName { name: name("alice"), admission: Admission::Owner }),
        DeviceRequest::SetListing(SetListing { listing: person.listing(&first, 1, &name("alice"), 1).encode() }),
        DeviceRequest::PrekeyIds,
        DeviceRequest::ReleaseName(Lookup { name: name("alice") }),
    ];
    let prekeys: Vec<_> = batch.prekeys.iter().map(Prekey::encode).collect();
    let asked = requests.iter().zip(number..).map(|(request, number)| {
        let uploads = matches!(request, DeviceRequest::UploadPrekeys(_));
        let prekeys = if uploads { prekeys.clone() } else { vec![] };
        let request = asking.signed(&person, (0, 1), number, request);
        asking.ask(KeyserverRequest::Bound(Bound { request, prekeys }))
    });
    let answers = futures_util::future::join_all(asked).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let Ok(KeyserverReply::PrekeyIds(ids)) = &answers[3] else { panic!() };
    assert_eq!(ids.one_time().len(), 23, "the upload, which takes longest, came before");
}

#[tokio::test]
async fn bad_uploads_are_typed_errors_and_change_nothing() {
    let mut settings = open();
    settings.limits.upload = Rate::UNLIMITED;
    let keyserver = service(settings).await;
    let (person, first, asking) = alice(&keyserver).await;
    let second = person.with_device(&first);
    asking.publish(&person, &first, &second).await.unwrap();
    let mallory = Person::new(666);
    let evil = mallory.first(0);
    let one = |kind, id| person.prekey(&second, 1, kind, id).encode();
    let good = one(PrekeyKind::OneTimeX25519, 500);
    let mut altered = good.clone();
    *altered.last_mut().unwrap() ^= 1;
    let sibling = person.prekey(&second, 2, PrekeyKind::OneTimeX25519, 500).encode();
    let foreign = mallory.prekey(&evil, 1, PrekeyKind::OneTimeX25519, 500).encode();
    let old = Person::new(1);
    let other_generation = old.prekey(&old.first(1), 1, PrekeyKind::OneTimeX25519, 500).encode();
    let before = everything(&keyserver, &[&person]).await;
    for (what, prekeys, expected) in [
        ("bytes", vec![good.clone(), vec![1, 2, 3]], ErrorCode::InvalidPrekey),
        ("an altered signature", vec![good.clone(), altered], ErrorCode::InvalidPrekey),
        ("a sibling's key", vec![sibling], ErrorCode::InvalidPrekey),
        ("another account's key", vec![foreign], ErrorCode::InvalidPrekey),
        ("another generation's key", vec![other_generation], ErrorCode::InvalidPrekey),
        (
            "two signed keys",
            vec![one(PrekeyKind::SignedX25519, 500), one(PrekeyKind::SignedX25519, 501)],
            ErrorCode::InvalidPrekey,
        ),
        (
            "two last resorts",
            vec![one(PrekeyKind::LastResortKyber1024, 500), one(PrekeyKind::LastResortKyber1024, 501)],
            ErrorCode::InvalidPrekey,
        ),
        ("an id that was there", vec![good.clone(), one(PrekeyKind::OneTimeX25519, 11)], ErrorCode::PrekeyIdUsed),
        ("an id twice", vec![one(PrekeyKind::OneTimeKyber1024, 500); 2], ErrorCode::PrekeyIdUsed),
        (
            "too many",
            (0..201).map(|id| one(PrekeyKind::OneTimeX25519, 1_000 + id)).collect(),
            ErrorCode::TooManyPrekeys,
        ),
    ] {
        let request = DeviceRequest::UploadPrekeys(UploadPrekeys { batch: batch_hash(&prekeys) });
        let reply = asking.bound_with(&person, (0, 1), &request, prekeys).await;
        assert_eq!(code(reply), expected, "{what}");
        assert_eq!(everything(&keyserver, &[&person]).await, before, "{what}");
    }
    // Prekeys that are not those the request names.
    let request = DeviceRequest::UploadPrekeys(UploadPrekeys { batch: [7; 32] });
    let reply = asking.bound_with(&person, (0, 1), &request, vec![good]).await;
    assert_eq!(code(reply), ErrorCode::InvalidSignature);
    assert_eq!(everything(&keyserver, &[&person]).await, before);
}

#[tokio::test]
async fn bad_records_listings_and_names_are_typed_errors_and_change_nothing() {
    let keyserver = service(open()).await;
    let (person, first, asking) = alice(&keyserver).await;
    let second = person.with_device(&first);
    asking.publish(&person, &first, &second).await.unwrap();
    let bob = Person::new(2);
    let bobs = bob.first(0);
    asking.create(&bob, &bobs, Admission::Open).await.unwrap();
    let claim = |text| DeviceRequest::ClaimName(ClaimName { name: name(text), admission: Admission::Open });
    asking.bound(&person, (0, 1), &claim("alice")).await.unwrap();
    asking.bound(&bob, (0, 1), &claim("bob-vole")).await.unwrap();
    let reach = |record: Vec<u8>| DeviceRequest::StoreReach(StoreReach { record });
    let list = |listing: Vec<u8>| DeviceRequest::SetListing(SetListing { listing });
    asking.bound(&person, (0, 1), &reach(person.reach(&second, 1, 0, 5).encode())).await.unwrap();
    asking.bound(&person, (0, 1), &list(person.listing(&second, 1, &name("alice"), 5).encode())).await.unwrap();
    let elsewhere = {
        let other = waxwing_wire::keys::ServerKey::from_seed(&[0x77; 32]).public_key();
        let name = name("alice");
        let place = waxwing_wire::listing::ListingPlace { name: &name, server: &other };
        let reach_key = person.root(0).reach_key(0);
        person.device_key(0, 1).sign_listing(person.signer(0, 1), &place, &reach_key, 9).unwrap().encode()
    };
    let people = [&person, &bob];
    let before = everything(&keyserver, &people).await;
    let lookup = |text| Lookup { name: name(text) };
    for (what, request, expected) in [
        ("no record", reach(vec![1, 2]), ErrorCode::InvalidSignature),
        ("a sibling's record", reach(person.reach(&second, 2, 0, 9).encode()), ErrorCode::InvalidSignature),
        ("another's record", reach(bob.reach(&bobs, 1, 0, 9).encode()), ErrorCode::InvalidSignature),
        ("an old record", reach(person.reach(&second, 1, 0, 5).encode()), ErrorCode::StaleNumber),
        ("no listing", list(vec![1, 2]), ErrorCode::InvalidSignature),
        ("a listing for another server", list(elsewhere), ErrorCode::InvalidSignature),
        (
            "a sibling's listing",
            list(person.listing(&second, 2, &name("alice"), 9).encode()),
            ErrorCode::InvalidSignature,
        ),
        (
            "a listing of another's name",
            list(person.listing(&second, 1, &name("bob-vole"), 9).encode()),
            ErrorCode::NotYourName,
        ),
        ("a listing of no name", list(person.listing(&second, 1, &name("carol"), 9).encode()), ErrorCode::NotYourName),
        ("an old listing", list(person.listing(&second, 1, &name("alice"), 5).encode()), ErrorCode::StaleNumber),
        ("another's name released", DeviceRequest::ReleaseName(lookup("bob-vole")), ErrorCode::NotYourName),
        ("another's name unlisted", DeviceRequest::Unlist(lookup("bob-vole")), ErrorCode::NotYourName),
        ("another's name", claim("bob-vole"), ErrorCode::NameTaken),
    ] {
        assert_eq!(code(asking.bound(&person, (0, 1), &request).await), expected, "{what}");
        assert_eq!(everything(&keyserver, &people).await, before, "{what}");
    }
}

#[tokio::test]
async fn f4_a_name_that_looks_like_a_reserved_one_or_anothers_is_refused() {
    let keyserver = service(open()).await;
    let (person, _, asking) = alice(&keyserver).await;
    let bob = Person::new(2);
    asking.create(&bob, &bob.first(0), Admission::Open).await.unwrap();
    let claim = |text| DeviceRequest::ClaimName(ClaimName { name: name(text), admission: Admission::Open });
    for reserved in ["admin", "adrnin", "supp0rt", "vvaxvving", "wxa-abc"] {
        assert_eq!(code(asking.bound(&person, (0, 1), &claim(reserved)).await), ErrorCode::InvalidName, "{reserved}");
    }
    asking.bound(&person, (0, 1), &claim("modern-vole")).await.unwrap();
    for lookalike in ["rnodern-vole", "modernvole", "m0dern-v0le", "modern-vo1e", "moclern-vole"] {
        assert_eq!(code(asking.bound(&bob, (0, 1), &claim(lookalike)).await), ErrorCode::NameTaken, "{lookalike}");
    }
    // Another script or an invisible character is no name at all: the request does not even decode.
    for spelled in ["modern-v\u{43e}le", "modern\u{200b}-vole", "Modern-vole"] {
        assert!(spelled.parse::<waxwing_wire::name::Name>().is_err());
    }
}

#[tokio::test]
async fn an_accounts_own_admission_pays_for_one_name() {
    let keyserver = service(open()).await;
    let (person, _, asking) = alice(&keyserver).await;
    let claim = |text, admission| DeviceRequest::ClaimName(ClaimName { name: name(text), admission });
    asking.bound(&person, (0, 1), &claim("alice", Admission::Owner)).await.unwrap();
    asking.bound(&person, (0, 1), &claim("alice", Admission::Owner)).await.unwrap();
    let more = asking.bound(&person, (0, 1), &claim("other-name", Admission::Owner)).await;
    assert_eq!(code(more), ErrorCode::QuotaExceeded);
    for text in ["name-two", "name-three", "name-four"] {
        asking.bound(&person, (0, 1), &claim(text, Admission::Open)).await.unwrap();
    }
    let more = asking.bound(&person, (0, 1), &claim("name-five", Admission::Open)).await;
    assert_eq!(code(more), ErrorCode::QuotaExceeded);
}

#[tokio::test]
async fn a_name_is_listed_looked_up_and_taken_back() {
    let keyserver = service(open()).await;
    let (person, first, asking) = alice(&keyserver).await;
    let looked_up = || async {
        match asking.ask(KeyserverRequest::Lookup(Lookup { name: name("alice") })).await {
            Ok(KeyserverReply::LookedUp(found)) => found.listing,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(looked_up().await, None);
    let claim = DeviceRequest::ClaimName(ClaimName { name: name("alice"), admission: Admission::Owner });
    asking.bound(&person, (0, 1), &claim).await.unwrap();
    assert_eq!(looked_up().await, None);
    let listing = person.listing(&first, 1, &name("alice"), 1);
    let list = DeviceRequest::SetListing(SetListing { listing: listing.encode() });
    asking.bound(&person, (0, 1), &list).await.unwrap();
    let found = waxwing_wire::listing::ListingIn::decode(&looked_up().await.unwrap()).unwrap();
    let found = found.verify(&name("alice"), &server_key().public_key(), &first).unwrap();
    assert!(found.reach_key().is(&person.root(0).reach_key(0)));
    asking.bound(&person, (0, 1), &DeviceRequest::Unlist(Lookup { name: name("alice") })).await.unwrap();
    assert_eq!(looked_up().await, None);
}

#[tokio::test]
async fn reach_records_are_served_to_anybody_and_open_for_who_has_the_key() {
    let keyserver = service(open()).await;
    let (person, first, asking) = alice(&keyserver).await;
    let fetch = |person: &Person| KeyserverRequest::FetchReach(FetchReach { account: person.id() });
    let Ok(KeyserverReply::Reach(reach)) = asking.ask(fetch(&person)).await else { panic!() };
    assert!(reach.records.is_empty());
    let record = person.reach(&first, 1, 0, 1);
    let store = DeviceRequest::StoreReach(StoreReach { record: record.encode() });
    asking.bound(&person, (0, 1), &store).await.unwrap();
    let Ok(KeyserverReply::Reach(reach)) = asking.ask(fetch(&person)).await else { panic!() };
    let served = waxwing_wire::reach::ReachRecordIn::decode(&reach.records[0]).unwrap().verify(&first).unwrap();
    assert!(served.open(&person.root(0).reach_key(0), &first).is_ok());
    assert_eq!(code(asking.ask(fetch(&Person::new(9))).await), ErrorCode::NoSuchAccount);
}

#[tokio::test]
async fn absent_and_deleted_accounts_are_told_apart_from_each_other() {
    let keyserver = service(open()).await;
    let (person, first, asking) = alice(&keyserver).await;
    asking.publish(&person, &first, &person.deleted(&first)).await.unwrap();
    let nobody = Person::new(9);
    for (person, expected) in [(&person, ErrorCode::AccountDeleted), (&nobody, ErrorCode::NoSuchAccount)] {
        let bundles = KeyserverRequest::FetchBundles(FetchBundles::new(person.id(), vec![]).unwrap());
        assert_eq!(code(asking.ask(bundles).await), expected);
        let reach = KeyserverRequest::FetchReach(FetchReach { account: person.id() });
        assert_eq!(code(asking.ask(reach).await), expected);
        assert_eq!(code(asking.bound(person, (0, 1), &DeviceRequest::PrekeyIds).await), expected);
    }
    let fetch = |person: &Person| KeyserverRequest::FetchAccount(FetchAccount { account: person.id() });
    assert!(asking.ask(fetch(&person)).await.is_ok(), "the tombstone");
    assert_eq!(code(asking.ask(fetch(&nobody)).await), ErrorCode::NoSuchAccount);
    let history = FetchHistory { account: nobody.id(), generation: Generation(0), sequence: Sequence(0) };
    assert_eq!(code(asking.ask(KeyserverRequest::FetchHistory(history)).await), ErrorCode::NoSuchAccount);
}

#[tokio::test]
async fn bundles_verify_for_whoever_fetches_them() {
    let keyserver = service(open()).await;
    let (person, first, asking) = alice(&keyserver).await;
    let bundles = asking.bundles(person.id(), NOW).await.unwrap();
    let verified = bundles.verify(&person.id(), &[], NOW).unwrap();
    assert_eq!(verified.account.manifest, first);
    assert_eq!(verified.bundles[0].one_time.as_ref().unwrap().facts().id, 11);
    let missing = FetchBundles::new(person.id(), vec![device_id(1), device_id(2)]).unwrap();
    assert_eq!(code(asking.ask(KeyserverRequest::FetchBundles(missing)).await), ErrorCode::NoPrekeys);
    assert_eq!(keyserver.store().prekey_ids(person.signer(0, 1)).await.unwrap().one_time(), [12, 13]);
}

#[tokio::test]
async fn an_empty_page_is_an_end() {
    let keyserver = service(open()).await;
    let (person, _, asking) = alice(&keyserver).await;
    let request = FetchHistory { account: person.id(), generation: Generation(9), sequence: Sequence(0) };
    let page = asking.ask(KeyserverRequest::FetchHistory(request)).await;
    let empty = History { statements: vec![], manifests: vec![], more: false };
    assert_eq!(page, Ok(KeyserverReply::History(empty)));
}

#[tokio::test]
async fn counters_say_how_often_and_never_who() {
    let keyserver = service(open()).await;
    let (person, _, asking) = alice(&keyserver).await;
    asking.bundles(person.id(), NOW).await.unwrap();
    let _ = asking.ask(KeyserverRequest::FetchAccount(FetchAccount { account: Person::new(9).id() })).await;
    let counters = keyserver.counters();
    let done: Vec<_> =
        counters.done().filter(|(_, count)| *count > 0).map(|(kind, count)| (kind.name(), count)).collect();
    assert_eq!(done, [("create_account", 1), ("fetch_bundles", 1), ("bound", 1)]);
    let failed: Vec<_> = counters.failed().filter(|(_, count)| *count > 0).collect();
    assert_eq!(failed, [(ErrorCode::NoSuchAccount, 1)]);
    let handed: Vec<_> = counters.handed().map(|(_, count)| count).collect();
    assert_eq!(handed, [1, 1, 1, 0]);
}
