//! A store under load, and what it cost.
use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use cpu_time::ProcessTime;
use tempfile::TempDir;
use waxwing_relay::{
    service::Rate,
    store::{Life, NewEnvelope, NewMailbox, Quota, Rules, SqliteStore, Store, Via},
};
use waxwing_wire::{
    delivery::LaneHash,
    id::{DeliveryId, MailboxId},
    padding::{Envelope, EnvelopeHash},
    relay::{Ack, AddLane, NewLane, mailbox_id},
    time::Timestamp,
};

pub(crate) const NOW: Timestamp = Timestamp(1_800_000_000_000);
/// The smallest envelope, as a usual text has it.
pub(crate) const BYTES: usize = 2_560;

pub(crate) fn rules() -> Rules {
    Rules { quota: Quota { bytes: 1 << 40, envelopes: u32::MAX }, puts: Rate::UNLIMITED, ..Rules::default() }
}

pub(crate) struct Load {
    pub(crate) store: SqliteStore,
    pub(crate) folder: PathBuf,
    /// Removes the folder at the end, if it is only ours.
    _made: Option<TempDir>,
    shared: Arc<Shared>,
}

struct Shared {
    mailboxes: Vec<(MailboxId, LaneHash)>,
    envelope: Arc<Envelope>,
    hash: EnvelopeHash,
    next: AtomicU64,
}

pub(crate) struct Measured {
    pub(crate) rate: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Processor time of each put, in microseconds; the load's own included.
    pub(crate) cpu_each: f64,
    pub(crate) written_each: f64,
}

impl Load {
    pub(crate) async fn new(mailboxes: usize) -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let path = folder.path().to_owned();
        Self { _made: Some(folder), ..Self::within(path, mailboxes).await }
    }

    /// In a folder that has no store yet.
    pub(crate) async fn within(folder: PathBuf, mailboxes: usize) -> Self {
        let store = SqliteStore::open(&folder, rules(), NOW).await.unwrap();
        let mut made = Vec::with_capacity(mailboxes);
        for part in (0..mailboxes as u64).collect::<Vec<_>>().chunks(4_096) {
            let making = part.iter().map(|number| {
                let store = store.clone();
                let number = *number;
                tokio::spawn(async move { make(&store, number).await })
            });
            for one in making.collect::<Vec<_>>() {
                made.push(one.await.unwrap());
            }
        }
        let envelope = Envelope::new(vec![0xe5; BYTES]).unwrap();
        let hash = envelope.hash();
        let shared = Shared { mailboxes: made, envelope: Arc::new(envelope), hash, next: AtomicU64::new(0) };
        Self { store, folder, _made: None, shared: Arc::new(shared) }
    }

    /// So many puts in all, by so many tasks that wait for each of theirs.
    pub(crate) async fn puts(&self, in_flight: usize, count: u64) -> Measured {
        let end = self.shared.next.load(Ordering::Relaxed) + count;
        let (written, cpu, start) = (written(), ProcessTime::now(), Instant::now());
        let tasks: Vec<_> = (0..in_flight).map(|_| tokio::spawn(self.putting(end))).collect();
        let mut times = Vec::with_capacity(count as usize);
        for task in tasks {
            times.extend(task.await.unwrap());
        }
        let (elapsed, cpu) = (start.elapsed(), cpu.elapsed());
        self.shared.next.store(end, Ordering::Relaxed);
        times.sort_unstable();
        let at = |part: usize| times[(times.len() - 1) * part / 100].as_secs_f64() * 1e3;
        let count = count as f64;
        Measured {
            rate: count / elapsed.as_secs_f64(),
            p50: at(50),
            p99: at(99),
            cpu_each: cpu.as_secs_f64() * 1e6 / count,
            written_each: (self::written() - written) as f64 / count,
        }
    }

    fn putting(&self, end: u64) -> impl Future<Output = Vec<Duration>> + use<> {
        let (store, shared) = (self.store.clone(), Arc::clone(&self.shared));
        async move {
            let mut times = Vec::new();
            loop {
                let number = shared.next.fetch_add(1, Ordering::Relaxed);
                if number >= end {
                    return times;
                }
                let start = Instant::now();
                shared.put(&store, number).await;
                times.push(start.elapsed());
            }
        }
    }

    /// Everything that waits, acked mailbox by mailbox, 64 at a time; envelopes a second.
    pub(crate) async fn acks(&self) -> f64 {
        let start = Instant::now();
        let mut acked = 0;
        for part in self.shared.mailboxes.chunks(64) {
            let mut commits = Vec::new();
            for (mailbox, _) in part {
                let state = self.store.state(mailbox, NOW).await.unwrap();
                if state.envelopes > 0 {
                    acked += u64::from(state.envelopes);
                    let ack = Ack::new(state.newest, Vec::new()).unwrap();
                    commits.push(self.store.ack(mailbox, &ack, NOW).await.unwrap());
                }
            }
            for commit in commits {
                commit.await.unwrap();
            }
        }
        acked as f64 / start.elapsed().as_secs_f64()
    }

    /// Puts, each read and acked by its owner once it is accepted; whole cycles a second.
    pub(crate) async fn cycles(&self, in_flight: usize, count: u64) -> f64 {
        let end = self.shared.next.load(Ordering::Relaxed) + count;
        let start = Instant::now();
        let tasks = (0..in_flight).map(|_| {
            let (store, shared) = (self.store.clone(), Arc::clone(&self.shared));
            tokio::spawn(async move {
                loop {
                    let number = shared.next.fetch_add(1, Ordering::Relaxed);
                    if number >= end {
                        return;
                    }
                    let mailbox = shared.put(&store, number).await;
                    let newest = store.state(&mailbox, NOW).await.unwrap().newest;
                    let ack = Ack::new(newest, Vec::new()).unwrap();
                    store.ack(&mailbox, &ack, NOW).await.unwrap().await.unwrap();
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        self.shared.next.store(end, Ordering::Relaxed);
        count as f64 / start.elapsed().as_secs_f64()
    }
}

impl Shared {
    async fn put(&self, store: &SqliteStore, number: u64) -> MailboxId {
        // A walk that visits all mailboxes in no order.
        let index = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        let (mailbox, lane) = self.mailboxes[(index % self.mailboxes.len() as u64) as usize];
        let new = NewEnvelope {
            mailbox,
            via: Via::Lane(lane),
            delivery: DeliveryId::from_bytes(u128::from(number).to_be_bytes()),
            hash: self.hash,
            life: Life::Fortnight,
            envelope: Arc::clone(&self.envelope),
        };
        let admitted = store.put(new, NOW).await.unwrap();
        assert!(!admitted.repeated);
        admitted.commit.await.unwrap();
        mailbox
    }
}

async fn make(store: &SqliteStore, number: u64) -> (MailboxId, LaneHash) {
    let mut owner_key = [0; 32];
    owner_key[..8].copy_from_slice(&number.to_be_bytes());
    let mailbox = mailbox_id(&owner_key);
    let hash = LaneHash::of(&mailbox, &[7; 16]);
    store.create_mailbox(NewMailbox { owner_key, close_hash: [0; 32], invite: None }, NOW).await.unwrap();
    store.add_lane(&mailbox, AddLane { lane: NewLane::Contacts, hash, ends: None }, NOW).await.unwrap();
    (mailbox, hash)
}

pub(crate) fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<_> = figures.into_iter().collect();
    figures.sort_unstable_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Bytes that this process has caused to be written to the disk.
fn written() -> u64 {
    let io = fs::read_to_string("/proc/self/io").unwrap_or_default();
    io.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok()).unwrap_or(0)
}

pub(crate) fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).map_or(0, |pages: u64| pages * 4_096)
}
