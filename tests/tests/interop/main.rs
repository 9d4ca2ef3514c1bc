//! Live interoperability: everything here runs against Signal's published library in processes of its own.
//!
//! ```sh
//! (cd tests/interop && npm ci --ignore-scripts)
//! WAXWING_INTEROP_RUNS=500 cargo test -p waxwing-tests --test interop --release
//! ```
//! Environment: `WAXWING_INTEROP_RUNS` is the number of random runs of each trial that has any (default 3),
//! `WAXWING_INTEROP_SEED` the seed of the first of them (default: the clock; a failure prints it),
//! `WAXWING_REQUIRE=node` turns skips into failures, `WAXWING_INTEROP_LOG=Warn` lets the library log.
//!
//! The modules: [`matrix`] says which versions understand each other, [`boundaries`] what they do at the edges,
//! [`formats`] what their bytes mean, [`ratchet`] how their keys move, [`spqr`] what the third ratchet shows, [`groups`] and
//! [`sealed_sender`] the rest of the API across versions.
//! [`waxwing`] puts our own crate at one end.
//! [`client`] tests what drives them; [`witness`] derives keys and takes messages apart without any of our crates.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a panic is the report"
)]

mod boundaries;
mod client;
mod formats;
mod groups;
mod matrix;
mod ratchet;
mod sealed_sender;
mod spqr;
mod stage;
mod waxwing;
mod witness;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use waxwing_tests::peer::{Skip, is_installed};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let missing = is_installed().err();
    let plain = [
        boundaries::TRIALS,
        client::TRIALS,
        formats::TRIALS,
        groups::TRIALS,
        ratchet::TRIALS,
        sealed_sender::TRIALS,
        spqr::TRIALS,
    ]
    .concat();
    let mut trials: Vec<_> = plain.iter().map(|(name, proof)| trial(*name, missing, *proof)).collect();
    trials.extend(waxwing::trials().into_iter().map(|(name, proof)| trial(name, missing, proof)));
    trials.extend(matrix::rows().into_iter().map(|row| trial(row.name(), missing, move || row.prove())));

    let conclusion = libtest_mimic::run(&arguments, trials);
    if let (Some(skip), 1..) = (missing, conclusion.num_ignored) {
        println!("live interoperability: {} trials skipped: {skip}\n", conclusion.num_ignored);
    }
    conclusion.exit_code()
}

/// A trial that is skipped with its reason if something is missing, unless `WAXWING_REQUIRE` names it.
fn trial(
    name: impl Into<String>,
    missing: Option<Skip>,
    proof: impl FnOnce() -> Result<(), Failed> + Send + 'static,
) -> Trial {
    Trial::ignorable_test(name, move || match missing {
        Some(skip) if is_required(skip) => Err(format!("required by WAXWING_REQUIRE, but: {skip}").into()),
        Some(skip) => Ok(Completion::ignored_with(skip)),
        None => stage::enter(proof).map(|()| Completion::Completed),
    })
}

fn is_required(skip: Skip) -> bool {
    let required = std::env::var("WAXWING_REQUIRE").unwrap_or_default();
    required.split(',').any(|word| word.trim() == skip.requirement())
}
