//! The key server's binary. Implements spec/19-keyserver.md §19.12; what is decided is decided in the library.
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};
use waxwing_keyserver::{
    config::{Config, Flags},
    run::{self, RunError},
};
use waxwing_net::process;

/// A key server for Waxwing: names, manifests nobody can forge, prekeys handed out exactly once.
///
/// Prints its address on standard output, which is what clients are given, and logs to standard error. SIGTERM or SIGINT stops it
/// gracefully, a second one at once.
#[derive(Debug, Parser)]
#[command(name = "waxwing-keyserver", version, after_help = AFTER_HELP, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Debug, Args)]
struct Serve {
    /// TOML file; see the configuration section of spec/19-keyserver.md for its keys
    #[arg(long, value_name = "FILE", env = "WAXWING_KEYSERVER_CONFIG")]
    config: Option<PathBuf>,
    /// Folder for everything that lasts; made if it is not there
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address and UDP port to listen on [default: [::]:4434]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// How clients find this server, HOST:PORT; may be given up to 4 times [default: where it listens]
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<String>,
    /// off, error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    log: Option<String>,
    /// Serve a folder that other processes serve too; all of them say so
    #[arg(long)]
    shared: bool,
    /// Check the configuration and stop
    #[arg(long)]
    check: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say something to a running server; without a verb: what there is to say
    Admin {
        /// Its data folder
        #[arg(long, value_name = "DIR", env = "WAXWING_KEYSERVER_DATA")]
        data: PathBuf,
        /// Its socket [default: admin.sock in the data folder]
        #[arg(long, value_name = "PATH")]
        socket: Option<PathBuf>,
        /// health, stats, metrics, verify, drain, invite mint, invite revoke, invite list, name give
        verb: Vec<String>,
    },
}

const AFTER_HELP: &str = "Every key of the file can be set by a variable: WAXWING_KEYSERVER_NAMES_MOST=2.
Exit codes: 0 stopped when asked, 2 configuration, 3 data folder, 4 address, 5 store, 1 anything else.";

fn main() -> ExitCode {
    let Arguments { command, serve } = Arguments::parse();
    match command {
        Some(Command::Admin { data, socket, verb }) => {
            ask(&socket.unwrap_or_else(|| data.join(process::SOCKET)), &verb)
        }
        None => run(serve),
    }
}

fn run(serve: Serve) -> ExitCode {
    let Serve { config, data, listen, hosts, log, shared, check } = serve;
    let flags = Flags { data, listen, hosts, log, shared };
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
    match runtime.block_on(process::ask(socket, &verb.join(" "))) {
        Ok(answer) => {
            use std::io::Write as _;
            // Whoever reads may have read enough.
            let _ = std::io::stdout().write_all(answer.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error, 1),
    }
}

fn fail(error: &dyn std::fmt::Display, code: u8) -> ExitCode {
    use std::io::Write as _;
    // Nobody may be there to read it.
    let _ = writeln!(std::io::stderr(), "waxwing-keyserver: {error}");
    ExitCode::from(code)
}
