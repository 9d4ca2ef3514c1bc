//! Requests and replies on a control stream, many at once. Implements spec/13-frames.md §13.3, spec/18-transport.md §18.10.
//!
//! ```text
//! request ─ id ─▶ FrameSender            FrameReader ─▶ reader task ─┬─ reply with id ─▶ whoever waits
//!    └── waits ──────────────────────────────────────────────────────┘└─ push ─▶ queue, bounded in bytes
//! ```
//! Invariants: an id is not used again while its request has no answer, whether or not anybody still waits; no more requests are
//! in flight than allowed; when the connection ends, everybody who waits is told why.
use std::{
    collections::HashMap,
    fmt,
    marker::PhantomData,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use waxwing_wire::{
    frame::{ErrorCode, ServerError},
    message::{DecodeError, EncodeError},
    relay::RequestId,
};

use crate::{
    ClientConfig, ClientConnection, CloseCode, Ended, FrameReader, FrameSender, FramedStream, SendError, StreamError,
};

mod blobs;
mod keyserver;
mod relay;

pub use blobs::{ChunkSink, ChunkSource, TransferError};
pub use keyserver::{BoundError, KeyserverConnection};
pub use relay::{Backlog, BlobTransfer, Pushes, RelayConnection};

/// What one service's messages are.
pub(crate) trait Protocol: Send + Sync + 'static {
    type Request: Send;
    type Reply: Send + 'static;
    type Push: Send + 'static;

    fn encode(id: RequestId, request: Self::Request) -> Result<Vec<u8>, EncodeError>;
    fn decode(payload: &[u8]) -> Result<Incoming<Self::Reply, Self::Push>, DecodeError>;
}

/// A frame from a server.
pub(crate) enum Incoming<R, P> {
    Reply(RequestId, Result<R, ServerError>),
    Push(P),
}

/// A control stream that carries requests.
pub(crate) struct Requests<P: Protocol> {
    connection: ClientConnection,
    sender: FrameSender,
    waiting: Arc<Waiting<P::Reply>>,
}

/// A push and its share of the queue.
pub(crate) type Queued<P> = (P, OwnedSemaphorePermit);

impl<P: Protocol> Requests<P> {
    pub(crate) async fn open(
        connection: ClientConnection,
        config: &ClientConfig,
    ) -> Result<(Self, mpsc::UnboundedReceiver<Queued<P::Push>>), SendError> {
        let FramedStream { reader, sender } = connection.control().await?;
        let waiting = Arc::new(Waiting {
            state: Mutex::new(State { replies: HashMap::new(), last: 0, ended: None }),
            in_flight: Arc::new(Semaphore::new(config.in_flight.clamp(1, Semaphore::MAX_PERMITS))),
        });
        let (pushes, taken) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(config.pushes.div_ceil(UNIT).clamp(1, Semaphore::MAX_PERMITS)));
        let task = Reading::<P> {
            reader,
            connection: connection.clone(),
            waiting: Arc::clone(&waiting),
            pushes: Some(pushes),
            room,
            most: config.pushes.div_ceil(UNIT).clamp(1, Semaphore::MAX_PERMITS),
            protocol: PhantomData,
        };
        tokio::spawn(task.run());
        Ok((Self { connection, sender, waiting }, taken))
    }

    pub(crate) const fn connection(&self) -> &ClientConnection {
        &self.connection
    }

    /// Queues the request; the reply is waited for apart.
    pub(crate) async fn submit(&self, request: P::Request) -> Result<Pending<P::Reply>, RequestError> {
        let Ok(permit) = Arc::clone(&self.waiting.in_flight).acquire_owned().await else {
            return Err(self.waiting.ended().into());
        };
        let (id, receiver) = self.waiting.enter(permit)?;
        // Taken back unless the request is queued: also when this future is dropped while it waits for room.
        let entry = Entry { waiting: &self.waiting, id: Some(id) };
        let payload = P::encode(id, request)?;
        if let Err(error) = self.sender.send(&payload).await {
            return Err(self.waiting.lost(error).into());
        }
        entry.keep();
        Ok(Pending { receiver, waiting: Arc::clone(&self.waiting) })
    }
}

impl<P: Protocol> Drop for Requests<P> {
    fn drop(&mut self) {
        self.connection.close(CloseCode::Done);
    }
}

impl<P: Protocol> fmt::Debug for Requests<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.waiting.lock();
        f.debug_struct("Requests").field("in_flight", &state.replies.len()).finish_non_exhaustive()
    }
}

/// A reply that has not come yet. Dropping it leaves the request where it is, at the server; its answer is thrown away.
#[must_use = "the request is sent; this is its answer"]
pub struct Pending<R> {
    receiver: oneshot::Receiver<Result<R, ServerError>>,
    waiting: Arc<Waiting<R>>,
}

impl<R> Future for Pending<R> {
    type Output = Result<R, RequestError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.receiver).poll(context).map(|received| match received {
            Ok(result) => result.map_err(RequestError::Server),
            Err(_) => Err(self.waiting.ended().into()),
        })
    }
}

impl<R> fmt::Debug for Pending<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pending(..)")
    }
}

/// Why there is no reply. Safe to log.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum RequestError {
    /// The server's answer: its code and `retry_after` say what to do.
    #[error(transparent)]
    Server(ServerError),
    /// The request breaks the encoding; nothing was sent.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The connection ended first: whether the request was done is not known; connect again, and repeat it if it may be repeated.
    #[error(transparent)]
    Ended(#[from] Ended),
    /// The server broke the protocol; the connection was closed. As [`Self::Ended`].
    #[error("the server broke the protocol")]
    Protocol,
    /// The answer is none to such a request; the connection goes on.
    #[error("the server's answer does not belong to the request")]
    Mismatch,
}

/// Who waits for which reply.
struct Waiting<R> {
    state: Mutex<State<R>>,
    in_flight: Arc<Semaphore>,
}

struct State<R> {
    /// With the permit, which is given back when the answer comes and not when its asker loses interest.
    replies: HashMap<RequestId, (oneshot::Sender<Result<R, ServerError>>, OwnedSemaphorePermit)>,
    last: u32,
    ended: Option<Lost>,
}

/// How the connection was lost.
#[derive(Clone, Copy)]
enum Lost {
    Ended(Ended),
    Protocol,
}

impl From<Lost> for RequestError {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Ended(ended) => Self::Ended(ended),
            Lost::Protocol => Self::Protocol,
        }
    }
}

impl<R> Waiting<R> {
    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(
        &self,
        permit: OwnedSemaphorePermit,
    ) -> Result<(RequestId, oneshot::Receiver<Result<R, ServerError>>), RequestError> {
        let mut state = self.lock();
        if let Some(lost) = state.ended {
            return Err(lost.into());
        }
        let (sender, receiver) = oneshot::channel();
        let id = loop {
            state.last = state.last.wrapping_add(1);
            // Fewer are in flight than there are numbers, so that one is found.
            match RequestId::new(state.last) {
                Some(id) if !state.replies.contains_key(&id) => break id,
                _ => {}
            }
        };
        state.replies.insert(id, (sender, permit));
        Ok((id, receiver))
    }

    /// False if nobody asked.
    fn answer(&self, id: RequestId, result: Result<R, ServerError>) -> bool {
        let Some((sender, _permit)) = self.lock().replies.remove(&id) else { return false };
        // Who asked may not wait any more.
        let _ = sender.send(result);
        true
    }

    fn end(&self, lost: Lost) {
        let mut state = self.lock();
        state.ended.get_or_insert(lost);
        let waiting = std::mem::take(&mut state.replies);
        drop(state);
        self.in_flight.close();
        // Each learns of it by losing its sender.
        drop(waiting);
    }

    fn ended(&self) -> Lost {
        self.lock().ended.unwrap_or(Lost::Ended(Ended::ClosedHere))
    }

    /// What a failure to send means: what ended the connection says more than the stream does.
    fn lost(&self, error: SendError) -> Lost {
        let of_stream = match error {
            SendError::Ended(ended) => ended,
            SendError::Stopped(code) => Ended::ClosedByPeer(code),
            SendError::Frame(_) | SendError::Finished | SendError::TooSlow => Ended::ClosedHere,
        };
        self.lock().ended.unwrap_or(Lost::Ended(of_stream))
    }
}

/// A place among those who wait, until it is kept.
struct Entry<'w, R> {
    waiting: &'w Waiting<R>,
    id: Option<RequestId>,
}

impl<R> Entry<'_, R> {
    fn keep(mut self) {
        self.id = None;
    }
}

impl<R> Drop for Entry<'_, R> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.waiting.lock().replies.remove(&id);
        }
    }
}

/// The task that reads a control stream.
struct Reading<P: Protocol> {
    reader: FrameReader,
    connection: ClientConnection,
    waiting: Arc<Waiting<P::Reply>>,
    /// None when nobody takes pushes any more.
    pushes: Option<mpsc::UnboundedSender<Queued<P::Push>>>,
    room: Arc<Semaphore>,
    most: usize,
    protocol: PhantomData<P>,
}

impl<P: Protocol> Reading<P> {
    async fn run(mut self) {
        let lost = self.read().await;
        if let Lost::Protocol = lost {
            self.connection.close(ErrorCode::Malformed.into());
        }
        self.waiting.end(lost);
    }

    async fn read(&mut self) -> Lost {
        let Self { reader, connection, waiting, pushes, room, most, protocol: _ } = self;
        loop {
            let mut batch = match reader.read().await {
                Ok(Some(batch)) => batch,
                // A server that ends the control stream has ended the connection; its close may say why.
                Ok(None) => return Lost::Ended(over(connection)),
                Err(error) => return of_stream(error),
            };
            loop {
                let payload = match batch.next() {
                    Ok(Some(payload)) => payload,
                    Ok(None) => break,
                    Err(error) => return of_stream(error),
                };
                let cost = payload.len().div_ceil(UNIT).clamp(1, *most);
                match P::decode(payload) {
                    Err(_) => return Lost::Protocol,
                    Ok(Incoming::Reply(id, result)) => {
                        if !waiting.answer(id, result) {
                            return Lost::Protocol;
                        }
                    }
                    Ok(Incoming::Push(push)) => {
                        let Some(queue) = pushes.as_ref() else { continue };
                        let permit = tokio::select! {
                            permit = take(room, cost) => permit,
                            ended = connection.closed() => return Lost::Ended(ended),
                            () = queue.closed() => None,
                        };
                        let sent = permit.is_some_and(|permit| queue.send((push, permit)).is_ok());
                        if !sent {
                            *pushes = None;
                        }
                    }
                }
            }
        }
    }
}

async fn take(room: &Arc<Semaphore>, cost: usize) -> Option<OwnedSemaphorePermit> {
    Arc::clone(room).acquire_many_owned(u32::try_from(cost).unwrap_or(u32::MAX)).await.ok()
}

fn over(connection: &ClientConnection) -> Ended {
    connection.ended().unwrap_or(Ended::ClosedByPeer(CloseCode::Done))
}

fn of_stream(error: StreamError) -> Lost {
    match error {
        StreamError::Ended(ended) => Lost::Ended(ended),
        StreamError::Reset(code) => Lost::Ended(Ended::ClosedByPeer(code)),
        StreamError::Malformed(_) | StreamError::CutShort | StreamError::Refused { .. } | StreamError::TooSlow => {
            Lost::Protocol
        }
    }
}

/// Bytes of a push are counted in these.
const UNIT: usize = 1_024;
