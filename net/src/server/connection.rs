//! One accepted connection and its streams. Implements spec/13-frames.md §13.1, spec/18-transport.md §18.5.3 and §18.6.
use std::{fmt, future::pending, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use quinn::{RecvStream, SendStream};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};
use waxwing_wire::{
    frame::{ErrorCode, StreamKind},
    request::Exporter,
};

use crate::{
    BlobStream, CloseCode, Ended, FrameSender, FramedStream, Service, Source,
    stream::{Link, turn_down},
    tls,
};

/// A client's connection, as its server sees it. The connection is closed when this, its handles and its streams are gone.
pub struct Connection {
    handle: ConnectionHandle,
    service: Service,
    first: Duration,
    /// Until when the control stream must have come.
    control_due: Option<Instant>,
    backlog: bool,
    /// Streams that have not said yet what they are.
    unnamed: FuturesUnordered<BoxFuture<'static, Named>>,
}

/// A stream that a client opened, by its kind.
#[derive(Debug)]
pub enum Accepted {
    /// Requests and replies: the first, once.
    Control(FramedStream),
    /// Waiting deliveries go out here; at most once.
    Backlog(FrameSender),
    /// One blob's transfer.
    Blob(BlobStream),
}

impl Connection {
    /// None if the connection is over already.
    pub(super) fn new(
        link: Arc<Link>,
        source: Source,
        service: Service,
        first: Duration,
        draining: watch::Receiver<bool>,
    ) -> Option<Self> {
        let exporter = tls::exporter(&link.quic)?;
        let control_due = Instant::now().checked_add(first);
        let handle = ConnectionHandle { link, source, exporter, draining };
        Some(Self { handle, service, first, control_due, backlog: false, unnamed: FuturesUnordered::new() })
    }

    /// What both ends of this connection know and nobody else (spec §11.11.1).
    #[must_use]
    pub fn exporter(&self) -> Exporter {
        self.handle.exporter
    }

    /// Whose connections are counted together.
    #[must_use]
    pub fn source(&self) -> Source {
        self.handle.source
    }

    /// To close it, and to hear of its end, from elsewhere.
    #[must_use]
    pub fn handle(&self) -> ConnectionHandle {
        self.handle.clone()
    }

    /// The next stream, once it said what it is. Streams that are not expected are turned down, and those that stay silent are
    /// given up, without showing here. Cancel-safe. Keep calling it: this is what enforces the deadlines.
    ///
    /// # Errors
    /// [`Ended`]: the connection is over, perhaps because the control stream did not come first, or in time.
    pub async fn accept_stream(&mut self) -> Result<Accepted, Ended> {
        loop {
            let link = Arc::clone(&self.handle.link);
            let control_due = self.control_due;
            tokio::select! {
                biased;
                Some(named) = self.unnamed.next() => {
                    if let Some(accepted) = self.admit(named) {
                        return Ok(accepted);
                    }
                }
                opened = link.quic.accept_bi() => {
                    let (send, recv) = opened?;
                    self.unnamed.push(Box::pin(name(send, recv, self.first)));
                }
                () = until(control_due) => return Err(self.end(CloseCode::TooSlow)),
            }
        }
    }

    fn admit(&mut self, named: Named) -> Option<Accepted> {
        let Named { mut send, mut recv, name } = named;
        let first = recv.id().index() == 0;
        let link = &self.handle.link;
        let kind = match name {
            Name::Kind(kind) => kind,
            Name::Bad(code) if first => {
                self.end(code);
                return None;
            }
            Name::Bad(code) => {
                link.count(code);
                turn_down(&mut send, &mut recv, code);
                return None;
            }
            Name::Gone => return None,
        };
        match (kind, first, self.service) {
            (StreamKind::Control, true, service) => {
                self.control_due = None;
                Some(Accepted::Control(FramedStream::new(link, kind, service.ceiling(), send, recv)))
            }
            (StreamKind::Backlog, false, Service::Relay) if !self.backlog => {
                self.backlog = true;
                // The client sends nothing more on it; what it does send is not taken.
                Some(Accepted::Backlog(FramedStream::new(link, kind, self.service.ceiling(), send, recv).sender))
            }
            (StreamKind::Blob, false, Service::Relay) => Some(Accepted::Blob(BlobStream::new(link, send, recv))),
            (_, true, _) => {
                self.end(ErrorCode::Unexpected.into());
                None
            }
            (_, false, _) => {
                link.count(ErrorCode::Unexpected.into());
                turn_down(&mut send, &mut recv, ErrorCode::Unexpected.into());
                None
            }
        }
    }

    fn end(&mut self, code: CloseCode) -> Ended {
        let link = &self.handle.link;
        link.count(code);
        link.close(code);
        self.unnamed.clear();
        self.control_due = None;
        link.ended().unwrap_or(Ended::ClosedHere)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("service", &self.service).finish_non_exhaustive()
    }
}

/// A connection without its streams. Clones are the same connection, and keep it open.
#[derive(Clone)]
pub struct ConnectionHandle {
    link: Arc<Link>,
    source: Source,
    exporter: Exporter,
    draining: watch::Receiver<bool>,
}

impl ConnectionHandle {
    /// What both ends of this connection know and nobody else (spec §11.11.1).
    #[must_use]
    pub fn exporter(&self) -> Exporter {
        self.exporter
    }

    /// Whose connections are counted together.
    #[must_use]
    pub fn source(&self) -> Source {
        self.source
    }

    /// Closes the connection now: what was sent may not arrive.
    pub fn close(&self, code: CloseCode) {
        self.link.count(code);
        self.link.close(code);
    }

    /// Why it is over; none while it is not.
    #[must_use]
    pub fn ended(&self) -> Option<Ended> {
        self.link.ended()
    }

    /// Waits until the connection is over.
    pub async fn closed(&self) -> Ended {
        self.link.quic.closed().await.into()
    }

    /// Waits until the listener drains: say so, finish what is in flight, and close. For ever if the listener is dropped.
    pub async fn draining(&self) {
        if self.draining.clone().wait_for(|draining| *draining).await.is_err() {
            pending::<()>().await;
        }
    }
}

impl fmt::Debug for ConnectionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionHandle").field("ended", &self.ended()).finish_non_exhaustive()
    }
}

/// A stream after its first byte.
struct Named {
    send: SendStream,
    recv: RecvStream,
    name: Name,
}

enum Name {
    Kind(StreamKind),
    Bad(CloseCode),
    /// The client gave it up itself.
    Gone,
}

async fn name(send: SendStream, mut recv: RecvStream, limit: Duration) -> Named {
    let mut byte = [0];
    let name = match timeout(limit, recv.read_exact(&mut byte)).await {
        Err(_) => Name::Bad(CloseCode::TooSlow),
        Ok(Err(quinn::ReadExactError::FinishedEarly(_))) => Name::Bad(ErrorCode::Unexpected.into()),
        Ok(Err(quinn::ReadExactError::ReadError(_))) => Name::Gone,
        Ok(Ok(())) => {
            let [byte] = byte;
            StreamKind::of_byte(byte).map_or(Name::Bad(ErrorCode::Unexpected.into()), Name::Kind)
        }
    };
    Named { send, recv, name }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}
