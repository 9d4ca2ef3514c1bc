//! Whether anything is heard at a client's socket. Implements spec/18-transport.md §18.6.3.
//!
//! QUIC counts its idle time anew from the first packet that is sent into the silence, which a keep-alive is: by itself it would notice
//! a server that is gone only one keep-alive later.
use std::{
    io::{self, IoSliceMut},
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{RecvMeta, Transmit},
};
use tokio::time::Instant;

use crate::alarm::system::Timer;

/// When something was last heard.
#[derive(Debug)]
pub(crate) struct Heard {
    begun: Instant,
    /// Milliseconds since then.
    last: AtomicU64,
    /// When the timer was set; it is moved on by whoever hears something, so that it wakes nobody while something is heard.
    armed: AtomicU64,
    timer: Option<Timer>,
}

impl Heard {
    fn new(timer: Option<Timer>) -> Self {
        if let Some(timer) = &timer {
            timer.arm(SILENCE);
        }
        Self { begun: Instant::now(), last: AtomicU64::new(0), armed: AtomicU64::new(0), timer }
    }

    fn note(&self) {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
        let Some(timer) = &self.timer else { return };
        // Not for each of many datagrams: a second more or less is looked after when it rings.
        if now.saturating_sub(self.armed.load(Ordering::Relaxed)) >= 1_000 {
            self.armed.store(now, Ordering::Relaxed);
            timer.arm(SILENCE);
        }
    }

    /// Waits until nothing was heard for [`SILENCE`].
    pub(crate) async fn silence(&self) {
        loop {
            let left = self.left();
            match &self.timer {
                _ if left.is_zero() => return,
                None => tokio::time::sleep(left).await,
                Some(timer) => {
                    timer.rung().await;
                    // It rang for what was heard up to a second before the last.
                    timer.arm(self.left());
                }
            }
        }
    }

    fn left(&self) -> Duration {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        last.saturating_add(SILENCE).saturating_sub(self.begun.elapsed())
    }
}

/// A socket that notes when something comes.
#[derive(Debug)]
pub(crate) struct Listening {
    socket: Arc<dyn AsyncUdpSocket>,
    heard: Arc<Heard>,
}

impl Listening {
    /// `timer`: none for a socket whose time is not the system's.
    pub(crate) fn on(socket: Arc<dyn AsyncUdpSocket>, timer: Option<Timer>) -> (Arc<Self>, Arc<Heard>) {
        let heard = Arc::new(Heard::new(timer));
        (Arc::new(Self { socket, heard: Arc::clone(&heard) }), heard)
    }
}

impl AsyncUdpSocket for Listening {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.socket).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.socket.try_send(transmit)
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let received = self.socket.poll_recv(context, buffers, meta);
        if matches!(received, Poll::Ready(Ok(_))) {
            self.heard.note();
        }
        received
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.socket.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.socket.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.socket.may_fragment()
    }
}

/// A connection is over after so much of it.
pub(crate) const SILENCE: Duration = Duration::from_secs(30);
