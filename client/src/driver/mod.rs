//! What performs an engine's outputs: one task that owns engine and store. Implements spec/23-client-driver.md.
//!
//! ```text
//! Handle ──requests──▶ ┌────────┐ ──Save + events──▶ store
//! lines  ──said──────▶ │ Driver │ ──Connect, Relay, Keyserver──▶ lines, a task each
//! clock  ──Woke──────▶ └────────┘ ──Solve──▶ a thread
//! ```
//! Invariants: outputs are performed in their order, and nothing is performed that relies on what is not saved; whoever asked for
//! something hears of it when it is on stable storage; a save that fails ends the engine, and another one is loaded.
//! Not here: what is to be done (the engine), what a person may ask ([`crate::Client`]).
mod handle;
mod keep;
mod line;
mod lines;
mod work;

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    time::{Duration, Instant},
};

use rand_core::CryptoRng;
use tokio::sync::{mpsc, oneshot, watch};
use waxwing_engine::{
    Command, CommandError, Engine, Event as Told, Input, Link, LoadError, Output, Settings, store::Batch,
};
use waxwing_net::{Alarm, ClientConfig, Machine, Path};
use waxwing_wire::{link::ContactLink, time::Timestamp};

use self::{
    line::{Ask, Said},
    lines::Lines,
    work::Worker,
};
use crate::{Cursor, Event, clock::Clock, store::StoreError};

pub(crate) use self::{handle::Handle, keep::Keep};
pub use self::{line::Reason, lines::Down};

/// What is asked of a driver. Each is answered once it is on stable storage.
pub(crate) enum Request<S> {
    /// The answer: done, or why not.
    Command(Command, Answer<Result<(), CommandFailed>>),
    /// As a command; the answer is the link.
    MakeLink(Command, Answer<Result<ContactLink, CommandFailed>>),
    /// Looks at the engine, if there is one now.
    Look(Look),
    /// Does something with the store, and answers.
    Store(Work<S>),
    Close(Answer<Result<(), StoreError>>),
}

pub(crate) type Answer<T> = oneshot::Sender<T>;
pub(crate) type Look = Box<dyn FnOnce(Option<&Engine>, &Network) + Send>;
type Work<S> = Box<dyn for<'s> FnOnce(&'s mut S) -> Pin<Box<dyn Future<Output = ()> + Send + 's>> + Send>;
/// What keys and ids are made from: the system's, but in a simulation.
pub(crate) type Chance = Box<dyn CryptoRng + Send>;
/// Who asked, and what the engine said to it.
type Asked<T> = (Answer<Result<T, CommandFailed>>, Result<(), CommandError>);

/// Why a command was not done. Nothing changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandFailed {
    /// The engine refuses it.
    #[error(transparent)]
    Refused(CommandError),
    /// It could not be stored: make room, or look after the disk; then ask again.
    #[error("not stored: {0}")]
    NotStored(StoreError),
    /// The client was closed.
    #[error("the client is closed")]
    Closed,
}

/// What the network is like, by links.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) paths: HashMap<Link, Path>,
    pub(crate) down: HashMap<Link, Down>,
}

/// How a client is now.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Condition {
    /// Others can reach this device.
    pub ready: bool,
    /// Everything is in the store that had waited at the relay when the connection to it was made.
    pub drained: bool,
    /// Everything that was to be sent is at its relays, and the own relay knows which links are open.
    pub quiet: bool,
    /// The newest event.
    pub newest: Cursor,
    /// What was to be stored could not be: it is tried again and again.
    pub failing: Option<StoreError>,
    /// What is stored cannot be read by this version, or is damaged: nothing goes on.
    pub broken: bool,
}

/// What can be chosen.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The engine's.
    pub engine: Settings,
    /// Of each connection; the lowest leaf of each server is looked after by the client.
    pub network: ClientConfig,
}

/// Owns what there is.
pub(crate) struct Driver<S> {
    engine: Option<Engine>,
    store: S,
    settings: Settings,
    lines: Lines,
    heard: mpsc::Receiver<(u64, Said)>,
    requests: mpsc::Receiver<Request<S>>,
    clock: Clock,
    chance: Chance,
    worker: Worker,
    wake: Option<Timestamp>,
    alarm: Alarm,
    /// Those who wait for what they asked to be stored.
    commands: Vec<Asked<()>>,
    links: Vec<Asked<ContactLink>>,
    condition: watch::Sender<Condition>,
    failures: u32,
}

impl<S: Keep> Driver<S> {
    /// Takes a store and the engine that was loaded from it, or that is new and was never saved.
    pub(crate) async fn new(
        engine: Engine,
        store: S,
        options: Options,
        chance: Chance,
        requests: mpsc::Receiver<Request<S>>,
    ) -> Result<(Self, watch::Receiver<Condition>), StoreError> {
        let leaves = store.leaves().await?;
        let newest = store.newest_event().await?;
        let Options { engine: settings, network } = options;
        let (clock, alarm) = (Clock::from(engine.newest_time(), network.clock.clone()), alarm(&network.machine));
        let (lines, heard) = Lines::new(network, settings.allow_private_servers, leaves);
        let (condition, watched) = watch::channel(Condition { newest, ..Condition::default() });
        let driver = Self {
            clock,
            chance,
            engine: Some(engine),
            store,
            settings,
            lines,
            heard,
            requests,
            worker: Worker::new(),
            wake: None,
            alarm,
            commands: Vec::new(),
            links: Vec::new(),
            condition,
            failures: 0,
        };
        Ok((driver, watched))
    }

    /// Stores what a new engine begins with; the first thing that happens to it.
    pub(crate) async fn begin(&mut self) -> Result<(), StoreError> {
        self.perform().await
    }

    /// Until it is closed, or nobody can ask any more.
    pub(crate) async fn run(mut self) {
        self.feed(Input::Woke);
        let closing = loop {
            self.turn().await;
            self.set_alarm();
            let request = tokio::select! {
                request = self.requests.recv() => match request {
                    None => break None,
                    Some(Request::Close(answer)) => break Some(answer),
                    Some(request) => Some(request),
                },
                Some((number, said)) = self.heard.recv() => {
                    self.hear(number, said).await;
                    None
                }
                Some((call, nonce)) = self.worker.found() => {
                    self.feed(Input::Solved { call, nonce });
                    None
                }
                () = self.alarm.ring() => {
                    self.wake_if_due().await;
                    None
                }
            };
            if let Some(request) = request {
                self.take(request).await;
            }
            // What is here already goes into the same transaction.
            for _ in 0..TOGETHER {
                let Ok((number, said)) = self.heard.try_recv() else { break };
                self.hear(number, said).await;
            }
        };
        let Self { store, lines, heard, .. } = self;
        lines.close(heard).await;
        let closed = store.close().await;
        if let Some(answer) = closing {
            let _ = answer.send(closed);
        }
    }

    /// Performs what the engine wants, and answers those who waited for it.
    async fn turn(&mut self) {
        let performed = self.perform().await;
        let failed = performed.err();
        if let Some(error) = failed {
            self.fail(error);
        }
        // First: whoever hears that something was taken may ask whether all is sent.
        let engine = self.engine.as_ref();
        let is = |what: fn(&Engine) -> bool| engine.is_some_and(what);
        let now = (is(Engine::is_ready), is(Engine::is_drained), is(Engine::is_quiet));
        self.condition.send_if_modified(|condition| {
            let Condition { ready, drained, quiet, .. } = condition;
            let changed = (*ready, *drained, *quiet) != now;
            (*ready, *drained, *quiet) = now;
            changed
        });
        for (answer, result) in self.commands.drain(..) {
            let _ = answer.send(outcome(result, failed));
        }
        // Those whose link was made were answered; the others were refused, or not stored.
        for (answer, result) in self.links.drain(..) {
            let _ = answer.send(outcome(result, failed).and(Err(CommandFailed::Closed)));
        }
    }

    /// All outputs in their order. What is told goes into the transaction of the save that comes before it.
    async fn perform(&mut self) -> Result<(), StoreError> {
        let Some(engine) = &mut self.engine else { return Ok(()) };
        let outputs: Vec<Output> = std::iter::from_fn(|| engine.poll()).collect();
        let mut told: Vec<Event> = outputs.iter().filter_map(kept).collect();
        let is_saved = outputs.iter().any(|output| matches!(output, Output::Save(_)));
        if !is_saved && !told.is_empty() {
            self.save(&Batch::new(), std::mem::take(&mut told)).await?;
        }
        for output in outputs {
            self.store.about_to(&output);
            match output {
                Output::Save(batch) => self.save(&batch, std::mem::take(&mut told)).await?,
                Output::Connect { link, server } => self.lines.connect(link, server),
                Output::Disconnect { link } => self.lines.disconnect(link),
                Output::Relay { link, call, request } => self.lines.ask(&link, Ask::Relay(call, request)),
                Output::Keyserver { link, call, request } => self.lines.ask(&link, Ask::Keyserver(call, request)),
                Output::Solve { call, puzzle } => self.worker.solve(call, puzzle),
                Output::WakeAt(at) => self.wake = Some(at),
                Output::Notify(Told::LinkMade { link }) => self.made(link),
                _ => {}
            }
        }
        Ok(())
    }

    async fn save(&mut self, batch: &Batch, told: Vec<Event>) -> Result<(), StoreError> {
        if let Some(newest) = self.store.save_with(batch, &told).await? {
            self.condition.send_modify(|condition| condition.newest = newest);
        }
        Ok(())
    }

    /// The link that whoever asked first was waiting for.
    fn made(&mut self, link: ContactLink) {
        let place = self.links.iter().position(|(_, result)| result.is_ok());
        if let Some(place) = place {
            let (answer, _) = self.links.remove(place);
            let _ = answer.send(Ok(link));
        }
    }

    /// Memory is ahead of the disk now: the engine is dropped, as by a crash, and another one is loaded after a wait.
    fn fail(&mut self, error: StoreError) {
        tracing::error!(%error, "cannot store; trying again");
        self.engine = None;
        self.lines.disconnect_all();
        self.worker.forget_all();
        self.failures = self.failures.saturating_add(1);
        self.condition.send_modify(|condition| condition.failing = Some(error));
        let wait = RETRY.saturating_mul(1 << self.failures.saturating_sub(1).min(6));
        self.wake = Some(self.clock.now().saturating_add(wait));
    }

    async fn reload(&mut self) {
        // An engine may have nothing to store for long: whether it could be is found out first.
        if let Err(error) = self.store.probe().await {
            return self.fail(error);
        }
        let loaded = match self.store.load().await {
            Ok(records) => Engine::load(&records, self.settings),
            Err(error) => return self.fail(error),
        };
        match loaded {
            Ok(Some(engine)) => {
                self.engine = Some(engine);
                self.failures = 0;
                self.condition.send_modify(|condition| condition.failing = None);
                self.feed(Input::Woke);
            }
            Ok(None) | Err(LoadError::Damaged { .. } | _) => {
                tracing::error!("what is stored cannot be read");
                self.wake = None;
                self.condition.send_modify(|condition| condition.broken = true);
            }
        }
    }

    async fn hear(&mut self, number: u64, said: Said) {
        let Some(link) = self.lines.link(number) else { return };
        match said {
            Said::Heard(input) => self.feed(input),
            Said::Up { exporter, leaf, line } => {
                if let Some(leaf) = self.lines.is_up(link, leaf, line) {
                    // Kept so that a stolen older leaf serves nobody; if it is not, the next connection shows it again.
                    let _ = self.store.saw_leaf(&link.server, leaf.0).await;
                }
                self.feed(Input::Connected { link, exporter });
            }
            Said::Over(reason) => {
                tracing::debug!(%reason, "a connection is over");
                let now = self.clock.now();
                self.lines.is_over(link, reason, now);
                self.feed(Input::Disconnected { link });
            }
        }
    }

    async fn take(&mut self, request: Request<S>) {
        match request {
            Request::Command(command, answer) => {
                let result = self.command(command);
                match result {
                    Ok(result) => self.commands.push((answer, result)),
                    Err(error) => drop(answer.send(Err(error))),
                }
            }
            Request::MakeLink(command, answer) => match self.command(command) {
                Ok(result) => self.links.push((answer, result)),
                Err(error) => drop(answer.send(Err(error))),
            },
            Request::Look(look) => {
                let network = Network { paths: self.lines.paths(), down: self.lines.down() };
                look(self.engine.as_ref(), &network);
            }
            Request::Store(work) => work(&mut self.store).await,
            // Taken before.
            Request::Close(_) => {}
        }
    }

    fn command(&mut self, command: Command) -> Result<Result<(), CommandError>, CommandFailed> {
        let failing = self.condition.borrow().failing.unwrap_or(StoreError::Unavailable);
        let Some(engine) = &mut self.engine else { return Err(CommandFailed::NotStored(failing)) };
        Ok(engine.handle(Input::Command(command), self.clock.now(), &mut self.chance))
    }

    fn feed(&mut self, input: Input) {
        let Some(engine) = &mut self.engine else { return };
        if matches!(input, Input::Woke) {
            self.lines.trust(engine.own_servers());
        }
        // Only commands are refused.
        let _ = engine.handle(input, self.clock.now(), &mut self.chance);
    }

    /// For when the engine is to be woken. A clock that is set forward is noticed within two minutes.
    fn set_alarm(&mut self) {
        let due = self.wake.map(|at| self.clock.until(at));
        let now = now();
        self.alarm.set(now.checked_add(due.unwrap_or(LOOK).min(LOOK)).unwrap_or(now));
    }

    async fn wake_if_due(&mut self) {
        if self.wake.is_none_or(|at| at > self.clock.now()) {
            return;
        }
        self.wake = None;
        match self.engine {
            Some(_) => self.feed(Input::Woke),
            None => self.reload().await,
        }
    }
}

fn alarm(machine: &Machine) -> Alarm {
    machine.alarm(now())
}

/// tokio's, which is the system's unless a simulation has paused it.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn outcome(result: Result<(), CommandError>, failed: Option<StoreError>) -> Result<(), CommandFailed> {
    match (result, failed) {
        (Err(refused), _) => Err(CommandFailed::Refused(refused)),
        (Ok(()), Some(error)) => Err(CommandFailed::NotStored(error)),
        (Ok(()), None) => Ok(()),
    }
}

/// What is kept of an output.
fn kept(output: &Output) -> Option<Event> {
    match output {
        Output::Notify(told) => Event::of(told),
        _ => None,
    }
}

/// Inputs that are taken before what comes of them is stored.
const TOGETHER: usize = 256;
/// The clock is looked at at least so often.
const LOOK: Duration = Duration::from_secs(120);
/// The first wait after a save that failed.
const RETRY: Duration = Duration::from_millis(500);
