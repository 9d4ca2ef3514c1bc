//! Streams with frames, both ways. Implements spec/13-frames.md §13.1 and §13.2, spec/18-transport.md §18.7.
//!
//! ```text
//! FrameSender, FrameSender … ─▶ one buffer ─▶ writer task ─▶ QUIC ─▶ FrameReader ─▶ Batch of whole payloads
//! ```
//! Invariants: a frame is queued whole or not at all; what waits is bounded on both sides; bytes that break the frame rules end
//! the stream with the code of spec §13.5, and the connection with it if the stream is the control stream.
//! Not here: which stream may come when ([`crate::Connection::accept_stream`]), what payloads mean.
use std::sync::Arc;

use quinn::{RecvStream, SendStream};
use waxwing_wire::frame::{Ceiling, StreamKind};

use crate::CloseCode;

mod blob;
mod link;
mod queue;
mod read;
mod write;

pub use blob::BlobStream;
pub(crate) use link::{Deadlines, Link};
pub use read::{Batch, FrameReader, StreamError};
pub use write::{FrameSender, SendError, TrySendError};

/// A stream of frames in both directions.
#[derive(Debug)]
pub struct FramedStream {
    /// What comes.
    pub reader: FrameReader,
    /// What goes. Clones share one queue; the stream is finished when the last one is gone.
    pub sender: FrameSender,
}

impl FramedStream {
    pub(crate) fn new(
        link: &Arc<Link>,
        kind: StreamKind,
        ceiling: Ceiling,
        send: SendStream,
        recv: RecvStream,
    ) -> Self {
        let scope = match kind {
            StreamKind::Control => Scope::Connection,
            StreamKind::Backlog | StreamKind::Blob => Scope::Stream,
        };
        let sender = FrameSender::spawn(link, kind, ceiling, send);
        let reader = FrameReader::new(link, scope, ceiling, recv, Some(sender.aborter()));
        Self { reader, sender }
    }
}

/// What ends when a stream is broken (spec §18.6).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Scope {
    /// A connection without its control stream is none.
    Connection,
    Stream,
}

/// Live deliveries before those that waited, those before blobs.
const fn priority(kind: StreamKind) -> i32 {
    match kind {
        StreamKind::Control => 2,
        StreamKind::Backlog => 1,
        StreamKind::Blob => 0,
    }
}

/// Turns down a stream that never became one.
pub(crate) fn turn_down(send: &mut SendStream, recv: &mut RecvStream, code: CloseCode) {
    // Either half may be over already.
    let _ = send.reset(code.to_quic());
    let _ = recv.stop(code.to_quic());
}
