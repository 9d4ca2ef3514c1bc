//! The process around a server: its folder, its log, its signals, its operator. Both servers' manners are here, so that who runs one
//! can run the other. Implements spec/18-transport.md §18.12.
//!
//! Invariants: nothing in the folder is readable by others; the log names no address, id or size at any level, because nothing but
//! our own crates writes to it and they do not; whoever can open the operator's socket is the operator.
use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

mod folder;
mod operator;
mod scrape;
mod signals;

pub use folder::{DataFolder, FolderError, Sharing};
pub use operator::{AskError, Operator, SOCKET, ask, listen};
pub use scrape::{Scraped, scrape};
pub use signals::Signals;

/// Writes what `waxwing-net` and the crate of that name (its log target) say to stderr, at `level` (as tracing names it). What
/// libraries would say names addresses and statements.
pub fn log(target: &str, level: &str) {
    let filter = EnvFilter::new(format!("off,{target}={level},waxwing_net={level}"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .finish();
    // A second one, in a test, keeps the first.
    let _ = tracing::subscriber::set_global_default(subscriber);
}
