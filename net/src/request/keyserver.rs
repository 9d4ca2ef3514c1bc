//! A key server, as its client sees it. Implements spec/15-keyserver-messages.md, the client's half of its conversation.
use std::{convert::Infallible, sync::Arc};

use thiserror::Error;
use tokio::sync::{Mutex, OwnedMutexGuard};
use waxwing_wire::{
    frame::ErrorCode,
    keys::DeviceKey,
    keyserver::{Bound, DeviceRequest, KeyserverReply, KeyserverRequest, Reply, Request},
    message::{DecodeError, EncodeError},
    relay::RequestId,
    request::{Exporter, RequestError as BindError},
    signer::Signer,
};

use super::{Incoming, Pending, Protocol, RequestError, Requests};
use crate::{ClientConfig, ClientConnection, CloseCode, Ended, LeafNumber, Path, SendError};

/// A connection to a key server with its control stream. Closed when dropped.
#[derive(Debug)]
pub struct KeyserverConnection {
    requests: Requests<Keyserver>,
    /// The number of the next bound request (spec §11.11.2). Locked while one is in flight: whether it counted is known
    /// only when its answer came.
    number: Arc<Mutex<u32>>,
}

impl KeyserverConnection {
    pub(crate) async fn open(connection: ClientConnection, config: &ClientConfig) -> Result<Self, SendError> {
        let (requests, _no_pushes) = Requests::open(connection, config).await?;
        Ok(Self { requests, number: Arc::default() })
    }

    /// Asks, and waits for the answer; as [`crate::RelayConnection::request`].
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn request(&self, request: KeyserverRequest) -> Result<KeyserverReply, RequestError> {
        self.submit(request).await?.await
    }

    /// Queues a request; await what is returned for the answer.
    ///
    /// # Errors
    /// [`RequestError`]; nothing was sent.
    pub async fn submit(&self, request: KeyserverRequest) -> Result<Pending<KeyserverReply>, RequestError> {
        self.requests.submit(request).await
    }

    /// Asks as a device, signed for this connection (spec §15.4); `prekeys` stand beside an upload. One at a time: the next waits
    /// until this one is answered, even if this future is dropped.
    ///
    /// # Errors
    /// [`BoundError`].
    pub async fn bound(
        &self,
        key: &DeviceKey,
        signer: Signer,
        request: &DeviceRequest,
        prekeys: Vec<Vec<u8>>,
    ) -> Result<KeyserverReply, BoundError> {
        let inside = request.encode().map_err(RequestError::Encode)?;
        let mut number = Arc::clone(&self.number).lock_owned().await;
        let mut last = None;
        for _ in 0..2 {
            let signed = key.sign_request(signer, &self.exporter(), *number, &inside)?;
            let bound = Bound { request: signed.encode(), prekeys: prekeys.clone() };
            let pending = self.submit(KeyserverRequest::Bound(bound)).await?;
            // Once sent, its answer must be seen, or the number would be unknown.
            let Ok((result, guard)) = tokio::spawn(count(pending, number)).await else { break };
            match result {
                // An earlier one was counted although its answer did not say so: the next number is due.
                Err(RequestError::Server(error)) if error.code == ErrorCode::RequestReplayed && last.is_none() => {
                    last = Some(RequestError::Server(error));
                    number = guard;
                    *number = number.saturating_add(1);
                }
                result => return Ok(result?),
            }
        }
        Err(last.unwrap_or(RequestError::Ended(Ended::ClosedHere)).into())
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
}

/// Why a device's request was not done.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum BoundError {
    /// It cannot be signed; nothing was sent.
    #[error(transparent)]
    Sign(#[from] BindError),
    /// It was not answered, or with an error.
    #[error(transparent)]
    Request(#[from] RequestError),
}

async fn count(
    pending: Pending<KeyserverReply>,
    mut number: OwnedMutexGuard<u32>,
) -> (Result<KeyserverReply, RequestError>, OwnedMutexGuard<u32>) {
    let result = pending.await;
    if is_counted(&result) {
        *number = number.saturating_add(1);
    }
    (result, number)
}

/// Whether the server counted the request (spec §18.10.4): it did unless it says that it never came to that.
fn is_counted(result: &Result<KeyserverReply, RequestError>) -> bool {
    match result {
        Ok(_) => true,
        Err(RequestError::Server(error)) => !matches!(
            error.code,
            ErrorCode::Malformed
                | ErrorCode::Unexpected
                | ErrorCode::RateLimited
                | ErrorCode::Overloaded
                | ErrorCode::Draining
                | ErrorCode::StoreUnavailable
                | ErrorCode::TooManyInFlight
                | ErrorCode::NoSuchAccount
                | ErrorCode::AccountDeleted
                | ErrorCode::InvalidSignature
                | ErrorCode::RequestReplayed
        ),
        Err(_) => false,
    }
}

#[derive(Debug)]
enum Keyserver {}

impl Protocol for Keyserver {
    type Request = KeyserverRequest;
    type Reply = KeyserverReply;
    type Push = Infallible;

    fn encode(id: RequestId, request: KeyserverRequest) -> Result<Vec<u8>, EncodeError> {
        Request { id, body: request }.encode()
    }

    fn decode(payload: &[u8]) -> Result<Incoming<KeyserverReply, Infallible>, DecodeError> {
        let Reply { id, result } = Reply::decode(payload)?;
        Ok(Incoming::Reply(id, result))
    }
}
