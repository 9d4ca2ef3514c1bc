//! A client without a network: its outbox is two queues, and it asks what a test says.
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng as _};
use tokio::{sync::Notify, task::JoinSet};
use waxwing_relay::{
    service::{AdmissionSettings, Clock, Gone, Outbox, Rates, Relay, Session, Settings, Source},
    store::{MemoryStore, Rules, Store},
};
use waxwing_wire::{
    delivery::{DeliveryKey, LaneHash},
    frame::{Admission, ErrorCode, ServerError},
    id::MailboxId,
    keys::CloseCapability,
    pow::Difficulty,
    relay::{
        Ack, AddLane, Authenticate, CreateMailbox, Credential, Delivery, LaneAdded, LaneNumber, NewLane, OwnerKey, Put,
        RelayPush, RelayReply, RelayRequest, Request, RequestId, ServerFrame, Subscribe, Subscribed, Ttl,
    },
    request::Exporter,
    time::Timestamp,
};

use crate::scene::{NOW, delivery, envelope};
use waxwing_wire::padding::EnvelopeSize;

/// A relay under a clock that stands still until it is moved.
pub(super) struct Place<S: Store> {
    pub(super) relay: Relay<S>,
    now: Arc<AtomicU64>,
}

pub(super) fn settings() -> Settings {
    let easy = Difficulty::try_from(8).unwrap();
    let admission = AdmissionSettings { open: true, invites: true, work: Some(easy), strangers: easy };
    Settings { admission, rates: Rates::UNLIMITED, ..Settings::default() }
}

pub(super) fn place() -> Place<MemoryStore> {
    Place::over(MemoryStore::new(Rules::default()), settings())
}

impl<S: Store> Place<S> {
    pub(super) fn over(store: S, settings: Settings) -> Self {
        let now = Arc::new(AtomicU64::new(NOW.0));
        let clock = Arc::clone(&now);
        let clock = Clock::new(move || Timestamp(clock.load(Ordering::Relaxed)));
        let mut rng = ChaCha20Rng::seed_from_u64(7);
        Self { relay: Relay::new(store, settings, clock, &mut rng), now }
    }

    pub(super) fn pass(&self, milliseconds: u64) {
        self.now.fetch_add(milliseconds, Ordering::Relaxed);
    }

    /// A connection with a backlog stream, and room for so many frames on each.
    pub(super) fn connect(&self, room: usize) -> Phone<S> {
        Phone::new(self, Source(0), Arc::new(Desk::new(room, true)))
    }

    /// The same from elsewhere.
    pub(super) fn connect_from(&self, source: u64) -> Phone<S> {
        Phone::new(self, Source(source), Arc::new(Desk::new(usize::MAX, true)))
    }

    pub(super) fn connect_without_backlog(&self, room: usize) -> Phone<S> {
        Phone::new(self, Source(0), Arc::new(Desk::new(room, false)))
    }

    /// A connection that owns a new mailbox with a contacts' lane.
    pub(super) async fn owner(&self, person: u8) -> Phone<S> {
        let mut phone = self.connect(usize::MAX);
        assert_eq!(phone.call(phone.create(person)).await, Ok(RelayReply::Done));
        let reply = phone.call(add_lane(NewLane::Contacts, person, 1)).await;
        assert_eq!(reply, Ok(RelayReply::LaneAdded(LaneAdded { lane: LaneNumber(1) })));
        phone
    }

    /// Another connection of that owner.
    pub(super) async fn back(&self, person: u8, room: usize) -> Phone<S> {
        let mut phone = self.connect(room);
        assert_eq!(phone.call(phone.authenticate(person)).await, Ok(RelayReply::Done));
        phone
    }
}

pub(super) fn key_of(person: u8) -> OwnerKey {
    OwnerKey::from_seed(&[person; 32])
}

pub(super) fn mailbox_of(person: u8) -> MailboxId {
    key_of(person).mailbox()
}

pub(super) fn capability_of(person: u8) -> CloseCapability {
    CloseCapability::from_bytes(&[person ^ 0xff; 32])
}

pub(super) fn add_lane(lane: NewLane, person: u8, key: u8) -> RelayRequest {
    let ends = (lane == NewLane::Introduction).then_some(Timestamp(NOW.0 + 86_400_000));
    RelayRequest::AddLane(AddLane { lane, hash: LaneHash::of(&mailbox_of(person), &[key; 16]), ends })
}

/// Envelope `number` by the key of the contacts' lane.
pub(super) fn put(person: u8, number: u64) -> Put {
    Put {
        mailbox: mailbox_of(person),
        delivery: delivery(number),
        ttl: Ttl::Fortnight,
        by: Credential::Key(DeliveryKey::from_bytes([1; 16])),
        envelope: envelope(number, EnvelopeSize::B2560),
    }
}

pub(super) fn subscribe(after: u64, window: u32) -> RelayRequest {
    RelayRequest::Subscribe(Subscribe { after, window })
}

pub(super) fn ack(up_to: u64, also: &[u64]) -> RelayRequest {
    RelayRequest::Ack(Ack::new(up_to, also.to_vec()).unwrap())
}

/// What an envelope of this module says.
pub(super) fn number_of(delivery: &Delivery) -> u64 {
    u64::from_be_bytes(delivery.envelope.as_bytes()[..8].try_into().unwrap())
}

/// Two queues of frames, as they travel.
#[derive(Debug)]
pub(super) struct Desk {
    queues: Mutex<Queues>,
    room: usize,
    has_backlog: bool,
    taken: Notify,
}

#[derive(Debug, Default)]
struct Queues {
    control: VecDeque<Vec<u8>>,
    backlog: VecDeque<Vec<u8>>,
    gone: bool,
    ended: Option<ErrorCode>,
}

impl Desk {
    fn new(room: usize, has_backlog: bool) -> Self {
        Self { queues: Mutex::default(), room, has_backlog, taken: Notify::new() }
    }

    async fn queue(&self, frame: &ServerFrame, which: fn(&mut Queues) -> &mut VecDeque<Vec<u8>>) -> Result<(), Gone> {
        let bytes = frame.encode().unwrap();
        loop {
            let mut taken = std::pin::pin!(self.taken.notified());
            taken.as_mut().enable();
            {
                let mut queues = self.queues.lock().unwrap();
                if queues.gone {
                    return Err(Gone);
                }
                let queue = which(&mut queues);
                if queue.len() < self.room {
                    queue.push_back(bytes);
                    return Ok(());
                }
            }
            taken.await;
        }
    }

    fn take(&self, which: fn(&mut Queues) -> &mut VecDeque<Vec<u8>>) -> Option<ServerFrame> {
        let bytes = which(&mut self.queues.lock().unwrap()).pop_front()?;
        self.taken.notify_waiters();
        Some(ServerFrame::decode(&bytes).unwrap())
    }
}

impl Outbox for Desk {
    async fn control(&self, frame: &ServerFrame) -> Result<(), Gone> {
        self.queue(frame, |queues| &mut queues.control).await
    }

    async fn backlog(&self, frame: &ServerFrame) -> Result<(), Gone> {
        if self.has_backlog { self.queue(frame, |queues| &mut queues.backlog).await } else { self.control(frame).await }
    }

    async fn pause(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    fn end(&self, code: ErrorCode) {
        self.queues.lock().unwrap().ended.get_or_insert(code);
    }
}

/// One connection.
pub(super) struct Phone<S: Store> {
    pub(super) session: Arc<Session<S, Arc<Desk>>>,
    desk: Arc<Desk>,
    exporter: Exporter,
    requests: JoinSet<()>,
    last: u32,
    /// Replies that came and were not looked at.
    pub(super) replies: HashMap<RequestId, Result<RelayReply, ServerError>>,
    pub(super) control: VecDeque<RelayPush>,
    pub(super) backlog: VecDeque<RelayPush>,
}

impl<S: Store> Phone<S> {
    fn new(place: &Place<S>, source: Source, desk: Arc<Desk>) -> Self {
        static CONNECTIONS: AtomicU64 = AtomicU64::new(1);
        let mut exporter = [0; 32];
        exporter[..8].copy_from_slice(&CONNECTIONS.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        let exporter = Exporter::from_bytes(exporter);
        Self {
            session: place.relay.session(exporter, source, Arc::clone(&desk)),
            desk,
            exporter,
            requests: JoinSet::new(),
            last: 0,
            replies: HashMap::new(),
            control: VecDeque::new(),
            backlog: VecDeque::new(),
        }
    }

    pub(super) fn create(&self, person: u8) -> RelayRequest {
        self.create_by(person, Admission::Open)
    }

    pub(super) fn create_by(&self, person: u8, admission: Admission) -> RelayRequest {
        let key = key_of(person);
        RelayRequest::CreateMailbox(CreateMailbox {
            owner_key: *key.public_key().as_bytes(),
            close_hash: capability_of(person).hash(),
            admission,
            signature: key.prove(&self.exporter),
        })
    }

    pub(super) fn authenticate(&self, person: u8) -> RelayRequest {
        let key = key_of(person);
        RelayRequest::Authenticate(Authenticate { mailbox: key.mailbox(), signature: key.prove(&self.exporter) })
    }

    /// Sends a request, as it travels.
    pub(super) fn ask(&mut self, body: RelayRequest) -> RequestId {
        self.last += 1;
        let id = RequestId::new(self.last).unwrap();
        assert_eq!(self.ask_as(id, body), Ok(()));
        id
    }

    pub(super) fn ask_as(&mut self, id: RequestId, body: RelayRequest) -> Result<(), ErrorCode> {
        let payload = Request { id, body }.encode().unwrap();
        let request = self.session.receive(&payload)?;
        self.requests.spawn(request);
        Ok(())
    }

    /// Sends a request and waits for its reply; whatever else comes is kept.
    pub(super) async fn call(&mut self, body: RelayRequest) -> Result<RelayReply, ServerError> {
        let id = self.ask(body);
        self.reply(id).await
    }

    pub(super) async fn reply(&mut self, id: RequestId) -> Result<RelayReply, ServerError> {
        // A store in a file answers from threads of its own, which a busy machine lets wait.
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            self.take_all();
            if let Some(reply) = self.replies.remove(&id) {
                return reply;
            }
            tokio::task::yield_now().await;
        }
        panic!("request {id:?} is not answered");
    }

    /// Waits until the backlog has ended, and takes what came. For stores in files, which [`Self::settle`] does not wait for.
    pub(super) async fn backlog_ends(&mut self) {
        let begun = Instant::now();
        let ends = |push: &RelayPush| matches!(push, RelayPush::BacklogEnd(_));
        while !self.control.iter().chain(&self.backlog).any(ends) {
            assert!(begun.elapsed() < PATIENCE, "the backlog does not end");
            tokio::task::yield_now().await;
            self.take_all();
        }
    }

    pub(super) async fn code(&mut self, body: RelayRequest) -> ErrorCode {
        self.call(body).await.expect_err("an error").code
    }

    pub(super) async fn subscribe(&mut self, after: u64, window: u32) -> Subscribed {
        match self.call(subscribe(after, window)).await {
            Ok(RelayReply::Subscribed(subscribed)) => subscribed,
            other => panic!("{other:?}"),
        }
    }

    /// Takes what came.
    pub(super) fn take_all(&mut self) {
        while self.take_one() || self.take_backlog() {}
    }

    pub(super) fn take_one(&mut self) -> bool {
        match self.desk.take(|queues| &mut queues.control) {
            Some(ServerFrame::Reply { id, result }) => {
                assert!(self.replies.insert(id, result).is_none(), "one reply for each request");
                true
            }
            Some(ServerFrame::Push(push)) => {
                self.control.push_back(push);
                true
            }
            None => false,
        }
    }

    pub(super) fn take_backlog(&mut self) -> bool {
        match self.desk.take(|queues| &mut queues.backlog) {
            Some(ServerFrame::Push(push)) => {
                self.backlog.push_back(push);
                true
            }
            Some(reply @ ServerFrame::Reply { .. }) => panic!("a reply on the backlog stream: {reply:?}"),
            None => false,
        }
    }

    /// Lets everybody work until nothing moves, and takes what came.
    pub(super) async fn settle(&mut self) {
        for _ in 0..QUIET {
            tokio::task::yield_now().await;
            self.take_all();
        }
    }

    /// What the relay wants the connection ended with.
    pub(super) fn ended(&self) -> Option<ErrorCode> {
        self.desk.queues.lock().unwrap().ended
    }

    /// The numbers of the deliveries on control and on backlog that were not looked at.
    pub(super) fn deliveries(&mut self) -> (Vec<u64>, Vec<u64>) {
        let numbers = |pushes: &mut VecDeque<RelayPush>| {
            let (deliveries, rest): (Vec<_>, Vec<_>) =
                pushes.drain(..).partition(|push| matches!(push, RelayPush::Delivery(_)));
            pushes.extend(rest);
            let number = |push| match push {
                RelayPush::Delivery(delivery) => number_of(&delivery),
                _ => unreachable!(),
            };
            deliveries.into_iter().map(number).collect::<Vec<_>>()
        };
        (numbers(&mut self.control), numbers(&mut self.backlog))
    }
}

impl<S: Store> Drop for Phone<S> {
    fn drop(&mut self) {
        self.desk.queues.lock().unwrap().gone = true;
        self.desk.taken.notify_waiters();
        self.requests.abort_all();
    }
}

/// Rounds after which nothing moves any more: more than any chain of wakes in a test.
const QUIET: u32 = 64;
const PATIENCE: Duration = Duration::from_secs(60);
