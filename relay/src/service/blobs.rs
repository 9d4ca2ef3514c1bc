//! Blobs as a session serves them. Implements spec/17-relay.md §17.22.
//!
//! ```text
//! control stream: create_blob, blob_status, delete_blob          a stream of its own: write_blob, read_blob ─▶ BlobAnswer ─▶ the transport
//! ```
//! Invariants: absent, past its time and wrong capability are one answer by one way.
//! Not here: the bytes on their way (the transport drives an upload or download).
use waxwing_wire::{
    frame::{Admission, ErrorCode, ServerError},
    relay::{BlobState, BlobStatus, CreateBlob, DeleteBlob, RelayReply, RelayRequest, Request, RequestId, ServerFrame},
    time::Timestamp,
};

use super::{Outbox, RequestKind, Session, Source, failure::Failure};
use crate::store::{BlobCreateError, BlobWriteError, NewBlob, Store};

/// What a blob stream is answered with.
#[derive(Debug)]
pub enum BlobAnswer<S: Store> {
    /// Chunks follow from the client. The answer comes when they are written: [`Session::wrote_blob`].
    Write(RequestId, S::Upload),
    /// This answer, and then the chunks.
    Read(ServerFrame, S::Download),
    /// This answer, and nothing.
    Refused(ServerFrame),
}

/// Why a write ended before it was done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BlobEnd {
    /// The store's reason.
    Store(BlobWriteError),
    /// The stream ended inside a chunk.
    Cut,
    /// The relay stops.
    Draining,
    /// The client is gone, or was too slow: nobody hears the answer.
    Lost,
}

impl From<BlobWriteError> for BlobEnd {
    fn from(error: BlobWriteError) -> Self {
        Self::Store(error)
    }
}

impl From<BlobEnd> for Failure {
    fn from(end: BlobEnd) -> Self {
        match end {
            BlobEnd::Store(error) => error.into(),
            BlobEnd::Cut | BlobEnd::Lost => ErrorCode::BlobCut.into(),
            BlobEnd::Draining => Self::draining(),
        }
    }
}

impl<S: Store, O: Outbox> Session<S, O> {
    /// Where the connection comes from.
    #[must_use]
    pub fn source(&self) -> Source {
        self.source
    }

    /// Now, by the relay's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.server().now()
    }

    /// §17.22.1.
    pub(super) async fn create_blob(&self, create: CreateBlob) -> Result<RelayReply, Failure> {
        let CreateBlob { blob, chunk, count, write_verifier, read_verifier, admission } = create;
        let (server, now) = (self.server(), self.server().now());
        self.offers_blobs()?;
        let (owner, invite) = match admission {
            Admission::Owner => (Some(self.owned()?), None),
            other => {
                let admission = &server.settings.admission;
                (None, admission.admit_storage(&other, blob.as_bytes(), &server.challenges, now)?)
            }
        };
        if count == 0 || u64::from(chunk.bytes()).saturating_mul(count.into()) > server.settings.limits.blob_bytes {
            return Err(ErrorCode::BlobRange.into());
        }
        let bucket = &server.buckets.blobs;
        bucket.take(self.source, now).map_err(Failure::rate)?;
        if let Some(Err(failure)) = owner.map(|owner| server.blob_allowances.take(owner, now)) {
            bucket.give_back(&self.source);
            return Err(failure);
        }
        let new = NewBlob { blob, chunk, count, write_verifier, read_verifier, invite };
        let created = server.store.create_blob(new, now).await;
        if let Err(BlobCreateError::Unavailable(_)) = created {
            bucket.give_back(&self.source);
        }
        Ok(RelayReply::BlobState(created?))
    }

    /// §17.22.2.
    pub(super) fn blob_status(&self, status: &BlobStatus) -> Result<RelayReply, Failure> {
        let BlobStatus { blob, capability } = status;
        self.offers_blobs()?;
        let server = self.server();
        Ok(RelayReply::BlobState(server.store.blob_state(blob, capability, server.now())?))
    }

    /// §17.22.3.
    pub(super) async fn delete_blob(&self, delete: &DeleteBlob) -> Result<RelayReply, Failure> {
        let DeleteBlob { blob, capability } = delete;
        self.offers_blobs()?;
        let server = self.server();
        server.store.delete_blob(blob, capability, server.now()).await?;
        Ok(RelayReply::Done)
    }

    /// Takes the one frame of a blob stream. `turned_away` says why the transport has no place for it.
    ///
    /// # Errors
    /// The code to end the stream with: the payload is no request.
    pub async fn receive_blob(
        &self,
        payload: &[u8],
        turned_away: Option<ErrorCode>,
    ) -> Result<BlobAnswer<S>, ErrorCode> {
        let Request { id, body } = Request::decode(payload).map_err(|_| self.malformed())?;
        let server = self.server();
        let failure = match body {
            _ if turned_away.is_some() => Failure::soon(turned_away.unwrap_or(ErrorCode::Overloaded)),
            _ if self.is_draining() => Failure::draining(),
            RelayRequest::WriteBlob(_) | RelayRequest::ReadBlob(_) if !self.has_blobs() => ErrorCode::Unexpected.into(),
            RelayRequest::WriteBlob(transfer) => match server.store.write_blob(&transfer, server.now()).await {
                Ok(upload) => return Ok(BlobAnswer::Write(id, upload)),
                Err(error) => error.into(),
            },
            RelayRequest::ReadBlob(transfer) => match server.store.read_blob(&transfer, server.now()).await {
                Ok((state, download)) => {
                    server.counters.count_done(RequestKind::Blob);
                    return Ok(BlobAnswer::Read(reply(id, Ok(RelayReply::BlobState(state))), download));
                }
                Err(error) => error.into(),
            },
            _ => ErrorCode::Unexpected.into(),
        };
        Ok(BlobAnswer::Refused(self.refuse_blob(id, failure)))
    }

    /// The answer to `write_blob`, and its count.
    pub fn wrote_blob(&self, id: RequestId, outcome: Result<BlobState, BlobEnd>) -> ServerFrame {
        match outcome {
            Ok(state) => {
                self.server().counters.count_done(RequestKind::Blob);
                reply(id, Ok(RelayReply::BlobState(state)))
            }
            Err(end) => self.refuse_blob(id, end.into()),
        }
    }

    fn refuse_blob(&self, id: RequestId, Failure(error): Failure) -> ServerFrame {
        self.server().counters.count_failed(error.code);
        reply(id, Err(error))
    }

    fn has_blobs(&self) -> bool {
        self.server().settings.limits.blob_bytes > 0
    }

    fn offers_blobs(&self) -> Result<(), Failure> {
        if self.has_blobs() { Ok(()) } else { Err(ErrorCode::Unexpected.into()) }
    }
}

fn reply(id: RequestId, result: Result<RelayReply, ServerError>) -> ServerFrame {
    ServerFrame::Reply { id, result }
}

/// Attachments of an hour.
pub(super) const BLOBS_PER_HOUR: u32 = 256;
