//! From connections to sessions. Implements spec/17-relay.md §17.17.
//!
//! ```text
//! Listener ─ accept ─▶ task of a connection ─▶ Session ─▶ Store
//! ```
//! Invariants: one task a connection and one a blob stream, and none a request; whatever a connection does ends that connection at most.
//! Not here: what requests mean ([`crate::service`]), QUIC (`waxwing-net`), files and signals (`waxwing_net::process`).
use std::{
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::Duration,
};

use tokio::task::JoinSet;
use waxwing_net::{Drained, Listener};

use crate::{
    service::{Relay, Source},
    store::Store,
};

mod blobs;
mod connection;
mod streams;

/// Serves connections until `stop` resolves; then tells every client, answers what is in flight, and closes what is left after
/// `deadline`.
pub async fn serve<S: Store>(
    listener: &Listener,
    relay: &Relay<S>,
    stop: impl Future<Output = ()>,
    deadline: Duration,
) -> Drained {
    let mut connections = JoinSet::new();
    let blobs = Arc::new(blobs::Blobs::new(relay.settings().blob_streams_per_source));
    // `waxwing-net` gives a source that prints nothing and can only be compared; rates want a number.
    let numbers = RandomState::new();
    {
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                accepted = listener.accept() => match accepted {
                    Some(connection) => {
                        let source = Source(numbers.hash_one(connection.source()));
                        connections.spawn(connection::serve(connection, source, relay.clone(), Arc::clone(&blobs)));
                    }
                    None => break,
                },
                // Reap, so that the set does not grow.
                Some(_) = connections.join_next() => {}
            }
        }
    }
    let drained = listener.drain(deadline).await;
    // Their connections are closed; what they still do is letting go.
    connections.shutdown().await;
    drained
}
