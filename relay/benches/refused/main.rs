//! Whether time tells a guesser something (attack E9): refusals of a mailbox that is there and of one that is not, of a wrong key and of one
//! that has ended, under dudect (Reparaz, Balasch, Verbauwhede 2016); and a planted leak that the same harness must find. On demand;
//! `relay/CONSTANT-TIME.md` says how to read it.
//!
//! ```sh
//! cargo bench --workspace --bench refused             # everything, with a verdict
//! cargo bench --workspace --bench refused -- put      # the checks with this in their name
//! ```
//! Each check times whole requests, from their bytes to their reply, of two classes mixed at random.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a check that cannot go on stops"
)]

mod guesses;
// One reading of what dudect measures, for both crates.
#[path = "../../../protocol/benches/constant_time/verdict.rs"]
mod verdict;

use std::process::ExitCode;

use dudect_bencher::{
    BenchRng, CtRunner,
    ctbench::{BenchMetadata, BenchName, BenchOpts, run_benches_console},
};

use self::verdict::Expected;

/// One check.
pub(crate) struct Check {
    name: &'static str,
    what: &'static str,
    run: fn(&mut CtRunner, &mut BenchRng),
    expected: Expected,
}

const CHECKS: &[Check] = &[
    Check {
        name: "put_absent",
        what: "a put by a wrong key: the mailbox is there, or is not",
        run: guesses::absent,
        expected: Expected::NoDifference,
    },
    Check {
        name: "put_ended",
        what: "a put into a mailbox that is there: by a wrong key, or by one that has ended",
        run: guesses::ended,
        expected: Expected::NoDifference,
    },
    Check {
        name: "put_absent_leak",
        what: "planted: the first, and the key is hashed once more if the mailbox is there",
        run: guesses::absent_and_a_hash,
        expected: Expected::Difference,
    },
    Check {
        name: "online_absent",
        what: "an online-only put by a wrong key: the mailbox is there, or is not",
        run: guesses::online,
        expected: Expected::NoDifference,
    },
    Check {
        name: "owner_absent",
        what: "a wrong proof of an owner: of a mailbox that is there, or is not",
        run: guesses::owner,
        expected: Expected::NoDifference,
    },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        // One check in a process of its own: the library prints its statistics and returns none.
        [flag, name] if flag == verdict::CHILD => run(name),
        _ => verdict::all(CHECKS, arguments.iter().find(|argument| !argument.starts_with('-')).map(String::as_str)),
    }
}

fn run(name: &str) -> ExitCode {
    let check = CHECKS.iter().find(|check| check.name == name).expect("the parent knows the names");
    let bench = BenchMetadata { name: BenchName(check.name), seed: None, benchfn: check.run };
    run_benches_console(BenchOpts::default(), vec![bench]).unwrap();
    ExitCode::SUCCESS
}
