//! Classes of bad minutes, by their seeds: a few in a test, many in a campaign.
//!
//! A campaign prints a table of classes, seeds, faults that happened and failures:
//!
//! ```sh
//! WAXWING_SEEDS=1000 cargo test --release --workspace --test world -- --ignored --nocapture matrix::campaign
//! WAXWING_SEEDS=1000 cargo test --release --workspace --test world -- --ignored --nocapture wired::campaign
//! ```
//! A seed that fails is made smaller by `WAXWING_SEED=7 WAXWING_SHRINK=1 cargo test --workspace --test world -- matrix::storm`: which part of the
//! bad minute has to be bad. It prints the command that lives through that part alone, best with `WAXWING_TRACE=1`.
//!
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

/// The part of a bad minute in which things go wrong, in milliseconds from its beginning.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Window {
    pub(crate) from: u64,
    pub(crate) until: u64,
}

impl Window {
    /// All of it.
    const WHOLE: Self = Self { from: 0, until: 64_000 };
    /// No part is made smaller than that.
    const LEAST: u64 = 250;

    pub(crate) fn contains(&self, at: u64) -> bool {
        (self.from..self.until).contains(&at)
    }

    /// As the variable has it that a shrunk failure is replayed by.
    fn of(text: &str) -> Option<Self> {
        let (from, until) = text.split_once('-')?;
        Some(Self { from: from.parse().ok()?, until: until.parse().ok()? })
    }
}

/// A small part that is bad enough: the earliest end, and then the latest beginning, as far as halving finds them.
fn shrink(fails: impl Fn(Window) -> bool) -> Window {
    let mut window = Window::WHOLE;
    let mut step = window.until / 2;
    while step >= Window::LEAST {
        let smaller = Window { until: window.until.saturating_sub(step), ..window };
        if smaller.until > smaller.from && fails(smaller) {
            window = smaller;
        }
        step /= 2;
    }
    let mut step = window.until / 2;
    while step >= Window::LEAST {
        let smaller = Window { from: window.from + step, ..window };
        if smaller.until > smaller.from && fails(smaller) {
            window = smaller;
        }
        step /= 2;
    }
    window
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

/// A class by its default seeds, or the one that is to be replayed or made smaller.
pub(crate) fn test(kind: &Kind, live_through: impl Fn(u64, Window) -> Faults) {
    let variable = |name: &str| std::env::var(name).ok();
    let window = variable("WAXWING_WINDOW").and_then(|text| Window::of(&text)).unwrap_or(Window::WHOLE);
    let mut report = Report::default();
    for_each_seed(&format!("{}::{}", kind.suite, kind.name), kind.seeds, |seed| {
        if variable("WAXWING_SHRINK").is_some() {
            explain(kind, seed, &live_through);
        }
        report.add(seed, Some(live_through(seed, window)));
    });
    println!("{}: {:?}", kind.name, report.faults);
    // A single seed is a replay.
    let missing = report.missing(kind);
    assert!(report.seeds == 1 || missing.is_empty(), "{missing:?} of {:?}", report.faults);
}

/// If a seed fails, says which part of its minute has to be bad.
fn explain(kind: &Kind, seed: u64, live_through: impl Fn(u64, Window) -> Faults) {
    let fails = |window| catch_unwind(AssertUnwindSafe(|| live_through(seed, window))).is_err();
    if !fails(Window::WHOLE) {
        return eprintln!("seed {seed} does not fail");
    }
    let Window { from, until } = shrink(fails);
    let Kind { suite, name, .. } = kind;
    eprintln!(
        "seed {seed} fails when it is bad from {from} to {until} ms only; to replay that:\n\
         WAXWING_SEED={seed} WAXWING_WINDOW={from}-{until} WAXWING_TRACE=1 cargo test --workspace --test world -- {suite}::{name}"
    );
}

/// All classes that are asked for, one after another.
pub(crate) fn all<C: Sync>(
    classes: &[C],
    kind: impl Fn(&C) -> Kind,
    live_through: impl Fn(&C, u64, Window) -> Faults + Sync,
) {
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
        let report = of_class(&kind, |seed| live_through(class, seed, Window::WHOLE));
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

#[test]
fn what_fails_is_made_smaller() {
    // A second near the middle has to be bad.
    let culprit = Window { from: 20_000, until: 21_000 };
    let covers = |window: Window| window.from <= culprit.from && window.until >= culprit.until;
    let found = shrink(covers);
    assert!(covers(found) && found.until - found.from <= 2_000, "{found:?}");
    assert_eq!(shrink(|_| true).until, Window::LEAST, "as small as it gets");
    assert_eq!(shrink(|window| window == Window::WHOLE), Window::WHOLE, "only the whole fails");
    assert_eq!(Window::of("250-1000"), Some(Window { from: 250, until: 1_000 }));
    assert_eq!(Window::of("250"), None);
}
