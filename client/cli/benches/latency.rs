//! How long a text takes from one person's `send` to the other's screen, beside what it cannot do without.
//!
//! ```text
//! send ─▶ save (sender) ─▶ put ─▶ commit (relay) ─▶ push ─▶ save (receiver) ─▶ shown
//! floor: a bare request to the same relay + the three commits, on the same disk
//! ```
//! `cargo bench --workspace --bench latency`; `WAXWING_ROUNDS` (200). The machine's disk and load move absolute figures by a factor of
//! many, so everything is measured interleaved in one run, in medians, and the ratio is what counts (at most 2.5).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    missing_docs,
    reason = "a panic is the report"
)]
mod people;

use std::{
    future::Future,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use waxwing_client::{
    Client,
    engine::{
        MessageText, State,
        store::{Batch, Record, Store as _, StoredMessage, Table, Write},
    },
    store::{EncryptedStore, Protection},
};
use waxwing_relay::{
    service::Rate,
    store::{Life, NewEnvelope, NewMailbox, Quota, Rules, SqliteStore, Store as _, Via},
};
use waxwing_wire::{
    content::MessageId,
    delivery::LaneHash,
    id::{AccountId, DeliveryId, DeviceId, MailboxId},
    padding::Envelope,
    relay::{AddLane, NewLane, RelayReply, RelayRequest, mailbox_id},
    time::Timestamp,
};

use self::people::{Screen, Servers, befriend};

fn main() {
    let rounds: u32 = std::env::var("WAXWING_ROUNDS").map_or(200, |rounds| rounds.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    runtime.block_on(measure(rounds, folder.path()));
}

async fn measure(rounds: u32, folder: &Path) {
    let servers = Servers::start(&folder.join("servers"));
    let (alice, bob) = (servers.person(&folder.join("alice")).await, servers.person(&folder.join("bob")).await);
    befriend(&alice, &bob).await;
    let (alice_id, bob_id) = (alice.account_id(), bob.account_id());
    let mut screen = Screen::of(&bob).await;
    let (_socket, bare) = servers.relay().await;
    let mut floor = Floor::make(folder).await;
    let mut times: [Vec<Duration>; 6] = Default::default();
    let mut rtts = Vec::new();
    for round in 0..rounds + WARM_UP {
        // What follows a message (its state, acks) is over before the next thing is measured.
        let text = format!("message number {round}, of a usual length: about as long as a line");
        let begun = Instant::now();
        let id = alice.send(&bob_id, MessageText::new(text).unwrap()).await.unwrap();
        let stored = begun.elapsed();
        screen.shows(&alice_id, &id).await;
        let shown = begun.elapsed();
        sent(&alice, &bob_id, &id).await;
        // In the end the disk has nothing left to do for the clients.
        tokio::time::sleep(PAUSE).await;
        let request =
            timed(async { assert!(matches!(bare.request(RelayRequest::Info).await, Ok(RelayReply::Info(_)))) });
        let request = request.await;
        let sender = timed(floor.sender_saves(round)).await;
        let relay = timed(floor.relay_commits(round)).await;
        let receiver = timed(floor.receiver_saves(round)).await;
        if round >= WARM_UP {
            let row = [shown, stored, request, sender, relay, receiver];
            times.iter_mut().zip(row).for_each(|(column, time)| column.push(time));
            rtts.push(bare.path().round_trip);
        }
    }
    let names = [
        "send to shown",
        "  of it until send answers",
        "bare request",
        "sender's save",
        "relay's commit",
        "receiver's save",
    ];
    println!("\n| {rounds} rounds, ms | p50 | p90 |\n|---|---|---|");
    let mut medians = Vec::new();
    for (name, column) in names.iter().zip(&mut times) {
        column.sort_unstable();
        let at = |part: usize| column[(column.len() - 1) * part / 100].as_secs_f64() * 1e3;
        println!("| {name} | {:.2} | {:.2} |", at(50), at(90));
        medians.push(at(50));
    }
    let floor: f64 = medians[2..].iter().sum();
    println!("| floor: request and commits | {floor:.2} | |");
    println!("\nsend to shown is {:.2} times the floor (at most 2.5)", medians[0] / floor);
    alice.close().await.unwrap();
    bob.close().await.unwrap();
}

async fn timed<T>(work: impl Future<Output = T>) -> Duration {
    let begun = Instant::now();
    work.await;
    begun.elapsed()
}

/// Waits until the sender knows that the relay has it.
async fn sent(client: &Client, to: &AccountId, id: &MessageId) {
    let mut changes = client.changes();
    loop {
        changes.now();
        let message = client.reader().message(to, id).await.unwrap().unwrap();
        if message.state != State::Queued {
            return;
        }
        changes.next().await.unwrap();
    }
}

/// The commits that a message needs, each in a store like the one it happens in, on the same disk.
struct Floor {
    sender: EncryptedStore,
    receiver: EncryptedStore,
    relay: SqliteStore,
    mailbox: MailboxId,
    lane: LaneHash,
    envelope: Arc<Envelope>,
}

impl Floor {
    async fn make(folder: &Path) -> Self {
        let path = folder.join("relay-floor");
        std::fs::create_dir(&path).unwrap();
        let rules =
            Rules { quota: Quota { bytes: 1 << 40, envelopes: u32::MAX }, puts: Rate::UNLIMITED, ..Rules::default() };
        let relay = SqliteStore::open(&path, rules, NOW).await.unwrap();
        let owner_key = [7; 32];
        let mailbox = mailbox_id(&owner_key);
        let lane = LaneHash::of(&mailbox, &[7; 16]);
        relay.create_mailbox(NewMailbox { owner_key, close_hash: [0; 32], invite: None }, NOW).await.unwrap();
        relay.add_lane(&mailbox, AddLane { lane: NewLane::Contacts, hash: lane, ends: None }, NOW).await.unwrap();
        Self {
            sender: EncryptedStore::create(&folder.join("sender-floor"), Protection::None).await.unwrap(),
            receiver: EncryptedStore::create(&folder.join("receiver-floor"), Protection::None).await.unwrap(),
            relay,
            mailbox,
            lane,
            envelope: Arc::new(Envelope::new(vec![0xe5; ENVELOPE]).unwrap()),
        }
    }

    /// The session that it is sealed with, what is to be sent, the message.
    async fn sender_saves(&mut self, round: u32) {
        let (session, envelope) = (put(Table::Session, round, SESSION), put(Table::Envelope, round, ENVELOPE));
        let writes = [session, put(Table::Outbox, round, 200), envelope, message(round)];
        self.sender.save(&writes.into_iter().collect::<Batch>()).await.unwrap();
    }

    /// The session that it was opened with, its id, the message.
    async fn receiver_saves(&mut self, round: u32) {
        let writes = [put(Table::Session, round, SESSION), put(Table::Seen, round, 8), message(round)];
        self.receiver.save(&writes.into_iter().collect::<Batch>()).await.unwrap();
    }

    async fn relay_commits(&self, round: u32) {
        let new = NewEnvelope {
            mailbox: self.mailbox,
            via: Via::Lane(self.lane),
            delivery: DeliveryId::from_bytes(u128::from(round).to_be_bytes()),
            hash: self.envelope.hash(),
            life: Life::Fortnight,
            envelope: Arc::clone(&self.envelope),
        };
        self.relay.put(new, NOW).await.unwrap().commit.await.unwrap();
    }
}

fn put(table: Table, round: u32, bytes: usize) -> Write {
    // A session is written over and over, the others are new.
    let key = if table == Table::Session { vec![1; 33] } else { [&[2; 48][..], &round.to_be_bytes()].concat() };
    let value: Vec<u8> = (0..bytes).map(|place| (place as u32).wrapping_mul(round.wrapping_add(7)) as u8).collect();
    Write::Put(Record { table, key, value: value.into() })
}

fn message(round: u32) -> Write {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&round.to_be_bytes());
    let text = format!("message number {round}, of a usual length: about as long as a line");
    Write::Message(StoredMessage {
        conversation: PEER,
        id: MessageId::from_bytes(id),
        author: PEER,
        device: DeviceId::MIN,
        sequence: u64::from(round) + 1,
        sent: Timestamp(NOW.0 + u64::from(round)),
        stored: Timestamp(NOW.0 + u64::from(round)),
        state: State::Queued,
        content: [&[9; 60][..], text.as_bytes(), &[9; 60]].concat(),
        text,
    })
}

const PEER: AccountId = AccountId::from_bytes([0xa1; 32]);
const NOW: Timestamp = Timestamp(1_800_000_000_000);
const ENVELOPE: usize = 2_560;
const SESSION: usize = 3_000;
const WARM_UP: u32 = 10;
const PAUSE: Duration = Duration::from_millis(30);
