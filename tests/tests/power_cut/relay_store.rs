//! E7: what the relay's store accepted is there, once, whenever the power went; what it forgot stays forgotten; no number is given
//! twice.
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::OpenOptions,
    io::Write as _,
    path::Path,
    sync::{Arc, Mutex},
};

use waxwing_relay::store::{
    Life, NewEnvelope, NewFanOut, NewMailbox, Recipient, Rules, SqliteStore, Store, StoredEnvelope, Via, Watcher,
};
use waxwing_wire::{
    delivery::LaneHash,
    id::{DeliveryId, MailboxId},
    padding::{Envelope, EnvelopeHeader, EnvelopeSize, SharedPart},
    relay::{Ack, AddLane, LaneNumber, NewLane, mailbox_id},
    time::Timestamp,
};

use super::{
    relay_registers as registers,
    run::{PROMISES, broken_cuts, cuts, is_child},
};

pub(crate) const NOW: Timestamp = Timestamp(1_800_000_000_000);
const MAILBOXES: u8 = 5;
const ROUNDS: u64 = 12;
const AT_ONCE: u64 = 24;

/// Moves its log into the file all the time.
pub(crate) fn rules() -> Rules {
    Rules { log: 200_000, ..Rules::default() }
}

pub(crate) fn mailbox(owner: u8) -> MailboxId {
    mailbox_id(&[owner; 32])
}

pub(crate) fn envelope(owner: u8, number: u64) -> NewEnvelope {
    let size = EnvelopeSize::ALL[usize::try_from(number % 7).unwrap() % 5];
    let mut bytes = vec![owner; size.bytes()];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    let envelope = Envelope::new(bytes).unwrap();
    NewEnvelope {
        mailbox: mailbox(owner),
        via: Via::Lane(LaneHash::of(&mailbox(owner), &[owner; 16])),
        delivery: DeliveryId::from_bytes(u128::from(number).to_be_bytes()),
        hash: envelope.hash(),
        life: Life::Fortnight,
        envelope: Arc::new(envelope),
    }
}

/// Numbers from here on are fanned out to the first three.
const FANNED: u64 = 1 << 20;

fn header(number: u64) -> EnvelopeHeader {
    let mut header = [0xfa; 48];
    header[..8].copy_from_slice(&number.to_be_bytes());
    EnvelopeHeader::from_bytes(header)
}

fn shared() -> SharedPart {
    SharedPart::new(vec![0xfa; EnvelopeSize::B8192.shared_bytes()]).unwrap()
}

pub(crate) fn fan_out(number: u64, owners: &[u8]) -> NewFanOut {
    let recipient = |owner: &u8| Recipient {
        mailbox: mailbox(*owner),
        lane: LaneHash::of(&mailbox(*owner), &[*owner; 16]),
        header: header(number),
    };
    NewFanOut {
        delivery: DeliveryId::from_bytes(u128::from(number).to_be_bytes()),
        life: Life::Fortnight,
        shared: Arc::new(shared()),
        recipients: owners.iter().map(recipient).collect(),
    }
}

/// What the child says of its own doing, one line each, and at once.
#[derive(Clone)]
pub(crate) struct Log(Arc<Mutex<std::fs::File>>);

impl Log {
    pub(crate) fn open(folder: &Path) -> Self {
        let promises = OpenOptions::new().create(true).append(true).open(folder.join(PROMISES)).unwrap();
        Self(Arc::new(Mutex::new(promises)))
    }

    pub(crate) fn say(&self, line: &str) {
        self.0.lock().unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}

/// Says which numbers the owner was shown, before they are on stable storage.
struct Owner(u8, Log);

impl Watcher for Owner {
    fn admitted(&self, envelope: StoredEnvelope) {
        self.1.say(&format!("shown {} {}", self.0, envelope.sequence));
    }
    fn online(&self, _: LaneNumber, _: Arc<Envelope>) {}
    fn lane_full(&self, _: LaneNumber, _: u64) {}
    fn acked(&self, _: &Ack) {}

    fn superseded(&self) {}
    fn ended(&self) {}
}

async fn work(folder: &Path) {
    let log = Log::open(folder);
    let mut store = SqliteStore::open(folder, rules(), NOW).await.unwrap();
    for round in 0..ROUNDS {
        for owner in 1..=MAILBOXES {
            if round == u64::from(owner) - 1 {
                make(&store, owner, &log).await;
            }
            let watcher = Arc::new(Owner(owner, log.clone()));
            // Absent until its round comes.
            let _ = store.watch(&mailbox(owner), 0, watcher, NOW).await;
        }
        let putting = (0..AT_ONCE).map(|one| {
            let (store, log) = (store.clone(), log.clone());
            tokio::spawn(async move {
                let number = round * AT_ONCE + one;
                let owner = u8::try_from(number % u64::from(MAILBOXES)).unwrap() + 1;
                if let Ok(admitted) = store.put(envelope(owner, number), NOW).await {
                    admitted.commit.await.unwrap();
                    log.say(&format!("put {owner} {number}"));
                }
            })
        });
        let putting: Vec<_> = putting.collect();
        let fanning = tokio::spawn({
            let (store, log) = (store.clone(), log.clone());
            async move {
                let number = FANNED + round;
                let outcomes = store.fan_out(fan_out(number, &[1, 2, 3]), NOW).await.unwrap();
                for (owner, outcome) in (1..).zip(outcomes) {
                    if let Ok(admitted) = outcome {
                        admitted.commit.await.unwrap();
                        log.say(&format!("put {owner} {number}"));
                    }
                }
            }
        });
        let writing = tokio::spawn({
            let (store, log) = (store.clone(), log.clone());
            async move { versions(&store, round, &log).await }
        });
        // Beside the puts, acks of what earlier rounds left.
        for owner in 1..=MAILBOXES {
            ack(&store, owner, round, &log).await;
        }
        for put in putting {
            put.await.unwrap();
        }
        fanning.await.unwrap();
        writing.await.unwrap();
        if round == ROUNDS / 2 {
            store.close().await;
            drop(store);
            store = SqliteStore::open(folder, rules(), NOW).await.unwrap();
        }
        if round == ROUNDS - 2 {
            log.say("closing 1");
            store.close_mailbox(&mailbox(1), [0; 32], NOW).await.unwrap();
            log.say("closed 1");
        }
    }
    store.close().await;
}

async fn make(store: &SqliteStore, owner: u8, log: &Log) {
    let new = NewMailbox { owner_key: [owner; 32], close_hash: [0; 32], invite: None };
    store.create_mailbox(new, NOW).await.unwrap();
    log.say(&format!("made {owner}"));
    let hash = LaneHash::of(&mailbox(owner), &[owner; 16]);
    store.add_lane(&mailbox(owner), AddLane { lane: NewLane::Contacts, hash, ends: None }, NOW).await.unwrap();
    log.say(&format!("laned {owner}"));
}

/// Some of a register, which is made in the first round.
async fn versions(store: &SqliteStore, round: u64, log: &Log) {
    if round == 0 {
        registers::make(store).await.unwrap();
        log.say("registered 1");
    }
    for _ in 0..3 {
        let newest = registers::newest(store).unwrap();
        registers::write(store, newest).await.unwrap();
        log.say(&format!("written 0 {}", newest + 1));
    }
}

async fn ack(store: &SqliteStore, owner: u8, round: u64, log: &Log) {
    let Ok(read) = store.read(&mailbox(owner), 0, u64::MAX, 8, NOW).await else { return };
    let picked: Vec<_> = read.iter().filter(|one| (one.sequence + round).is_multiple_of(3)).collect();
    let Some(ack) = Ack::new(0, picked.iter().map(|one| one.sequence).collect()) else { return };
    let numbers: Vec<_> = picked.iter().map(|one| number_of(one).to_string()).collect();
    let numbers = numbers.join(" ");
    log.say(&format!("acking {owner} {numbers}"));
    store.ack(&mailbox(owner), &ack, NOW).await.unwrap().await.unwrap();
    log.say(&format!("acked {owner} {numbers}"));
}

pub(crate) fn number_of(stored: &StoredEnvelope) -> u64 {
    u64::from_be_bytes(stored.envelope.as_bytes()[..8].try_into().unwrap())
}

/// What the child had said when the power went.
#[derive(Default)]
struct Said {
    made: BTreeSet<u8>,
    laned: BTreeSet<u8>,
    put: BTreeSet<(u8, u64)>,
    acking: BTreeSet<(u8, u64)>,
    acked: BTreeSet<(u8, u64)>,
    shown: BTreeMap<u8, u64>,
    closing: bool,
    closed: bool,
    /// The newest version of the register.
    version: u64,
}

impl Said {
    fn of(lines: &[&str]) -> Self {
        let mut said = Self::default();
        for line in lines {
            let mut words = line.split(' ');
            let what = words.next().unwrap();
            let owner: u8 = words.next().unwrap().parse().unwrap();
            let numbers: Vec<(u8, u64)> = words.map(|word| (owner, word.parse().unwrap())).collect();
            match what {
                "made" => drop(said.made.insert(owner)),
                "laned" => drop(said.laned.insert(owner)),
                "put" => said.put.extend(numbers),
                "acking" => said.acking.extend(numbers),
                "acked" => said.acked.extend(numbers),
                "shown" => {
                    let newest = said.shown.entry(owner).or_default();
                    *newest = numbers[0].1.max(*newest);
                }
                "registered" => said.version = 1,
                "written" => said.version = numbers[0].1,
                "closing" => said.closing = true,
                "closed" => said.closed = true,
                other => panic!("{other}"),
            }
        }
        said
    }
}

async fn judge(image: &Path, said: &Said) -> Result<(), String> {
    let opened = SqliteStore::open(image, rules(), NOW).await;
    let store = opened.map_err(|error| error.to_string())?;
    for owner in 1..=MAILBOXES {
        let closed = owner == 1 && said.closing;
        let Ok(state) = store.state(&mailbox(owner), NOW).await else {
            if said.made.contains(&owner) && !closed {
                return Err(format!("mailbox {owner} is missing"));
            }
            continue;
        };
        if owner == 1 && said.closed {
            return Err("a closed mailbox is back".into());
        }
        if said.laned.contains(&owner) && state.lanes.len() != 2 {
            return Err(format!("the lane of {owner} is missing"));
        }
        if state.newest < said.shown.get(&owner).copied().unwrap_or(0) {
            return Err(format!("mailbox {owner} would give numbers again"));
        }
        let read = store.read(&mailbox(owner), 0, u64::MAX, u32::MAX, NOW).await.map_err(|error| error.to_string())?;
        if read.len() != usize::try_from(state.envelopes).unwrap() {
            return Err(format!("of {} envelopes {} could be read", state.envelopes, read.len()));
        }
        let mut there = BTreeSet::new();
        for one in &read {
            let number = number_of(one);
            let expected = match number {
                FANNED.. => Envelope::of_parts(&header(number), &shared()),
                _ => Envelope::clone(&envelope(owner, number).envelope),
            };
            if *one.envelope != expected {
                return Err(format!("{number} came back otherwise"));
            }
            if !there.insert((owner, number)) {
                return Err(format!("{number} is there twice"));
            }
        }
        let promised = said.put.iter().filter(|(whose, _)| *whose == owner);
        let mut missing = promised.filter(|one| !said.acking.contains(one) && !there.contains(one));
        if let Some((_, number)) = missing.next() {
            return Err(format!("{number} was accepted and is missing"));
        }
        if let Some((_, number)) = there.intersection(&said.acked).next() {
            return Err(format!("{number} was forgotten and is back"));
        }
        // And it is a store: the same put is known, another goes in.
        for (_, number) in there.iter().filter(|(_, number)| *number < FANNED).take(2) {
            let put = store.put(envelope(owner, *number), NOW).await.map_err(|error| error.to_string())?;
            if !put.repeated {
                return Err(format!("{number} was taken for a new one"));
            }
        }
        if said.laned.contains(&owner) {
            let put = store.put(envelope(owner, 1 << 40), NOW).await.map_err(|error| error.to_string())?;
            put.commit.await.map_err(|error| error.to_string())?;
        }
    }
    judge_register(&store, said.version).await?;
    store.close().await;
    Ok(())
}

async fn judge_register(store: &SqliteStore, promised: u64) -> Result<(), String> {
    let newest = registers::newest(store).unwrap_or(0);
    if newest < promised {
        return Err(format!("version {promised} was accepted and {newest} is the newest"));
    }
    registers::check(store).await?;
    if newest > 0 {
        registers::write(store, newest).await.map_err(|error| error.to_string())?;
        registers::check(store).await?;
    }
    Ok(())
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
fn e7_what_the_relay_accepted_survives_every_power_cut() {
    let name = "relay_store::e7_what_the_relay_accepted_survives_every_power_cut";
    if is_child("relay store", |folder| runtime().block_on(work(folder))) {
        return;
    }
    let runtime = runtime();
    let judged =
        broken_cuts(name, "relay store", cuts(), |image, lines| runtime.block_on(judge(image, &Said::of(lines))));
    assert_eq!(judged, (0, None));
}
