//! Who answers a verb: the profile's daemon, or this process. Implements spec/22-client-api.md §22.1.
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::Value;
use waxwing_client::{Client, OpenClientError, store::OpenError};

use crate::{
    api::{ApiError, EventNote, EventsSubscribe, Method},
    cli::Globals,
    daemon::{Remote, RemoteNotes},
    profile::{self, Need, Settings},
    service::{Notes, Service},
};

/// Who answers.
#[derive(Debug)]
pub enum Backend {
    /// A daemon, and where its socket is.
    Daemon(Remote, PathBuf),
    /// This process, which has the profile open.
    Alone(Service),
}

impl Backend {
    /// The daemon if there is one; otherwise this process opens the profile, after other verbs that have it open.
    ///
    /// # Errors
    /// [`ApiError`], saying what to do.
    pub async fn open(globals: &Globals) -> Result<Self, ApiError> {
        let folder = profile::folder(&globals.profile)?;
        let begun = Instant::now();
        loop {
            if let Some(remote) = Remote::connect(&folder).await? {
                return Ok(Self::Daemon(remote, folder));
            }
            match open(&folder, globals).await {
                Ok(client) => return Ok(Self::Alone(Service::alone(client, folder))),
                Err(NotOpened::Locked) if begun.elapsed() < PATIENCE => {
                    tokio::time::sleep(AGAIN).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Asks.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn call(&mut self, method: Method) -> Result<Value, ApiError> {
        match self {
            Self::Daemon(remote, _) => remote.call(&method).await,
            Self::Alone(service) => method.perform(service).await,
        }
    }

    /// Events as they come, beside what is asked.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn subscribe(&self, params: EventsSubscribe) -> Result<Subscription, ApiError> {
        match self {
            Self::Daemon(_, folder) => {
                let remote = Remote::connect(folder).await?;
                let remote = remote.ok_or_else(|| ApiError::new(crate::api::Code::Closed, "the daemon stopped"))?;
                Ok(Subscription::Daemon(remote.subscribe(params).await?))
            }
            Self::Alone(service) => Ok(Subscription::Alone(service.notes(&params.consumer, params.after).await?)),
        }
    }

    /// Lets the profile go, once what was asked has left; what cannot leave in that time leaves with the next verb.
    ///
    /// # Errors
    /// [`ApiError`]; nothing that was stored is lost.
    pub async fn close(self, patience: Duration) -> Result<(), ApiError> {
        match self {
            Self::Daemon(..) => Ok(()),
            Self::Alone(service) => {
                if !patience.is_zero() {
                    let _ = service.client().settled(patience).await;
                }
                Ok(service.client().clone().close().await?)
            }
        }
    }
}

/// Events from either.
#[derive(Debug)]
pub enum Subscription {
    /// From the daemon.
    Daemon(RemoteNotes),
    /// From here.
    Alone(Notes),
}

impl Subscription {
    /// The next; none when there will be none.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn next(&mut self) -> Result<Option<EventNote>, ApiError> {
        match self {
            Self::Daemon(notes) => notes.next().await.map(Some),
            Self::Alone(notes) => notes.next().await,
        }
    }
}

/// Opens a profile in this process: asks for a passphrase only if one is needed.
///
/// # Errors
/// As [`Client::open`].
pub async fn open(folder: &Path, globals: &Globals) -> Result<Client, NotOpened> {
    // Opening makes it private again; whoever could write to it until now may have.
    if folder.exists() {
        profile::is_ours_alone(folder)?;
    }
    let source = globals.passphrase();
    let settings = Settings::load(folder)?;
    let given = source.unlock(Need::IfThere)?;
    match Client::open(profile::noted(folder), given, settings.options()).await {
        Err(OpenClientError::Profile(OpenError::PassphraseNeeded)) => {
            let asked = source.unlock(Need::Yes)?;
            Client::open(profile::noted(folder), asked, settings.options()).await.map_err(NotOpened::of)
        }
        opened => opened.map_err(NotOpened::of),
    }
}

/// Why a profile was not opened.
#[derive(Debug)]
pub enum NotOpened {
    /// Another process has it: ask that one, or try again.
    Locked,
    /// For another reason.
    Error(ApiError),
}

impl NotOpened {
    fn of(error: OpenClientError) -> Self {
        match error {
            OpenClientError::Profile(OpenError::Locked) => Self::Locked,
            error => Self::Error(error.into()),
        }
    }
}

impl From<ApiError> for NotOpened {
    fn from(error: ApiError) -> Self {
        Self::Error(error)
    }
}

impl From<NotOpened> for ApiError {
    fn from(error: NotOpened) -> Self {
        match error {
            NotOpened::Locked => OpenError::Locked.into(),
            NotOpened::Error(error) => error,
        }
    }
}

/// How long other verbs are waited for.
const PATIENCE: Duration = Duration::from_secs(20);
const AGAIN: Duration = Duration::from_millis(50);
