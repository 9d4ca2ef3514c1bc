//! A client in simulated weather: the driver that people run, over a store in memory, a simulated network's sockets and the runtime's
//! time, which may be paused. For tests.
//!
//! ```text
//! Options { network: ClientConfig { machine, clock } } ──▶ SimulatedClient ──saves──▶ Disk, which outlives it
//! ```
//! Databases work on threads of their own, which a paused time does not wait for; so the encrypted store is not here. What is new to a driver
//! is: what it saves takes a moment, and its process can end in it.
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rand_core::CryptoRng;
use tokio::{sync::watch, task::JoinHandle};
use waxwing_engine::{
    Command, Engine, LinkUses, LoadError, Output,
    store::{Batch, MemoryStore, Record},
};
use waxwing_wire::{
    link::ContactLink,
    relay::{Put, RelayRequest},
};

use crate::{
    CommandFailed, Condition, Cursor, Event, Options, Unavailable,
    driver::{Handle, Keep},
    store::StoreError,
};

/// What a crash leaves. Cheap to clone; each clone is the same disk.
#[derive(Clone, Debug, Default)]
pub struct Disk(Arc<Mutex<Content>>);

/// Where in a save a process ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Moment {
    /// Before anything is on stable storage.
    Before,
    /// When everything is, and nothing that it was for was done.
    After,
}

#[derive(Default)]
struct Content {
    store: MemoryStore,
    events: Vec<Event>,
    leaves: BTreeMap<[u8; 32], u64>,
    is_full: bool,
    lies: bool,
    ends: Option<(Moment, Box<dyn FnOnce() + Send>)>,
    refused: u64,
    /// What left for relays: mailbox and envelope of each put.
    puts: Vec<([u8; 16], Vec<u8>)>,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content").field("store", &self.store).field("events", &self.events).finish_non_exhaustive()
    }
}

impl Disk {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on it takes nothing, or takes everything again.
    pub fn set_full(&self, is_full: bool) {
        self.lock().is_full = is_full;
    }

    /// The process that saves next ends in it: `end` is called, and the save never returns.
    pub fn end_at_next_save(&self, moment: Moment, end: impl FnOnce() + Send + 'static) {
        self.lock().ends = Some((moment, Box::new(end)));
    }

    /// No save ends a process that was to end by [`Self::end_at_next_save`].
    pub fn end_at_no_save(&self) {
        self.lock().ends = None;
    }

    /// From now on it says of everything that it is saved, and saves nothing: so that a test sees what it would see.
    pub fn lie(&self) {
        self.lock().lies = true;
    }

    /// How many saves it refused.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.lock().refused
    }

    /// Looks at the records and messages.
    pub fn look<T>(&self, look: impl FnOnce(&MemoryStore) -> T) -> T {
        look(&self.lock().store)
    }

    /// Events for programs, in their order.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.lock().events.clone()
    }

    /// Every put that the driver passed on, also those that were lost on their way: mailbox and envelope.
    #[must_use]
    pub fn puts(&self) -> Vec<([u8; 16], Vec<u8>)> {
        self.lock().puts.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Never returns if this is the moment at which the process ends.
    async fn passes(&self, moment: Moment) {
        let ends = self.lock().ends.take_if(|(at, _)| *at == moment);
        if let Some((_, end)) = ends {
            end();
            std::future::pending::<()>().await;
        }
    }

    fn write<T>(&self, write: impl FnOnce(&mut Content) -> T) -> Result<T, StoreError> {
        let mut content = self.lock();
        if content.is_full {
            content.refused = content.refused.saturating_add(1);
            return Err(StoreError::Full);
        }
        Ok(write(&mut content))
    }
}

impl Keep for Disk {
    async fn load(&mut self) -> Result<Vec<Record>, StoreError> {
        Ok(self.lock().store.load_now())
    }

    async fn save_with(&mut self, batch: &Batch, told: &[Event]) -> Result<Option<Cursor>, StoreError> {
        // Time for what should not have left yet to leave.
        tokio::time::sleep(SYNC).await;
        self.passes(Moment::Before).await;
        let saved = self.write(|content| {
            let saved = content.lies || content.store.save_now(batch).is_ok();
            content.events.extend_from_slice(told);
            saved.then_some(content.events.len()).ok_or(StoreError::Full)
        })??;
        self.passes(Moment::After).await;
        let newest = u64::try_from(saved).unwrap_or(u64::MAX);
        Ok((!told.is_empty()).then_some(Cursor(newest)))
    }

    async fn probe(&mut self) -> Result<(), StoreError> {
        self.write(|_| ())
    }

    async fn newest_event(&self) -> Result<Cursor, StoreError> {
        Ok(Cursor(u64::try_from(self.lock().events.len()).unwrap_or(u64::MAX)))
    }

    async fn leaves(&self) -> Result<Vec<([u8; 32], u64)>, StoreError> {
        Ok(self.lock().leaves.iter().map(|(server, number)| (*server, *number)).collect())
    }

    async fn saw_leaf(&mut self, server: &[u8; 32], number: u64) -> Result<(), StoreError> {
        self.write(|content| {
            content.leaves.insert(*server, number);
        })
    }

    async fn close(self) -> Result<(), StoreError> {
        Ok(())
    }

    fn about_to(&mut self, output: &Output) {
        if let Output::Relay { request: RelayRequest::Put(Put { mailbox, envelope, .. }), .. } = output {
            self.lock().puts.push((*mailbox.as_bytes(), envelope.as_bytes().to_vec()));
        }
    }
}

/// A client whose process can be ended at any moment.
#[derive(Debug)]
pub struct SimulatedClient {
    driver: Handle<Disk>,
    task: JoinHandle<()>,
}

impl SimulatedClient {
    /// A new engine on an empty disk.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was stored.
    pub async fn create(
        engine: Engine,
        disk: &Disk,
        options: Options,
        chance: impl CryptoRng + Send + 'static,
    ) -> Result<Self, StoreError> {
        let (driver, task) = Handle::start(engine, disk.clone(), options, Box::new(chance)).await?;
        Ok(Self { driver, task })
    }

    /// Goes on with what a disk holds.
    ///
    /// # Errors
    /// [`LoadError`]; none if nothing can be written now.
    pub async fn open(
        disk: &Disk,
        options: Options,
        chance: impl CryptoRng + Send + 'static,
    ) -> Result<Option<Self>, LoadError> {
        let records = disk.look(MemoryStore::load_now);
        let Some(engine) = Engine::load(&records, options.engine)? else { return Ok(None) };
        Ok(Self::create(engine, disk, options, chance).await.ok())
    }

    /// Its process ends in the middle of what it does.
    pub fn crash(self) {
        self.task.abort();
    }

    /// As [`crate::Client::command`].
    ///
    /// # Errors
    /// [`CommandFailed`]; nothing changed.
    pub async fn command(&self, command: Command) -> Result<(), CommandFailed> {
        self.driver.command(command).await
    }

    /// As [`crate::Client::make_link`].
    ///
    /// # Errors
    /// [`CommandFailed`]; there is no link.
    pub async fn make_link(&self, lifetime: Duration, uses: LinkUses) -> Result<ContactLink, CommandFailed> {
        self.driver.make_link(lifetime, uses).await
    }

    /// As [`crate::Client::look`].
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Engine) -> T + Send + 'static,
    ) -> Result<T, Unavailable> {
        self.driver.look(|engine, _| look(engine)).await
    }

    /// How it is, and becomes.
    #[must_use]
    pub fn condition(&self) -> &watch::Receiver<Condition> {
        self.driver.condition()
    }
}

/// How long a write takes to stable storage.
const SYNC: Duration = Duration::from_millis(1);
