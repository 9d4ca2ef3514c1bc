//! Writes our own deterministic vectors, or checks that they are what the crate does.
//!
//! ```sh
//! cargo run -p waxwing-protocol --example vectors            # writes spec/vectors/05-own-sessions.json, 05-records.json, 06-own-..
//! cargo run -p waxwing-protocol --example vectors -- --check # compares
//! ```
//! The generator is `protocol/tests/it/vectors/own.rs`, which the tests run too.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a panic is the report"
)]
#![allow(dead_code, unreachable_pub, reason = "shared with the tests")]

#[path = "../tests/it/vectors/device.rs"]
mod device;
#[path = "../tests/it/vectors/hex.rs"]
mod hex;
#[path = "../tests/it/vectors/own.rs"]
mod own;
#[path = "../tests/it/vectors/own_triple.rs"]
mod own_triple;
#[path = "../tests/it/vectors/transcript.rs"]
mod transcript;

use std::{env, fs, io, path::PathBuf, process::ExitCode};

fn main() -> io::Result<ExitCode> {
    let is_check = match env::args().nth(1).as_deref() {
        None => false,
        Some("--check") => true,
        Some(other) => {
            eprintln!("unknown argument {other}; there is only --check");
            return Ok(ExitCode::FAILURE);
        }
    };
    let mut outcome = ExitCode::SUCCESS;
    for (file, text) in own::files() {
        let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "spec", "vectors", file].iter().collect();
        if !is_check {
            fs::write(path, text)?;
        } else if fs::read_to_string(path)? != text {
            eprintln!("{file} is not what the crate does; if that is meant, run this without --check");
            outcome = ExitCode::FAILURE;
        }
    }
    Ok(outcome)
}
