//! From connections to sessions. Implements spec/19-keyserver.md §19.1.
//!
//! ```text
//! Listener ─ accept ─▶ task of a connection ─▶ Session ─▶ Store
//! ```
//! Invariants: one task a connection, and none a request; whatever a connection does ends that connection at most.
//! Not here: what requests mean ([`crate::service`]), QUIC (`waxwing-net`), files and signals (`waxwing_net::process`).
use std::{
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::Duration,
};

use tokio::task::JoinSet;
use waxwing_net::{Clock, Drained, Listener};

use crate::{
    service::{Keyserver, Source},
    store::Store,
};

mod connection;
mod latency;

pub use latency::Latencies;

/// What connections share besides the service.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The time of day.
    pub clock: Clock,
    /// How long requests took.
    pub latencies: Arc<Latencies>,
}

impl Surroundings {
    /// With the system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self { clock: Clock::system(), latencies: Arc::default() }
    }
}

/// Serves connections until `stop` resolves; then answers what is in flight, and closes what is left after `deadline`.
pub async fn serve<S: Store>(
    listener: &Listener,
    keyserver: &Keyserver<S>,
    surroundings: &Surroundings,
    stop: impl Future<Output = ()>,
    deadline: Duration,
) -> Drained {
    let mut connections = JoinSet::new();
    // `waxwing-net` gives a source that prints nothing and can only be compared; limits want a number.
    let numbers = RandomState::new();
    {
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                accepted = listener.accept() => match accepted {
                    Some(connection) => {
                        let session =
                            keyserver.session(connection.exporter(), Source(numbers.hash_one(connection.source())));
                        connections.spawn(connection::serve(connection, session, surroundings.clone()));
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
