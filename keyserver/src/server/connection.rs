//! One connection's task. Implements spec/19-keyserver.md §19.1.
//!
//! ```text
//! control stream ─▶ requests ─▶ futures, all driven here ─▶ replies, gathered by the stream's writer
//! ```
//! Invariants: at most 64 requests are in flight, the next is told so; requests are first polled in the order in which they
//! came, on which those of devices rely; reading waits while a client does not take its replies; a stream that ends with a code
//! ends after its last answer.
use std::{collections::HashSet, time::Duration};

use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::time::{Instant, timeout};
use waxwing_net::{Accepted, CloseCode, Connection, ConnectionHandle, FrameReader, FrameSender, FramedStream};
use waxwing_wire::{
    frame::{ErrorCode, ServerError},
    keyserver::{Reply, Request},
    relay::RequestId,
};

use super::Surroundings;
use crate::{
    service::{Answer, Session, Stream},
    store::Store,
};

/// Serves a connection until it is over.
pub(super) async fn serve<S: Store>(mut connection: Connection, session: Session<S>, surroundings: Surroundings) {
    // The first stream is the control stream, or there is no connection: `waxwing-net` sees to it.
    let Ok(Accepted::Control(FramedStream { mut reader, sender })) = connection.accept_stream().await else { return };
    let handle = connection.handle();
    let served = Served { session: &session, surroundings: &surroundings, sender: &sender };
    if let Some(code) = served.drive(&mut connection, &handle, &mut reader).await {
        // Closed at once, what is on its way would be lost.
        let _ = timeout(LAST_WORDS, sender.finish()).await;
        handle.close(code);
    }
}

struct Served<'c, S> {
    session: &'c Session<S>,
    surroundings: &'c Surroundings,
    sender: &'c FrameSender,
}

type InFlight<'c> = FuturesUnordered<BoxFuture<'c, Answer>>;

impl<'c, S: Store> Served<'c, S> {
    /// How the connection is to be closed; none if it is over already.
    async fn drive(
        &self,
        connection: &mut Connection,
        handle: &ConnectionHandle,
        reader: &mut FrameReader,
    ) -> Option<CloseCode> {
        let (mut requests, mut ids) = (InFlight::new(), HashSet::new());
        let mut draining = std::pin::pin!(handle.draining());
        // With what the connection ends when nothing is in flight any more.
        let mut last: Option<CloseCode> = None;
        loop {
            if last.is_some() && requests.is_empty() {
                return last;
            }
            tokio::select! {
                biased;
                // Nothing but the control stream is expected; asking on is what enforces that.
                accepted = connection.accept_stream() => if accepted.is_err() { return None },
                Some(answer) = requests.next(), if !requests.is_empty() => {
                    ids.remove(&answer.reply.id);
                    self.send(&answer.reply).await.ok()?;
                    if let Stream::Ends(code) = answer.stream {
                        return Some(code.into());
                    }
                }
                () = &mut draining, if last.is_none() => last = Some(ErrorCode::Draining.into()),
                batch = reader.read(), if last.is_none() => match batch {
                    Ok(Some(mut batch)) => loop {
                        match batch.next() {
                            Ok(Some(payload)) => {
                                if let Err(code) = self.receive(payload, &mut requests, &mut ids).await {
                                    reader.fail(code);
                                    return None;
                                }
                            }
                            Ok(None) => break,
                            Err(_) => return None,
                        }
                    },
                    // Nothing more is asked.
                    Ok(None) => last = Some(CloseCode::Done),
                    Err(_) => return None,
                },
            }
        }
    }

    /// Begins a request, or turns it away.
    async fn receive(
        &self,
        payload: &[u8],
        requests: &mut InFlight<'c>,
        ids: &mut HashSet<RequestId>,
    ) -> Result<(), ErrorCode> {
        let counters = self.session.counters();
        let request = Request::decode(payload).ok().filter(|request| !ids.contains(&request.id));
        let request = request.ok_or(ErrorCode::Malformed).inspect_err(|code| counters.count_failed(*code))?;
        if ids.len() >= MOST_IN_FLIGHT {
            counters.count_failed(ErrorCode::TooManyInFlight);
            let result = Err(ServerError::from(ErrorCode::TooManyInFlight));
            // A client that is gone is seen by the next read.
            let _ = self.send(&Reply { id: request.id, result }).await;
            return Ok(());
        }
        ids.insert(request.id);
        let (session, surroundings) = (self.session, self.surroundings);
        requests.push(Box::pin(async move {
            let began = Instant::now();
            let answer = session.handle(request, surroundings.clock.now()).await;
            surroundings.latencies.count(began.elapsed());
            answer
        }));
        Ok(())
    }

    async fn send(&self, reply: &Reply) -> Result<(), Gone> {
        let Ok(payload) = reply.encode() else {
            tracing::error!("an answer cannot be encoded");
            return Err(Gone);
        };
        self.sender.send_owned(payload).await.map_err(|_| Gone)
    }
}

/// The client takes nothing more.
#[derive(Debug)]
struct Gone;

/// Requests of a connection without an answer (spec §19.1.3).
const MOST_IN_FLIGHT: usize = 64;
/// How long a client may take to take its last frames.
const LAST_WORDS: Duration = Duration::from_secs(5);
