//! What the streams of one connection share.
use std::{fmt, sync::Arc, time::Duration};

use crate::{
    CloseCode, Ended,
    server::{Counters, Place},
};

/// A connection as its streams and handles hold it. When the last holder is gone, the connection is closed.
pub(crate) struct Link {
    pub(crate) quic: quinn::Connection,
    pub(crate) deadlines: Deadlines,
    /// Bytes of frames that may wait to be sent on one stream before senders wait.
    pub(crate) queue: usize,
    /// Servers count.
    pub(crate) counters: Option<Arc<Counters>>,
    /// The connection's share of its source's connections; given back with the link.
    pub(crate) _place: Option<Place>,
}

/// How long a peer may take (spec §18.5.3). None: for ever.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Deadlines {
    /// For the first frame of a stream.
    pub(crate) first_frame: Option<Duration>,
    /// For the rest of a frame that has begun.
    pub(crate) frame: Option<Duration>,
    /// For the next bytes of a chunk.
    pub(crate) stall: Option<Duration>,
}

impl Link {
    pub(crate) fn close(&self, code: CloseCode) {
        self.quic.close(code.to_quic(), &[]);
    }

    pub(crate) fn ended(&self) -> Option<Ended> {
        self.quic.close_reason().map(Ended::from)
    }

    pub(crate) fn count(&self, code: CloseCode) {
        if let Some(counters) = &self.counters {
            counters.closed_for(code);
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.close(CloseCode::Done);
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // quinn's own form would name the peer's address.
        f.debug_struct("Link").field("ended", &self.ended()).finish_non_exhaustive()
    }
}
