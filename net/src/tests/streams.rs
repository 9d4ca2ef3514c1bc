//! Streams that break rules (spec §18.6).
use waxwing_wire::frame::{ErrorCode, StreamKind};

use super::*;
use crate::{Accepted, Connection, FramedStream, StreamError, simulation::Network};

/// Opens a stream and says `bytes`.
async fn say(connection: &ClientConnection, bytes: &[u8]) -> (quinn::SendStream, quinn::RecvStream) {
    let (mut send, recv) = connection.quic().open_bi().await.unwrap();
    send.write_all(bytes).await.unwrap();
    (send, recv)
}

/// With what the server turned the stream down.
async fn turned_down(mut recv: quinn::RecvStream) -> CloseCode {
    match recv.read_to_end(1).await {
        Err(quinn::ReadToEndError::Read(quinn::ReadError::Reset(code))) => CloseCode::of_quic(code),
        other => panic!("{other:?}"),
    }
}

async fn control(connection: &mut Connection) -> FramedStream {
    match connection.accept_stream().await.unwrap() {
        Accepted::Control(stream) => stream,
        other => panic!("{other:?}"),
    }
}

struct World {
    _network: Network,
    listener: Listener,
    client: Client,
}

impl World {
    fn new(service: Service) -> Self {
        let network = Network::new(1);
        let listener = listen(&network, service, Limits::default());
        let client = client(&network, 1);
        Self { _network: network, listener, client }
    }

    async fn pair(&self, service: Service) -> (ClientConnection, Connection) {
        let connection = self.client.connect(&server_address(), service, Trust::Configured).await.unwrap();
        (connection, self.listener.accept().await.unwrap())
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_stream_that_is_not_control_ends_the_connection() {
    let world = World::new(Service::Relay);
    for byte in [0, 2, 3, 4, 0x16, 255] {
        let (connection, mut there) = world.pair(Service::Relay).await;
        let _stream = say(&connection, &[byte]).await;
        assert_eq!(there.accept_stream().await.unwrap_err(), Ended::ClosedHere);
        assert_eq!(connection.closed().await, closed_by_peer(ErrorCode::Unexpected), "kind {byte}");
    }
    assert_eq!(world.listener.counts().unexpected, 6);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_may_not_come_is_turned_down_and_the_connection_goes_on() {
    let world = World::new(Service::Relay);
    let (connection, mut there) = world.pair(Service::Relay).await;
    let here = connection.control().await.unwrap();
    let stream = control(&mut there).await;
    let streams = tokio::spawn(async move {
        let mut accepted = Vec::new();
        while let Ok(stream) = there.accept_stream().await {
            accepted.push(stream);
        }
        accepted
    });
    // A second control stream, an unknown kind, a stream that ends before it says anything.
    for bytes in [&[1][..], &[4], &[]] {
        let (mut send, recv) = say(&connection, bytes).await;
        let _ = send.finish();
        assert_eq!(turned_down(recv).await, ErrorCode::Unexpected.into(), "{bytes:?}");
    }
    let _backlog = connection.backlog().await.unwrap();
    let (_send, recv) = say(&connection, &[StreamKind::Backlog.byte()]).await;
    assert_eq!(turned_down(recv).await, ErrorCode::Unexpected.into(), "a second backlog");
    here.sender.send(b"still here").await.unwrap();
    let FramedStream { mut reader, sender: _sender } = stream;
    assert_eq!(reader.next().await.unwrap().as_deref(), Some(&b"still here"[..]));
    connection.close(CloseCode::Done);
    let accepted = streams.await.unwrap();
    assert!(matches!(accepted[..], [Accepted::Backlog(_)]), "{accepted:?}");
    assert_eq!(world.listener.counts().unexpected, 4);
}

#[tokio::test(start_paused = true)]
async fn a_key_server_takes_control_streams_only() {
    let world = World::new(Service::Keyserver);
    let (connection, mut there) = world.pair(Service::Keyserver).await;
    let _here = connection.control().await.unwrap();
    let _stream = control(&mut there).await;
    let _streams = tokio::spawn(async move { there.accept_stream().await });
    for kind in [StreamKind::Backlog, StreamKind::Blob] {
        let (_send, recv) = say(&connection, &[kind.byte()]).await;
        assert_eq!(turned_down(recv).await, ErrorCode::Unexpected.into(), "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_malformed_control_stream_ends_its_connection_and_disturbs_no_other() {
    let world = World::new(Service::Relay);
    let (honest, mut honest_there) = world.pair(Service::Relay).await;
    let honest_here = honest.control().await.unwrap();
    let mut honest_stream = control(&mut honest_there).await;
    // An empty frame, one above the ceiling, one after a good one, one that ends inside, one of which only a part of the length came.
    let bad: [(&[u8], StreamError); 5] = [
        (&[1, 0, 0, 0, 0], StreamError::Malformed(waxwing_wire::frame::FrameError::Empty)),
        (&[1, 0, 17, 0, 1], StreamError::Malformed(waxwing_wire::frame::FrameError::TooLong { length: 1_114_113 })),
        (&[1, 0, 0, 0, 1, 7, 0, 0, 0, 0], StreamError::Malformed(waxwing_wire::frame::FrameError::Empty)),
        (&[1, 0, 0, 0, 2, 7], StreamError::CutShort),
        (&[1, 0, 0], StreamError::CutShort),
    ];
    for (bytes, expected) in bad {
        let (connection, mut there) = world.pair(Service::Relay).await;
        let (mut send, _recv) = say(&connection, bytes).await;
        let _ = send.finish();
        let mut stream = control(&mut there).await;
        let error = loop {
            match stream.reader.next().await {
                Ok(Some(payload)) => assert_eq!(payload, [7], "the good one comes first"),
                Ok(None) => panic!("{bytes:?} passed"),
                Err(error) => break error,
            }
        };
        assert_eq!(error, expected, "{bytes:?}");
        assert_eq!(stream.reader.next().await, Err(expected), "and stays");
        assert_eq!(connection.closed().await, closed_by_peer(ErrorCode::Malformed), "{bytes:?}");
    }
    assert_eq!(world.listener.counts().malformed, 5);
    honest_here.sender.send(b"undisturbed").await.unwrap();
    assert_eq!(honest_stream.reader.next().await.unwrap().as_deref(), Some(&b"undisturbed"[..]));
}

#[tokio::test(start_paused = true)]
async fn a_payload_that_the_caller_refuses_ends_the_control_stream_with_its_code() {
    let world = World::new(Service::Relay);
    let (connection, mut there) = world.pair(Service::Relay).await;
    let here = connection.control().await.unwrap();
    here.sender.send(b"no message").await.unwrap();
    let mut stream = control(&mut there).await;
    assert!(stream.reader.next().await.unwrap().is_some());
    stream.reader.fail(ErrorCode::Malformed);
    assert_eq!(connection.closed().await, closed_by_peer(ErrorCode::Malformed));
    assert_eq!(world.listener.counts().malformed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_malformed_blob_stream_ends_alone() {
    let world = World::new(Service::Relay);
    let (connection, mut there) = world.pair(Service::Relay).await;
    let here = connection.control().await.unwrap();
    let mut stream = control(&mut there).await;
    for bytes in [&[3, 0, 0, 4, 1][..], &[3, 0, 0, 0, 0], &[3, 0, 0, 0, 9, 1]] {
        let (mut send, recv) = say(&connection, bytes).await;
        let _ = send.finish();
        let Accepted::Blob(mut blob) = there.accept_stream().await.unwrap() else { panic!() };
        blob.read_frame().await.unwrap_err();
        assert_eq!(turned_down(recv).await, ErrorCode::Malformed.into(), "{bytes:?}");
    }
    assert_eq!(world.listener.counts().malformed, 3);
    here.sender.send(b"still here").await.unwrap();
    assert_eq!(stream.reader.next().await.unwrap().as_deref(), Some(&b"still here"[..]));
}

#[tokio::test(start_paused = true)]
async fn what_a_peer_gives_up_is_told_with_its_code() {
    let world = World::new(Service::Relay);
    let (connection, mut there) = world.pair(Service::Relay).await;
    let (mut send, mut recv) = say(&connection, &[1]).await;
    let mut stream = control(&mut there).await;
    send.reset(CloseCode::from(ErrorCode::Draining).to_quic()).unwrap();
    recv.stop(CloseCode::from(ErrorCode::Overloaded).to_quic()).unwrap();
    assert_eq!(stream.reader.next().await, Err(StreamError::Reset(ErrorCode::Draining.into())));
    // The writer learns of it when it writes.
    stream.sender.send(b"anybody?").await.unwrap();
    assert_eq!(stream.sender.flush().await, Err(crate::SendError::Stopped(ErrorCode::Overloaded.into())));
    assert_eq!(stream.sender.send(b"no").await, Err(crate::SendError::Stopped(ErrorCode::Overloaded.into())));
}
