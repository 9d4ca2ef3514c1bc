//! Where a session's frames go, and how it waits.
use std::{sync::Arc, time::Duration};

use waxwing_wire::{frame::ErrorCode, relay::ServerFrame};

/// A connection's way out. The transport implements it over streams, a simulated world over queues.
///
/// Frames of one stream leave in the order of the calls. A call waits while too much waits already, which is what bounds a slow
/// client's memory; it may be dropped while it waits, and then the frame was not taken.
pub trait Outbox: Send + Sync + 'static {
    /// A frame for the control stream.
    fn control(&self, frame: &ServerFrame) -> impl Future<Output = Result<(), Gone>> + Send;

    /// A frame for the backlog stream, or for the control stream if the client opened none before it subscribed.
    fn backlog(&self, frame: &ServerFrame) -> impl Future<Output = Result<(), Gone>> + Send;

    /// Resolves after so long: the transport's timer, or a simulated world's.
    fn pause(&self, time: Duration) -> impl Future<Output = ()> + Send;

    /// The connection shall end with `code` when what is in flight has its answers. Does not block.
    fn end(&self, code: ErrorCode);
}

impl<O: Outbox> Outbox for Arc<O> {
    fn control(&self, frame: &ServerFrame) -> impl Future<Output = Result<(), Gone>> + Send {
        O::control(self, frame)
    }

    fn backlog(&self, frame: &ServerFrame) -> impl Future<Output = Result<(), Gone>> + Send {
        O::backlog(self, frame)
    }

    fn pause(&self, time: Duration) -> impl Future<Output = ()> + Send {
        O::pause(self, time)
    }

    fn end(&self, code: ErrorCode) {
        O::end(self, code);
    }
}

/// The connection is over; nobody hears anything any more.
#[derive(Clone, Copy, Debug, Eq, thiserror::Error, PartialEq)]
#[error("the connection is over")]
pub struct Gone;
