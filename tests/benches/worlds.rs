//! What a simulated world costs: two people with two devices each, a minute in which they talk, in fair weather and in a storm; judged.
//!
//! ```sh
//! cargo bench -p waxwing-tests --bench worlds                     # 1,000 seeds of each
//! WAXWING_SEEDS=100 cargo bench -p waxwing-tests --bench worlds   # fewer
//! ```
//! Times are processor time of the one thread, also in units of one x25519-dalek ladder that is measured in the same run.
#![expect(clippy::expect_used, clippy::arithmetic_side_effects, reason = "a benchmark")]
use std::{hint::black_box, time::Duration};

use cpu_time::ThreadTime;
use waxwing_tests::world::{Weather, What, World, seeds};
use x25519_dalek::{PublicKey, StaticSecret};

/// Of a world whose seeds run in 90 seconds by the thousand.
const GOAL: Duration = Duration::from_millis(90);
const MINUTE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Cost {
    worlds: u32,
    set_up: Duration,
    minute: Duration,
    judging: Duration,
    envelopes: usize,
    slowest: Duration,
}

impl Cost {
    /// One world, from its seed.
    fn live_through(&mut self, seed: u64, weather: Weather) {
        let start = ThreadTime::now();
        let mut world = World::new(seed, 2);
        let (alice, bob) = world.two_friends(2, 2);
        let set_up = start.elapsed();
        world.forget_observed();
        world.weather = weather;
        world.schedule_weather(MINUTE);
        for round in 0..8 {
            for (person, other) in [(alice, bob), (bob, alice)] {
                world.say(world.device(person, round % 2), other, &format!("{round}"));
            }
            world.run_for(MINUTE / 8);
        }
        let minute = start.elapsed() - set_up;
        world.heal();
        world.run_for(MINUTE);
        let before = start.elapsed();
        let verdict = world.judge();
        assert!(verdict.faults.is_empty(), "seed {seed}: {}", verdict.faults.join("; "));
        let whole = start.elapsed();
        self.worlds += 1;
        self.set_up += set_up;
        self.minute += minute;
        self.judging += whole - before;
        self.envelopes += world.observed().iter().filter(|seen| matches!(seen.what, What::Put { .. })).count();
        self.slowest = self.slowest.max(set_up + minute);
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
    // Built by `cargo test --benches` too, which asks for nothing but that it runs.
    let is_asked = std::env::args().any(|argument| argument == "--bench");
    let unit = ladder();
    println!("a ladder: {:.1} us", unit.as_secs_f64() * 1e6);
    println!(
        "{:<6} {:>7} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "", "worlds", "set-up ms", "minute ms", "judge ms", "together", "slowest", "ladders", "envelopes"
    );
    for (name, weather) in [("calm", Weather::calm()), ("storm", Weather::storm())] {
        let mut cost = Cost::default();
        for seed in seeds(if is_asked { 1_000 } else { 1 }) {
            cost.live_through(seed, weather);
        }
        let each = |time: Duration| (time / cost.worlds).as_secs_f64() * 1e3;
        let whole = cost.set_up + cost.minute;
        println!(
            "{name:<6} {:>7} {:>10.1} {:>10.1} {:>10.2} {:>10.1} {:>10.1} {:>10.0} {:>10}",
            cost.worlds,
            each(cost.set_up),
            each(cost.minute),
            each(cost.judging),
            each(whole),
            cost.slowest.as_secs_f64() * 1e3,
            each(whole) / (unit.as_secs_f64() * 1e3),
            cost.envelopes / usize::try_from(cost.worlds).expect("few"),
        );
        println!(
            "{name}: {}",
            if whole / cost.worlds < GOAL { "within 90 ms a world" } else { "MORE THAN 90 ms A WORLD" }
        );
    }
}
