//! Spec §17.8: registers.
use std::time::Duration;

use futures_util::FutureExt as _;
use waxwing_relay::store::{
    NewRegister, RegisterCreateError, RegisterError, RegisterRules, RegisterWriteError, Registers, Rules, Store,
};
use waxwing_wire::{
    id::RegisterId,
    relay::{Capability, EntryKind, RegisterEntry, RegisterHead, VerifierKind, VersionHash, WriteRegister},
    time::Timestamp,
};

use super::Subject;
use crate::scene::{HOUR, NOW, after};

super::conformance!(
    creating_a_register_twice_is_creating_it_once,
    an_invitation_serves_one_register,
    a_write_builds_on_the_newest_version_or_is_told_which_that_is,
    every_page_is_a_part_of_one_hash_chain,
    a_capability_is_for_its_own_kind_and_register,
    nothing_follows_the_last_version,
    writes_are_limited_by_the_hour,
    a_full_register_takes_snapshots_and_the_last_version_alone,
    a_snapshot_evicts_no_more_than_it_must,
    a_page_has_at_most_a_mebibyte_and_1024_entries,
    whoever_waits_hears_of_the_next_version,
    of_writers_at_once_one_is_first_and_none_is_lost,
    a_deleted_register_is_absent_and_can_be_made_anew,
);

pub(crate) fn id(number: u8) -> RegisterId {
    RegisterId::from_bytes([number; 16])
}

pub(crate) fn capability(kind: VerifierKind) -> Capability {
    Capability::from_bytes(match kind {
        VerifierKind::WriteRegister => [1; 32],
        VerifierKind::SealRegister => [2; 32],
        _ => [3; 32],
    })
}

const WRITE: VerifierKind = VerifierKind::WriteRegister;
const READ: VerifierKind = VerifierKind::ReadRegister;
const SEAL: VerifierKind = VerifierKind::SealRegister;

pub(crate) fn entry(kind: EntryKind, size: usize, byte: u8) -> RegisterEntry {
    RegisterEntry::new(kind, vec![byte; size]).unwrap()
}

pub(crate) fn new(number: u8) -> NewRegister {
    let verifier = |kind| capability(kind).verifier(kind, id(number).as_bytes());
    NewRegister {
        register: id(number),
        write_verifier: verifier(WRITE),
        read_verifier: verifier(READ),
        seal_verifier: verifier(SEAL),
        snapshot: entry(EntryKind::Snapshot, 4_096, number),
        invite: None,
    }
}

pub(crate) fn write(number: u8, on: RegisterHead, entry: RegisterEntry) -> WriteRegister {
    let kind = if entry.kind() == EntryKind::Change { WRITE } else { SEAL };
    WriteRegister { register: id(number), capability: capability(kind), version: on.version, hash: on.hash, entry }
}

async fn made(store: &impl Registers, number: u8) -> RegisterHead {
    store.create_register(new(number), NOW).await.unwrap();
    head(store, number)
}

pub(crate) fn head(store: &impl Registers, number: u8) -> RegisterHead {
    store.register_head(&id(number), &capability(READ)).unwrap()
}

async fn changed(store: &impl Registers, number: u8, size: usize, now: Timestamp) -> RegisterHead {
    let on = head(store, number);
    store.write_register(&write(number, on, entry(EntryKind::Change, size, 7)), now).await.unwrap()
}

async fn creating_a_register_twice_is_creating_it_once<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    let first = made(store, 1).await;
    assert_eq!((first.version, first.ended), (1, false));
    assert_eq!(first.hash, VersionHash::NONE.next(&id(1), 1, &entry(EntryKind::Snapshot, 4_096, 1)));
    let newest = changed(store, 1, 512, NOW).await;
    assert_eq!(store.create_register(new(1), NOW).await, Ok(()));
    assert_eq!(head(store, 1), newest);
    let others = [
        NewRegister { snapshot: entry(EntryKind::Snapshot, 4_096, 9), ..new(1) },
        NewRegister { seal_verifier: new(2).seal_verifier, ..new(1) },
    ];
    for other in others {
        assert_eq!(store.create_register(other, NOW).await, Err(RegisterCreateError::Taken));
    }
    let change = NewRegister { snapshot: entry(EntryKind::Change, 4_096, 1), ..new(2) };
    assert_eq!(store.create_register(change, NOW).await, Err(RegisterCreateError::Taken));
}

async fn an_invitation_serves_one_register<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    let invited = |number| NewRegister { invite: Some([7; 32]), ..new(number) };
    assert_eq!(store.create_register(invited(1), NOW).await, Err(RegisterCreateError::Invite));
    store.add_invite([7; 32]).await.unwrap();
    store.create_register(invited(1), NOW).await.unwrap();
    store.create_register(invited(1), NOW).await.unwrap();
    assert_eq!(store.create_register(invited(2), NOW).await, Err(RegisterCreateError::Invite));
}

async fn a_write_builds_on_the_newest_version_or_is_told_which_that_is<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    let first = made(store, 1).await;
    let change = entry(EntryKind::Change, 512, 7);
    let second = store.write_register(&write(1, first, change.clone()), NOW).await.unwrap();
    let hash = first.hash.next(&id(1), 2, &change);
    assert_eq!(second, RegisterHead { version: 2, hash, ended: false });
    // The same again, as after a lost answer: the writer finds its own version.
    let again = store.write_register(&write(1, first, change.clone()), NOW).await;
    assert_eq!(again, Err(RegisterWriteError::Conflict(second)));
    for on in [
        RegisterHead { version: 3, ..second },
        RegisterHead { version: 0, ..second },
        RegisterHead { hash: first.hash, ..second },
    ] {
        let conflict = store.write_register(&write(1, on, change.clone()), NOW).await;
        assert_eq!(conflict, Err(RegisterWriteError::Conflict(second)));
    }
    assert_eq!(head(store, 1), second);
}

async fn every_page_is_a_part_of_one_hash_chain<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    let mut heads = vec![made(store, 1).await];
    for number in 2..=9_u8 {
        let kind = if number % 4 == 0 { EntryKind::Snapshot } else { EntryKind::Change };
        let written = store.write_register(&write(1, heads[heads.len() - 1], entry(kind, 4_096, number)), NOW).await;
        heads.push(written.unwrap());
    }
    for from in 0..=9_u64 {
        let page = store.read_register(&id(1), &capability(READ), from).await.unwrap();
        let first = from.max(1);
        assert_eq!((page.first, page.entries.len() as u64), (first, 10 - first));
        let before = if first == 1 { VersionHash::NONE } else { heads[first as usize - 2].hash };
        assert_eq!((page.before, page.hash(&id(1))), (before, heads[8].hash));
        let bytes: Vec<_> = page.entries.iter().map(|entry| u64::from(entry.sealed()[0])).collect();
        assert_eq!(bytes, (first..=9).collect::<Vec<_>>());
    }
    let page = store.read_register(&id(1), &capability(READ), 10).await.unwrap();
    assert_eq!((page.head, page.first, page.entries.len()), (heads[8], 0, 0));
}

async fn a_capability_is_for_its_own_kind_and_register<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    let first = made(store, 1).await;
    let refused = Err(RegisterError::Refused);
    for kind in [WRITE, SEAL] {
        assert_eq!(store.read_register(&id(1), &capability(kind), 1).await.map(drop), refused);
        assert_eq!(store.register_head(&id(1), &capability(kind)).map(drop), refused);
        assert_eq!(store.await_register(&id(1), &capability(kind), 0).await.map(drop), refused);
    }
    for kind in [WRITE, READ] {
        assert_eq!(store.delete_register(&id(1), &capability(kind)).await, refused);
    }
    for (kind, size, right) in
        [(EntryKind::Change, 512, WRITE), (EntryKind::Snapshot, 4_096, SEAL), (EntryKind::Last, 512, SEAL)]
    {
        for wrong in [WRITE, READ, SEAL].into_iter().filter(|wrong| *wrong != right) {
            let mut wrongly = write(1, first, entry(kind, size, 1));
            wrongly.capability = capability(wrong);
            assert_eq!(
                store.write_register(&wrongly, NOW).await,
                Err(RegisterWriteError::Refused),
                "{kind:?} {wrong:?}"
            );
        }
    }
    // Absent, with a capability that is right elsewhere.
    let absent = write(2, first, entry(EntryKind::Change, 512, 1));
    assert_eq!(store.write_register(&absent, NOW).await, Err(RegisterWriteError::Refused));
    assert_eq!(store.register_head(&id(2), &capability(READ)).map(drop), refused);
    assert_eq!(head(store, 1), first);
}

async fn nothing_follows_the_last_version<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    let first = made(store, 1).await;
    let last = store.write_register(&write(1, first, entry(EntryKind::Last, 1_024, 9)), NOW).await.unwrap();
    assert_eq!((last.version, last.ended), (2, true));
    for kind in [EntryKind::Change, EntryKind::Snapshot, EntryKind::Last] {
        let more = write(1, last, entry(kind, 4_096, 1));
        assert_eq!(store.write_register(&more, NOW).await, Err(RegisterWriteError::Ended));
    }
    let page = store.read_register(&id(1), &capability(READ), 2).await.unwrap();
    assert_eq!((page.head, page.entries.len(), page.entries[0].kind()), (last, 1, EntryKind::Last));
}

async fn writes_are_limited_by_the_hour<S: Subject>() {
    let register = RegisterRules { writes_per_hour: 3, ..RegisterRules::default() };
    let subject = S::new(Rules { register, ..Rules::default() }).await;
    let store = subject.store();
    made(store, 1).await;
    for _ in 0..3 {
        changed(store, 1, 512, after(HOUR / 4)).await;
    }
    let more = |at| {
        let write = write(1, head(store, 1), entry(EntryKind::Change, 512, 1));
        async move { store.write_register(&write, at).await }
    };
    let retry_after = Duration::from_millis(HOUR / 2);
    assert_eq!(more(after(HOUR / 2)).await, Err(RegisterWriteError::Limit { retry_after }));
    // What was not written does not count.
    let conflict = write(1, RegisterHead { version: 1, ..head(store, 1) }, entry(EntryKind::Change, 512, 1));
    assert!(matches!(store.write_register(&conflict, NOW).await, Err(RegisterWriteError::Conflict(_))));
    assert!(more(after(HOUR)).await.is_ok());
}

/// Room for one snapshot of 4,096 bytes and eight changes of 512.
fn small() -> Rules {
    Rules { register: RegisterRules { bytes: 8_192, ..RegisterRules::default() }, ..Rules::default() }
}

async fn a_full_register_takes_snapshots_and_the_last_version_alone<S: Subject>() {
    let subject = S::new(small()).await;
    let store = subject.store();
    for number in [1, 2] {
        made(store, number).await;
        for _ in 0..8 {
            changed(store, number, 512, NOW).await;
        }
        let more = write(number, head(store, number), entry(EntryKind::Change, 512, 1));
        assert_eq!(store.write_register(&more, NOW).await, Err(RegisterWriteError::Full));
    }
    let last = write(1, head(store, 1), entry(EntryKind::Last, 16_384, 1));
    assert!(store.write_register(&last, NOW).await.unwrap().ended, "who may end it can");
    let snapshot = write(2, head(store, 2), entry(EntryKind::Snapshot, 4_096, 8));
    assert_eq!(store.write_register(&snapshot, NOW).await.unwrap().version, 10);
    let page = store.read_register(&id(2), &capability(READ), 1).await.unwrap();
    assert_eq!((page.first, page.entries.len()), (10, 1));
    assert_eq!(page.hash(&id(2)), head(store, 2).hash);
    changed(store, 2, 512, NOW).await;
    let too_large = write(2, head(store, 2), entry(EntryKind::Snapshot, 16_384, 8));
    assert_eq!(store.write_register(&too_large, NOW).await, Err(RegisterWriteError::Full));
}

async fn a_snapshot_evicts_no_more_than_it_must<S: Subject>() {
    let subject = S::new(Rules {
        register: RegisterRules { bytes: 3 * 4_096 + 1_024, ..RegisterRules::default() },
        ..Rules::default()
    });
    let subject = subject.await;
    let store = subject.store();
    made(store, 1).await;
    let snapshot = |byte| write(1, head(store, 1), entry(EntryKind::Snapshot, 4_096, byte));
    changed(store, 1, 512, NOW).await;
    store.write_register(&snapshot(3), NOW).await.unwrap();
    changed(store, 1, 512, NOW).await;
    store.write_register(&snapshot(5), NOW).await.unwrap();
    let page = store.read_register(&id(1), &capability(READ), 1).await.unwrap();
    assert_eq!((page.first, page.entries.len()), (1, 5), "there was room for all");
    store.write_register(&snapshot(6), NOW).await.unwrap();
    let page = store.read_register(&id(1), &capability(READ), 1).await.unwrap();
    assert_eq!((page.first, page.entries.len()), (3, 4), "from the next snapshot on");
    assert_eq!(page.hash(&id(1)), head(store, 1).hash);
}

async fn a_page_has_at_most_a_mebibyte_and_1024_entries<S: Subject>() {
    let register = RegisterRules { writes_per_hour: u32::MAX, ..RegisterRules::default() };
    let subject = S::new(Rules { register, ..Rules::default() }).await;
    let store = subject.store();
    let large = NewRegister { snapshot: entry(EntryKind::Snapshot, 1 << 20, 1), ..new(1) };
    store.create_register(large, NOW).await.unwrap();
    for _ in 0..1_030 {
        changed(store, 1, 512, NOW).await;
    }
    let page = store.read_register(&id(1), &capability(READ), 1).await.unwrap();
    assert_eq!(page.entries.len(), 1, "a snapshot of 1 MiB is a page");
    let page = store.read_register(&id(1), &capability(READ), 2).await.unwrap();
    assert_eq!(page.entries.len(), 1_024);
    let page = store.read_register(&id(1), &capability(READ), page.first + 1_024).await.unwrap();
    assert_eq!((page.entries.len(), page.hash(&id(1))), (6, head(store, 1).hash));
}

async fn whoever_waits_hears_of_the_next_version<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    let first = made(store, 1).await;
    let (register, read) = (id(1), capability(READ));
    assert_eq!(store.await_register(&register, &read, 0).await, Ok(first), "it is there");
    let mut waiting = Box::pin(store.await_register(&register, &read, 1));
    assert_eq!(waiting.as_mut().now_or_never(), None);
    let second = changed(store, 1, 512, NOW).await;
    assert_eq!(waiting.await, Ok(second));
    let mut waiting = Box::pin(store.await_register(&register, &read, 2));
    assert_eq!(waiting.as_mut().now_or_never(), None);
    store.delete_register(&register, &capability(SEAL)).await.unwrap();
    assert_eq!(waiting.await, Err(RegisterError::Refused));
}

async fn of_writers_at_once_one_is_first_and_none_is_lost<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    made(store, 1).await;
    let writing = (0..40_u8).map(|byte| async move {
        let mut on = head(store, 1);
        loop {
            match store.write_register(&write(1, on, entry(EntryKind::Change, 512, byte)), NOW).await {
                Ok(_) => return,
                Err(RegisterWriteError::Conflict(newest)) => on = newest,
                Err(other) => panic!("{other}"),
            }
        }
    });
    futures_util::future::join_all(writing).await;
    let page = store.read_register(&id(1), &capability(READ), 2).await.unwrap();
    let mut bytes: Vec<_> = page.entries.iter().map(|entry| entry.sealed()[0]).collect();
    bytes.sort_unstable();
    assert_eq!(bytes, (0..40).collect::<Vec<_>>());
    assert_eq!(page.hash(&id(1)), head(store, 1).hash);
}

async fn a_deleted_register_is_absent_and_can_be_made_anew<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    made(store, 1).await;
    changed(store, 1, 512, NOW).await;
    store.delete_register(&id(1), &capability(SEAL)).await.unwrap();
    assert_eq!(store.register_head(&id(1), &capability(READ)), Err(RegisterError::Refused));
    assert_eq!(store.delete_register(&id(1), &capability(SEAL)).await, Err(RegisterError::Refused));
    assert_eq!(made(store, 1).await.version, 1);
    let page = store.read_register(&id(1), &capability(READ), 1).await.unwrap();
    assert_eq!(page.entries.len(), 1);
}
