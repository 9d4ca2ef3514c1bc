//! A relay's life: folder, key, store, socket, service, and the way back. Implements spec/17-relay.md §17.19.
use std::{
    io::{self, Write as _},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use getrandom::SysRng;
use rand_core::UnwrapErr;
use thiserror::Error;
use tokio::time::sleep;
use waxwing_net::{
    BindError, Drained, KeyFileError, Listener, ListenerConfig, Service, load_or_create,
    process::{self, DataFolder, FolderError, SOCKET, Sharing, Signals},
};
use waxwing_wire::{
    address::{AddressError, ServerAddress},
    time::Timestamp,
};

use crate::{
    admin::Admin,
    backup::{KEY, STORE},
    config::{Config, ConfigError},
    server,
    service::{Clock, Relay},
    store::{BlobRules, OpenError, Quota, Rules, SqliteStore, Store},
};

/// Runs a relay as a process of its own until it is told to stop.
///
/// # Errors
/// [`RunError`]: why it does not run.
pub fn run(config: &Config) -> Result<(), RunError> {
    process::log("waxwing_relay", config.log.name());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(RunError::Runtime)?;
    let outcome = runtime.block_on(async {
        let signals = Signals::listen().map_err(RunError::Runtime)?;
        let ending = Ending { drain: signals.stop(), now: signals.now() };
        serve(config, ending, |address| say(&address.to_string())).await
    });
    // What still waits for a disk is not waited for; what was accepted is on it.
    runtime.shutdown_timeout(Duration::from_millis(100));
    outcome
}

/// How a relay is told to stop.
#[derive(Debug)]
pub struct Ending<D, N> {
    /// Resolves when clients are to be told and given time to go.
    pub drain: D,
    /// Resolves when there is no more time.
    pub now: N,
}

/// Runs a relay within a process that may do more. `serving` is told its address once clients are answered there.
///
/// # Errors
/// [`RunError`]: why it does not run.
pub async fn serve(
    config: &Config,
    ending: Ending<impl Future<Output = ()>, impl Future<Output = ()>>,
    serving: impl FnOnce(&ServerAddress) -> io::Result<()>,
) -> Result<(), RunError> {
    let folder = DataFolder::open(&config.data, Sharing::Alone)?;
    let key_file = folder.file(KEY);
    let key = load_or_create(&key_file)?;
    getrandom::fill(&mut [0; 1]).map_err(|_| RunError::Entropy)?;
    let limits = &config.settings.limits;
    let quota = Quota { bytes: limits.mailbox_bytes, envelopes: limits.mailbox_envelopes };
    let puts = config.settings.rates.puts_of_mailbox;
    let blobs = BlobRules {
        bytes: limits.blob_bytes,
        total: config.blobs,
        lifetime: limits.blob_lifetime,
        ..BlobRules::default()
    };
    let store = SqliteStore::open(
        &folder.file(STORE),
        Rules { quota, total: config.mailboxes, blobs, puts, ..Rules::default() },
        now(),
    )
    .await?;
    let relay = Relay::new(store.clone(), config.settings.clone(), Clock::new(now), &mut UnwrapErr(SysRng));
    let listening = ListenerConfig { limits: config.peers, ..ListenerConfig::new(Service::Relay) };
    let listener = Arc::new(Listener::bind(config.listen, &key, listening)?);
    let address = config.address(key.public_key(), listener.local_address())?;
    let admin = Arc::new(Admin::new(relay.clone(), Arc::clone(&listener), key_file));
    let socket = folder.file(SOCKET);
    let administration = process::listen(&socket, Arc::clone(&admin)).map_err(RunError::Admin)?;
    let scraping = match config.metrics {
        None => None,
        Some(place) => Some(process::scrape(place, Arc::clone(&admin)).await.map_err(RunError::Metrics)?),
    };
    serving(&address).map_err(RunError::Output)?;
    tracing::info!("serving");
    let stop = async {
        tokio::select! {
            () = ending.drain => {}
            () = admin.drain_asked() => {}
        }
    };
    let served = server::serve(&listener, &relay, stop, config.drain);
    tokio::select! {
        drained = served => match drained {
            Drained::Clean => tracing::info!("stopped; every client was told"),
            Drained::Forced(_) => tracing::warn!("stopped; some clients did not go in time"),
        },
        () = expire(&relay) => {}
        () = ending.now => tracing::warn!("stopped at once"),
    }
    administration.abort();
    drop(scraping);
    // The socket's name would only be in the way of the next one.
    let _ = std::fs::remove_file(socket);
    // What was accepted is on disk already; this writes what nobody was told of, and gives the folder free.
    store.close().await;
    Ok(())
}

/// The address is all that ever appears on standard output.
fn say(address: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{address}")?;
    out.flush()
}

/// Forgets what is past its time, for ever.
async fn expire<S: Store>(relay: &Relay<S>) {
    loop {
        match relay.store().expire(relay.now()).await {
            // A bounded piece; whoever delivers goes first.
            Ok(true) => tokio::task::yield_now().await,
            Ok(false) => sleep(EXPIRY).await,
            Err(_) => {
                tracing::error!("what expired is not forgotten: the store is unavailable");
                sleep(EXPIRY_RETRY).await;
            }
        }
    }
}

fn now() -> Timestamp {
    Timestamp::EPOCH.saturating_add(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Why a relay does not run, or did not go on. Each says what to do.
#[non_exhaustive]
#[derive(Debug, Error)]
pub enum RunError {
    /// What the operator wrote.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The server's key in the data folder.
    #[error("server key: {0}")]
    Key(#[from] KeyFileError),
    /// The store in the data folder.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The socket.
    #[error("cannot listen: {0}")]
    Bind(#[from] BindError),
    /// The operator's socket.
    #[error("cannot make the operator's socket: {0}")]
    Admin(#[source] io::Error),
    /// Where Prometheus asks.
    #[error("cannot listen for metrics: {0}")]
    Metrics(#[source] io::Error),
    /// The hosts.
    #[error("hosts: {0}")]
    Hosts(#[from] AddressError),
    /// Standard output.
    #[error("cannot print the address: {0}")]
    Output(#[source] io::Error),
    /// The system.
    #[error("cannot start: {0}")]
    Runtime(#[source] io::Error),
    /// The system.
    #[error("the operating system has no randomness")]
    Entropy,
}

impl RunError {
    /// What the process ends with (spec §17.19).
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Hosts(_) => 2,
            Self::Folder(_) | Self::Key(_) | Self::Admin(_) => 3,
            Self::Bind(_) | Self::Metrics(_) => 4,
            Self::Store(_) => 5,
            Self::Output(_) | Self::Runtime(_) | Self::Entropy => 1,
        }
    }
}

const EXPIRY: Duration = Duration::from_secs(1);
const EXPIRY_RETRY: Duration = Duration::from_secs(10);
