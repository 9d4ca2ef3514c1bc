//! The sending half of a framed stream. Implements spec/18-transport.md §18.7.1.
//!
//! ```text
//! sender ─┐
//! sender ─┼─▶ [frame frame frame …]  ──taken whole──▶ writer task ──▶ QUIC
//! sender ─┘     bounded in bytes         (meanwhile the next ones gather)
//! ```
//! Invariants: frames leave in the order in which they were queued; the writer takes whatever waits and waits for nothing
//! more; senders wait while too much does.
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use quinn::{SendStream, StoppedError, WriteError};
use thiserror::Error;
use tokio::sync::Notify;
use waxwing_wire::frame::{Ceiling, FrameError, StreamKind};

use super::{Link, priority, queue::Queue};
use crate::{CloseCode, Ended};

/// Queues frames on a stream. Clones share one queue; when the last one is gone, what waits is sent and the stream finished.
#[derive(Clone)]
pub struct FrameSender(Arc<Handle>);

impl FrameSender {
    pub(super) fn spawn(link: &Arc<Link>, kind: StreamKind, ceiling: Ceiling, send: SendStream) -> Self {
        // A stream that is over already says so at the first write.
        let _ = send.set_priority(priority(kind));
        let shared = Arc::new(Shared {
            state: Mutex::new(State { frames: Queue::new(ceiling), writing: false, end: None }),
            queue: link.queue,
            work: Notify::new(),
            room: Notify::new(),
            unheld: Notify::new(),
        });
        let (writer, held) = (Arc::clone(&shared), Arc::clone(link));
        tokio::spawn(async move {
            let _held = held;
            tokio::select! {
                () = write(&writer, send) => {}
                () = linger(&writer) => {}
            }
        });
        Self(Arc::new(Handle { shared, _link: Arc::clone(link) }))
    }

    /// Queues a frame, waiting while too much is queued already. Cancel-safe: the frame is queued whole or not at all.
    ///
    /// # Errors
    /// [`SendError`]; the frame was not queued.
    pub async fn send(&self, payload: &[u8]) -> Result<(), SendError> {
        self.when_there_is_room(|| self.try_send(payload)).await
    }

    /// As [`Self::send`], without a copy of a long payload.
    ///
    /// # Errors
    /// [`SendError`]; the frame was not queued.
    pub async fn send_owned(&self, payload: Vec<u8>) -> Result<(), SendError> {
        let payload = Bytes::from(payload);
        self.when_there_is_room(|| self.queue(payload.len(), |frames| frames.push_owned(payload.clone()))).await
    }

    async fn when_there_is_room(&self, queue: impl Fn() -> Result<(), TrySendError>) -> Result<(), SendError> {
        loop {
            let mut room = std::pin::pin!(self.0.shared.room.notified());
            room.as_mut().enable();
            match queue() {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full) => room.await,
                Err(TrySendError::Send(error)) => return Err(error),
            }
        }
    }

    /// Queues a frame if there is room.
    ///
    /// # Errors
    /// [`TrySendError::Full`] while too much is queued; else as [`Self::send`]. The frame was not queued.
    pub fn try_send(&self, payload: &[u8]) -> Result<(), TrySendError> {
        self.queue(payload.len(), |frames| frames.push(payload))
    }

    fn queue(
        &self,
        length: usize,
        push: impl FnOnce(&mut Queue) -> Result<(), FrameError>,
    ) -> Result<(), TrySendError> {
        let shared = &self.0.shared;
        let mut state = shared.lock();
        if let Some(end) = &state.end {
            return Err(end.error().into());
        }
        // One frame may always wait, however long it is.
        let waiting = state.frames.bytes();
        if waiting > 0 && waiting.saturating_add(length) > shared.queue {
            return Err(TrySendError::Full);
        }
        push(&mut state.frames).map_err(SendError::Frame)?;
        drop(state);
        shared.work.notify_one();
        Ok(())
    }

    /// Waits until everything queued so far, by anybody, was handed to QUIC.
    ///
    /// # Errors
    /// [`SendError`]: it was not.
    pub async fn flush(&self) -> Result<(), SendError> {
        loop {
            let mut room = std::pin::pin!(self.0.shared.room.notified());
            room.as_mut().enable();
            {
                let state = self.0.shared.lock();
                match &state.end {
                    Some(End::Finishing | End::Finished) | None => {
                        if state.frames.is_empty() && !state.writing {
                            return Ok(());
                        }
                    }
                    Some(End::Aborted(code)) => return Err(SendError::Stopped(*code)),
                    Some(End::Failed(error)) => return Err(*error),
                }
            }
            room.await;
        }
    }

    /// Sends what waits, finishes the stream, and waits until the peer's machine has everything. Nothing can be queued after.
    ///
    /// # Errors
    /// [`SendError`]: it may not have.
    pub async fn finish(&self) -> Result<(), SendError> {
        self.0.shared.finish();
        loop {
            let mut room = std::pin::pin!(self.0.shared.room.notified());
            room.as_mut().enable();
            match &self.0.shared.lock().end {
                Some(End::Finished) => return Ok(()),
                Some(End::Aborted(code)) => return Err(SendError::Stopped(*code)),
                Some(End::Failed(error)) => return Err(*error),
                Some(End::Finishing) | None => {}
            }
            room.await;
        }
    }

    /// Gives the stream up with `code`; what waits is thrown away.
    pub fn abort(&self, code: CloseCode) {
        self.0.shared.abort(code);
    }

    /// Bytes that are queued and not yet taken by the writer.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.0.shared.lock().frames.bytes()
    }

    pub(super) fn aborter(&self) -> Aborter {
        Aborter(Arc::clone(&self.0.shared))
    }
}

impl fmt::Debug for FrameSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameSender").field("queued", &self.queued()).finish_non_exhaustive()
    }
}

/// Why a frame was not queued, or may not have arrived. Safe to log.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum SendError {
    /// The payload is empty or above the stream's ceiling: a bug here.
    #[error(transparent)]
    Frame(FrameError),
    /// The stream was finished or given up on this side.
    #[error("the stream is finished")]
    Finished,
    /// The stream was given up; the code says why.
    #[error("the stream was given up: {0}")]
    Stopped(CloseCode),
    /// The peer took nothing for too long; the stream was closed.
    #[error("the peer took nothing for too long")]
    TooSlow,
    /// The connection is over.
    #[error(transparent)]
    Ended(Ended),
}

/// Why a frame was not queued at once.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum TrySendError {
    /// Too much waits: use [`FrameSender::send`], or drop the frame.
    #[error("the queue is full")]
    Full,
    /// It never will be.
    #[error(transparent)]
    Send(#[from] SendError),
}

impl From<WriteError> for SendError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Stopped(code) => Self::Stopped(CloseCode::of_quic(code)),
            WriteError::ConnectionLost(error) => Self::Ended(error.into()),
            WriteError::ClosedStream | WriteError::ZeroRttRejected => Self::Finished,
        }
    }
}

impl From<StoppedError> for SendError {
    fn from(error: StoppedError) -> Self {
        match error {
            StoppedError::ConnectionLost(error) => Self::Ended(error.into()),
            StoppedError::ZeroRttRejected => Self::Finished,
        }
    }
}

/// The reader's way to give up both halves.
#[derive(Debug)]
pub(super) struct Aborter(Arc<Shared>);

impl Aborter {
    pub(super) fn abort(&self, code: CloseCode) {
        self.0.abort(code);
    }
}

/// What clones of a sender share; the last one finishes the stream.
struct Handle {
    shared: Arc<Shared>,
    /// Keeps the connection while somebody may send.
    _link: Arc<Link>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.finish();
        self.shared.unheld.notify_one();
    }
}

/// Between senders and the writer.
struct Shared {
    state: Mutex<State>,
    /// Bytes that may wait.
    queue: usize,
    /// Something waits, or it is over.
    work: Notify,
    /// Something was taken, written or ended.
    room: Notify,
    /// No sender is left.
    unheld: Notify,
}

struct State {
    frames: Queue,
    writing: bool,
    end: Option<End>,
}

#[derive(Clone, Copy)]
enum End {
    /// Nothing more is queued; what waits is sent.
    Finishing,
    /// The peer has everything.
    Finished,
    /// Given up here.
    Aborted(CloseCode),
    /// Broken.
    Failed(SendError),
}

impl End {
    const fn error(self) -> SendError {
        match self {
            Self::Finishing | Self::Finished => SendError::Finished,
            Self::Aborted(code) => SendError::Stopped(code),
            Self::Failed(error) => error,
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held; a state is whole at each release.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(&self) {
        self.lock().end.get_or_insert(End::Finishing);
        self.work.notify_one();
    }

    fn abort(&self, code: CloseCode) {
        self.end(End::Aborted(code));
        self.work.notify_one();
    }

    fn end(&self, end: End) {
        let mut state = self.lock();
        if matches!(state.end, None | Some(End::Finishing)) {
            state.end = Some(end);
            // What waits goes nowhere.
            drop(state.frames.take());
        }
        state.writing = false;
        drop(state);
        self.room.notify_waiters();
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared(..)")
    }
}

enum Next {
    Write(Vec<Bytes>),
    Finish,
    Abort(CloseCode),
    Stop,
    Wait,
}

/// Ends some time after the last sender is gone, so that a peer who takes nothing holds nothing.
async fn linger(shared: &Shared) {
    shared.unheld.notified().await;
    tokio::time::sleep(LINGER).await;
}

/// The writer task.
async fn write(shared: &Shared, mut send: SendStream) {
    loop {
        match next(shared) {
            Next::Wait => shared.work.notified().await,
            Next::Write(pieces) => {
                // The permit of a frame that was queued meanwhile wakes the select early; nothing is lost by looking again.
                if let Err(end) = write_all(shared, &mut send, pieces).await {
                    return give_up(shared, &mut send, end);
                }
                shared.lock().writing = false;
                shared.room.notify_waiters();
            }
            Next::Finish => {
                // Closed already: the peer has it or does not want it, which `stopped` tells.
                let _ = send.finish();
                let end = match send.stopped().await {
                    Ok(None) => End::Finished,
                    Ok(Some(code)) => End::Failed(SendError::Stopped(CloseCode::of_quic(code))),
                    Err(error) => End::Failed(error.into()),
                };
                return shared.end(end);
            }
            Next::Abort(code) => return give_up(shared, &mut send, End::Aborted(code)),
            Next::Stop => return,
        }
    }
}

fn next(shared: &Shared) -> Next {
    let mut state = shared.lock();
    match state.end {
        Some(End::Aborted(code)) => return Next::Abort(code),
        Some(End::Failed(_) | End::Finished) => return Next::Stop,
        Some(End::Finishing) | None => {}
    }
    if !state.frames.is_empty() {
        state.writing = true;
        let pieces = state.frames.take();
        drop(state);
        shared.room.notify_waiters();
        return Next::Write(pieces);
    }
    if state.end.is_some() { Next::Finish } else { Next::Wait }
}

async fn write_all(shared: &Shared, send: &mut SendStream, mut pieces: Vec<Bytes>) -> Result<(), End> {
    let mut writing = std::pin::pin!(send.write_all_chunks(&mut pieces));
    loop {
        tokio::select! {
            biased;
            written = &mut writing => return written.map_err(|error| End::Failed(error.into())),
            () = shared.work.notified() => {
                // Frames that were queued meanwhile stay for the next round, which looks without being told.
                if let Some(End::Aborted(code)) = shared.lock().end {
                    return Err(End::Aborted(code));
                }
            }
        }
    }
}

fn give_up(shared: &Shared, send: &mut SendStream, end: End) {
    if let End::Aborted(code) = end {
        // The peer may have ended it at the same time.
        let _ = send.reset(code.to_quic());
    }
    shared.end(end);
}

/// How long what waits may still take when nobody holds the stream any more.
const LINGER: Duration = Duration::from_secs(10);
