//! Classes of bad minutes, by their seeds: a few in a test, many in a campaign.
//!
//! A campaign prints a table of classes, seeds, faults that happened and failures:
//!
//! ```sh
//! WAXWING_SEEDS=1000 cargo test --release --workspace --test world -- --ignored --nocapture matrix::campaign
//! WAXWING_SEEDS=1000 cargo test --release --workspace --test world -- --ignored --nocapture wired::campaign
//! ```
//! `WAXWING_CLASSES=loss,storm` runs some of them, `WAXWING_CLASSES=-loss` all others, `WAXWING_FIRST=201` begins with that seed: so a long
//! one is run in pieces.
use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Mutex,
};

use waxwing_tests::world::{for_each_seed, seeds};

/// Faults that happened, by their names.
pub(crate) type Faults = BTreeMap<&'static str, u64>;

/// A class, as campaigns see it.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    /// The module of its test.
    pub(crate) suite: &'static str,
    pub(crate) name: &'static str,
    /// Seeds that run by default.
    pub(crate) seeds: u64,
    /// Faults that have to happen in so many seeds, once in two at least: otherwise the class says nothing.
    pub(crate) faults: &'static [&'static str],
}

/// What came of the seeds of a class.
#[derive(Default)]
struct Report {
    seeds: u64,
    faults: Faults,
    failed: Vec<u64>,
}

impl Report {
    fn add(&mut self, seed: u64, outcome: Option<Faults>) {
        self.seeds += 1;
        match outcome {
            Some(faults) => {
                faults.into_iter().for_each(|(fault, count)| *self.faults.entry(fault).or_default() += count);
            }
            None => self.failed.push(seed),
        }
    }

    /// Faults that the class is about and that did not happen often enough to say something.
    fn missing(&self, kind: &Kind) -> Vec<&'static str> {
        let enough = |fault: &&&str| self.faults.get(**fault).is_some_and(|count| count * 2 >= self.seeds);
        kind.faults.iter().filter(|fault| !enough(fault)).copied().collect()
    }
}

/// A class by its default seeds, or the one that is to be replayed.
pub(crate) fn test(kind: &Kind, live_through: impl Fn(u64) -> Faults) {
    let mut report = Report::default();
    for_each_seed(&format!("{}::{}", kind.suite, kind.name), kind.seeds, |seed| {
        report.add(seed, Some(live_through(seed)));
    });
    println!("{}: {:?}", kind.name, report.faults);
    // A single seed is a replay.
    let missing = report.missing(kind);
    assert!(report.seeds == 1 || missing.is_empty(), "{missing:?} of {:?}", report.faults);
}

/// All classes that are asked for, one after another.
pub(crate) fn all<C: Sync>(classes: &[C], kind: impl Fn(&C) -> Kind, live_through: impl Fn(&C, u64) -> Faults + Sync) {
    let mut bad = Vec::new();
    println!("| class | seeds | faults that happened | failures |\n|---|---|---|---|");
    let chosen = std::env::var("WAXWING_CLASSES").unwrap_or_default();
    let (excluded, chosen): (Vec<&str>, Vec<&str>) =
        chosen.split(',').filter(|name| !name.is_empty()).partition(|name| name.starts_with('-'));
    let is_chosen = |name: &str| {
        (chosen.is_empty() || chosen.contains(&name))
            && excluded.iter().all(|excluded| excluded.strip_prefix('-') != Some(name))
    };
    for class in classes {
        let kind = kind(class);
        if !is_chosen(kind.name) {
            continue;
        }
        let report = of_class(&kind, |seed| live_through(class, seed));
        let faults: Vec<_> = report.faults.iter().map(|(fault, count)| format!("{fault} {count}")).collect();
        println!("| {} | {} | {} | {:?} |", kind.name, report.seeds, faults.join(", "), report.failed);
        if !report.failed.is_empty() || !report.missing(&kind).is_empty() {
            bad.push(kind.name);
        }
    }
    assert!(bad.is_empty(), "{bad:?}");
}

/// On as many threads as there are processors.
fn of_class(kind: &Kind, live_through: impl Fn(u64) -> Faults + Sync) -> Report {
    let report = Mutex::new(Report::default());
    let next = Mutex::new(seeds(kind.seeds));
    let work = || {
        loop {
            let seed = next.lock().expect("nobody panics in it").next();
            let Some(seed) = seed else { return };
            let outcome = catch_unwind(AssertUnwindSafe(|| live_through(seed))).ok();
            if outcome.is_none() {
                let Kind { suite, name, .. } = kind;
                eprintln!("to replay: WAXWING_SEED={seed} cargo test --workspace --test world -- {suite}::{name}");
            }
            report.lock().expect("nobody panics in it").add(seed, outcome);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    report.into_inner().expect("nobody panics in it")
}
