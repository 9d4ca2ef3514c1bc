//! Requests to a relay and its pushes (spec §18.10), against servers that are played here.
use std::{collections::HashSet, time::Duration};

use tokio::time::{sleep, timeout};
use waxwing_net::{
    Accepted, Client, ClientConfig, CloseCode, Connection, Ended, FramedStream, Listener, ListenerConfig, Pushes,
    RelayConnection, RequestError, Service, simulation::Network,
};
use waxwing_wire::{
    frame::{ErrorCode, ServerError},
    id::DeliveryId,
    padding::Envelope,
    relay::{
        BacklogEnd, Delivery, GoingAway, LaneNumber, RelayPush, RelayReply, RelayRequest, Request, RequestId, Sequence,
        ServerFrame, Subscribed,
    },
};

use crate::world::{TRUST, client_on, control, listen_on};

struct World {
    _network: Network,
    _listener: Listener,
    _client: Client,
    relay: RelayConnection,
    there: Connection,
    stream: FramedStream,
}

async fn world(config: ClientConfig) -> World {
    let network = Network::new(1);
    let (listener, address) = listen_on(&network, ListenerConfig::new(Service::Relay));
    let client = client_on(&network, 1, config);
    let relay = client.relay(&address, TRUST).await.unwrap();
    let mut there = listener.accept().await.unwrap();
    let stream = control(&mut there).await;
    World { _network: network, _listener: listener, _client: client, relay, there, stream }
}

async fn request(stream: &mut FramedStream) -> Request {
    Request::decode(&stream.reader.next().await.unwrap().unwrap()).unwrap()
}

async fn reply(stream: &FramedStream, id: RequestId, result: Result<RelayReply, ServerError>) {
    stream.sender.send(&ServerFrame::Reply { id, result }.encode().unwrap()).await.unwrap();
}

async fn push(stream: &FramedStream, push: RelayPush) {
    stream.sender.send(&ServerFrame::Push(push).encode().unwrap()).await.unwrap();
}

fn delivery(sequence: u64, length: usize) -> RelayPush {
    RelayPush::Delivery(Delivery {
        sequence: Sequence(sequence),
        lane: LaneNumber(1),
        delivery: DeliveryId::from_bytes([7; 16]),
        envelope: Envelope::new(vec![7; length]).unwrap(),
    })
}

/// A number that comes back, so that a reply can be matched with what was asked.
fn subscribed(newest: u64) -> RelayReply {
    RelayReply::Subscribed(Subscribed { newest, waiting: 0 })
}

#[tokio::test(start_paused = true)]
async fn replies_find_their_requests_in_whatever_order_they_come() {
    let mut world = world(ClientConfig::default()).await;
    let mut pending = Vec::new();
    for after in 0..100 {
        let request = RelayRequest::Subscribe(waxwing_wire::relay::Subscribe { after, window: 1 });
        pending.push((after, world.relay.submit(request).await.unwrap()));
    }
    let mut asked = Vec::new();
    for _ in 0..100 {
        asked.push(request(&mut world.stream).await);
    }
    let ids: HashSet<_> = asked.iter().map(|request| request.id).collect();
    assert_eq!(ids.len(), 100, "no id twice in flight");
    for asked in asked.into_iter().rev() {
        let RelayRequest::Subscribe(subscribe) = asked.body else { panic!() };
        let result = match subscribe.after % 3 {
            0 => Err(ErrorCode::Refused.into()),
            _ => Ok(subscribed(subscribe.after)),
        };
        reply(&world.stream, asked.id, result).await;
    }
    for (after, pending) in pending {
        let expected = match after % 3 {
            0 => Err(RequestError::Server(ErrorCode::Refused.into())),
            _ => Ok(subscribed(after)),
        };
        assert_eq!(pending.await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_are_in_flight_than_allowed_and_a_dropped_asker_keeps_its_place_until_the_answer() {
    let mut world = world(ClientConfig { in_flight: 3, ..ClientConfig::default() }).await;
    let mut pending = Vec::new();
    for _ in 0..3 {
        pending.push(world.relay.submit(RelayRequest::Info).await.unwrap());
    }
    let patience = Duration::from_secs(5);
    assert!(timeout(patience, world.relay.submit(RelayRequest::Info)).await.is_err());
    // Nobody waits any more; at the relay they are still in flight.
    drop(pending);
    assert!(timeout(patience, world.relay.submit(RelayRequest::Info)).await.is_err());
    let first = request(&mut world.stream).await;
    reply(&world.stream, first.id, Ok(RelayReply::Done)).await;
    let fourth = timeout(patience, world.relay.submit(RelayRequest::MailboxState)).await.unwrap().unwrap();
    let mut ids = vec![first.id];
    loop {
        let Request { id, body } = request(&mut world.stream).await;
        assert!(!ids.contains(&id));
        ids.push(id);
        if body == RelayRequest::MailboxState {
            reply(&world.stream, id, Ok(RelayReply::Done)).await;
            break;
        }
    }
    assert_eq!(ids.len(), 4, "what waited and was dropped was never sent");
    assert_eq!(fourth.await, Ok(RelayReply::Done));
}

#[tokio::test(start_paused = true)]
async fn when_the_connection_ends_everybody_who_waits_is_told_why() {
    for (code, expected) in [
        (CloseCode::Error(ErrorCode::Draining), Ended::ClosedByPeer(CloseCode::Error(ErrorCode::Draining))),
        (CloseCode::Done, Ended::ClosedByPeer(CloseCode::Done)),
    ] {
        let world = world(ClientConfig { in_flight: 2, ..ClientConfig::default() }).await;
        let World { relay, there, stream, .. } = world;
        let relay = std::sync::Arc::new(relay);
        let mut asking = Vec::new();
        // Two in flight and one that waits for its turn.
        for _ in 0..3 {
            let relay = std::sync::Arc::clone(&relay);
            asking.push(tokio::spawn(async move { relay.request(RelayRequest::Info).await }));
        }
        let mut pushes = relay.pushes().await.unwrap();
        sleep(Duration::from_secs(1)).await;
        there.handle().close(code);
        drop((there, stream));
        for asking in asking {
            assert_eq!(asking.await.unwrap(), Err(RequestError::Ended(expected)));
        }
        assert_eq!(pushes.next().await, None);
        assert_eq!(relay.closed().await, expected);
        assert_eq!(relay.request(RelayRequest::Info).await, Err(RequestError::Ended(expected)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_is_gone_is_an_error_and_not_a_wait() {
    let world = world(ClientConfig::default()).await;
    let pending = world.relay.submit(RelayRequest::Info).await.unwrap();
    world._network.cut(([10, 0, 0, 1], 443).into());
    assert_eq!(pending.await, Err(RequestError::Ended(Ended::TimedOut)));
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_breaks_the_protocol_is_left_with_the_code_that_says_so() {
    let stray = |id| ServerFrame::Reply { id, result: Ok(RelayReply::Done) }.encode().unwrap();
    for payload in [vec![0xff], b"nonsense".to_vec(), stray(RequestId::new(99).unwrap())] {
        let world = world(ClientConfig::default()).await;
        let pending = world.relay.submit(RelayRequest::Info).await.unwrap();
        world.stream.sender.send(&payload).await.unwrap();
        assert_eq!(pending.await, Err(RequestError::Protocol), "{payload:?}");
        let closed = world.there.handle().closed().await;
        assert_eq!(closed, Ended::ClosedByPeer(CloseCode::Error(ErrorCode::Malformed)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_answer_to_one_request_is_a_break_too() {
    let mut world = world(ClientConfig::default()).await;
    let pending = world.relay.submit(RelayRequest::Info).await.unwrap();
    let asked = request(&mut world.stream).await;
    reply(&world.stream, asked.id, Ok(RelayReply::Done)).await;
    reply(&world.stream, asked.id, Ok(RelayReply::Done)).await;
    assert_eq!(pending.await, Ok(RelayReply::Done));
    world.there.handle().closed().await;
    assert_eq!(world.relay.request(RelayRequest::Info).await, Err(RequestError::Protocol));
}

#[tokio::test(start_paused = true)]
async fn pushes_come_in_order_and_replies_pass_between_them() {
    let mut world = world(ClientConfig::default()).await;
    let mut pushes = world.relay.pushes().await.unwrap();
    assert!(world.relay.pushes().await.is_none(), "once");
    let pending = world.relay.submit(RelayRequest::MailboxState).await.unwrap();
    let asked = request(&mut world.stream).await;
    push(&world.stream, delivery(1, 2_560)).await;
    reply(&world.stream, asked.id, Ok(subscribed(9))).await;
    push(&world.stream, delivery(2, 65_536)).await;
    push(&world.stream, RelayPush::BacklogEnd(BacklogEnd { sequence: 2 })).await;
    assert_eq!(pending.await, Ok(subscribed(9)));
    assert_eq!(pushes.next().await, Some(delivery(1, 2_560)));
    assert_eq!(pushes.next().await, Some(delivery(2, 65_536)));
    assert_eq!(pushes.next().await, Some(RelayPush::BacklogEnd(BacklogEnd { sequence: 2 })));
    assert_eq!(pushes.try_next(), None);
}

async fn take_all(mut pushes: Pushes, count: u64) {
    for sequence in 1..=count {
        assert_eq!(pushes.next().await, Some(delivery(sequence, 65_536)));
    }
}

#[tokio::test(start_paused = true)]
async fn pushes_that_nobody_takes_are_bounded_and_reading_goes_on_when_somebody_does() {
    const COUNT: u64 = 100;
    let mut world = world(ClientConfig { pushes: 1 << 20, ..ClientConfig::default() }).await;
    let pushes = world.relay.pushes().await.unwrap();
    let pending = world.relay.submit(RelayRequest::Info).await.unwrap();
    let asked = request(&mut world.stream).await;
    let stream = world.stream;
    let pushing = tokio::spawn(async move {
        for sequence in 1..=COUNT {
            push(&stream, delivery(sequence, 65_536)).await;
        }
        reply(&stream, asked.id, Ok(RelayReply::Done)).await;
        stream
    });
    sleep(Duration::from_secs(10)).await;
    assert!(!pushing.is_finished(), "6.5 MiB do not fit into a queue of 1 MiB and the windows");
    let taking = tokio::spawn(take_all(pushes, COUNT));
    assert_eq!(pending.await, Ok(RelayReply::Done));
    taking.await.unwrap();
    let _stream = pushing.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn pushes_that_nobody_wants_are_thrown_away() {
    let mut world = world(ClientConfig { pushes: 1 << 20, ..ClientConfig::default() }).await;
    drop(world.relay.pushes().await);
    let pending = world.relay.submit(RelayRequest::Info).await.unwrap();
    let asked = request(&mut world.stream).await;
    for sequence in 1..=100 {
        push(&world.stream, delivery(sequence, 65_536)).await;
    }
    reply(&world.stream, asked.id, Ok(RelayReply::Done)).await;
    assert_eq!(pending.await, Ok(RelayReply::Done));
}

#[tokio::test(start_paused = true)]
async fn a_backlog_comes_on_its_own_stream() {
    let mut world = world(ClientConfig::default()).await;
    let mut backlog = world.relay.backlog().await.unwrap();
    let Accepted::Backlog(sender) = world.there.accept_stream().await.unwrap() else { panic!() };
    for sequence in 1..=20 {
        sender.send(&ServerFrame::Push(delivery(sequence, 4_096)).encode().unwrap()).await.unwrap();
    }
    drop(sender);
    for sequence in 1..=20 {
        assert_eq!(backlog.next().await, Ok(Some(delivery(sequence, 4_096))));
    }
    assert_eq!(backlog.next().await, Ok(None));
    let going = RelayPush::GoingAway(GoingAway { retry_after: Duration::from_secs(9) });
    push(&world.stream, going).await;
    assert!(world.relay.pushes().await.unwrap().next().await.is_some(), "control goes on");
}

#[tokio::test(start_paused = true)]
async fn a_reply_on_the_backlog_stream_is_a_break() {
    let mut world = world(ClientConfig::default()).await;
    let mut backlog = world.relay.backlog().await.unwrap();
    let Accepted::Backlog(sender) = world.there.accept_stream().await.unwrap() else { panic!() };
    let stray = ServerFrame::Reply { id: RequestId::new(1).unwrap(), result: Ok(RelayReply::Done) };
    sender.send(&stray.encode().unwrap()).await.unwrap();
    assert_eq!(backlog.next().await, Err(RequestError::Protocol));
    let closed = world.there.handle().closed().await;
    assert_eq!(closed, Ended::ClosedByPeer(CloseCode::Error(ErrorCode::Malformed)));
}
