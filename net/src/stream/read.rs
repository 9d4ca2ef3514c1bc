//! The receiving half of a framed stream. Implements spec/18-transport.md §18.7.2.
use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use quinn::{ReadError, RecvStream};
use thiserror::Error;
use tokio::time::{Instant, timeout_at};
use waxwing_wire::frame::{Ceiling, ErrorCode, FrameDecoder, FrameError};

use super::{Link, Scope, write::Aborter};
use crate::{CloseCode, Ended};

/// Yields the payloads of a stream.
#[derive(Debug)]
pub struct FrameReader {
    link: Arc<Link>,
    scope: Scope,
    recv: RecvStream,
    sender: Option<Aborter>,
    decoder: FrameDecoder,
    /// Whole frames may still stand in the decoder.
    undrained: bool,
    /// When the frame that is due must be whole.
    due: Option<Instant>,
    failed: Option<StreamError>,
}

impl FrameReader {
    pub(super) fn new(
        link: &Arc<Link>,
        scope: Scope,
        ceiling: Ceiling,
        recv: RecvStream,
        sender: Option<Aborter>,
    ) -> Self {
        Self {
            link: Arc::clone(link),
            scope,
            recv,
            sender,
            decoder: FrameDecoder::new(ceiling),
            undrained: false,
            due: after(link.deadlines.first_frame),
            failed: None,
        }
    }

    /// For a client's backlog stream, on which it sends nothing.
    pub(crate) fn one_way(link: &Arc<Link>, ceiling: Ceiling, recv: RecvStream) -> Self {
        Self::new(link, Scope::Stream, ceiling, recv, None)
    }

    /// Waits for the next bytes and gives the payloads they complete, which may be none yet. None when the peer has finished the
    /// stream between two frames. Cancel-safe: nothing is lost.
    ///
    /// # Errors
    /// [`StreamError`]; the stream is closed with its code, and every later call says the same.
    pub async fn read(&mut self) -> Result<Option<Batch<'_>>, StreamError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if !self.undrained {
            match self.receive().await {
                Ok(true) => self.undrained = true,
                Ok(false) => return Ok(None),
                Err(error) => return Err(self.give_up(error)),
            }
        }
        Ok(Some(Batch { reader: self }))
    }

    /// The next payload. None when the peer has finished the stream between two frames. Cancel-safe.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, StreamError> {
        loop {
            let Some(mut batch) = self.read().await? else { return Ok(None) };
            if let Some(payload) = batch.next()? {
                return Ok(Some(payload.to_vec()));
            }
        }
    }

    /// Ends the stream because a payload is none: with `code`, counted. On a control stream the connection ends.
    pub fn fail(&mut self, code: ErrorCode) {
        let _ = self.give_up(StreamError::Refused { code });
    }

    /// Reads until the decoder was fed. False at the end of the stream.
    async fn receive(&mut self) -> Result<bool, StreamError> {
        let mut pieces: [Bytes; PIECES] = std::array::from_fn(|_| Bytes::new());
        let count = match self.due {
            None => self.recv.read_chunks(&mut pieces).await,
            Some(due) => timeout_at(due, self.recv.read_chunks(&mut pieces)).await.map_err(|_| StreamError::TooSlow)?,
        };
        let Some(count) = count? else {
            return if self.decoder.is_between_frames() { Ok(false) } else { Err(StreamError::CutShort) };
        };
        pieces.iter().take(count).for_each(|piece| self.decoder.feed(piece));
        Ok(true)
    }

    fn drained(&mut self) {
        self.undrained = false;
        if self.due.is_none() && !self.decoder.is_between_frames() {
            self.due = after(self.link.deadlines.frame);
        }
    }

    fn give_up(&mut self, error: StreamError) -> StreamError {
        self.failed = Some(error);
        let Some(code) = error.code() else { return error };
        self.link.count(code);
        match self.scope {
            Scope::Connection => self.link.close(code),
            Scope::Stream => {
                // The peer may have ended it at the same time.
                let _ = self.recv.stop(code.to_quic());
                if let Some(sender) = &self.sender {
                    sender.abort(code);
                }
            }
        }
        error
    }
}

/// The payloads that one read completed. Dropping it keeps those that were not taken for the next [`FrameReader::read`].
#[derive(Debug)]
pub struct Batch<'r> {
    reader: &'r mut FrameReader,
}

impl Batch<'_> {
    /// The next payload; none when the rest has not come yet.
    ///
    /// # Errors
    /// [`StreamError::Malformed`]: the stream is closed.
    // Not an iterator: what it gives is borrowed from it.
    #[allow(clippy::should_implement_trait, reason = "lends its items")]
    pub fn next(&mut self) -> Result<Option<&[u8]>, StreamError> {
        self.advance()
    }

    fn advance(&mut self) -> Result<Option<&[u8]>, StreamError> {
        let reader = &mut *self.reader;
        if let Some(error) = reader.failed {
            return Err(error);
        }
        // Two looks because a borrow that is returned on one path would hold on the other as well.
        match reader.decoder.has_frame() {
            Ok(true) => {
                reader.due = None;
                reader.decoder.next_frame().map_err(StreamError::Malformed)
            }
            Ok(false) => {
                reader.drained();
                Ok(None)
            }
            Err(error) => Err(reader.give_up(StreamError::Malformed(error))),
        }
    }
}

/// Why a stream gives no more. Safe to log.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum StreamError {
    /// The peer broke the rules of frames; the stream was closed with `Malformed`.
    #[error(transparent)]
    Malformed(FrameError),
    /// The caller found a payload that is none ([`FrameReader::fail`]).
    #[error("the stream was closed with: {code}")]
    Refused {
        /// With which code.
        code: ErrorCode,
    },
    /// The peer finished the stream inside a frame.
    #[error("the stream ended inside a frame")]
    CutShort,
    /// The peer let a deadline pass; the stream was closed with it.
    #[error("the peer is too slow")]
    TooSlow,
    /// The peer gave the stream up.
    #[error("the peer gave the stream up: {0}")]
    Reset(CloseCode),
    /// The connection is over.
    #[error(transparent)]
    Ended(Ended),
}

impl StreamError {
    /// With what the stream is closed; none if the peer did it.
    fn code(self) -> Option<CloseCode> {
        match self {
            Self::Malformed(_) | Self::CutShort => Some(ErrorCode::Malformed.into()),
            Self::Refused { code } => Some(code.into()),
            Self::TooSlow => Some(CloseCode::TooSlow),
            Self::Reset(_) | Self::Ended(_) => None,
        }
    }
}

impl From<ReadError> for StreamError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Reset(code) => Self::Reset(CloseCode::of_quic(code)),
            ReadError::ConnectionLost(error) => Self::Ended(error.into()),
            ReadError::ClosedStream | ReadError::IllegalOrderedRead | ReadError::ZeroRttRejected => {
                Self::Ended(Ended::ClosedHere)
            }
        }
    }
}

pub(super) fn after(limit: Option<Duration>) -> Option<Instant> {
    limit.and_then(|limit| Instant::now().checked_add(limit))
}

/// Pieces (of a packet each, some 1,200 bytes) taken at once.
const PIECES: usize = 32;
