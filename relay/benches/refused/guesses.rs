//! Guesses of two classes. Mailboxes lie in memory as they came; which of them a guess is about changes from one to the next, so that no class is
//! about one that the processor still has at hand.
use std::{
    future::Future,
    hint::black_box,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use dudect_bencher::{BenchRng, Class, CtRunner, rand::Rng as _};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng as _};
use sha2::{Digest as _, Sha256};
use waxwing_relay::{
    service::{Clock, Gone, Outbox, Rates, Relay, Session, Settings, Source},
    store::{MemoryStore, NewMailbox, Rules, Store as _},
};
use waxwing_wire::{
    delivery::{DeliveryKey, LaneHash},
    frame::ErrorCode,
    id::{DeliveryId, MailboxId},
    padding::Envelope,
    relay::{
        AddLane, Authenticate, Credential, EndLane, NewLane, OwnerKey, Put, RelayRequest, Request, RequestId,
        ServerFrame, Ttl,
    },
    request::Exporter,
    signature::Signature,
    time::Timestamp,
};

const NOW: Timestamp = Timestamp(1_800_000_000_000);
/// As many are there as are not.
const MAILBOXES: u32 = 512;
const ENDED: u8 = 2;
const WRONG: u8 = 9;

pub(crate) fn absent(runner: &mut CtRunner, rng: &mut BenchRng) {
    puts(runner, rng, Ttl::Fortnight, |_, _| ());
}

pub(crate) fn absent_and_a_hash(runner: &mut CtRunner, rng: &mut BenchRng) {
    puts(runner, rng, Ttl::Fortnight, |class, payload| {
        // What must never be written: work that only mailboxes cost which are there.
        if is_left(class) {
            black_box(Sha256::digest(black_box(payload.first_chunk::<16>().unwrap())));
        }
    });
}

pub(crate) fn online(runner: &mut CtRunner, rng: &mut BenchRng) {
    puts(runner, rng, Ttl::OnlineOnly, |_, _| ());
}

pub(crate) fn ended(runner: &mut CtRunner, rng: &mut BenchRng) {
    let world = World::new();
    for _ in 0..samples(200) {
        let (class, number) = toss(rng);
        let key = if is_left(class) { WRONG } else { ENDED };
        let payload = world.put(mailbox(number), key, Ttl::Fortnight, rng);
        runner.run_one(class, || world.refused(&payload));
    }
}

pub(crate) fn owner(runner: &mut CtRunner, rng: &mut BenchRng) {
    let world = World::new();
    for _ in 0..samples(60) {
        let (class, number) = toss(rng);
        let mut signature = [0; 64];
        rng.fill_bytes(&mut signature);
        // A scalar that is one: nothing is refused before it is verified.
        signature[63] = 0;
        let signature = Signature::from_bytes(signature);
        let body = RelayRequest::Authenticate(Authenticate { mailbox: of_class(class, number), signature });
        let payload = world.request(body);
        runner.run_one(class, || world.refused(&payload));
    }
}

fn puts(runner: &mut CtRunner, rng: &mut BenchRng, ttl: Ttl, then: fn(Class, &[u8])) {
    let world = World::new();
    for _ in 0..samples(400) {
        let (class, number) = toss(rng);
        let payload = world.put(of_class(class, number), WRONG, ttl, rng);
        runner.run_one(class, || {
            world.refused(&payload);
            then(class, &payload);
        });
    }
}

const fn is_left(class: Class) -> bool {
    matches!(class, Class::Left)
}

/// A fair coin, and one of the mailboxes.
fn toss(rng: &mut BenchRng) -> (Class, u32) {
    let number = rng.next_u32();
    (if number & 1 == 0 { Class::Left } else { Class::Right }, (number >> 1) % MAILBOXES)
}

/// Left: one that is there. Right: one that is not.
fn of_class(class: Class, number: u32) -> MailboxId {
    mailbox(if is_left(class) { number } else { MAILBOXES + number })
}

fn owner_key(number: u32) -> OwnerKey {
    let mut seed = [7; 32];
    seed[..4].copy_from_slice(&number.to_be_bytes());
    OwnerKey::from_seed(&seed)
}

/// Made once: making one takes longer than what is timed.
fn mailbox(number: u32) -> MailboxId {
    static IDS: std::sync::OnceLock<Vec<MailboxId>> = std::sync::OnceLock::new();
    let make = || (0..2 * MAILBOXES).map(|number| owner_key(number).mailbox()).collect();
    IDS.get_or_init(make)[number as usize]
}

/// A relay with a guesser's connection.
struct World {
    session: Arc<Session<MemoryStore, Ear>>,
    last: AtomicU32,
}

impl World {
    fn new() -> Self {
        let store = MemoryStore::new(Rules::default());
        for number in 0..MAILBOXES {
            let new =
                NewMailbox { owner_key: *owner_key(number).public_key().as_bytes(), close_hash: [1; 32], invite: None };
            now(store.create_mailbox(new, NOW)).unwrap();
            let id = mailbox(number);
            let lanes = [NewLane::Contacts, NewLane::Groups, NewLane::Own].into_iter().zip(1..);
            for (lane, key) in lanes {
                let hash = LaneHash::of(&id, &[key; 16]);
                let lane = now(store.add_lane(&id, AddLane { lane, hash, ends: None }, NOW)).unwrap();
                if key == ENDED {
                    // The audience keeps a lane that is live, as it does after a rotation.
                    now(store.end_lane(&id, EndLane { lane, ends: NOW }, NOW)).unwrap();
                    let hash = LaneHash::of(&id, &[4; 16]);
                    now(store.add_lane(&id, AddLane { lane: NewLane::Groups, hash, ends: None }, NOW)).unwrap();
                }
            }
        }
        let settings = Settings { rates: Rates::UNLIMITED, ..Settings::default() };
        let relay = Relay::new(store, settings, Clock::new(|| NOW), &mut ChaCha20Rng::seed_from_u64(1));
        let session = relay.session(Exporter::from_bytes([1; 32]), Source(1), Ear);
        Self { session, last: AtomicU32::new(0) }
    }

    fn request(&self, body: RelayRequest) -> Vec<u8> {
        let id = RequestId::new(self.last.fetch_add(1, Ordering::Relaxed) % 1_000_000 + 1).unwrap();
        Request { id, body }.encode().unwrap()
    }

    fn put(&self, mailbox: MailboxId, key: u8, ttl: Ttl, rng: &mut BenchRng) -> Vec<u8> {
        let (mut delivery, mut envelope) = ([0; 16], vec![0; 2_560]);
        rng.fill_bytes(&mut delivery);
        rng.fill_bytes(&mut envelope[..32]);
        self.request(RelayRequest::Put(Put {
            mailbox,
            delivery: DeliveryId::from_bytes(delivery),
            ttl,
            by: Credential::Key(DeliveryKey::from_bytes([key; 16])),
            envelope: Envelope::new(envelope).unwrap(),
        }))
    }

    /// From a request's bytes to its reply, which [`Ear`] checks.
    fn refused(&self, payload: &[u8]) {
        now(self.session.receive(payload).unwrap());
    }
}

/// Hears refusals, and nothing else.
struct Ear;

impl Outbox for Ear {
    async fn control(&self, frame: &ServerFrame) -> Result<(), Gone> {
        match frame {
            ServerFrame::Reply { result: Err(error), .. } if error.code == ErrorCode::Refused => Ok(()),
            other => panic!("what is timed is a refusal: {other:?}"),
        }
    }

    async fn backlog(&self, _: &ServerFrame) -> Result<(), Gone> {
        Ok(())
    }

    async fn pause(&self, _: Duration) {}

    fn end(&self, _: ErrorCode) {}
}

/// A store in memory answers at once.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    match Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("a store in memory waits for nothing"),
    }
}

/// How often a check is timed: `WAXWING_CT_SAMPLES` times its own number of thousands.
fn samples(thousands: usize) -> usize {
    let factor = std::env::var("WAXWING_CT_SAMPLES").ok().and_then(|value| value.parse::<f64>().ok()).unwrap_or(1.0);
    ((thousands * 1_000) as f64 * factor) as usize
}
