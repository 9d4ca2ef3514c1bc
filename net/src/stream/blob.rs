//! A blob's stream: one frame each way, and bytes without frames. Implements spec/13-frames.md §13.1, spec/18-transport.md §18.7.3.
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use quinn::{RecvStream, SendStream};
use tokio::time::timeout_at;
use waxwing_wire::frame::{Ceiling, ErrorCode, FrameDecoder, FrameEncoder, StreamKind};

use super::{Link, SendError, StreamError, priority, read::after, turn_down};
use crate::CloseCode;

/// A blob stream on either side.
#[derive(Debug)]
pub struct BlobStream {
    link: Arc<Link>,
    send: SendStream,
    recv: RecvStream,
    /// Until the frame was read; then what follows it stands in `rest`.
    decoder: Option<FrameDecoder>,
    rest: Bytes,
}

impl BlobStream {
    pub(crate) fn new(link: &Arc<Link>, send: SendStream, recv: RecvStream) -> Self {
        // A stream that is over already says so at the first write.
        let _ = send.set_priority(priority(StreamKind::Blob));
        let decoder = Some(FrameDecoder::new(Ceiling::BLOB));
        Self { link: Arc::clone(link), send, recv, decoder, rest: Bytes::new() }
    }

    /// The one frame that comes. Bytes that follow it are a chunk's ([`Self::read`]).
    ///
    /// # Errors
    /// [`StreamError`]; the stream is closed with its code. [`StreamError::CutShort`] if it ends before the frame does.
    pub async fn read_frame(&mut self) -> Result<Vec<u8>, StreamError> {
        let Some(mut decoder) = self.decoder.take() else { return Err(StreamError::CutShort) };
        let due = after(self.link.deadlines.first_frame);
        loop {
            match decoder.next_frame() {
                Ok(Some(payload)) => {
                    let payload = payload.to_vec();
                    self.rest = decoder.into_rest().into();
                    return Ok(payload);
                }
                Ok(None) => {}
                Err(error) => return Err(self.give_up(StreamError::Malformed(error))),
            }
            let reading = self.recv.read_chunk(usize::MAX, true);
            let chunk = match due {
                None => reading.await,
                Some(due) => match timeout_at(due, reading).await {
                    Ok(chunk) => chunk,
                    Err(_) => return Err(self.give_up(StreamError::TooSlow)),
                },
            };
            match chunk {
                Ok(Some(chunk)) => decoder.feed(&chunk.bytes),
                Ok(None) => return Err(self.give_up(StreamError::CutShort)),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sends the one frame that goes.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn write_frame(&mut self, payload: &[u8]) -> Result<(), SendError> {
        let mut encoder = FrameEncoder::new(Ceiling::BLOB);
        encoder.push(payload).map_err(SendError::Frame)?;
        self.write(encoder.take()).await
    }

    /// The next bytes of chunks; none at the end of the stream. Cancel-safe.
    ///
    /// # Errors
    /// [`StreamError`]; [`StreamError::TooSlow`] if nothing comes for too long, and the stream is closed.
    pub async fn read(&mut self) -> Result<Option<Bytes>, StreamError> {
        if self.rest.has_remaining() {
            return Ok(Some(std::mem::take(&mut self.rest)));
        }
        let reading = self.recv.read_chunk(usize::MAX, true);
        let chunk = match after(self.link.deadlines.stall) {
            None => reading.await,
            Some(due) => match timeout_at(due, reading).await {
                Ok(chunk) => chunk,
                Err(_) => return Err(self.give_up(StreamError::TooSlow)),
            },
        };
        Ok(chunk?.map(|chunk| chunk.bytes))
    }

    /// Puts the next bytes of chunks at the front of `piece`, as many as are there; how many, none at the end of the stream. Cancel-safe.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn read_into(&mut self, piece: &mut [u8]) -> Result<Option<usize>, StreamError> {
        if self.rest.has_remaining() {
            let count = self.rest.len().min(piece.len());
            self.rest.split_to(count).copy_to_slice(piece.get_mut(..count).unwrap_or_default());
            return Ok(Some(count));
        }
        let reading = self.recv.read(piece);
        let read = match after(self.link.deadlines.stall) {
            None => reading.await,
            Some(due) => match timeout_at(due, reading).await {
                Ok(read) => read,
                Err(_) => return Err(self.give_up(StreamError::TooSlow)),
            },
        };
        Ok(read?)
    }

    /// Fills `chunk`. Not cancel-safe: what was read into it is lost.
    ///
    /// # Errors
    /// [`StreamError::CutShort`] if the stream ends before: `filled` bytes at the front came. Else as [`Self::read`].
    pub async fn read_exact(&mut self, chunk: &mut [u8]) -> Result<(), StreamError> {
        let mut open = chunk;
        while !open.is_empty() {
            let count = self.read_into(open).await?.ok_or(StreamError::CutShort)?;
            open = open.get_mut(count..).unwrap_or_default();
        }
        Ok(())
    }

    /// Sends bytes of chunks, at the pace at which the peer takes them. Not cancel-safe: give the stream up instead.
    ///
    /// # Errors
    /// [`SendError::Stopped`] if the peer wants no more; a reply may say why. [`SendError::TooSlow`] if it takes nothing for too long, and the
    /// stream is closed.
    pub async fn write(&mut self, bytes: impl Into<Bytes>) -> Result<(), SendError> {
        let mut open = [bytes.into()];
        while open.iter().any(Bytes::has_remaining) {
            let writing = self.send.write_chunks(&mut open);
            match after(self.link.deadlines.stall) {
                None => drop(writing.await?),
                Some(due) => match timeout_at(due, writing).await {
                    Ok(written) => drop(written?),
                    Err(_) => {
                        self.give_up(StreamError::TooSlow);
                        return Err(SendError::TooSlow);
                    }
                },
            }
        }
        Ok(())
    }

    /// Says that nothing more is sent; reading goes on.
    pub fn finish(&mut self) {
        // Stopped already: then nobody waits for the end.
        let _ = self.send.finish();
    }

    /// Waits until the peer's machine has everything that was sent, after [`Self::finish`].
    ///
    /// # Errors
    /// [`SendError`]: it may not have.
    pub async fn sent(&mut self) -> Result<(), SendError> {
        match self.send.stopped().await? {
            None => Ok(()),
            Some(code) => Err(SendError::Stopped(CloseCode::of_quic(code))),
        }
    }

    /// Gives the stream up in both directions, with `code`, counted. The connection goes on.
    pub fn fail(&mut self, code: ErrorCode) {
        let _ = self.give_up(StreamError::Refused { code });
    }

    fn give_up(&mut self, error: StreamError) -> StreamError {
        let code = match error {
            StreamError::TooSlow => CloseCode::TooSlow,
            StreamError::Refused { code } => code.into(),
            _ => ErrorCode::Malformed.into(),
        };
        self.link.count(code);
        turn_down(&mut self.send, &mut self.recv, code);
        error
    }
}
