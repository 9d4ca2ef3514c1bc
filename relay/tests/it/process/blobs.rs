//! Blobs over QUIC, through SIGKILL at random points: every chunk that the relay said is there comes back, and either side goes on where it was.
//!
//! `WAXWING_KILLS=1000 cargo test --release -p waxwing-relay --test it process::blobs` for more; a failure prints its seed.
use std::{
    convert::Infallible,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use tokio::sync::mpsc;
use waxwing_net::{
    ChunkSink, ChunkSource, CloseCode, Limits, RelayConnection, RequestError, StreamError, TransferError,
};
use waxwing_wire::{
    address::ServerAddress,
    frame::{Admission, ErrorCode},
    relay::{BlobState, BlobStatus, CreateBlob, DeleteBlob, RelayReply, RelayRequest},
    sealed::ChunkSize,
};

use super::{
    malformed::Here,
    operator::does,
    people::{client, connect},
    relay::{Process, Told},
    variable,
};
use crate::conformance::blobs::{READ, WRITE, bytes, capability, id, transfer};

/// 20 MiB.
const CHUNKS: u32 = 320;
const K64: usize = 65_536;

fn create(number: u8, chunk: ChunkSize, count: u32) -> RelayRequest {
    let verifier = |kind| capability(kind).verifier(kind, id(number).as_bytes());
    let (write_verifier, read_verifier) = (verifier(WRITE), verifier(READ));
    let (blob, admission) = (id(number), Admission::Open);
    RelayRequest::CreateBlob(CreateBlob { blob, chunk, count, write_verifier, read_verifier, admission })
}

async fn made(connection: &RelayConnection, number: u8, chunk: ChunkSize, count: u32) {
    let made = connection.request(create(number, chunk, count)).await;
    assert!(matches!(made, Ok(RelayReply::BlobState(_))), "{made:?}");
}

async fn status(connection: &RelayConnection, number: u8) -> Result<BlobState, RequestError> {
    let status = BlobStatus { blob: id(number), capability: capability(READ) };
    match connection.request(RelayRequest::BlobStatus(status)).await? {
        RelayReply::BlobState(state) => Ok(state),
        other => panic!("{other:?}"),
    }
}

/// Gives the bytes of each place, and says how far it is.
struct Source(mpsc::UnboundedSender<u32>);

impl ChunkSource for Source {
    type Error = Infallible;

    async fn chunk(&mut self, number: u32, size: ChunkSize) -> Result<Vec<u8>, Infallible> {
        let _ = self.0.send(number);
        let size = usize::try_from(size.bytes()).unwrap();
        Ok(bytes(usize::try_from(number).unwrap() * size, size))
    }
}

/// Takes chunks in order, each of which must be what was written.
#[derive(Default)]
struct Sink {
    next: Arc<AtomicU32>,
}

impl ChunkSink for Sink {
    type Error = Infallible;

    async fn chunk(&mut self, number: u32, chunk: Vec<u8>) -> Result<(), Infallible> {
        assert_eq!(self.next.fetch_add(1, Ordering::Relaxed), number, "in order, none twice");
        assert!(chunk == bytes(usize::try_from(number).unwrap() * chunk.len(), chunk.len()), "chunk {number}");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e7_a_blob_is_written_and_read_through_sigkill_and_no_chunk_that_was_told_is_lost() {
    let (kills, seed) = (variable("WAXWING_KILLS", 20), variable("WAXWING_SEED", 1));
    println!("WAXWING_SEED={seed}");
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let relay = Process::start(folder.path());
    made(&connect(&client(), &relay.address).await, 1, ChunkSize::K64, CHUNKS).await;
    relay.kill();
    let (mut told, mut number, mut answered, mut silent) = (0_u32, 1, 0, 0);
    let next = Arc::new(AtomicU32::new(0));
    for kill in 0..kills {
        let relay = Process::start(folder.path());
        let uploader = connect(&client(), &relay.address).await;
        let now = status(&uploader, number).await.unwrap().written;
        assert!(now >= told, "after {kill} kills: {told} chunks were told, {now} are there");
        // Recorded, and killed before anybody heard.
        silent += now - told;
        told = now;
        if told == CHUNKS {
            // From the beginning, with another.
            read_all(&relay.address, number, &next).await;
            number += 1;
            next.store(0, Ordering::Relaxed);
            told = 0;
            made(&uploader, number, ChunkSize::K64, CHUNKS).await;
        }
        let before = told;
        told = told.max(run_until(relay, uploader, (number, told), &next, (kill, &mut rng)).await);
        answered += told - before;
    }
    let relay = Process::start(folder.path());
    let uploader = connect(&client(), &relay.address).await;
    assert!(status(&uploader, number).await.unwrap().written >= told);
    let (progress, _moving) = mpsc::unbounded_channel();
    let done = uploader.upload(id(number), &capability(WRITE), &mut Source(progress)).await.unwrap();
    assert_eq!(done.written, CHUNKS);
    read_all(&relay.address, number, &next).await;
    println!("through {kills} kills: {answered} chunks that were told, {silent} that were not, and none is lost");
    assert!(answered > 0, "it was killed while chunks moved");
    assert_eq!(does(folder.path(), &["verify"]), "everything verifies\n");
}

/// Uploads, downloads, asks; and kills the relay when the upload is somewhere. What was told is the most chunks that an answer had.
async fn run_until(
    relay: Process,
    uploader: RelayConnection,
    (number, from): (u8, u32),
    next: &Arc<AtomicU32>,
    (kill, rng): (u64, &mut ChaCha20Rng),
) -> u32 {
    let (progress, mut moving) = mpsc::unbounded_channel();
    // All of it in one write, or some chunks in each of many; killed anywhere.
    let each = if kill % 3 == 0 { None } else { Some(1 + rng.next_u32() % 24) };
    let until = from + rng.next_u32() % (CHUNKS - from).min(each.map_or(CHUNKS, |_| 60));
    let address = relay.address.clone();
    let (asker, reader) = (connect(&client(), &address).await, connect(&client(), &address).await);
    let asking = async {
        let mut told = 0;
        while let Ok(state) = status(&asker, number).await {
            told = state.written;
        }
        told
    };
    let reading = async {
        let mut sink = Sink { next: Arc::clone(next) };
        // What is there by now, and then what is there by then.
        while reader.download(id(number), &capability(READ), next.load(Ordering::Relaxed), &mut sink).await.is_ok() {}
    };
    let uploading = async {
        let mut source = Source(progress);
        match each {
            None => uploader.upload(id(number), &capability(WRITE), &mut source).await.map_or(0, |state| state.written),
            Some(each) => write_some(&uploader, number, (from, each), &mut source).await,
        }
    };
    let killing = async {
        while let Some(at) = moving.recv().await {
            if at >= until {
                break;
            }
        }
        relay.kill();
        // Whoever is connected need not wait until it notices.
        [&uploader, &asker, &reader].into_iter().for_each(RelayConnection::close);
    };
    let (told, (), written, ()) = tokio::join!(asking, reading, uploading, killing);
    told.max(written)
}

/// So many chunks at a time; how many were answered for.
async fn write_some(uploader: &RelayConnection, number: u8, (from, each): (u32, u32), source: &mut Source) -> u32 {
    let mut told = from;
    while told < CHUNKS {
        let count = each.min(CHUNKS - told);
        let write = RelayRequest::WriteBlob(transfer(number, WRITE, told, count));
        let Ok(mut moving) = uploader.blob(write).await else { break };
        for chunk in told..told + count {
            let Ok(bytes) = source.chunk(chunk, ChunkSize::K64).await;
            // Killed: the answer does not come either.
            let _ = moving.stream.write(bytes).await;
        }
        moving.stream.finish();
        match moving.state().await {
            Ok(state) => {
                assert_eq!(state.written, told + count);
                told = state.written;
            }
            Err(_) => break,
        }
    }
    told
}

async fn read_all(address: &ServerAddress, number: u8, next: &Arc<AtomicU32>) {
    let reader = connect(&client(), address).await;
    let mut sink = Sink { next: Arc::clone(next) };
    let state = reader.download(id(number), &capability(READ), next.load(Ordering::Relaxed), &mut sink).await.unwrap();
    assert_eq!((state.written, next.load(Ordering::Relaxed)), (CHUNKS, CHUNKS));
}

#[tokio::test]
async fn a_blob_moves_while_the_control_stream_answers_and_is_counted_by_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Process::start(folder.path());
    let (one, two) = (connect(&client(), &relay.address).await, connect(&client(), &relay.address).await);
    for (number, chunk) in (1..).zip(ChunkSize::ALL) {
        made(&one, number, chunk, 3).await;
        let (progress, _moving) = mpsc::unbounded_channel();
        let (capability, mut source) = (capability(WRITE), Source(progress));
        let (uploaded, info) =
            tokio::join!(one.upload(id(number), &capability, &mut source), one.request(RelayRequest::Info));
        assert!(info.is_ok());
        assert_eq!(uploaded.unwrap().written, 3);
        let mut sink = Sink::default();
        two.download(id(number), &crate::conformance::blobs::capability(READ), 1, &mut Skip(&mut sink)).await.unwrap();
        assert_eq!(sink.next.load(Ordering::Relaxed), 2, "two of three");
    }
    let stats = does(folder.path(), &["stats"]);
    assert!(stats.contains(&format!("blobs 4\nblob_bytes {}\n", 3 * (65_536 + 262_144 + 1_048_576 + 4_194_304))));
    let delete = |number| DeleteBlob { blob: id(number), capability: capability(WRITE) };
    for number in 1..=4 {
        assert_eq!(two.request(RelayRequest::DeleteBlob(delete(number))).await, Ok(RelayReply::Done));
    }
    assert!(does(folder.path(), &["stats"]).contains("blobs 0\nblob_bytes 0\n"));
    relay.stop();
    assert_eq!(files(folder.path()), 0);
}

/// Takes what begins at chunk 1.
struct Skip<'s>(&'s mut Sink);

impl ChunkSink for Skip<'_> {
    type Error = Infallible;

    async fn chunk(&mut self, number: u32, chunk: Vec<u8>) -> Result<(), Infallible> {
        assert!(chunk == bytes(usize::try_from(number).unwrap() * chunk.len(), chunk.len()), "chunk {number}");
        assert_eq!(self.0.next.fetch_add(1, Ordering::Relaxed) + 1, number);
        Ok(())
    }
}

fn files(data: &Path) -> usize {
    std::fs::read_dir(data.join("store/blobs")).unwrap().count()
}

#[tokio::test]
async fn who_breaks_off_inside_a_chunk_is_told_and_what_was_whole_stays() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Process::start(folder.path());
    let connection = connect(&client(), &relay.address).await;
    made(&connection, 1, ChunkSize::K64, 4).await;
    let mut moving = connection.blob(RelayRequest::WriteBlob(transfer(1, WRITE, 0, 4))).await.unwrap();
    moving.stream.write(bytes(0, 2 * K64 + 1)).await.unwrap();
    moving.stream.finish();
    assert_eq!(moving.state().await, Err(RequestError::Server(ErrorCode::BlobCut.into())));
    assert_eq!(status(&connection, 1).await.unwrap().written, 2);
    // Between two chunks it may.
    let mut moving = connection.blob(RelayRequest::WriteBlob(transfer(1, WRITE, 2, 2))).await.unwrap();
    moving.stream.write(bytes(2 * K64, K64)).await.unwrap();
    moving.stream.finish();
    assert_eq!(moving.state().await.unwrap().written, 3);
    // More than was announced is not read.
    let mut moving = connection.blob(RelayRequest::WriteBlob(transfer(1, WRITE, 3, 1))).await.unwrap();
    let _ = moving.stream.write(bytes(3 * K64, 3 * K64)).await;
    assert_eq!(moving.state().await.unwrap().written, 4);
    let mut sink = Sink::default();
    connection.download(id(1), &capability(READ), 0, &mut sink).await.unwrap();
    assert_eq!(sink.next.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn who_comes_back_over_another_connection_takes_over() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Process::start(folder.path());
    let (old, new) = (connect(&client(), &relay.address).await, connect(&client(), &relay.address).await);
    made(&old, 1, ChunkSize::K64, 4).await;
    let mut stalled = old.blob(RelayRequest::WriteBlob(transfer(1, WRITE, 0, 4))).await.unwrap();
    stalled.stream.write(bytes(0, K64 + 7)).await.unwrap();
    let (progress, _moving) = mpsc::unbounded_channel();
    let done = new.upload(id(1), &capability(WRITE), &mut Source(progress)).await.unwrap();
    assert_eq!(done.written, 4);
    assert_eq!(stalled.state().await, Err(RequestError::Server(ErrorCode::BlobRange.into())));
}

#[tokio::test]
async fn a_connection_has_four_streams_and_a_source_as_many_as_configured() {
    let folder = tempfile::tempdir().unwrap();
    let six = [("WAXWING_RELAY_LIMITS_BLOB_STREAMS_PER_SOURCE", "6")];
    let told = Told { variables: Box::leak(Box::new(six)), ..Told::default() };
    let relay = Process::start_told(folder.path(), told);
    let (one, two) = (connect(&client(), &relay.address).await, connect(&client(), &relay.address).await);
    for number in 1..=9 {
        made(&one, number, ChunkSize::K64, 1).await;
    }
    let begin = async |connection: &RelayConnection, number| {
        let mut moving = connection.blob(RelayRequest::WriteBlob(transfer(number, WRITE, 0, 1))).await.unwrap();
        moving.stream.write(vec![1]).await.unwrap();
        // A request on the control stream comes behind it, and is answered; and the stream's frame is read before its bytes are.
        moving
    };
    let code = async |moving: &mut waxwing_net::BlobTransfer| match moving.state().await {
        Err(RequestError::Server(error)) => (error.code, error.retry_after.is_some()),
        other => panic!("{other:?}"),
    };
    let mut moving = Vec::new();
    for number in 1..=4 {
        moving.push(begin(&one, number).await);
        seated(folder.path(), number.into()).await;
    }
    assert_eq!(code(&mut begin(&one, 5).await).await, (ErrorCode::TooManyInFlight, true));
    for number in 5..=6 {
        moving.push(begin(&two, number).await);
        seated(folder.path(), number.into()).await;
    }
    assert_eq!(code(&mut begin(&two, 7).await).await, (ErrorCode::RateLimited, true));
    // One that is over makes room.
    let mut done = moving.remove(0);
    done.stream.write(vec![1; K64 - 1]).await.unwrap();
    done.stream.finish();
    assert_eq!(done.state().await.unwrap().written, 1);
    let mut next = begin(&two, 8).await;
    next.stream.write(vec![1; K64 - 1]).await.unwrap();
    assert_eq!(next.state().await.unwrap().written, 1);
}

/// Until so many uploads have a file: each makes it when it begins.
async fn seated(data: &Path, count: usize) {
    while files(data) < count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_relay_that_stops_keeps_what_is_whole_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Process::start(folder.path());
    let (writer, reader) = (connect(&client(), &relay.address).await, connect(&client(), &relay.address).await);
    made(&writer, 1, ChunkSize::M1, 64).await;
    let (progress, _moving) = mpsc::unbounded_channel();
    made(&writer, 2, ChunkSize::M1, 64).await;
    writer.upload(id(2), &capability(WRITE), &mut Source(progress)).await.unwrap();
    let mut writing = writer.blob(RelayRequest::WriteBlob(transfer(1, WRITE, 0, 64))).await.unwrap();
    for chunk in 0..12 {
        writing.stream.write(bytes(chunk << 20, 1 << 20)).await.unwrap();
    }
    let mut reading = reader.blob(RelayRequest::ReadBlob(transfer(2, READ, 0, 64))).await.unwrap();
    assert_eq!(reading.state().await.unwrap().written, 64);
    let (written, read, ()) = tokio::join!(
        writing.state(),
        async {
            let mut chunk = vec![0; 1 << 20];
            loop {
                // It takes the first megabytes late: the relay stops meanwhile.
                if let Err(error) = reading.stream.read_exact(&mut chunk).await {
                    return error;
                }
                tokio::task::yield_now().await;
            }
        },
        async { relay.signal("TERM") }
    );
    assert!(matches!(written, Err(RequestError::Server(error)) if error.code == ErrorCode::Draining), "{written:?}");
    assert!(matches!(read, StreamError::Reset(_) | StreamError::Ended(_) | StreamError::CutShort), "{read:?}");
    let (status_of, _, log) = relay.wait();
    assert!(status_of.success(), "{log}");
    let relay = Process::start(folder.path());
    let connection = connect(&client(), &relay.address).await;
    let kept = status(&connection, 1).await.unwrap().written;
    assert!(kept >= 11, "{kept} of 12: the transport holds at most one");
    let (progress, _moving) = mpsc::unbounded_channel();
    let done = connection.upload(id(1), &capability(WRITE), &mut Source(progress)).await;
    assert_eq!(done.unwrap().written, 64);
}

#[tokio::test]
async fn a_source_that_gives_something_else_is_not_sent() {
    struct Short;
    impl ChunkSource for Short {
        type Error = Infallible;
        async fn chunk(&mut self, number: u32, size: ChunkSize) -> Result<Vec<u8>, Infallible> {
            let size = usize::try_from(size.bytes()).unwrap();
            Ok(vec![0; size - usize::from(number == 1)])
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let relay = Process::start(folder.path());
    let connection = connect(&client(), &relay.address).await;
    made(&connection, 1, ChunkSize::K64, 2).await;
    let failed = connection.upload(id(1), &capability(WRITE), &mut Short).await;
    assert_eq!(failed, Err(TransferError::ChunkSize));
    let absent = connection.upload(id(2), &capability(WRITE), &mut Short).await;
    assert_eq!(absent, Err(TransferError::Request(RequestError::Server(ErrorCode::Refused.into()))));
}

#[tokio::test]
async fn e4_who_sends_or_takes_nothing_is_given_up_and_what_was_whole_stays() {
    let here = Here::start_with(Limits { stall: Duration::from_millis(300), ..Limits::default() });
    let (one, two) = (connect(&client(), &here.address).await, connect(&client(), &here.address).await);
    made(&one, 1, ChunkSize::K64, 400).await;
    let mut moving = one.blob(RelayRequest::WriteBlob(transfer(1, WRITE, 0, 400))).await.unwrap();
    moving.stream.write(bytes(0, 2 * K64 + 9)).await.unwrap();
    let ended = moving.stream.read_frame().await;
    assert_eq!(ended, Err(StreamError::Reset(CloseCode::TooSlow)));
    while status(&one, 1).await.unwrap().written < 2 {
        tokio::task::yield_now().await;
    }
    let (progress, _moving) = mpsc::unbounded_channel();
    assert_eq!(one.upload(id(1), &capability(WRITE), &mut Source(progress)).await.unwrap().written, 400);
    // 25 MiB, of which the transport takes some; the rest waits for a reader that does not read.
    let mut moving = one.blob(RelayRequest::ReadBlob(transfer(1, READ, 0, 400))).await.unwrap();
    assert_eq!(moving.state().await.unwrap().written, 400);
    let slow = || here.listener.counts().too_slow;
    while slow() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut chunk = vec![0; K64];
    let error = loop {
        if let Err(error) = moving.stream.read_exact(&mut chunk).await {
            break error;
        }
    };
    assert_eq!(error, StreamError::Reset(CloseCode::TooSlow));
    // Nobody else noticed, nor did its connection.
    for connection in [&one, &two] {
        let mut sink = Sink::default();
        assert_eq!(connection.download(id(1), &capability(READ), 0, &mut sink).await.unwrap().written, 400);
    }
}
