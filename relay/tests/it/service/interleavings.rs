//! Arbitrary interleavings of senders, subscriptions, acks, slow clients, reconnects and crashes of the service, against a plain
//! model: what was accepted and not acked comes, in order, within the window, and nothing else does.
//!
//! `WAXWING_CASES=10000 cargo test -p waxwing-relay --test it interleavings` for more; a failure prints its seed.
use std::collections::{BTreeMap, BTreeSet};

use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use waxwing_relay::store::{MemoryStore, Rules};
use waxwing_wire::{
    frame::ErrorCode,
    relay::{RelayPush, RelayReply, RelayRequest, RequestId},
};

use super::{
    between::Between,
    desk::{Phone, Place, ack, number_of, put, settings, subscribe},
};

const ALICE: u8 = 1;
const STEPS: u32 = 120;

type Slow = Between<MemoryStore>;

#[tokio::test]
async fn any_interleaving_pushes_what_was_accepted_in_order_and_within_the_window() {
    let cases = std::env::var("WAXWING_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(60_u64);
    let first = std::env::var("WAXWING_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1_u64);
    for seed in first..first + cases {
        println!("seed {seed}: WAXWING_SEED={seed} WAXWING_CASES=1");
        run(seed).await;
    }
}

async fn run(seed: u64) {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let store = Between::new(MemoryStore::new(Rules::default()), seed, below(&mut rng, 4));
    let mut world = World::new(&store, seed).await;
    for _ in 0..STEPS {
        match below(&mut rng, 20) {
            0..=6 => world.put(&mut rng),
            7..=8 => world.repeat(&mut rng),
            9..=10 => world.take(below(&mut rng, 6)),
            11..=13 => world.ack(&mut rng),
            14 => world.subscribe_again(&mut rng).await,
            15 => world.reconnect(&mut rng).await,
            16 => world.crash(&store, &mut rng).await,
            _ => world.let_work(below(&mut rng, 40)).await,
        }
        world.check();
    }
    world.finish().await;
}

fn below(rng: &mut ChaCha20Rng, end: u32) -> u32 {
    rng.next_u32() % end
}

struct World {
    place: Place<Slow>,
    sender: Phone<Slow>,
    owner: Owner,
    /// Envelopes by number: what is known of their puts.
    put: BTreeMap<u64, Fate>,
    asked: Vec<(RequestId, u64)>,
    next: u64,
    /// Which envelope has which place in the mailbox, for ever.
    places: BTreeMap<u64, u64>,
    /// Places whose acks were sent.
    acked: BTreeSet<u64>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    /// Without an answer; it may or may not be there.
    Open,
    Accepted,
}

/// The owner's connection and its subscription.
struct Owner {
    phone: Phone<Slow>,
    asked: Option<RequestId>,
    after: u64,
    window: u32,
    newest: Option<u64>,
    live: Vec<u64>,
    backlog: Vec<u64>,
    through: bool,
    /// Of this subscription: came, and was not acked.
    outstanding: BTreeSet<u64>,
}

impl Owner {
    fn new(phone: Phone<Slow>) -> Self {
        Self {
            phone,
            asked: None,
            after: 0,
            window: 1,
            newest: None,
            live: Vec::new(),
            backlog: Vec::new(),
            through: false,
            outstanding: BTreeSet::new(),
        }
    }

    async fn subscribe(&mut self, after: u64, window: u32) {
        if let Some(asked) = self.asked.take() {
            let _ = self.phone.reply(asked).await;
        }
        // What the subscription before has still in the queues is not this one's.
        self.phone.settle().await;
        self.phone.control.clear();
        self.phone.backlog.clear();
        (self.after, self.window, self.newest, self.through) = (after, window, None, false);
        (self.live, self.backlog, self.outstanding) = (Vec::new(), Vec::new(), BTreeSet::new());
        self.asked = Some(self.phone.ask(subscribe(after, window)));
    }
}

impl World {
    async fn new(store: &Slow, seed: u64) -> Self {
        let place = Place::over(store.clone(), settings());
        drop(place.owner(ALICE).await);
        let sender = place.connect(usize::MAX);
        let mut rng = ChaCha20Rng::seed_from_u64(seed ^ 1 << 63);
        let mut owner = Owner::new(place.back(ALICE, 1 + below(&mut rng, 8) as usize).await);
        owner.subscribe(0, 1 + below(&mut rng, 12)).await;
        let (put, places, acked) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Self { place, sender, owner, put, asked: Vec::new(), next: 1, places, acked }
    }

    fn put(&mut self, rng: &mut ChaCha20Rng) {
        for _ in 0..=below(rng, 12) {
            let number = self.next;
            self.next += 1;
            self.put.insert(number, Fate::Open);
            self.send(number);
        }
    }

    fn repeat(&mut self, rng: &mut ChaCha20Rng) {
        if self.next > 1 {
            self.send(1 + rng.next_u64() % (self.next - 1));
        }
    }

    fn send(&mut self, number: u64) {
        let id = self.sender.ask(RelayRequest::Put(put(ALICE, number)));
        self.asked.push((id, number));
    }

    fn take(&mut self, times: u32) {
        for _ in 0..times {
            self.owner.phone.take_one();
            self.owner.phone.take_backlog();
        }
    }

    async fn let_work(&mut self, rounds: u32) {
        for _ in 0..rounds {
            tokio::task::yield_now().await;
        }
    }

    /// Acks some of what came: everything up to a number, or single ones, again or for the first time.
    fn ack(&mut self, rng: &mut ChaCha20Rng) {
        let had: Vec<u64> = self.places.keys().copied().collect();
        if had.is_empty() {
            return;
        }
        let pick = |rng: &mut ChaCha20Rng| had[rng.next_u64() as usize % had.len()];
        let (up_to, also) = match below(rng, 3) {
            // Only as far as nothing is missing: a client does not ack what it has not got.
            0 => {
                let stored = |number: &u64| !self.acked.contains(number);
                let missing = (1..).find(|number| !self.places.contains_key(number) && stored(number)).unwrap();
                let whole = had.iter().take_while(|number| **number < missing).last().copied().unwrap_or(0);
                (whole, Vec::new())
            }
            1 => (0, vec![pick(rng)]),
            _ => {
                let also: BTreeSet<u64> = (0..4).map(|_| pick(rng)).collect();
                (0, also.into_iter().collect())
            }
        };
        if up_to == 0 && also.is_empty() {
            return;
        }
        self.acked.extend(self.places.range(..=up_to).map(|(place, _)| *place));
        self.acked.extend(also.iter().copied());
        self.owner.outstanding.retain(|place| !self.acked.contains(place));
        let _ = self.owner.phone.ask(ack(up_to, &also));
    }

    fn cursor(&self, rng: &mut ChaCha20Rng) -> u64 {
        if below(rng, 2) == 0 {
            return 0;
        }
        // As a client that kept what it has: the last place before the first that is missing.
        let known = |number: &u64| self.places.contains_key(number);
        (1..).take_while(known).last().unwrap_or(0)
    }

    async fn subscribe_again(&mut self, rng: &mut ChaCha20Rng) {
        self.check();
        let (after, window) = (self.cursor(rng), 1 + below(rng, 12));
        self.owner.subscribe(after, window).await;
    }

    async fn reconnect(&mut self, rng: &mut ChaCha20Rng) {
        self.check();
        let room = 1 + below(rng, 8) as usize;
        let phone = self.place.back(ALICE, room).await;
        // Sometimes the old connection is still there and learns that it was superseded.
        let old = std::mem::replace(&mut self.owner, Owner::new(phone));
        let (after, window) = (self.cursor(rng), 1 + below(rng, 12));
        self.owner.subscribe(after, window).await;
        drop(old);
    }

    /// Everything but the store is gone, whatever it was at.
    async fn crash(&mut self, store: &Slow, rng: &mut ChaCha20Rng) {
        self.check();
        self.place = Place::over(store.clone(), settings());
        self.sender = self.place.connect(usize::MAX);
        self.asked.clear();
        self.reconnect(rng).await;
    }

    /// Looks at everything that came.
    fn check(&mut self) {
        self.sender.take_all();
        let replies = &mut self.sender.replies;
        self.asked.retain(|(id, number)| match replies.remove(id) {
            None => true,
            Some(Ok(RelayReply::Done)) => {
                self.put.insert(*number, Fate::Accepted);
                false
            }
            Some(other) => panic!("put {number}: {other:?}"),
        });
        if let Some(reply) = self.owner.asked.and_then(|asked| self.owner.phone.replies.remove(&asked)) {
            self.owner.asked = None;
            let Ok(RelayReply::Subscribed(subscribed)) = reply else { panic!("{reply:?}") };
            self.owner.newest = Some(subscribed.newest);
        }
        for push in std::mem::take(&mut self.owner.phone.backlog) {
            assert!(!self.owner.through, "nothing follows the end of the backlog");
            match push {
                RelayPush::Delivery(delivery) => {
                    let place = self.note(delivery.sequence.0, number_of(&delivery));
                    assert!(self.owner.newest.is_none_or(|newest| place <= newest), "{place} is new");
                    self.owner.backlog.push(place);
                }
                RelayPush::BacklogEnd(end) => {
                    assert!(self.owner.newest.is_none_or(|newest| newest == end.sequence));
                    self.owner.through = true;
                }
                other => panic!("{other:?} on the backlog stream"),
            }
        }
        for push in std::mem::take(&mut self.owner.phone.control) {
            let RelayPush::Delivery(delivery) = push else { panic!("{push:?}") };
            let newest = self.owner.newest.expect("nothing comes before the reply");
            let place = self.note(delivery.sequence.0, number_of(&delivery));
            assert!(place > newest, "{place} had waited");
            self.owner.live.push(place);
        }
        assert!(self.owner.backlog.is_sorted_by(|one, two| one < two), "{:?}", self.owner.backlog);
        assert!(self.owner.live.is_sorted_by(|one, two| one < two), "{:?}", self.owner.live);
        let outstanding = self.owner.outstanding.len();
        assert!(outstanding <= self.owner.window as usize, "{outstanding} of {}", self.owner.window);
    }

    fn note(&mut self, place: u64, number: u64) -> u64 {
        assert!(self.put.contains_key(&number), "{number} was never put");
        assert!(place > self.owner.after, "{place} is not above the cursor");
        let known = self.places.insert(place, number);
        assert!(known.is_none_or(|known| known == number), "{place} was {known:?} and is {number}");
        if !self.acked.contains(&place) {
            self.owner.outstanding.insert(place);
        }
        place
    }

    /// In the end everything that was accepted came, at one place each, and everything acked is gone.
    async fn finish(mut self) {
        for _ in 0..2_000 {
            self.let_work(8).await;
            self.take(64);
            self.check();
            let whole = self.owner.outstanding.clone();
            if whole.is_empty() && self.owner.through && self.asked.is_empty() && self.arrived() {
                break;
            }
            let also: Vec<u64> = whole.into_iter().take(256).collect();
            if !also.is_empty() {
                self.acked.extend(also.iter().copied());
                self.owner.outstanding.clear();
                self.owner.phone.ask(ack(0, &also));
            }
        }
        assert!(self.asked.is_empty(), "every put is answered");
        let came: BTreeSet<u64> = self.places.values().copied().collect();
        assert_eq!(came.len(), self.places.len(), "one place each");
        let lost: Vec<_> =
            self.put.iter().filter(|(number, fate)| **fate == Fate::Accepted && !came.contains(number)).collect();
        assert!(lost.is_empty(), "accepted and lost: {lost:?}");
        let left: Vec<u64> = self.places.keys().copied().filter(|place| !self.acked.contains(place)).collect();
        for also in left.chunks(256) {
            assert_eq!(self.owner.phone.call(ack(0, also)).await, Ok(RelayReply::Done));
        }
        let Ok(RelayReply::MailboxState(state)) = self.owner.phone.call(RelayRequest::MailboxState).await else {
            panic!()
        };
        assert_eq!(state.envelopes, 0, "what was acked is forgotten");
        assert_eq!(self.owner.phone.code(subscribe(state.newest + 1, 1)).await, ErrorCode::CursorAhead);
    }

    fn arrived(&self) -> bool {
        let came: BTreeSet<u64> = self.places.values().copied().collect();
        self.put.iter().all(|(number, fate)| *fate == Fate::Open || came.contains(number))
    }
}
