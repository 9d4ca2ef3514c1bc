//! Spec §17.22: blobs as a session serves them.
use std::time::Duration;

use waxwing_relay::{
    service::{BlobAnswer, BlobEnd, Rate, Rates, Settings, invite_hash},
    store::{BlobRules, BlobWriteError, Downloading as _, MemoryStore, Rules, Store as _, Unavailable, Uploading as _},
};
use waxwing_wire::{
    frame::{Admission, ErrorCode, InviteToken, ServerError, Work},
    pow::{Difficulty, Puzzle},
    relay::{
        BlobState, BlobStatus, Capability, CreateBlob, DeleteBlob, Limits, RelayReply, RelayRequest, Request,
        RequestId, ServerFrame, TransferBlob,
    },
    sealed::ChunkSize,
};

use super::desk::{Phone, Place, place, settings};
use crate::{
    conformance::blobs::{READ, WRITE, bytes, capability, id, transfer},
    scene::{DAY, after},
};

const ALICE: u8 = 1;

fn create(number: u8, admission: Admission) -> RelayRequest {
    let verifier = |kind| capability(kind).verifier(kind, id(number).as_bytes());
    let (write_verifier, read_verifier) = (verifier(WRITE), verifier(READ));
    let (blob, chunk, count) = (id(number), ChunkSize::K64, 2);
    RelayRequest::CreateBlob(CreateBlob { blob, chunk, count, write_verifier, read_verifier, admission })
}

fn made(written: u32) -> BlobState {
    let ends = if written == 0 { after(DAY) } else { after(30 * DAY) };
    BlobState { chunk: ChunkSize::K64, count: 2, written, ends }
}

fn answer(state: BlobState) -> Result<RelayReply, ServerError> {
    Ok(RelayReply::BlobState(state))
}

fn status(number: u8, capability: Capability) -> RelayRequest {
    RelayRequest::BlobStatus(BlobStatus { blob: id(number), capability })
}

fn delete(number: u8, capability: Capability) -> RelayRequest {
    RelayRequest::DeleteBlob(DeleteBlob { blob: id(number), capability })
}

fn numbered(number: u32) -> RequestId {
    RequestId::new(number).unwrap()
}

/// What a blob stream's frame is answered with.
async fn begin(phone: &Phone<MemoryStore>, body: RelayRequest) -> BlobAnswer<MemoryStore> {
    let payload = Request { id: numbered(9), body }.encode().unwrap();
    phone.session.receive_blob(&payload, None).await.unwrap()
}

async fn refused(phone: &Phone<MemoryStore>, body: RelayRequest) -> ServerError {
    match begin(phone, body).await {
        BlobAnswer::Refused(ServerFrame::Reply { id, result: Err(error) }) if id == numbered(9) => error,
        other => panic!("{other:?}"),
    }
}

async fn holder(place: &Place<MemoryStore>) -> Phone<MemoryStore> {
    let mut phone = place.connect(usize::MAX);
    assert_eq!(phone.call(create(1, Admission::Open)).await, answer(made(0)));
    phone
}

#[tokio::test]
async fn a_blob_is_made_written_read_and_deleted() {
    let place = place();
    let mut phone = holder(&place).await;
    let BlobAnswer::Write(request, mut upload) = begin(&phone, RelayRequest::WriteBlob(transfer(1, WRITE, 0, 2))).await
    else {
        panic!()
    };
    upload.write(bytes(0, 131_072), phone.session.now()).await.unwrap();
    let written = upload.finish(phone.session.now()).await.unwrap();
    let said = phone.session.wrote_blob(request, Ok(written));
    assert_eq!(said, ServerFrame::Reply { id: numbered(9), result: answer(made(2)) });
    assert_eq!(phone.call(status(1, capability(READ))).await, answer(made(2)));
    let BlobAnswer::Read(said, mut download) = begin(&phone, RelayRequest::ReadBlob(transfer(1, READ, 1, 1))).await
    else {
        panic!()
    };
    assert_eq!(said, ServerFrame::Reply { id: numbered(9), result: answer(made(2)) });
    assert!(download.next(65_536).await.unwrap().unwrap() == bytes(65_536, 65_536));
    assert_eq!(download.next(65_536).await, Ok(None));
    assert_eq!(phone.call(delete(1, capability(WRITE))).await, Ok(RelayReply::Done));
    assert_eq!(phone.code(status(1, capability(READ))).await, ErrorCode::Refused);
    let done = place.relay.counters().done().find(|(kind, _)| kind.name() == "blob").unwrap().1;
    assert_eq!(done, 5, "create, write, status, read, delete");
}

#[tokio::test]
async fn e9_absent_blobs_and_wrong_capabilities_are_refused_alike() {
    let place = place();
    let mut phone = holder(&place).await;
    let wrong = || Capability::from_bytes([9; 32]);
    for number in [1, 2] {
        for request in [status(number, wrong()), delete(number, wrong()), delete(number, capability(READ))] {
            assert_eq!(phone.code(request).await, ErrorCode::Refused, "{number}");
        }
        let transfer = |first| TransferBlob { blob: id(number), capability: wrong(), first, count: 1 };
        // Also where the chunks are none: who may not is not told how many there are.
        for first in [0, 1, 7] {
            for request in [RelayRequest::WriteBlob(transfer(first)), RelayRequest::ReadBlob(transfer(first))] {
                assert_eq!(refused(&phone, request).await, ErrorCode::Refused.into(), "{number}");
            }
        }
    }
    assert_eq!(phone.call(status(1, capability(READ))).await, answer(made(0)), "nothing changed");
}

#[tokio::test]
async fn chunks_that_are_none_are_told_from_those_that_are_not_there_yet() {
    let place = place();
    let phone = holder(&place).await;
    for (first, count, code) in [
        (0, 1, ErrorCode::BlobIncomplete),
        (1, 1, ErrorCode::BlobIncomplete),
        (1, 2, ErrorCode::BlobRange),
        (2, 1, ErrorCode::BlobRange),
        (0, 262_144, ErrorCode::BlobRange),
    ] {
        assert_eq!(refused(&phone, RelayRequest::ReadBlob(transfer(1, READ, first, count))).await, code.into());
    }
    for (first, count) in [(1, 1), (0, 3), (2, 1)] {
        let write = RelayRequest::WriteBlob(transfer(1, WRITE, first, count));
        assert_eq!(refused(&phone, write).await, ErrorCode::BlobRange.into());
    }
}

#[tokio::test]
async fn every_end_of_a_write_has_its_code() {
    let place = place();
    let phone = holder(&place).await;
    for (end, code, waits) in [
        (BlobEnd::Cut, ErrorCode::BlobCut, false),
        (BlobEnd::Lost, ErrorCode::BlobCut, false),
        (BlobEnd::Draining, ErrorCode::Draining, true),
        (BlobEnd::Store(BlobWriteError::Superseded), ErrorCode::BlobRange, false),
        (BlobEnd::Store(BlobWriteError::Unavailable(Unavailable)), ErrorCode::StoreUnavailable, true),
    ] {
        let ServerFrame::Reply { result: Err(error), .. } = phone.session.wrote_blob(numbered(1), Err(end)) else {
            panic!()
        };
        assert_eq!((error.code, error.retry_after.is_some()), (code, waits));
    }
}

#[tokio::test]
async fn a_blob_stream_takes_two_requests_and_a_control_stream_the_others() {
    let place = place();
    let mut phone = holder(&place).await;
    for request in [status(1, capability(READ)), RelayRequest::Info, create(2, Admission::Open)] {
        assert_eq!(refused(&phone, request).await, ErrorCode::Unexpected.into());
    }
    for request in [RelayRequest::WriteBlob(transfer(1, WRITE, 0, 1)), RelayRequest::ReadBlob(transfer(1, READ, 0, 1))]
    {
        assert_eq!(phone.code(request).await, ErrorCode::Unexpected);
    }
    assert_eq!(phone.session.receive_blob(b"nonsense", None).await.unwrap_err(), ErrorCode::Malformed);
    let payload = Request { id: numbered(9), body: RelayRequest::WriteBlob(transfer(1, WRITE, 0, 1)) }.encode();
    let full = phone.session.receive_blob(&payload.unwrap(), Some(ErrorCode::TooManyInFlight)).await.unwrap();
    let BlobAnswer::Refused(ServerFrame::Reply { result: Err(error), .. }) = full else { panic!() };
    assert!(error.code == ErrorCode::TooManyInFlight && error.retry_after.is_some());
    phone.session.drain().await;
    let late = RelayRequest::WriteBlob(transfer(1, WRITE, 0, 1));
    assert_eq!(refused(&phone, late).await.code, ErrorCode::Draining);
}

#[tokio::test]
async fn each_way_of_admission_admits_and_nothing_else_does() {
    let mut closed = settings();
    closed.admission.open = false;
    let place = Place::over(MemoryStore::new(Rules::default()), closed);
    let mut phone = place.connect(usize::MAX);
    let invite = || Admission::Invite(InviteToken::from_bytes([5; 16]));
    assert_eq!(phone.code(create(1, Admission::Open)).await, ErrorCode::NotAdmitted);
    assert_eq!(phone.code(create(1, Admission::Owner)).await, ErrorCode::Unauthenticated);
    assert_eq!(phone.code(create(1, invite())).await, ErrorCode::NotAdmitted, "never minted");
    place.relay.store().add_invite(invite_hash(&InviteToken::from_bytes([5; 16]))).await.unwrap();
    assert_eq!(phone.call(create(1, invite())).await, answer(made(0)));
    assert_eq!(phone.code(create(2, invite())).await, ErrorCode::NotAdmitted, "it served");
    let Ok(RelayReply::Info(info)) = phone.call(RelayRequest::Info).await else { panic!() };
    let challenge = info.price.challenge;
    let puzzle = Puzzle::storage(&challenge, id(2).as_bytes(), Difficulty::try_from(8).unwrap());
    let work = || Admission::Work(Work { challenge, nonce: puzzle.solve(0..1 << 20).unwrap() });
    assert_eq!(phone.code(create(3, work())).await, ErrorCode::WorkRequired, "for another blob");
    assert_eq!(phone.call(create(2, work())).await, answer(made(0)));
}

#[tokio::test]
async fn what_is_asked_first_is_answered_first() {
    let rate = Rate { burst: 1, interval: Duration::from_secs(60) };
    let limits = Limits { blob_bytes: 131_072, ..Limits::default() };
    let set = Settings { rates: Rates { blobs: rate, ..Rates::UNLIMITED }, limits, ..settings() };
    let rules = Rules { blobs: BlobRules { total: 0, ..BlobRules::default() }, ..Rules::default() };
    let place = Place::over(MemoryStore::new(rules), set.clone());
    let mut phone = place.connect(usize::MAX);
    let RelayRequest::CreateBlob(large) = create(1, Admission::Open) else { panic!() };
    let large = |admission| {
        let CreateBlob { blob, chunk, count: _, write_verifier, read_verifier, admission: _ } = &large;
        let (blob, chunk, count) = (*blob, *chunk, 3);
        let (write_verifier, read_verifier) = (*write_verifier, *read_verifier);
        RelayRequest::CreateBlob(CreateBlob { blob, chunk, count, write_verifier, read_verifier, admission })
    };
    assert_eq!(phone.code(large(Admission::Owner)).await, ErrorCode::Unauthenticated);
    assert_eq!(phone.code(large(Admission::Open)).await, ErrorCode::BlobRange);
    for _ in 0..3 {
        assert_eq!(phone.code(create(1, Admission::Open)).await, ErrorCode::StoreUnavailable, "and that costs nothing");
    }
    let place = Place::over(MemoryStore::new(Rules::default()), set);
    let mut phone = place.connect(usize::MAX);
    assert!(phone.call(create(1, Admission::Open)).await.is_ok());
    let error = phone.call(create(2, Admission::Open)).await.unwrap_err();
    assert_eq!(error, ServerError { code: ErrorCode::RateLimited, retry_after: Some(Duration::from_secs(60)) });
    let mut elsewhere = place.connect_from(8);
    assert!(elsewhere.call(create(2, Admission::Open)).await.is_ok());
}

#[tokio::test]
async fn an_owner_makes_so_many_an_hour_whatever_registers_it_makes() {
    let place = place();
    let mut alice = place.owner(ALICE).await;
    for number in 0..=255 {
        assert!(alice.call(create(number, Admission::Owner)).await.is_ok());
    }
    assert_eq!(alice.code(create(0, Admission::Owner)).await, ErrorCode::RateLimited);
    assert!(alice.call(super::registers::create(1, Admission::Owner)).await.is_ok());
}

#[tokio::test]
async fn a_relay_that_takes_none_says_so() {
    let limits = Limits { blob_bytes: 0, ..Limits::default() };
    let place = Place::over(MemoryStore::new(Rules::default()), Settings { limits, ..settings() });
    let mut phone = place.connect(usize::MAX);
    for request in [create(1, Admission::Open), status(1, capability(READ)), delete(1, capability(WRITE))] {
        assert_eq!(phone.code(request).await, ErrorCode::Unexpected);
    }
    let write = RelayRequest::WriteBlob(transfer(1, WRITE, 0, 1));
    assert_eq!(refused(&phone, write).await, ErrorCode::Unexpected.into());
}
