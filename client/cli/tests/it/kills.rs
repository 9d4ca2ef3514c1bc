//! SIGKILL of daemons at random points while two people talk: nothing is lost, doubled or out of order.
//!
//! `WAXWING_KILLS=1000 WAXWING_SEED=7 cargo test --workspace --test it sigkill` for more, or as before.
use std::{process::Command, thread, time::Duration};

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use serde_json::{Value, json};

use crate::{
    place::{Person, Running, Socket},
    servers::Servers,
};

/// One side of the talk.
struct Side {
    person: Person,
    daemon: Option<Running>,
    /// What the daemon said that it has: it must arrive, once, in this order.
    taken: Vec<String>,
    /// What was asked of a daemon that died: it may arrive, once.
    unknown: Vec<String>,
    said: u32,
}

impl Side {
    fn new(person: Person) -> Self {
        let daemon = Some(person.daemon());
        Self { person, daemon, taken: Vec::new(), unknown: Vec::new(), said: 0 }
    }

    /// Says one thing after another until the daemon is gone, or so often.
    fn talks(&mut self, to: &str, most: u32) {
        let Some(mut socket) = Socket::try_of(&self.person) else { return };
        for _ in 0..most {
            self.said += 1;
            let text = format!("number {}", self.said);
            match socket.tries("send", &json!({ "to": to, "text": text, "wait": 0 })) {
                Some(answer) => {
                    assert!(answer.get("error").is_none(), "{answer}");
                    self.taken.push(text);
                }
                None => {
                    self.unknown.push(text);
                    return;
                }
            }
        }
    }

    fn dies_after(&self, wait: Duration) -> thread::JoinHandle<()> {
        let process = self.daemon.as_ref().unwrap().child.id().to_string();
        thread::spawn(move || {
            // The random point.
            thread::sleep(wait);
            Command::new("kill").args(["-KILL", &process]).status().unwrap();
        })
    }

    fn lives_again(&mut self) {
        self.daemon.take().unwrap().ends();
        self.daemon = Some(self.person.daemon());
    }

    /// What is there of the other, oldest first.
    fn has(&self, of: &str) -> Vec<String> {
        let mut all: Vec<Value> = Vec::new();
        loop {
            let mut arguments = vec!["history", of, "--limit", "1000"];
            let oldest = all.first().map(|message| message["id"].as_str().unwrap().to_owned());
            if let Some(oldest) = &oldest {
                arguments.extend(["--before", oldest]);
            }
            let page = self.person.asks(&arguments).json();
            all.splice(0..0, page["messages"].as_array().unwrap().iter().cloned());
            if page["more"] != true {
                break;
            }
        }
        let theirs = all.iter().filter(|message| message["mine"] == false);
        let bodies = theirs.filter_map(|message| message["body"].as_str().map(str::to_owned));
        bodies.filter(|body| body != "hello").collect()
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn sigkill_of_daemons_at_random_points_loses_doubles_and_reorders_nothing() {
    let kills = number("WAXWING_KILLS").unwrap_or(50);
    let seed = number("WAXWING_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("WAXWING_SEED={seed}");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let servers = Servers::start(&["--open"]);
    let (alice, bob) = (Person::at(&servers.line()), Person::at(&servers.line()));
    {
        let (_a, _b) = (alice.daemon(), bob.daemon());
        alice.befriends(&bob, "alice", "bob");
    }
    let mut sides = [Side::new(alice), Side::new(bob)];
    let names = ["bob", "alice"];
    for _ in 0..kills {
        let who = usize::from(rng.next_u32() % 2 == 0);
        let wait = Duration::from_micros(u64::from(rng.next_u32() % 60_000));
        let death = sides[who].dies_after(wait);
        // The one who dies is in the middle of sending, or of receiving.
        if rng.next_u32() % 2 == 0 {
            sides[1 - who].talks(names[1 - who], 8);
        }
        sides[who].talks(names[who], u32::MAX);
        death.join().unwrap();
        sides[who].lives_again();
    }
    for (from, to) in [(0, 1), (1, 0)] {
        let wanted = &sides[from].taken;
        assert!(!wanted.is_empty());
        let complete = |has: &[String]| wanted.iter().all(|text| has.contains(text));
        sides[to].person.waits_for(&["status"], |_: &Value| complete(&sides[to].has(names[to])));
        let has = sides[to].has(names[to]);
        let known: Vec<_> = has.iter().filter(|text| !sides[from].unknown.contains(text)).cloned().collect();
        assert_eq!(&known, wanted, "WAXWING_SEED={seed}");
        let mut once = has.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), has.len(), "WAXWING_SEED={seed}: something is there twice");
    }
}
