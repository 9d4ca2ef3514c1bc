//! A relay to be measured, in this process, over QUIC on loopback.
use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use getrandom::SysRng;
use rand_core::UnwrapErr;
use tokio::{sync::oneshot, task::JoinHandle};
use waxwing_net::{
    Client, ClientConfig, Limits as Peers, Listener, ListenerConfig, Pace, RelayConnection, Service, Socket, Trust,
};
use waxwing_wire::{
    address::ServerAddress,
    delivery::{DeliveryKey, LaneHash},
    id::{DeliveryId, MailboxId},
    keys::{CloseCapability, ServerKey},
    padding::Envelope,
    relay::{AddLane, Authenticate, Credential, NewLane, OwnerKey, Put, RelayReply, RelayRequest, Ttl},
    time::Timestamp,
};

use crate::{
    server,
    service::{AdmissionSettings, Clock, Rate, Rates, Relay, Settings},
    store::{NewMailbox, Quota, Rules, SqliteStore, Store},
};

/// The smallest envelope, as a usual text has it.
pub(super) const BYTES: usize = 2_560;

#[derive(Debug)]
pub(super) struct Place {
    pub(super) address: ServerAddress,
    pub(super) people: usize,
    store: SqliteStore,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Place {
    pub(super) async fn open(folder: &Path, people: usize) -> Result<Self, String> {
        Self::open_at(folder, people, Rates::UNLIMITED).await
    }

    /// The same, where sources have rates.
    pub(super) async fn open_at(folder: &Path, people: usize, rates: Rates) -> Result<Self, String> {
        let quota = Quota { bytes: 1 << 40, envelopes: u32::MAX };
        let rules = Rules { quota, puts: Rate::UNLIMITED, ..Rules::default() };
        let store = SqliteStore::open(folder, rules, now()).await.map_err(|error| error.to_string())?;
        for number in 0..people {
            make(&store, number).await?;
        }
        let limits =
            waxwing_wire::relay::Limits { requests_in_flight: 4_096, push_window: 1_024, ..Settings::default().limits };
        let admission = AdmissionSettings { open: true, ..AdmissionSettings::default() };
        let settings = Settings { admission, limits, rates, ..Settings::default() };
        let relay = Relay::new(store.clone(), settings, Clock::new(now), &mut UnwrapErr(SysRng));
        let (listener, address) = listen()?;
        let (stop, stopping) = oneshot::channel::<()>();
        let serving = tokio::spawn(async move {
            let stop = async move { drop(stopping.await) };
            server::serve(&listener, &relay, stop, Duration::from_secs(1)).await;
        });
        Ok(Self { address, people, store, stop, serving })
    }

    pub(super) async fn close(self) {
        drop(self.stop);
        let _ = self.serving.await;
        self.store.close().await;
    }

    pub(super) async fn connect(&self) -> Result<(Client, RelayConnection), String> {
        self.connect_from(Ipv4Addr::LOCALHOST).await
    }

    /// From another address of this machine, which is another source.
    pub(super) async fn connect_from(&self, address: Ipv4Addr) -> Result<(Client, RelayConnection), String> {
        let config = ClientConfig { in_flight: 4_096, queue: 1_024, ..ClientConfig::default() };
        let socket = Socket::bind((address, 0).into()).map_err(|error| error.to_string())?;
        let client = Client::on(socket, config).map_err(|error| error.to_string())?;
        let connection = client.relay(&self.address, Trust::Configured).await.map_err(|error| error.to_string())?;
        Ok((client, connection))
    }

    /// A connection that owns a mailbox.
    pub(super) async fn owner(&self, number: usize) -> Result<(Client, RelayConnection), String> {
        let (client, connection) = self.connect().await?;
        prove(&connection, number).await?;
        Ok((client, connection))
    }

    /// Likewise, beside others over one socket.
    pub(super) async fn owner_over(&self, client: &Client, number: usize) -> Result<RelayConnection, String> {
        let connection = client.relay(&self.address, Trust::Configured).await.map_err(|error| error.to_string())?;
        prove(&connection, number).await?;
        Ok(connection)
    }

    pub(super) fn fan_out_recipients(&self) -> usize {
        self.people.min(1_000)
    }
}

async fn prove(connection: &RelayConnection, number: usize) -> Result<(), String> {
    let key = owner_key(number);
    let proof = Authenticate { mailbox: key.mailbox(), signature: key.prove(&connection.exporter()) };
    match connection.request(RelayRequest::Authenticate(proof)).await {
        Ok(RelayReply::Done) => Ok(()),
        other => Err(format!("not the owner: {other:?}")),
    }
}

/// A listener that takes any number of connections from here, and its address.
pub(super) fn listen() -> Result<(Listener, ServerAddress), String> {
    let limits =
        Peers { connections_per_source: usize::MAX, handshakes_per_source: Pace::UNLIMITED, ..Peers::default() };
    let config = ListenerConfig { limits, ..ListenerConfig::new(Service::Relay) };
    let key = ServerKey::generate(&mut UnwrapErr(SysRng));
    let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0).into(), &key, config).map_err(|error| error.to_string())?;
    let host = listener.local_address().to_string().parse().map_err(|error| format!("{error}"))?;
    let address = ServerAddress::new(*listener.key(), vec![host]).map_err(|error| error.to_string())?;
    Ok((listener, address))
}

fn owner_key(number: usize) -> OwnerKey {
    let mut seed = [0x5a; 32];
    seed.iter_mut().zip(number.to_be_bytes()).for_each(|(target, byte)| *target = byte);
    OwnerKey::from_seed(&seed)
}

pub(super) fn mailbox(number: usize) -> MailboxId {
    // Making a key costs more than much of what is measured.
    static MADE: Mutex<BTreeMap<usize, MailboxId>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    *made.entry(number).or_insert_with(|| owner_key(number).mailbox())
}

/// The key of every contacts' lane here.
pub(super) const KEY: [u8; 16] = [7; 16];

async fn make(store: &SqliteStore, number: usize) -> Result<(), String> {
    let key = owner_key(number);
    let close_hash = CloseCapability::from_bytes(&[1; 32]).hash();
    let new = NewMailbox { owner_key: *key.public_key().as_bytes(), close_hash, invite: None };
    store.create_mailbox(new, now()).await.map_err(|error| error.to_string())?;
    let hash = LaneHash::of(&key.mailbox(), &KEY);
    let lane = AddLane { lane: NewLane::Contacts, hash, ends: None };
    store.add_lane(&key.mailbox(), lane, now()).await.map_err(|error| error.to_string())?;
    Ok(())
}

/// An envelope for a mailbox; `number` is its delivery id.
pub(super) fn put(mailbox: MailboxId, number: u64) -> Result<Put, String> {
    let mut bytes = vec![0xe5; BYTES];
    bytes.iter_mut().zip(number.to_be_bytes()).for_each(|(target, byte)| *target = byte);
    Ok(Put {
        mailbox,
        delivery: DeliveryId::from_bytes(u128::from(number).to_be_bytes()),
        ttl: Ttl::Fortnight,
        by: Credential::Key(DeliveryKey::from_bytes(KEY)),
        envelope: Envelope::new(bytes).map_err(|error| error.to_string())?,
    })
}

pub(super) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::EPOCH.saturating_add(since)
}
