//! A server's life in some sixty requests, each with the bytes of its answer: what `spec/vectors/19-keyserver.json` holds.
use serde_json::{Value, json};
use waxwing_keyserver::{
    service::{Answer, Keyserver, Rate, Session, Settings, Source, Stream, invite_hash},
    store::{NewInvitation, Store as _, memory::MemoryStore},
};
use waxwing_wire::{
    frame::{Admission, InviteToken, Work},
    id::{Generation, Sequence},
    keyserver::{
        Bound, ClaimName, CreateAccount, DeviceRequest, FetchAccount, FetchBundles, FetchHistory, FetchReach,
        KeyserverReply, KeyserverRequest, Lookup, PublishManifest, Request, SetListing, StoreReach, UploadPrekeys,
        batch_hash,
    },
    manifest::Manifest,
    pow::{Difficulty, Puzzle},
    prekey::PrekeyKind,
    relay::RequestId,
    request::Exporter,
    time::Timestamp,
};

use crate::people::{DAY, NOW, Person, device_id, name, server_key};

pub(crate) const SECRET: [u8; 32] = [0x5c; 32];
pub(crate) const INVITATION: [u8; 16] = [0x17; 16];
const WORK_BITS: u32 = 8;
const KEYS: u32 = 3;
const LOOKUPS: Rate = Rate { burst: 4, interval: std::time::Duration::from_secs(20) };

/// What the vectors' server is told; everything else is the default.
pub(crate) fn settings() -> Settings {
    let mut settings = Settings { one_time_prekeys: KEYS, ..Settings::default() };
    settings.admission.open = true;
    settings.admission.work = Difficulty::try_from(WORK_BITS).ok();
    settings.limits.lookup = LOOKUPS;
    settings
}

pub(crate) fn exporter(connection: u64) -> Exporter {
    let mut exporter = [0xe0; 32];
    exporter[..8].copy_from_slice(&connection.to_be_bytes());
    Exporter::from_bytes(exporter)
}

/// One connection, which is its source's only one.
struct Connection {
    number: u64,
    session: Session<MemoryStore>,
    /// Of its next bound request.
    next: u32,
}

struct Recorder {
    keyserver: Keyserver<MemoryStore>,
    connections: u64,
    now: Timestamp,
    steps: Vec<Value>,
}

impl Recorder {
    fn connect(&mut self) -> Connection {
        self.connections += 1;
        let number = self.connections;
        Connection { number, session: self.keyserver.session(exporter(number), Source(number)), next: 0 }
    }

    async fn ask(&mut self, what: &str, connection: &Connection, body: KeyserverRequest) -> Answer {
        let id = u32::try_from(self.steps.len() + 1).unwrap();
        let request = Request { id: RequestId::new(id).unwrap(), body };
        let bytes = hex::encode(request.encode().unwrap());
        let answer = connection.session.handle(request, self.now).await;
        let mut step = json!({
            "name": what,
            "at": self.now.as_millis(),
            "connection": connection.number,
            "request": bytes,
            "reply": hex::encode(answer.reply.encode().unwrap()),
        });
        if let Err(error) = &answer.reply.result {
            step["error"] = format!("{:?}", error.code).into();
        }
        if answer.stream != Stream::Open {
            step["ends_stream"] = true.into();
        }
        self.steps.push(step);
        answer
    }

    /// As device 1 of `person`, or another; counts as a device does.
    async fn device(
        &mut self,
        what: &str,
        connection: &mut Connection,
        (person, device): (&Person, u32),
        (request, prekeys): (DeviceRequest, Vec<Vec<u8>>),
    ) -> Answer {
        let number = connection.next;
        let signed = person
            .device_key(0, device)
            .sign_request(person.signer(0, device), &exporter(connection.number), number, &request.encode().unwrap())
            .unwrap();
        let body = KeyserverRequest::Bound(Bound { request: signed.encode(), prekeys });
        connection.next += 1;
        self.ask(what, connection, body).await
    }
}

fn creation(person: &Person, manifest: &Manifest, admission: Admission) -> KeyserverRequest {
    KeyserverRequest::CreateAccount(CreateAccount {
        recovery_key: *person.recovery.as_bytes(),
        statement: person.statement(manifest.content().generation().0).encode(),
        manifest: manifest.encode(),
        admission,
    })
}

fn publication(current: &Manifest, statement: Option<Vec<u8>>, manifest: &Manifest) -> KeyserverRequest {
    KeyserverRequest::PublishManifest(PublishManifest {
        current: current.reference(),
        statement,
        manifest: manifest.encode(),
    })
}

fn upload(prekeys: Vec<Vec<u8>>) -> (DeviceRequest, Vec<Vec<u8>>) {
    (DeviceRequest::UploadPrekeys(UploadPrekeys { batch: batch_hash(&prekeys) }), prekeys)
}

fn plain(request: DeviceRequest) -> (DeviceRequest, Vec<Vec<u8>>) {
    (request, vec![])
}

fn claim(text: &str, admission: Admission) -> (DeviceRequest, Vec<Vec<u8>>) {
    plain(DeviceRequest::ClaimName(ClaimName { name: name(text), admission }))
}

fn fetch_account(person: &Person) -> KeyserverRequest {
    KeyserverRequest::FetchAccount(FetchAccount { account: person.id() })
}

fn fetch_bundles(person: &Person, devices: &[u32]) -> KeyserverRequest {
    let devices = devices.iter().copied().map(device_id).collect();
    KeyserverRequest::FetchBundles(FetchBundles::new(person.id(), devices).unwrap())
}

fn lookup(text: &str) -> KeyserverRequest {
    KeyserverRequest::Lookup(Lookup { name: name(text) })
}

/// The whole file.
pub(crate) async fn file() -> Value {
    let store = MemoryStore::new(SECRET);
    let invitation = NewInvitation { hash: invite_hash(&InviteToken::from_bytes(INVITATION)) };
    store.mint(&[invitation], None, NOW).await.unwrap();
    let keyserver = Keyserver::new(store, server_key().public_key(), settings()).await.unwrap();
    let mut recorder = Recorder { keyserver, connections: 0, now: NOW, steps: Vec::new() };
    let (alice, first) = accounts(&mut recorder).await;
    let manifest = manifests(&mut recorder, &alice, &first).await;
    bound_requests(&mut recorder, &alice).await;
    prekeys(&mut recorder, &alice, &manifest).await;
    names(&mut recorder, &alice, &manifest).await;
    end(&mut recorder, &alice, &manifest).await;
    json!({
        "server_key_seed": hex::encode([0x5e; 32]),
        "challenge_secret": hex::encode(SECRET),
        "settings": {
            "admission": { "open": true, "invites": true, "work": WORK_BITS },
            "one_time": KEYS,
            "lookup": [LOOKUPS.burst, LOOKUPS.interval.as_secs()],
        },
        "invitations": [hex::encode(INVITATION)],
        "steps": recorder.steps,
    })
}

async fn accounts(on: &mut Recorder) -> (Person, Manifest) {
    let (alice, bob, carol, dave) = (Person::new(1), Person::new(2), Person::new(3), Person::new(4));
    let first = alice.first(0);
    let c = on.connect();
    let Answer { reply, .. } = on.ask("what the server asks", &c, KeyserverRequest::Info).await;
    let Ok(KeyserverReply::Info(info)) = reply.result else { panic!() };
    on.ask("an account that is not here", &c, fetch_account(&alice)).await;
    let mut altered = creation(&alice, &first, Admission::Open);
    if let KeyserverRequest::CreateAccount(request) = &mut altered {
        *request.manifest.last_mut().unwrap() ^= 1;
    }
    on.ask("a manifest with an altered signature", &c, altered).await;
    on.ask("a manifest that is not the first", &c, creation(&alice, &alice.with_device(&first), Admission::Open)).await;
    on.ask("an account", &c, creation(&alice, &first, Admission::Open)).await;
    on.ask("the same again", &c, creation(&alice, &first, Admission::Open)).await;
    on.ask("the account with another manifest", &c, creation(&alice, &alice.first(0), Admission::Open)).await;
    let c = on.connect();
    let bobs = bob.first(0);
    on.ask("by an account's own right", &c, creation(&bob, &bobs, Admission::Owner)).await;
    let unknown = Admission::Invite(InviteToken::from_bytes([9; 16]));
    on.ask("an unknown invitation", &c, creation(&bob, &bobs, unknown)).await;
    let invitation = || Admission::Invite(InviteToken::from_bytes(INVITATION));
    on.ask("an invitation", &c, creation(&bob, &bobs, invitation())).await;
    let carols = carol.first(0);
    on.ask("a spent invitation", &c, creation(&carol, &carols, invitation())).await;
    let challenge = info.price.challenge;
    let solve = |person: &Person| {
        let puzzle = Puzzle::account(&challenge, &person.id(), Difficulty::try_from(WORK_BITS).unwrap());
        Admission::Work(Work { challenge, nonce: puzzle.solve(0..1 << 20).unwrap() })
    };
    on.ask("another account's work", &c, creation(&carol, &carols, solve(&dave))).await;
    on.ask("work", &c, creation(&carol, &carols, solve(&carol))).await;
    (alice, first)
}

async fn manifests(on: &mut Recorder, alice: &Person, first: &Manifest) -> Manifest {
    let c = on.connect();
    let second = alice.with_device(first);
    let third = alice.with_device(&second);
    on.ask("a gap", &c, publication(first, None, &third)).await;
    let statement = Some(alice.statement(0).encode());
    on.ask("a statement too many", &c, publication(first, statement, &second)).await;
    on.ask("a second device", &c, publication(first, None, &second)).await;
    on.ask("a second device again", &c, publication(first, None, &second)).await;
    on.ask("another idea of what is current", &c, publication(first, None, &third)).await;
    let renewed = alice.renewed(&second, Timestamp(NOW.0 + 3 * DAY));
    on.ask(
        "a renewal that is issued in three days, of which two are forgiven",
        &c,
        publication(&second, None, &renewed),
    )
    .await;
    on.now = Timestamp(NOW.0 + DAY);
    on.ask("the renewal, a day later", &c, publication(&second, None, &renewed)).await;
    let history = FetchHistory { account: alice.id(), generation: Generation(0), sequence: Sequence(0) };
    on.ask("the history", &c, KeyserverRequest::FetchHistory(history)).await;
    let history = FetchHistory { account: alice.id(), generation: Generation(1), sequence: Sequence(0) };
    on.ask("the history's end", &c, KeyserverRequest::FetchHistory(history)).await;
    renewed
}

async fn bound_requests(on: &mut Recorder, alice: &Person) {
    let mallory = Person::new(666);
    let mut c = on.connect();
    let inside = DeviceRequest::PrekeyState.encode().unwrap();
    let here = exporter(c.number);
    let bound = |request: Vec<u8>| KeyserverRequest::Bound(Bound { request, prekeys: vec![] });
    let sign = |key: &Person, signer, exporter: &Exporter, number| {
        key.device_key(0, 1).sign_request(signer, exporter, number, &inside).unwrap().encode()
    };
    let (signer, other) = (alice.signer(0, 1), alice.signer(0, 3));
    on.ask("no signed request", &c, bound(vec![1, 2, 3])).await;
    on.ask("a stranger's device", &c, bound(sign(&mallory, mallory.signer(0, 1), &here, 0))).await;
    on.ask("made for another connection", &c, bound(sign(alice, signer, &exporter(9_999), 0))).await;
    on.ask("out of sequence", &c, bound(sign(alice, signer, &here, 1))).await;
    on.ask("a device that is not listed", &c, bound(sign(alice, other, &here, 0))).await;
    on.ask("another's key", &c, bound(sign(&mallory, signer, &here, 0))).await;
    let good = sign(alice, signer, &here, 0);
    let mut unsigned = good.clone();
    let from = unsigned.len() - 64;
    unsigned[from..].fill(0);
    on.ask("unsigned", &c, bound(unsigned)).await;
    on.ask("the first request of a device", &c, bound(good.clone())).await;
    on.ask("the same again", &c, bound(good)).await;
    c.next = 1;
    let prekeys = vec![vec![7]];
    on.device("prekeys beside another request", &mut c, (alice, 1), (DeviceRequest::PrekeyIds, prekeys)).await;
}

async fn prekeys(on: &mut Recorder, alice: &Person, manifest: &Manifest) {
    let mut c = on.connect();
    on.ask("no prekeys yet", &c, fetch_bundles(alice, &[])).await;
    let key = |device, kind, id| alice.prekey(manifest, device, kind, id).encode();
    let one = |id| key(1, PrekeyKind::OneTimeX25519, id);
    let batch = vec![
        key(1, PrekeyKind::SignedX25519, 1),
        key(1, PrekeyKind::LastResortKyber1024, 1),
        one(2),
        key(1, PrekeyKind::OneTimeKyber1024, 3),
    ];
    let wrong = (DeviceRequest::UploadPrekeys(UploadPrekeys { batch: [7; 32] }), batch.clone());
    on.device("a batch under another's hash", &mut c, (alice, 1), wrong).await;
    let sibling = upload(vec![key(2, PrekeyKind::OneTimeX25519, 9)]);
    on.device("a sibling's prekey", &mut c, (alice, 1), sibling).await;
    on.device("an id twice", &mut c, (alice, 1), upload(vec![one(9), one(9)])).await;
    on.device("too many", &mut c, (alice, 1), upload((10..14).map(one).collect())).await;
    on.device("an upload", &mut c, (alice, 1), upload(batch.clone())).await;
    on.device("the same again", &mut c, (alice, 1), upload(batch)).await;
    on.device("an id that was there", &mut c, (alice, 1), upload(vec![one(2)])).await;
    on.device("which ids there are", &mut c, (alice, 1), plain(DeviceRequest::PrekeyIds)).await;
    on.ask("a device without prekeys is left out", &c, fetch_bundles(alice, &[1, 2])).await;
    on.ask("nothing is left but the last resort", &c, fetch_bundles(alice, &[1])).await;
    on.ask("a device that is not listed", &c, fetch_bundles(alice, &[1, 5])).await;
    on.device("what is left", &mut c, (alice, 1), plain(DeviceRequest::PrekeyState)).await;
}

async fn names(on: &mut Recorder, alice: &Person, manifest: &Manifest) {
    let (mut c, other, bob) = (on.connect(), on.connect(), Person::new(2));
    on.device("a reserved name", &mut c, (alice, 1), claim("admin", Admission::Open)).await;
    on.device("a name", &mut c, (alice, 1), claim("modern-vole", Admission::Owner)).await;
    on.device("one more than is included", &mut c, (alice, 1), claim("carol", Admission::Owner)).await;
    let mut bobs = on.connect();
    on.device("a name that looks like it", &mut bobs, (&bob, 1), claim("rnodern-vole", Admission::Open)).await;
    let vole = || Lookup { name: name("modern-vole") };
    on.device("another's name", &mut bobs, (&bob, 1), plain(DeviceRequest::ReleaseName(vole()))).await;
    let listing = |device, text, number| {
        let listing = alice.listing(manifest, device, &name(text), number).encode();
        plain(DeviceRequest::SetListing(SetListing { listing }))
    };
    on.ask("an unlisted name", &other, lookup("modern-vole")).await;
    on.device("a sibling's listing", &mut c, (alice, 1), listing(2, "modern-vole", 2)).await;
    on.device("a listing of no name of hers", &mut c, (alice, 1), listing(1, "carol", 2)).await;
    on.device("a listing", &mut c, (alice, 1), listing(1, "modern-vole", 2)).await;
    on.device("an older listing", &mut c, (alice, 1), listing(1, "modern-vole", 1)).await;
    on.ask("a listed name", &other, lookup("modern-vole")).await;
    on.ask("an absent name", &other, lookup("nobody")).await;
    on.device("unlisted", &mut c, (alice, 1), plain(DeviceRequest::Unlist(vole()))).await;
    on.ask("a name that is not listed any more", &other, lookup("modern-vole")).await;
    on.ask("one lookup too many", &other, lookup("modern-vole")).await;
    let reach = |device, number| {
        let record = alice.reach(manifest, device, 0, number).encode();
        plain(DeviceRequest::StoreReach(StoreReach { record }))
    };
    on.device("a sibling's reach record", &mut c, (alice, 1), reach(2, 1)).await;
    on.device("a reach record", &mut c, (alice, 1), reach(1, 5)).await;
    on.device("an older reach record", &mut c, (alice, 1), reach(1, 4)).await;
    on.ask("reach records", &other, KeyserverRequest::FetchReach(FetchReach { account: alice.id() })).await;
    on.device("released", &mut c, (alice, 1), plain(DeviceRequest::ReleaseName(vole()))).await;
    on.device("a name that rests", &mut bobs, (&bob, 1), claim("modern-vole", Admission::Open)).await;
}

async fn end(on: &mut Recorder, alice: &Person, manifest: &Manifest) {
    let mut c = on.connect();
    let last = alice.deleted(manifest);
    on.ask("the end", &c, publication(manifest, None, &last)).await;
    on.ask("a tombstone", &c, fetch_account(alice)).await;
    on.ask("its bundles", &c, fetch_bundles(alice, &[])).await;
    on.ask("its reach", &c, KeyserverRequest::FetchReach(FetchReach { account: alice.id() })).await;
    on.device("its device", &mut c, (alice, 1), plain(DeviceRequest::PrekeyIds)).await;
    on.ask("nothing follows it", &c, publication(&last, None, manifest)).await;
    let next = alice.first_at(1, on.now);
    on.ask("but a higher generation", &c, publication(&last, Some(alice.statement(1).encode()), &next)).await;
    on.ask("which has nothing of the old", &c, fetch_bundles(alice, &[])).await;
}
