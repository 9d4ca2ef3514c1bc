//! Spec §17.25: a mailbox from one store to another, and its file.
use std::{
    fs,
    future::Future,
    path::{Path, PathBuf},
};

use waxwing_relay::{
    carry::{self, CarryError},
    ledger::Quota,
    portable::{FileError, Head, LiveHead, Parcel, Reader},
    store::{ExportError, ImportError, MailboxError, Rules, SqliteStore, Store, Via, WatchError},
};
use waxwing_wire::{
    padding::EnvelopeSize,
    relay::{EndLane, NewLane},
    time::Timestamp,
};

use crate::{
    mailbox_files::{read, written},
    scene::{DAY, NOW, Owner, after, put},
};

const ALICE: Owner = Owner(1);
const BOB: Owner = Owner(2);

async fn open(folder: &Path, now: Timestamp) -> SqliteStore {
    SqliteStore::open(folder, Rules::default(), now).await.unwrap()
}

/// Two folders for stores, and the name of a file.
fn places() -> (tempfile::TempDir, [PathBuf; 2], PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (stores, file) = ([at("old"), at("new")], at("alice file"));
    (folder, stores, file)
}

/// Alice's, with lanes of each kind, envelopes of each size by them, and some acked.
async fn full(folder: &Path) -> SqliteStore {
    let store = open(folder, NOW).await;
    // So that numbers, places and mailboxes of the two stores differ.
    BOB.with_contacts(&store).await;
    BOB.put(&store, 1).await;
    let contacts = ALICE.with_contacts(&store).await;
    ALICE.lane(&store, NewLane::Groups, 2).await;
    ALICE.lane(&store, NewLane::Introduction, 3).await;
    ALICE.lane(&store, NewLane::Split { parent: contacts }, 4).await;
    let ended = ALICE.lane(&store, NewLane::Split { parent: contacts }, 5).await;
    for (number, size) in (1..).zip(EnvelopeSize::ALL) {
        put(&store, ALICE.sized(number, size), NOW).await.unwrap();
    }
    for (number, key) in [(7, 2), (8, 3), (9, 3), (10, 4), (11, 5)] {
        let mut new = ALICE.envelope(number);
        new.via = Via::Lane(ALICE.key(key));
        put(&store, new, NOW).await.unwrap();
    }
    let mut stranger = ALICE.envelope(12);
    stranger.via = Via::Strangers;
    put(&store, stranger, NOW).await.unwrap();
    store.end_lane(&ALICE.mailbox(), EndLane { lane: ended, ends: NOW }, NOW).await.unwrap();
    let first = ALICE.waiting(&store, NOW).await[0].0;
    ALICE.ack(&store, first, &[]).await;
    store
}

#[tokio::test]
async fn a_mailbox_comes_over_with_its_lanes_envelopes_numbers_and_identities() {
    let (_folder, [old, new], file) = places();
    let from = full(&old).await;
    let (state, waiting) = (from.state(&ALICE.mailbox(), NOW).await.unwrap(), ALICE.waiting(&from, NOW).await);
    assert_eq!(carry::export(&from, &ALICE.mailbox(), &file, NOW).await.unwrap(), 11);
    // The other relay is a day younger: its own numbers would not reach.
    let to = open(&new, after(DAY)).await;
    assert_eq!(carry::import(&to, &file, after(DAY)).await.unwrap(), 11);
    let mut to = Some(to);
    for round in 0..2 {
        let store = to.take().unwrap();
        assert_eq!(ALICE.waiting(&store, after(DAY)).await, waiting, "{round}");
        let there = store.state(&ALICE.mailbox(), after(DAY)).await.unwrap();
        assert_eq!((&there.lanes, there.bytes), (&state.lanes, state.bytes), "{round}");
        assert_eq!(there.envelopes, state.envelopes);
        assert!(there.newest >= state.newest);
        assert_eq!(store.owner_key(&ALICE.mailbox()), Some([1; 32]));
        assert_eq!(store.verify().await.unwrap(), []);
        // A sender who comes again, and one who is new.
        assert_eq!(put(&store, ALICE.sized(2, EnvelopeSize::ALL[1]), after(DAY)).await, Ok(true));
        store.close().await;
        to = Some(open(&new, after(DAY + round + 1)).await);
    }
    let store = to.unwrap();
    ALICE.put(&store, 100).await;
    let (number, _) = *ALICE.waiting(&store, after(DAY)).await.last().unwrap();
    assert!(number > state.newest, "no number is given again");
    // The owner's cursor holds, and the token goes on where it was.
    let ear = std::sync::Arc::new(crate::scene::Ear::default());
    let watched = store.watch(&ALICE.mailbox(), state.newest, ear, after(DAY)).await.unwrap();
    assert_eq!(watched.waiting, 1);
    let token = async |number| {
        let mut new = ALICE.envelope(number);
        new.via = Via::Lane(ALICE.key(3));
        put(&store, new, after(DAY)).await
    };
    for number in 200..262 {
        assert_eq!(token(number).await, Ok(false), "{number}");
    }
    assert!(token(262).await.is_err(), "64 in all, of which two were admitted elsewhere");
    store.close_mailbox(&ALICE.mailbox(), ALICE.close_hash(), after(DAY)).await.unwrap();
    assert_eq!(ALICE.numbers(&from, NOW).await.len(), 11, "an export changes nothing");
    from.close().await;
    store.close().await;
}

#[tokio::test]
async fn a_block_and_a_closed_mailbox_come_over_too() {
    let (_folder, [old, new], file) = places();
    let (from, to) = (open(&old, NOW).await, open(&new, NOW).await);
    let other = file.with_extension("bob");
    BOB.create(&from).await;
    from.close_mailbox(&BOB.mailbox(), BOB.close_hash(), NOW).await.unwrap();
    from.block(&ALICE.mailbox()).await.unwrap();
    for (owner, file) in [(ALICE, &file), (BOB, &other)] {
        assert_eq!(carry::export(&from, &owner.mailbox(), file, NOW).await.unwrap(), 0);
        assert_eq!(carry::import(&to, file, NOW).await.unwrap(), 0);
        assert!(to.create_mailbox(owner.new_mailbox(), NOW).await.is_err());
    }
    let close = async |hash| to.close_mailbox(&ALICE.mailbox(), hash, NOW).await;
    assert_eq!(close(ALICE.close_hash()).await, Err(MailboxError::Refused));
    assert_eq!(to.close_mailbox(&BOB.mailbox(), BOB.close_hash(), NOW).await, Ok(()), "done, for 60 days");
    to.close().await;
    let to = open(&new, NOW).await;
    let later = after(100_000 * DAY);
    while to.expire(later).await.unwrap() {}
    assert!(to.create_mailbox(ALICE.new_mailbox(), later).await.is_err(), "for good");
    assert_eq!(to.create_mailbox(BOB.new_mailbox(), later).await, Ok(()));
    to.unblock(&ALICE.mailbox()).await.unwrap();
    ALICE.create(&to).await;
    from.close().await;
    to.close().await;
}

#[tokio::test]
async fn where_the_mailbox_exists_or_existed_an_import_is_refused_and_changes_nothing() {
    let (_folder, [old, new], file) = places();
    let from = full(&old).await;
    carry::export(&from, &ALICE.mailbox(), &file, NOW).await.unwrap();
    let refused = async |store: &SqliteStore| {
        let error = carry::import(store, &file, NOW).await.unwrap_err();
        assert!(matches!(error, CarryError::Import(ImportError::Exists)), "{error}");
    };
    let before = ALICE.waiting(&from, NOW).await;
    refused(&from).await;
    assert_eq!(ALICE.waiting(&from, NOW).await, before);
    assert_eq!(from.verify().await.unwrap(), []);
    let to = open(&new, NOW).await;
    ALICE.with_contacts(&to).await;
    ALICE.put(&to, 1).await;
    refused(&to).await;
    assert_eq!(ALICE.numbers(&to, NOW).await, [1]);
    to.close_mailbox(&ALICE.mailbox(), ALICE.close_hash(), NOW).await.unwrap();
    refused(&to).await;
    to.block(&ALICE.mailbox()).await.unwrap();
    refused(&to).await;
    to.unblock(&ALICE.mailbox()).await.unwrap();
    // One that is made while the file is read.
    let bytes = fs::read(&file).unwrap();
    let (head, mut reader) = Reader::open(&*bytes, Quota::default()).unwrap();
    let mut import = to.import(head, NOW).unwrap();
    while let Some(parcel) = reader.next().unwrap() {
        import.add(parcel).await.unwrap();
    }
    ALICE.create(&to).await;
    assert_eq!(import.finish().await, Err(ImportError::Exists));
    assert_eq!(ALICE.numbers(&to, NOW).await, [0_u64; 0]);
    assert_eq!(to.verify().await.unwrap(), []);
    let absent = carry::export(&to, &BOB.mailbox(), &file.with_extension("bob"), NOW).await.unwrap_err();
    assert!(matches!(absent, CarryError::Export(ExportError::Absent)), "{absent}");
    from.close().await;
    to.close().await;
}

#[tokio::test]
async fn an_interrupted_import_leaves_nothing() {
    let (_folder, [old, new], file) = places();
    let from = full(&old).await;
    carry::export(&from, &ALICE.mailbox(), &file, NOW).await.unwrap();
    let bytes = fs::read(&file).unwrap();
    let to = open(&new, NOW).await;
    let nothing = async |store: &SqliteStore, what: &str| {
        assert_eq!(store.verify().await.unwrap(), [], "{what}");
        assert_eq!((store.stats().envelopes, store.stats().mailboxes), (0, 0), "{what}");
        assert_eq!(store.owner_key(&ALICE.mailbox()), None, "{what}");
    };
    // Given up after each envelope: while some wait for their transaction, and when all are written.
    for stop in 0..=11 {
        for written in [false, true] {
            let (head, mut reader) = Reader::open(&*bytes, Quota::default()).unwrap();
            let mut import = to.import(head, NOW).unwrap();
            for _ in 0..stop {
                import.add(reader.next().unwrap().unwrap()).await.unwrap();
            }
            if written {
                to.probe().await.unwrap();
                assert_eq!(to.verify().await.unwrap(), [], "rows of an import are no leak");
            }
            drop(import);
            nothing(&to, &format!("after {stop}")).await;
        }
    }
    // A file that breaks off, or is damaged at its end.
    for length in [bytes.len() - 1, bytes.len() / 2, 300] {
        fs::write(&file, &bytes[..length]).unwrap();
        let error = carry::import(&to, &file, NOW).await.unwrap_err();
        assert!(matches!(error, CarryError::File(FileError::Length)), "{error}");
        nothing(&to, "a short file").await;
    }
    // The process ends when everything but the mailbox is on the disk.
    let (head, mut reader) = Reader::open(&*bytes, Quota::default()).unwrap();
    let mut import = to.import(head, NOW).unwrap();
    while let Some(parcel) = reader.next().unwrap() {
        import.add(parcel).await.unwrap();
    }
    to.probe().await.unwrap();
    to.abandon().await;
    drop(import);
    drop(to);
    let to = open(&new, NOW).await;
    nothing(&to, "after a restart").await;
    // And then it can be imported.
    fs::write(&file, &bytes).unwrap();
    assert_eq!(carry::import(&to, &file, NOW).await.unwrap(), 11);
    from.close().await;
    to.close().await;
}

#[tokio::test]
async fn an_import_whose_asker_went_is_whole_or_not_there() {
    let (_folder, [old, new], file) = places();
    let from = full(&old).await;
    carry::export(&from, &ALICE.mailbox(), &file, NOW).await.unwrap();
    let bytes = fs::read(&file).unwrap();
    let to = open(&new, NOW).await;
    let mut ends = [0, 0];
    for polls in 0..12 {
        let (head, mut reader) = Reader::open(&*bytes, Quota::default()).unwrap();
        let mut import = to.import(head, NOW).unwrap();
        while let Some(parcel) = reader.next().unwrap() {
            import.add(parcel).await.unwrap();
        }
        let mut finish = Box::pin(import.finish());
        for _ in 0..polls {
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            if finish.as_mut().poll(&mut context).is_ready() {
                break;
            }
            // What was pushed is written and settled.
            to.probe().await.unwrap();
        }
        drop(finish);
        to.probe().await.unwrap();
        assert_eq!(to.verify().await.unwrap(), []);
        let is_there = to.owner_key(&ALICE.mailbox()).is_some();
        assert_eq!(to.stats().envelopes, if is_there { 11 } else { 0 });
        ends[usize::from(is_there)] += 1;
        if is_there {
            to.delete_mailbox(&ALICE.mailbox(), NOW).await.unwrap();
            to.probe().await.unwrap();
        }
    }
    assert!(ends.iter().all(|count| *count > 0), "both were met: {ends:?}");
    from.close().await;
    to.close().await;
}

#[tokio::test]
async fn what_a_relay_does_not_hold_for_anybody_it_takes_from_no_file() {
    let (_folder, [old, new], file) = places();
    let from = full(&old).await;
    carry::export(&from, &ALICE.mailbox(), &file, NOW).await.unwrap();
    // Less room than is in it.
    let small = Rules { quota: Quota { bytes: 1 << 20, envelopes: 10 }, ..Rules::default() };
    let to = SqliteStore::open(&new, small, NOW).await.unwrap();
    let error = carry::import(&to, &file, NOW).await.unwrap_err();
    assert!(matches!(error, CarryError::File(FileError::Quota)), "{error}");
    assert_eq!(to.verify().await.unwrap(), []);
    to.close().await;
    // Or less for all mailboxes.
    let small = Rules { total: 1 << 12, ..Rules::default() };
    let to = SqliteStore::open(&new, small, NOW).await.unwrap();
    let error = carry::import(&to, &file, NOW).await.unwrap_err();
    assert!(matches!(error, CarryError::Import(ImportError::Full)), "{error}");
    assert_eq!(to.verify().await.unwrap(), []);
    to.close().await;
    // Past their time there, all have ended; and none is kept longer than 14 days.
    let to = open(&new, after(15 * DAY)).await;
    carry::import(&to, &file, after(15 * DAY)).await.unwrap();
    assert_eq!(ALICE.numbers(&to, after(15 * DAY)).await, [0_u64; 0]);
    to.delete_mailbox(&ALICE.mailbox(), NOW).await.unwrap();
    let mut late = full_head();
    late.newest = 1;
    let parcel = Parcel { ends: after(1_000 * DAY), ..parcel(1) };
    let mut import = to.import(Head::Live(late), NOW).unwrap();
    import.add(parcel).await.unwrap();
    assert_eq!(import.finish().await, Ok(1));
    assert_eq!(ALICE.numbers(&to, after(13 * DAY)).await, [1]);
    assert_eq!(ALICE.numbers(&to, after(14 * DAY)).await, [0_u64; 0]);
    to.delete_mailbox(&ALICE.mailbox(), NOW).await.unwrap();
    // Numbers that no relay has come to.
    let mut ahead = full_head();
    ahead.newest = u64::MAX;
    assert_eq!(to.import(Head::Live(ahead), NOW).map(drop), Err(ImportError::Numbers));
    let watched = to.watch(&ALICE.mailbox(), 0, std::sync::Arc::new(crate::scene::Ear::default()), NOW).await;
    assert_eq!(watched, Err(WatchError::Refused));
    from.close().await;
    to.close().await;
}

fn full_head() -> LiveHead {
    LiveHead { owner_key: [1; 32], close_hash: ALICE.close_hash(), newest: 0, next_lane: 1, lanes: Vec::new() }
}

fn parcel(number: u64) -> Parcel {
    let new = ALICE.envelope(number);
    Parcel {
        sequence: number,
        lane: waxwing_wire::relay::LaneNumber::STRANGERS,
        pool: waxwing_relay::ledger::Pool::Strangers,
        ends: after(DAY),
        delivery: new.delivery,
        envelope: (*new.envelope).clone(),
    }
}

#[tokio::test]
async fn an_export_writes_over_nothing_and_leaves_nothing_half_done() {
    let (folder, [old, _], file) = places();
    let store = full(&old).await;
    let export = async |target: &Path| carry::export(&store, &ALICE.mailbox(), target, NOW).await;
    assert!(matches!(export(Path::new("relative")).await, Err(CarryError::Relative)));
    assert!(matches!(carry::import(&store, Path::new("relative"), NOW).await, Err(CarryError::Relative)));
    fs::write(&file, "precious").unwrap();
    assert!(matches!(export(&file).await, Err(CarryError::Exists)));
    assert_eq!(fs::read(&file).unwrap(), b"precious");
    fs::write(folder.path().join("one.part"), "somebody's").unwrap();
    assert!(matches!(export(&folder.path().join("one")).await, Err(CarryError::Part)));
    assert!(matches!(export(&folder.path().join("absent/one")).await, Err(CarryError::Disk(_))));
    // The store goes while it is being read.
    let two = folder.path().join("two");
    export(&two).await.unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&two).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    store.close().await;
    assert!(export(&folder.path().join("three")).await.is_err());
    let mut left: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    left.sort_unstable();
    assert_eq!(left, ["alice file", "old", "one.part", "two"]);
}

/// A file of everything, in memory.
async fn file_of_all() -> Vec<u8> {
    let (_folder, [old, _], file) = places();
    let from = full(&old).await;
    carry::export(&from, &ALICE.mailbox(), &file, NOW).await.unwrap();
    from.close().await;
    fs::read(&file).unwrap()
}

#[tokio::test]
async fn a_file_has_one_encoding_and_no_bit_of_it_can_be_flipped() {
    let bytes = file_of_all().await;
    let (head, parcels) = read(&bytes).unwrap();
    assert_eq!(parcels.len(), 11);
    assert_eq!(written(&head, &parcels), bytes);
    // Each bit of what is not an envelope's body, and some of those.
    let last = parcels.last().unwrap();
    let tail = bytes.len() - last.envelope.as_bytes().len() - 80;
    for at in (0..600).chain((600..tail).step_by(997)).chain(tail..bytes.len()) {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            assert!(read(&damaged).is_err(), "byte {at}, bit {bit}");
        }
    }
    for length in (0..600).chain((600..bytes.len()).step_by(997)).chain([bytes.len() - 1]) {
        assert!(matches!(read(&bytes[..length]), Err(FileError::Length | FileError::Foreign)), "{length} bytes");
    }
    assert!(matches!(read(&[&bytes[..], &[0]].concat()), Err(FileError::Length)));
}

/// What is wrong, and how it comes to be so.
type Spoil<T> = (&'static str, fn(&mut T));

#[tokio::test]
async fn a_file_that_breaks_a_rule_is_refused_also_with_a_digest_that_holds() {
    let bytes = file_of_all().await;
    let (head, parcels) = read(&bytes).unwrap();
    let Head::Live(head) = head else { panic!() };
    let heads: [Spoil<LiveHead>; 16] = [
        ("lanes that descend", |head| head.lanes.swap(0, 1)),
        ("a lane with the strangers' number", |head| head.lanes[0].number.0 = 0),
        ("a lane that is still to come", |head| head.next_lane = 4),
        ("no next lane", |head| (head.next_lane, head.lanes) = (0, Vec::new())),
        ("one key twice", |head| head.lanes[1].hash = head.lanes[0].hash),
        ("two keys of contacts", |head| {
            (head.lanes[1].kind, head.lanes[1].lineage) = (head.lanes[0].kind, head.lanes[0].lineage);
        }),
        ("contacts with the share of groups", |head| head.lanes[0].lineage.pool = head.lanes[1].lineage.pool),
        ("contacts that split something", |head| head.lanes[1].lineage.parent = Some(head.lanes[0].number)),
        ("contacts of half a share", |head| head.lanes[0].lineage.halvings = 1),
        ("a token with all of its pool", |head| head.lanes[2].lineage.halvings = 0),
        ("a token without an end", |head| head.lanes[2].ends = None),
        ("a split of nothing", |head| head.lanes[3].lineage.parent = None),
        ("a split of another pool", |head| head.lanes[3].lineage.pool = head.lanes[1].lineage.pool),
        ("a split with as much as what it splits", |head| head.lanes[3].lineage.halvings = 0),
        ("a split with less than half", |head| head.lanes[3].lineage.halvings = 2),
        ("a split of itself", |head| head.lanes[3].lineage.parent = Some(head.lanes[3].number)),
    ];
    for (what, spoil) in heads {
        let mut spoiled = head.clone();
        spoil(&mut spoiled);
        assert!(matches!(read(&written(&Head::Live(spoiled), &[])), Err(FileError::Rule(_))), "{what}");
    }
    let mut many = head.clone();
    let row = many.lanes.pop().unwrap();
    many.lanes.clear();
    many.next_lane = 100;
    for number in 10..27_u8 {
        let mut row = row;
        (row.number.0, row.hash) = (number.into(), ALICE.key(number));
        row.lineage.parent = Some(waxwing_wire::relay::LaneNumber(1));
        many.lanes.push(row);
    }
    assert!(matches!(read(&written(&Head::Live(many.clone()), &[])), Err(FileError::Rule(_))), "17 lanes");
    many.lanes.pop();
    assert!(read(&written(&Head::Live(many), &[])).is_ok(), "16 lanes");

    let lists: [Spoil<Vec<Parcel>>; 6] = [
        ("numbers that descend", |parcels| parcels.swap(0, 1)),
        ("one number twice", |parcels| parcels[1].sequence = parcels[0].sequence),
        ("a number that was never given", |parcels| parcels[10].sequence = u64::MAX),
        ("a lane that is still to come", |parcels| parcels[0].lane.0 = 9),
        ("another's share", |parcels| parcels[0].pool = parcels[10].pool),
        ("one delivery id twice", |parcels| parcels[1].delivery = parcels[0].delivery),
    ];
    for (what, spoil) in lists {
        let mut spoiled = parcels.clone();
        spoil(&mut spoiled);
        let file = written(&Head::Live(head.clone()), &spoiled);
        assert!(matches!(read(&file), Err(FileError::Rule(_))), "{what}");
    }
    // Bytes that nothing writes: after the head of an empty mailbox stands what follows.
    let empty = written(&Head::Live(head), &[]);
    let with = |at: usize, byte: u8| {
        let mut bytes = empty.clone();
        bytes[at] = byte;
        read(&bytes).map(drop)
    };
    assert!(matches!(with(0, b'W'), Err(FileError::Foreign)));
    assert!(matches!(with(19, 2), Err(FileError::Version(2))));
    assert!(matches!(with(20, 4), Err(FileError::Rule(_))));
    assert!(matches!(with(empty.len() - 33, 7), Err(FileError::Rule(_))));
    assert!(matches!(with(empty.len() - 1, 0), Err(FileError::Damaged)));
    // Lane 1: its kind and its pool.
    for at in [102, 103] {
        assert!(matches!(with(at, 0), Err(FileError::Rule(_))), "{at}");
        assert!(matches!(with(at, 9), Err(FileError::Rule(_))), "{at}");
    }
}
