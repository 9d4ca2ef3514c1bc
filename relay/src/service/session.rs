//! One connection's requests. Implements spec/17-relay.md §17.10.
//!
//! ```text
//! handle(request) ──▶ future ──▶ outbox.control(reply)
//!     owner's requests: one after the other, in the order of the calls │ everything else: beside each other
//! ```
//! Invariants: one reply for each request; an id is free again before its reply leaves; a connection is the owner's of at most
//! one mailbox, for good; a future that is dropped leaves its request done or not, unsaid.
use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use tokio::sync::watch;
use waxwing_wire::{
    frame::{ErrorCode, ServerError},
    id::MailboxId,
    relay::{GoingAway, RelayPush, RelayReply, RelayRequest, Request, RequestId, ServerFrame},
    request::Exporter,
};

use super::{
    Inner, Outbox, Relay, RequestKind, Source,
    failure::{COME_BACK, Failure},
    subscription::Subscription,
};
use crate::store::Store;

/// A connection's side of the service.
pub struct Session<S: Store, O: Outbox> {
    relay: Relay<S>,
    pub(super) exporter: Exporter,
    pub(super) source: Source,
    pub(super) outbox: O,
    pub(super) owner: OnceLock<MailboxId>,
    in_flight: Mutex<HashSet<RequestId>>,
    /// What an owner asks is done in the order in which it was asked; this is the queue (tokio's lock is fair).
    turn: tokio::sync::Mutex<()>,
    pub(super) subscription: Subscription,
    draining: watch::Sender<bool>,
}

impl<S: Store, O: Outbox> Session<S, O> {
    pub(super) fn new(relay: Relay<S>, exporter: Exporter, source: Source, outbox: O) -> Arc<Self> {
        Arc::new(Self {
            relay,
            exporter,
            source,
            outbox,
            owner: OnceLock::new(),
            in_flight: Mutex::default(),
            turn: tokio::sync::Mutex::new(()),
            subscription: Subscription::default(),
            draining: watch::Sender::new(false),
        })
    }

    /// Takes a frame's payload. As [`Self::handle`].
    ///
    /// # Errors
    /// The code to end the stream with: the payload is no request (spec §13.3.3).
    pub fn receive(self: &Arc<Self>, payload: &[u8]) -> Result<impl Future<Output = ()> + Send + use<S, O>, ErrorCode> {
        let request = Request::decode(payload).map_err(|_| self.malformed())?;
        self.handle(request)
    }

    /// Takes a request. Drive the future until it ends, beside those of other requests, and poll new ones in the order of the
    /// calls. It ends when the reply was given to the outbox; that of a `subscribe` when the subscription ends.
    ///
    /// # Errors
    /// The code to end the stream with: the id is that of a request without an answer (spec §13.3.1).
    pub fn handle(
        self: &Arc<Self>,
        request: Request,
    ) -> Result<impl Future<Output = ()> + Send + use<S, O>, ErrorCode> {
        let Request { id, body } = request;
        let admitted = self.enter(id)?;
        let session = Arc::clone(self);
        Ok(async move {
            let kind = RequestKind::of(&body);
            let outcome = match admitted {
                Ok(_) if session.is_draining() => Err(Failure::draining()),
                Ok(_) => match body {
                    // The largest by far, and the rarest: its own box, so that the others stay small.
                    RelayRequest::Subscribe(subscribe) => {
                        return Box::pin(session.subscribe(subscribe, id)).await;
                    }
                    body => session.dispatch(body).await,
                },
                Err(code) => return session.say(id, Err(code.into())).await,
            };
            session.answer(id, kind, outcome).await;
        })
    }

    /// The relay stops: tells the client and answers everything after this with `Draining`. Subscriptions end.
    pub async fn drain(&self) {
        if self.draining.send_replace(true) {
            return;
        }
        self.subscription.stop();
        let push = RelayPush::GoingAway(GoingAway { retry_after: COME_BACK });
        // Whoever is gone needs no farewell.
        let _ = self.outbox.control(&ServerFrame::Push(push)).await;
    }

    pub(super) fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// Resolves when the relay stops.
    pub(crate) async fn drain_begins(&self) {
        let mut draining = self.draining.subscribe();
        // The sender lives as long as this session.
        let _ = draining.wait_for(|draining| *draining).await;
    }

    /// How many requests may be without an answer.
    #[must_use]
    pub fn most_in_flight(&self) -> u32 {
        self.server().settings.limits.requests_in_flight
    }

    /// Requests without an answer.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.lock().len()
    }

    async fn dispatch(&self, request: RelayRequest) -> Result<RelayReply, Failure> {
        match request {
            RelayRequest::Info => Ok(RelayReply::Info(self.server().info())),
            RelayRequest::Put(put) => self.put(put).await,
            RelayRequest::CloseMailbox(close) => self.close_mailbox(&close).await,
            RelayRequest::Ack(ack) => self.ack(&ack).await,
            RelayRequest::CreateMailbox(create) => {
                let _turn = self.turn.lock().await;
                self.create_mailbox(create).await
            }
            RelayRequest::Authenticate(authenticate) => {
                let _turn = self.turn.lock().await;
                self.authenticate(&authenticate)
            }
            RelayRequest::AddLane(lane) => {
                let _turn = self.turn.lock().await;
                self.add_lane(lane).await
            }
            RelayRequest::RotateLane(lane) => {
                let _turn = self.turn.lock().await;
                self.rotate_lane(lane).await
            }
            RelayRequest::EndLane(lane) => {
                let _turn = self.turn.lock().await;
                self.end_lane(lane).await
            }
            RelayRequest::MailboxState => {
                let _turn = self.turn.lock().await;
                self.mailbox_state().await
            }
            RelayRequest::DeleteMailbox => {
                let _turn = self.turn.lock().await;
                self.delete_mailbox().await
            }
            RelayRequest::FanOut(fan_out) => self.fan_out(fan_out).await,
            RelayRequest::CreateRegister(create) => self.create_register(create).await,
            RelayRequest::WriteRegister(write) => self.write_register(&write).await,
            RelayRequest::ReadRegister(read) => self.read_register(&read).await,
            RelayRequest::AwaitRegister(wait) => self.await_register(&wait).await,
            RelayRequest::DeleteRegister(delete) => self.delete_register(&delete).await,
            RelayRequest::CreateBlob(create) => self.create_blob(create).await,
            RelayRequest::BlobStatus(status) => self.blob_status(&status),
            RelayRequest::DeleteBlob(delete) => self.delete_blob(&delete).await,
            // A subscription is begun where its future is made; chunks have streams of their own.
            RelayRequest::Subscribe(_) | RelayRequest::WriteBlob(_) | RelayRequest::ReadBlob(_) => {
                Err(ErrorCode::Unexpected.into())
            }
        }
    }

    /// Gives the reply to the outbox and counts it.
    pub(super) async fn answer(&self, id: RequestId, kind: RequestKind, outcome: Result<RelayReply, Failure>) {
        match &outcome {
            Ok(_) => self.server().counters.count_done(kind),
            Err(Failure(error)) => self.server().counters.count_failed(error.code),
        }
        self.lock().remove(&id);
        self.say(id, outcome.map_err(|Failure(error)| error)).await;
    }

    pub(super) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// The mailbox whose owner this connection is.
    pub(super) fn owned(&self) -> Result<MailboxId, Failure> {
        self.owner.get().copied().ok_or(Failure::from(ErrorCode::Unauthenticated))
    }

    pub(super) fn server(&self) -> &Inner<S> {
        self.relay.inner()
    }

    async fn say(&self, id: RequestId, result: Result<RelayReply, ServerError>) {
        // Whoever is gone hears nothing; what was done stays done.
        let _ = self.outbox.control(&ServerFrame::Reply { id, result }).await;
    }

    /// Ok(Ok): the id is in flight now. Ok(Err): too many are.
    fn enter(&self, id: RequestId) -> Result<Result<(), ErrorCode>, ErrorCode> {
        let most = usize::try_from(self.most_in_flight()).unwrap_or(usize::MAX);
        let mut in_flight = self.lock();
        if in_flight.contains(&id) {
            drop(in_flight);
            return Err(self.malformed());
        }
        if in_flight.len() >= most {
            self.server().counters.count_failed(ErrorCode::TooManyInFlight);
            return Ok(Err(ErrorCode::TooManyInFlight));
        }
        in_flight.insert(id);
        Ok(Ok(()))
    }

    pub(super) fn malformed(&self) -> ErrorCode {
        self.server().counters.count_failed(ErrorCode::Malformed);
        ErrorCode::Malformed
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<RequestId>> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Store, O: Outbox> Drop for Session<S, O> {
    fn drop(&mut self) {
        if let (Some(mailbox), Some(watcher)) = (self.owner.get(), self.subscription.watcher()) {
            self.server().store.unwatch(mailbox, &watcher);
        }
    }
}

impl<S: Store, O: Outbox> fmt::Debug for Session<S, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("in_flight", &self.in_flight()).finish_non_exhaustive()
    }
}
