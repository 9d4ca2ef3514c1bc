//! The relay's binary. Implements spec/17-relay.md §17.18 and §17.19; what is decided is decided in the library.
use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use waxwing_relay::{
    config::{Config, Flags},
    run::{self, RunError},
};

/// A blind relay for Waxwing: mailboxes of ciphertext envelopes, durable before it says so.
///
/// Prints its address on standard output, which is what clients are given, and logs to standard error. SIGTERM or SIGINT stops it
/// gracefully, a second one at once.
#[derive(Debug, Parser)]
#[command(name = "waxwing-relay", version, after_help = EXIT_CODES)]
struct Arguments {
    /// TOML file; see the configuration section of spec/17-relay.md for its keys
    #[arg(long, value_name = "FILE", env = "WAXWING_RELAY_CONFIG")]
    config: Option<PathBuf>,
    /// Folder for everything that lasts; made if it is not there
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address and UDP port to listen on [default: [::]:4433]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// How clients find this relay, HOST:PORT; may be given up to 4 times [default: where it listens]
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<String>,
    /// off, error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    log: Option<String>,
    /// Check the configuration and stop
    #[arg(long)]
    check: bool,
}

const EXIT_CODES: &str = "Every key of the file can be set by a variable: WAXWING_RELAY_LIMITS_PUSH_WINDOW=64.
Exit codes: 0 stopped when asked, 2 configuration, 3 data folder, 4 address, 5 store, 1 anything else.";

fn main() -> ExitCode {
    let Arguments { config, data, listen, hosts, log, check } = Arguments::parse();
    let flags = Flags { data, listen, hosts, log };
    let config = match Config::load(config.as_deref(), std::env::vars(), flags) {
        Ok(config) => config,
        Err(error) => return fail(&RunError::Config(error)),
    };
    if check {
        return ExitCode::SUCCESS;
    }
    match run::run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &RunError) -> ExitCode {
    use std::io::Write as _;
    // Nobody may be there to read it.
    let _ = writeln!(std::io::stderr(), "waxwing-relay: {error}");
    ExitCode::from(error.exit_code())
}
