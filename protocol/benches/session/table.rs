//! Runs criterion, counts allocations beside it, and prints one table of ratios.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use cpu_time::ThreadTime;
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BatchSize, Criterion};

/// The unit's name in every group.
pub(crate) const LADDER: &str = "x25519-dalek ladder";

/// Few enough inputs that they stay in the processor's cache.
const BATCH: BatchSize = BatchSize::NumIterations(32);

/// What the thread itself spent: on a machine that others use, the wall clock mostly measures them.
pub(crate) struct CpuTime;

pub(crate) fn criterion() -> Criterion<CpuTime> {
    Criterion::default()
        .with_measurement(CpuTime)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .sample_size(60)
        .nresamples(10_000)
        .without_plots()
        .output_directory(&directory())
        .configure_from_args()
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("criterion")
}

pub(crate) struct Table<'c> {
    criterion: &'c mut Criterion<CpuTime>,
    started: SystemTime,
    rows: Vec<Row>,
    /// For the next row.
    each: u32,
    floors: Vec<(&'static str, &'static str, f64)>,
}

struct Row {
    group: &'static str,
    name: &'static str,
    /// How many skipped messages the time is divided by.
    each: u32,
    allocations: f64,
    bytes: f64,
}

impl<'c> Table<'c> {
    pub(crate) fn new(criterion: &'c mut Criterion<CpuTime>) -> Self {
        Self { criterion, started: SystemTime::now(), rows: Vec::new(), each: 0, floors: Vec::new() }
    }

    /// The next row is also shown per one of `count`.
    pub(crate) fn each(&mut self, count: u32) {
        self.each = count;
    }

    /// What a row must not exceed, in ladders.
    pub(crate) fn floor(&mut self, group: &'static str, name: &'static str, ladders: f64) {
        self.floors.push((group, name, ladders));
    }

    /// Measures `routine`; neither `setup` nor dropping what `routine` returns is part of the time.
    pub(crate) fn measure<I, O>(
        &mut self,
        group: &'static str,
        name: &'static str,
        mut setup: impl FnMut() -> I,
        mut routine: impl FnMut(I) -> O,
    ) {
        let (allocations, bytes) = count(&mut setup, &mut routine);
        self.rows.push(Row { group, name, each: core::mem::take(&mut self.each), allocations, bytes });
        allocation_counter::opt_out(|| {
            let mut criterion_group = self.criterion.benchmark_group(group);
            criterion_group.bench_function(name, |bencher| bencher.iter_batched(&mut setup, &mut routine, BATCH));
            criterion_group.finish();
        });
    }

    /// Rows that this run has measured; with `--test` or `--list` none.
    pub(crate) fn print(&self) {
        let head = ["", "", "µs", "ladders", "floor", "ns each", "allocations", "bytes allocated"];
        println!("\n{}", line(&head.map(String::from)));
        for row in &self.rows {
            if let Some(time) = self.median(row.group, row.name) {
                println!("{}", line(&self.cells(row, time)));
            }
        }
        println!("\nOne ladder is the one measured at the head of the row's group.");
    }

    fn cells(&self, row: &Row, nanoseconds: f64) -> [String; 8] {
        let ladders = self.median(row.group, LADDER).map(|ladder| nanoseconds / ladder);
        let floor = self.floors.iter().find(|(group, name, _)| (*group, *name) == (row.group, row.name));
        [
            row.group.into(),
            row.name.into(),
            format!("{:.2}", nanoseconds / 1000.0),
            ladders.map_or_else(String::new, |ladders| format!("{ladders:.3}")),
            floor.map_or_else(String::new, |(.., floor)| {
                let verdict = if ladders.is_some_and(|ladders| ladders <= *floor) { "met" } else { "MISSED" };
                format!("{floor} {verdict}")
            }),
            if row.each == 0 { String::new() } else { format!("{:.0}", nanoseconds / f64::from(row.each)) },
            format!("{:.1}", row.allocations),
            format!("{:.0}", row.bytes),
        ]
    }

    /// Criterion's median in nanoseconds, unless it is another run's.
    fn median(&self, group: &str, name: &str) -> Option<f64> {
        // Criterion's own rule for names of directories.
        let directory_name: String = name.chars().map(|c| if r#"?"/\*<>:|^"#.contains(c) { '_' } else { c }).collect();
        let path = directory().join(group).join(directory_name).join("new/estimates.json");
        let is_fresh = fs::metadata(&path).and_then(|file| file.modified()).is_ok_and(|time| time >= self.started);
        let estimates: serde_json::Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        if is_fresh { estimates["median"]["point_estimate"].as_f64() } else { None }
    }
}

fn count<I, O>(setup: &mut impl FnMut() -> I, routine: &mut impl FnMut(I) -> O) -> (f64, f64) {
    const RUNS: u32 = 16;
    let (mut allocations, mut bytes) = (0, 0);
    for _ in 0..RUNS {
        let input = setup();
        let mut output = None;
        let counted = allocation_counter::measure(|| output = Some(routine(input)));
        allocations += counted.count_total;
        bytes += counted.bytes_total;
    }
    (allocations as f64 / f64::from(RUNS), bytes as f64 / f64::from(RUNS))
}

fn line(cells: &[String; 8]) -> String {
    let [group, name, time, ladders, floor, each, allocations, bytes] = cells;
    format!("{group:8} {name:32} {time:>10} {ladders:>9} {floor:>12} {each:>8} {allocations:>12} {bytes:>16}")
}

impl Measurement for CpuTime {
    type Intermediate = ThreadTime;
    type Value = Duration;

    fn start(&self) -> ThreadTime {
        ThreadTime::now()
    }

    fn end(&self, start: ThreadTime) -> Duration {
        start.elapsed()
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        WallTime.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}
