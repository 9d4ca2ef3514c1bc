//! How often an idle daemon wakes (spec §23.6): a real one, at real servers, with somebody it knows.
//!
//! `cargo test --workspace --test it -- --ignored --nocapture wakes`; `WAXWING_SECONDS` says for how long (300).
use std::{
    collections::HashMap,
    fs,
    thread::sleep,
    time::{Duration, Instant},
};

use crate::{place::Person, servers::Servers};

/// Voluntary context switches of each thread, with its name.
fn switches(process: u32) -> HashMap<String, u64> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let of = |entry: fs::DirEntry| {
        let name = fs::read_to_string(entry.path().join("comm")).ok()?;
        let status = fs::read_to_string(entry.path().join("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        Some((format!("{} {}", entry.file_name().display(), name.trim()), line.trim().parse().ok()?))
    };
    tasks.filter_map(|entry| of(entry.unwrap())).collect()
}

fn sum(switches: &HashMap<String, u64>) -> u64 {
    switches.values().sum()
}

#[test]
#[ignore = "it takes five minutes, in which the machine should have little else to do"]
fn an_idle_daemon_wakes_at_most_six_times_a_minute() {
    let seconds: u64 = std::env::var("WAXWING_SECONDS").map_or(300, |text| text.parse().unwrap());
    let servers = Servers::start(&["--open"]);
    let (alice, bob) = (Person::at(&servers.line()), Person::at(&servers.line()));
    let (_daemon, daemon) = (bob.daemon(), alice.daemon());
    alice.befriends(&bob, "alice", "bob");
    // What follows a first talk is over then: receipts, answers of sessions (a minute at most), connections to others.
    sleep(Duration::from_secs(100));
    let process = daemon.child.id();
    let (before, begun) = (switches(process), Instant::now());
    let (mut last, mut changed, mut wakes) = (sum(&before), None, Vec::new());
    while begun.elapsed() < Duration::from_secs(seconds) {
        let now = sum(&switches(process));
        if now != last {
            // Threads that wake each other within a moment wake the machine once.
            if changed.is_none_or(|at: Instant| at.elapsed() > MOMENT) {
                wakes.push(begun.elapsed());
            }
            (last, changed) = (now, Some(Instant::now()));
        }
        sleep(Duration::from_micros(500));
    }
    let minutes = begun.elapsed().as_secs_f64() / 60.0;
    let after = switches(process);
    println!("{:<28} {:>10}", "thread", "a minute");
    for (name, count) in &after {
        let more = count - before.get(name).copied().unwrap_or_default();
        println!("{name:<28} {:>10.1}", f64::from(u32::try_from(more).unwrap()) / minutes);
    }
    let all = f64::from(u32::try_from(sum(&after) - sum(&before)).unwrap()) / minutes;
    let rate = f64::from(u32::try_from(wakes.len()).unwrap()) / minutes;
    println!("{:<28} {all:>10.1}\n{:<28} {rate:>10.1}", "context switches", "wakes");
    println!("at {:?}", wakes.iter().map(Duration::as_secs_f32).collect::<Vec<_>>());
    assert!(wakes.len() > 1, "it keeps its connection alive");
    assert!(rate <= 6.0, "{rate} wakes a minute");
}

const MOMENT: Duration = Duration::from_millis(2);
