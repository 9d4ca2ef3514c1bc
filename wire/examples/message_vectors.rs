//! Writes `spec/vectors/12-*.json` to `16-*.json`; with `--check` compares and exits 1 if a file differs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a generator may stop"
)]

#[path = "../tests/samples/mod.rs"]
mod samples;

use std::{fs, path::Path, process::ExitCode};

fn main() -> ExitCode {
    let check = std::env::args().any(|argument| argument == "--check");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/vectors");
    let mut same = true;
    for (name, cases) in samples::vectors::files() {
        let text = format!("{}\n", serde_json::to_string_pretty(&cases).unwrap());
        let path = folder.join(name);
        if !check {
            fs::write(&path, text).expect("spec/vectors can be written");
        } else if fs::read_to_string(&path).ok().as_deref() != Some(&text) {
            eprintln!("{name} differs from what the generator makes");
            same = false;
        }
    }
    if same { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
