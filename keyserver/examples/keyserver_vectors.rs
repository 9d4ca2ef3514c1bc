//! Writes `spec/vectors/19-keyserver.json`; with `--check` compares and exits 1 if the file differs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    dead_code,
    reason = "a generator may stop"
)]
use std::{fs, path::Path, process::ExitCode};

#[path = "../tests/it/people.rs"]
mod people;
#[path = "../tests/it/scenario.rs"]
mod scenario;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let check = std::env::args().any(|argument| argument == "--check");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/vectors/19-keyserver.json");
    let text = format!("{}\n", serde_json::to_string_pretty(&scenario::file().await).unwrap());
    if !check {
        fs::write(&path, text).expect("spec/vectors can be written");
    } else if fs::read_to_string(&path).ok().as_deref() != Some(&text) {
        eprintln!("19-keyserver.json differs from what the generator makes");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
