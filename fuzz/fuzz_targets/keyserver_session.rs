#![no_main]
//! Sessions of a key server (spec 19): what two people's devices and a stranger ask, well-formed or not, in whatever order. Nothing
//! panics, every answer can be sent, and no one-time prekey is handed out twice.
use std::{collections::BTreeSet, future::Future, sync::OnceLock};

use libfuzzer_sys::fuzz_target;
use waxwing_keyserver::{
    service::{Answer, Keyserver, Limits, Session, Settings, Source},
    store::memory::MemoryStore,
};
use waxwing_wire::{
    frame::Admission,
    id::{Generation, Sequence},
    keyserver::{
        Bound, ClaimName, CreateAccount, DeviceRequest, FetchAccount, FetchBundles, FetchHistory, FetchReach,
        KeyserverReply, KeyserverRequest, Lookup, PublishManifest, Reply, Request, SetListing, StoreReach,
        UploadPrekeys,
    },
    manifest::Manifest,
    prekey::Prekey,
    relay::RequestId,
    request::Exporter,
};

#[allow(dead_code, clippy::all, reason = "the people of the key server's own tests")]
#[path = "../../keyserver/tests/it/people.rs"]
mod people;

use people::{NOW, Person, device_id, name, server_key};

/// Somebody, with everything that they may publish.
struct Prepared {
    person: Person,
    manifests: Vec<Manifest>,
    batches: Vec<([u8; 32], Vec<Vec<u8>>)>,
    reach: Vec<Vec<u8>>,
    listings: Vec<Vec<u8>>,
}

fn prepared() -> &'static [Prepared; 2] {
    static PREPARED: OnceLock<[Prepared; 2]> = OnceLock::new();
    PREPARED.get_or_init(|| [7, 8].map(prepare))
}

fn prepare(seed: u64) -> Prepared {
    let person = Person::new(seed);
    let first = person.first(0);
    let second = person.with_device(&first);
    let third = person.without_device(&second, 2);
    let restored = person.first(1);
    let batches = [(1, 10, 3), (1, 20, 3), (1, 30, 2)].map(|(device, first_id, count)| {
        let batch = person.batch(&first, device, first_id, count);
        (batch.hash, batch.prekeys.iter().map(Prekey::encode).collect())
    });
    let reach = vec![person.reach(&first, 1, 0, 1).encode(), person.reach(&first, 1, 0, 2).encode()];
    let listings = vec![
        person.listing(&first, 1, &name("alice"), 1).encode(),
        person.listing(&first, 1, &name("bob-vole"), 2).encode(),
    ];
    Prepared { manifests: vec![first, second, third, restored], batches: batches.into(), reach, listings, person }
}

struct Input<'i>(&'i [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().map_or((0, self.0), |(first, rest)| (*first, rest));
        self.0 = rest;
        first
    }

    fn some(&mut self) -> Vec<u8> {
        let length = usize::from(self.byte()).min(self.0.len());
        let (some, rest) = self.0.split_at(length);
        self.0 = rest;
        some.to_vec()
    }
}

struct Asking {
    session: Session<MemoryStore>,
    exporter: Exporter,
    number: u32,
}

fn request(input: &mut Input<'_>, asking: &mut Asking) -> KeyserverRequest {
    let (kind, who, detail) = (input.byte(), usize::from(input.byte() % 2), input.byte());
    let Prepared { person, manifests, batches, reach, listings } = &prepared()[who];
    let manifest = &manifests[usize::from(detail % 4)];
    let pick = |all: &[Vec<u8>]| all[usize::from(detail) % all.len()].clone();
    let account = person.id();
    let names = ["alice", "bob-vole", "admin"];
    let named = name(names[usize::from(detail % 3)]);
    let mut bound = |request: &DeviceRequest, prekeys| {
        let device = u32::from(kind % 2 + 1);
        let signed = person.device_key(0, device).sign_request(
            person.signer(0, device),
            &asking.exporter,
            asking.number,
            &request.encode().unwrap(),
        );
        asking.number += u32::from(detail % 8 != 0);
        KeyserverRequest::Bound(Bound { request: signed.unwrap().encode(), prekeys })
    };
    match kind % 13 {
        0 => KeyserverRequest::CreateAccount(CreateAccount {
            recovery_key: *person.recovery.as_bytes(),
            statement: person.statement(0).encode(),
            manifest: manifest.encode(),
            admission: Admission::Open,
        }),
        1 => KeyserverRequest::PublishManifest(PublishManifest {
            current: manifests[usize::from(input.byte() % 4)].reference(),
            statement: (detail % 2 == 0).then(|| person.statement(manifest.content().generation().0).encode()),
            manifest: manifest.encode(),
        }),
        2 => KeyserverRequest::FetchAccount(FetchAccount { account }),
        3 => KeyserverRequest::FetchHistory(FetchHistory {
            account,
            generation: Generation(u32::from(detail % 3)),
            sequence: Sequence(u32::from(detail % 5)),
        }),
        4 => KeyserverRequest::FetchReach(FetchReach { account }),
        5 => KeyserverRequest::Lookup(Lookup { name: named }),
        6 | 7 => {
            let devices = if detail % 2 == 0 { vec![] } else { vec![device_id(1)] };
            KeyserverRequest::FetchBundles(FetchBundles::new(account, devices).unwrap())
        }
        8 | 9 => {
            let (batch, prekeys) = &batches[usize::from(detail % 3)];
            bound(&DeviceRequest::UploadPrekeys(UploadPrekeys { batch: *batch }), prekeys.clone())
        }
        10 => bound(&DeviceRequest::ClaimName(ClaimName { name: named, admission: Admission::Owner }), vec![]),
        11 => bound(&DeviceRequest::StoreReach(StoreReach { record: pick(reach) }), vec![]),
        _ => bound(&DeviceRequest::SetListing(SetListing { listing: pick(listings) }), vec![]),
    }
}

/// Uploads verify on a thread of their own, which wants a runtime.
fn now<T>(future: impl Future<Output = T>) -> T {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    let runtime =
        RUNTIME.get_or_init(|| tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap());
    runtime.block_on(future)
}

fuzz_target!(|bytes: &[u8]| {
    let mut settings = Settings { limits: Limits::UNLIMITED, ..Settings::default() };
    settings.admission.open = true;
    let keyserver = now(Keyserver::new(MemoryStore::new([7; 32]), server_key().public_key(), settings)).unwrap();
    let mut connections: Vec<_> = (0..3)
        .map(|number| {
            let exporter = Exporter::from_bytes([number; 32]);
            let session = keyserver.session(Exporter::from_bytes([number; 32]), Source(number.into()));
            Asking { session, exporter, number: 0 }
        })
        .collect();
    let mut handed = BTreeSet::new();
    let mut input = Input(bytes);
    while !input.0.is_empty() {
        let at = input.byte();
        let asking = &mut connections[usize::from(at % 3)];
        let request = if at & 0x80 != 0 {
            let Ok(request) = Request::decode(&input.some()) else { continue };
            request
        } else {
            Request { id: RequestId::new(1).unwrap(), body: request(&mut input, asking) }
        };
        let Answer { reply, .. } = now(asking.session.handle(request, NOW));
        let encoded = reply.encode().expect("an answer is encodable");
        assert_eq!(Reply::decode(&encoded).as_ref(), Ok(&reply));
        if let Ok(KeyserverReply::Bundles(bundles)) = &reply.result {
            for bundle in &bundles.bundles {
                let kyber = (!bundle.last_resort).then_some(&bundle.kyber);
                for key in bundle.one_time.iter().chain(kyber) {
                    assert!(handed.insert(key.clone()), "a one-time prekey was handed out twice");
                }
            }
        }
    }
});
