//! A service over a store in memory, and somebody who asks.
use std::sync::atomic::{AtomicU32, Ordering};

use waxwing_keyserver::{
    service::{Answer, Keyserver, Session, Settings, Source, Stream},
    store::{Batch, Store, memory::MemoryStore},
};
use waxwing_wire::{
    frame::{Admission, ErrorCode, ServerError},
    id::AccountId,
    keyserver::{
        Bound, Bundles, CreateAccount, DeviceRequest, FetchBundles, KeyserverReply, KeyserverRequest, PublishManifest,
        Request, UploadPrekeys,
    },
    manifest::Manifest,
    prekey::Prekey,
    relay::RequestId,
    request::Exporter,
    time::Timestamp,
};

use crate::people::{NOW, Person, server_key};

pub(crate) type Reply = Result<KeyserverReply, ServerError>;

pub(crate) async fn service(settings: Settings) -> Keyserver<MemoryStore> {
    service_on(MemoryStore::new([7; 32]), settings).await
}

pub(crate) async fn service_on<S: Store>(store: S, settings: Settings) -> Keyserver<S> {
    Keyserver::new(store, server_key().public_key(), settings).await.unwrap()
}

/// One that takes anybody, with the usual limits.
pub(crate) fn open() -> Settings {
    let mut settings = Settings::default();
    settings.admission.open = true;
    settings
}

/// A connection, with the number that its next bound request has.
pub(crate) struct Asking<S = MemoryStore> {
    pub(crate) session: Session<S>,
    pub(crate) exporter: Exporter,
    pub(crate) number: AtomicU32,
}

impl<S: Store> Asking<S> {
    pub(crate) fn new(keyserver: &Keyserver<S>, source: u64) -> Self {
        let mut exporter = [0xe0; 32];
        exporter[..8].copy_from_slice(&source.to_be_bytes());
        let exporter = Exporter::from_bytes(exporter);
        let session = keyserver.session(exporter, Source(source));
        Self { session, exporter, number: AtomicU32::new(0) }
    }

    pub(crate) async fn answer(&self, body: KeyserverRequest, now: Timestamp) -> Answer {
        self.session.handle(Request { id: RequestId::new(1).unwrap(), body }, now).await
    }

    pub(crate) async fn at(&self, body: KeyserverRequest, now: Timestamp) -> Reply {
        let Answer { reply, stream } = self.answer(body, now).await;
        // Whatever it is, it fits the wire and comes back as it was.
        assert_eq!(waxwing_wire::keyserver::Reply::decode(&reply.encode().unwrap()).unwrap(), reply);
        let malformed = matches!(&reply.result, Err(error) if error.code == ErrorCode::Malformed);
        assert_eq!(stream != Stream::Open, malformed, "a stream ends for what is no request, and for nothing else");
        reply.result
    }

    pub(crate) async fn ask(&self, body: KeyserverRequest) -> Reply {
        self.at(body, NOW).await
    }

    pub(crate) async fn create(&self, person: &Person, manifest: &Manifest, admission: Admission) -> Reply {
        self.ask(create(person, manifest, admission)).await
    }

    pub(crate) async fn publish(&self, person: &Person, current: &Manifest, manifest: &Manifest) -> Reply {
        self.ask(publish(person, current, manifest)).await
    }

    /// As a device would ask; counts as a client does.
    pub(crate) async fn bound(
        &self,
        person: &Person,
        (generation, device): (u32, u32),
        request: &DeviceRequest,
    ) -> Reply {
        self.bound_with(person, (generation, device), request, Vec::new()).await
    }

    pub(crate) async fn bound_with(
        &self,
        person: &Person,
        (generation, device): (u32, u32),
        request: &DeviceRequest,
        prekeys: Vec<Vec<u8>>,
    ) -> Reply {
        let number = self.number.load(Ordering::Relaxed);
        let request = self.signed(person, (generation, device), number, request);
        let reply = self.ask(KeyserverRequest::Bound(Bound { request, prekeys })).await;
        let uncounted =
            [ErrorCode::NoSuchAccount, ErrorCode::AccountDeleted, ErrorCode::RequestReplayed, ErrorCode::RateLimited];
        if !matches!(&reply, Err(error) if uncounted.contains(&error.code)) {
            self.number.store(number + 1, Ordering::Relaxed);
        }
        reply
    }

    pub(crate) fn signed(
        &self,
        person: &Person,
        (generation, device): (u32, u32),
        number: u32,
        request: &DeviceRequest,
    ) -> Vec<u8> {
        let signer = person.signer(generation, device);
        let key = person.device_key(generation, device);
        key.sign_request(signer, &self.exporter, number, &request.encode().unwrap()).unwrap().encode()
    }

    pub(crate) async fn upload(&self, person: &Person, batch: &Batch) -> Reply {
        let prekeys = batch.prekeys.iter().map(Prekey::encode).collect();
        let device = (batch.device.generation.0, u32::from(batch.device.device.value()));
        let request = DeviceRequest::UploadPrekeys(UploadPrekeys { batch: batch.hash });
        self.bound_with(person, device, &request, prekeys).await
    }

    pub(crate) async fn bundles(&self, account: AccountId, now: Timestamp) -> Result<Bundles, ServerError> {
        let request = KeyserverRequest::FetchBundles(FetchBundles::new(account, vec![]).unwrap());
        match self.at(request, now).await? {
            KeyserverReply::Bundles(bundles) => Ok(bundles),
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn create(person: &Person, manifest: &Manifest, admission: Admission) -> KeyserverRequest {
    KeyserverRequest::CreateAccount(CreateAccount {
        recovery_key: *person.recovery.as_bytes(),
        statement: person.statement(manifest.content().generation().0).encode(),
        manifest: manifest.encode(),
        admission,
    })
}

pub(crate) fn publish(person: &Person, current: &Manifest, manifest: &Manifest) -> KeyserverRequest {
    let generation = manifest.content().generation();
    let begins = generation > current.content().generation();
    KeyserverRequest::PublishManifest(PublishManifest {
        current: current.reference(),
        statement: begins.then(|| person.statement(generation.0).encode()),
        manifest: manifest.encode(),
    })
}

pub(crate) fn code(reply: Reply) -> ErrorCode {
    reply.unwrap_err().code
}
