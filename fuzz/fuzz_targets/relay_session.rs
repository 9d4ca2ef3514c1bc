#![no_main]
//! Sessions of a relay (spec 17): three connections that send whatever the input says, well-formed or not, in whatever order, with
//! replies that are polled late. Nothing panics, each request has one reply, and what was accepted is there.
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::{Arc, Mutex},
    task::{Context, Waker},
    time::Duration,
};

use libfuzzer_sys::fuzz_target;
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use waxwing_relay::{
    service::{AdmissionSettings, Clock, Gone, Outbox, Rates, Relay, Session, Settings, Source},
    store::{MemoryStore, Quota, Rules, Store},
};
use waxwing_wire::{
    delivery::{DeliveryKey, LaneHash},
    frame::{Admission, ErrorCode},
    id::{DeliveryId, MailboxId, RegisterId},
    keys::CloseCapability,
    padding::{Envelope, EnvelopeHeader, SharedPart},
    pow::Difficulty,
    relay::{
        Ack, AddLane, Authenticate, AwaitRegister, Capability, CloseMailbox, CreateMailbox, CreateRegister, Credential,
        DeleteRegister, EndLane, EntryKind, FanOut, LaneNumber, NewLane, OwnerKey, Put, ReadRegister, Recipients,
        RegisterEntry, RelayReply, RelayRequest, Request, RequestId, RotateLane, ServerFrame, Subscribe, Ttl,
        VerifierKind, VersionHash, WriteRegister,
    },
    request::Exporter,
    time::Timestamp,
};

const NOW: Timestamp = Timestamp(1_800_000_000_000);

/// Takes the input apart; zeros when it is used up.
struct Input<'i>(&'i [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().map_or((0, self.0), |(first, rest)| (*first, rest));
        self.0 = rest;
        first
    }

    fn some(&mut self) -> Vec<u8> {
        let (some, rest) =
            self.0.split_at(usize::from(self.byte()).min(self.0.len().saturating_sub(1)).min(self.0.len()));
        let some = some.to_vec();
        self.0 = rest;
        some
    }
}

/// Where a connection's frames go.
#[derive(Debug, Default)]
struct Desk(Mutex<Vec<ServerFrame>>);

impl Outbox for Desk {
    async fn control(&self, frame: &ServerFrame) -> Result<(), Gone> {
        let bytes = frame.encode().expect("what a session says is encodable");
        self.0.lock().unwrap().push(ServerFrame::decode(&bytes).expect("and decodable"));
        Ok(())
    }

    async fn backlog(&self, frame: &ServerFrame) -> Result<(), Gone> {
        self.control(frame).await
    }

    async fn pause(&self, _: Duration) {
        std::future::pending().await
    }

    fn end(&self, _: ErrorCode) {}
}

struct Phone {
    session: Arc<Session<MemoryStore, Arc<Desk>>>,
    desk: Arc<Desk>,
    exporter: Exporter,
    requests: Vec<Pin<Box<dyn Future<Output = ()>>>>,
    asked: BTreeSet<u32>,
    last: u32,
    ended: bool,
}

impl Phone {
    fn new(relay: &Relay<MemoryStore>, number: u8) -> Self {
        let (exporter, desk) = (Exporter::from_bytes([number; 32]), Arc::new(Desk::default()));
        let session = relay.session(Exporter::from_bytes([number; 32]), Source(number.into()), Arc::clone(&desk));
        Self { session, desk, exporter, requests: Vec::new(), asked: BTreeSet::new(), last: 0, ended: false }
    }

    fn poll(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..4 {
            self.requests.retain_mut(|request| request.as_mut().poll(&mut context).is_pending());
        }
    }
}

/// What a put's reply says is remembered.
type Accepted = BTreeMap<MailboxId, BTreeSet<DeliveryId>>;

fn owner(number: u8) -> OwnerKey {
    OwnerKey::from_seed(&[number % 3 + 1; 32])
}

fn mailbox(number: u8) -> MailboxId {
    owner(number).mailbox()
}

fn request(input: &mut Input<'_>, exporter: &Exporter) -> RelayRequest {
    let (kind, person, detail) = (input.byte(), input.byte(), input.byte());
    let capability = |byte: u8| Capability::from_bytes([byte % 4; 32]);
    let register = RegisterId::from_bytes([person % 2; 16]);
    let key = owner(person);
    match kind % 17 {
        0 => RelayRequest::CreateMailbox(CreateMailbox {
            owner_key: *key.public_key().as_bytes(),
            close_hash: CloseCapability::from_bytes(&[detail % 2; 32]).hash(),
            admission: Admission::Open,
            signature: key.prove(exporter),
        }),
        1 => RelayRequest::Authenticate(Authenticate { mailbox: mailbox(detail), signature: key.prove(exporter) }),
        2 => {
            let lane =
                [NewLane::Contacts, NewLane::Groups, NewLane::Own, NewLane::Introduction][usize::from(detail % 4)];
            let ends = (lane == NewLane::Introduction).then_some(Timestamp(NOW.0 + 1_000));
            RelayRequest::AddLane(AddLane { lane, hash: LaneHash::of(&mailbox(person), &[detail % 5; 16]), ends })
        }
        3 => RelayRequest::RotateLane(RotateLane {
            lane: LaneNumber(u32::from(person % 6)),
            hash: LaneHash::of(&mailbox(detail), &[detail % 5; 16]),
            old_ends: Timestamp(NOW.0 + u64::from(detail)),
        }),
        4 => RelayRequest::EndLane(EndLane {
            lane: LaneNumber(u32::from(person % 6)),
            ends: Timestamp(NOW.0 + u64::from(detail)),
        }),
        5 | 6 => RelayRequest::Put(Put {
            mailbox: mailbox(person),
            delivery: DeliveryId::from_bytes([detail; 16]),
            ttl: [Ttl::Fortnight, Ttl::Day, Ttl::OnlineOnly][usize::from(kind % 3)],
            by: Credential::Key(DeliveryKey::from_bytes([input.byte() % 5; 16])),
            envelope: Envelope::new(vec![input.byte() % 2; 2_560]).unwrap(),
        }),
        7 => {
            let header = EnvelopeHeader::from_bytes([detail % 2; 48]);
            let all =
                (0..=person % 3).map(|number| (mailbox(number), DeliveryKey::from_bytes([detail % 5; 16]), header));
            RelayRequest::FanOut(FanOut {
                delivery: DeliveryId::from_bytes([detail; 16]),
                ttl: [Ttl::Fortnight, Ttl::Day, Ttl::OnlineOnly][usize::from(person % 3)],
                shared: SharedPart::new(vec![0; 2_560 - 48]).unwrap(),
                recipients: Recipients::new(all.collect()).unwrap(),
            })
        }
        8 => RelayRequest::Subscribe(Subscribe { after: u64::from(person), window: u32::from(detail) }),
        9 => match Ack::new(u64::from(person), if detail > person { vec![u64::from(detail)] } else { vec![] }) {
            Some(ack) => RelayRequest::Ack(ack),
            None => RelayRequest::Info,
        },
        10 => RelayRequest::CloseMailbox(CloseMailbox {
            mailbox: mailbox(person),
            capability: CloseCapability::from_bytes(&[detail % 3; 32]),
        }),
        11 => RelayRequest::DeleteMailbox,
        12 => RelayRequest::CreateRegister(CreateRegister {
            register,
            write_verifier: capability(1).verifier(VerifierKind::WriteRegister, register.as_bytes()),
            read_verifier: capability(2).verifier(VerifierKind::ReadRegister, register.as_bytes()),
            seal_verifier: capability(3).verifier(VerifierKind::SealRegister, register.as_bytes()),
            admission: if detail % 2 == 0 { Admission::Open } else { Admission::Owner },
            snapshot: vec![0; 4_096],
        }),
        13 => {
            let first = RegisterEntry::new(EntryKind::Snapshot, vec![0; 4_096]).unwrap();
            let kind = [EntryKind::Change, EntryKind::Snapshot, EntryKind::Last][usize::from(detail % 3)];
            RelayRequest::WriteRegister(WriteRegister {
                register,
                capability: capability(detail),
                version: u64::from(detail % 3),
                hash: VersionHash::NONE.next(&register, 1, &first),
                entry: RegisterEntry::new(kind, vec![detail; 4_096]).unwrap(),
            })
        }
        14 => RelayRequest::ReadRegister(ReadRegister { register, capability: capability(2), from: u64::from(detail) }),
        15 => RelayRequest::AwaitRegister(AwaitRegister {
            register,
            capability: capability(detail),
            after: u64::from(detail % 3),
            patience: 60_000,
        }),
        _ => RelayRequest::DeleteRegister(DeleteRegister { register, capability: capability(detail) }),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let easy = Difficulty::try_from(0_u32).unwrap_or(Difficulty::DEFAULT);
    let admission = AdmissionSettings { open: true, invites: true, work: Some(easy), strangers: easy };
    let settings = Settings { admission, rates: Rates::UNLIMITED, ..Settings::default() };
    let rules = Rules { quota: Quota { bytes: 1 << 20, envelopes: 40 }, ..Rules::default() };
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let relay = Relay::new(MemoryStore::new(rules), settings, Clock::new(|| NOW), &mut rng);
    let mut phones: Vec<_> = (0..3).map(|number| Phone::new(&relay, number)).collect();
    let (mut accepted, puts) = (Accepted::new(), Rc::new(RefCell::new(BTreeMap::new())));
    // What an owner may have ended or acked is not looked for.
    let mut touched = BTreeSet::new();
    let mut input = Input(bytes);
    while !input.0.is_empty() {
        let at = input.byte();
        let who = usize::from(at % 3);
        let phone = &mut phones[who];
        if phone.ended {
            *phone = Phone::new(&relay, at % 3);
            // Its numbers begin anew; what the one before was told is counted, what it was not is not.
            puts.borrow_mut().retain(|(whose, _), _| *whose != who);
        }
        let outcome = if at & 0x80 != 0 {
            phone.session.receive(&input.some()).map(|request| Box::pin(request) as Pin<Box<dyn Future<Output = ()>>>)
        } else {
            let body = request(&mut input, &phone.exporter);
            phone.last += 1;
            let id = RequestId::new(phone.last).unwrap();
            match &body {
                RelayRequest::Put(put) if put.ttl != Ttl::OnlineOnly => {
                    puts.borrow_mut().insert((who, phone.last), (put.mailbox, put.delivery));
                }
                RelayRequest::Ack(_) | RelayRequest::CloseMailbox(_) | RelayRequest::DeleteMailbox => {
                    touched.extend((0..3).map(mailbox));
                }
                _ => {}
            }
            phone.asked.insert(phone.last);
            let session = Arc::clone(&phone.session);
            session.handle(Request { id, body }).map(|request| Box::pin(request) as Pin<Box<dyn Future<Output = ()>>>)
        };
        match outcome {
            Ok(request) => phone.requests.push(request),
            Err(_) => phone.ended = true,
        }
        // Sometimes nobody looks for a while.
        if at & 0x40 == 0 {
            phones.iter_mut().for_each(Phone::poll);
        }
        for (who, phone) in phones.iter_mut().enumerate() {
            for frame in std::mem::take(&mut *phone.desk.0.lock().unwrap()) {
                let ServerFrame::Reply { id, result } = frame else { continue };
                let Some(number) = (1..=phone.last).find(|number| RequestId::new(*number) == Some(id)) else {
                    continue;
                };
                // Raw requests choose their own ids; ours are answered once.
                let ours = phone.asked.remove(&number);
                if let (true, Ok(RelayReply::Done), Some((mailbox, delivery))) =
                    (ours, &result, puts.borrow_mut().remove(&(who, number)))
                {
                    accepted.entry(mailbox).or_default().insert(delivery);
                }
            }
        }
    }
    for (mailbox, deliveries) in accepted {
        if touched.contains(&mailbox) {
            continue;
        }
        let mut state = std::pin::pin!(relay.store().state(&mailbox, NOW));
        let mut context = Context::from_waker(Waker::noop());
        if let std::task::Poll::Ready(state) = state.as_mut().poll(&mut context) {
            let state = state.expect("a mailbox that nobody ended is there");
            let count = usize::try_from(state.envelopes).unwrap();
            assert!(count >= deliveries.len(), "accepted {} and has {count}", deliveries.len());
        }
    }
});
