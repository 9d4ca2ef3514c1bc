//! E7 and E8: what was promised survives a power cut at any moment. A child process works under the journal of
//! `waxwing_tests::durability`; the images of many cuts of its one run are opened and compared with what it had promised by then.
//!
//! `WAXWING_POWER_CUTS=2000 WAXWING_SEED=7 cargo test -p waxwing-tests --test power_cut` cuts more often, or as before.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a panic is the report"
)]

mod client_faults;
mod discipline;
mod relay_blobs;
mod relay_faults;
mod relay_registers;
mod relay_store;
mod run;
