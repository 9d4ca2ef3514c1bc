//! Waxwing's command line, its machine API and its daemon, and both servers in one process. Implements spec/22-client-api.md.
//!
//! ```text
//! cli (what was typed) ─┬─▶ verbs ──────────────▶ init, serve, demo, chat, daemon, rpc …
//!                       └─▶ api::Method ─▶ backend ─┬─▶ daemon::Remote ─socket─▶ daemon ─▶┐
//!                                                   └───────────────────────────────▶ service ─▶ waxwing_client
//! ```
//! Invariants: no protocol decision is taken here; every text that others wrote is made safe before it is shown ([`text`]).
#![forbid(unsafe_code)]

pub mod api;
pub mod backend;
pub mod cli;
pub mod daemon;
mod length;
mod logging;
pub mod profile;
mod qr;
pub mod render;
pub mod server_line;
pub mod service;
pub mod text;
mod verbs;

use std::{ffi::OsString, io::Write as _, process::ExitCode};

use self::{
    api::{ApiError, VERSION},
    cli::{Globals, Verb},
};

/// Does what was typed; what the process ends with.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let (mut globals, verb) = match cli::parse(arguments) {
        Ok(typed) => typed,
        Err(error) => {
            // Nobody may be there to read it.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1));
        }
    };
    // Whoever speaks to the machine API reads no lines for people.
    globals.json |= matches!(verb, Verb::Local(cli::Local::Rpc(_)));
    logging::begin(&globals.log);
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&globals, &ApiError::new(api::Code::System, error.to_string())),
    };
    let done = runtime.block_on(async {
        match verb {
            Verb::Method(method) => verbs::ask(&globals, method).await,
            Verb::Local(local) => verbs::local(&globals, local).await,
        }
    });
    // A thread may still wait for a line of standard input that nobody wants any more.
    runtime.shutdown_background();
    let code = match done {
        Ok(exit) => ExitCode::from(exit.number()),
        Err(error) => fail(&globals, &error),
    };
    waxwing_client::store::wait_for_threads(GOODBYE);
    code
}

fn fail(globals: &Globals, error: &ApiError) -> ExitCode {
    if globals.json {
        verbs::print(&serde_json::json!({ "version": VERSION, "error": error.to_json() }).to_string());
    } else {
        let again = error.retry_after.map(|after| format!(" (ask again in {})", length::rounded(after)));
        let message = text::block(&error.message, "  ");
        let _ = writeln!(std::io::stderr(), "waxwing: {message}{}", again.unwrap_or_default());
    }
    ExitCode::from(error.code.exit().number())
}

/// A database's thread ends in far less.
const GOODBYE: std::time::Duration = std::time::Duration::from_secs(1);
