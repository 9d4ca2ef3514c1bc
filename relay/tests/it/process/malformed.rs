//! Spec §13.3.3 and §17.17: whatever is malformed ends that stream with its code, is counted, and disturbs nobody else.
use std::{net::SocketAddr, sync::Arc, time::Duration};

use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng as _};
use tokio::{sync::oneshot, task::JoinHandle};
use waxwing_net::{
    Client, ClientConnection, CloseCode, Drained, Ended, FramedStream, Limits, Listener, ListenerConfig, Service,
    StreamError, Trust,
};
use waxwing_relay::{
    server,
    service::{AdmissionSettings, Clock, Relay, Settings},
    store::{MemoryStore, Rules},
};
use waxwing_wire::{
    address::ServerAddress,
    delivery::DeliveryKey,
    frame::ErrorCode,
    id::{BlobId, MailboxId},
    keys::ServerKey,
    padding::{Envelope, EnvelopeSize},
    relay::{
        Capability, Credential, Put, RelayReply, RelayRequest, Request, RequestId, ServerFrame, TransferBlob, Ttl,
    },
};

use super::people::{Person, client, connect};
use crate::scene::{NOW, delivery, envelope};

/// A relay in this process, in memory.
pub(super) struct Here {
    pub(super) address: ServerAddress,
    pub(super) relay: Relay<MemoryStore>,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<Drained>,
    pub(super) listener: Arc<Listener>,
}

impl Here {
    fn start() -> Self {
        Self::start_with(Limits::default())
    }

    pub(super) fn start_with(limits: Limits) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(3);
        let key = ServerKey::generate(&mut rng);
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let config = ListenerConfig { limits, ..ListenerConfig::new(Service::Relay) };
        let listener = Arc::new(Listener::bind(anywhere, &key, config).unwrap());
        let host = listener.local_address().to_string().parse().unwrap();
        let address = ServerAddress::new(*listener.key(), vec![host]).unwrap();
        let admission = AdmissionSettings { open: true, ..AdmissionSettings::default() };
        let settings = Settings { admission, ..Settings::default() };
        let relay = Relay::new(MemoryStore::new(Rules::default()), settings, Clock::new(|| NOW), &mut rng);
        let (stop, stopping) = oneshot::channel::<()>();
        let (serving, served) = (relay.clone(), Arc::clone(&listener));
        let serving = tokio::spawn(async move {
            let stop = async move { drop(stopping.await) };
            server::serve(&served, &serving, stop, Duration::from_secs(5)).await
        });
        Self { address, relay, stop: Some(stop), serving, listener }
    }

    async fn stop(mut self) -> Drained {
        drop(self.stop.take());
        self.serving.await.unwrap()
    }

    fn malformed(&self) -> u64 {
        self.relay.counters().failed().find(|(code, _)| *code == ErrorCode::Malformed).unwrap().1
    }
}

async fn bare(client: &Client, here: &Here) -> (ClientConnection, FramedStream) {
    let connection = client.connect(&here.address, Service::Relay, Trust::Configured).await.unwrap();
    let control = connection.control().await.unwrap();
    (connection, control)
}

/// The encoding of a put, with one byte of its envelope less at every level.
fn put_of_another_size() -> Vec<u8> {
    let put = Put {
        mailbox: MailboxId::from_bytes([1; 16]),
        delivery: delivery(1),
        ttl: Ttl::Day,
        by: Credential::Key(DeliveryKey::from_bytes([1; 16])),
        envelope: envelope(1, EnvelopeSize::B4096),
    };
    let whole = Request { id: RequestId::new(1).unwrap(), body: RelayRequest::Put(put) }.encode().unwrap();
    let mut short = Vec::new();
    let mut rest = &whole[..];
    // request, then put: the last field of each is the next level, and that of a put is its envelope.
    for _ in 0..2 {
        let (before, content) = split_at_last_field(rest);
        short.extend_from_slice(&before);
        rest = content;
    }
    short.extend_from_slice(&rest[1..]);
    short
}

/// What stands before the content of the last field, its length less one; and that content.
fn split_at_last_field(message: &[u8]) -> (Vec<u8>, &[u8]) {
    let (mut at, mut found) = (0, None);
    while at < message.len() {
        let (key, length_at) = varint(message, at);
        if key & 7 == 0 {
            at = varint(message, length_at).1;
            continue;
        }
        assert_eq!(key & 7, 2, "lengths and numbers");
        let (length, content) = varint(message, length_at);
        found = Some((length_at, content, length));
        at = content + length as usize;
    }
    let (length_at, content, length) = found.unwrap();
    let mut before = message[..length_at].to_vec();
    let mut left = length - 1;
    while left >= 0x80 {
        before.push(left as u8 | 0x80);
        left >>= 7;
    }
    before.push(left as u8);
    (before, &message[content..])
}

fn varint(bytes: &[u8], mut at: usize) -> (u64, usize) {
    let (mut value, mut shift) = (0, 0);
    loop {
        value |= u64::from(bytes[at] & 0x7f) << shift;
        at += 1;
        if bytes[at - 1] & 0x80 == 0 {
            return (value, at);
        }
        shift += 7;
    }
}

#[test]
fn an_envelope_of_another_size_does_not_exist() {
    assert!(Envelope::new(vec![0; 4_095]).is_err());
    assert!(Request::decode(&put_of_another_size()).is_err());
}

#[tokio::test]
async fn what_is_malformed_ends_its_connection_with_the_code_and_nobody_elses() {
    let here = Here::start();
    let client = client();
    let honest = connect(&client, &here.address).await;
    let alice = Person::new(1);
    alice.create(&honest).await;
    let info = |number| Request { id: RequestId::new(number).unwrap(), body: RelayRequest::Info }.encode().unwrap();
    let mut id_0 = info(1);
    let at = id_0.iter().position(|byte| *byte == 1).unwrap();
    id_0.remove(at);
    let reply = ServerFrame::Reply { id: RequestId::new(1).unwrap(), result: Ok(RelayReply::Done) }.encode().unwrap();
    let cases = [b"nonsense".to_vec(), vec![0xff; 1_000], id_0, reply, put_of_another_size()];
    for (number, payload) in cases.iter().enumerate() {
        let (connection, FramedStream { mut reader, sender }) = bare(&client, &here).await;
        sender.send(payload).await.unwrap();
        let closed = Ended::ClosedByPeer(CloseCode::Error(ErrorCode::Malformed));
        assert_eq!(connection.closed().await, closed, "case {number}");
        assert!(matches!(reader.next().await, Err(StreamError::Ended(ended)) if ended == closed));
        assert_eq!(here.malformed(), u64::try_from(number).unwrap() + 1, "it is counted");
        assert_eq!(honest.request(alice.put(u64::try_from(number).unwrap())).await, Ok(RelayReply::Done));
    }
    assert_eq!(honest.request(RelayRequest::MailboxState).await.map(|_| ()), Ok(()), "and is still the owner");
}

#[tokio::test]
async fn an_id_that_is_in_flight_ends_its_connection() {
    let here = Here::start();
    let client = client();
    let (connection, FramedStream { reader: _reader, sender }) = bare(&client, &here).await;
    // One write, so that both are read at once and the first has no answer yet.
    let info = Request { id: RequestId::new(1).unwrap(), body: RelayRequest::Info }.encode().unwrap();
    let (one, two) = tokio::join!(sender.send(&info), sender.send(&info));
    assert!(one.is_ok() && two.is_ok());
    assert_eq!(connection.closed().await, Ended::ClosedByPeer(CloseCode::Error(ErrorCode::Malformed)));
}

#[tokio::test]
async fn a_blob_stream_is_answered_and_a_malformed_one_ends_alone() {
    let here = Here::start();
    let client = client();
    let connection = connect(&client, &here.address).await;
    let (blob, capability) = (BlobId::from_bytes([1; 16]), Capability::from_bytes([2; 32]));
    let read = RelayRequest::ReadBlob(TransferBlob { blob, capability, first: 0, count: 1 });
    let mut transfer = connection.blob(read).await.unwrap();
    let refused = transfer.state().await.expect_err("it is absent");
    assert_eq!(refused, waxwing_net::RequestError::Server(ErrorCode::Refused.into()));
    let (bare, _control) = bare(&client, &here).await;
    let mut stream = bare.blob().await.unwrap();
    stream.write_frame(b"nonsense").await.unwrap();
    assert_eq!(stream.read_frame().await, Err(StreamError::Reset(CloseCode::Error(ErrorCode::Malformed))));
    assert_eq!(bare.ended(), None, "the connection goes on");
    assert!(connection.request(RelayRequest::Info).await.is_ok());
}

#[tokio::test]
async fn a_server_that_stops_lets_everybody_go() {
    let here = Here::start();
    let client = client();
    let connection = connect(&client, &here.address).await;
    assert!(connection.request(RelayRequest::Info).await.is_ok());
    assert_eq!(here.listener.counts().connected, 1);
    assert_eq!(here.stop().await, Drained::Clean);
    assert_eq!(connection.closed().await, Ended::ClosedByPeer(CloseCode::Error(ErrorCode::Draining)));
}
