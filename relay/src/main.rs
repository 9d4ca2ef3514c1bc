//! The relay's binary. Implements spec/17-relay.md §17.18 and §17.19; what is decided is decided in the library.
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, Parser, Subcommand};
use waxwing_net::process;
use waxwing_relay::{
    bench::{self, Plan},
    config::{Config, Flags},
    run::{self, RunError},
};

/// A blind relay for Waxwing: mailboxes of ciphertext envelopes, durable before it says so.
///
/// Prints its address on standard output, which is what clients are given, and logs to standard error. SIGTERM or SIGINT stops it
/// gracefully, a second one at once.
#[derive(Debug, Parser)]
#[command(name = "waxwing-relay", version, after_help = EXIT_CODES, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Debug, Args)]
struct Serve {
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

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure what a relay does on this machine, beside what it stands on; starts one of its own
    Bench {
        /// A folder to work in, on the disk that is to be measured; must not be there yet, and is removed at the end
        #[arg(long, value_name = "DIR", default_value = "waxwing-relay-bench")]
        data: PathBuf,
        /// Each figure is the median of so many interleaved rounds
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99))]
        rounds: u32,
        /// How long each figure is measured in a round
        #[arg(long, default_value_t = 2.0)]
        seconds: f64,
        /// Connections of senders
        #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=4_096))]
        connections: u16,
        /// Mailboxes that envelopes go to
        #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        mailboxes: u32,
        /// Idle devices that each round adds, to see what memory one takes; 0: none. (Linux)
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(0..=20_000))]
        idle: u32,
        /// Also an open loop of so many puts a second
        #[arg(long)]
        rate: Option<u32>,
    },
    /// Say something to a running relay; without a verb: what there is to say
    Admin {
        /// Its data folder
        #[arg(long, value_name = "DIR", env = "WAXWING_RELAY_DATA")]
        data: PathBuf,
        /// Its socket [default: admin.sock in the data folder]
        #[arg(long, value_name = "PATH")]
        socket: Option<PathBuf>,
        /// health, stats, metrics, verify, invite mint, invite revoke, invite list, block MAILBOX, unblock MAILBOX, export MAILBOX FILE, import FILE, backup DIR, drain
        verb: Vec<String>,
    },
}

const EXIT_CODES: &str = "Every key of the file can be set by a variable: WAXWING_RELAY_LIMITS_PUSH_WINDOW=64.
Exit codes: 0 stopped when asked, 2 configuration, 3 data folder, 4 address, 5 store, 1 anything else.";

fn main() -> ExitCode {
    let Arguments { command, serve } = Arguments::parse();
    match command {
        Some(Command::Admin { data, socket, verb }) => {
            ask(&socket.unwrap_or_else(|| data.join(process::SOCKET)), &verb)
        }
        Some(Command::Bench { data, rounds, seconds, connections, mailboxes, idle, rate }) => {
            let Ok(time) = Duration::try_from_secs_f64(seconds) else {
                return fail(&"--seconds is a length of time, like 0.5", 2);
            };
            let mailboxes = usize::try_from(mailboxes).unwrap_or(usize::MAX);
            let idle = usize::try_from(idle).unwrap_or(usize::MAX);
            let plan = Plan { data, rounds, time, connections: connections.into(), mailboxes, idle, rate };
            match bench::run(&plan, &mut std::io::stdout()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(&error, 1),
            }
        }
        None => run(serve),
    }
}

fn run(serve: Serve) -> ExitCode {
    let Serve { config, data, listen, hosts, log, check } = serve;
    let flags = Flags { data, listen, hosts, log };
    let config = match Config::load(config.as_deref(), std::env::vars(), flags) {
        Ok(config) => config,
        Err(error) => return fail(&RunError::Config(error), 2),
    };
    if check {
        return ExitCode::SUCCESS;
    }
    match run::run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, error.exit_code()),
    }
}

fn ask(socket: &Path, verb: &[String]) -> ExitCode {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return fail(&"cannot start", 1);
    };
    let line = match verb {
        // What is relative here is elsewhere for the relay.
        [words @ .., path] if ends_with_path(words) => match std::path::absolute(path) {
            Ok(path) => format!("{} {}", words.join(" "), path.display()),
            Err(error) => return fail(&error, 1),
        },
        words => words.join(" "),
    };
    match runtime.block_on(process::ask(socket, &line)) {
        Ok(answer) => {
            use std::io::Write as _;
            // Whoever reads may have read enough.
            let _ = std::io::stdout().write_all(answer.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error, 1),
    }
}

/// Whether a path comes after these.
fn ends_with_path(words: &[String]) -> bool {
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    matches!(*words.as_slice(), ["backup" | "import"] | ["export", _])
}

fn fail(error: &dyn std::fmt::Display, code: u8) -> ExitCode {
    use std::io::Write as _;
    // Nobody may be there to read it.
    let _ = writeln!(std::io::stderr(), "waxwing-relay: {error}");
    ExitCode::from(code)
}
