//! Spec §17.21: registers as a session serves them.
use std::time::Duration;

use waxwing_relay::store::{MemoryStore, RegisterRules, Rules};
use waxwing_wire::{
    frame::{Admission, ErrorCode, InviteToken, ServerError, Work},
    id::RegisterId,
    pow::{Difficulty, Puzzle},
    relay::{
        AwaitRegister, Capability, CreateRegister, DeleteRegister, EntryKind, ReadRegister, RegisterEntry,
        RegisterHead, RelayReply, RelayRequest, VerifierKind, VersionHash, WriteRegister,
    },
};

use super::desk::{Phone, Place, place, settings};

const ALICE: u8 = 1;

fn id(number: u8) -> RegisterId {
    RegisterId::from_bytes([number; 16])
}

fn capability(kind: VerifierKind) -> Capability {
    let byte = match kind {
        VerifierKind::WriteRegister => 0x77,
        VerifierKind::ReadRegister => 0x72,
        _ => 0x73,
    };
    Capability::from_bytes([byte; 32])
}

fn entry(kind: EntryKind, number: u8) -> RegisterEntry {
    let bytes = if kind == EntryKind::Snapshot { 4_096 } else { 512 };
    RegisterEntry::new(kind, vec![number; bytes]).unwrap()
}

pub(super) fn create(number: u8, admission: Admission) -> RelayRequest {
    let verifier = |kind| capability(kind).verifier(kind, id(number).as_bytes());
    RelayRequest::CreateRegister(CreateRegister {
        register: id(number),
        write_verifier: verifier(VerifierKind::WriteRegister),
        read_verifier: verifier(VerifierKind::ReadRegister),
        seal_verifier: verifier(VerifierKind::SealRegister),
        admission,
        snapshot: entry(EntryKind::Snapshot, 1).sealed().to_vec(),
    })
}

fn first(number: u8) -> RegisterHead {
    let hash = VersionHash::NONE.next(&id(number), 1, &entry(EntryKind::Snapshot, 1));
    RegisterHead { version: 1, hash, ended: false }
}

/// What follows `head`, and the head it makes.
fn write(number: u8, head: RegisterHead, kind: EntryKind, content: u8) -> (RelayRequest, RegisterHead) {
    let by = if kind == EntryKind::Change { VerifierKind::WriteRegister } else { VerifierKind::SealRegister };
    let entry = entry(kind, content);
    let version = head.version + 1;
    let next =
        RegisterHead { version, hash: head.hash.next(&id(number), version, &entry), ended: kind == EntryKind::Last };
    let RegisterHead { version, hash, .. } = head;
    let write = WriteRegister { register: id(number), capability: capability(by), version, hash, entry };
    (RelayRequest::WriteRegister(write), next)
}

fn read(number: u8, from: u64) -> RelayRequest {
    let capability = capability(VerifierKind::ReadRegister);
    RelayRequest::ReadRegister(ReadRegister { register: id(number), capability, from })
}

fn wait(number: u8, after: u64, patience: u32) -> RelayRequest {
    let capability = capability(VerifierKind::ReadRegister);
    RelayRequest::AwaitRegister(AwaitRegister { register: id(number), capability, after, patience })
}

fn delete(number: u8) -> RelayRequest {
    let capability = capability(VerifierKind::SealRegister);
    RelayRequest::DeleteRegister(DeleteRegister { register: id(number), capability })
}

/// Somebody with a register.
async fn holder(place: &Place<MemoryStore>) -> Phone<MemoryStore> {
    let mut phone = place.connect(usize::MAX);
    assert_eq!(phone.call(create(1, Admission::Open)).await, Ok(RelayReply::Done));
    phone
}

#[tokio::test]
async fn a_register_is_made_written_read_and_deleted() {
    let place = place();
    let mut phone = holder(&place).await;
    assert_eq!(phone.call(create(1, Admission::Open)).await, Ok(RelayReply::Done), "the same again");
    let (second, head) = write(1, first(1), EntryKind::Change, 2);
    assert_eq!(phone.call(second).await, Ok(RelayReply::RegisterHead(head)));
    let Ok(RelayReply::RegisterPage(page)) = phone.call(read(1, 1)).await else { panic!() };
    assert_eq!((page.head, page.first, page.entries.len()), (head, 1, 2));
    assert_eq!(page.hash(&id(1)), head.hash);
    assert_eq!(phone.call(delete(1)).await, Ok(RelayReply::Done));
    assert_eq!(phone.code(read(1, 1)).await, ErrorCode::Refused);
}

#[tokio::test]
async fn of_two_writers_one_wins_and_the_other_hears_of_it() {
    let place = place();
    let (mut one, mut two) = (holder(&place).await, place.connect(usize::MAX));
    let (winning, head) = write(1, first(1), EntryKind::Change, 2);
    assert_eq!(one.call(winning).await, Ok(RelayReply::RegisterHead(head)));
    let (losing, _) = write(1, first(1), EntryKind::Change, 3);
    assert_eq!(two.call(losing).await, Ok(RelayReply::RegisterConflict(head)));
    let (again, next) = write(1, head, EntryKind::Change, 3);
    assert_eq!(two.call(again).await, Ok(RelayReply::RegisterHead(next)));
}

#[tokio::test]
async fn e9_absent_registers_and_wrong_capabilities_are_refused_alike() {
    let place = place();
    let mut phone = holder(&place).await;
    let wrong = || Capability::from_bytes([9; 32]);
    let head = first(1);
    for number in [1, 2] {
        let register = id(number);
        let entry = || entry(EntryKind::Change, 2);
        let requests = [
            RelayRequest::ReadRegister(ReadRegister { register, capability: wrong(), from: 1 }),
            RelayRequest::AwaitRegister(AwaitRegister { register, capability: wrong(), after: 9, patience: 60_000 }),
            RelayRequest::DeleteRegister(DeleteRegister { register, capability: wrong() }),
            RelayRequest::WriteRegister(WriteRegister {
                register,
                capability: wrong(),
                version: head.version,
                hash: head.hash,
                entry: entry(),
            }),
            // The capability to read is none to write.
            RelayRequest::WriteRegister(WriteRegister {
                register,
                capability: capability(VerifierKind::ReadRegister),
                version: head.version,
                hash: head.hash,
                entry: entry(),
            }),
        ];
        for request in requests {
            assert_eq!(phone.code(request).await, ErrorCode::Refused, "{number}");
        }
    }
    let Ok(RelayReply::RegisterPage(page)) = phone.call(read(1, 1)).await else { panic!() };
    assert_eq!(page.head, head, "nothing changed");
}

#[tokio::test]
async fn after_its_last_version_nothing_is_written() {
    let place = place();
    let mut phone = holder(&place).await;
    let (last, head) = write(1, first(1), EntryKind::Last, 2);
    assert_eq!(phone.call(last).await, Ok(RelayReply::RegisterHead(head)));
    let (late, _) = write(1, head, EntryKind::Change, 3);
    assert_eq!(phone.code(late).await, ErrorCode::RegisterEnded);
}

#[tokio::test]
async fn limits_are_said_with_when_it_will_do() {
    let register = RegisterRules { bytes: 8_192, writes_per_hour: 2 };
    let place = Place::over(MemoryStore::new(Rules { register, ..Rules::default() }), settings());
    let mut phone = holder(&place).await;
    let mut head = first(1);
    for content in 2..=3 {
        let (request, next) = write(1, head, EntryKind::Change, content);
        assert!(phone.call(request).await.is_ok());
        head = next;
    }
    let (third, _) = write(1, head, EntryKind::Change, 4);
    let error = phone.call(third).await.unwrap_err();
    let hour = Duration::from_secs(3_600);
    assert_eq!(error, ServerError { code: ErrorCode::WriteLimit, retry_after: Some(hour) });
    place.pass(3_600_000);
    // 4,096 + 2 · 512, and another snapshot's worth of changes does not fit.
    for content in 4.. {
        let (request, next) = write(1, head, EntryKind::Change, content);
        match phone.call(request).await {
            Ok(_) => head = next,
            Err(error) => {
                assert_eq!(error.code, ErrorCode::RegisterFull);
                break;
            }
        }
        place.pass(3_600_000);
    }
    let (room, head) = write(1, head, EntryKind::Snapshot, 99);
    assert_eq!(phone.call(room).await, Ok(RelayReply::RegisterHead(head)), "a snapshot makes room");
}

#[tokio::test(start_paused = true)]
async fn who_waits_hears_of_a_write_over_another_connection_or_of_the_end_of_patience() {
    let place = place();
    let (mut reader, mut writer) = (holder(&place).await, place.connect(usize::MAX));
    assert_eq!(reader.call(wait(1, 0, 60_000)).await, Ok(RelayReply::RegisterHead(first(1))), "there is one already");
    let waiting = reader.ask(wait(1, 1, 60_000));
    reader.settle().await;
    assert!(!reader.replies.contains_key(&waiting));
    let (request, head) = write(1, first(1), EntryKind::Change, 2);
    writer.call(request).await.unwrap();
    assert_eq!(reader.reply(waiting).await, Ok(RelayReply::RegisterHead(head)));
    // Nobody writes: as it is, when patience ends and not before.
    let waiting = reader.ask(wait(1, 2, 7_000));
    reader.settle().await;
    tokio::time::sleep(Duration::from_millis(6_999)).await;
    reader.settle().await;
    assert!(!reader.replies.contains_key(&waiting));
    tokio::time::sleep(Duration::from_millis(2)).await;
    assert_eq!(reader.reply(waiting).await, Ok(RelayReply::RegisterHead(head)));
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_with_the_register_and_with_the_relay() {
    let place = place();
    let (mut reader, mut writer) = (holder(&place).await, place.connect(usize::MAX));
    let waiting = reader.ask(wait(1, 1, 60_000));
    reader.settle().await;
    writer.call(delete(1)).await.unwrap();
    assert_eq!(reader.reply(waiting).await.unwrap_err().code, ErrorCode::Refused);
    assert_eq!(writer.call(create(2, Admission::Open)).await, Ok(RelayReply::Done));
    let waiting = reader.ask(wait(2, 1, 60_000));
    reader.settle().await;
    reader.session.drain().await;
    assert_eq!(reader.reply(waiting).await.unwrap_err().code, ErrorCode::Draining);
}

#[tokio::test]
async fn each_way_of_admission_admits_and_nothing_else_does() {
    let mut closed = settings();
    closed.admission.open = false;
    closed.admission.work = None;
    let place = Place::over(MemoryStore::new(Rules::default()), closed);
    let mut phone = place.connect(usize::MAX);
    let invite = || Admission::Invite(InviteToken::from_bytes([5; 16]));
    assert_eq!(phone.code(create(1, Admission::Open)).await, ErrorCode::NotAdmitted);
    assert_eq!(phone.code(create(1, invite())).await, ErrorCode::NotAdmitted, "never minted");
    assert_eq!(phone.code(create(1, Admission::Owner)).await, ErrorCode::Unauthenticated);
    let hash = waxwing_relay::service::invite_hash(&InviteToken::from_bytes([5; 16]));
    waxwing_relay::store::Store::add_invite(place.relay.store(), hash).await.unwrap();
    assert_eq!(phone.call(create(1, invite())).await, Ok(RelayReply::Done));
    assert_eq!(phone.call(create(1, invite())).await, Ok(RelayReply::Done), "the same again spends none");
    assert_eq!(phone.code(create(2, invite())).await, ErrorCode::NotAdmitted, "it served");
}

#[tokio::test]
async fn work_is_for_the_register_that_is_made() {
    let place = place();
    let mut phone = place.connect(usize::MAX);
    let Ok(RelayReply::Info(info)) = phone.call(RelayRequest::Info).await else { panic!() };
    let challenge = info.price.challenge;
    let solve = |number: u8| {
        let puzzle = Puzzle::storage(&challenge, id(number).as_bytes(), Difficulty::try_from(8).unwrap());
        Admission::Work(Work { challenge, nonce: puzzle.solve(0..1 << 20).unwrap() })
    };
    assert_eq!(phone.code(create(1, solve(2))).await, ErrorCode::WorkRequired);
    assert_eq!(phone.call(create(1, solve(1))).await, Ok(RelayReply::Done));
    assert_eq!((info.limits.register_bytes, info.limits.register_writes_per_hour), (8 << 20, 600));
}

#[tokio::test]
async fn an_owner_makes_so_many_an_hour() {
    let place = place();
    let mut alice = place.owner(ALICE).await;
    for number in 1..=32 {
        assert_eq!(alice.call(create(number, Admission::Owner)).await, Ok(RelayReply::Done));
    }
    let error = alice.call(create(33, Admission::Owner)).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::RateLimited);
    let wait = error.retry_after.unwrap();
    assert!(wait > Duration::ZERO && wait <= Duration::from_secs(3_600));
    place.pass(u64::try_from(wait.as_millis()).unwrap());
    assert_eq!(alice.call(create(33, Admission::Owner)).await, Ok(RelayReply::Done));
}
