//! Spec §17.9: blobs.
use std::time::Duration;

use futures_util::FutureExt as _;
use waxwing_relay::store::{
    BlobCreateError, BlobError, BlobReadError, BlobRules, BlobWriteError, Blobs, Downloading as _, NewBlob, Rules,
    Store, Unavailable, Uploading as _,
};
use waxwing_wire::{
    id::BlobId,
    relay::{BlobState, Capability, TransferBlob, VerifierKind},
    sealed::ChunkSize,
    time::Timestamp,
};

use super::Subject;
use crate::scene::{DAY, NOW, after};

super::conformance!(
    creating_a_blob_twice_is_creating_it_once,
    an_invitation_serves_one_blob,
    a_blob_has_at_least_a_chunk_and_at_most_its_limit,
    chunks_come_back_as_they_went_in_from_any_chunk_on,
    chunks_of_each_size_are_written_in_pieces_of_any_size,
    writing_begins_at_the_first_chunk_that_is_not_there,
    reading_is_of_what_is_written,
    a_capability_is_for_its_own_kind_and_blob,
    what_is_whole_stays_and_the_rest_is_forgotten,
    a_dropped_upload_leaves_what_was_recorded,
    who_comes_later_writes_and_the_one_before_hears_of_it,
    a_blob_lives_from_its_last_chunk_on,
    a_deleted_blob_is_absent_and_can_be_made_anew,
    a_reader_of_a_deleted_blob_is_told,
    all_blobs_together_take_no_more_than_they_may,
);

pub(crate) const WRITE: VerifierKind = VerifierKind::WriteBlob;
pub(crate) const READ: VerifierKind = VerifierKind::ReadBlob;
const K64: usize = 65_536;

pub(crate) fn id(number: u8) -> BlobId {
    BlobId::from_bytes([number; 16])
}

pub(crate) fn capability(kind: VerifierKind) -> Capability {
    Capability::from_bytes([if kind == WRITE { 1 } else { 2 }; 32])
}

pub(crate) fn new(number: u8, chunk: ChunkSize, count: u32) -> NewBlob {
    let verifier = |kind| capability(kind).verifier(kind, id(number).as_bytes());
    let (write_verifier, read_verifier) = (verifier(WRITE), verifier(READ));
    NewBlob { blob: id(number), chunk, count, write_verifier, read_verifier, invite: None }
}

pub(crate) fn transfer(number: u8, kind: VerifierKind, first: u32, count: u32) -> TransferBlob {
    TransferBlob { blob: id(number), capability: capability(kind), first, count }
}

/// Bytes that say where they are.
pub(crate) fn bytes(from: usize, count: usize) -> Vec<u8> {
    (from..from + count).map(|at| (at as u64 / 8).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[at % 8]).collect()
}

pub(crate) fn state(store: &impl Blobs, number: u8, now: Timestamp) -> Result<BlobState, BlobError> {
    store.blob_state(&id(number), &capability(READ), now)
}

/// Writes chunks of 64 KiB.
pub(crate) async fn written(store: &impl Blobs, number: u8, first: u32, count: u32) -> BlobState {
    let mut upload = store.write_blob(&transfer(number, WRITE, first, count), NOW).await.unwrap();
    for chunk in first..first + count {
        upload.write(bytes(chunk as usize * K64, K64), NOW).await.unwrap();
    }
    assert_eq!(upload.left(), 0);
    upload.finish(NOW).await.unwrap()
}

pub(crate) async fn read(
    store: &impl Blobs,
    number: u8,
    first: u32,
    count: u32,
    piece: usize,
) -> Result<Vec<u8>, BlobReadError> {
    let (_, mut download) = store.read_blob(&transfer(number, READ, first, count), NOW).await?;
    let mut all = Vec::new();
    while let Some(bytes) = download.next(piece).await.unwrap() {
        assert!(!bytes.is_empty() && bytes.len() <= piece);
        all.extend(bytes);
    }
    Ok(all)
}

async fn creating_a_blob_twice_is_creating_it_once<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    let ends = after(DAY);
    let empty = BlobState { chunk: ChunkSize::K64, count: 3, written: 0, ends };
    assert_eq!(store.create_blob(new(1, ChunkSize::K64, 3), NOW).await, Ok(empty));
    assert_eq!(state(store, 1, NOW), Ok(empty));
    let one = written(store, 1, 0, 1).await;
    assert_eq!(one, BlobState { written: 1, ends: after(30 * DAY), ..empty });
    assert_eq!(store.create_blob(new(1, ChunkSize::K64, 3), NOW).await, Ok(one), "what is there stays");
    let others = [
        new(1, ChunkSize::K64, 4),
        new(1, ChunkSize::K256, 3),
        NewBlob { read_verifier: new(2, ChunkSize::K64, 3).read_verifier, ..new(1, ChunkSize::K64, 3) },
        NewBlob { write_verifier: new(2, ChunkSize::K64, 3).write_verifier, ..new(1, ChunkSize::K64, 3) },
    ];
    for other in others {
        assert_eq!(store.create_blob(other, NOW).await, Err(BlobCreateError::Taken));
    }
    assert_eq!((store.stats().blobs, store.stats().blob_bytes), (1, 65_536));
}

async fn an_invitation_serves_one_blob<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    let invited = |number| NewBlob { invite: Some([7; 32]), ..new(number, ChunkSize::K64, 1) };
    assert_eq!(store.create_blob(invited(1), NOW).await, Err(BlobCreateError::Invite));
    store.add_invite([7; 32]).await.unwrap();
    assert!(store.create_blob(invited(1), NOW).await.is_ok());
    assert!(store.create_blob(invited(1), NOW).await.is_ok());
    assert_eq!(store.create_blob(invited(2), NOW).await, Err(BlobCreateError::Invite));
}

async fn a_blob_has_at_least_a_chunk_and_at_most_its_limit<S: Subject>() {
    let blobs = BlobRules { bytes: 1 << 20, ..BlobRules::default() };
    let subject = S::new(Rules { blobs, ..Rules::default() }).await;
    let store = subject.store();
    for (chunk, count) in
        [(ChunkSize::K64, 0), (ChunkSize::K64, 17), (ChunkSize::M1, 2), (ChunkSize::M4, 1), (ChunkSize::M4, u32::MAX)]
    {
        assert_eq!(store.create_blob(new(1, chunk, count), NOW).await, Err(BlobCreateError::Size), "{chunk:?} {count}");
    }
    for (number, chunk, count) in [(1, ChunkSize::K64, 16), (2, ChunkSize::M1, 1)] {
        assert!(store.create_blob(new(number, chunk, count), NOW).await.is_ok());
    }
    let all = BlobRules { bytes: u64::MAX, ..BlobRules::default() };
    let subject = S::new(Rules { blobs: all, ..Rules::default() }).await;
    let most = subject.store().create_blob(new(1, ChunkSize::K64, 262_145), NOW).await;
    assert_eq!(most, Err(BlobCreateError::Size), "§14.8.1");
}

async fn chunks_come_back_as_they_went_in_from_any_chunk_on<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    store.create_blob(new(1, ChunkSize::K64, 5), NOW).await.unwrap();
    written(store, 1, 0, 2).await;
    assert_eq!(written(store, 1, 2, 3).await.written, 5);
    for first in 0..5 {
        for count in 1..=5 - first {
            let came = read(store, 1, first, count, 50_000).await.unwrap();
            assert_eq!(came, bytes(first as usize * K64, count as usize * K64), "{count} from {first}");
        }
    }
}

async fn chunks_of_each_size_are_written_in_pieces_of_any_size<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    for (number, chunk) in (1..).zip(ChunkSize::ALL) {
        let size = chunk.bytes() as usize;
        store.create_blob(new(number, chunk, 3), NOW).await.unwrap();
        let mut upload = store.write_blob(&transfer(number, WRITE, 0, 3), NOW).await.unwrap();
        let (all, mut at) = (bytes(0, 3 * size), 0);
        for piece in (1..).map(|step: usize| step * step * 997) {
            let end = all.len().min(at + piece);
            upload.write(all[at..end].to_vec(), NOW).await.unwrap();
            assert_eq!(upload.is_between_chunks(), end % size == 0);
            at = end;
            if at == all.len() {
                break;
            }
        }
        let beyond = upload.write(vec![1], NOW).await;
        assert_eq!(beyond, Err(BlobWriteError::Range), "no more than was announced");
        assert_eq!(upload.finish(NOW).await.unwrap().written, 3);
        assert!(read(store, number, 0, 3, 100_000).await.unwrap() == all);
    }
}

async fn writing_begins_at_the_first_chunk_that_is_not_there<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    store.create_blob(new(1, ChunkSize::K64, 4), NOW).await.unwrap();
    written(store, 1, 0, 2).await;
    for (first, count) in [(0, 1), (1, 1), (1, 3), (3, 1), (2, 0), (2, 3), (4, 1), (2, u32::MAX), (u32::MAX, 2)] {
        let refused = store.write_blob(&transfer(1, WRITE, first, count), NOW).await;
        assert_eq!(refused.map(drop).unwrap_err(), BlobWriteError::Range, "{count} from {first}");
    }
    assert_eq!(written(store, 1, 2, 1).await.written, 3);
}

async fn reading_is_of_what_is_written<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    store.create_blob(new(1, ChunkSize::K64, 4), NOW).await.unwrap();
    assert_eq!(read(store, 1, 0, 1, 1).await, Err(BlobReadError::Incomplete));
    written(store, 1, 0, 2).await;
    for (first, count) in [(0, 3), (2, 1), (3, 1)] {
        assert_eq!(read(store, 1, first, count, 1).await, Err(BlobReadError::Incomplete), "{count} from {first}");
    }
    for (first, count) in [(0, 0), (0, 5), (4, 1), (1, u32::MAX), (u32::MAX, 1)] {
        assert_eq!(read(store, 1, first, count, 1).await, Err(BlobReadError::Range), "{count} from {first}");
    }
    assert!(read(store, 1, 0, 2, K64).await.is_ok());
}

async fn a_capability_is_for_its_own_kind_and_blob<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    store.create_blob(new(1, ChunkSize::K64, 4), NOW).await.unwrap();
    let kept = written(store, 1, 0, 1).await;
    // Another's, one of the other kind, and one of a blob that is not there.
    for (number, kind) in [(1, READ), (2, WRITE)] {
        let write = store.write_blob(&transfer(number, kind, 1, 1), NOW).await;
        assert_eq!(write.map(drop).unwrap_err(), BlobWriteError::Refused);
        assert_eq!(store.delete_blob(&id(number), &capability(kind), NOW).await, Err(BlobError::Refused));
    }
    for (number, kind) in [(1, WRITE), (2, READ)] {
        let read = store.read_blob(&transfer(number, kind, 0, 1), NOW).await;
        assert_eq!(read.map(drop).unwrap_err(), BlobReadError::Refused);
    }
    for kind in [WRITE, READ] {
        assert_eq!(store.blob_state(&id(1), &capability(kind), NOW), Ok(kept), "either may ask");
        assert_eq!(store.blob_state(&id(2), &capability(kind), NOW), Err(BlobError::Refused));
    }
    assert_eq!(store.blob_state(&id(1), &Capability::from_bytes([9; 32]), NOW), Err(BlobError::Refused));
}

async fn what_is_whole_stays_and_the_rest_is_forgotten<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    store.create_blob(new(1, ChunkSize::K64, 4), NOW).await.unwrap();
    let mut upload = store.write_blob(&transfer(1, WRITE, 0, 4), NOW).await.unwrap();
    upload.write(bytes(0, 2 * K64 + 100), NOW).await.unwrap();
    assert!(!upload.is_between_chunks());
    assert_eq!(upload.finish(NOW).await.unwrap().written, 2);
    assert_eq!(store.stats().blob_bytes, 2 * 65_536);
    // Other bytes than those that were cut off.
    assert_eq!(written(store, 1, 2, 2).await.written, 4);
    assert!(read(store, 1, 0, 4, K64).await.unwrap() == bytes(0, 4 * K64));
}

async fn a_dropped_upload_leaves_what_was_recorded<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    store.create_blob(new(1, ChunkSize::M1, 20), NOW).await.unwrap();
    let mut upload = store.write_blob(&transfer(1, WRITE, 0, 20), NOW).await.unwrap();
    for piece in 0..9 {
        upload.write(bytes(piece << 20, 1 << 20), NOW).await.unwrap();
    }
    upload.settle().await.unwrap();
    let told = state(store, 1, NOW).unwrap().written;
    assert!(told >= 8, "while an upload goes on, what it brought is recorded: {told}");
    drop(upload);
    // Whoever writes next waits until the file is nobody's any more.
    drop(store.write_blob(&transfer(1, WRITE, told, 1), NOW).await.unwrap());
    assert_eq!(state(store, 1, NOW).unwrap().written, told);
    assert_eq!(store.stats().blob_bytes, u64::from(told) << 20);
    assert!(read(store, 1, 0, told, 1 << 20).await.unwrap() == bytes(0, (told as usize) << 20));
}

async fn who_comes_later_writes_and_the_one_before_hears_of_it<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    store.create_blob(new(1, ChunkSize::K64, 4), NOW).await.unwrap();
    let mut before = store.write_blob(&transfer(1, WRITE, 0, 4), NOW).await.unwrap();
    before.write(vec![0xee; 3 * K64], NOW).await.unwrap();
    let mut superseded = Box::pin(before.superseded());
    assert_eq!(superseded.as_mut().now_or_never(), None);
    let later_transfer = transfer(1, WRITE, 0, 4);
    let mut later = Box::pin(store.write_blob(&later_transfer, NOW));
    assert!(later.as_mut().now_or_never().is_none(), "it waits for the one before");
    superseded.await;
    assert_eq!(before.write(vec![0xee; K64], NOW).await, Err(BlobWriteError::Superseded));
    drop(before);
    let mut later = later.await.unwrap();
    later.write(bytes(0, 4 * K64), NOW).await.unwrap();
    assert_eq!(later.finish(NOW).await.unwrap().written, 4);
    assert!(read(store, 1, 0, 4, K64).await.unwrap() == bytes(0, 4 * K64));
    assert_eq!(store.stats().blob_bytes, 4 * 65_536);
}

async fn a_blob_lives_from_its_last_chunk_on<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    for number in 1..=2 {
        store.create_blob(new(number, ChunkSize::K64, 2), NOW).await.unwrap();
    }
    written(store, 1, 0, 1).await;
    let (day, month) = (after(DAY), after(30 * DAY));
    let before = |at: Timestamp| Timestamp(at.0 - 1);
    assert!(state(store, 2, before(day)).is_ok());
    assert_eq!(state(store, 2, day), Err(BlobError::Refused), "one that has no chunk");
    assert!(state(store, 1, before(month)).is_ok());
    assert_eq!(store.stats().blobs, 2, "nobody has looked yet");
    // Past its time it is absent for all, and its id is free.
    let over = store.write_blob(&transfer(1, WRITE, 1, 1), month).await;
    assert_eq!(over.map(drop).unwrap_err(), BlobWriteError::Refused);
    assert!(store.create_blob(new(1, ChunkSize::K256, 1), month).await.is_ok());
    let stats = store.stats();
    assert_eq!((stats.blobs, stats.blob_bytes), (2, 0));
    while store.expire(month).await.unwrap() {}
    assert_eq!(store.stats().blobs, 1);
    while store.expire(Timestamp(month.0 + DAY)).await.unwrap() {}
    assert_eq!(store.stats().blobs, 0);

    // Each chunk gives it another month, also while the round looks.
    let short =
        BlobRules { lifetime: Duration::from_millis(100), empty: Duration::from_millis(10), ..BlobRules::default() };
    let subject = S::new(Rules { blobs: short, ..Rules::default() }).await;
    let store = subject.store();
    store.create_blob(new(1, ChunkSize::K64, 2), NOW).await.unwrap();
    let mut upload = store.write_blob(&transfer(1, WRITE, 0, 2), NOW).await.unwrap();
    upload.write(bytes(0, K64), after(5)).await.unwrap();
    assert_eq!(upload.finish(after(5)).await.unwrap().ends, after(105));
    assert_eq!(store.expire(after(50)).await, Ok(false));
    assert_eq!(store.stats().blobs, 1);
    assert_eq!(store.expire(after(105)).await, Ok(false));
    assert_eq!((store.stats().blobs, store.stats().blob_bytes), (0, 0));
}

async fn a_deleted_blob_is_absent_and_can_be_made_anew<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    store.create_blob(new(1, ChunkSize::K64, 2), NOW).await.unwrap();
    written(store, 1, 0, 2).await;
    assert_eq!(store.delete_blob(&id(1), &capability(WRITE), NOW).await, Ok(()));
    assert_eq!(state(store, 1, NOW), Err(BlobError::Refused));
    assert_eq!(store.delete_blob(&id(1), &capability(WRITE), NOW).await, Err(BlobError::Refused));
    assert_eq!((store.stats().blobs, store.stats().blob_bytes), (0, 0));
    store.create_blob(new(1, ChunkSize::K64, 3), NOW).await.unwrap();
    assert_eq!(written(store, 1, 0, 1).await.written, 1);
    // Whoever writes is told, and waited for.
    let mut upload = store.write_blob(&transfer(1, WRITE, 1, 2), NOW).await.unwrap();
    upload.write(bytes(0, K64), NOW).await.unwrap();
    let (blob, capability) = (id(1), capability(WRITE));
    let mut deleting = Box::pin(store.delete_blob(&blob, &capability, NOW));
    assert_eq!(deleting.as_mut().now_or_never(), None);
    upload.superseded().await;
    drop(upload);
    assert_eq!(deleting.await, Ok(()));
    assert_eq!((store.stats().blobs, store.stats().blob_bytes), (0, 0));
}

async fn a_reader_of_a_deleted_blob_is_told<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    store.create_blob(new(1, ChunkSize::K64, 2), NOW).await.unwrap();
    written(store, 1, 0, 2).await;
    let (_, mut download) = store.read_blob(&transfer(1, READ, 0, 2), NOW).await.unwrap();
    assert!(download.next(K64).await.unwrap().is_some());
    store.delete_blob(&id(1), &capability(WRITE), NOW).await.unwrap();
    assert_eq!(download.next(K64).await, Err(BlobError::Refused));
}

async fn all_blobs_together_take_no_more_than_they_may<S: Subject>() {
    let blobs = BlobRules { total: 5 * 65_536, ..BlobRules::default() };
    let subject = S::new(Rules { blobs, ..Rules::default() }).await;
    let store = subject.store();
    for number in 1..=2 {
        store.create_blob(new(number, ChunkSize::K64, 4), NOW).await.unwrap();
    }
    written(store, 1, 0, 4).await;
    let mut upload = store.write_blob(&transfer(2, WRITE, 0, 4), NOW).await.unwrap();
    upload.write(bytes(0, K64 - 1), NOW).await.unwrap();
    // The chunk that has begun counts; the next does not fit.
    upload.write(bytes(K64 - 1, 1), NOW).await.unwrap();
    assert_eq!(upload.write(bytes(K64, 1), NOW).await, Err(BlobWriteError::Unavailable(Unavailable)));
    assert_eq!(upload.finish(NOW).await.unwrap().written, 1, "what is whole stays");
    assert_eq!(store.stats().blob_bytes, 5 * 65_536);
    store.add_invite([7; 32]).await.unwrap();
    let third = || NewBlob { invite: Some([7; 32]), ..new(3, ChunkSize::K64, 1) };
    assert_eq!(store.create_blob(third(), NOW).await, Err(BlobCreateError::Unavailable(Unavailable)));
    store.delete_blob(&id(1), &capability(WRITE), NOW).await.unwrap();
    assert!(store.create_blob(third(), NOW).await.is_ok(), "and its invitation had not served");
    assert_eq!(written(store, 2, 1, 3).await.written, 4);
}
