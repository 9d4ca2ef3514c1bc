//! Any interleaving of everything a store is asked, with restarts, crashes and time, against the naive model.
//!
//! `WAXWING_CASES` (64 in memory, 24 in SQLite) sets how many; a failure prints what leads to it, and proptest its seed.
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use proptest::{prelude::*, test_runner::Config};
use waxwing_relay::store::{
    AckError, Admitted, Commit, CreateError, LaneError, Life, MailboxError, MemoryStore, NewEnvelope, OpenError,
    PutError, Quota, Rules, SqliteStore, Store, Via, WatchError, Watcher,
};
use waxwing_wire::{
    frame::ErrorCode,
    padding::EnvelopeSize,
    relay::{Ack, AddLane, EndLane, LaneNumber, NewLane, RotateLane},
    time::Timestamp,
};

mod naive;

use naive::{Arrival, Envelope, Mailbox, Put};

use crate::conformance::fan_outs::fan_out;
use crate::scene::{DAY, Ear, HOUR, Heard, NOW, Owner, delivery, envelope};

/// 64 envelopes for contacts, 8 for strangers, one for a token.
const QUOTA: Quota = Quota { bytes: 2_560 * 500, envelopes: 160 };

#[derive(Clone, Debug)]
enum Step {
    Create { owner: u8, other_close_hash: bool },
    Close { owner: u8, right: bool },
    Delete { owner: u8 },
    AddLane { owner: u8, lane: NewLane, key: u8, ends: Option<u64> },
    Rotate { owner: u8, lane: u32, key: u8, ends: u64 },
    End { owner: u8, lane: u32, ends: u64 },
    Put { owner: u8, arrival: Arrival },
    FanOut { key: u8, delivery: u8 },
    Flood { owner: u8, key: Option<u8>, first: u8, count: u8 },
    Ack { owner: u8, behind: u64, also: Vec<u64> },
    Watch { owner: u8, ahead: bool },
    Read { owner: u8, most: u32 },
    Settle,
    Wait { hours: u64 },
    Expire,
    Restart { crash: bool },
}

fn key() -> impl Strategy<Value = Option<u8>> {
    prop_oneof![3 => (1..6_u8).prop_map(Some), 1 => Just(None), 1 => (6..20_u8).prop_map(Some)]
}

fn arrival() -> impl Strategy<Value = Arrival> {
    let size = prop_oneof![4 => Just(0_usize), 1 => 1..6_usize].prop_map(|index| EnvelopeSize::ALL[index]);
    let life = prop_oneof![Just(Life::Day), Just(Life::Fortnight)];
    (key(), 0..40_u8, prop_oneof![9 => Just(0_u8), 1 => Just(1)], size, life)
        .prop_map(|(key, delivery, bytes, size, life)| Arrival { key, delivery, bytes, size, life })
}

fn new_lane() -> impl Strategy<Value = NewLane> {
    prop_oneof![
        2 => Just(NewLane::Contacts),
        1 => Just(NewLane::Groups),
        1 => Just(NewLane::Own),
        2 => Just(NewLane::Introduction),
        2 => (1..8_u32).prop_map(|parent| NewLane::Split { parent: LaneNumber(parent) }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let owner = || prop_oneof![4 => Just(1_u8), 2 => Just(2_u8), 1 => Just(3_u8)];
    let ends = || prop_oneof![Just(0), 1..40 * 24_u64];
    prop_oneof![
        2 => (owner(), prop::bool::weighted(0.2)).prop_map(|(owner, other)| Step::Create { owner, other_close_hash: other }),
        1 => (owner(), prop::bool::weighted(0.3)).prop_map(|(owner, right)| Step::Close { owner, right }),
        1 => prop::bool::weighted(0.2).prop_flat_map(move |one| owner().prop_map(move |owner| {
            if one { Step::Delete { owner } } else { Step::Settle }
        })),
        5 => (owner(), new_lane(), 1..20_u8, prop::option::weighted(0.3, ends()))
            .prop_map(|(owner, lane, key, ends)| Step::AddLane { owner, lane, key, ends }),
        2 => (owner(), 0..8_u32, 1..20_u8, ends()).prop_map(|(owner, lane, key, ends)| Step::Rotate { owner, lane, key, ends }),
        2 => (owner(), 0..8_u32, ends()).prop_map(|(owner, lane, ends)| Step::End { owner, lane, ends }),
        12 => (owner(), arrival()).prop_map(|(owner, arrival)| Step::Put { owner, arrival }),
        4 => (1..6_u8, 0..60_u8).prop_map(|(key, delivery)| Step::FanOut { key, delivery }),
        4 => (owner(), key(), 40..200_u8, 1..56_u8).prop_map(|(owner, key, first, count)| Step::Flood { owner, key, first, count }),
        6 => (owner(), 0..30_u64, prop::collection::vec(0..40_u64, 0..4))
            .prop_map(|(owner, behind, also)| Step::Ack { owner, behind, also }),
        2 => (owner(), prop::bool::weighted(0.2)).prop_map(|(owner, ahead)| Step::Watch { owner, ahead }),
        3 => (owner(), 0..50_u32).prop_map(|(owner, most)| Step::Read { owner, most }),
        3 => Just(Step::Settle),
        3 => prop_oneof![4 => 1..30_u64, 1 => 24..15 * 24_u64].prop_map(|hours| Step::Wait { hours }),
        2 => Just(Step::Expire),
        1 => any::<bool>().prop_map(|crash| Step::Restart { crash }),
    ]
}

/// A store, its restarts, and what it should be.
struct World<S, R> {
    store: S,
    restart: R,
    now: Timestamp,
    mailboxes: BTreeMap<u8, Mailbox>,
    closed: BTreeMap<u8, Timestamp>,
    ears: BTreeMap<u8, Arc<Ear>>,
    expected: BTreeMap<u8, Vec<Heard>>,
    /// Puts and acks whose commits nobody has waited for.
    open: Vec<(u8, Commit, What)>,
}

#[derive(Debug)]
enum What {
    Put(Envelope),
    Ack(Vec<Envelope>),
}

trait Restart<S> {
    async fn restart(&mut self, store: S, crash: bool, now: Timestamp) -> S;
    /// Whether a restart loses nothing but what is not committed.
    const KEEPS: bool;
}

struct InMemory;

impl Restart<MemoryStore> for InMemory {
    async fn restart(&mut self, store: MemoryStore, _: bool, _: Timestamp) -> MemoryStore {
        store
    }
    const KEEPS: bool = false;
}

struct InFolder(tempfile::TempDir);

impl Restart<SqliteStore> for InFolder {
    async fn restart(&mut self, store: SqliteStore, crash: bool, now: Timestamp) -> SqliteStore {
        if crash {
            store.abandon().await;
        } else {
            store.close().await;
        }
        drop(store);
        let begun = Instant::now();
        loop {
            match SqliteStore::open(self.0.path(), rules(), now).await {
                // A process that another test is just starting has its copy of the lock until it runs its own program.
                Err(OpenError::Locked(_)) if begun.elapsed() < Duration::from_secs(10) => {
                    tokio::task::yield_now().await;
                }
                opened => return opened.unwrap(),
            }
        }
    }
    const KEEPS: bool = true;
}

fn rules() -> Rules {
    Rules { quota: QUOTA, ..Rules::default() }
}

fn rule(result: Result<LaneNumber, LaneError>) -> Result<u32, ErrorCode> {
    match result {
        Ok(lane) => Ok(lane.0),
        Err(LaneError::Rule(code)) => Err(code),
        Err(other) => panic!("{other}"),
    }
}

impl<S: Store, R: Restart<S>> World<S, R> {
    fn new(store: S, restart: R) -> Self {
        let (mailboxes, closed, ears) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { store, restart, now: NOW, mailboxes, closed, ears, expected: BTreeMap::new(), open: Vec::new() }
    }

    fn mailbox(&mut self, owner: u8) -> Option<&mut Mailbox> {
        let now = self.now;
        self.mailboxes.get_mut(&owner).map(|mailbox| mailbox.at(now))
    }

    fn expect(&mut self, owner: u8, heard: Heard) {
        if self.ears.contains_key(&owner) {
            self.expected.entry(owner).or_default().push(heard);
        }
    }

    async fn step(mut self, step: Step) -> Self {
        let now = self.now;
        match step {
            Step::Create { owner, other_close_hash } => {
                let mut new = Owner(owner).new_mailbox();
                new.close_hash[0] ^= u8::from(other_close_hash);
                let created = self.store.create_mailbox(new, now).await;
                self.closed.retain(|_, until| *until > now);
                let known = self.mailboxes.contains_key(&owner);
                let taken = self.closed.contains_key(&owner) || (known && other_close_hash);
                if taken {
                    assert_eq!(created, Err(CreateError::Taken));
                } else if other_close_hash {
                    // Made with a capability that nobody has: take it away again.
                    assert_eq!(created, Ok(()));
                    self.store.delete_mailbox(&Owner(owner).mailbox(), now).await.unwrap();
                } else {
                    assert_eq!(created, Ok(()));
                    self.mailboxes.entry(owner).or_insert_with(|| Mailbox::new(QUOTA));
                }
            }
            Step::Close { owner, right } => {
                let mut hash = Owner(owner).close_hash();
                hash[31] ^= u8::from(!right);
                let closed = self.store.close_mailbox(&Owner(owner).mailbox(), hash, now).await;
                self.closed.retain(|_, until| *until > now);
                let known = self.mailboxes.contains_key(&owner) || self.closed.contains_key(&owner);
                assert_eq!(closed, if right && known { Ok(()) } else { Err(MailboxError::Refused) });
                if right && self.mailboxes.remove(&owner).is_some() {
                    self.closed.insert(owner, Timestamp(now.0 + 60 * DAY));
                    self.gone(owner);
                }
            }
            Step::Delete { owner } => {
                let deleted = self.store.delete_mailbox(&Owner(owner).mailbox(), now).await;
                let known = self.mailboxes.remove(&owner).is_some();
                assert_eq!(deleted, if known { Ok(()) } else { Err(MailboxError::Refused) });
                if known {
                    self.gone(owner);
                }
            }
            Step::AddLane { owner, lane, key, ends } => {
                let who = Owner(owner);
                let ends = ends.or((lane == NewLane::Introduction).then_some(48));
                let ends = ends.map(|hours| Timestamp(now.0 + hours * HOUR));
                let added = self.store.add_lane(&who.mailbox(), AddLane { lane, hash: who.key(key), ends }, now).await;
                let mailbox = self.mailbox(owner);
                let model = mailbox.map_or(Err(ErrorCode::Refused), |mailbox| mailbox.add_lane(lane, key, ends, now));
                assert_eq!(rule(added), model);
            }
            Step::Rotate { owner, lane, key, ends } => {
                let (who, old_ends) = (Owner(owner), Timestamp(now.0 + ends * HOUR));
                let rotate = RotateLane { lane: LaneNumber(lane), hash: who.key(key), old_ends };
                let rotated = self.store.rotate_lane(&who.mailbox(), rotate, now).await;
                let mailbox = self.mailbox(owner);
                let model = mailbox.map_or(Err(ErrorCode::Refused), |one| one.rotate_lane(lane, key, old_ends, now));
                assert_eq!(rule(rotated), model);
            }
            Step::End { owner, lane, ends } => {
                let ends = Timestamp(now.0 + ends * HOUR);
                let end = EndLane { lane: LaneNumber(lane), ends };
                let ended = self.store.end_lane(&Owner(owner).mailbox(), end, now).await.map(|()| LaneNumber(0));
                let mailbox = self.mailbox(owner);
                let model = mailbox.map_or(Err(ErrorCode::Refused), |mailbox| mailbox.end_lane(lane, ends, now));
                assert_eq!(rule(ended), model.map(|()| 0));
            }
            Step::Put { owner, arrival } => self.put(owner, &arrival).await,
            Step::FanOut { key, delivery } => self.fan_out(key, delivery).await,
            Step::Flood { owner, key, first, count } => {
                for delivery in first..first.saturating_add(count) {
                    let (size, life) = (EnvelopeSize::B2560, Life::Fortnight);
                    self.put(owner, &Arrival { key, delivery, bytes: 0, size, life }).await;
                }
            }
            Step::Ack { owner, behind, also } => self.ack(owner, behind, &also).await,
            Step::Watch { owner, ahead } => self.watch(owner, ahead).await,
            Step::Read { owner, most } => self.read(owner, most).await,
            Step::Settle => {
                for (_, commit, what) in std::mem::take(&mut self.open) {
                    assert_eq!(commit.await, Ok(()), "{what:?}");
                }
            }
            Step::Wait { hours } => self.now.0 += hours * HOUR,
            Step::Expire => while self.store.expire(now).await.unwrap() {},
            Step::Restart { crash } => self = self.restart(crash).await,
        }
        self.compare().await;
        self
    }

    fn gone(&mut self, owner: u8) {
        self.expect(owner, Heard::Ended);
        self.listen(owner);
        self.ears.remove(&owner);
        self.open.retain(|(whose, ..)| *whose != owner);
    }

    async fn put(&mut self, owner: u8, arrival: &Arrival) {
        let (who, now) = (Owner(owner), self.now);
        let number = u64::from(arrival.bytes) << 32 | u64::from(arrival.delivery);
        let bytes = envelope(number, arrival.size);
        let new = NewEnvelope {
            mailbox: who.mailbox(),
            via: arrival.key.map_or(Via::Strangers, |key| Via::Lane(who.key(key))),
            delivery: delivery(u64::from(arrival.delivery)),
            hash: bytes.hash(),
            life: arrival.life,
            envelope: Arc::new(bytes),
        };
        let put = self.store.put(new, now).await;
        self.compare_put(owner, arrival, put).await;
    }

    async fn fan_out(&mut self, key: u8, delivery: u8) {
        let owners = [3, 1, 2].map(Owner);
        let (size, life) = (EnvelopeSize::B2560, Life::Fortnight);
        let fan_out = fan_out(delivery.into(), size, &owners, key);
        let outcomes = self.store.fan_out(fan_out, self.now).await.unwrap();
        for (Owner(owner), put) in owners.into_iter().zip(outcomes) {
            self.compare_put(owner, &Arrival { key: Some(key), delivery, bytes: 0, size, life }, put).await;
        }
    }

    async fn compare_put(&mut self, owner: u8, arrival: &Arrival, put: Result<Admitted, PutError>) {
        let now = self.now;
        let Some(mailbox) = self.mailbox(owner) else {
            assert_eq!(put.map(drop), Err(PutError::Refused));
            return;
        };
        let before = mailbox.clone();
        let model = match (mailbox.put(arrival, now), &put) {
            (Put::Either { same: true, .. }, Ok(put)) if put.repeated => {
                *mailbox = before;
                Put::Repeated
            }
            (Put::Either { same: false, .. }, Err(PutError::Conflict)) => {
                *mailbox = before;
                return;
            }
            (Put::Either { fresh, .. }, _) => *fresh,
            (model, _) => model,
        };
        let mut took = None;
        match (model, put) {
            (Put::Repeated, Ok(put)) if put.repeated => self.open_commit(put.commit).await,
            (Put::New { sequence, lane }, Ok(put)) if !put.repeated => took = Some((sequence, lane, put.commit)),
            (Put::Denied { error, told }, Err(denied)) => {
                assert_eq!(denied, error);
                if let Some((lane, turned_away)) = told {
                    self.expect(owner, Heard::LaneFull { lane: LaneNumber(lane), turned_away });
                }
            }
            (model, put) => panic!("{put:?} is not {model:?}"),
        }
        if let Some((sequence, lane, commit)) = took {
            let token = {
                let mailbox = self.mailbox(owner).unwrap();
                let one = mailbox.took(arrival, now);
                assert_eq!((one.sequence, one.lane), (sequence, lane));
                let token = mailbox
                    .lanes
                    .iter()
                    .any(|one| one.number == lane && one.kind == waxwing_wire::relay::LaneKind::Introduction);
                if !token {
                    self.open.push((owner, commit.clone(), What::Put(one)));
                }
                token
            };
            self.expect(
                owner,
                Heard::Admitted { sequence, number: u64::from(arrival.delivery), lane: LaneNumber(lane) },
            );
            if token {
                // What a token has admitted is not in doubt after a crash.
                assert_eq!(commit.await, Ok(()));
            }
        }
    }

    async fn open_commit(&mut self, commit: Commit) {
        // A repetition is as good as the first.
        if commit.outcome().is_some() {
            assert_eq!(commit.await, Ok(()));
        }
    }

    async fn ack(&mut self, owner: u8, behind: u64, also: &[u64]) {
        let now = self.now;
        let newest = self.mailbox(owner).map_or(9, |mailbox| mailbox.newest);
        let up_to = newest.saturating_sub(behind);
        let mut also: Vec<_> = also.iter().map(|more| up_to + 1 + more).collect();
        also.sort_unstable();
        also.dedup();
        let Some(ack) = Ack::new(up_to, also.clone()) else { return };
        let acked = self.store.ack(&Owner(owner).mailbox(), &ack, now).await;
        let Some(mailbox) = self.mailbox(owner) else {
            assert_eq!(acked.unwrap_err(), AckError::Refused);
            return;
        };
        match (mailbox.ack(up_to, &also, now), acked) {
            (Some(gone), Ok(commit)) => self.open.push((owner, commit, What::Ack(gone))),
            (None, Err(AckError::CursorAhead)) => {}
            (model, acked) => panic!("{acked:?} is not {model:?}"),
        }
    }

    async fn watch(&mut self, owner: u8, ahead: bool) {
        let (now, ear) = (self.now, Arc::new(Ear::default()));
        let newest = self.mailbox(owner).map_or(0, |mailbox| mailbox.newest);
        let after = if ahead { newest + 1 } else { newest.saturating_sub(20) };
        let watched = self.store.watch(&Owner(owner).mailbox(), after, Arc::clone(&ear) as Arc<dyn Watcher>, now).await;
        let Some(mailbox) = self.mailbox(owner) else {
            assert_eq!(watched, Err(WatchError::Refused));
            return;
        };
        if ahead {
            assert_eq!(watched, Err(WatchError::CursorAhead));
            return;
        }
        let watched = watched.unwrap();
        let waiting = mailbox.waiting.iter().filter(|one| one.sequence > after).count();
        assert_eq!((watched.newest, watched.waiting as usize), (newest, waiting));
        self.expect(owner, Heard::Superseded);
        self.listen(owner);
        self.ears.insert(owner, ear);
    }

    async fn read(&mut self, owner: u8, most: u32) {
        let now = self.now;
        let newest = self.mailbox(owner).map_or(0, |mailbox| mailbox.newest);
        let (after, up_to) = (newest.saturating_sub(30), newest.saturating_sub(u64::from(most) % 5));
        let read = self.store.read(&Owner(owner).mailbox(), after, up_to, most, now).await;
        let Some(mailbox) = self.mailbox(owner) else {
            assert_eq!(read.unwrap_err(), MailboxError::Refused);
            return;
        };
        let within = mailbox.waiting.iter().filter(|one| one.sequence > after && one.sequence <= up_to);
        let model: Vec<_> =
            within.take(most as usize).map(|one| (one.sequence, one.delivery.into(), one.lane)).collect();
        let read: Vec<_> = read.unwrap().iter().map(|one| (one.sequence, plain(one), one.lane.0)).collect();
        assert_eq!(read, model);
    }

    /// What is in doubt is either; everything else is there.
    async fn restart(mut self, crash: bool) -> Self {
        if !R::KEEPS {
            return self;
        }
        for owner in self.ears.keys().copied().collect::<Vec<_>>() {
            self.listen(owner);
        }
        self.ears.clear();
        self.store = self.restart.restart(self.store, crash, self.now).await;
        let (mut lost, mut back) = (Vec::new(), Vec::new());
        for (owner, commit, what) in std::mem::take(&mut self.open) {
            match (commit.await, what) {
                (Ok(()), _) => {}
                (Err(_), what) => {
                    assert!(crash, "closing writes what waits");
                    match what {
                        What::Put(one) => lost.push((owner, one)),
                        What::Ack(gone) => back.extend(gone.into_iter().map(|one| (owner, one))),
                    }
                }
            }
        }
        let now = self.now;
        for (owner, mailbox) in &mut self.mailboxes {
            mailbox.at(now);
            let id = Owner(*owner).mailbox();
            let state = self.store.state(&id, now).await.unwrap();
            assert!(state.newest >= mailbox.newest, "numbers ascend");
            mailbox.restarted(state.newest);
            let read = self.store.read(&id, 0, u64::MAX, u32::MAX, now).await.unwrap();
            let there: Vec<_> = read.iter().map(|one| one.sequence).collect();
            let doubtful = |one: &Envelope| lost.contains(&(*owner, one.clone()));
            mailbox.waiting.retain(|one| there.contains(&one.sequence) || !doubtful(one));
            let returned = back.iter().filter(|(whose, one)| whose == owner && there.contains(&one.sequence));
            mailbox.waiting.extend(returned.map(|(_, one)| one.clone()));
            mailbox.waiting.sort_by_key(|one| one.sequence);
            mailbox.at(now);
        }
        self
    }

    /// The ear of a mailbox has heard what it should have.
    fn listen(&mut self, owner: u8) {
        if let Some(ear) = self.ears.get(&owner) {
            let heard: Vec<_> = ear.heard().into_iter().map(plainly).collect();
            assert_eq!(heard, self.expected.remove(&owner).unwrap_or_default());
        }
    }

    async fn compare(&mut self) {
        for owner in 1..=3 {
            self.listen(owner);
            let (id, now) = (Owner(owner).mailbox(), self.now);
            let state = self.store.state(&id, now).await;
            let Some(mailbox) = self.mailbox(owner) else {
                assert_eq!(state, Err(MailboxError::Refused));
                assert_eq!(self.store.owner_key(&id), None);
                continue;
            };
            let state = state.unwrap();
            let bytes: usize = mailbox.waiting.iter().map(|one| one.size.bytes()).sum();
            let oldest = mailbox.waiting.first().map_or(0, |one| one.sequence);
            assert_eq!((state.envelopes as usize, state.bytes), (mailbox.waiting.len(), bytes as u64));
            assert_eq!((state.oldest, state.newest), (oldest, mailbox.newest));
            let lanes: Vec<_> =
                state.lanes.iter().map(|lane| (lane.lane.0, lane.kind, lane.ends, lane.turned_away)).collect();
            let model: Vec<_> =
                mailbox.lanes.iter().map(|lane| (lane.number, lane.kind, lane.ends, lane.turned_away)).collect();
            assert_eq!(lanes, model);
            for lane in &state.lanes {
                let used = mailbox.waiting.iter().filter(|one| one.lane == lane.lane.0);
                assert_eq!(lane.envelopes as usize, used.count(), "{:?}", lane.lane);
            }
        }
    }
}

/// The number without the bytes' class.
fn plain(stored: &waxwing_relay::store::StoredEnvelope) -> u64 {
    let bytes = stored.envelope.as_bytes();
    let number = u64::from_be_bytes(bytes[..8].try_into().unwrap()) & 0xff;
    assert_eq!(stored.delivery, delivery(number));
    number
}

fn plainly(heard: Heard) -> Heard {
    match heard {
        Heard::Admitted { sequence, number, lane } => Heard::Admitted { sequence, number: number & 0xff, lane },
        other => other,
    }
}

fn cases(default: u32) -> Config {
    let cases = std::env::var("WAXWING_CASES").ok().and_then(|cases| cases.parse().ok());
    Config { cases: cases.unwrap_or(default), max_shrink_iters: 2_000, failure_persistence: None, ..Config::default() }
}

fn run<S: Store, R: Restart<S>>(make: impl AsyncFnOnce() -> World<S, R>, steps: Vec<Step>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut world = make().await;
        for step in steps {
            world = world.step(step).await;
        }
    });
}

#[test]
fn a_store_in_memory_does_what_the_naive_model_does() {
    proptest!(cases(64), |(steps in prop::collection::vec(step(), 1..120))| {
        run(async || World::new(MemoryStore::new(rules()), InMemory), steps);
    });
}

#[test]
fn e7_a_store_in_sqlite_does_what_the_naive_model_does_over_crashes_and_restarts() {
    proptest!(cases(24), |(steps in prop::collection::vec(step(), 1..120))| {
        run(async || {
            let folder = tempfile::tempdir().unwrap();
            let store = SqliteStore::open(folder.path(), rules(), NOW).await.unwrap();
            World::new(store, InFolder(folder))
        }, steps);
    });
}
