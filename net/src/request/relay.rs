//! A relay, as its client sees it. Implements spec/14-relay-messages.md, the client's half of its conversation.
use tokio::sync::{Mutex, mpsc};
use waxwing_wire::{
    frame::ErrorCode,
    message::{DecodeError, EncodeError},
    relay::{BlobState, RelayPush, RelayReply, RelayRequest, Request, RequestId, ServerFrame},
    request::Exporter,
};

use super::{Incoming, Pending, Protocol, Queued, RequestError, Requests};
use crate::{
    BlobStream, ClientConfig, ClientConnection, CloseCode, Ended, FrameReader, LeafNumber, Path, SendError, StreamError,
};

/// A connection to a relay with its control stream. Closed when dropped.
#[derive(Debug)]
pub struct RelayConnection {
    requests: Requests<Relay>,
    pushes: Mutex<Option<Pushes>>,
}

impl RelayConnection {
    pub(crate) async fn open(connection: ClientConnection, config: &ClientConfig) -> Result<Self, SendError> {
        let (requests, pushes) = Requests::open(connection, config).await?;
        Ok(Self { requests, pushes: Mutex::new(Some(Pushes(pushes))) })
    }

    /// Asks, and waits for the answer. Many requests may be in flight at once, from many tasks; beyond
    /// [`ClientConfig::in_flight`] they wait here. Dropping the future before the request is queued sends nothing; after that it is
    /// done or not, unheard.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn request(&self, request: RelayRequest) -> Result<RelayReply, RequestError> {
        self.submit(request).await?.await
    }

    /// Queues a request; await what is returned for the answer. Requests are sent in the order of their submits.
    ///
    /// # Errors
    /// [`RequestError`]; nothing was sent.
    pub async fn submit(&self, request: RelayRequest) -> Result<Pending<RelayReply>, RequestError> {
        self.requests.submit(request).await
    }

    /// What the relay says unasked, once: later calls get none. Whoever takes it must keep taking: while more than
    /// [`ClientConfig::pushes`] bytes wait, nothing is read, answers included. Dropped, pushes are thrown away.
    pub async fn pushes(&self) -> Option<Pushes> {
        self.pushes.lock().await.take()
    }

    /// Opens the backlog stream: once, before subscribing.
    ///
    /// # Errors
    /// [`RequestError::Ended`].
    pub async fn backlog(&self) -> Result<Backlog, RequestError> {
        let connection = self.requests.connection();
        let reader = connection.backlog().await.map_err(|error| self.lost(error))?;
        Ok(Backlog { reader, connection: connection.clone() })
    }

    /// Opens a stream for one blob's chunks and sends its request ([`RelayRequest::WriteBlob`] or [`RelayRequest::ReadBlob`]).
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn blob(&self, request: RelayRequest) -> Result<BlobTransfer, RequestError> {
        let Some(id) = RequestId::new(1) else { return Err(RequestError::Protocol) };
        let payload = Request { id, body: request }.encode()?;
        let mut stream = self.requests.connection().blob().await.map_err(|error| self.lost(error))?;
        stream.write_frame(&payload).await.map_err(|error| self.lost(error))?;
        Ok(BlobTransfer { stream, id })
    }

    /// What both ends of this connection know and nobody else (spec §11.11.1).
    #[must_use]
    pub fn exporter(&self) -> Exporter {
        self.requests.connection().exporter()
    }

    /// The server's leaf. Keep the highest of each server for [`ClientConfig::least_leaf`].
    #[must_use]
    pub fn leaf(&self) -> LeafNumber {
        self.requests.connection().leaf()
    }

    /// What its path was like so far.
    #[must_use]
    pub fn path(&self) -> Path {
        self.requests.connection().path()
    }

    /// Waits until the connection is over.
    pub async fn closed(&self) -> Ended {
        self.requests.connection().closed().await
    }

    /// Closes the connection now; requests without an answer end with [`RequestError::Ended`].
    pub fn close(&self) {
        self.requests.connection().close(CloseCode::Done);
    }

    pub(super) fn lost(&self, error: SendError) -> RequestError {
        self.requests.waiting.lost(error).into()
    }
}

/// What a relay says unasked.
#[derive(Debug)]
pub struct Pushes(mpsc::UnboundedReceiver<Queued<RelayPush>>);

impl Pushes {
    /// The next; none when the connection is over ([`RelayConnection::closed`] says why). Cancel-safe.
    pub async fn next(&mut self) -> Option<RelayPush> {
        self.0.recv().await.map(|(push, _room)| push)
    }

    /// The next, if it is here already.
    pub fn try_next(&mut self) -> Option<RelayPush> {
        self.0.try_recv().ok().map(|(push, _room)| push)
    }
}

/// Deliveries that had waited.
#[derive(Debug)]
pub struct Backlog {
    reader: FrameReader,
    connection: ClientConnection,
}

impl Backlog {
    /// The next; none when the relay has finished the stream. Cancel-safe.
    ///
    /// # Errors
    /// [`RequestError::Ended`]; [`RequestError::Protocol`] if it says something else than pushes: the connection was closed.
    pub async fn next(&mut self) -> Result<Option<RelayPush>, RequestError> {
        let payload = match self.reader.next().await {
            Ok(Some(payload)) => payload,
            Ok(None) => return Ok(None),
            Err(error) => return Err(super::of_stream(error).into()),
        };
        match ServerFrame::decode(&payload) {
            Ok(ServerFrame::Push(push)) => Ok(Some(push)),
            Ok(ServerFrame::Reply { .. }) | Err(_) => {
                self.connection.close(ErrorCode::Malformed.into());
                Err(RequestError::Protocol)
            }
        }
    }
}

/// One blob's stream after its request: write chunks and then read the state, or read the state and then chunks (spec §14.8).
#[derive(Debug)]
pub struct BlobTransfer {
    /// For the chunks.
    pub stream: BlobStream,
    id: RequestId,
}

impl BlobTransfer {
    /// The relay's answer.
    ///
    /// # Errors
    /// [`RequestError::Server`] if it refuses; [`RequestError::Mismatch`] if it answers something else.
    pub async fn state(&mut self) -> Result<BlobState, RequestError> {
        let payload = self.stream.read_frame().await.map_err(|error: StreamError| super::of_stream(error))?;
        match ServerFrame::decode(&payload) {
            Ok(ServerFrame::Reply { id, result: Ok(RelayReply::BlobState(state)) }) if id == self.id => Ok(state),
            Ok(ServerFrame::Reply { id, result: Err(error) }) if id == self.id => Err(RequestError::Server(error)),
            Ok(ServerFrame::Reply { .. }) => Err(RequestError::Mismatch),
            Ok(ServerFrame::Push(_)) | Err(_) => {
                self.stream.fail(ErrorCode::Malformed);
                Err(RequestError::Protocol)
            }
        }
    }
}

#[derive(Debug)]
enum Relay {}

impl Protocol for Relay {
    type Request = RelayRequest;
    type Reply = RelayReply;
    type Push = RelayPush;

    fn encode(id: RequestId, request: RelayRequest) -> Result<Vec<u8>, EncodeError> {
        Request { id, body: request }.encode()
    }

    fn decode(payload: &[u8]) -> Result<Incoming<RelayReply, RelayPush>, DecodeError> {
        Ok(match ServerFrame::decode(payload)? {
            ServerFrame::Reply { id, result } => Incoming::Reply(id, result),
            ServerFrame::Push(push) => Incoming::Push(push),
        })
    }
}
