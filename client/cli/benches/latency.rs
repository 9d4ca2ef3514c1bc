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
use std::{
    future::Future,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command as Process, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use waxwing_client::{
    Client, Cursor, Event, Events, Options, Settled,
    engine::{
        Command, LinkUses, MessageText, NewAccount, Settings, State,
        store::{Batch, Record, Store as _, StoredMessage, Table, Write},
    },
    store::{EncryptedStore, Protection},
};
use waxwing_net::{ClientConfig, RelayConnection, Trust};
use waxwing_relay::{
    service::Rate,
    store::{Life, NewEnvelope, NewMailbox, Quota, Rules, SqliteStore, Store as _, Via},
};
use waxwing_wire::{
    address::ServerAddress,
    content::MessageId,
    delivery::LaneHash,
    id::{AccountId, DeliveryId, DeviceId, MailboxId},
    padding::Envelope,
    relay::{AddLane, NewLane, RelayReply, RelayRequest, mailbox_id},
    time::Timestamp,
};

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

/// `waxwing serve`, a process of its own; ended with its holder.
struct Servers {
    child: Child,
    relay: ServerAddress,
    keyserver: ServerAddress,
}

impl Servers {
    fn start(data: &Path) -> Self {
        let arguments = ["serve", "--open", "--listen", "127.0.0.1", "--relay-port", "0", "--keyserver-port", "0"];
        let mut child = Process::new(env!("CARGO_BIN_EXE_waxwing"))
            .args(arguments)
            .arg("--data")
            .arg(data)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut address = |name| lines.next().unwrap().unwrap().strip_prefix(name).unwrap().trim().parse().unwrap();
        let (relay, keyserver) = (address("relay"), address("key server"));
        Self { child, relay, keyserver }
    }

    async fn person(&self, profile: &Path) -> Client {
        let account = NewAccount {
            relay: self.relay.clone(),
            key_servers: vec![self.keyserver.clone()],
            relay_admission: None,
            keyserver_admission: None,
        };
        let engine = Settings { allow_private_servers: true, ..Settings::default() };
        let options = Options { engine, ..Options::default() };
        let (client, _words) = Client::create(profile, Protection::None, account, options).await.unwrap();
        assert_eq!(client.settled(PATIENCE).await, Settled::Yes);
        client
    }

    async fn relay(&self) -> (waxwing_net::Client, RelayConnection) {
        let socket = waxwing_net::Client::new(ClientConfig::default()).unwrap();
        let connection = socket.relay(&self.relay, Trust::Configured).await.unwrap();
        (socket, connection)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn befriend(alice: &Client, bob: &Client) {
    let link = bob.make_link(Duration::from_secs(3_600), LinkUses::Once).await.unwrap();
    assert_eq!(bob.settled(PATIENCE).await, Settled::Yes);
    alice.command(Command::Add { link }).await.unwrap();
    let mut screen = Screen::of(bob).await;
    let id = alice.send(&bob.account_id(), MessageText::new("hello".into()).unwrap()).await.unwrap();
    screen.shows(&alice.account_id(), &id).await;
    bob.command(Command::Accept { account: alice.account_id() }).await.unwrap();
    let mut events = alice.events(Cursor::START);
    loop {
        if let Some((_, Event::ContactAccepted { by_peer: true, .. })) = events.next().await.unwrap() {
            return;
        }
    }
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

/// Reads what it is told of, as a screen does.
struct Screen {
    client: Client,
    events: Events,
}

impl Screen {
    async fn of(client: &Client) -> Self {
        let newest = client.reader().newest_event().await.unwrap();
        Self { client: client.clone(), events: client.events(newest) }
    }

    async fn shows(&mut self, from: &AccountId, wanted: &MessageId) {
        loop {
            let event = tokio::time::timeout(PATIENCE, self.events.next()).await.expect("it comes").unwrap();
            if let Some((_, Event::Message { conversation, id, .. })) = event
                && conversation == *from
                && id == *wanted
            {
                self.client.reader().message(&conversation, &id).await.unwrap().unwrap();
                return;
            }
        }
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
const PATIENCE: Duration = Duration::from_secs(30);
