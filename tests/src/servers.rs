//! Servers in this process, over real QUIC on loopback, with their stores on disk: what a client's driver is tested against.
#![allow(clippy::expect_used, reason = "whoever waits for a server of a test wants to hear why it is not there")]
use std::{net::SocketAddr, path::PathBuf, time::Duration};

use getrandom::SysRng;
use rand_core::UnwrapErr;
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};
use waxwing_keyserver::{
    server::Surroundings,
    service::{Keyserver, Limits, Settings as KeyserverSettings},
    store::sqlite::SqliteStore as KeyserverStore,
};
use waxwing_net::{Listener, ListenerConfig, Service};
use waxwing_relay::{
    service::{Clock, Rates, Relay, Settings},
    store::{Rules, SqliteStore},
};
use waxwing_wire::{address::ServerAddress, keys::ServerKey, time::Timestamp};

/// A server that can be stopped and started at the same address, with what it stored.
#[derive(Debug)]
pub struct Server {
    kind: Kind,
    key: ServerKey,
    folder: TempDir,
    listen: SocketAddr,
    running: Option<Running>,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Relay,
    Keyserver,
}

#[derive(Debug)]
struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Server {
    /// A relay that takes everybody.
    pub async fn relay() -> Self {
        Self::new(Kind::Relay).await
    }

    /// A key server that takes everybody.
    pub async fn keyserver() -> Self {
        Self::new(Kind::Keyserver).await
    }

    async fn new(kind: Kind) -> Self {
        let key = ServerKey::generate(&mut UnwrapErr(SysRng));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Self { kind, key, folder, listen, running: None };
        server.start().await;
        server
    }

    /// Where it is.
    pub fn address(&self) -> ServerAddress {
        let host = self.listen.to_string().parse().expect("a host");
        ServerAddress::new(self.key.public_key(), vec![host]).expect("one host")
    }

    /// The folder of its store.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Starts it again, where it was.
    pub async fn start(&mut self) {
        let service = match self.kind {
            Kind::Relay => Service::Relay,
            Kind::Keyserver => Service::Keyserver,
        };
        let listener = Listener::bind(self.listen, &self.key, ListenerConfig::new(service)).expect("its port is free");
        self.listen = listener.local_address();
        let (stop, stopped) = oneshot::channel();
        let stopped = async move { drop(stopped.await) };
        let file = self.folder.path().join("store");
        let task = match self.kind {
            Kind::Relay => {
                let store = SqliteStore::open(&file, Rules::default(), now()).await.expect("a store");
                let admission = waxwing_relay::service::AdmissionSettings { open: true, ..Default::default() };
                let settings = Settings { admission, rates: Rates::UNLIMITED, ..Settings::default() };
                let relay = Relay::new(store.clone(), settings, Clock::new(now), &mut UnwrapErr(SysRng));
                tokio::spawn(async move {
                    waxwing_relay::server::serve(&listener, &relay, stopped, PATIENCE).await;
                    store.close().await;
                })
            }
            Kind::Keyserver => {
                let store = KeyserverStore::open(&file).await.expect("a store");
                let admission = waxwing_keyserver::service::AdmissionSettings { open: true, ..Default::default() };
                let settings =
                    KeyserverSettings { admission, limits: Limits::UNLIMITED, ..KeyserverSettings::default() };
                let keyserver = Keyserver::new(store, self.key.public_key(), settings).await.expect("a service");
                tokio::spawn(async move {
                    let surroundings = Surroundings::system();
                    waxwing_keyserver::server::serve(&listener, &keyserver, &surroundings, stopped, PATIENCE).await;
                })
            }
        };
        self.running = Some(Running { stop, task });
    }

    /// Stops it as an operator does: clients are told.
    pub async fn stop(&mut self) {
        if let Some(Running { stop, task }) = self.running.take() {
            let _ = stop.send(());
            let _ = task.await;
        }
    }
}

fn now() -> Timestamp {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::EPOCH.saturating_add(now)
}

const PATIENCE: Duration = Duration::from_secs(2);
