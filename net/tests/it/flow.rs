//! Queues, coalescing, and raw bytes on blob streams (spec §18.7).
use std::time::Duration;

use tokio::time::{sleep, timeout};
use waxwing_net::{
    Accepted, Client, ClientConfig, ClientConnection, Connection, FramedStream, Listener, ListenerConfig, SendError,
    Service, TrySendError, simulation::Network,
};

use crate::world::{TRUST, client_on, control, listen_on};

struct World {
    network: Network,
    _listener: Listener,
    _client: Client,
    here: ClientConnection,
    there: Connection,
}

async fn world() -> World {
    let network = Network::new(1);
    let (listener, address) = listen_on(&network, ListenerConfig::new(Service::Relay));
    let client = client_on(&network, 1, ClientConfig::default());
    let here = client.connect(&address, Service::Relay, TRUST).await.unwrap();
    let there = listener.accept().await.unwrap();
    World { network, _listener: listener, _client: client, here, there }
}

#[tokio::test(start_paused = true)]
async fn a_queue_is_bounded_and_gives_everything_in_order_once_the_peer_reads() {
    let mut world = world().await;
    let FramedStream { sender, reader: _reader } = world.here.control().await.unwrap();
    sender.send(&0_u32.to_be_bytes()).await.unwrap();
    let mut stream = control(&mut world.there).await;
    // The peer does not read: windows, and then the queue, fill up.
    let mut count = 1_u32;
    let frame = |number: u32| [&number.to_be_bytes()[..], &[7; 996]].concat();
    while timeout(Duration::from_secs(5), sender.send(&frame(count))).await.is_ok() {
        count += 1;
        assert!(count < 10_000, "it ends");
    }
    assert_eq!(sender.try_send(&frame(count)), Err(TrySendError::Full));
    assert!(sender.queued() <= 256 * 1_024, "{}", sender.queued());
    let bytes = u64::from(count) * 1_004;
    assert!((256 * 1_024..1_024 * 1_024).contains(&bytes), "the stream's window and two queues: {bytes}");
    // The peer reads: whoever waits goes on, and nothing is lost, doubled or out of order.
    let waiting = tokio::spawn({
        let sender = sender.clone();
        async move { sender.send(&frame(count)).await }
    });
    for number in 0..=count {
        let payload = stream.reader.next().await.unwrap().unwrap();
        assert_eq!(payload[..4], number.to_be_bytes());
    }
    assert_eq!(waiting.await.unwrap(), Ok(()));
    sender.flush().await.unwrap();
    assert_eq!(sender.queued(), 0);
}

#[tokio::test(start_paused = true)]
async fn small_frames_share_packets() {
    let mut world = world().await;
    let FramedStream { sender, reader: _reader } = world.here.control().await.unwrap();
    sender.send(b"first").await.unwrap();
    let mut stream = control(&mut world.there).await;
    assert!(stream.reader.next().await.unwrap().is_some());
    sleep(Duration::from_secs(1)).await;
    world.network.record();
    for _ in 0..1_000 {
        sender.send(&[7; 20]).await.unwrap();
    }
    for _ in 0..1_000 {
        assert_eq!(stream.reader.next().await.unwrap().map(|payload| payload.len()), Some(20));
    }
    let packets = world.network.recorded().into_iter().filter(|datagram| datagram.bytes.len() > 100).count();
    // 24,000 bytes are 20 packets of 1,200.
    assert!(packets <= 30, "{packets} packets");
}

#[tokio::test(start_paused = true)]
async fn a_finished_stream_has_arrived_and_takes_nothing_more() {
    let mut world = world().await;
    let FramedStream { sender, mut reader } = world.here.control().await.unwrap();
    for number in 0..100_u8 {
        sender.send(&[number; 3_000]).await.unwrap();
    }
    let finishing = tokio::spawn({
        let sender = sender.clone();
        async move { sender.finish().await }
    });
    let mut stream = control(&mut world.there).await;
    for number in 0..100_u8 {
        assert_eq!(stream.reader.next().await.unwrap().unwrap(), [number; 3_000]);
    }
    assert_eq!(stream.reader.next().await, Ok(None));
    assert_eq!(stream.reader.next().await, Ok(None));
    assert_eq!(finishing.await.unwrap(), Ok(()));
    assert_eq!(sender.send(b"more").await, Err(SendError::Finished));
    // The other direction goes on until its last sender is gone.
    stream.sender.send(b"bye").await.unwrap();
    drop(stream.sender);
    assert_eq!(reader.next().await.unwrap().as_deref(), Some(&b"bye"[..]));
    assert_eq!(reader.next().await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn a_payload_that_is_no_frame_is_refused_here_and_harms_nothing() {
    let mut world = world().await;
    let FramedStream { sender, reader: _reader } = world.here.control().await.unwrap();
    assert!(matches!(sender.send(&[]).await, Err(SendError::Frame(_))));
    assert!(matches!(sender.send(&vec![0; 1_114_113]).await, Err(SendError::Frame(_))));
    sender.send(&vec![7; 1_114_112]).await.unwrap();
    let mut stream = control(&mut world.there).await;
    assert_eq!(stream.reader.next().await.unwrap().map(|payload| payload.len()), Some(1_114_112));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_dropped_keeps_its_frames() {
    let mut world = world().await;
    let FramedStream { sender, reader: _reader } = world.here.control().await.unwrap();
    for number in 0..50_u8 {
        sender.send(&[number]).await.unwrap();
    }
    let mut stream = control(&mut world.there).await;
    let mut next = 0;
    while next < 50 {
        let mut batch = stream.reader.read().await.unwrap().unwrap();
        // Two of each batch, however many it has.
        for _ in 0..2 {
            if let Some(payload) = batch.next().unwrap() {
                assert_eq!(payload, [next]);
                next += 1;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn chunks_follow_their_frame_without_frames_both_ways() {
    let mut world = world().await;
    let _control = world.here.control().await.unwrap();
    let _stream = control(&mut world.there).await;
    let chunk: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    // Writing: frame, chunk; then the answer.
    let mut upload = world.here.blob().await.unwrap();
    let sending = tokio::spawn({
        let chunk = chunk.clone();
        async move {
            upload.write_frame(b"write").await.unwrap();
            upload.write(chunk).await.unwrap();
            upload.finish();
            let answer = upload.read_frame().await.unwrap();
            (answer, upload.read().await)
        }
    });
    let Accepted::Blob(mut there) = world.there.accept_stream().await.unwrap() else { panic!() };
    assert_eq!(there.read_frame().await.unwrap(), b"write");
    let (mut first, mut second) = (vec![0; 100_001], vec![0; 199_999]);
    there.read_exact(&mut first).await.unwrap();
    there.read_exact(&mut second).await.unwrap();
    assert_eq!([first, second].concat(), chunk);
    assert_eq!(there.read().await.unwrap(), None);
    there.write_frame(b"written").await.unwrap();
    there.finish();
    assert_eq!(there.sent().await, Ok(()));
    assert_eq!(sending.await.unwrap(), (b"written".to_vec(), Ok(None)));
    // Reading: frame; then the answer and the chunk. It ends inside the second piece.
    let mut download = world.here.blob().await.unwrap();
    download.write_frame(b"read").await.unwrap();
    let Accepted::Blob(mut there) = world.there.accept_stream().await.unwrap() else { panic!() };
    assert_eq!(there.read_frame().await.unwrap(), b"read");
    let answering = tokio::spawn(async move {
        there.write_frame(b"state").await.unwrap();
        there.write(chunk).await.unwrap();
        there.finish();
        there.sent().await
    });
    assert_eq!(download.read_frame().await.unwrap(), b"state");
    let mut piece = vec![0; 250_000];
    download.read_exact(&mut piece).await.unwrap();
    assert_eq!(download.read_exact(&mut piece).await, Err(waxwing_net::StreamError::CutShort));
    assert_eq!(answering.await.unwrap(), Ok(()));
}
