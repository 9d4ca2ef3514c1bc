//! Over real QUIC, with the store on disk: what is bad is a typed error, changes nothing and disturbs nobody; and a person's whole
//! life by the typed client (spec/19-keyserver.md §19.1 to §19.6).
use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use waxwing_keyserver::{
    server::{self, Surroundings},
    service::{Keyserver, Limits, Settings},
    store::{Store, sqlite::SqliteStore},
};
use waxwing_net::{
    BoundError, Client, ClientConfig, Clock, CloseCode, Ended, FramedStream, KeyserverConnection, Limits as Peers,
    Listener, ListenerConfig, RequestError, Service, StreamError, Trust,
};
use waxwing_wire::{
    address::ServerAddress,
    frame::{Admission, ErrorCode},
    id::{Generation, Sequence},
    keyserver::{
        Bound, ClaimName, CreateAccount, DeviceRequest, FetchAccount, FetchBundles, FetchHistory, FetchReach,
        KeyserverReply, KeyserverRequest, LookedUp, Lookup, PublishManifest, Reply, Request, SetListing, StoreReach,
        UploadPrekeys, batch_hash,
    },
    manifest::Manifest,
    prekey::{Prekey, PrekeyKind},
    relay::RequestId,
    request::Exporter,
};

use crate::{
    asking::{create, open, publish},
    people::{NOW, Person, name, server_key},
    requests::{bad_creations, bad_publications, everything},
};

/// A server on loopback whose clock stands still.
struct Place {
    address: ServerAddress,
    keyserver: Keyserver<SqliteStore>,
    _folder: tempfile::TempDir,
}

impl Place {
    async fn open() -> Self {
        let mut settings = Settings { limits: Limits::UNLIMITED, ..open() };
        settings.names_included = 1;
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("keys.db")).await.unwrap();
        let limits = Peers { connections_per_source: usize::MAX, ..Peers::default() };
        let config = ListenerConfig { limits, ..ListenerConfig::new(Service::Keyserver) };
        let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0).into(), &server_key(), config).unwrap();
        let host = listener.local_address().to_string().parse().unwrap();
        let address = ServerAddress::new(*listener.key(), vec![host]).unwrap();
        let keyserver = Keyserver::new(store, *listener.key(), settings).await.unwrap();
        let served = keyserver.clone();
        tokio::spawn(async move {
            let surroundings = Surroundings { clock: Clock::new(|| NOW), ..Surroundings::system() };
            server::serve(&listener, &served, &surroundings, std::future::pending(), Duration::ZERO).await;
        });
        Self { address, keyserver, _folder: folder }
    }
}

fn client() -> Client {
    Client::new(ClientConfig { attempt: Duration::from_secs(30), ..ClientConfig::default() }).unwrap()
}

async fn connect(client: &Client, place: &Place) -> KeyserverConnection {
    client.keyserver(&place.address, Trust::Configured).await.unwrap()
}

fn code(result: Result<KeyserverReply, RequestError>) -> ErrorCode {
    match result {
        Err(RequestError::Server(error)) => error.code,
        other => panic!("{other:?}"),
    }
}

/// Alice with two devices, Bob with one; each with a name, Alice with a listing, a reach record and prekeys.
struct Town {
    place: Place,
    client: Client,
    alice: Arc<Person>,
    bob: Arc<Person>,
    /// Alice's current manifest.
    manifest: Manifest,
    bobs: Manifest,
}

impl Town {
    async fn build() -> Self {
        let (place, client) = (Place::open().await, client());
        let (alice, bob) = (Arc::new(Person::new(1)), Arc::new(Person::new(2)));
        let connection = connect(&client, &place).await;
        let (first, bobs) = (alice.first(0), bob.first(0));
        let manifest = alice.with_device(&first);
        for request in [
            create(&alice, &first, Admission::Open),
            publish(&alice, &first, &manifest),
            create(&bob, &bobs, Admission::Open),
        ] {
            assert_eq!(connection.request(request).await, Ok(KeyserverReply::Done));
        }
        for (person, text) in [(&alice, "alice"), (&bob, "bob-vole")] {
            let claim = DeviceRequest::ClaimName(ClaimName { name: name(text), admission: Admission::Owner });
            let connection = connect(&client, &place).await;
            assert_eq!(by_first(&connection, person, &claim, vec![]).await, Ok(KeyserverReply::Done));
        }
        let connection = connect(&client, &place).await;
        let batch = alice.batch(&manifest, 1, 10, 3);
        let prekeys = batch.prekeys.iter().map(Prekey::encode).collect();
        let upload = DeviceRequest::UploadPrekeys(UploadPrekeys { batch: batch.hash });
        by_first(&connection, &alice, &upload, prekeys).await.unwrap();
        for request in [
            DeviceRequest::StoreReach(StoreReach { record: alice.reach(&manifest, 1, 0, 5).encode() }),
            DeviceRequest::SetListing(SetListing { listing: alice.listing(&manifest, 1, &name("alice"), 5).encode() }),
        ] {
            assert_eq!(by_first(&connection, &alice, &request, vec![]).await, Ok(KeyserverReply::Done));
        }
        Self { place, client, alice, bob, manifest, bobs }
    }

    /// Everything that the store shows of the people here and of one who is not.
    async fn state(&self) -> String {
        everything(&self.place.keyserver, &[&self.alice, &self.bob, &Person::new(666)]).await
    }
}

async fn by_first(
    connection: &KeyserverConnection,
    person: &Person,
    request: &DeviceRequest,
    prekeys: Vec<Vec<u8>>,
) -> Result<KeyserverReply, BoundError> {
    connection.bound(&person.device_key(0, 1), person.signer(0, 1), request, prekeys).await
}

/// A connection that has something to lose: it has asked as a device, so that it has a number of its own.
struct Bystander(KeyserverConnection);

impl Bystander {
    async fn stand(town: &Town, client: &Client) -> Self {
        let bystander = Self(connect(client, &town.place).await);
        bystander.is_undisturbed(town, "before").await;
        bystander
    }

    async fn is_undisturbed(&self, town: &Town, what: &str) {
        let reply = by_first(&self.0, &town.alice, &DeviceRequest::PrekeyState, vec![]).await;
        assert!(matches!(reply, Ok(KeyserverReply::PrekeyState(_))), "{what}: {reply:?}");
        let reply = self.0.request(KeyserverRequest::Info).await;
        assert!(matches!(reply, Ok(KeyserverReply::Info(_))), "{what}: {reply:?}");
    }
}

/// A request made for the connection with this exporter.
type Made = Box<dyn FnOnce(&Exporter) -> KeyserverRequest>;

/// A device's request that is bad in one way, and the code that it is answered with.
fn bad_bound_requests(town: &Town) -> Vec<(&'static str, Made, ErrorCode)> {
    let mallory = Arc::new(Person::new(666));
    let bound = |request: Vec<u8>, prekeys| KeyserverRequest::Bound(Bound { request, prekeys });
    let plain = DeviceRequest::PrekeyState.encode().unwrap();
    // By `signer`, with the key of somebody's device, under a number.
    let signed = |signs: &Arc<Person>, (generation, device): (u32, u32), of: &Arc<Person>, number: u32| -> Made {
        let (signs, signer, inside) = (Arc::clone(signs), of.signer(generation, device), plain.clone());
        Box::new(move |exporter| {
            let key = signs.device_key(generation, device);
            bound(key.sign_request(signer, exporter, number, &inside).unwrap().encode(), vec![])
        })
    };
    let (alice, unsigned) = (Arc::clone(&town.alice), Arc::clone(&town.alice));
    let (junk, beside) = (Arc::clone(&town.alice), Arc::clone(&town.alice));
    let manifest = town.manifest.clone();
    let inside = plain.clone();
    vec![
        ("bytes", Box::new(move |_| bound(vec![1, 2, 3], vec![])), ErrorCode::Malformed),
        ("an account that is not here", signed(&mallory, (0, 1), &mallory, 0), ErrorCode::NoSuchAccount),
        (
            "made for another connection",
            Box::new(move |_| {
                let elsewhere = Exporter::from_bytes([9; 32]);
                let request = alice.device_key(0, 1).sign_request(alice.signer(0, 1), &elsewhere, 0, &inside);
                bound(request.unwrap().encode(), vec![])
            }),
            ErrorCode::RequestReplayed,
        ),
        ("out of sequence", signed(&town.alice, (0, 1), &town.alice, 1), ErrorCode::RequestReplayed),
        ("far out of sequence", signed(&town.alice, (0, 1), &town.alice, u32::MAX), ErrorCode::RequestReplayed),
        ("of another generation", signed(&town.alice, (1, 1), &town.alice, 0), ErrorCode::InvalidSignature),
        ("of a device that is not listed", signed(&town.alice, (0, 3), &town.alice, 0), ErrorCode::InvalidSignature),
        ("signed by another's key", signed(&mallory, (0, 1), &town.alice, 0), ErrorCode::InvalidSignature),
        (
            "unsigned",
            Box::new(move |exporter| {
                let inside = DeviceRequest::PrekeyState.encode().unwrap();
                let signer = unsigned.signer(0, 1);
                let mut request =
                    unsigned.device_key(0, 1).sign_request(signer, exporter, 0, &inside).unwrap().encode();
                // The signature stands at the end.
                let from = request.len() - 64;
                request[from..].fill(0);
                bound(request, vec![])
            }),
            ErrorCode::InvalidSignature,
        ),
        (
            "an inside that is no request",
            Box::new(move |exporter| {
                let request = junk.device_key(0, 1).sign_request(junk.signer(0, 1), exporter, 0, b"junk").unwrap();
                bound(request.encode(), vec![])
            }),
            ErrorCode::Malformed,
        ),
        (
            "prekeys beside anything but an upload",
            Box::new(move |exporter| {
                let inside = DeviceRequest::PrekeyIds.encode().unwrap();
                let request = beside.device_key(0, 1).sign_request(beside.signer(0, 1), exporter, 0, &inside).unwrap();
                bound(request.encode(), vec![beside.prekey(&manifest, 1, PrekeyKind::OneTimeX25519, 99).encode()])
            }),
            ErrorCode::Malformed,
        ),
    ]
}

/// What is inside is bad in one way: signed and in order, but not to be done.
fn bad_insides(town: &Town) -> Vec<(&'static str, DeviceRequest, Vec<Vec<u8>>, ErrorCode)> {
    let Town { alice, bob, manifest, bobs, .. } = town;
    let one = |kind, id| alice.prekey(manifest, 1, kind, id).encode();
    let good = one(PrekeyKind::OneTimeX25519, 500);
    let mut altered = good.clone();
    *altered.last_mut().unwrap() ^= 1;
    let sibling = alice.prekey(manifest, 2, PrekeyKind::OneTimeX25519, 500).encode();
    let foreign = bob.prekey(bobs, 1, PrekeyKind::OneTimeX25519, 500).encode();
    let many = (0..201).map(|id| one(PrekeyKind::OneTimeX25519, 1_000 + id)).collect();
    let upload = |what, prekeys: Vec<Vec<u8>>, code| {
        let request = DeviceRequest::UploadPrekeys(UploadPrekeys { batch: batch_hash(&prekeys) });
        (what, request, prekeys, code)
    };
    let other = |what, request, code| (what, request, vec![], code);
    let reach = |record: Vec<u8>| DeviceRequest::StoreReach(StoreReach { record });
    let list = |listing: Vec<u8>| DeviceRequest::SetListing(SetListing { listing });
    let claim = |text, admission| DeviceRequest::ClaimName(ClaimName { name: name(text), admission });
    let listing = |device, text, number| alice.listing(manifest, device, &name(text), number).encode();
    let lookup = || Lookup { name: name("bob-vole") };
    vec![
        (
            "a batch under another's hash",
            DeviceRequest::UploadPrekeys(UploadPrekeys { batch: [7; 32] }),
            vec![good.clone()],
            ErrorCode::InvalidSignature,
        ),
        upload("a prekey that is none", vec![good.clone(), vec![1, 2, 3]], ErrorCode::InvalidPrekey),
        upload("an altered prekey", vec![good.clone(), altered], ErrorCode::InvalidPrekey),
        upload("a sibling's prekey", vec![sibling], ErrorCode::InvalidPrekey),
        upload("another account's prekey", vec![foreign], ErrorCode::InvalidPrekey),
        upload("a used id", vec![good.clone(), one(PrekeyKind::OneTimeX25519, 11)], ErrorCode::PrekeyIdUsed),
        upload("too many", many, ErrorCode::TooManyPrekeys),
        other("no record", reach(vec![1, 2]), ErrorCode::InvalidSignature),
        other("a sibling's record", reach(alice.reach(manifest, 2, 0, 9).encode()), ErrorCode::InvalidSignature),
        other("another's record", reach(bob.reach(bobs, 1, 0, 9).encode()), ErrorCode::InvalidSignature),
        other("a record again", reach(alice.reach(manifest, 1, 0, 5).encode()), ErrorCode::StaleNumber),
        other("no listing", list(vec![1, 2]), ErrorCode::InvalidSignature),
        other("a sibling's listing", list(listing(2, "alice", 9)), ErrorCode::InvalidSignature),
        other("a listing of another's name", list(listing(1, "bob-vole", 9)), ErrorCode::NotYourName),
        other("a listing again", list(listing(1, "alice", 5)), ErrorCode::StaleNumber),
        other("a reserved name", claim("admin", Admission::Open), ErrorCode::InvalidName),
        other("another's name", claim("bob-vole", Admission::Open), ErrorCode::NameTaken),
        other("one name too many", claim("carol", Admission::Owner), ErrorCode::QuotaExceeded),
        other("another's name released", DeviceRequest::ReleaseName(lookup()), ErrorCode::NotYourName),
        other("another's name unlisted", DeviceRequest::Unlist(lookup()), ErrorCode::NotYourName),
    ]
}

#[tokio::test]
async fn a_bad_request_is_a_typed_error_changes_nothing_and_disturbs_no_other_connection() {
    let town = Town::build().await;
    let (stranger, owner) = (client(), client());
    let bystander = Bystander::stand(&town, &owner).await;
    let before = town.state().await;
    let account = |what, request, expected| (what, Box::new(move |_: &Exporter| request) as Made, expected);
    let accounts = bad_publications(&town.alice, &town.manifest).into_iter().chain(bad_creations());
    let accounts = accounts.map(|(what, request, expected)| account(what, request, expected));
    let nobody = Person::new(666).id();
    let absent = [
        ("an absent account", KeyserverRequest::FetchAccount(FetchAccount { account: nobody })),
        ("an absent account's reach", KeyserverRequest::FetchReach(FetchReach { account: nobody })),
        ("an absent account's bundles", KeyserverRequest::FetchBundles(FetchBundles::new(nobody, vec![]).unwrap())),
    ];
    let absent = absent.into_iter().map(|(what, request)| account(what, request, ErrorCode::NoSuchAccount));
    for (what, request, expected) in bad_bound_requests(&town).into_iter().chain(accounts).chain(absent) {
        let connection = connect(&stranger, &town.place).await;
        let reply = connection.request(request(&connection.exporter())).await;
        assert_eq!(code(reply), expected, "{what}");
        if expected == ErrorCode::Malformed {
            assert_eq!(connection.closed().await, Ended::ClosedByPeer(CloseCode::Error(expected)), "{what}");
        } else {
            let next = connection.request(KeyserverRequest::Info).await;
            assert!(matches!(next, Ok(KeyserverReply::Info(_))), "{what}: the connection goes on");
        }
        assert_eq!(town.state().await, before, "{what}");
        bystander.is_undisturbed(&town, what).await;
    }
    for (what, request, prekeys, expected) in bad_insides(&town) {
        let connection = connect(&stranger, &town.place).await;
        let refused = by_first(&connection, &town.alice, &request, prekeys).await.unwrap_err();
        let BoundError::Request(refused) = refused else { panic!("{what}: {refused:?}") };
        assert_eq!(code(Err(refused)), expected, "{what}");
        let next = by_first(&connection, &town.alice, &DeviceRequest::PrekeyIds, vec![]).await;
        assert!(next.is_ok(), "{what}: it counted, and the next one is due");
        assert_eq!(town.state().await, before, "{what}");
        bystander.is_undisturbed(&town, what).await;
    }
}

#[tokio::test]
async fn a_devices_request_that_is_replayed_here_or_elsewhere_does_nothing_again() {
    let town = Town::build().await;
    let stranger = client();
    let bystander = Bystander::stand(&town, &stranger).await;
    let one = connect(&town.client, &town.place).await;
    let release = DeviceRequest::ReleaseName(Lookup { name: name("bob-vole") }).encode().unwrap();
    let signed = town.bob.device_key(0, 1).sign_request(town.bob.signer(0, 1), &one.exporter(), 0, &release).unwrap();
    let request = || KeyserverRequest::Bound(Bound { request: signed.encode(), prekeys: vec![] });
    assert_eq!(one.request(request()).await, Ok(KeyserverReply::Done));
    // Bob takes his name back; whoever kept the request would like to release it again.
    let claim = DeviceRequest::ClaimName(ClaimName { name: name("bob-vole"), admission: Admission::Owner });
    let connection = connect(&town.client, &town.place).await;
    assert_eq!(by_first(&connection, &town.bob, &claim, vec![]).await, Ok(KeyserverReply::Done));
    let before = town.state().await;
    assert_eq!(code(one.request(request()).await), ErrorCode::RequestReplayed);
    let other = connect(&stranger, &town.place).await;
    assert_eq!(code(other.request(request()).await), ErrorCode::RequestReplayed);
    assert_eq!(town.state().await, before);
    bystander.is_undisturbed(&town, "a replay").await;
}

/// Payloads of a control stream that are no requests.
fn no_requests(town: &Town) -> Vec<(&'static str, Vec<u8>)> {
    let request = |body| Request { id: RequestId::new(7).unwrap(), body }.encode();
    let good = request(KeyserverRequest::FetchAccount(FetchAccount { account: town.alice.id() })).unwrap();
    let cut = good[..good.len() - 1].to_vec();
    let twice = [good.as_slice(), &good].concat();
    let unknown = [good.as_slice(), &[0xb8, 0x3e, 0x01]].concat();
    vec![
        ("bytes", vec![0xff; 40]),
        ("cut short", cut),
        ("two in one", twice),
        ("an unknown field", unknown),
        ("id 0", vec![0x08, 0x00, 0x12, 0x00]),
        ("no body", vec![0x08, 0x07]),
        // Field 3 (create_account) with a manifest of 20,000 bytes, above its ceiling; the frame's is 262,144.
        ("an oversized field", oversized()),
        ("a frame of the greatest length", vec![0x00; 262_144]),
    ]
}

/// A creation whose manifest is longer than any may be, written by hand: our encoder refuses it.
fn oversized() -> Vec<u8> {
    let mut manifest = vec![0x1a];
    let varint = |mut value: usize, bytes: &mut Vec<u8>| {
        while value >= 0x80 {
            bytes.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
            value >>= 7;
        }
        bytes.push(u8::try_from(value).unwrap());
    };
    varint(100_000, &mut manifest);
    manifest.extend([0x55; 100_000]);
    let mut request = vec![0x08, 0x07, 0x1a];
    varint(manifest.len(), &mut request);
    request.extend(manifest);
    request
}

#[tokio::test]
async fn what_is_no_request_ends_its_connection_with_malformed_and_no_other() {
    let town = Town::build().await;
    let (stranger, owner) = (client(), client());
    let bystander = Bystander::stand(&town, &owner).await;
    let before = town.state().await;
    let too_long = KeyserverRequest::CreateAccount(CreateAccount {
        recovery_key: [1; 32],
        statement: vec![1],
        manifest: vec![1; 300_000],
        admission: Admission::Open,
    });
    assert!(
        Request { id: RequestId::new(1).unwrap(), body: too_long }.encode().is_err(),
        "our client sends no such thing"
    );
    for (what, payload) in no_requests(&town) {
        let connection = stranger.connect(&town.place.address, Service::Keyserver, Trust::Configured).await.unwrap();
        let FramedStream { mut reader, sender } = connection.control().await.unwrap();
        sender.send(&payload).await.unwrap();
        let malformed = CloseCode::Error(ErrorCode::Malformed);
        let end = match reader.next().await {
            Ok(Some(reply)) => panic!("{what}: {:?}", Reply::decode(&reply)),
            Ok(None) => panic!("{what}: finished, as if nothing were wrong"),
            Err(end) => end,
        };
        let ends = [StreamError::Reset(malformed), StreamError::Ended(Ended::ClosedByPeer(malformed))];
        assert!(ends.contains(&end), "{what}: {end:?}");
        assert_eq!(connection.closed().await, Ended::ClosedByPeer(malformed), "{what}");
        assert_eq!(town.state().await, before, "{what}");
        bystander.is_undisturbed(&town, what).await;
    }
}

#[tokio::test]
async fn an_id_in_use_is_malformed_and_what_is_in_flight_beyond_64_is_told_so() {
    let town = Town::build().await;
    let (stranger, owner) = (client(), client());
    let bystander = Bystander::stand(&town, &owner).await;
    let before = town.state().await;
    // One write of many small frames is one read there, so that all are there before the first is answered.
    let connection = stranger.connect(&town.place.address, Service::Keyserver, Trust::Configured).await.unwrap();
    let FramedStream { mut reader, sender } = connection.control().await.unwrap();
    let request = |id| Request { id: RequestId::new(id).unwrap(), body: KeyserverRequest::Info }.encode().unwrap();
    let all = 2_000;
    for id in 1..=all {
        sender.send(&request(id)).await.unwrap();
    }
    let (mut served, mut refused) = (0, 0);
    while served + refused < all {
        let reply = Reply::decode(&reader.next().await.unwrap().unwrap()).unwrap();
        match reply.result {
            Ok(KeyserverReply::Info(_)) => served += 1,
            Err(error) if error.code == ErrorCode::TooManyInFlight => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(served >= 64 && refused > 0, "{served} served, {refused} refused");
    // Twice the same id, and nothing in between.
    sender.send(&request(5_000)).await.unwrap();
    for _ in 0..64 {
        let _ = sender.send(&request(5_000)).await;
    }
    // A server that lets it pass does not close: then this fails instead of waiting.
    let closed = tokio::time::timeout(Duration::from_secs(30), connection.closed()).await;
    assert_eq!(closed.unwrap(), Ended::ClosedByPeer(CloseCode::Error(ErrorCode::Malformed)));
    assert_eq!(town.state().await, before);
    bystander.is_undisturbed(&town, "a flood").await;
}

#[tokio::test]
async fn a_person_registers_is_found_is_written_to_and_leaves() {
    let (place, owner, stranger) = (Place::open().await, client(), client());
    let alice = Person::new(1);
    let (connection, asks) = (connect(&owner, &place).await, connect(&stranger, &place).await);
    let first = alice.first(0);
    assert_eq!(connection.request(create(&alice, &first, Admission::Open)).await, Ok(KeyserverReply::Done));
    let manifest = alice.with_device(&first);
    assert_eq!(connection.request(publish(&alice, &first, &manifest)).await, Ok(KeyserverReply::Done));
    // Both devices upload; each on a connection that counts for itself.
    for device in [1, 2] {
        let connection = connect(&owner, &place).await;
        let batch = alice.batch(&manifest, device, 10, 2);
        let prekeys = batch.prekeys.iter().map(Prekey::encode).collect();
        let upload = DeviceRequest::UploadPrekeys(UploadPrekeys { batch: batch.hash });
        let key = alice.device_key(0, device);
        let state = connection.bound(&key, alice.signer(0, device), &upload, prekeys).await;
        let Ok(KeyserverReply::PrekeyState(state)) = state else { panic!("{state:?}") };
        assert_eq!((state.one_time, state.one_time_kyber), (2, 2));
    }
    // A stranger fetches: every key once, then the last resort.
    let mut ids = Vec::new();
    for _ in 0..3 {
        let fetch = KeyserverRequest::FetchBundles(FetchBundles::new(alice.id(), vec![]).unwrap());
        let Ok(KeyserverReply::Bundles(bundles)) = asks.request(fetch).await else { panic!() };
        let verified = bundles.verify(&alice.id(), &[], NOW).unwrap();
        assert_eq!(verified.account.manifest, manifest);
        ids.extend(
            verified
                .bundles
                .iter()
                .map(|bundle| (bundle.kyber.facts().id, bundle.one_time.as_ref().map(|key| key.facts().id))),
        );
    }
    let last = (10, None);
    assert_eq!(ids, [(11, Some(11)), (11, Some(11)), (12, Some(12)), (12, Some(12)), last, last]);
    // A name: claimed, not yet listed, listed, found.
    let vole = || Lookup { name: name("alice-vole") };
    let looked_up = || async {
        match asks.request(KeyserverRequest::Lookup(vole())).await {
            Ok(KeyserverReply::LookedUp(LookedUp { listing })) => listing,
            other => panic!("{other:?}"),
        }
    };
    let claim = DeviceRequest::ClaimName(ClaimName { name: name("alice-vole"), admission: Admission::Owner });
    assert_eq!(by_first(&connection, &alice, &claim, vec![]).await, Ok(KeyserverReply::Done));
    assert_eq!(looked_up().await, None);
    let listing = alice.listing(&manifest, 1, &name("alice-vole"), 1);
    let list = DeviceRequest::SetListing(SetListing { listing: listing.encode() });
    let reach = DeviceRequest::StoreReach(StoreReach { record: alice.reach(&manifest, 1, 0, 1).encode() });
    for request in [&reach, &list] {
        assert_eq!(by_first(&connection, &alice, request, vec![]).await, Ok(KeyserverReply::Done));
    }
    let found = waxwing_wire::listing::ListingIn::decode(&looked_up().await.unwrap()).unwrap();
    assert_eq!(found.signer().account, alice.id());
    let found = found.verify(&name("alice-vole"), &server_key().public_key(), &manifest).unwrap();
    let fetch = KeyserverRequest::FetchReach(FetchReach { account: alice.id() });
    let Ok(KeyserverReply::Reach(records)) = asks.request(fetch).await else { panic!() };
    let record = waxwing_wire::reach::ReachRecordIn::decode(&records.records[0]).unwrap().verify(&manifest).unwrap();
    assert!(record.open(found.reach_key(), &manifest).is_ok(), "whoever looks the name up can write");
    // Released, it is found no more, and is nobody else's.
    assert_eq!(
        by_first(&connection, &alice, &DeviceRequest::ReleaseName(vole()), vec![]).await,
        Ok(KeyserverReply::Done)
    );
    assert_eq!(looked_up().await, None);
    let bob = Person::new(2);
    let bobs = connect(&stranger, &place).await;
    assert_eq!(bobs.request(create(&bob, &bob.first(0), Admission::Open)).await, Ok(KeyserverReply::Done));
    let taken = by_first(&bobs, &bob, &claim, vec![]).await.unwrap_err();
    let BoundError::Request(taken) = taken else { panic!("{taken:?}") };
    assert_eq!(code(Err(taken)), ErrorCode::NameTaken);
    // The end: a tombstone, and a history that says so.
    let end = alice.deleted(&manifest);
    assert_eq!(connection.request(publish(&alice, &manifest, &end)).await, Ok(KeyserverReply::Done));
    let fetch = || KeyserverRequest::FetchBundles(FetchBundles::new(alice.id(), vec![]).unwrap());
    assert_eq!(code(asks.request(fetch()).await), ErrorCode::AccountDeleted);
    let history = FetchHistory { account: alice.id(), generation: Generation(0), sequence: Sequence(0) };
    let Ok(KeyserverReply::History(page)) = asks.request(KeyserverRequest::FetchHistory(history)).await else {
        panic!()
    };
    let held = page.verify(&alice.recovery, NOW).unwrap();
    assert_eq!(held, [first, manifest, end.clone()]);
    let after = KeyserverRequest::PublishManifest(PublishManifest {
        current: end.reference(),
        statement: None,
        manifest: held[1].encode(),
    });
    assert_eq!(code(asks.request(after).await), ErrorCode::ManifestConflict, "nothing follows the end");
    let stats = place.keyserver.store().verify(&server_key().public_key()).await.unwrap();
    assert!(stats.is_empty(), "{stats:?}");
}
