//! How fast what waited at the relay for a device that was off comes into its store: the whole client, as people run it.
//!
//! ```text
//! twenty people: send × 200 each ─▶ `waxwing serve` (a process of its own)        Bob is off
//! Bob: open ─▶ 4,000 pushes ─▶ driver ─▶ engine ─▶ encrypted store              from here on everything is counted
//! ```
//! `cargo bench --workspace --bench backlog`; `WAXWING_MESSAGES` (4,000), `WAXWING_ROUNDS` (2). Counted is the processor time of
//! all threads of this process, in which only Bob's client is left, from before it opens its profile until everything is in its store.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    missing_docs,
    reason = "a panic is the report"
)]
mod people;
#[path = "../../benches/texts/mod.rs"]
mod texts;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use cpu_time::ProcessTime;
use tokio::{runtime::Handle, task::JoinSet};
use waxwing_client::{
    Client, Settled,
    engine::MessageText,
    store::{Profile, Unlock},
};
use waxwing_wire::id::AccountId;

use self::{
    people::{PATIENCE, Servers, befriend, options},
    texts::{Script, Texts},
};

fn main() {
    let variable = |name, otherwise| std::env::var(name).map_or(otherwise, |text| text.parse().unwrap());
    let (messages, rounds) = (variable("WAXWING_MESSAGES", 4_000), variable("WAXWING_ROUNDS", 2));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    runtime.block_on(measure(messages, rounds, folder.path()));
}

async fn measure(messages: usize, rounds: usize, folder: &Path) {
    let servers = Servers::start_with(&folder.join("servers"), RELAY, KEYSERVER);
    let bobs = folder.join("bob");
    // The note beside it says how many batches were saved.
    let noted = || Profile::new(&bobs).noted_in(folder.join("notes"));
    let bob = servers.person(noted()).await;
    let bob_id = bob.account_id();
    let people: Vec<PathBuf> = (0..PEOPLE).map(|number| folder.join(number.to_string())).collect();
    for profile in &people {
        let person = servers.person(profile).await;
        befriend(&person, &bob).await;
        person.close().await.unwrap();
    }
    assert_eq!(bob.settled(PATIENCE).await, Settled::Yes);
    let mut all = bob.reader().unread_in_all().await.unwrap();
    bob.close().await.unwrap();
    println!(
        "\n| {messages} messages | a second by processor time | µs each | of it the database's thread | a second by the wall |"
    );
    println!("|---|---|---|---|---|");
    for round in 1..=rounds {
        let each = messages / PEOPLE;
        let mut sending = JoinSet::new();
        for profile in people.clone() {
            let runtime = Handle::current();
            sending.spawn_blocking(move || runtime.block_on(write(&profile, &bob_id, each)));
        }
        sending.join_all().await;
        all += (each * PEOPLE) as u64;
        let saved = saves(&folder.join("notes"));
        let (begun, before) = (Instant::now(), ProcessTime::now());
        let bob = Client::open(noted(), Unlock::None, options()).await.unwrap();
        bob.until(|condition| condition.drained).await.unwrap();
        let (took, worked, database) = (begun.elapsed(), before.elapsed(), databases());
        assert_eq!(bob.reader().unread_in_all().await.unwrap(), all, "all of them");
        bob.close().await.unwrap();
        let a_second = |time: Duration| messages as f64 / time.as_secs_f64();
        let each = |seconds: f64| seconds * 1e6 / messages as f64;
        println!(
            "| {round} | {:.0} | {:.0} | {:.0} | {:.0} | {} |",
            a_second(worked),
            each(worked.as_secs_f64()),
            each(database),
            a_second(took),
            saves(&folder.join("notes")) - saved
        );
    }
}

/// Somebody writes to Bob, and is gone when all of it is at the relay.
async fn write(profile: &Path, bob: &AccountId, messages: usize) {
    let person = Client::open(profile, Unlock::None, options()).await.unwrap();
    let mut texts = Texts::new(Script::Latin);
    for _ in 0..messages {
        person.send(bob, MessageText::new(texts.text()).unwrap()).await.unwrap();
    }
    person.until(|condition| condition.quiet).await.unwrap();
    person.close().await.unwrap();
}

fn saves(notes: &Path) -> u64 {
    let note = fs::read_dir(notes).unwrap().next().unwrap().unwrap();
    fs::read_to_string(note.path()).unwrap().trim_end().parse().unwrap()
}

/// Seconds that the threads worked that databases have and that are there now: those of a client that is open.
fn databases() -> f64 {
    let mut ticks = 0;
    for thread in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let Ok(stat) = fs::read_to_string(thread.path().join("stat")) else { continue };
        // The name stands in brackets; user and system time are the 12th and 13th after it.
        let Some((name, rest)) = stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')')) else { continue };
        if name.starts_with("wxw-db-") {
            let fields: Vec<&str> = rest.split_whitespace().collect();
            ticks += fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        }
    }
    // Of a hundredth of a second on every Linux.
    ticks as f64 / 100.0
}

const PEOPLE: usize = 20;
/// So many accounts from one place, and so many messages in one mailbox, are more than servers take by themselves.
const RELAY: &str = "[limits]\nmailbox_bytes = 1073741824\nmailbox_envelopes = 1000000\ncreate_mailbox = [0, 0.0]\n\
    puts_of_mailbox = [0, 0.0]\nputs = [0, 0.0]\n";
const KEYSERVER: &str = "[limits]\ncreate = [0, 0.0]\none_time_by_source = [0, 0.0]\n";
