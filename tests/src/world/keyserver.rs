//! A key server: the real service over its memory store.
use std::collections::BTreeMap;

use rand_chacha::{ChaCha20Rng, rand_core::Rng as _};
use tokio::runtime::{Builder, Runtime};
use waxwing_keyserver::{
    service::{AdmissionSettings, Keyserver, Limits, Session, Settings, Source},
    store::memory::MemoryStore,
};
use waxwing_wire::{
    address::ServerAddress,
    id::{AccountId, DeviceId},
    keys::ServerKey,
    keyserver::{AccountObjects, FetchAccount, FetchBundles, KeyserverReply, KeyserverRequest, Reply, Request},
    relay::RequestId,
    request::Exporter,
    time::Timestamp,
};

use super::network::ConnectionId;

pub(super) struct KeyserverHost {
    pub(super) address: ServerAddress,
    /// Signatures are checked on a thread beside; each request is through before the world goes on, so nothing depends on it.
    runtime: Runtime,
    server: Keyserver<MemoryStore>,
    connections: BTreeMap<ConnectionId, Session<MemoryStore>>,
}

impl KeyserverHost {
    pub(super) fn new(rng: &mut ChaCha20Rng) -> Self {
        let key = ServerKey::generate(rng).public_key();
        let address = ServerAddress::new(key, vec!["keys.example.org:4433".parse().expect("a host")]);
        let mut secret = [0; 32];
        rng.fill_bytes(&mut secret);
        let admission = AdmissionSettings { open: true, invites: true, work: None };
        let settings = Settings { admission, limits: Limits::UNLIMITED, ..Settings::default() };
        let runtime = Builder::new_current_thread().build().expect("a runtime without I/O");
        let server = runtime.block_on(Keyserver::new(MemoryStore::new(secret), key, settings));
        let server = server.expect("a memory store is there");
        Self { address: address.expect("an address"), runtime, server, connections: BTreeMap::new() }
    }

    pub(super) fn connect(&mut self, id: ConnectionId, exporter: Exporter) {
        self.connections.insert(id, self.server.session(exporter, Source(id.0)));
    }

    pub(super) fn disconnect(&mut self, id: ConnectionId) {
        self.connections.remove(&id);
    }

    /// What it has of an account.
    pub(super) fn account(&mut self, account: AccountId, now: Timestamp) -> AccountObjects {
        let request = KeyserverRequest::FetchAccount(FetchAccount { account });
        match self.ask(request, now).result {
            Ok(KeyserverReply::Account(objects)) => objects,
            other => panic!("{other:?}"),
        }
    }

    /// Hands a bundle to nobody in particular. Whether it has the account.
    pub(super) fn fetch_bundle(&mut self, account: AccountId, device: DeviceId, now: Timestamp) -> bool {
        let devices = [device].into_iter().collect();
        let request = FetchBundles::new(account, devices).expect("one device");
        self.ask(KeyserverRequest::FetchBundles(request), now).result.is_ok()
    }

    fn ask(&mut self, body: KeyserverRequest, now: Timestamp) -> Reply {
        let id = ConnectionId(u64::MAX);
        self.connect(id, Exporter::from_bytes([0; 32]));
        let request = Request { id: RequestId::new(1).expect("from 1"), body };
        let reply = self.take(id, request, now).expect("it is connected");
        self.disconnect(id);
        reply
    }

    pub(super) fn take(&mut self, id: ConnectionId, request: Request, now: Timestamp) -> Option<Reply> {
        let session = self.connections.get(&id)?;
        let bytes = request.encode().expect("what an engine asks encodes");
        let request = Request::decode(&bytes).expect("what was encoded");
        let reply = self.runtime.block_on(session.handle(request, now)).reply;
        let bytes = reply.encode().expect("what a service answers encodes");
        Some(Reply::decode(&bytes).expect("what was encoded"))
    }
}
