//! A relay: the real service over its memory store.
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use waxwing_relay::{
    ledger::Quota,
    portable::{Head, Parcel},
    service::{AdmissionSettings, Clock, Gone, Outbox, Rates, Relay, Session, Settings, Source},
    store::{MemoryStore, Rules, Store as _},
};
use waxwing_wire::{
    address::ServerAddress,
    frame::ErrorCode,
    id::MailboxId,
    keys::ServerKey,
    pow::Difficulty,
    relay::{Ack, Request, ServerFrame},
    request::Exporter,
    time::Timestamp,
};

use super::{executor::Tasks, network::ConnectionId};

pub(super) struct RelayHost {
    pub(super) address: ServerAddress,
    relay: Relay<MemoryStore>,
    store: MemoryStore,
    now: Arc<AtomicU64>,
    rng: ChaCha20Rng,
    connections: BTreeMap<ConnectionId, Connection>,
    tasks: Tasks,
    rules: Rules,
    runs: u64,
}

/// Everything that a relay keeps of some mailboxes: what a backup of its disk holds.
#[derive(Debug)]
pub struct Backup(Vec<(Head, Vec<Parcel>)>);

/// Mailboxes, and the newest number of each.
pub(super) type Snapshot = Vec<(MailboxId, u64)>;

struct Connection {
    session: Arc<Session<MemoryStore, Arc<Out>>>,
    out: Arc<Out>,
}

/// What a connection is to send; encoded, so that what arrives went over the wire's formats.
#[derive(Default)]
struct Out {
    frames: Mutex<VecDeque<Vec<u8>>>,
    ended: Mutex<bool>,
}

impl Outbox for Out {
    async fn control(&self, frame: &ServerFrame) -> Result<(), Gone> {
        let bytes = frame.encode().expect("a service answers in frames that encode");
        self.frames.lock().expect("one thread").push_back(bytes);
        Ok(())
    }

    async fn backlog(&self, frame: &ServerFrame) -> Result<(), Gone> {
        self.control(frame).await
    }

    async fn pause(&self, _time: Duration) {
        // Only registers wait, and nobody here asks for one.
        std::future::pending::<()>().await;
    }

    fn end(&self, _code: ErrorCode) {
        *self.ended.lock().expect("one thread") = true;
    }
}

impl RelayHost {
    pub(super) fn new(index: usize, quota: Quota, now: &Arc<AtomicU64>, rng: &mut ChaCha20Rng) -> Self {
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        let mut rng = ChaCha20Rng::from_seed(seed);
        let key = ServerKey::generate(&mut rng).public_key();
        let host = format!("relay{index}.example.org:4433").parse().expect("a host");
        let address = ServerAddress::new(key, vec![host]).expect("an address");
        let rules = Rules { quota, ..Rules::default() };
        let store = MemoryStore::new(rules);
        let relay = serve(&store, now, &mut rng);
        let (connections, tasks) = (BTreeMap::new(), Tasks::default());
        Self { address, relay, store, now: Arc::clone(now), rng, connections, tasks, rules, runs: 0 }
    }

    pub(super) fn connect(&mut self, id: ConnectionId, exporter: Exporter) {
        let out = Arc::new(Out::default());
        let session = self.relay.session(exporter, Source(id.0), Arc::clone(&out));
        self.connections.insert(id, Connection { session, out });
    }

    pub(super) fn disconnect(&mut self, id: ConnectionId) {
        self.connections.remove(&id);
        self.tasks.run();
    }

    /// Takes a request; false if it ends the connection.
    pub(super) fn take(&mut self, id: ConnectionId, request: Request) -> bool {
        let Some(connection) = self.connections.get(&id) else { return false };
        match connection.session.handle(request) {
            Ok(future) => self.tasks.spawn(future),
            Err(_) => return false,
        }
        self.tasks.run();
        true
    }

    /// What the connections have to send.
    pub(super) fn frames(&mut self) -> Vec<(ConnectionId, ServerFrame)> {
        let mut frames = Vec::new();
        for (id, connection) in &self.connections {
            let sent: Vec<_> = connection.out.frames.lock().expect("one thread").drain(..).collect();
            frames.extend(sent.into_iter().map(|bytes| (*id, ServerFrame::decode(&bytes).expect("what was encoded"))));
        }
        frames
    }

    /// The process ends and begins anew: what was accepted is there, connections and challenges are gone.
    pub(super) fn restart(&mut self) {
        self.tasks.clear();
        self.connections.clear();
        self.relay = serve(&self.store, &self.now, &mut self.rng);
    }

    /// Up to which numbers these mailboxes have given them, those that there are.
    pub(super) fn snapshot(&self, mailboxes: &[MailboxId]) -> Snapshot {
        let now = Timestamp(self.now.load(Ordering::Relaxed));
        let newest = |mailbox: &MailboxId| Some((*mailbox, wait(self.store.state(mailbox, now)).ok()?.newest));
        mailboxes.iter().filter_map(newest).collect()
    }

    /// The process ends and begins anew without the envelopes that were accepted since.
    pub(super) fn forget_since(&mut self, snapshot: &Snapshot) {
        let now = Timestamp(self.now.load(Ordering::Relaxed));
        for (mailbox, newest) in snapshot {
            let since = wait(self.store.read(mailbox, *newest, u64::MAX, 10_000, now)).unwrap_or_default();
            let numbers: Vec<u64> = since.iter().map(|envelope| envelope.sequence).collect();
            for numbers in numbers.chunks(Ack::MOST) {
                let ack = Ack::new(0, numbers.to_vec()).expect("they ascend");
                wait(wait(self.store.ack(mailbox, &ack, now)).expect("it is there")).expect("memory is there");
            }
        }
        self.restart();
    }

    /// Another process with another disk, under the same name and key.
    pub(super) fn lose_everything(&mut self) {
        self.store = MemoryStore::new(self.rules);
        self.restart();
    }

    /// A copy of all that it keeps of these mailboxes.
    pub(super) fn backup(&self, mailboxes: &[MailboxId]) -> Backup {
        let now = Timestamp(self.now.load(Ordering::Relaxed));
        let mut copies = Vec::new();
        for mailbox in mailboxes {
            let Ok(mut export) = wait(self.store.export(mailbox, now)) else { continue };
            let mut parcels = Vec::new();
            while let Some(some) = wait(export.next()).expect("memory is there") {
                parcels.extend(some);
            }
            copies.push((export.head().clone(), parcels));
        }
        Backup(copies)
    }

    /// The process ends and begins anew with a copy of an earlier time: later keys, lanes and envelopes are gone, and what was acked is there.
    pub(super) fn go_back_to(&mut self, backup: Backup) {
        let now = Timestamp(self.now.load(Ordering::Relaxed));
        self.runs += 1;
        self.store = MemoryStore::of_run(self.rules, self.runs);
        for (head, parcels) in backup.0 {
            let mut import = self.store.import(head, now).expect("it is not here");
            for parcel in parcels {
                wait(import.add(parcel)).expect("it was in a mailbox");
            }
            wait(import.finish()).expect("memory is there");
        }
        self.restart();
    }

    /// How many envelopes wait in a mailbox.
    pub(super) fn waiting(&self, mailbox: &MailboxId) -> u32 {
        let now = Timestamp(self.now.load(Ordering::Relaxed));
        wait(self.store.state(mailbox, now)).map_or(0, |state| state.envelopes)
    }
}

/// A memory store waits for nobody.
fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("memory does not wait"),
    }
}

fn serve(store: &MemoryStore, now: &Arc<AtomicU64>, rng: &mut ChaCha20Rng) -> Relay<MemoryStore> {
    let easy = Difficulty::try_from(4).expect("4 bits");
    let admission = AdmissionSettings { open: true, invites: true, work: None, strangers: easy };
    let settings = Settings { admission, rates: Rates::UNLIMITED, ..Settings::default() };
    let now = Arc::clone(now);
    let clock = Clock::new(move || Timestamp(now.load(Ordering::Relaxed)));
    Relay::new(store.clone(), settings, clock, rng)
}
