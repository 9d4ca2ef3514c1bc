//! Spec §17.4 and §17.7: what a folder keeps over restarts, and when it is no store.
use std::path::Path;

use sqlx::{Connection as _, Executor as _, SqliteConnection, sqlite::SqliteConnectOptions};
use waxwing_relay::store::{
    AckError, CreateError, NewMailbox, OpenError, PutError, Rules, SqliteStore, Store, Via, WatchError,
};
use waxwing_wire::{
    padding::{Envelope, EnvelopeSize},
    relay::{Ack, EndLane, LaneNumber, NewLane, RotateLane},
};

use crate::scene::{CONTACTS, DAY, Ear, NOW, Owner, after, put};

const ALICE: Owner = Owner(1);
const BOB: Owner = Owner(2);

async fn open(folder: &Path) -> SqliteStore {
    SqliteStore::open(folder, Rules::default(), NOW).await.unwrap()
}

async fn reopen(store: SqliteStore, folder: &Path) -> SqliteStore {
    store.close().await;
    drop(store);
    open(folder).await
}

/// Attack D3: whoever has the file sees six sizes, whatever was sealed; a fan-out's part and its header are one of them too.
#[tokio::test]
async fn d3_what_an_envelope_takes_in_the_file_is_one_of_six_sizes() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    ALICE.with_contacts(&store).await;
    let mut number = 0;
    for size in EnvelopeSize::ALL {
        for byte in [0x00, 0xff] {
            number += 1;
            let mut new = ALICE.sized(number, size);
            let envelope = Envelope::new(vec![byte; size.bytes()]).unwrap();
            (new.hash, new.envelope) = (envelope.hash(), envelope.into());
            assert_eq!(put(&store, new, NOW).await, Ok(false));
        }
    }
    store.close().await;
    let options = SqliteConnectOptions::new().filename(folder.path().join("mailboxes.sqlite"));
    let mut raw = SqliteConnection::connect_with(&options).await.unwrap();
    let texts = "SELECT length(bytes) FROM body ORDER BY place";
    let bytes: Vec<i64> = sqlx::query_scalar(texts).fetch_all(&mut raw).await.unwrap();
    let expected: Vec<_> = EnvelopeSize::ALL.iter().flat_map(|size| [size.bytes(), size.bytes()]).collect();
    assert_eq!(bytes, expected.into_iter().map(|bytes| i64::try_from(bytes).unwrap()).collect::<Vec<_>>());
    // Beside the size class, nothing of a row depends on what is in it.
    let texts = "SELECT DISTINCT length(delivery), length(identity), header IS NULL FROM envelope";
    let rows: Vec<(i64, i64, bool)> = sqlx::query_as(texts).fetch_all(&mut raw).await.unwrap();
    assert_eq!(rows, [(16, 16, true)]);
    let classes: Vec<i64> =
        sqlx::query_scalar("SELECT size FROM envelope ORDER BY place").fetch_all(&mut raw).await.unwrap();
    assert_eq!(classes, [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]);
}

#[tokio::test]
async fn everything_that_was_done_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let contacts = ALICE.with_contacts(&store).await;
    let groups = ALICE.lane(&store, NewLane::Groups, 2).await;
    let token = ALICE.lane(&store, NewLane::Introduction, 5).await;
    let split = ALICE.lane(&store, NewLane::Split { parent: contacts }, 6).await;
    let rotate = RotateLane { lane: groups, hash: ALICE.key(7), old_ends: after(DAY) };
    let rotated = store.rotate_lane(&ALICE.mailbox(), rotate, NOW).await.unwrap();
    let own = ALICE.lane(&store, NewLane::Own, 3).await;
    store.end_lane(&ALICE.mailbox(), EndLane { lane: own, ends: NOW }, NOW).await.unwrap();
    for (number, key) in [(1, CONTACTS), (2, 2), (3, 5), (4, 6), (5, 7), (6, CONTACTS)] {
        let mut one = ALICE.envelope(number);
        one.via = Via::Lane(ALICE.key(key));
        assert_eq!(put(&store, one, NOW).await, Ok(false));
    }
    ALICE.ack(&store, 1, &[4]).await;
    store.add_invite([1; 32]).await.unwrap();
    store.add_invite([2; 32]).await.unwrap();
    let bob = NewMailbox { invite: Some([1; 32]), ..BOB.new_mailbox() };
    store.create_mailbox(bob, NOW).await.unwrap();
    store.close_mailbox(&BOB.mailbox(), BOB.close_hash(), NOW).await.unwrap();
    let before = store.state(&ALICE.mailbox(), NOW).await.unwrap();
    let waiting = ALICE.waiting(&store, NOW).await;

    let store = reopen(store, folder.path()).await;
    let state = store.state(&ALICE.mailbox(), NOW).await.unwrap();
    assert_eq!((state.envelopes, state.bytes, state.oldest), (before.envelopes, before.bytes, before.oldest));
    assert_eq!(state.lanes, before.lanes);
    assert_eq!(ALICE.waiting(&store, NOW).await, waiting);
    assert_eq!(ALICE.numbers(&store, NOW).await, [2, 3, 5, 6]);
    assert_eq!([token, split, rotated], [LaneNumber(3), LaneNumber(4), LaneNumber(5)]);
    assert_eq!(ALICE.lane(&store, NewLane::Own, 8).await, LaneNumber(7), "numbers go on");
    assert_eq!(put(&store, ALICE.envelope(6), NOW).await, Ok(true), "its identity is in the row");
    let mut other = ALICE.envelope(9);
    other.delivery = ALICE.envelope(6).delivery;
    assert_eq!(put(&store, other, NOW).await, Err(PutError::Conflict));
    assert_eq!(store.create_mailbox(BOB.new_mailbox(), NOW).await, Err(CreateError::Taken));
    assert_eq!(store.close_mailbox(&BOB.mailbox(), BOB.close_hash(), NOW).await, Ok(()));
    let invited = |owner: u8, token: u8| NewMailbox { invite: Some([token; 32]), ..Owner(owner).new_mailbox() };
    assert_eq!(store.create_mailbox(invited(3, 1), NOW).await, Err(CreateError::Invite));
    store.create_mailbox(invited(3, 2), NOW).await.unwrap();
}

#[tokio::test]
async fn a_token_admits_no_more_because_the_relay_was_restarted() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).await;
    ALICE.create(&store).await;
    ALICE.lane(&store, NewLane::Introduction, 5).await;
    let mut admitted = 0;
    for number in 0..70 {
        let mut one = ALICE.envelope(number);
        one.via = Via::Lane(ALICE.key(5));
        admitted += u32::from(put(&store, one, NOW).await.is_ok());
        if number % 20 == 0 {
            let newest = store.state(&ALICE.mailbox(), NOW).await.unwrap().newest;
            ALICE.ack(&store, newest, &[]).await;
            store = reopen(store, folder.path()).await;
        }
    }
    assert_eq!(admitted, 64);
}

#[tokio::test]
async fn numbers_ascend_over_restarts_and_are_never_given_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).await;
    ALICE.with_contacts(&store).await;
    let mut given: Vec<u64> = Vec::new();
    for round in 0..4_u64 {
        for number in 0..3 {
            ALICE.put(&store, round * 10 + number).await;
        }
        // One is shown to the owner, and the power goes before it is on stable storage.
        let ear = std::sync::Arc::new(Ear::default());
        let watcher: std::sync::Arc<dyn waxwing_relay::store::Watcher> = ear.clone();
        let newest = store.watch(&ALICE.mailbox(), 0, watcher, NOW).await.unwrap().newest;
        drop(store.put(ALICE.envelope(round * 10 + 9), NOW).await.unwrap());
        let heard = ear.heard();
        let crate::scene::Heard::Admitted { sequence, .. } = heard[0] else { panic!("{heard:?}") };
        assert!(sequence > newest && given.iter().all(|before| *before < newest));
        given.push(sequence);
        store.abandon().await;
        drop(store);
        store = open(folder.path()).await;
        let newest = store.state(&ALICE.mailbox(), NOW).await.unwrap().newest;
        assert!(newest >= sequence, "what somebody has seen is no cursor ahead");
        ALICE.ack(&store, sequence, &[]).await;
        let ahead = Ack::new(newest + 1, Vec::new()).unwrap();
        assert_eq!(store.ack(&ALICE.mailbox(), &ahead, NOW).await.unwrap_err(), AckError::CursorAhead);
    }
}

#[tokio::test]
async fn a_restored_folder_tells_a_cursor_from_its_future_and_gives_no_number_again() {
    let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(folder.path()).await;
    ALICE.with_contacts(&store).await;
    ALICE.put(&store, 1).await;
    store.close().await;
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        // There are no blobs in it.
        if file.file_type().unwrap().is_file() {
            std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
    }
    let at = |folder: std::path::PathBuf, time| async move {
        SqliteStore::open(&folder, Rules::default(), time).await.unwrap()
    };
    let store = at(folder.path().to_owned(), after(60_000)).await;
    ALICE.put(&store, 2).await;
    let seen = ALICE.waiting(&store, NOW).await[1].0;
    store.close().await;

    // Restored, with a clock that was set back: the cursor is told. With one that goes on, nothing is given again.
    let restored = at(copy.path().to_owned(), NOW).await;
    let ear = std::sync::Arc::new(Ear::default());
    assert_eq!(restored.watch(&ALICE.mailbox(), seen, ear, NOW).await, Err(WatchError::CursorAhead));
    restored.close().await;
    let restored = at(copy.path().to_owned(), after(120_000)).await;
    ALICE.put(&restored, 3).await;
    assert!(ALICE.waiting(&restored, NOW).await.iter().all(|(sequence, number)| *number != 3 || *sequence > seen));
}

#[tokio::test]
async fn what_waited_is_written_when_the_store_closes_and_fails_when_it_is_abandoned() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    ALICE.with_contacts(&store).await;
    let mut commits = Vec::new();
    for number in 0..2_000 {
        commits.push(store.put(ALICE.envelope(number), NOW).await.unwrap().commit);
    }
    store.close().await;
    for commit in commits {
        commit.await.unwrap();
    }
    assert!(put(&store, ALICE.envelope(1), NOW).await.is_err(), "closed is closed");
    let store = open(folder.path()).await;
    assert_eq!(store.state(&ALICE.mailbox(), NOW).await.unwrap().envelopes, 2_000);

    let mut commits = Vec::new();
    for number in 2_000..4_000 {
        commits.push((number, store.put(ALICE.envelope(number), NOW).await.unwrap().commit));
    }
    store.abandon().await;
    let mut accepted = Vec::new();
    for (number, commit) in commits {
        if commit.await.is_ok() {
            accepted.push(number);
        }
    }
    let store = open(folder.path()).await;
    let numbers = ALICE.numbers(&store, NOW).await;
    assert!(accepted.iter().all(|number| numbers.contains(number)));
}

#[tokio::test]
async fn what_a_removed_mailbox_left_behind_is_swept_when_the_store_opens() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    ALICE.with_contacts(&store).await;
    for number in 0..10 {
        ALICE.put(&store, number).await;
    }
    store.close().await;
    // As a crash between the removal and the sweep leaves it.
    let file = folder.path().join("mailboxes.sqlite");
    let mut raw = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(&file)).await.unwrap();
    raw.execute("DELETE FROM mailbox").await.unwrap();
    raw.close().await.unwrap();
    let store = open(folder.path()).await;
    assert_eq!(store.owner_key(&ALICE.mailbox()), None);
    store.close().await;
    let mut raw = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(&file)).await.unwrap();
    let left: (i64, i64) = sqlx::query_as("SELECT (SELECT count(*) FROM envelope), (SELECT count(*) FROM body)")
        .fetch_one(&mut raw)
        .await
        .unwrap();
    assert_eq!(left, (0, 0));
}

#[tokio::test]
async fn a_folder_serves_one_store_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let second = SqliteStore::open(folder.path(), Rules::default(), NOW).await;
    assert!(matches!(second, Err(OpenError::Locked(_))), "{second:?}");
    ALICE.create(&store).await;
    reopen(store, folder.path()).await;
}

#[tokio::test]
async fn a_damaged_or_newer_file_is_no_store() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mailboxes.sqlite"), vec![0x5a; 20_000]).unwrap();
    let opened = SqliteStore::open(folder.path(), Rules::default(), NOW).await;
    assert!(matches!(opened, Err(OpenError::Broken(_))), "{opened:?}");

    for (damage, newer) in [
        ("UPDATE mailbox SET owner_key = x'00'", false),
        ("UPDATE envelope SET size = 7", false),
        ("UPDATE envelope SET sequence = sequence + (1 << 60)", false),
        ("UPDATE envelope SET body = place + 1", false),
        ("UPDATE lane SET kind = 6", false),
        (
            "INSERT INTO _sqlx_migrations SELECT 99, description, installed_on, success, checksum, execution_time \
          FROM _sqlx_migrations LIMIT 1",
            true,
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        ALICE.with_contacts(&store).await;
        ALICE.put(&store, 1).await;
        store.close().await;
        let file = folder.path().join("mailboxes.sqlite");
        let mut raw = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(&file)).await.unwrap();
        raw.execute(damage).await.unwrap();
        raw.close().await.unwrap();
        let opened = SqliteStore::open(folder.path(), Rules::default(), NOW).await;
        let fits =
            if newer { matches!(opened, Err(OpenError::Newer)) } else { matches!(opened, Err(OpenError::Broken(_))) };
        assert!(fits, "{damage}: {opened:?}");
    }

    let file = tempfile::NamedTempFile::new().unwrap();
    let opened = SqliteStore::open(&file.path().join("below"), Rules::default(), NOW).await;
    assert!(matches!(opened, Err(OpenError::Folder(..))), "{opened:?}");
}

/// Rows of envelopes and of bodies.
async fn rows(folder: &Path) -> (i64, i64) {
    let options = SqliteConnectOptions::new().filename(folder.join("mailboxes.sqlite")).read_only(true);
    let mut raw = SqliteConnection::connect_with(&options).await.unwrap();
    let rows = sqlx::query_as("SELECT (SELECT count(*) FROM envelope), (SELECT count(*) FROM body)");
    let rows = rows.fetch_one(&mut raw).await.unwrap();
    raw.close().await.unwrap();
    rows
}

#[tokio::test]
async fn what_is_fanned_out_is_stored_once_and_goes_with_its_last_envelope() {
    use crate::conformance::fan_outs::{fan_out, fanned};
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).await;
    let owners = [1, 2, 3].map(Owner);
    for owner in owners {
        owner.with_contacts(&store).await;
    }
    fanned(&store, fan_out(1, EnvelopeSize::B65536, &owners, CONTACTS)).await;
    ALICE.put(&store, 2).await;
    assert_eq!(rows(folder.path()).await, (4, 2));
    for (left, owner) in [3, 2, 1].into_iter().zip(owners) {
        store = reopen(store, folder.path()).await;
        let numbers = owner.numbers(&store, NOW).await;
        assert_eq!(numbers[0], 1);
        owner.ack(&store, owner.waiting(&store, NOW).await[0].0, &[]).await;
        assert_eq!(rows(folder.path()).await, (left, if left == 1 { 1 } else { 2 }), "after {owner:?}");
    }
    assert_eq!(ALICE.numbers(&store, NOW).await, [2]);
    fanned(&store, fan_out(3, EnvelopeSize::B2560, &[Owner(9)], CONTACTS)).await;
    assert_eq!(rows(folder.path()).await, (1, 1), "to nobody leaves nothing");
}

#[tokio::test]
async fn registers_are_there_after_a_restart_and_a_gap_in_one_is_damage() {
    use crate::conformance::registers::{capability, entry, head, id, new, write};
    use waxwing_relay::store::{RegisterRules, RegisterWriteError, Registers};
    use waxwing_wire::relay::{EntryKind, VerifierKind};
    let rules = Rules { register: RegisterRules { bytes: 12_288, ..RegisterRules::default() }, ..Rules::default() };
    let folder = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(folder.path(), rules, NOW).await.unwrap();
    store.create_register(new(1), NOW).await.unwrap();
    store.create_register(new(2), NOW).await.unwrap();
    let mut heads = Vec::new();
    for round in 0..12_u8 {
        let kind = if round % 4 == 3 { EntryKind::Snapshot } else { EntryKind::Change };
        let size = if kind == EntryKind::Snapshot { 4_096 } else { 512 };
        heads.push(store.write_register(&write(1, head(&store, 1), entry(kind, size, round)), NOW).await.unwrap());
        store.close().await;
        drop(store);
        store = SqliteStore::open(folder.path(), rules, NOW).await.unwrap();
        assert_eq!(Some(&head(&store, 1)), heads.last());
        let page = store.read_register(&id(1), &capability(VerifierKind::ReadRegister), 1).await.unwrap();
        assert_eq!(page.hash(&id(1)), head(&store, 1).hash);
    }
    assert_eq!(
        store.create_register(new(1), NOW).await,
        Ok(()),
        "the first version's hash is known though it is evicted"
    );
    let last = store.write_register(&write(2, head(&store, 2), entry(EntryKind::Last, 512, 1)), NOW).await.unwrap();
    store.close().await;
    drop(store);
    let store = SqliteStore::open(folder.path(), rules, NOW).await.unwrap();
    let more = write(2, last, entry(EntryKind::Last, 512, 1));
    assert_eq!(store.write_register(&more, NOW).await, Err(RegisterWriteError::Ended));
    store.delete_register(&id(2), &capability(VerifierKind::SealRegister)).await.unwrap();
    store.close().await;
    drop(store);
    let options = SqliteConnectOptions::new().filename(folder.path().join("mailboxes.sqlite"));
    let mut raw = SqliteConnection::connect_with(&options).await.unwrap();
    let left: i64 =
        sqlx::query_scalar("SELECT count(DISTINCT register) FROM version").fetch_one(&mut raw).await.unwrap();
    assert_eq!(left, 1, "nothing of the deleted one");
    raw.execute("DELETE FROM version WHERE version = (SELECT max(version) - 1 FROM version)").await.unwrap();
    raw.close().await.unwrap();
    let opened = SqliteStore::open(folder.path(), rules, NOW).await;
    assert!(matches!(opened, Err(OpenError::Broken(_))), "{opened:?}");
}

/// Spec §17.3.9: what all mailboxes hold is known again when the store is opened, and a commit that failed holds nothing.
#[tokio::test]
async fn e3_what_all_mailboxes_hold_survives_a_restart_and_no_failed_commit() {
    let folder = tempfile::tempdir().unwrap();
    let rules = Rules { total: 3 * 2_560, ..Rules::default() };
    let store = SqliteStore::open(folder.path(), rules, NOW).await.unwrap();
    ALICE.with_contacts(&store).await;
    ALICE.put(&store, 1).await;
    ALICE.put(&store, 2).await;
    let file = SqliteConnectOptions::new().filename(folder.path().join("mailboxes.sqlite"));
    let mut raw = SqliteConnection::connect_with(&file).await.unwrap();
    raw.execute("CREATE TRIGGER fails BEFORE INSERT ON envelope BEGIN SELECT raise(ABORT, 'no'); END").await.unwrap();
    assert!(matches!(put(&store, ALICE.envelope(3), NOW).await, Err(PutError::Unavailable(_))));
    raw.execute("DROP TRIGGER fails").await.unwrap();
    raw.close().await.unwrap();
    ALICE.put(&store, 3).await;
    store.close().await;
    drop(store);
    let store = SqliteStore::open(folder.path(), rules, NOW).await.unwrap();
    assert!(matches!(put(&store, ALICE.envelope(4), NOW).await, Err(PutError::Unavailable(_))));
    let newest = store.state(&ALICE.mailbox(), NOW).await.unwrap().newest;
    ALICE.ack(&store, newest, &[]).await;
    assert_eq!(put(&store, ALICE.envelope(4), NOW).await, Ok(false));
}

#[tokio::test]
async fn nothing_of_a_batch_that_failed_in_its_middle_is_committed_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    ALICE.with_contacts(&store).await;
    ALICE.put(&store, 1).await;
    // The next batch brings its body in, and then finds the place of its envelope taken.
    let file = SqliteConnectOptions::new().filename(folder.path().join("mailboxes.sqlite"));
    let mut raw = SqliteConnection::connect_with(&file).await.unwrap();
    let taken = "INSERT INTO envelope SELECT place + 1, mailbox, sequence, lane, pool, size, ends, delivery, identity, header, body FROM envelope";
    raw.execute(taken).await.unwrap();
    let failed = put(&store, ALICE.envelope(2), NOW).await;
    assert!(matches!(failed, Err(PutError::Unavailable(_))), "{failed:?}");
    raw.execute("DELETE FROM envelope WHERE place = (SELECT max(place) FROM envelope)").await.unwrap();

    ALICE.put(&store, 3).await;
    let rows = sqlx::query_as("SELECT (SELECT count(*) FROM envelope), (SELECT count(*) FROM body)");
    let left: (i64, i64) = rows.fetch_one(&mut raw).await.unwrap();
    assert_eq!(left, (2, 2), "no body without its envelope");
    raw.close().await.unwrap();
    let store = reopen(store, folder.path()).await;
    assert_eq!(ALICE.numbers(&store, NOW).await, [1, 3]);
    assert_eq!(put(&store, ALICE.envelope(2), NOW).await, Ok(false));
}
