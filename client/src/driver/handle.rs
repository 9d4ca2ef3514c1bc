//! What asks a driver. Implements spec/23-client-driver.md §23.1.
use std::{future::Future, pin::Pin, time::Duration};

use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};
use waxwing_engine::{Command, Engine, LinkUses};
use waxwing_wire::link::ContactLink;

use super::{Answer, Chance, CommandFailed, Condition, Driver, Network, Options, Request, keep::Keep};
use crate::{
    client::{Settled, Unavailable},
    store::StoreError,
};

/// Reaches a driver's task, which ends with the last of them.
pub(crate) struct Handle<S> {
    requests: mpsc::Sender<Request<S>>,
    // Not shown: whoever held a look at it would hold the driver.
    condition: watch::Receiver<Condition>,
}

// Not derived: that would ask the same of the store.
impl<S> Clone for Handle<S> {
    fn clone(&self) -> Self {
        Self { requests: self.requests.clone(), condition: self.condition.clone() }
    }
}

impl<S> std::fmt::Debug for Handle<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("condition", &self.condition).finish_non_exhaustive()
    }
}

/// What is done with a store between two of the driver's turns.
pub(crate) type Working<'s, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 's>>;

impl<S: Keep> Handle<S> {
    /// Takes a store and the engine that was loaded from it, or that is new and was never saved: then it is, before this returns.
    pub(crate) async fn start(
        engine: Engine,
        store: S,
        options: Options,
        chance: Chance,
    ) -> Result<(Self, JoinHandle<()>), StoreError> {
        let (requests, asked) = mpsc::channel(REQUESTS);
        let (mut driver, condition) = Driver::new(engine, store, options, chance, asked).await?;
        driver.begin().await?;
        Ok((Self { requests, condition }, tokio::spawn(driver.run())))
    }

    pub(crate) async fn command(&self, command: Command) -> Result<(), CommandFailed> {
        self.ask(|answer| Request::Command(command, answer)).await.unwrap_or(Err(CommandFailed::Closed))
    }

    pub(crate) async fn make_link(&self, lifetime: Duration, uses: LinkUses) -> Result<ContactLink, CommandFailed> {
        let command = Command::MakeLink { lifetime, uses };
        self.ask(|answer| Request::MakeLink(command, answer)).await.unwrap_or(Err(CommandFailed::Closed))
    }

    pub(crate) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Engine, &Network) -> T + Send + 'static,
    ) -> Result<T, Unavailable> {
        let seen = self.ask(|answer| {
            Request::Look(Box::new(move |engine, network| {
                let _ = answer.send(engine.map(|engine| look(engine, network)));
            }))
        });
        seen.await.ok_or(Unavailable::Closed)?.ok_or(Unavailable::Failing)
    }

    pub(crate) fn condition(&self) -> &watch::Receiver<Condition> {
        &self.condition
    }

    pub(crate) async fn until(&self, wanted: impl FnMut(&Condition) -> bool) -> Result<Condition, Unavailable> {
        let mut condition = self.condition.clone();
        condition.wait_for(wanted).await.map(|condition| *condition).map_err(|_| Unavailable::Closed)
    }

    pub(crate) async fn settled(&self, patience: Duration) -> Settled {
        let settled = self.until(|condition| condition.ready && condition.quiet || condition.broken);
        match tokio::time::timeout(patience, settled).await {
            Ok(Ok(condition)) if !condition.broken => Settled::Yes,
            _ => Settled::NotYet,
        }
    }

    /// Does something with the store.
    pub(crate) async fn store<T: Send + 'static>(
        &self,
        work: impl for<'s> FnOnce(&'s mut S) -> Working<'s, T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let done = self.ask(|answer| {
            Request::Store(Box::new(move |store| {
                let working = work(store);
                Box::pin(async move { drop(answer.send(working.await)) })
            }))
        });
        done.await.unwrap_or(Err(StoreError::Unavailable))
    }

    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        self.ask(Request::Close).await.unwrap_or(Err(StoreError::Unavailable))
    }

    /// None: the driver is gone.
    async fn ask<T>(&self, request: impl FnOnce(Answer<T>) -> Request<S>) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.requests.send(request(answer)).await.ok()?;
        answered.await.ok()
    }
}

/// Requests that wait for the driver before callers do.
const REQUESTS: usize = 64;
