//! An account that goes on by its 24 words. Implements spec/23-client-driver.md §23.7.
//!
//! ```text
//! words ─▶ account id ─▶ its key server: the newest manifest, verified under that id ─▶ the next generation, with this device alone
//! ```
//! Invariant: nothing is made before the account was found, so that a wrong word or a server that is away leaves no profile behind.
use std::time::Duration;

use getrandom::SysRng;
use rand_core::UnwrapErr;
use waxwing_engine::{Engine, NewAccount, RecoverError};
use waxwing_net::{AttemptError, Client as Network, ClientConfig, Ended, KeyserverConnection, RequestError, Trust};
use waxwing_wire::{
    address::ServerAddress,
    frame::{ErrorCode, ServerError},
    id::AccountId,
    keyserver::{FetchAccount, KeyserverReply, KeyserverRequest, VerifiedAccount},
    time::Timestamp,
    words::{AccountSecret, WordsError},
};

use crate::{
    Client, OpenClientError, Options,
    store::{EncryptedStore, Profile, Protection},
};

/// Why an account does not go on here. Nothing was changed anywhere, but for [`Self::Open`], which says what there is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverClientError {
    /// They are no account's words: compare them with the paper.
    #[error(transparent)]
    Words(#[from] WordsError),
    /// The key server knows no account of these words: it is another server's, or one that was never made.
    #[error("the key server knows no account of these words")]
    UnknownAccount,
    /// The account was deleted, which is for ever.
    #[error("the account was deleted")]
    Deleted,
    /// The engine refuses.
    #[error(transparent)]
    Refused(RecoverError),
    /// The key server could not be reached: try again later.
    #[error("the key server cannot be asked: {0}")]
    Unreachable(AttemptError),
    /// The connection to it ended before it answered: try again.
    #[error("the key server did not answer: {0}")]
    Lost(Ended),
    /// It refuses; it may say when to come back.
    #[error("the key server refuses: {0}")]
    Server(ServerError),
    /// What it answered is not genuine: it is broken, or means ill.
    #[error("the key server's answer is not genuine")]
    Forged,
    /// The profile.
    #[error(transparent)]
    Open(#[from] OpenClientError),
}

impl Client {
    /// Begins the next generation of an account by its 24 words, and a profile for its only device in a folder that is empty or not there.
    /// Devices of the account before are shut out; contacts and messages do not come back by the words.
    ///
    /// # Errors
    /// [`RecoverClientError`].
    pub async fn recover(
        profile: impl Into<Profile>,
        protection: Protection,
        words: &str,
        account: NewAccount,
        options: Options,
    ) -> Result<Self, RecoverClientError> {
        let id = AccountSecret::from_words(words)?.recovery_key().public_key().account_id();
        let now = options.network.clock.now();
        let current = find(&account.key_servers, id, &options.network, now).await?;
        let engine = Engine::recover(words, current, account, options.engine, now, &mut UnwrapErr(SysRng));
        let engine = engine.map_err(|error| match error {
            RecoverError::Deleted => RecoverClientError::Deleted,
            error => RecoverClientError::Refused(error),
        })?;
        let store = EncryptedStore::create(profile, protection).await.map_err(OpenClientError::from)?;
        Ok(Self::start(engine, store, options).await.map_err(OpenClientError::NotStored)?)
    }
}

/// What the first key server has that answers.
async fn find(
    servers: &[ServerAddress],
    account: AccountId,
    config: &ClientConfig,
    now: Timestamp,
) -> Result<VerifiedAccount, RecoverClientError> {
    let mut last = RecoverClientError::Refused(RecoverError::KeyServers);
    for server in servers {
        match ask(server, account, config.clone(), now).await {
            // Another one may know more, or be there.
            Err(error @ (RecoverClientError::Unreachable(_) | RecoverClientError::Lost(_))) => last = error,
            Err(error @ (RecoverClientError::UnknownAccount | RecoverClientError::Server(_))) => last = error,
            found => return found,
        }
    }
    Err(last)
}

async fn ask(
    server: &ServerAddress,
    account: AccountId,
    config: ClientConfig,
    now: Timestamp,
) -> Result<VerifiedAccount, RecoverClientError> {
    let network = Network::new(config).map_err(|_| RecoverClientError::Unreachable(AttemptError::Local))?;
    let dialed = network.keyserver(server, Trust::Configured).await;
    let keyserver = dialed.map_err(|error| RecoverClientError::Unreachable(error.reason()))?;
    let answer = tokio::time::timeout(PATIENCE, fetch(&keyserver, account)).await;
    network.close().await;
    match answer.unwrap_or(Err(RecoverClientError::Lost(Ended::TimedOut)))? {
        KeyserverReply::Account(objects) => objects.verify(&account, now).map_err(|_| RecoverClientError::Forged),
        _ => Err(RecoverClientError::Forged),
    }
}

async fn fetch(keyserver: &KeyserverConnection, account: AccountId) -> Result<KeyserverReply, RecoverClientError> {
    let request = KeyserverRequest::FetchAccount(FetchAccount { account });
    keyserver.request(request).await.map_err(|error| match error {
        RequestError::Server(error) if error.code == ErrorCode::NoSuchAccount => RecoverClientError::UnknownAccount,
        RequestError::Server(error) if error.code == ErrorCode::AccountDeleted => RecoverClientError::Deleted,
        RequestError::Server(error) => RecoverClientError::Server(error),
        RequestError::Ended(ended) => RecoverClientError::Lost(ended),
        _ => RecoverClientError::Forged,
    })
}

/// How long a key server that was reached may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);
