//! E4: peers that open and then do nothing, or as little as they can (spec §18.5.2 and §18.5.3).
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::*;
use crate::{Accepted, FramedStream, StreamError, echo, simulation::Network};

/// Within a round trip and the granularity of timers.
fn took(since: Instant, limit: Duration) {
    let (elapsed, slack) = (since.elapsed(), Duration::from_millis(200));
    assert!(elapsed >= limit.saturating_sub(slack) && elapsed <= limit + slack, "{elapsed:?}, not {limit:?}");
}

#[tokio::test(start_paused = true)]
async fn e4_a_connection_without_a_stream_is_closed_after_its_deadline() {
    let network = Network::new(1);
    let listener = listen(&network, Service::Relay, Limits::default());
    let silent = connect(&client(&network, 1)).await;
    let (mut there, begin) = (listener.accept().await.unwrap(), Instant::now());
    assert_eq!(there.accept_stream().await.unwrap_err(), Ended::ClosedHere);
    took(begin, Limits::default().first);
    assert_eq!(silent.closed().await, Ended::ClosedByPeer(CloseCode::TooSlow));
    assert_eq!(listener.counts().too_slow, 1);
}

#[tokio::test(start_paused = true)]
async fn e4_streams_that_stay_silent_are_given_up_and_hold_nobody_up() {
    let network = Network::new(1);
    let listener = listen(&network, Service::Relay, Limits::default());
    let connection = connect(&client(&network, 1)).await;
    let mut there = listener.accept().await.unwrap();
    let _control = connection.control().await.unwrap();
    let Accepted::Control(_stream) = there.accept_stream().await.unwrap() else { panic!() };
    // Six half-open streams: an empty STREAM frame says that they exist.
    let mut silent = Vec::new();
    for _ in 0..6 {
        let (send, recv) = connection.quic().open_bi().await.unwrap();
        send.set_priority(0).unwrap();
        silent.push((send, recv));
    }
    let begin = Instant::now();
    // The eighth stream is honest; opening it opens those before it.
    let mut blob = connection.blob().await.unwrap();
    blob.write_frame(b"first").await.unwrap();
    let Accepted::Blob(mut honest) = there.accept_stream().await.unwrap() else { panic!() };
    assert_eq!(honest.read_frame().await.unwrap(), b"first");
    assert!(begin.elapsed() < Duration::from_secs(1), "the silent ones do not hold it up");
    let waiting = tokio::spawn(async move { there.accept_stream().await });
    for (send, _) in &mut silent {
        assert_eq!(CloseCode::of_quic(send.stopped().await.unwrap().unwrap()), CloseCode::TooSlow);
    }
    took(begin, Limits::default().first);
    assert_eq!(listener.counts().too_slow, 6);
    assert!(connection.ended().is_none() && !waiting.is_finished());
}

#[tokio::test(start_paused = true)]
async fn e4_a_frame_that_does_not_come_or_does_not_end_closes_its_stream() {
    let network = Network::new(1);
    let limits = Limits::default();
    let listener = listen(&network, Service::Relay, limits);
    let client = client(&network, 1);
    for (said, deadline) in [
        // No frame at all; a part of the first one; the first one and a part of the second.
        (&[][..], limits.first),
        (&[0, 0, 0, 9, 1], limits.first),
        (&[0, 0, 0, 1, 7, 0, 0, 0, 9, 1], limits.frame),
    ] {
        let connection = connect(&client).await;
        let mut there = listener.accept().await.unwrap();
        let (mut send, _recv) = connection.quic().open_bi().await.unwrap();
        send.write_all(&[1]).await.unwrap();
        send.write_all(said).await.unwrap();
        let Accepted::Control(mut stream) = there.accept_stream().await.unwrap() else { panic!() };
        let begin = Instant::now();
        let dripping = tokio::spawn(async move {
            // A byte now and then does not buy time.
            for _ in 0..6 {
                sleep(Duration::from_secs(30)).await;
                if send.write_all(&[1]).await.is_err() {
                    break;
                }
            }
        });
        let mut result = stream.reader.next().await;
        if let Ok(Some(payload)) = &result {
            assert_eq!(payload, &[7]);
            result = stream.reader.next().await;
        }
        assert_eq!(result, Err(StreamError::TooSlow), "{said:?}");
        took(begin, deadline);
        assert_eq!(connection.closed().await, Ended::ClosedByPeer(CloseCode::TooSlow));
        dripping.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn between_frames_a_client_may_rest_for_as_long_as_it_likes() {
    let network = Network::new(1);
    let listener = listen(&network, Service::Relay, Limits::default());
    let serving = tokio::spawn(async move { echo::serve(&listener, echo::Answer::Same).await });
    let connection = connect(&client(&network, 1)).await;
    let FramedStream { mut reader, sender } = connection.control().await.unwrap();
    for payload in [b"before", b"after!"] {
        sender.send(payload).await.unwrap();
        assert_eq!(reader.next().await.unwrap().as_deref(), Some(&payload[..]));
        // Keep-alives of the client, and nothing else, for an hour.
        sleep(Duration::from_secs(3_600)).await;
    }
    assert!(connection.ended().is_none());
    serving.abort();
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_gone_is_noticed_within_30_seconds_on_both_sides() {
    let network = Network::new(1);
    let listener = listen(&network, Service::Relay, Limits::default());
    let connection = connect(&client(&network, 1)).await;
    let there = listener.accept().await.unwrap().handle();
    // A keep-alive was answered: the next one goes into silence, from which on QUIC would count anew.
    sleep(Duration::from_secs(26)).await;
    network.cut(SERVER);
    let begin = Instant::now();
    let end = async |closed: Ended| (closed, begin.elapsed());
    let (there, here) =
        tokio::join!(async { end(there.closed().await).await }, async { end(connection.closed().await).await });
    for (ended, after) in [there, here] {
        assert_eq!(ended, Ended::TimedOut);
        assert!(after > Duration::from_secs(27) && after < Duration::from_secs(31), "{after:?}");
    }
    assert!(connection.ended().is_some());
}

#[tokio::test(start_paused = true)]
async fn e4_a_source_gets_so_many_connections_and_others_still_get_theirs() {
    let network = Network::new(1);
    let limits = Limits { connections_per_source: 3, ..Limits::default() };
    let listener = listen(&network, Service::Relay, limits);
    let greedy = client(&network, 1);
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push((connect(&greedy).await, listener.accept().await.unwrap()));
    }
    let error = greedy.connect(&server_address(), Service::Relay, Trust::Configured).await.unwrap_err();
    assert_eq!(error.reason(), crate::AttemptError::Refused);
    let counts = listener.counts();
    assert_eq!((counts.retried, counts.refused), (1, 1), "it proved its address before it was refused");
    let other = connect(&client(&network, 2)).await;
    let _other_there = listener.accept().await.unwrap();
    assert!(other.ended().is_none());
    // A connection that ends makes room.
    drop(held.pop());
    let again = connect(&greedy).await;
    assert!(again.ended().is_none());
}

#[tokio::test(start_paused = true)]
async fn e4_a_handshake_that_stops_halfway_is_given_up() {
    let network = Network::new(1);
    let limits = Limits { handshakes: 2, retry: crate::Retry::Above(100), ..Limits::default() };
    let listener = listen(&network, Service::Relay, limits);
    // The first flights of clients that never say more.
    network.record();
    for n in 1..=2 {
        let quiet = client(&network, n);
        let (address, begin) = (server_address(), Instant::now());
        let dialling = tokio::spawn(async move {
            let _ = quiet.connect(&address, Service::Relay, Trust::Configured).await;
        });
        while sent_by(&network.recorded(), place(n)).is_empty() && begin.elapsed() < Duration::from_secs(1) {
            sleep(Duration::from_millis(1)).await;
        }
        sleep(Duration::from_millis(15)).await;
        network.cut(place(n));
        dialling.abort();
    }
    sleep(Duration::from_millis(100)).await;
    assert_eq!(listener.counts().open, 2);
    let honest = client(&network, 3);
    let error = honest.connect(&server_address(), Service::Relay, Trust::Configured).await.unwrap_err();
    assert_eq!(error.reason(), crate::AttemptError::Refused, "no more than two at once");
    sleep(limits.handshake).await;
    let counts = listener.counts();
    assert_eq!((counts.failed_handshakes, counts.open), (2, 0));
    assert!(connect(&honest).await.ended().is_none());
}

#[tokio::test(start_paused = true)]
async fn e3_a_source_begins_so_many_connections_and_others_still_begin_theirs() {
    let network = Network::new(1);
    let pace = crate::Pace { burst: 3, interval: Duration::from_secs(60) };
    let limits = Limits { handshakes_per_source: pace, ..Limits::default() };
    let listener = listen(&network, Service::Relay, limits);
    let greedy = client(&network, 1);
    let accept = async || drop(listener.accept().await.unwrap());
    // Ended at once, so that places are no matter. Three at once, and three more once the address has proved itself.
    for _ in 0..6 {
        drop(connect(&greedy).await);
        accept().await;
    }
    let error = greedy.connect(&server_address(), Service::Relay, Trust::Configured).await.unwrap_err();
    assert_eq!(error.reason(), crate::AttemptError::Refused);
    let counts = listener.counts();
    assert_eq!((counts.retried, counts.too_often, counts.refused), (4, 1, 0));
    drop(connect(&client(&network, 2)).await);
    accept().await;
    assert_eq!(listener.counts().retried, 4, "another one is not even asked to prove itself");
    sleep(Duration::from_secs(60)).await;
    drop(connect(&greedy).await);
    accept().await;
}

#[tokio::test(start_paused = true)]
async fn e1_first_packets_in_anothers_name_cost_it_one_round_trip_and_no_connection() {
    let network = Network::new(1);
    let listener = listen(&network, Service::Relay, Limits::default());
    network.record();
    // From the address of an honest client, ports of it that never say a second word.
    for port in 0..100 {
        let mut spoofed = place(1);
        spoofed.set_port(2_000 + port);
        let quiet = Client::on(network.socket(spoofed).unwrap(), ClientConfig::default()).unwrap();
        let (address, begin) = (server_address(), Instant::now());
        let dialling = tokio::spawn(async move {
            let _ = quiet.connect(&address, Service::Relay, Trust::Configured).await;
        });
        while sent_by(&network.recorded(), spoofed).is_empty() && begin.elapsed() < Duration::from_secs(1) {
            sleep(Duration::from_millis(1)).await;
        }
        sleep(Duration::from_millis(15)).await;
        network.cut(spoofed);
        dialling.abort();
    }
    sleep(Duration::from_millis(100)).await;
    let counts = listener.counts();
    assert_eq!((counts.open, counts.too_often, counts.refused), (64, 0, 0), "{counts:?}");
    assert!(counts.retried >= 36, "{counts:?}");
    let honest = connect(&client(&network, 1)).await;
    assert!(honest.ended().is_none());
    assert!(listener.counts().retried > counts.retried, "it was asked to prove itself");
}
