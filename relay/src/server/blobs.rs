//! Blob streams. Implements spec/17-relay.md §17.22.4 to §17.22.7.
//!
//! ```text
//! stream ─▶ piece being filled ─▶ piece that waits ─▶ Upload            a piece goes on as soon as the store takes one, however full it is
//! Download ─▶ next piece ─▶ piece being sent ─▶ stream
//! ```
//! Invariants: a piece's memory is taken when its bytes are there, and none is held for a client that sends nothing; who takes nothing holds its
//! pieces until its deadline; what all streams hold, one connection's streams and one source's are bounded.
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use waxwing_net::BlobStream;
use waxwing_wire::{
    frame::ErrorCode,
    relay::{BlobState, ServerFrame},
    time::Timestamp,
};

use super::streams::Streams;
use crate::{
    service::{BlobAnswer, BlobEnd, Session, Source},
    store::{BlobError, BlobWriteError, Downloading, Store, Unavailable, Uploading as _},
};

/// What blob streams of all connections share.
#[derive(Debug)]
pub(super) struct Blobs {
    /// Pieces on their way in, and out. Apart, so that those who read slowly hold up nobody who writes.
    writing: Arc<Semaphore>,
    reading: Arc<Semaphore>,
    seats: Mutex<HashMap<Source, u32>>,
    per_source: u32,
}

impl Blobs {
    pub(super) fn new(per_source: u32) -> Self {
        Self {
            writing: Arc::new(Semaphore::new(PIECES)),
            reading: Arc::new(Semaphore::new(PIECES)),
            seats: Mutex::default(),
            per_source,
        }
    }

    /// One of a source's streams.
    fn seat(self: &Arc<Self>, source: Source) -> Option<Seat> {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = seats.entry(source).or_default();
        if *taken >= self.per_source {
            return None;
        }
        *taken = taken.saturating_add(1);
        drop(seats);
        Some(Seat { blobs: Arc::clone(self), source })
    }
}

/// Given back when its stream is over.
#[derive(Debug)]
struct Seat {
    blobs: Arc<Blobs>,
    source: Source,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.blobs.seats.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = seats.get_mut(&self.source) {
            *taken = taken.saturating_sub(1);
            if *taken == 0 {
                seats.remove(&self.source);
            }
        }
    }
}

/// Bytes, with their share of what all pieces may take.
struct Piece {
    bytes: Vec<u8>,
    filled: usize,
    _room: OwnedSemaphorePermit,
}

/// Serves a blob stream until it is over. `others` is how many more its connection has.
pub(super) async fn serve<S: Store>(
    mut stream: BlobStream,
    others: usize,
    session: Arc<Session<S, Arc<Streams>>>,
    blobs: Arc<Blobs>,
) {
    let Ok(payload) = stream.read_frame().await else { return };
    let seat = blobs.seat(session.source());
    let turned_away = match &seat {
        _ if others >= PER_CONNECTION => Some(ErrorCode::TooManyInFlight),
        None => Some(ErrorCode::RateLimited),
        Some(_) => None,
    };
    match session.receive_blob(&payload, turned_away).await {
        Err(code) => stream.fail(code),
        Ok(BlobAnswer::Refused(answer)) => say(&mut stream, &answer).await,
        Ok(BlobAnswer::Write(id, upload)) => {
            let outcome = write(&mut stream, upload, &session, &blobs).await;
            say(&mut stream, &session.wrote_blob(id, outcome)).await;
        }
        Ok(BlobAnswer::Read(answer, download)) => {
            let read = read(&mut stream, &answer, download, &blobs);
            let draining = session.drain_begins();
            tokio::select! {
                () = read => {}
                () = draining => stream.fail(ErrorCode::Draining),
            }
        }
    }
}

/// Takes what was announced. What is whole stays, whatever happens.
async fn write<S: Store>(
    stream: &mut BlobStream,
    mut upload: S::Upload,
    session: &Session<S, Arc<Streams>>,
    blobs: &Blobs,
) -> Result<BlobState, BlobEnd> {
    let (superseded, left) = (upload.superseded(), upload.left());
    let (pieces, came) = mpsc::channel(1);
    let moving = async {
        let (taken, put) =
            tokio::join!(take(stream, left, pieces, blobs), put::<S>(&mut upload, came, || session.now()));
        // If the store takes no more, that says more than that nobody takes pieces.
        put.and(taken)
    };
    let outcome = tokio::select! {
        biased;
        outcome = moving => outcome,
        () = superseded => Err(BlobEnd::Store(BlobWriteError::Superseded)),
        () = session.drain_begins() => Err(BlobEnd::Draining),
    };
    match outcome {
        // Who took over counts from what was recorded.
        Err(BlobEnd::Store(BlobWriteError::Superseded)) => Err(BlobWriteError::Superseded.into()),
        outcome => {
            let between = upload.is_between_chunks();
            let state = upload.finish(session.now()).await;
            outcome?;
            let state = state?;
            if between { Ok(state) } else { Err(BlobEnd::Cut) }
        }
    }
}

/// From the stream into pieces, until all that was announced or the end came.
async fn take(
    stream: &mut BlobStream,
    mut left: u64,
    pieces: mpsc::Sender<Piece>,
    blobs: &Blobs,
) -> Result<(), BlobEnd> {
    let mut piece: Option<Piece> = None;
    loop {
        let Some(filling) = &mut piece else {
            if left == 0 {
                return Ok(());
            }
            // Until there are bytes no memory is taken for them.
            let Some(bytes) = stream.read().await.map_err(|_| BlobEnd::Lost)? else { return Ok(()) };
            let room = Arc::clone(&blobs.writing).acquire_owned().await.map_err(|_| BlobEnd::Lost)?;
            let count = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let mut filling = Piece { bytes: vec![0; PIECE.max(count)], filled: count, _room: room };
            filling.bytes.iter_mut().zip(bytes.iter().take(count)).for_each(|(to, from)| *to = *from);
            left = left.saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
            piece = Some(filling);
            continue;
        };
        let most = filling.bytes.len().min(filling.filled.saturating_add(usize::try_from(left).unwrap_or(usize::MAX)));
        let open = filling.bytes.get_mut(filling.filled..most).unwrap_or_default();
        let over = tokio::select! {
            biased;
            read = stream.read_into(open), if !open.is_empty() => match read.map_err(|_| BlobEnd::Lost)? {
                Some(count) => {
                    filling.filled = filling.filled.saturating_add(count);
                    left = left.saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
                    continue;
                }
                None => true,
            },
            permit = pieces.reserve() => match (permit, piece.take()) {
                (Ok(permit), Some(piece)) => {
                    permit.send(piece);
                    false
                }
                // Whoever takes them has ended, and says why.
                _ => return Ok(()),
            },
        };
        if over {
            if let Some(piece) = piece.take() {
                let _ = pieces.send(piece).await;
            }
            return Ok(());
        }
    }
}

/// From pieces into the store.
async fn put<S: Store>(
    upload: &mut S::Upload,
    mut came: mpsc::Receiver<Piece>,
    now: impl Fn() -> Timestamp,
) -> Result<(), BlobEnd> {
    let mut settled = false;
    loop {
        let piece = tokio::select! {
            biased;
            piece = came.recv() => piece,
            // A client that pauses does not keep what it sent from being recorded.
            outcome = upload.settle(), if !settled => {
                outcome?;
                settled = true;
                continue;
            }
        };
        let Some(Piece { mut bytes, filled, _room }) = piece else { return Ok(()) };
        bytes.truncate(filled);
        upload.write(bytes, now()).await?;
        settled = false;
    }
}

/// The answer, and then what was asked for.
async fn read(stream: &mut BlobStream, answer: &ServerFrame, mut download: impl Downloading, blobs: &Blobs) {
    let Ok(payload) = answer.encode() else { return stream.fail(ErrorCode::Unexpected) };
    if stream.write_frame(&payload).await.is_err() {
        return;
    }
    let mut next = piece(&mut download, blobs).await;
    loop {
        let (bytes, room) = match next {
            Ok(Some(piece)) => piece,
            Ok(None) => return stream.finish(),
            Err(BlobError::Refused) => return stream.fail(ErrorCode::Refused),
            Err(_) => return stream.fail(ErrorCode::StoreUnavailable),
        };
        let sending = async {
            let sent = stream.write(bytes).await;
            drop(room);
            sent
        };
        let (sent, following) = tokio::join!(sending, piece(&mut download, blobs));
        if sent.is_err() {
            return;
        }
        next = following;
    }
}

type Taken = Option<(Vec<u8>, OwnedSemaphorePermit)>;

async fn piece(download: &mut impl Downloading, blobs: &Blobs) -> Result<Taken, BlobError> {
    let room = Arc::clone(&blobs.reading).acquire_owned().await.map_err(|_| Unavailable)?;
    Ok(download.next(PIECE).await?.map(|bytes| (bytes, room)))
}

/// One answer, and the end.
async fn say(stream: &mut BlobStream, answer: &ServerFrame) {
    let Ok(payload) = answer.encode() else { return stream.fail(ErrorCode::Unexpected) };
    if stream.write_frame(&payload).await.is_ok() {
        stream.finish();
    }
}

/// Bytes of a piece.
const PIECE: usize = 128 << 10;
/// Pieces of all streams, each way: 64 MiB.
const PIECES: usize = 512;
/// Streams that one connection moves chunks on at once.
const PER_CONNECTION: usize = 4;
