//! The queue says what the entries say, whatever happens to them.
use std::collections::BTreeSet;

use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng as _};
use rand_core::Rng as _;
use waxwing_wire::{
    address::ServerAddress,
    id::{DeliveryId, MailboxId},
    keys::ServerKey,
};

use super::*;
use crate::store::Write;

const OWN: AccountId = AccountId::from_bytes([0xa0; 32]);

fn below(most: u32, rng: &mut ChaCha20Rng) -> u32 {
    rng.next_u32().checked_rem(most).unwrap()
}

fn one_of<T: Clone>(all: &[T], rng: &mut ChaCha20Rng) -> Option<T> {
    let count = u32::try_from(all.len()).unwrap();
    (count > 0).then(|| all[usize::try_from(below(count, rng)).unwrap()].clone())
}

fn device(number: u32) -> DeviceId {
    DeviceId::try_from(number).unwrap()
}

/// Three accounts, the first of which is our own, and what is listed of each.
struct Town {
    outbox: Outbox,
    listed: BTreeMap<AccountId, Vec<DeviceId>>,
    now: Timestamp,
    rng: ChaCha20Rng,
}

impl Town {
    fn new(seed: u64) -> Self {
        let listed = [OWN, AccountId::from_bytes([0xb0; 32]), AccountId::from_bytes([0xc0; 32])];
        Self {
            outbox: Outbox::new(OWN),
            listed: listed.into_iter().map(|account| (account, vec![device(1)])).collect(),
            now: Timestamp(1_800_000_000_000),
            rng: ChaCha20Rng::seed_from_u64(seed),
        }
    }

    fn account(&mut self) -> AccountId {
        let accounts: Vec<AccountId> = self.listed.keys().copied().collect();
        one_of(&accounts, &mut self.rng).unwrap()
    }

    fn entry(&mut self) -> Option<EntryKey> {
        let keys: Vec<EntryKey> = self.outbox.entries.keys().copied().collect();
        one_of(&keys, &mut self.rng)
    }

    fn add(&mut self, stage: &mut Stage) {
        let (account, mut id) = (self.account(), [0; 16]);
        self.rng.fill_bytes(&mut id);
        let later = self.now.saturating_add(Duration::from_secs(below(3, &mut self.rng).into()));
        let content = id.to_vec();
        let mut entry = match below(4, &mut self.rng) {
            0 => Entry::named(content, [((account, device(1)), later), ((account, device(2)), self.now)], self.now),
            _ if account == OWN => Entry::new(content, Audience::Siblings, self.now),
            _ => Entry::new(content, Audience::Peer, self.now),
        };
        entry.awaits_receipt = account != OWN && below(2, &mut self.rng) == 0;
        entry.route = if below(4, &mut self.rng) == 0 { Route::Receipts } else { Route::Conversation };
        self.outbox.add((account, MessageId::from_bytes(id)), entry, stage);
    }

    /// As an engine follows the manifests.
    fn follow(&mut self, stage: &mut Stage) {
        let all = &self.listed;
        let listed = |account: &AccountId| Listed { known: true, devices: all[account].clone(), siblings: vec![] };
        for key in self.outbox.take_uncompared(listed) {
            let of = &self.listed[&key.0];
            let devices: Vec<Device> = of.iter().map(|device| (key.0, *device)).collect();
            let (now, wait) = (self.now, below(2, &mut self.rng));
            let not_before = || now.saturating_add(Duration::from_secs(wait.into()));
            self.outbox.reconcile(&key, &devices, |device| of.contains(&device.1), not_before, stage);
            self.outbox.settle(&key, self.now, stage);
        }
    }

    fn seal(&mut self, stage: &mut Stage) {
        let due = self.outbox.due(self.now);
        assert!(due.iter().map(|(key, _)| self.outbox.entries[key].order).is_sorted(), "oldest first");
        for (key, device) in due.into_iter().filter(|(key, _)| key.1.as_bytes()[0] % 4 > 0) {
            self.outbox.sealed(&key, device, envelope(self.now), stage);
        }
    }

    fn step(&mut self) {
        let stage = &mut Stage::new();
        let account = self.account();
        let since = ago(self.now, Duration::from_secs(below(40 * 86_400, &mut self.rng).into()));
        match below(14, &mut self.rng) {
            0..3 => self.add(stage),
            3 => {
                let count = below(4, &mut self.rng);
                self.listed.insert(account, (1..=count).map(device).collect());
            }
            4 => self.follow(stage),
            5 => self.seal(stage),
            6 => {
                for destination in self.outbox.destinations().into_iter().take(3) {
                    self.outbox.accepted(&destination, self.now, stage);
                }
            }
            7 => {
                if let Some(destination) = one_of(&self.outbox.destinations(), &mut self.rng) {
                    self.outbox.unseal(&destination, stage);
                }
            }
            8 => {
                if let Some(key) = self.entry() {
                    self.outbox.received(&key, stage);
                }
            }
            9 => self.outbox.again(&account, (account, device(1)), since, stage),
            10 => self.outbox.anew(&account, since, stage),
            11 => self.outbox.copies_again(&OWN, &[device(3)], since, stage),
            12 => {
                let span = Duration::from_secs(below(2 * 86_400, &mut self.rng).into());
                self.now = self.now.saturating_add(span);
                let naive = self.expired(&account);
                let again: BTreeSet<MessageId> =
                    self.outbox.expired_again(&account, self.now, stage).into_iter().collect();
                assert_eq!(again, naive, "without a receipt for a fortnight");
                self.outbox.tidy(self.now, stage);
            }
            _ if below(10, &mut self.rng) == 0 => {
                self.outbox.give_up(&account, stage);
            }
            _ => {}
        }
    }

    fn expired(&self, account: &AccountId) -> BTreeSet<MessageId> {
        let of =
            self.outbox.entries.iter().filter(|((of, _), entry)| of == account && entry.may_have_expired(self.now));
        of.map(|((_, id), _)| *id).collect()
    }

    /// Everything that the queue says, as all entries say it.
    fn check(&mut self) {
        let outbox = &self.outbox;
        let mut open: Vec<(u64, EntryKey)> = Vec::new();
        let (mut waiting, mut kept) = (BTreeSet::new(), BTreeMap::<_, Vec<u64>>::new());
        for (key, entry) in &outbox.entries {
            if entry.sent.is_none() {
                open.push((entry.order, *key));
                let all = entry.targets.iter().filter(|(_, target)| target.state == TargetState::Waiting);
                waiting.extend(all.map(|(device, target)| (*key, *device, target.not_before)));
            } else if entry.delivered {
                kept.entry((key.0, entry.route)).or_default().push(entry.order);
            }
        }
        open.sort_unstable();
        let said: Vec<EntryKey> = outbox.queue.open().copied().collect();
        assert_eq!(said, open.into_iter().map(|(_, key)| key).collect::<Vec<_>>());
        assert_eq!(outbox.is_quiet(), said.is_empty());
        assert!(
            kept.iter().all(|((of, _), kept)| kept.len() <= if *of == OWN { KEPT_OF_COPIES } else { KEPT }),
            "{kept:?}"
        );
        let next = waiting.iter().map(|(.., at)| *at).filter(|at| *at > self.now).min();
        assert_eq!(outbox.next_due(self.now), next);
        for destination in outbox.destinations() {
            let entry = &outbox.entries[&(destination.conversation, destination.id)];
            let target = entry.targets[&(destination.account, destination.device)];
            assert_eq!(target.state, TargetState::Sealed);
        }
        let due: BTreeSet<(EntryKey, Device)> = self.outbox.due(self.now).into_iter().collect();
        let naive = waiting.iter().filter(|(.., at)| *at <= self.now).map(|(key, device, _)| (*key, *device));
        assert_eq!(due, naive.collect(), "never as many as may be on their way");
    }

    /// After the manifests were followed no open entry lacks a device, or has one that is gone.
    fn check_followed(&mut self) {
        self.follow(&mut Stage::new());
        let all = &self.listed;
        let listed = |account: &AccountId| Listed { known: true, devices: all[account].clone(), siblings: vec![] };
        assert_eq!(self.outbox.take_uncompared(listed), [], "nobody looks twice at the same");
        for (key, entry) in self.outbox.entries.iter().filter(|(_, entry)| entry.sent.is_none()) {
            let listed: BTreeSet<Device> = self.listed[&key.0].iter().map(|device| (key.0, *device)).collect();
            let targets: BTreeSet<Device> = entry.targets.keys().copied().collect();
            assert!(targets.is_subset(&listed), "{entry:?}");
            assert!(entry.audience == Audience::Named || targets == listed, "{entry:?}");
        }
    }
}

fn envelope(made: Timestamp) -> SealedEnvelope {
    let key = ServerKey::from_seed(&[1; 32]).public_key();
    SealedEnvelope {
        server: ServerAddress::new(key, vec!["relay.example.org:4433".parse().unwrap()]).unwrap(),
        mailbox: MailboxId::from_bytes([2; 16]),
        delivery: DeliveryId::from_bytes([3; 16]),
        envelope: vec![4],
        made,
        opening: false,
        by_work: false,
        price: None,
        nonce: None,
        refused: false,
    }
}

#[test]
fn the_queue_says_what_the_entries_say() {
    let seeds = std::env::var("WAXWING_SEEDS").map_or(20, |seeds| seeds.parse().unwrap());
    let first = std::env::var("WAXWING_FIRST").map_or(1, |first| first.parse().unwrap());
    for seed in first..first + seeds {
        println!("seed {seed}; again: WAXWING_FIRST={seed} WAXWING_SEEDS=1");
        let mut town = Town::new(seed);
        for step in 0..400 {
            town.step();
            town.check();
            if step % 20 == 0 {
                town.check_followed();
                town.check();
            }
        }
    }
}

/// A device that is out of reach has so many envelopes made for it, and others have theirs.
#[test]
fn what_waits_for_one_device_is_sealed_piece_by_piece() {
    let (mut town, stage) = (Town::new(1), &mut Stage::new());
    let (near, far) = (AccountId::from_bytes([0xb0; 32]), AccountId::from_bytes([0xc0; 32]));
    for number in 0..1_000_u128 {
        for account in [near, far] {
            let id = MessageId::from_bytes(number.to_be_bytes());
            town.outbox.add((account, id), Entry::new(vec![1], Audience::Peer, town.now), stage);
        }
    }
    town.now = town.now.saturating_add(Duration::from_secs(1));
    town.follow(stage);
    town.now = town.now.saturating_add(Duration::from_secs(1));
    let mut arrived = Vec::new();
    while arrived.len() < 1_000 {
        for (key, device) in town.outbox.due(town.now) {
            town.outbox.sealed(&key, device, envelope(town.now), stage);
        }
        assert_eq!(town.outbox.due(town.now), [], "nothing more before something is there");
        assert!(town.outbox.destinations().len() <= 2 * MOST_UNDERWAY);
        assert_eq!(town.outbox.ahead(&(far, device(1))).map(|ahead| ahead.id), Some(MessageId::from_bytes([0; 16])));
        let first = town.outbox.destinations().into_iter().find(|destination| destination.account == near).unwrap();
        town.outbox.accepted(&first, town.now, stage);
        arrived.push(u128::from_be_bytes(*first.id.as_bytes()));
    }
    assert!(arrived.is_sorted(), "in the order in which they were said");
    assert_eq!(town.outbox.ahead(&(near, device(1))), None);
}

#[test]
fn of_what_was_delivered_the_newest_are_kept() {
    let (mut town, stage) = (Town::new(1), &mut Stage::new());
    let bob = AccountId::from_bytes([0xb0; 32]);
    let mut keys = Vec::new();
    for number in 0..100_u128 {
        let (key, route) = (
            (bob, MessageId::from_bytes((1_000 - number).to_be_bytes())),
            if number % 2 == 0 { Route::Receipts } else { Route::Conversation },
        );
        let entry = Entry { route, awaits_receipt: number % 10 == 9, ..Entry::new(vec![1], Audience::Peer, town.now) };
        town.outbox.add(key, entry, stage);
        keys.push(key);
    }
    town.follow(stage);
    town.now = town.now.saturating_add(Duration::from_secs(1));
    for (key, device) in town.outbox.due(town.now) {
        town.outbox.sealed(&key, device, envelope(town.now), stage);
    }
    for destination in town.outbox.destinations() {
        town.outbox.accepted(&destination, town.now, stage);
    }
    let left = |town: &Town| -> Vec<usize> {
        let there = |place: &usize| town.outbox.contains(&keys[*place]);
        (0..keys.len()).filter(there).collect()
    };
    // All that wait for a receipt; of the 40 that do not the newest 32, and 32 of the 50 receipts.
    let expected = |place: &usize| place % 10 == 9 || *place >= 36 || (place % 2 == 1 && *place >= 20);
    assert_eq!(left(&town), (0..100).filter(expected).collect::<Vec<_>>());
    for place in [9, 19, 29] {
        assert!(town.outbox.received(&keys[place], stage));
    }
    // 9 and 19 are older than all of the 32, 21 is older than 29.
    let kept = |place: &usize| expected(place) && ![9, 19, 21].contains(place);
    assert_eq!(left(&town), (0..100).filter(kept).collect::<Vec<_>>());
}

#[test]
fn a_start_finds_everything_again() {
    let mut town = Town::new(3);
    for _ in 0..400 {
        town.step();
    }
    let mut stage = Stage::new();
    town.outbox.save_all(&mut stage);
    let records =
        stage.writes().iter().filter_map(|write| if let Write::Put(record) = write { Some(record) } else { None });
    let mut records: Vec<&Record> = records.collect();
    assert!(records.len() > 20);
    for _ in 0..2 {
        let mut outbox = Outbox::new(OWN);
        records.iter().for_each(|record| outbox.restore(record).unwrap());
        assert_eq!(outbox.destinations(), town.outbox.destinations(), "in the order of their entries");
        let mut again = Town { outbox, ..Town::new(4) };
        (again.now, again.listed) = (town.now, town.listed.clone());
        again.check();
        again.check_followed();
        // An envelope may come before its entry.
        records.reverse();
    }
}
