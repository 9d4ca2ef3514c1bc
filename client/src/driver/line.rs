//! One connection: from dialing to its end. Implements spec/23-client-driver.md §23.3.
//!
//! ```text
//! Connect ─▶ dial ─▶ Up ─▶ requests in their order, replies and pushes as they come ─▶ Over
//! ```
//! Invariants: it has a socket of its own and shows nothing of another (D9); each call gets at most one reply; `Over` is the last word.
use std::{pin::Pin, sync::Arc, time::Duration};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::mpsc;
use waxwing_engine::{CallId, Input, Link};
use waxwing_net::{
    AttemptError, Client, ClientConfig, Ended, KeyserverConnection, LeafNumber, Path, Pushes, RelayConnection,
    RequestError, Trust,
};
use waxwing_wire::{
    address::ServerAddress, keyserver::KeyserverRequest, relay::RelayPush, relay::RelayRequest, request::Exporter,
};

/// A request and what its reply will name.
#[derive(Debug)]
pub(super) enum Ask {
    Relay(CallId, RelayRequest),
    Keyserver(CallId, KeyserverRequest),
}

/// What a line says.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "on their way through a queue that is mostly empty")]
pub(super) enum Said {
    Up { exporter: Exporter, leaf: LeafNumber, line: Line },
    Heard(Input),
    Over(Reason),
}

/// Why a connection was not made, or ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// It could not be made.
    #[error(transparent)]
    Attempt(AttemptError),
    /// It was up, and ended.
    #[error(transparent)]
    Ended(Ended),
}

/// To be dialed.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) link: Link,
    pub(super) server: ServerAddress,
    pub(super) trust: Trust,
    pub(super) config: ClientConfig,
    pub(super) asks: mpsc::UnboundedReceiver<Ask>,
    pub(super) said: Speaker,
}

/// Says what a line has to say, under its number.
#[derive(Debug)]
pub(super) struct Speaker {
    pub(super) number: u64,
    pub(super) queue: mpsc::Sender<(u64, Said)>,
}

impl Speaker {
    /// Waits while the driver is busy. If it is gone nobody needs to know.
    async fn say(&self, said: Said) {
        let _ = self.queue.send((self.number, said)).await;
    }
}

impl Call {
    /// Lives as long as the connection.
    pub(super) async fn run(self) {
        let Self { link, server, trust, config, asks, said } = self;
        let client = match Client::new(config) {
            Ok(client) => client,
            Err(_) => return said.say(Said::Over(Reason::Attempt(AttemptError::Local))).await,
        };
        let dialed = if link.purpose.is_relay() {
            client.relay(&server, trust).await.map(|relay| Line::Relay(Arc::new(relay)))
        } else {
            client.keyserver(&server, trust).await.map(|keyserver| Line::Keyserver(Arc::new(keyserver)))
        };
        let reason = match dialed {
            Ok(line) => {
                let (exporter, leaf) = line.proofs();
                said.say(Said::Up { exporter, leaf, line: line.clone() }).await;
                talk(line, link, asks, &said).await
            }
            Err(error) => Reason::Attempt(error.reason()),
        };
        // The driver drops its half when it hears this; the last frames are given a moment to leave.
        said.say(Said::Over(reason)).await;
        let _ = tokio::time::timeout(GOODBYE, client.close()).await;
    }
}

/// A connection of either kind.
#[derive(Clone, Debug)]
pub(super) enum Line {
    Relay(Arc<RelayConnection>),
    Keyserver(Arc<KeyserverConnection>),
}

/// A reply as an input, if there is one.
type Replying = Pin<Box<dyn Future<Output = Option<Input>> + Send>>;
/// A request that waits for its turn.
type Submitting = Pin<Box<dyn Future<Output = Option<Replying>> + Send>>;

impl Line {
    pub(super) fn path(&self) -> Path {
        match self {
            Self::Relay(relay) => relay.path(),
            Self::Keyserver(keyserver) => keyserver.path(),
        }
    }

    fn proofs(&self) -> (Exporter, LeafNumber) {
        match self {
            Self::Relay(relay) => (relay.exporter(), relay.leaf()),
            Self::Keyserver(keyserver) => (keyserver.exporter(), keyserver.leaf()),
        }
    }

    async fn closed(&self) -> Ended {
        match self {
            Self::Relay(relay) => relay.closed().await,
            Self::Keyserver(keyserver) => keyserver.closed().await,
        }
    }

    fn close(&self) {
        match self {
            Self::Relay(relay) => relay.close(),
            Self::Keyserver(keyserver) => keyserver.close(),
        }
    }

    async fn pushes(&self) -> Option<Pushes> {
        match self {
            Self::Relay(relay) => relay.pushes().await,
            Self::Keyserver(_) => None,
        }
    }

    fn submit(&self, ask: Ask) -> Submitting {
        match (self.clone(), ask) {
            (Self::Relay(relay), Ask::Relay(call, request)) => Box::pin(async move {
                let pending = relay.submit(request).await.ok()?;
                let reply: Replying =
                    Box::pin(
                        async move { of_server(pending.await).map(|result| Input::RelayReplied { call, result }) },
                    );
                Some(reply)
            }),
            (Self::Keyserver(keyserver), Ask::Keyserver(call, request)) => Box::pin(async move {
                let pending = keyserver.submit(request).await.ok()?;
                let reply: Replying =
                    Box::pin(
                        async move { of_server(pending.await).map(|result| Input::KeyserverReplied { call, result }) },
                    );
                Some(reply)
            }),
            // The engine asks a relay over a relay's link only.
            _ => Box::pin(async { None }),
        }
    }
}

/// What the server answered; none if the connection ended first.
fn of_server<R>(result: Result<R, RequestError>) -> Option<Result<R, waxwing_wire::frame::ServerError>> {
    match result {
        Ok(reply) => Some(Ok(reply)),
        Err(RequestError::Server(error)) => Some(Err(error)),
        Err(_) => None,
    }
}

/// Until the connection is over, or the engine lets it go.
async fn talk(line: Line, link: Link, mut asks: mpsc::UnboundedReceiver<Ask>, said: &Speaker) -> Reason {
    let mut pushes = line.pushes().await;
    let mut replies = FuturesUnordered::<Replying>::new();
    let mut submitting: Option<Submitting> = None;
    let mut ended = None;
    loop {
        tokio::select! {
            // Replies and pushes go on being taken while a request waits for its turn: the one may be what the other waits for.
            submitted = slot(&mut submitting) => {
                submitting = None;
                match submitted {
                    Some(reply) => replies.push(reply),
                    // A request that cannot be sent is answered by the end of the connection.
                    None => line.close(),
                }
            }
            ask = asks.recv(), if submitting.is_none() && ended.is_none() => match ask {
                Some(ask) => submitting = Some(line.submit(ask)),
                None => {
                    line.close();
                    return Reason::Ended(Ended::ClosedHere);
                }
            },
            Some(reply) = replies.next() => {
                if let Some(input) = reply {
                    said.say(Said::Heard(input)).await;
                }
            }
            push = next(&mut pushes) => match push {
                Some(push) => said.say(Said::Heard(Input::Pushed { link, push })).await,
                None => pushes = None,
            },
            reason = line.closed(), if ended.is_none() => ended = Some(reason),
        }
        if let Some(reason) = ended
            && replies.is_empty()
            && pushes.is_none()
        {
            return Reason::Ended(reason);
        }
    }
}

/// The request that waits; for ever if none does.
async fn slot(submitting: &mut Option<Submitting>) -> Option<Replying> {
    match submitting {
        Some(submitting) => submitting.await,
        None => std::future::pending().await,
    }
}

/// The next push; for ever if there are none.
async fn next(pushes: &mut Option<Pushes>) -> Option<RelayPush> {
    match pushes {
        Some(pushes) => pushes.next().await,
        None => std::future::pending().await,
    }
}

const GOODBYE: Duration = Duration::from_secs(2);
