//! A network inside the process that delays, loses, doubles and reorders. For tests, on a paused tokio clock.
//!
//! ```text
//! try_send ─▶ [lost? doubled? how late?] ─▶ sleep ─▶ inbox of the other socket
//! ```
//! What happens to a datagram follows from the seed, from the two addresses, and from how many were sent between them before: it does not
//! change with what others send. Contents are encrypted under real randomness.
use std::{
    collections::{HashMap, HashSet, VecDeque},
    fmt,
    io::{self, IoSliceMut},
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{RecvMeta, Transmit},
};

use crate::{BindError, Machine, Socket, socket::SocketSource};

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

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// Datagrams that somebody sent.
    pub sent: u64,
    /// Copies that were lost by chance.
    pub lost: u64,
    /// Datagrams that arrived twice, or would have.
    pub doubled: u64,
    /// Copies whose way was closed.
    pub closed: u64,
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
        Self(Arc::new(Mutex::new(Hub { seed, ..Hub::default() })))
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
        let mut dice = hub.dice(address, address);
        let seed = std::array::from_fn(|_| dice.roll().to_le_bytes()[0]);
        Ok(Socket::simulated(Arc::new(Port { network: self.clone(), address, inbox }), seed))
    }

    /// A machine of that address: each socket on it has a port of its own, and its time is the runtime's.
    #[must_use]
    pub fn machine(&self, address: IpAddr) -> Machine {
        Machine::simulated(Arc::new(Ports { network: self.clone(), address }))
    }

    /// Nothing reaches or leaves `address` until [`Self::heal`].
    pub fn cut(&self, address: SocketAddr) {
        self.lock().cut.insert(address);
    }

    /// Ends a cut.
    pub fn heal(&self, address: SocketAddr) {
        self.lock().cut.remove(&address);
    }

    /// Nothing goes this way until [`Self::open`] or [`Self::open_all`].
    pub fn close(&self, way: Way) {
        self.lock().closed.insert(way);
    }

    /// What may have been closed is open.
    pub fn open(&self, way: Way) {
        self.lock().closed.remove(&way);
    }

    /// Every way that was closed is open.
    pub fn open_all(&self) {
        self.lock().closed.clear();
    }

    /// A machine's processes end, as by a power cut: its sockets are nobody's from now on, and what they still send goes nowhere.
    pub fn end(&self, machine: IpAddr) {
        self.lock().inboxes.retain(|address, _| address.ip() != machine);
    }

    /// What happened so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.lock().tally
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
        let mut dice = hub.dice(datagram.from, datagram.to);
        let is_doubled = dice.happens(faults.doubled);
        let is_closed = hub.is_closed(datagram);
        let tally = &mut hub.tally;
        tally.sent = tally.sent.saturating_add(1);
        tally.doubled = tally.doubled.saturating_add(is_doubled.into());
        for _ in 0..1_u8.saturating_add(is_doubled.into()) {
            let is_lost = dice.happens(faults.lost);
            hub.tally.lost = hub.tally.lost.saturating_add(is_lost.into());
            hub.tally.closed = hub.tally.closed.saturating_add(is_closed.into());
            if is_lost || is_closed {
                continue;
            }
            let Some(inbox) = hub.inboxes.get(&datagram.to).map(Arc::downgrade) else { continue };
            let late = faults.delay.saturating_add(dice.share(faults.jitter));
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

/// From one machine to another; none: any.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Way {
    /// Who sends.
    pub from: Option<IpAddr>,
    /// Who receives.
    pub to: Option<IpAddr>,
}

#[derive(Debug, Default)]
struct Hub {
    seed: u64,
    faults: Faults,
    inboxes: HashMap<SocketAddr, Arc<Inbox>>,
    cut: HashSet<SocketAddr>,
    closed: HashSet<Way>,
    /// How many datagrams were sent from one address to another.
    sent: HashMap<(SocketAddr, SocketAddr), u64>,
    /// The last port that a machine gave to a socket.
    ports: HashMap<IpAddr, u16>,
    recorded: Option<Vec<Datagram>>,
    tally: Tally,
}

impl Hub {
    /// What falls to the next datagram between two addresses.
    fn dice(&mut self, from: SocketAddr, to: SocketAddr) -> Dice {
        let count = self.sent.entry((from, to)).or_default();
        *count = count.saturating_add(1);
        let mut dice = Dice(self.seed);
        for word in words(from).into_iter().chain(words(to)).chain([*count]) {
            dice.0 = dice.roll() ^ word;
        }
        dice
    }

    fn is_closed(&self, datagram: &Datagram) -> bool {
        let (from, to) = (datagram.from.ip(), datagram.to.ip());
        let ways = [(Some(from), Some(to)), (Some(from), None), (None, Some(to)), (None, None)];
        self.cut.contains(&datagram.from)
            || self.cut.contains(&datagram.to)
            || ways.iter().any(|(from, to)| self.closed.contains(&Way { from: *from, to: *to }))
    }

    fn next_port(&mut self, machine: IpAddr) -> u16 {
        let port = self.ports.entry(machine).or_insert(FIRST_PORT);
        *port = port.checked_add(1).unwrap_or(FIRST_PORT);
        *port
    }
}

/// An address as numbers.
fn words(address: SocketAddr) -> [u64; 3] {
    let bits = match address.ip() {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    };
    let low = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or_default();
    [low(bits >> 64), low(bits), address.port().into()]
}

struct Dice(u64);

impl Dice {
    /// `SplitMix64` (Steele, Lea, Flood 2014): repeatable, and nothing here needs more.
    const fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn happens(&mut self, of_a_thousand: u16) -> bool {
        self.roll().checked_rem(1_000).unwrap_or_default() < u64::from(of_a_thousand)
    }

    fn share(&mut self, of: Duration) -> Duration {
        let micros = u64::try_from(of.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.roll().checked_rem(micros.saturating_add(1)).unwrap_or_default())
    }
}

/// The ports of one machine.
#[derive(Debug)]
struct Ports {
    network: Network,
    address: IpAddr,
}

impl SocketSource for Ports {
    fn socket(&self) -> Result<Socket, BindError> {
        let port = self.network.lock().next_port(self.address);
        self.network.socket(SocketAddr::new(self.address, port))
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
        let is_alive = self.network.lock().inboxes.get(&from).is_some_and(|inbox| Arc::ptr_eq(inbox, &self.inbox));
        if !is_alive {
            return Ok(());
        }
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
/// Where the ports begin that are for anybody (RFC 6335 §6).
const FIRST_PORT: u16 = 49_152;
