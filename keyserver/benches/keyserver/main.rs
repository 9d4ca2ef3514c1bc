//! What a key server does over QUIC on loopback, beside a bare echo with the same provider and frames, interleaved in one run.
//!
//! `cargo bench --workspace --bench keyserver`; `WAXWING_ROUNDS` (5), `WAXWING_CONNECTIONS` of those who fetch, and of the echo's
//! (`4,8,16,32`, one after another), `WAXWING_SECONDS` of uploads (2), `WAXWING_ACCOUNTS` (the many; 50,000), `WAXWING_KEEP` (a
//! folder where databases are kept for the next run). `WAXWING_PART` (`one-time`, `last-resort` or `echo`) does nothing else, for
//! profiles; with `WAXWING_STOCKED` it fetches from as many accounts (1,000), and `WAXWING_APART=1` gives servers threads of their
//! own. Figures are the machine's, generator included: ratios carry over (keyserver/BENCHMARKS.md).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    dead_code,
    missing_docs,
    reason = "a bench"
)]
use std::{sync::Arc, time::Duration};

use waxwing_net::echo;
use waxwing_wire::{
    address::ServerAddress,
    keyserver::{FetchBundles, KeyserverReply, KeyserverRequest},
};

mod load;
mod machine;
#[path = "../../tests/it/people.rs"]
mod people;
mod place;

use load::{Expect, Load, NEWCOMERS_EACH, UPLOADERS};
use machine::Cost;
use place::{Place, Serving, Stock};

/// Accounts whose keys fetches are measured with. Each of their devices has as many one-time keys as all rounds take from it.
const STOCKED: u64 = 1_000;
/// The few that the many are compared with.
const FEW: u64 = 500;
/// Fetches of a round with each number of connections.
const FETCHES: u64 = 9_000;
/// Fetches whose times are looked at, of a round.
const TIMED: u64 = 2_000;
const CALM: Load = Load { connections: 1, in_flight: 8 };

fn variable(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

fn connections() -> Vec<usize> {
    let list = std::env::var("WAXWING_CONNECTIONS").unwrap_or_else(|_| "4,8,16,32".into());
    list.split(',').map(|count| count.trim().parse().unwrap()).collect()
}

/// What is measured, and how.
struct Bench {
    rounds: u64,
    connections: Vec<usize>,
    echo: ServerAddress,
    /// Of a reply with three bundles.
    frame: usize,
}

impl Bench {
    /// Three times as many of the others, which are as much faster.
    async fn echo(&self, connections: usize) -> (u64, Cost) {
        (3 * FETCHES, load::echoes(&self.echo, self.frame, Load::busy(connections), 3 * FETCHES).await)
    }

    async fn fetch(&self, place: &Arc<Place>, connections: usize, expect: Expect) -> (u64, Cost) {
        (FETCHES, load::fetches(place, Load::busy(connections), FETCHES, expect).await.0)
    }

    /// One part alone, round after round: for a profile, and for what of it is the server's.
    async fn one_part(&self, part: &str, stocked: &Arc<Place>, bare: &Arc<Place>) {
        println!("begins");
        for _ in 0..self.rounds {
            for connections in self.connections.iter().copied() {
                let (count, cost) = match part {
                    "one-time" => self.fetch(stocked, connections, Expect::OneTime).await,
                    "last-resort" => self.fetch(bare, connections, Expect::LastResort).await,
                    "echo" => self.echo(connections).await,
                    _ => panic!("one-time, last-resort or echo"),
                };
                let each = |seconds: f64| seconds * 1e6 / count as f64;
                let (own, others) = cost.busy();
                println!(
                    "{part}, {connections:>2} connections: {:>6.0} a second, {:>4.0} µs of processor time each, {:>3.0} µs of it \
                     on the server's own threads; {own:.2} processors were busy with it, {others:.2} with other things",
                    rate(count, cost),
                    each(cost.own),
                    each(cost.served),
                );
            }
        }
    }

    async fn rounds(
        &self,
        time: Duration,
        stocked: &Arc<Place>,
        bare: &Arc<Place>,
        few: &Arc<Place>,
        many: &Arc<Place>,
    ) {
        let mut figures = Figures::default();
        for _ in 0..self.rounds {
            for connections in self.connections.iter().copied() {
                let one_time = self.fetch(stocked, connections, Expect::OneTime).await;
                let last_resort = self.fetch(bare, connections, Expect::LastResort).await;
                figures.compare(connections, one_time, last_resort, self.echo(connections).await);
            }
            let (uploaded, cost) = load::uploads(stocked, time).await;
            figures.note("uploads of 100 keys a minute", rate(uploaded, cost) * 60.0);
            figures.note("processor time of an upload, ms, generator included", cost.own * 1e3 / uploaded as f64);
            figures.note("uploads a minute of processor time", uploaded as f64 * 60.0 / cost.own);
            let at = |times: &[Duration], percent: usize| times[times.len() * percent / 100].as_secs_f64() * 1e6;
            let (_, with_few) = load::fetches(few, CALM, TIMED, Expect::OneTime).await;
            let (_, with_many) = load::fetches(many, CALM, TIMED, Expect::OneTime).await;
            figures.note("p50 of 8 in flight with 500 accounts, µs", at(&with_few, 50));
            figures.note("p50 of 8 in flight with many accounts, µs", at(&with_many, 50));
            figures.note("p99 of 8 in flight with 500 accounts, µs", at(&with_few, 99));
            figures.note("p99 of 8 in flight with many accounts, µs", at(&with_many, 99));
            figures.note("p99 with many / with 500", at(&with_many, 99) / at(&with_few, 99));
        }
        figures.print();
    }
}

fn rate(count: u64, cost: Cost) -> f64 {
    count as f64 / cost.took.as_secs_f64()
}

/// Rows of figures, one a round, in the order in which they first came.
#[derive(Default)]
struct Figures(Vec<(String, Vec<f64>)>);

impl Figures {
    fn note(&mut self, name: &str, figure: f64) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, figures)) => figures.push(figure),
            None => self.0.push((name.into(), vec![figure])),
        }
    }

    fn compare(&mut self, connections: usize, one_time: (u64, Cost), last_resort: (u64, Cost), echo: (u64, Cost)) {
        let each = |(count, cost): (u64, Cost)| cost.own * 1e6 / count as f64;
        let rate = |(count, cost)| rate(count, cost);
        let mut note = |name: &str, figure| self.note(&format!("{connections:>2} connections: {name}"), figure);
        note("processor time of a fetch with one-time keys, µs", each(one_time));
        note("processor time of one without, µs", each(last_resort));
        note("processor time of an echo, µs", each(echo));
        note("echo / fetch by processor time", each(echo) / each(one_time));
        note("echo / last resort by processor time", each(echo) / each(last_resort));
        note("bundles of 3 devices a second", rate(one_time));
        note("the same without one-time keys left", rate(last_resort));
        note("bare echo of as many bytes a second", rate(echo));
        note("bundles / echo", rate(one_time) / rate(echo));
        note("last resort / echo", rate(last_resort) / rate(echo));
        note("processors busy with fetches", one_time.1.busy().0);
        note("processors busy with echoes", echo.1.busy().0);
        let others = [one_time, last_resort, echo].map(|(_, cost)| cost.busy().1);
        note("processors busy with other things", others.into_iter().fold(0.0, f64::max));
    }

    fn print(&self) {
        for (name, figures) in &self.0 {
            println!("{name:<68}{:>12.2}", median(figures));
        }
    }
}

fn median(figures: &[f64]) -> f64 {
    let mut figures = figures.to_vec();
    figures.sort_unstable_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// The length of a reply with bundles.
async fn frame(place: &Place) -> usize {
    let (_client, connection) = load::connect(&place.address).await;
    let fetch = FetchBundles::new(place.accounts[0], vec![]).unwrap();
    let reply = connection.request(KeyserverRequest::FetchBundles(fetch)).await.unwrap();
    assert!(matches!(reply, KeyserverReply::Bundles(_)));
    let id = waxwing_wire::relay::RequestId::new(1).unwrap();
    waxwing_wire::keyserver::Reply { id, result: Ok(reply) }.encode().unwrap().len()
}

async fn run(serving: &Serving) {
    let (rounds, connections) = (variable("WAXWING_ROUNDS", 5), connections());
    let part = std::env::var("WAXWING_PART").ok();
    let echo = serving.run(async {
        let (listener, address) = place::listen();
        tokio::spawn(async move { echo::serve(&listener, echo::Answer::First(12)).await });
        address
    });
    let echo = echo.await;
    let open = |stock| async move { Arc::new(serving.run(Place::open(stock)).await) };
    let taking = part.as_deref().is_none_or(|part| part == "one-time");
    let taken = if taking { rounds * FETCHES * connections.len() as u64 } else { 0 };
    let accounts = variable("WAXWING_STOCKED", STOCKED);
    let one_time = u32::try_from(taken.div_ceil(accounts)).unwrap();
    assert!(one_time <= 200, "no device may have keys for so many rounds");
    let newcomers = if part.is_some() { 0 } else { rounds * UPLOADERS * NEWCOMERS_EACH as u64 };
    let stocked = open(Stock { accounts, one_time, newcomers }).await;
    let bare = open(Stock { accounts: FEW, one_time: 0, newcomers: 0 }).await;
    let bench = Bench { rounds, connections, echo, frame: frame(&bare).await };
    if let Some(part) = part {
        return bench.one_part(&part, &stocked, &bare).await;
    }
    let accounts = variable("WAXWING_ACCOUNTS", 50_000);
    let one_time = u32::try_from((rounds * TIMED).div_ceil(FEW)).unwrap();
    let few = open(Stock { accounts: FEW, one_time, newcomers: 0 }).await;
    let one_time = u32::try_from((rounds * TIMED).div_ceil(accounts)).unwrap();
    let many = open(Stock { accounts, one_time, newcomers: 0 }).await;
    println!("{accounts} accounts take {} bytes", std::fs::metadata(&many.file).unwrap().len());
    println!("a bundle's frame has {} bytes; medians of {rounds} rounds", bench.frame);
    let time = Duration::from_secs(variable("WAXWING_SECONDS", 2));
    bench.rounds(time, &stocked, &bare, &few, &many).await;
}

fn main() {
    // `cargo bench` passes flags of its own.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let serving = Serving::new(variable("WAXWING_APART", 0) == 1);
    runtime.block_on(run(&serving));
}
