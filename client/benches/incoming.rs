//! 10,000 messages that waited for a device, from the pushes of its relay to the encrypted store: engine and store together, without a network.
//!
//! ```text
//! pushes, a window of 256 at a time ─▶ engine ─▶ batch ─▶ encrypted store, on disk        acks are answered at once
//! ```
//! `cargo bench --workspace --bench incoming`; `WAXWING_MESSAGES` (10,000), `WAXWING_ROUNDS` (3). Counted is the processor time of all threads of this
//! process, and with it in units of one x25519-dalek ladder measured in the same run. The town (`client/engine/tests/town`) is in it: it is the relay,
//! and keeps a copy of everything in memory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    missing_docs,
    reason = "a panic is the report"
)]
#![allow(unreachable_pub, missing_debug_implementations, reason = "the town is made for tests")]
mod texts;
#[path = "../engine/tests/town/mod.rs"]
mod town;

use std::{
    cell::RefCell,
    hint::black_box,
    rc::Rc,
    time::{Duration, Instant},
};

use cpu_time::{ProcessTime, ThreadTime};
use tokio::runtime::Runtime;
use waxwing_client::store::{EncryptedStore, Protection};
use waxwing_engine::store::{Batch, MemoryStore, Store as _, Write};
use x25519_dalek::{PublicKey, StaticSecret};

use self::{
    texts::{Script, Texts},
    town::{Letter, Town},
};

const BOB: usize = 1;

/// What waits for Bob, whose device is off.
struct Scene {
    town: Town,
    letters: Vec<Letter>,
    before: MemoryStore,
}

impl Scene {
    fn new(messages: usize) -> Self {
        let mut town = Town::with_two_friends();
        town.holds_deliveries = true;
        let (bob, mut texts) = (town.account(BOB), Texts::new(Script::Latin));
        for _ in 0..messages {
            town.say(0, bob, &texts.text());
        }
        let letters = town.waiting(BOB).clone();
        assert_eq!(letters.len(), messages);
        // Alice has nothing more to do with it.
        town.residents[0].wakes_at = None;
        let before = town.residents[BOB].store.clone();
        Self { town, letters, before }
    }

    /// Bob's device begins anew, is connected and subscribed; from here on what it saves is saved in that store, too.
    fn set_up(&mut self, runtime: &Rc<Runtime>, store: &Rc<RefCell<EncryptedStore>>) {
        let bob = &mut self.town.residents[BOB];
        bob.store = self.before.clone();
        let records: Batch = bob.store.load_now().into_iter().map(Write::Put).collect();
        runtime.block_on(store.borrow_mut().save(&records)).unwrap();
        bob.restart();
        self.town.holds_deliveries = true;
        self.town.run();
        self.town.waiting(BOB).clone_from(&self.letters);
        let (runtime, store) = (Rc::clone(runtime), Rc::clone(store));
        let mirror = move |batch: &Batch| runtime.block_on(store.borrow_mut().save(batch)).unwrap();
        self.town.residents[BOB].mirror = Some(Box::new(mirror));
    }

    fn drain(&mut self) {
        self.town.holds_deliveries = false;
        self.town.run();
        assert!(self.town.waiting(BOB).is_empty());
    }
}

/// The unit: x25519-dalek's Montgomery ladder.
fn ladder() -> Duration {
    let (secret, public) = (StaticSecret::from([7; 32]), PublicKey::from(&StaticSecret::from([9; 32])));
    let start = ThreadTime::now();
    for _ in 0..2_000 {
        black_box(secret.diffie_hellman(black_box(&public)));
    }
    start.elapsed() / 2_000
}

fn main() {
    let variable = |name, otherwise| std::env::var(name).map_or(otherwise, |text| text.parse().unwrap());
    let (messages, rounds) = (variable("WAXWING_MESSAGES", 10_000), variable("WAXWING_ROUNDS", 3));
    let runtime = Rc::new(tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap());
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut scene = Scene::new(messages);
    println!(
        "\n| {messages} messages | a second by processor time | µs each | ladders | saves | a second by the wall |"
    );
    println!("|---|---|---|---|---|---|");
    for round in 1..=rounds {
        let profile = folder.path().join(round.to_string());
        let store = EncryptedStore::create(&profile, Protection::None);
        let store = Rc::new(RefCell::new(runtime.block_on(store).unwrap()));
        scene.set_up(&runtime, &store);
        let (unit, saves) = (ladder(), scene.town.residents[BOB].saves);
        let (begun, before) = (Instant::now(), ProcessTime::now());
        scene.drain();
        let (took, worked) = (begun.elapsed(), before.elapsed());
        let saves = scene.town.residents[BOB].saves - saves;
        scene.town.residents[BOB].mirror = None;
        let unread = runtime.block_on(store.borrow_mut().unread_in_all()).unwrap();
        assert_eq!(usize::try_from(unread).unwrap(), messages, "all of them are there");
        let each = worked.as_secs_f64() * 1e6 / messages as f64;
        println!(
            "| {round} | {:.0} | {each:.0} | {:.2} | {saves} | {:.0} |",
            1e6 / each,
            each / (unit.as_secs_f64() * 1e6),
            messages as f64 / took.as_secs_f64()
        );
    }
}
