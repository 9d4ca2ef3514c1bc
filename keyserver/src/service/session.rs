//! One connection's requests. Implements spec/19-keyserver.md §19.1.
//!
//! Invariants: requests of anybody are independent of each other; those of a device take effect in the order in which their
//! futures were first polled, one after the other, because each is bound to its number on the connection.
use tokio::sync::Mutex;
use waxwing_wire::{
    frame::ErrorCode,
    keyserver::{Info, KeyserverReply, KeyserverRequest, Reply, Request},
    request::Exporter,
    time::Timestamp,
};

use super::{Inner, Keyserver, RequestKind, Source, failure::Failure};
use crate::store::Store;

/// A connection's side of the service.
#[derive(Debug)]
pub struct Session<S> {
    keyserver: Keyserver<S>,
    pub(super) exporter: Exporter,
    pub(super) source: Source,
    /// How many requests of devices were accepted on this connection (spec §11.11.2). Fair: first come, first served.
    pub(super) accepted: Mutex<u32>,
}

/// What a request comes to.
#[derive(Debug, Eq, PartialEq)]
pub struct Answer {
    /// To be sent.
    pub reply: Reply,
    /// What becomes of the stream after it.
    pub stream: Stream,
}

/// What becomes of a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stream {
    /// It goes on.
    Open,
    /// It ends with this code (spec §13.3.3).
    Ends(ErrorCode),
}

impl<S: Store> Session<S> {
    pub(super) fn new(keyserver: Keyserver<S>, exporter: Exporter, source: Source) -> Self {
        Self { keyserver, exporter, source, accepted: Mutex::new(0) }
    }

    /// Does what is asked at `now`, durably, and says so. Dropping the future may leave it done and unsaid.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Answer {
        let Request { id, body } = request;
        let kind = RequestKind::of(&body);
        let counters = &self.keyserver.0.counters;
        match self.dispatch(body, now).await {
            Ok(reply) => {
                counters.count_done(kind);
                Answer { reply: Reply { id, result: Ok(reply) }, stream: Stream::Open }
            }
            Err(Failure { error, ends_stream }) => {
                counters.count_failed(error.code);
                let stream = if ends_stream { Stream::Ends(error.code) } else { Stream::Open };
                Answer { reply: Reply { id, result: Err(error) }, stream }
            }
        }
    }

    async fn dispatch(&self, request: KeyserverRequest, now: Timestamp) -> Result<KeyserverReply, Failure> {
        let buckets = &self.server().buckets;
        let bucket = match &request {
            KeyserverRequest::CreateAccount(_) => &buckets.create,
            KeyserverRequest::PublishManifest(_) | KeyserverRequest::Bound(_) => &buckets.change,
            KeyserverRequest::Lookup(_) => &buckets.lookup,
            _ => &buckets.fetch,
        };
        bucket.take(self.source, now).map_err(Failure::rate)?;
        match request {
            KeyserverRequest::Info => Ok(self.info(now)),
            KeyserverRequest::CreateAccount(request) => self.create_account(request, now).await,
            KeyserverRequest::PublishManifest(request) => self.publish_manifest(request, now).await,
            KeyserverRequest::FetchAccount(request) => self.fetch_account(request).await,
            KeyserverRequest::FetchHistory(request) => self.fetch_history(request).await,
            KeyserverRequest::FetchReach(request) => self.fetch_reach(request).await,
            KeyserverRequest::Lookup(request) => self.lookup(request).await,
            KeyserverRequest::FetchBundles(request) => self.fetch_bundles(request, now).await,
            KeyserverRequest::Bound(request) => self.bound(request, now).await,
        }
    }

    fn info(&self, now: Timestamp) -> KeyserverReply {
        let Inner { settings, challenges, .. } = self.server();
        KeyserverReply::Info(Info {
            time: now,
            price: settings.admission.price(challenges, now),
            one_time_prekeys: settings.one_time_prekeys,
            moved: settings.moved.clone(),
        })
    }

    /// The server's counts.
    #[must_use]
    pub fn counters(&self) -> &super::Counters {
        &self.keyserver.0.counters
    }

    pub(super) fn server(&self) -> &Inner<S> {
        &self.keyserver.0
    }
}
