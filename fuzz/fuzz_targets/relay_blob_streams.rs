#![no_main]
//! Blob streams of a relay (spec 17.9, 17.22): uploads and downloads of two blobs, by pieces of whatever length, cut off, taken over and finished, with
//! right and wrong capabilities, and streams that begin with anything. What is told to be there is what was written, and stays.
use std::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

use libfuzzer_sys::fuzz_target;
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use waxwing_relay::{
    service::{BlobAnswer, BlobEnd, Clock, Gone, Outbox, Relay, Session, Settings, Source},
    store::{BlobWriteError, Blobs, Downloading as _, MemoryStore, NewBlob, Rules, Uploading as _},
};
use waxwing_wire::{
    frame::ErrorCode,
    id::BlobId,
    relay::{Capability, RelayReply, RelayRequest, Request, RequestId, ServerFrame, TransferBlob, VerifierKind},
    request::Exporter,
    sealed::ChunkSize,
    time::Timestamp,
};

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const CHUNK: u64 = 65_536;
const COUNT: u32 = 4;

/// Nothing is said on the control stream.
struct Nobody;

impl Outbox for Nobody {
    async fn control(&self, _: &ServerFrame) -> Result<(), Gone> {
        Ok(())
    }

    async fn backlog(&self, _: &ServerFrame) -> Result<(), Gone> {
        Ok(())
    }

    async fn pause(&self, _: Duration) {}

    fn end(&self, _: ErrorCode) {}
}

type Answer<'s> = Pin<Box<dyn Future<Output = Result<BlobAnswer<MemoryStore>, ErrorCode>> + 's>>;
type Upload = <MemoryStore as Blobs>::Upload;

/// A store in memory answers at once.
fn now<T>(future: impl Future<Output = T>) -> T {
    polled(&mut pin!(future)).expect("a store in memory waits for nothing")
}

fn polled<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
    match Pin::new(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}

fn id(blob: usize) -> BlobId {
    BlobId::from_bytes([u8::try_from(blob).unwrap() + 1; 16])
}

fn capability(kind: VerifierKind) -> Capability {
    Capability::from_bytes(if kind == VerifierKind::WriteBlob { [1; 32] } else { [2; 32] })
}

/// The bytes of a blob, any part of them.
fn content(blob: usize, at: u64, length: u64) -> Vec<u8> {
    (at..at + length).map(|at| (at.wrapping_mul(0x9e37_79b9) >> 13) as u8 ^ blob as u8).collect()
}

/// A capability is no `Clone`: it is shown once, in a request.
fn again(transfer: &TransferBlob) -> TransferBlob {
    let TransferBlob { blob, capability, first, count } = transfer;
    TransferBlob { blob: *blob, capability: Capability::from_bytes(*capability.expose()), first: *first, count: *count }
}

fn request(body: RelayRequest) -> Vec<u8> {
    Request { id: RequestId::new(7).unwrap(), body }.encode().unwrap()
}

fn state_of(frame: ServerFrame) -> Result<u32, ErrorCode> {
    match frame {
        ServerFrame::Reply { result: Ok(RelayReply::BlobState(state)), .. } => Ok(state.written),
        ServerFrame::Reply { result: Err(error), .. } => Err(error.code),
        other => panic!("{other:?}"),
    }
}

struct World<'r> {
    store: &'r MemoryStore,
    session: &'r Session<MemoryStore, Nobody>,
    /// Of each blob: what was told to be there, and who writes at which byte.
    told: [u32; 2],
    writers: [Option<(RequestId, Upload, u64)>; 2],
}

impl World<'_> {
    /// What is there, which is never less than what was told.
    fn written(&mut self, blob: usize) -> u32 {
        let state = self.store.blob_state(&id(blob), &capability(VerifierKind::ReadBlob), NOW).unwrap();
        assert!(state.written >= self.told[blob] && state.written <= COUNT);
        self.told[blob] = state.written;
        state.written
    }

    fn begin(&mut self, blob: usize, transfer: &TransferBlob, is_right: bool) {
        let payload = request(RelayRequest::WriteBlob(again(transfer)));
        let mut answer: Answer<'_> = Box::pin(self.session.receive_blob(&payload, None));
        let mut done = polled(&mut answer);
        if done.is_none() {
            // Only whoever writes it is waited for, and that one hears of it.
            let (_, mut old, at) = self.writers[blob].take().expect("somebody writes");
            let piece = content(blob, at, 1.min(old.left()));
            assert_eq!(now(old.write(piece, NOW)), Err(BlobWriteError::Superseded));
            drop(old);
            done = polled(&mut answer);
        }
        drop(answer);
        match done.expect("nobody else is in the way").expect("a request") {
            BlobAnswer::Write(request, upload) => {
                assert!(is_right);
                let at = u64::from(transfer.first) * CHUNK;
                assert_eq!(upload.left(), u64::from(transfer.count) * CHUNK);
                assert!(self.writers[blob].replace((request, upload, at)).is_none());
            }
            BlobAnswer::Refused(frame) => {
                let code = state_of(frame).unwrap_err();
                let expected = if is_right { ErrorCode::BlobRange } else { ErrorCode::Refused };
                assert_eq!(code, expected);
            }
            BlobAnswer::Read(..) => panic!("a write is answered as a read"),
        }
    }

    fn write(&mut self, blob: usize, length: u64) {
        let Some((_, upload, at)) = &mut self.writers[blob] else { return };
        let left = upload.left();
        let outcome = now(upload.write(content(blob, *at, length), NOW));
        if length > left {
            assert_eq!(outcome, Err(BlobWriteError::Range));
            assert_eq!(upload.left(), left);
        } else {
            assert_eq!(outcome, Ok(()));
            *at += length;
            assert_eq!(upload.left(), left - length);
            assert_eq!(upload.is_between_chunks(), *at % CHUNK == 0);
        }
    }

    fn finish(&mut self, blob: usize) {
        let Some((request, upload, at)) = self.writers[blob].take() else { return };
        let outcome = now(upload.finish(NOW)).map_err(BlobEnd::from);
        let told = state_of(self.session.wrote_blob(request, outcome)).unwrap();
        assert_eq!(u64::from(told), at / CHUNK, "every chunk that is whole");
        assert_eq!(self.written(blob), told);
    }

    fn read(&mut self, blob: usize, transfer: &TransferBlob, most: usize) {
        let there = self.written(blob);
        let payload = request(RelayRequest::ReadBlob(again(transfer)));
        match now(self.session.receive_blob(&payload, None)).unwrap() {
            BlobAnswer::Read(frame, mut download) => {
                assert_eq!(state_of(frame), Ok(there));
                let mut at = u64::from(transfer.first) * CHUNK;
                let end = at + u64::from(transfer.count) * CHUNK;
                assert!(end <= u64::from(there) * CHUNK);
                while let Some(piece) = now(download.next(most)).unwrap() {
                    assert!(!piece.is_empty() && piece.len() <= most);
                    let length = u64::try_from(piece.len()).unwrap();
                    assert_eq!(piece, content(blob, at, length));
                    at += length;
                }
                assert_eq!(at, end);
            }
            BlobAnswer::Refused(frame) => {
                let beyond = transfer.first.saturating_add(transfer.count) > there;
                let code = state_of(frame).unwrap_err();
                assert!(code == ErrorCode::Refused || beyond, "{code:?}");
            }
            BlobAnswer::Write(..) => panic!("a read is answered as a write"),
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let store = MemoryStore::new(Rules::default());
    for blob in 0..2 {
        let verifier = |kind| capability(kind).verifier(kind, id(blob).as_bytes());
        let new = NewBlob {
            blob: id(blob),
            chunk: ChunkSize::K64,
            count: COUNT,
            write_verifier: verifier(VerifierKind::WriteBlob),
            read_verifier: verifier(VerifierKind::ReadBlob),
            invite: None,
        };
        now(store.create_blob(new, NOW)).unwrap();
    }
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let relay = Relay::new(store.clone(), Settings::default(), Clock::new(|| NOW), &mut rng);
    let session = relay.session(Exporter::from_bytes([1; 32]), Source(1), Nobody);
    let mut world = World { store: &store, session: &session, told: [0; 2], writers: [None, None] };
    let mut rest = bytes;
    while let [op, one, two, left @ ..] = rest {
        rest = left;
        let blob = usize::from(op >> 7);
        let wrong = one & 0x80 != 0;
        let transfer = |kind, first| {
            let capability = if wrong { Capability::from_bytes([3; 32]) } else { capability(kind) };
            // A request for nothing has no encoding.
            let count = u32::from(two & 7).max(1);
            TransferBlob { blob: id(blob), capability, first, count }
        };
        match op & 7 {
            0 => {
                let there = world.written(blob);
                // Now and then elsewhere than where it goes on.
                let first = if one & 0x40 != 0 { u32::from(one & 7) } else { there };
                world.begin(blob, &transfer(VerifierKind::WriteBlob, first), !wrong);
            }
            1..4 => world.write(blob, u64::from(u16::from_be_bytes([*one, *two])) * u64::from(op & 3)),
            4 => world.finish(blob),
            5 => {
                world.writers[blob] = None;
                world.written(blob);
            }
            6 => {
                let most = 1 + usize::from(one & 0x3f) * 1_024 + usize::from(*two);
                world.read(blob, &transfer(VerifierKind::ReadBlob, u32::from(two >> 3 & 7)), most);
            }
            _ => {
                let payload = left.get(..usize::from(*two).min(left.len())).unwrap_or_default();
                if let Ok(BlobAnswer::Write(..)) = now(session.receive_blob(payload, None)) {
                    panic!("nobody knows a capability by chance");
                }
            }
        }
    }
    for blob in 0..2 {
        world.finish(blob);
        let there = world.written(blob);
        if there > 0 {
            let capability = capability(VerifierKind::ReadBlob);
            world.read(blob, &TransferBlob { blob: id(blob), capability, first: 0, count: there }, 60_000);
        }
    }
});
