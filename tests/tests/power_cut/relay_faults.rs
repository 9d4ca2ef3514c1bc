//! E8: a full or broken disk, at any write or sync: nothing is accepted that is not there, nothing panics, and when the disk is well the
//! store is.
use std::{collections::BTreeSet, env, path::Path};

use waxwing_relay::store::{AckError, CreateError, LaneError, NewMailbox, PutError, Rules, SqliteStore, Store};
use waxwing_tests::faults::{Error, Faults, Kind};
use waxwing_wire::{
    delivery::LaneHash,
    relay::{Ack, AddLane, EndLane, NewLane},
    time::Timestamp,
};

use super::relay_registers as registers;
use super::relay_store::{NOW, envelope, fan_out, mailbox, number_of, rules, runtime};
use super::run::{is_child, on_a_failing_disk};

const OWNER: u8 = 1;

/// The store, and what it must hold.
struct Work {
    store: SqliteStore,
    faults: Faults,
    next: u64,
    there: BTreeSet<u64>,
    made: u8,
    /// The newest version of the register that was accepted.
    version: u64,
    failed: u32,
}

impl Work {
    /// Everything once, while the disk may fail.
    async fn round(&mut self) {
        let puts: Vec<_> = (0..6).map(|one| self.next + one).collect();
        self.next += 6;
        let mut commits = Vec::new();
        for number in &puts {
            match self.store.put(envelope(OWNER, *number), NOW).await {
                Ok(admitted) => commits.push((*number, admitted.commit)),
                Err(error) => assert!(matches!(error, PutError::Unavailable(_)), "{error}"),
            }
        }
        // Two that share a body, on their way beside the rest; the second is for a mailbox that is not there.
        for number in [self.next, self.next + 1] {
            for outcome in self.store.fan_out(fan_out(number, &[OWNER, 77]), NOW).await.unwrap() {
                match outcome {
                    Ok(admitted) => commits.push((number, admitted.commit)),
                    Err(error) => assert_eq!(error, PutError::Refused),
                }
            }
        }
        self.next += 2;
        let acked = self.there.first().copied();
        let ack = self.ack(acked).await;
        let lane = AddLane {
            lane: NewLane::Introduction,
            hash: LaneHash::of(&mailbox(OWNER), &self.next.to_be_bytes().repeat(2).try_into().unwrap()),
            ends: Some(Timestamp(u64::MAX >> 1)),
        };
        match self.store.add_lane(&mailbox(OWNER), lane, NOW).await {
            Ok(lane) => match self.store.end_lane(&mailbox(OWNER), EndLane { lane, ends: NOW }, NOW).await {
                Ok(()) => {}
                Err(LaneError::Unavailable(_)) => self.failed += 1,
                Err(other) => panic!("{other}"),
            },
            Err(LaneError::Unavailable(_)) => self.failed += 1,
            // Those that could not be ended.
            Err(LaneError::Rule(code)) => assert_eq!(code, waxwing_wire::frame::ErrorCode::LanesExhausted),
            Err(other) => panic!("{other}"),
        }
        let new = NewMailbox { owner_key: [self.made + 100; 32], close_hash: [0; 32], invite: None };
        match self.store.create_mailbox(new.clone(), NOW).await {
            Ok(()) => self.made += 1,
            Err(CreateError::Unavailable(_)) => self.failed += 1,
            Err(other) => panic!("{other}"),
        }
        self.write_version().await;
        let mut again = Vec::new();
        for (number, commit) in commits {
            match commit.await {
                Ok(()) => drop(self.there.insert(number)),
                Err(_) => {
                    self.failed += 1;
                    again.push(number);
                }
            }
        }
        // It goes on reading, whatever the disk does not take.
        self.reads().await;

        self.faults.end().unwrap();
        for number in again {
            let put = if puts.contains(&number) {
                self.store.put(envelope(OWNER, number), NOW).await.unwrap()
            } else {
                self.store.fan_out(fan_out(number, &[OWNER]), NOW).await.unwrap().remove(0).unwrap()
            };
            assert!(!put.repeated, "{number} was not accepted");
            put.commit.await.unwrap();
            self.there.insert(number);
        }
        if let (Some(number), false) = (acked, ack) {
            assert!(self.ack(Some(number)).await, "the disk is well");
        }
        let newest = self.store.state(&mailbox(OWNER), NOW).await.unwrap();
        for lane in newest.lanes.iter().filter(|lane| lane.ends.is_some()) {
            self.store.end_lane(&mailbox(OWNER), EndLane { lane: lane.lane, ends: NOW }, NOW).await.unwrap();
        }
        self.reads().await;
    }

    /// One that failed is not there, and the next builds on the one before it.
    async fn write_version(&mut self) {
        match registers::write(&self.store, self.version).await {
            Ok(()) => self.version += 1,
            Err(_) => self.failed += 1,
        }
        assert_eq!(registers::newest(&self.store), Some(self.version));
    }

    /// Whether it is on stable storage that the number is forgotten. It is forgotten either way.
    async fn ack(&mut self, number: Option<u64>) -> bool {
        let Some(number) = number else { return true };
        let read = self.store.read(&mailbox(OWNER), 0, u64::MAX, u32::MAX, NOW).await.unwrap();
        let sequence = read.iter().find(|one| number_of(one) == number).map(|one| one.sequence);
        let newest = self.store.state(&mailbox(OWNER), NOW).await.unwrap().newest;
        let ack = Ack::new(0, vec![sequence.unwrap_or(newest)]).unwrap();
        assert!(sequence.is_some() || !self.there.contains(&number));
        self.there.remove(&number);
        let commit = if sequence.is_some() {
            self.store.ack(&mailbox(OWNER), &ack, NOW).await
        } else {
            // Acked before, without a word that it held: any ack says so now.
            self.store.ack(&mailbox(OWNER), &Ack::new(1, Vec::new()).unwrap(), NOW).await
        };
        match commit {
            Ok(commit) => commit.await.is_ok(),
            Err(AckError::Unavailable(_)) => false,
            Err(other) => panic!("{other}"),
        }
    }

    async fn reads(&self) {
        let read = self.store.read(&mailbox(OWNER), 0, u64::MAX, u32::MAX, NOW).await.unwrap();
        let numbers: Vec<_> = read.iter().map(number_of).collect();
        let once: BTreeSet<_> = numbers.iter().copied().collect();
        assert_eq!(numbers.len(), once.len());
        assert_eq!(once, self.there);
    }
}

async fn work(folder: &Path) {
    let faults = Faults::new(Path::new(&env::var_os("WAXWING_FAULT").unwrap())).unwrap();
    let store = SqliteStore::open(folder, rules(), NOW).await.unwrap();
    let new = NewMailbox { owner_key: [OWNER; 32], close_hash: [0; 32], invite: None };
    store.create_mailbox(new, NOW).await.unwrap();
    let hash = LaneHash::of(&mailbox(OWNER), &[OWNER; 16]);
    store.add_lane(&mailbox(OWNER), AddLane { lane: NewLane::Contacts, hash, ends: None }, NOW).await.unwrap();
    registers::make(&store).await.unwrap();
    let mut work = Work { store, faults, next: 0, there: BTreeSet::new(), made: 0, version: 1, failed: 0 };
    work.round().await;
    assert_eq!(work.failed, 0, "the disk is well");
    for (kind, error) in [
        (Kind::Writes, Error::Full),
        (Kind::Writes, Error::Broken),
        (Kind::Syncs, Error::Broken),
        (Kind::Syncs, Error::Full),
        (Kind::Both, Error::Broken),
    ] {
        for after in 0..16 {
            let before = work.failed;
            work.faults.begin(kind, error, after).unwrap();
            work.round().await;
            assert!(after > 0 || work.failed > before, "{kind:?} {error:?} did not fail");
        }
    }
    assert!(work.failed > 100, "{} failures", work.failed);

    // Nor does opening panic.
    let Work { store, mut faults, there, made, version, .. } = work;
    store.close().await;
    drop(store);
    let mut refused = 0;
    for (kind, error) in [(Kind::Writes, Error::Full), (Kind::Syncs, Error::Broken)] {
        for after in 0..6 {
            faults.begin(kind, error, after).unwrap();
            match SqliteStore::open(folder, Rules::default(), NOW).await {
                Ok(store) => store.abandon().await,
                Err(_) => refused += 1,
            }
            faults.end().unwrap();
        }
    }
    assert!(refused > 0);
    let store = SqliteStore::open(folder, rules(), NOW).await.unwrap();
    let read = store.read(&mailbox(OWNER), 0, u64::MAX, u32::MAX, NOW).await.unwrap();
    assert_eq!(read.iter().map(number_of).collect::<Vec<_>>(), there.into_iter().collect::<Vec<_>>());
    for number in 0..made {
        assert!(store.owner_key(&mailbox(number + 100)).is_some(), "mailbox {number} was made");
    }
    assert_eq!(registers::newest(&store), Some(version));
    registers::check(&store).await.unwrap();
    store.close().await;
}

#[test]
fn e8_a_disk_that_is_full_or_broken_at_any_write_or_sync_loses_nothing_that_was_accepted() {
    let name = "relay_faults::e8_a_disk_that_is_full_or_broken_at_any_write_or_sync_loses_nothing_that_was_accepted";
    if is_child("relay faults", |folder| runtime().block_on(work(folder))) {
        return;
    }
    on_a_failing_disk(name, "relay faults");
}
