//! What is logged: our own crates' words, which name no text, key or address (F11). Implements spec/22-client-api.md §22.8.
use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

/// To standard error, at a level as tracing names it. What libraries would say names addresses and statements.
pub(crate) fn begin(level: &str) {
    let targets = ["waxwing", "waxwing_client", "waxwing_engine", "waxwing_net", "waxwing_relay", "waxwing_keyserver"];
    let filter = targets.iter().fold(String::from("off"), |filter, target| format!("{filter},{target}={level}"));
    let styled = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(io::stderr)
        .with_ansi(styled)
        .with_target(false)
        .finish();
    // A second one, in a test, keeps the first.
    let _ = tracing::subscriber::set_global_default(subscriber);
}
