//! A client, as programs hold it. Implements spec/23-client-driver.md §23.1.
use std::{collections::HashMap, collections::VecDeque, time::Duration};

use getrandom::SysRng;
use rand_core::{Rng as _, UnwrapErr};
use tokio::sync::watch;
use waxwing_engine::{
    Command, Created, Engine, Link, LinkUses, LoadError, MessageText, NewAccount, NewAccountError, store::Store as _,
};
use waxwing_wire::{
    content::MessageId,
    id::{AccountId, DeviceId},
    link::ContactLink,
    time::Timestamp,
};
use zeroize::Zeroizing;

use crate::{
    Cursor, Event,
    driver::{CommandFailed, Condition, Down, Handle, Options},
    store::{EncryptedStore, Finding, OpenError, Profile, Protection, Reader, StoreError, Unlock},
};

/// One device of one account, at work: a task of its own connects, sends and receives until the last handle is gone. Cheap to clone.
///
/// What the person wants is durable when the call returns; what happened comes as [`Client::events`]; what is shown is read with
/// [`Client::reader`].
#[derive(Clone, Debug)]
pub struct Client {
    driver: Handle<EncryptedStore>,
    reader: Reader,
    account: AccountId,
    device: DeviceId,
}

/// Why a client was not made or opened. Nothing was changed, unless the variant says so.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenClientError {
    /// The profile, which says what to do.
    #[error(transparent)]
    Profile(#[from] OpenError),
    /// The servers do not fit into an account.
    #[error(transparent)]
    Account(#[from] NewAccountError),
    /// The account could not be stored: the folder holds a profile without one; remove it.
    #[error("the new account was not stored ({0}); remove the folder and begin anew")]
    NotStored(StoreError),
    /// There is no account in it: making it was interrupted; remove the folder, and make it anew.
    #[error("the profile holds no account: making it was interrupted; remove the folder and begin anew")]
    Empty,
    /// Its records are damaged, or a newer version wrote them.
    #[error("the profile cannot be used: {0}")]
    Records(#[from] LoadError),
}

/// Why nothing can be said.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// The client was closed.
    #[error("the client is closed")]
    Closed,
    /// Nothing can be stored now, so that nothing goes on; it is tried again.
    #[error("nothing can be stored now; trying again")]
    Failing,
}

/// Whether everything is done that can be done now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Settled {
    /// Others can reach this device, and everything that was to be sent is at its relays.
    Yes,
    /// Time ran out first, or nothing can be stored: [`Client::condition`] says more.
    NotYet,
}

impl Client {
    /// Makes an account, and a profile for its first device in a folder that is empty or not there. The 24 words are to be shown once,
    /// and kept nowhere.
    ///
    /// # Errors
    /// [`OpenClientError`].
    pub async fn create(
        profile: impl Into<Profile>,
        protection: Protection,
        account: NewAccount,
        options: Options,
    ) -> Result<(Self, Zeroizing<String>), OpenClientError> {
        let now = options.network.clock.now();
        let Created { engine, words } = Engine::create(account, options.engine, now, &mut UnwrapErr(SysRng))?;
        let store = EncryptedStore::create(profile, protection).await?;
        let client = Self::start(engine, store, options).await.map_err(OpenClientError::NotStored)?;
        Ok((client, words))
    }

    /// Opens a profile and goes on. Connections are made in the background.
    ///
    /// # Errors
    /// [`OpenClientError`].
    pub async fn open(profile: impl Into<Profile>, unlock: Unlock, options: Options) -> Result<Self, OpenClientError> {
        let mut store = EncryptedStore::open(profile, unlock).await?;
        let records = store.load().await.map_err(OpenError::from)?;
        let engine = Engine::load(&records, options.engine)?.ok_or(OpenClientError::Empty)?;
        drop(records);
        Ok(Self::start(engine, store, options).await.map_err(OpenError::from)?)
    }

    pub(crate) async fn start(engine: Engine, store: EncryptedStore, options: Options) -> Result<Self, StoreError> {
        let (reader, account, device) = (store.reader(), engine.account_id(), engine.device_id());
        let (driver, _) = Handle::start(engine, store, options, Box::new(UnwrapErr(SysRng))).await?;
        Ok(Self { driver, reader, account, device })
    }

    /// This account.
    #[must_use]
    pub const fn account_id(&self) -> AccountId {
        self.account
    }

    /// This device of it.
    #[must_use]
    pub const fn device_id(&self) -> DeviceId {
        self.device
    }

    /// Reads messages, counts, events, hits of a search.
    #[must_use]
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// Does what the person wants. It is on stable storage when this returns; what it leads to goes on in the background.
    ///
    /// # Errors
    /// [`CommandFailed`]; nothing changed.
    pub async fn command(&self, command: Command) -> Result<(), CommandFailed> {
        self.driver.command(command).await
    }

    /// Sends a text: it is in the outbox when this returns, under an id that is its name for ever.
    ///
    /// # Errors
    /// [`CommandFailed`]; nothing is sent.
    pub async fn send(&self, to: &AccountId, text: MessageText) -> Result<MessageId, CommandFailed> {
        let mut id = [0; 16];
        UnwrapErr(SysRng).fill_bytes(&mut id);
        let id = MessageId::from_bytes(id);
        self.command(Command::Send { to: *to, id, text }).await?;
        Ok(id)
    }

    /// Makes a link that others can write to this account by, for so long and so often. It works once the relay knows of it ([`Self::settled`]).
    ///
    /// # Errors
    /// [`CommandFailed`]; there is no link.
    pub async fn make_link(&self, lifetime: Duration, uses: LinkUses) -> Result<ContactLink, CommandFailed> {
        self.driver.make_link(lifetime, uses).await
    }

    /// Looks at the engine: who is known, what waits, what is up.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Engine) -> T + Send + 'static,
    ) -> Result<T, Unavailable> {
        self.driver.look(|engine, _| look(engine)).await
    }

    /// Why links are down that should be up.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn down(&self) -> Result<HashMap<Link, Down>, Unavailable> {
        self.driver.look(|_, network| network.down.clone()).await
    }

    /// What the paths of links are like that are up.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn paths(&self) -> Result<HashMap<Link, waxwing_net::Path>, Unavailable> {
        self.driver.look(|_, network| network.paths.clone()).await
    }

    /// How it is now.
    #[must_use]
    pub fn condition(&self) -> Condition {
        *self.driver.condition().borrow()
    }

    /// How it becomes.
    #[must_use]
    pub fn changes(&self) -> Changes {
        Changes(self.driver.condition().clone())
    }

    /// Waits until it is like that; it may be so already. Cancel-safe.
    ///
    /// # Errors
    /// [`Unavailable::Closed`].
    pub async fn until(&self, wanted: impl FnMut(&Condition) -> bool) -> Result<Condition, Unavailable> {
        self.driver.until(wanted).await
    }

    /// Waits until others can reach this device and everything is sent, but not longer than `patience`.
    pub async fn settled(&self, patience: Duration) -> Settled {
        self.driver.settled(patience).await
    }

    /// Events after a cursor, and those to come: each at least once, in order. To go on where a program stopped, give what it
    /// acknowledged last ([`Reader::acknowledged`]).
    #[must_use]
    pub fn events(&self, after: Cursor) -> Events {
        Events { reader: self.reader(), condition: self.driver.condition().clone(), after, ready: VecDeque::new() }
    }

    /// A program has every event up to this one. The name is its own, 1 to 64 bytes.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn acknowledge(&self, consumer: &str, cursor: Cursor) -> Result<(), StoreError> {
        let consumer = consumer.to_owned();
        self.driver.store(move |store| Box::pin(async move { store.acknowledge(&consumer, cursor).await })).await
    }

    /// Forgets how far a program has come.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_consumer(&self, consumer: &str) -> Result<(), StoreError> {
        let consumer = consumer.to_owned();
        self.driver.store(move |store| Box::pin(async move { store.forget_consumer(&consumer).await })).await
    }

    /// As [`EncryptedStore::forget_before`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_before(&self, moment: Timestamp, conversation: Option<AccountId>) -> Result<u64, StoreError> {
        self.driver
            .store(move |store| Box::pin(async move { store.forget_before(moment, conversation.as_ref()).await }))
            .await
    }

    /// As [`EncryptedStore::check`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn check(&self) -> Result<Vec<Finding>, StoreError> {
        self.driver.store(|store| Box::pin(store.check())).await
    }

    /// Ends it: tells the servers, folds the journal in, and lets the profile go. Other handles say that it is closed. A process that ends
    /// right after it calls [`wait_for_threads`](crate::store::wait_for_threads) first.
    ///
    /// # Errors
    /// [`StoreError`]; nothing that was stored is lost.
    pub async fn close(self) -> Result<(), StoreError> {
        self.driver.close().await
    }
}

/// Changes of a client's condition. An event changes it as well.
#[derive(Debug)]
pub struct Changes(watch::Receiver<Condition>);

impl Changes {
    /// How it is now; [`Self::next`] waits for what comes after.
    pub fn now(&mut self) -> Condition {
        *self.0.borrow_and_update()
    }

    /// Waits until it is not as it was seen last. Cancel-safe.
    ///
    /// # Errors
    /// [`Unavailable::Closed`].
    pub async fn next(&mut self) -> Result<(), Unavailable> {
        self.0.changed().await.map_err(|_| Unavailable::Closed)
    }
}

/// What happens, one after another.
#[derive(Debug)]
pub struct Events {
    reader: Reader,
    condition: watch::Receiver<Condition>,
    after: Cursor,
    ready: VecDeque<(Cursor, Event)>,
}

impl Events {
    /// The next event and its cursor; waits for it. None when the client is closed. Cancel-safe.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn next(&mut self) -> Result<Option<(Cursor, Event)>, StoreError> {
        loop {
            if let Some((cursor, event)) = self.ready.pop_front() {
                self.after = cursor;
                return Ok(Some((cursor, event)));
            }
            // Before the look: what comes after it changes the condition.
            self.condition.borrow_and_update();
            self.ready = self.reader.events(self.after, AT_ONCE).await?.into();
            if self.ready.is_empty() && self.condition.changed().await.is_err() {
                return Ok(None);
            }
        }
    }
}

/// Events that are read at once.
const AT_ONCE: usize = 256;
