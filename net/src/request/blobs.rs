//! Whole blobs, as a client moves them: what is there already is not moved again. Implements the client's half of spec/14-relay-messages.md §14.8.
//!
//! ```text
//! upload:   blob_status ─▶ write_blob from the first chunk that is not there ─▶ chunks of the source ─▶ blob_state
//! download: blob_status ─▶ read_blob from where the sink is                  ─▶ chunks to the sink
//! ```
//! Invariants: one chunk is in memory at a time; after an error, the same call on a new connection goes on where this one ended.
use std::future::Future;

use thiserror::Error;
use waxwing_wire::{
    frame::ErrorCode,
    id::BlobId,
    relay::{BlobState, BlobStatus, Capability, RelayReply, RelayRequest, TransferBlob},
    sealed::ChunkSize,
};

use super::{RelayConnection, RequestError};
use crate::{CloseCode, SendError, StreamError};

/// Where the chunks of an upload come from.
pub trait ChunkSource: Send {
    /// Why there is none.
    type Error: Send;

    /// Chunk `number`, of exactly `size`. Asked for in order; after an interruption from an earlier one on.
    fn chunk(&mut self, number: u32, size: ChunkSize) -> impl Future<Output = Result<Vec<u8>, Self::Error>> + Send;
}

/// Where the chunks of a download go.
pub trait ChunkSink: Send {
    /// Why it takes no more.
    type Error: Send;

    /// Takes chunk `number`. In order.
    fn chunk(&mut self, number: u32, bytes: Vec<u8>) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Why a blob did not move, or not wholly.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum TransferError<E> {
    /// The relay, or the way there. What moved has moved.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The source gave a chunk of another size: a bug here.
    #[error("a chunk of another size")]
    ChunkSize,
    /// The source or the sink.
    #[error("the chunks' own side failed")]
    Local(E),
}

impl RelayConnection {
    /// Writes the chunks of a blob that are not there; how much is there in the end. Meanwhile [`RelayRequest::BlobStatus`] says how far it is.
    ///
    /// # Errors
    /// [`TransferError`]; call again to go on.
    pub async fn upload<S: ChunkSource>(
        &self,
        blob: BlobId,
        capability: &Capability,
        source: &mut S,
    ) -> Result<BlobState, TransferError<S::Error>> {
        let mut state = self.blob_status(blob, capability).await?;
        let mut attempts = ATTEMPTS;
        while state.written < state.count {
            let first = state.written;
            match self.write_chunks(blob, capability, state, source).await {
                Ok(now) => state = now,
                // An earlier connection's upload ended just now, with more chunks than it had told.
                Err(TransferError::Request(RequestError::Server(error)))
                    if error.code == ErrorCode::BlobRange && attempts > 0 =>
                {
                    state = self.blob_status(blob, capability).await?;
                }
                Err(error) => return Err(error),
            }
            attempts = if state.written > first { ATTEMPTS } else { attempts.saturating_sub(1) };
            if attempts == 0 {
                return Err(RequestError::Mismatch.into());
            }
        }
        Ok(state)
    }

    /// Reads chunks from `first` on, as many as are there by now; how much that is.
    ///
    /// # Errors
    /// [`TransferError`]; call again, from the first chunk that the sink does not have, to go on.
    pub async fn download<S: ChunkSink>(
        &self,
        blob: BlobId,
        capability: &Capability,
        first: u32,
        sink: &mut S,
    ) -> Result<BlobState, TransferError<S::Error>> {
        let state = self.blob_status(blob, capability).await?;
        let count = state.written.saturating_sub(first);
        if count == 0 {
            return Ok(state);
        }
        let transfer = TransferBlob { blob, capability: again(capability), first, count };
        let mut moving = self.blob(RelayRequest::ReadBlob(transfer)).await?;
        let told = moving.state().await?;
        let size = usize::try_from(told.chunk.bytes()).map_err(|_| RequestError::Mismatch)?;
        for number in (first..).take(usize::try_from(count).unwrap_or(usize::MAX)) {
            let mut chunk = vec![0; size];
            moving.stream.read_exact(&mut chunk).await.map_err(of_stream)?;
            sink.chunk(number, chunk).await.map_err(TransferError::Local)?;
        }
        Ok(told)
    }

    async fn blob_status(&self, blob: BlobId, capability: &Capability) -> Result<BlobState, RequestError> {
        let status = BlobStatus { blob, capability: again(capability) };
        match self.request(RelayRequest::BlobStatus(status)).await? {
            RelayReply::BlobState(state) => Ok(state),
            _ => Err(RequestError::Mismatch),
        }
    }

    /// Everything that `state` says is missing.
    async fn write_chunks<S: ChunkSource>(
        &self,
        blob: BlobId,
        capability: &Capability,
        state: BlobState,
        source: &mut S,
    ) -> Result<BlobState, TransferError<S::Error>> {
        let BlobState { chunk: size, count, written: first, ends: _ } = state;
        let transfer = TransferBlob { blob, capability: again(capability), first, count: count.saturating_sub(first) };
        let mut moving = self.blob(RelayRequest::WriteBlob(transfer)).await?;
        for number in first..count {
            let chunk = source.chunk(number, size).await.map_err(TransferError::Local)?;
            if u32::try_from(chunk.len()).ok() != Some(size.bytes()) {
                return Err(TransferError::ChunkSize);
            }
            match moving.stream.write(chunk).await {
                Ok(()) => {}
                // The relay wants no more, and says why.
                Err(SendError::Stopped(_)) => return Ok(moving.state().await?),
                Err(error) => return Err(self.lost(error).into()),
            }
        }
        moving.stream.finish();
        Ok(moving.state().await?)
    }
}

/// A capability is not copied by accident.
fn again(capability: &Capability) -> Capability {
    Capability::from_bytes(*capability.expose())
}

/// What the end of a blob's stream means for its reader. The connection may go on.
fn of_stream(error: StreamError) -> RequestError {
    match error {
        StreamError::Reset(CloseCode::Error(code)) => RequestError::Server(code.into()),
        other => super::of_stream(other).into(),
    }
}

/// Answers in a row that bring nothing new.
const ATTEMPTS: u8 = 4;
