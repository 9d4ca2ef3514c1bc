//! Somebody says a lot to a person whose relay is out of reach, and then it is there again: what that costs a message, with few of them and
//! with many. Nobody acknowledges.
//!
//! ```sh
//! cargo bench -p waxwing-engine --bench queue
//! ```
//! Processor time of this thread, with the store in memory and the town's relay in it, in µs and in units of one x25519-dalek ladder measured in
//! the same run. What grows with the queue shows in the last column.
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
use waxwing_engine::Purpose;
use x25519_dalek::{PublicKey, StaticSecret};

use self::town::Town;

const FEW: usize = 1_000;
const MANY: usize = 10_000;

/// The unit: x25519-dalek's Montgomery ladder.
fn ladder() -> Duration {
    let (secret, public) = (StaticSecret::from([7; 32]), PublicKey::from(&StaticSecret::from([9; 32])));
    let start = ThreadTime::now();
    for _ in 0..2_000 {
        black_box(secret.diffie_hellman(black_box(&public)));
    }
    start.elapsed() / 2_000
}

/// µs a message: to put it into the queue, and to deliver it.
fn measure(messages: usize) -> [f64; 2] {
    let mut town = Town::with_two_friends();
    let bob = town.account(1);
    town.holds_deliveries = true;
    town.out_of_reach = Some(|purpose| matches!(purpose, Purpose::Conversation(_)));
    town.pass(Duration::from_secs(60));
    let each = |start: ThreadTime| start.elapsed().as_secs_f64() * 1e6 / messages as f64;
    let start = ThreadTime::now();
    for number in 0..messages {
        town.say(0, bob, &format!("message {number}, which is about as long as messages are"));
    }
    let queued = each(start);
    town.out_of_reach = None;
    let start = ThreadTime::now();
    town.pass(Duration::from_secs(60));
    let delivered = each(start);
    assert_eq!((town.residents[0].engine().waiting(), town.waiting(1).len()), (vec![], messages));
    [queued, delivered]
}

fn main() {
    let unit = ladder().as_secs_f64() * 1e6;
    let (few, many) = (measure(FEW), measure(MANY));
    println!("\na ladder: {unit:.1} µs");
    println!("{:<12} {:>16} {:>16} {:>10} {:>14}", "", "µs of 1,000", "µs of 10,000", "ladders", "many / few");
    for (place, name) in ["queued", "delivered"].into_iter().enumerate() {
        let (few, many) = (few[place], many[place]);
        println!("{name:<12} {few:>16.1} {many:>16.1} {:>10.2} {:>14.2}", many / unit, many / few);
    }
}
