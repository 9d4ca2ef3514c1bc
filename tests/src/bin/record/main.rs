//! Records spec/vectors/01, 03, 04, 05-sessions and 06-sessions from Signal's library (spec/vectors/README.md).
//!
//! ```sh
//! (cd tests/interop && npm ci --ignore-scripts)
//! cargo run --release -p waxwing-tests --bin record [-- agreement sessions triple keys messages]
//! ```
//! Our secrets and draws follow from a transcript's name, the library's are its own, so that a new recording differs.
//! Every scenario says what must come out, and the library must open what we seal: a recording that ends is a proof.
//! Steps are performed by the code that replays them (protocol/tests/it/vectors).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a panic is the report"
)]
#![allow(unreachable_pub, reason = "shared with the replay")]

#[path = "../../../../protocol/tests/it/vectors/case.rs"]
mod case;
#[path = "../../../../protocol/tests/it/vectors/device.rs"]
mod device;
#[path = "../../../../protocol/tests/it/vectors/engine.rs"]
mod engine;
#[path = "../../../../protocol/tests/it/vectors/hex.rs"]
mod hex;
#[path = "../../../../protocol/tests/it/vectors/library_record.rs"]
mod library_record;
#[path = "../../../../protocol/tests/it/vectors/transcript.rs"]
mod transcript;
#[allow(dead_code, reason = "shared with the live trials, which use all of it")]
#[path = "../../../tests/interop/witness.rs"]
mod witness;

mod agreement;
mod agreement_refused;
mod edit;
mod keys;
mod messages;
mod schedule;
mod session_states;
mod sessions;
mod sessions_refused;
mod stage;
mod triple;
mod triple_refused;

use std::{env, fs, path::PathBuf};

use serde::Serialize;

use waxwing_tests::peer::{Peer, Version};

/// The processes that a recording talks to.
#[derive(Debug)]
struct Peers {
    v0_72_1: Peer,
    v0_90_0: Peer,
    v0_103_0: Peer,
}

fn main() {
    let wanted: Vec<String> = env::args().skip(1).collect();
    let is_wanted = |what: &str| wanted.is_empty() || wanted.iter().any(|word| word == what);
    let start = |version| Peer::start(version).unwrap_or_else(|error| panic!("libsignal {version}: {error}"));
    let peers = Peers {
        v0_72_1: start(Version::V0_72_1),
        v0_90_0: start(Version::V0_90_0),
        v0_103_0: start(Version::V0_103_0),
    };
    if is_wanted("keys") {
        write("01-keys.json", &keys::record(&peers));
    }
    if is_wanted("messages") {
        write("04-messages.json", &messages::record(&peers));
    }
    if is_wanted("agreement") {
        write("03-agreement.json", &agreement::record(&peers));
    }
    if is_wanted("sessions") {
        write("05-sessions.json", &sessions::record(&peers));
    }
    if is_wanted("triple") {
        write("06-sessions.json", &triple::record(&peers));
    }
}

fn write<T: Serialize>(file: &str, cases: &[T]) {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "spec", "vectors", file].iter().collect();
    let text = serde_json::to_string_pretty(cases).unwrap() + "\n";
    println!("{file}: {} cases, {} KiB", cases.len(), text.len() / 1024);
    fs::write(path, text).unwrap();
}
