//! One connection's task. Implements spec/17-relay.md §17.17.
//!
//! ```text
//! control stream ─▶ requests ─▶ futures, all driven here ─▶ replies, gathered by the stream's writer
//! ```
//! Invariants: at most as many requests are held as announced, and one read's more; reading waits while they are; what the
//! session wants ended ends after its answers.
use std::{future::pending, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use tokio::time::timeout;
use waxwing_net::{Accepted, BlobStream, CloseCode, Connection, ConnectionHandle, FrameReader, FramedStream};
use waxwing_wire::{
    frame::{ErrorCode, ServerError},
    relay::{Request, ServerFrame},
};

use super::streams::Streams;
use crate::{
    service::{Relay, Session, Source},
    store::Store,
};

/// Serves a connection until it is over.
pub(super) async fn serve<S: Store>(mut connection: Connection, source: Source, relay: Relay<S>) {
    // The first stream is the control stream, or there is no connection: `waxwing-net` sees to it.
    let Ok(Accepted::Control(FramedStream { mut reader, sender })) = connection.accept_stream().await else { return };
    let handle = connection.handle();
    let streams = Arc::new(Streams::new(sender));
    let session = relay.session(connection.exporter(), source, Arc::clone(&streams));
    let how = drive(&mut connection, &handle, &mut reader, &session, &streams).await;
    if let Some(code) = how {
        // Closed at once, what is on its way would be lost.
        let _ = timeout(LAST_WORDS, streams.finish()).await;
        handle.close(code);
    }
}

/// How the connection is to be closed; none if it is over already.
async fn drive<S: Store>(
    connection: &mut Connection,
    handle: &ConnectionHandle,
    reader: &mut FrameReader,
    session: &Arc<Session<S, Arc<Streams>>>,
    streams: &Arc<Streams>,
) -> Option<CloseCode> {
    let most = usize::try_from(session.most_in_flight()).unwrap_or(usize::MAX);
    let mut requests = FuturesUnordered::new();
    let mut blobs = FuturesUnordered::new();
    let mut ending = std::pin::pin!(streams.ending());
    let mut draining = std::pin::pin!(drained(handle, session));
    // With what the connection ends when nothing is in flight any more.
    let mut last: Option<CloseCode> = None;
    loop {
        if last.is_some() && session.in_flight() == 0 {
            return last;
        }
        tokio::select! {
            biased;
            // First, so that a backlog stream that is there is known before a `subscribe` is read.
            accepted = connection.accept_stream() => match accepted {
                Ok(Accepted::Backlog(backlog)) => streams.open_backlog(backlog),
                Ok(Accepted::Blob(stream)) => blobs.push(refuse_blob(stream)),
                Ok(Accepted::Control(_)) => {}
                Err(_) => return None,
            },
            Some(()) = requests.next(), if !requests.is_empty() => {
                while let Some(Some(())) = requests.next().now_or_never() {}
            }
            Some(()) = blobs.next(), if !blobs.is_empty() => {}
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

/// §17.15: blobs are not served yet; the stream is told so, and ends.
async fn refuse_blob(mut stream: BlobStream) {
    let Ok(payload) = stream.read_frame().await else { return };
    let Ok(Request { id, .. }) = Request::decode(&payload) else { return stream.fail(ErrorCode::Malformed) };
    let frame = ServerFrame::Reply { id, result: Err(ServerError::from(ErrorCode::Unexpected)) };
    if let Ok(payload) = frame.encode() {
        let _ = stream.write_frame(&payload).await;
        stream.finish();
        let _ = stream.sent().await;
    }
}

/// How long a client may take to take its last frames.
const LAST_WORDS: Duration = Duration::from_secs(5);
