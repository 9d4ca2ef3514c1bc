//! A key server's life: folder, key, store, socket, service, and the way back. Implements spec/19-keyserver.md §19.12.
use std::{
    io::{self, Write as _},
    sync::Arc,
    time::Duration,
};

use thiserror::Error;
use tokio::time::sleep;
use waxwing_net::{
    BindError, Drained, KeyFileError, Listener, ListenerConfig, Service, load_or_create,
    process::{self, DataFolder, FolderError, SOCKET, Sharing, Signals},
};
use waxwing_wire::address::{AddressError, ServerAddress};

use crate::{
    admin::Admin,
    config::{Config, ConfigError},
    server::{self, Surroundings},
    service::Keyserver,
    store::{
        Store, Unavailable,
        sqlite::{OpenError, SqliteStore},
    },
};

/// Runs a key server as a process of its own until it is told to stop.
///
/// # Errors
/// [`RunError`]: why it does not run.
pub fn run(config: &Config) -> Result<(), RunError> {
    process::log("waxwing_keyserver", config.log.name());
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

/// How a key server is told to stop.
#[derive(Debug)]
pub struct Ending<D, N> {
    /// Resolves when clients are to be told and given time to go.
    pub drain: D,
    /// Resolves when there is no more time.
    pub now: N,
}

/// Runs a key server within a process that may do more. `serving` is told its address once clients are answered there.
///
/// # Errors
/// [`RunError`]: why it does not run.
pub async fn serve(
    config: &Config,
    ending: Ending<impl Future<Output = ()>, impl Future<Output = ()>>,
    serving: impl FnOnce(&ServerAddress) -> io::Result<()>,
) -> Result<(), RunError> {
    let folder = DataFolder::open(&config.data, config.sharing)?;
    let key = load_or_create(&folder.file(KEY))?;
    let store = SqliteStore::open(&folder.file(DATABASE)).await?;
    let keyserver = Keyserver::new(store, key.public_key(), config.settings.clone()).await?;
    let listening = ListenerConfig { limits: config.peers, ..ListenerConfig::new(Service::Keyserver) };
    let listener = Arc::new(Listener::bind(config.listen, &key, listening)?);
    let address = config.address(key.public_key(), listener.local_address())?;
    let surroundings = Surroundings::system();
    let admin = Arc::new(Admin::new(keyserver.clone(), key.public_key(), surroundings.clone(), Arc::clone(&listener)));
    let socket = match config.sharing {
        Sharing::Alone => folder.file(SOCKET),
        // Each of several has a socket of its own.
        Sharing::Shared => folder.file(&format!("admin-{}.sock", std::process::id())),
    };
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
    let served = server::serve(&listener, &keyserver, &surroundings, stop, config.drain);
    tokio::select! {
        drained = served => match drained {
            Drained::Clean => tracing::info!("stopped; every client was told"),
            Drained::Forced(_) => tracing::warn!("stopped; some clients did not go in time"),
        },
        () = expire(&keyserver, &surroundings) => {}
        () = ending.now => tracing::warn!("stopped at once"),
    }
    administration.abort();
    drop(scraping);
    // The socket's name would only be in the way of the next one.
    let _ = std::fs::remove_file(socket);
    Ok(())
}

/// The address is all that ever appears on standard output.
fn say(address: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{address}")?;
    out.flush()
}

/// Forgets names whose rest is over, for ever.
async fn expire<S: Store>(keyserver: &Keyserver<S>, surroundings: &Surroundings) {
    loop {
        if keyserver.store().expire(surroundings.clock.now()).await.is_err() {
            tracing::error!("names whose rest is over are not forgotten: the store is unavailable");
        }
        sleep(EXPIRY).await;
    }
}

/// Why a key server does not run, or did not go on. Each says what to do.
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
    /// The database in the data folder.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The database in the data folder.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
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
}

impl RunError {
    /// What the process ends with (spec §19.12).
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Hosts(_) => 2,
            Self::Folder(_) | Self::Key(_) | Self::Admin(_) => 3,
            Self::Bind(_) | Self::Metrics(_) => 4,
            Self::Store(_) | Self::Unavailable(_) => 5,
            Self::Output(_) | Self::Runtime(_) => 1,
        }
    }
}

const KEY: &str = "server.key";
const DATABASE: &str = "keys.db";
const EXPIRY: Duration = Duration::from_secs(3_600);
