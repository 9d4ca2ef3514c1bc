//! The load generator: what a relay does on this machine, beside what it stands on. Implements spec/17-relay.md §17.23.
//!
//! ```text
//! plan ─▶ place (relay and echo in this process, over QUIC on loopback; mailboxes made in the store) ─▶ rows, interleaved ─▶ medians
//! ```
//! Absolute figures are the machine's; ratios within one run are what carries over, so each row is measured beside its yardsticks,
//! round after round. Everything shares the machine with the generator.
use std::{io::Write as _, path::PathBuf, time::Duration};

mod batcher;
mod blobs;
mod echo;
mod flood;
mod idle;
mod load;
mod place;
mod table;

pub use table::{Figure, Unit};

use self::{batcher::Batcher, echo::Echo, idle::Idle, place::Place, table::Table};

/// What to measure, and for how long.
#[derive(Clone, Debug)]
pub struct Plan {
    /// A folder that is not there yet; made, and removed at the end. On the disk that is to be measured.
    pub data: PathBuf,
    /// Rounds; each figure is the median of so many.
    pub rounds: u32,
    /// How long each figure is measured in a round.
    pub time: Duration,
    /// Connections of senders.
    pub connections: usize,
    /// Mailboxes that envelopes go to.
    pub mailboxes: usize,
    /// Idle devices that each round adds, and bare connections beside them; 0: none.
    pub idle: usize,
    /// Puts a second of the open loop; none: no open loop.
    pub rate: Option<u32>,
}

/// Measures, and prints a table of medians.
///
/// # Errors
/// What stood in the way, for a person.
pub fn run(plan: &Plan, out: &mut impl std::io::Write) -> Result<(), String> {
    std::fs::create_dir(&plan.data).map_err(|error| format!("cannot make {}: {error}", plan.data.display()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = runtime.map_err(|error| error.to_string()).and_then(|runtime| {
        let outcome = runtime.block_on(measure(plan));
        runtime.shutdown_timeout(Duration::from_secs(1));
        outcome
    });
    let removed = std::fs::remove_dir_all(&plan.data);
    outcome?.print(out).map_err(|error| error.to_string())?;
    removed.map_err(|error| format!("cannot remove {}: {error}", plan.data.display()))
}

async fn measure(plan: &Plan) -> Result<Table, String> {
    let mut table = Table::default();
    if plan.idle > 0 {
        idle(plan, &mut table).await?;
    }
    for round in 0..plan.rounds {
        // A new store each round, so that no round finds what another left.
        let folder = plan.data.join(round.to_string());
        std::fs::create_dir(&folder).map_err(|error| error.to_string())?;
        let place = Place::open(&folder.join("store"), plan.mailboxes).await?;
        let (echo, raw) = (Echo::start()?, blobs::Raw::start()?);
        let mut batcher = Batcher::open(&folder.join("plain.sqlite")).await?;
        for in_flight in [256, 1_024] {
            let relay = load::puts(&place, plan, in_flight).await?;
            let plain = batcher.rate(in_flight, plan.time).await?;
            let bare = echo.rate(plan.connections, in_flight, plan.time).await?;
            table.row(
                &format!("put, {in_flight} in flight"),
                Unit::PerSecond,
                relay,
                &[("plain batcher", plain), ("bare echo", bare)],
            );
        }
        let (cycle, plain) = (load::cycles(&place, plan).await?, batcher.rate(256, plan.time).await?);
        table.row("put, pushed, acked", Unit::PerSecond, cycle, &[("plain batcher", plain)]);
        let (accept, online) = load::latencies(&place, plan.time).await?;
        let (trip, sync) = (echo.trips(plan.time).await?, batcher::syncs(&folder, plan.time)?);
        for (at, percent) in [("p50", 50), ("p99", 99)] {
            let yardstick = trip.at(percent) + sync.at(percent);
            let name = format!("accepted, one in flight, {at}");
            table.row(&name, Unit::Microseconds, accept.at(percent), &[("round trip + fdatasync", yardstick)]);
            let name = format!("put until pushed, {at}");
            table.row(&name, Unit::Microseconds, online.at(percent), &[("bare round trip", trip.at(percent))]);
        }
        let (fan_out, single) = (load::fan_outs(&place, plan).await?, load::puts(&place, plan, 256).await?);
        let most = place.fan_out_recipients();
        table.row(&format!("fan-out to {most}, each"), Unit::PerSecond, fan_out, &[("single puts", single)]);
        let ((to, from), (raw_to, raw_from)) = (blobs::rates(&place, plan.time).await?, raw.rates(plan.time).await?);
        let disk = blobs::disk(&folder, plan.time)?;
        table.row("blob, written", Unit::Megabytes, to, &[("raw stream", raw_to), ("file, synced", disk)]);
        table.row("blob, read", Unit::Megabytes, from, &[("raw stream", raw_from)]);
        let flooded = flood::measure(&folder.join("flooded"), plan.mailboxes, plan.time).await?;
        let beside = [("before it", flooded.before)];
        table.row("accepted beside a flood, p99", Unit::Microseconds, flooded.during, &beside);
        let quotas = flooded.quotas;
        let _ = writeln!(std::io::stderr(), "the flood offered {quotas:.1} times its quota, and was held to it");
        if let Some(rate) = plan.rate {
            let times = load::open_loop(&place, plan, rate).await?;
            for (at, percent) in [("p50", 50), ("p99", 99)] {
                table.row(&format!("accepted, {rate} a second, {at}"), Unit::Microseconds, times.at(percent), &[]);
            }
        }
        place.close().await;
        batcher.close().await;
        std::fs::remove_dir_all(&folder).map_err(|error| error.to_string())?;
        let _ = writeln!(std::io::stderr(), "round {} of {} is done", round.saturating_add(1), plan.rounds);
    }
    Ok(table)
}

/// Before everything else, while no memory lies about that was given back.
async fn idle(plan: &Plan, table: &mut Table) -> Result<(), String> {
    let rounds = usize::try_from(plan.rounds).unwrap_or(usize::MAX);
    let place = Place::open(&plan.data.join("idle"), plan.idle.saturating_mul(rounds).saturating_add(1)).await?;
    let echo = Echo::start()?;
    let mut idle = Idle::new(&place, &echo)?;
    // One of each, for what is made once.
    idle.more(1).await?;
    for _ in 1..=plan.rounds {
        let (subscribed, bare) = idle.more(plan.idle).await?;
        table.row("idle and subscribed, each", Unit::Bytes, subscribed, &[("bare connection", bare)]);
    }
    let count = idle.end().await?;
    let _ = writeln!(std::io::stderr(), "{count} idle subscribers stood, and an envelope came to each");
    place.close().await;
    Ok(())
}

/// Times of one kind.
#[derive(Debug, Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// How many.
    pub(crate) fn count(&self) -> f64 {
        u32::try_from(self.0.len()).map_or(f64::MAX, f64::from)
    }

    /// In microseconds; 0 if nothing was timed.
    pub(crate) fn at(&self, percent: usize) -> f64 {
        let last = self.0.len().saturating_sub(1);
        let at = last.saturating_mul(percent).checked_div(100).unwrap_or(0);
        self.0.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e6)
    }
}
