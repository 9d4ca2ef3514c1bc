//! A network inside the process that delays, loses, doubles and reorders. For tests, on a paused tokio clock.
//!
//! ```text
//! try_send ─▶ [lost? doubled? how late?] ─▶ sleep ─▶ inbox of the other socket
//! ```
//! The faults follow from the seed and from the order of sends; contents are encrypted under real randomness.
use std::{
    collections::{HashMap, HashSet, VecDeque},
    fmt,
    io::{self, IoSliceMut},
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{RecvMeta, Transmit},
};

use crate::{BindError, Socket};

/// Datagrams travel between the sockets of one network only.
#[derive(Clone, Debug)]
pub struct Network(Arc<Mutex<Hub>>);

/// What goes wrong. The default is nothing, in 10 ms each way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Faults {
    /// Of 1,000 datagrams, how many are lost.
    pub lost: u16,
    /// Of 1,000 datagrams, how many arrive twice.
    pub doubled: u16,
    /// How long a datagram travels at least.
    pub delay: Duration,
    /// How much longer at most; what is more than the time between two datagrams reorders them.
    pub jitter: Duration,
}

impl Default for Faults {
    fn default() -> Self {
        Self { lost: 0, doubled: 0, delay: Duration::from_millis(10), jitter: Duration::ZERO }
    }
}

/// One datagram on its way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Datagram {
    /// Sender; nobody checks it.
    pub from: SocketAddr,
    /// Receiver.
    pub to: SocketAddr,
    /// Its content.
    pub bytes: Vec<u8>,
}

impl Network {
    /// A network without faults.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Hub { random: seed, ..Hub::default() })))
    }

    /// What goes wrong from now on.
    pub fn set(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    /// A socket at `address`, which must not be in use.
    ///
    /// # Errors
    /// [`BindError::Address`].
    pub fn socket(&self, address: SocketAddr) -> Result<Socket, BindError> {
        let mut hub = self.lock();
        let in_use = hub.inboxes.get(&address).is_some_and(|inbox| Arc::strong_count(inbox) > 1);
        if in_use {
            return Err(io::Error::from(io::ErrorKind::AddrInUse).into());
        }
        let inbox = Arc::new(Inbox::default());
        hub.inboxes.insert(address, Arc::clone(&inbox));
        Ok(Socket::simulated(Arc::new(Port { network: self.clone(), address, inbox })))
    }

    /// Nothing reaches or leaves `address` until [`Self::heal`].
    pub fn cut(&self, address: SocketAddr) {
        self.lock().cut.insert(address);
    }

    /// Ends a cut.
    pub fn heal(&self, address: SocketAddr) {
        self.lock().cut.remove(&address);
    }

    /// Keeps a copy of everything that is sent from now on.
    pub fn record(&self) {
        self.lock().recorded = Some(Vec::new());
    }

    /// What was sent since [`Self::record`]; recording goes on.
    #[must_use]
    pub fn recorded(&self) -> Vec<Datagram> {
        self.lock().recorded.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Sends a datagram that need not be from whom it says. From within a tokio runtime.
    pub fn inject(&self, datagram: &Datagram) {
        let mut hub = self.lock();
        if let Some(recorded) = &mut hub.recorded {
            recorded.push(datagram.clone());
        }
        let faults = hub.faults;
        let copies = 1_u8.saturating_add(hub.happens(faults.doubled).into());
        for _ in 0..copies {
            if hub.happens(faults.lost) || hub.cut.contains(&datagram.from) || hub.cut.contains(&datagram.to) {
                continue;
            }
            let Some(inbox) = hub.inboxes.get(&datagram.to).map(Arc::downgrade) else { continue };
            let late = faults.delay.saturating_add(hub.share(faults.jitter));
            let datagram = datagram.clone();
            tokio::spawn(async move {
                tokio::time::sleep(late).await;
                if let Some(inbox) = inbox.upgrade() {
                    inbox.put(datagram);
                }
            });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Hub> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Hub {
    random: u64,
    faults: Faults,
    inboxes: HashMap<SocketAddr, Arc<Inbox>>,
    cut: HashSet<SocketAddr>,
    recorded: Option<Vec<Datagram>>,
}

impl Hub {
    /// `SplitMix64` (Steele, Lea, Flood 2014): repeatable, and nothing here needs more.
    const fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn happens(&mut self, of_a_thousand: u16) -> bool {
        self.random().checked_rem(1_000).unwrap_or_default() < u64::from(of_a_thousand)
    }

    fn share(&mut self, of: Duration) -> Duration {
        let micros = u64::try_from(of.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.random().checked_rem(micros.saturating_add(1)).unwrap_or_default())
    }
}

#[derive(Debug, Default)]
struct Inbox(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    datagrams: VecDeque<Datagram>,
    reader: Option<Waker>,
}

impl Inbox {
    fn put(&self, datagram: Datagram) {
        let mut waiting = self.lock();
        // As a socket buffer would: what does not fit is lost.
        if waiting.datagrams.len() < INBOX {
            waiting.datagrams.push_back(datagram);
        }
        if let Some(reader) = waiting.reader.take() {
            reader.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One end.
struct Port {
    network: Network,
    address: SocketAddr,
    inbox: Arc<Inbox>,
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port").field("address", &self.address).finish_non_exhaustive()
    }
}

impl AsyncUdpSocket for Port {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let (from, to) = (self.address, transmit.destination);
        self.network.inject(&Datagram { from, to, bytes: transmit.contents.to_vec() });
        Ok(())
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut waiting = self.inbox.lock();
        let mut count: usize = 0;
        for (buffer, meta) in buffers.iter_mut().zip(metas) {
            let Some(datagram) = waiting.datagrams.pop_front() else { break };
            let length = datagram.bytes.len().min(buffer.len());
            if let (Some(there), Some(here)) = (buffer.get_mut(..length), datagram.bytes.get(..length)) {
                there.copy_from_slice(here);
            }
            *meta = RecvMeta { addr: datagram.from, len: length, stride: length, ecn: None, dst_ip: None };
            count = count.saturating_add(1);
        }
        if count == 0 {
            waiting.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(count))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Datagrams that wait at a socket.
const INBOX: usize = 4_096;
