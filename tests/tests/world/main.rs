//! Clients in a simulated world: nothing is ever lost, doubled or out of order.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a panic is the report"
)]
mod attacks;
mod campaign;
mod crashes;
mod disclosure;
mod evil;
mod flows;
mod healing;
mod matrix;
mod planted;
mod replay;
mod seen;
mod weather;
mod wired;
