//! The machine API's two ways in: a daemon, and standard input and output.
use std::time::{Duration, Instant};

use tokio::io::BufReader;
use waxwing_client::store::{EncryptedStore, OpenError, Salvage};
use waxwing_net::process::Signals;

use crate::{
    api::{ApiError, Code, Entry, Exit, document},
    backend::{self, Backend, NotOpened},
    cli::{Globals, Rpc},
    daemon::{self, Remote, SOCKET},
    profile::{self, Need},
};

/// Owns the profile until it is told to stop.
pub(super) async fn daemon(globals: &Globals) -> Result<Exit, ApiError> {
    let folder = profile::folder(&globals.profile)?;
    let signals = Signals::listen().map_err(|error| profile::system(&folder, &error))?;
    let begun = Instant::now();
    let client = loop {
        if folder.join(SOCKET).exists() && Remote::connect(&folder).await?.is_some() {
            return Err(ApiError::new(
                Code::ProfileLocked,
                "a daemon is at work on this profile already: verbs ask it, and `waxwing daemon stop` ends it",
            ));
        }
        match backend::open(&folder, globals).await {
            Ok(client) => break client,
            // A verb lets it go in a moment.
            Err(NotOpened::Locked) if begun.elapsed() < PATIENCE => {
                tokio::time::sleep(AGAIN).await;
            }
            Err(error) => return Err(error.into()),
        }
    };
    let socket = folder.join(SOCKET).display().to_string();
    let served = daemon::serve(client.clone(), &folder, signals.stop(), || super::print(&socket)).await;
    let closed = client.close().await;
    served?;
    closed?;
    Ok(Exit::Ok)
}

/// One method, or JSON-RPC until standard input ends.
pub(super) async fn run(globals: &Globals, params: Rpc) -> Result<Exit, ApiError> {
    if params.openrpc {
        super::print(&serde_json::to_string_pretty(&document()).unwrap_or_default());
        return Ok(Exit::Ok);
    }
    let Some(name) = params.method else { return stdio(globals).await };
    let entry = Entry::named(&name).ok_or_else(|| {
        ApiError::new(Code::MethodNotFound, "no such method; `waxwing rpc --openrpc` tells which there are")
    })?;
    let given = params.params.as_deref().unwrap_or("{}");
    let given =
        serde_json::from_str(given).map_err(|error| ApiError::new(Code::Parse, format!("the parameters: {error}")))?;
    let method = entry.of_json(given)?;
    let json = Globals { json: true, ..globals.clone() };
    super::ask(&json, method).await
}

async fn stdio(globals: &Globals) -> Result<Exit, ApiError> {
    let (input, output) = (tokio::io::stdin(), tokio::io::stdout());
    match Backend::open(globals).await? {
        Backend::Alone(service) => {
            // Whoever asked may be gone by now.
            let _ = daemon::converse(&service, BufReader::new(input), output).await;
            service.client().clone().close().await?;
        }
        Backend::Daemon(remote, _) => {
            let _ = remote.relay(input, output).await;
        }
    }
    Ok(Exit::Ok)
}

/// Salvages what reads.
pub(super) async fn repair(globals: &Globals) -> Result<Exit, ApiError> {
    let folder = profile::folder(&globals.profile)?;
    let source = globals.passphrase();
    let salvage = match EncryptedStore::repair(&folder, source.unlock(Need::IfThere)?).await {
        Err(OpenError::PassphraseNeeded) => EncryptedStore::repair(&folder, source.unlock(Need::Yes)?).await?,
        salvage => salvage?,
    };
    let Salvage { messages, messages_lost, records, records_lost, markers } = salvage;
    if globals.json {
        let answer = serde_json::json!({
            "version": crate::api::VERSION, "messages": messages, "messages_lost": messages_lost, "records": records,
            "records_lost": records_lost, "markers": markers,
        });
        super::print(&answer.to_string());
    } else {
        super::print(&format!(
            "{messages} messages and {records} records were read; lost: at most {messages_lost} and {records_lost}"
        ));
        super::print("the damaged database is kept as store.db.damaged");
    }
    Ok(if records_lost > 0 { Exit::Error } else { Exit::Ok })
}

const PATIENCE: Duration = Duration::from_secs(20);
const AGAIN: Duration = Duration::from_millis(50);
