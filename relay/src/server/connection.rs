//! One connection's task. Implements spec/17-relay.md §17.17.
//!
//! ```text
//! control stream ─▶ requests ─▶ futures, all driven here ─▶ replies, gathered by the stream's writer
//! ```
//! Invariants: at most as many requests are held as announced, and one read's more; reading waits while they are; what the
//! session wants ended ends after its answers.
use std::{future::pending, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use tokio::{task::JoinSet, time::timeout};
use waxwing_net::{Accepted, BlobStream, CloseCode, Connection, ConnectionHandle, FrameReader, FramedStream};
use waxwing_wire::frame::ErrorCode;

use super::{
    blobs::{self, Blobs},
    streams::Streams,
};
use crate::{
    service::{Relay, Session, Source},
    store::Store,
};

/// Serves a connection until it is over.
pub(super) async fn serve<S: Store>(mut connection: Connection, source: Source, relay: Relay<S>, shared: Arc<Blobs>) {
    // The first stream is the control stream, or there is no connection: `waxwing-net` sees to it.
    let Ok(Accepted::Control(FramedStream { mut reader, sender })) = connection.accept_stream().await else { return };
    let handle = connection.handle();
    let streams = Arc::new(Streams::new(sender));
    let session = relay.session(connection.exporter(), source, Arc::clone(&streams));
    let mut transfers = Transfers { tasks: JoinSet::new(), shared };
    let how = drive(&mut connection, &handle, &mut reader, &session, &streams, &mut transfers).await;
    if let Some(code) = how {
        // Closed at once, what is on its way would be lost.
        let _ = timeout(LAST_WORDS, streams.finish()).await;
        handle.close(code);
    }
    // Their streams are over; what came whole is being recorded.
    let _ = timeout(LAST_WORDS, transfers.over()).await;
}

/// A connection's blob streams, each a task of its own: chunks would hold up what is asked on the control stream.
struct Transfers {
    tasks: JoinSet<()>,
    shared: Arc<Blobs>,
}

impl Transfers {
    fn begin<S: Store>(&mut self, stream: BlobStream, session: &Arc<Session<S, Arc<Streams>>>) {
        let others = self.tasks.len();
        self.tasks.spawn(blobs::serve(stream, others, Arc::clone(session), Arc::clone(&self.shared)));
    }

    async fn over(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

/// How the connection is to be closed; none if it is over already.
async fn drive<S: Store>(
    connection: &mut Connection,
    handle: &ConnectionHandle,
    reader: &mut FrameReader,
    session: &Arc<Session<S, Arc<Streams>>>,
    streams: &Arc<Streams>,
    transfers: &mut Transfers,
) -> Option<CloseCode> {
    let most = usize::try_from(session.most_in_flight()).unwrap_or(usize::MAX);
    let mut requests = FuturesUnordered::new();
    let mut ending = std::pin::pin!(streams.ending());
    let mut draining = std::pin::pin!(drained(handle, session));
    // With what the connection ends when nothing is in flight any more.
    let mut last: Option<CloseCode> = None;
    loop {
        if let Some(code) = last
            && session.in_flight() == 0
            // When the relay stops they end by themselves.
            && (transfers.tasks.is_empty() || !matches!(code, CloseCode::Done | CloseCode::Error(ErrorCode::Draining)))
        {
            return last;
        }
        tokio::select! {
            biased;
            // First, so that a backlog stream that is there is known before a `subscribe` is read.
            accepted = connection.accept_stream() => match accepted {
                Ok(Accepted::Backlog(backlog)) => streams.open_backlog(backlog),
                Ok(Accepted::Blob(stream)) => transfers.begin(stream, session),
                Ok(Accepted::Control(_)) => {}
                Err(_) => return None,
            },
            Some(()) = requests.next(), if !requests.is_empty() => {
                while let Some(Some(())) = requests.next().now_or_never() {}
            }
            Some(_) = transfers.tasks.join_next(), if !transfers.tasks.is_empty() => {}
            code = &mut ending, if last.is_none() => last = Some(code.into()),
            () = &mut draining, if last.is_none() => last = Some(ErrorCode::Draining.into()),
            batch = reader.read(), if last.is_none() && requests.len() < most => match batch {
                Ok(Some(mut batch)) => loop {
                    match batch.next() {
                        Ok(Some(payload)) => match session.receive(payload) {
                            Ok(request) => requests.push(request),
                            Err(code) => {
                                reader.fail(code);
                                return None;
                            }
                        },
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

/// Resolves when the relay stops and the client was told.
async fn drained<S: Store>(handle: &ConnectionHandle, session: &Session<S, Arc<Streams>>) {
    handle.draining().await;
    // A client that takes nothing is not waited for.
    if timeout(LAST_WORDS, session.drain()).await.is_err() {
        handle.close(ErrorCode::Draining.into());
        pending::<()>().await;
    }
}

/// How long a client may take to take its last frames.
const LAST_WORDS: Duration = Duration::from_secs(5);
