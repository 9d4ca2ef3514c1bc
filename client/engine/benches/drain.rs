//! 10,000 messages of one contact's device that waited, opened by one engine over a store in memory: pushes as a relay sends them, with
//! a window of 256; saves performed, acks answered at once.
//!
//! ```sh
//! cargo bench -p waxwing-engine --bench drain              # criterion's figures, then the table
//! cargo bench -p waxwing-engine --bench drain -- --table   # the table alone
//! ```
//! The table counts this thread's processor time, which other work on the machine does not lengthen by much, and gives it in
//! messages a second and in units of one x25519-dalek ladder measured in the same run.
#![allow(
    clippy::expect_used,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    reason = "a benchmark"
)]
#![allow(unreachable_pub, missing_docs, missing_debug_implementations, reason = "the town is made for tests")]

#[path = "../tests/town/mod.rs"]
mod town;

use std::{hint::black_box, time::Duration};

use cpu_time::ThreadTime;
use criterion::{BatchSize, Criterion, Throughput, criterion_group};
use waxwing_engine::Input;
use x25519_dalek::{PublicKey, StaticSecret};

use self::town::{Letter, Town};

const MESSAGES: usize = 10_000;
const BOB: usize = 1;

/// What waits for Bob, whose device is off.
struct Scene {
    town: Town,
    letters: Vec<Letter>,
    store: waxwing_engine::store::MemoryStore,
}

impl Scene {
    fn new() -> Self {
        let mut town = Town::with_two_friends();
        town.holds_deliveries = true;
        let bob = town.account(BOB);
        for number in 0..MESSAGES {
            town.say(0, bob, &format!("message {number}, which is about as long as messages are"));
        }
        let letters = town.waiting(BOB).clone();
        assert_eq!(letters.len(), MESSAGES);
        // Alice has nothing more to do with it.
        town.residents[0].wakes_at = None;
        let store = town.residents[BOB].store.clone();
        Self { town, letters, store }
    }

    /// Bob's device begins anew, is connected and subscribed.
    fn set_up(&mut self, one_by_one: bool) {
        let bob = &mut self.town.residents[BOB];
        bob.store = self.store.clone();
        bob.restart();
        self.town.holds_deliveries = true;
        self.town.one_by_one = one_by_one;
        self.town.run();
        self.town.waiting(BOB).clone_from(&self.letters);
    }

    fn drain(&mut self) {
        self.town.holds_deliveries = false;
        // Receipts that become due go out with the rest.
        self.town.run();
        assert!(self.town.waiting(BOB).is_empty());
    }

    fn assert_drained(&self) {
        let alice = self.town.account(0);
        let messages = self.town.residents[BOB].messages(&alice);
        assert!(messages.len() > MESSAGES, "all are shown");
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

fn criterion_figures(c: &mut Criterion) {
    let mut group = c.benchmark_group("drain");
    group.sample_size(10).throughput(Throughput::Elements(MESSAGES as u64));
    let scene = std::cell::RefCell::new(Scene::new());
    for (name, one_by_one) in [("256 inputs a save", false), ("each input saved", true)] {
        let set_up = || scene.borrow_mut().set_up(one_by_one);
        group.bench_function(name, |b| {
            b.iter_batched(set_up, |()| scene.borrow_mut().drain(), BatchSize::PerIteration);
        });
    }
}

fn table() {
    let mut scene = Scene::new();
    println!("\n{:<28} {:>12} {:>12} {:>10} {:>10}", "", "messages/s", "us each", "ladders", "saves");
    for (name, one_by_one) in [("256 inputs a save", false), ("each input saved", true)] {
        let mut times: Vec<(Duration, Duration)> = Vec::new();
        let mut saves = 0;
        for _ in 0..3 {
            scene.set_up(one_by_one);
            let unit = ladder();
            let before = scene.town.residents[BOB].saves;
            let start = ThreadTime::now();
            scene.drain();
            times.push((start.elapsed() / MESSAGES as u32, unit));
            saves = scene.town.residents[BOB].saves - before;
            scene.assert_drained();
        }
        times.sort();
        let (time, unit) = times[times.len() / 2];
        let (each, ladders) = (time.as_secs_f64() * 1e6, time.as_secs_f64() / unit.as_secs_f64());
        println!("{name:<28} {:>12.0} {each:>12.1} {ladders:>10.2} {saves:>10}", 1e6 / each);
        println!("{:<28} {:>12} {:>12.1}", "  of that a ladder", "", unit.as_secs_f64() * 1e6);
    }
}

criterion_group!(benches, criterion_figures);

fn main() {
    // Named, so that the town's other uses of inputs count as used here.
    let _: fn(Input) = drop;
    if std::env::args().any(|argument| argument == "--table") {
        return table();
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
    table();
}
