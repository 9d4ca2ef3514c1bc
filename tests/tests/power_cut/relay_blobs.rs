//! E7 and E8 for blobs: no chunk that was told is missing or another after a power cut at any write or sync, nor when the disk is full or broken;
//! and no file is left that has no blob.
use std::{
    collections::BTreeMap,
    env,
    fs::{self, File},
    path::Path,
    process::Stdio,
};

use tokio::task::JoinSet;
use waxwing_relay::store::{
    BlobCreateError, BlobError, BlobWriteError, Blobs, Downloading as _, NewBlob, Rules, SqliteStore, Unavailable,
    Uploading as _,
};
use waxwing_tests::faults::{self, Error, Faults, Kind};
use waxwing_wire::{
    id::BlobId,
    relay::{Capability, TransferBlob, VerifierKind},
    sealed::ChunkSize,
};

use super::relay_store::{Log, NOW, rules, runtime};
use super::run::{broken_cuts, cuts, is_child};

const COUNT: u32 = 12;
const K64: usize = 65_536;

fn id(blob: u8) -> BlobId {
    BlobId::from_bytes([blob; 16])
}

fn capability(kind: VerifierKind) -> Capability {
    Capability::from_bytes(if kind == VerifierKind::WriteBlob { [1; 32] } else { [2; 32] })
}

async fn make(store: &SqliteStore, blob: u8) -> Result<(), Unavailable> {
    let verifier = |kind| capability(kind).verifier(kind, id(blob).as_bytes());
    let new = NewBlob {
        blob: id(blob),
        chunk: ChunkSize::K64,
        count: COUNT,
        write_verifier: verifier(VerifierKind::WriteBlob),
        read_verifier: verifier(VerifierKind::ReadBlob),
        invite: None,
    };
    store.create_blob(new, NOW).await.map(drop).map_err(|error| match error {
        BlobCreateError::Unavailable(unavailable) => unavailable,
        other => panic!("{other}"),
    })
}

fn chunk(blob: u8, number: u32) -> Vec<u8> {
    let seed = u64::from(blob) << 32 | u64::from(number);
    let word = |at: u64| (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ at).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (0..65_536_u64 / 8).flat_map(|at| word(at).to_be_bytes()).collect()
}

fn written(store: &SqliteStore, blob: u8) -> Option<u32> {
    match store.blob_state(&id(blob), &capability(VerifierKind::ReadBlob), NOW) {
        Ok(state) => Some(state.written),
        Err(BlobError::Refused) => None,
        Err(other) => panic!("{other}"),
    }
}

/// Writes so many chunks and a bit; how many are there.
async fn write(store: &SqliteStore, blob: u8, count: u32) -> Result<u32, Unavailable> {
    let first = written(store, blob).unwrap();
    let count = count.min(COUNT - first);
    if count == 0 {
        return Ok(first);
    }
    let transfer = TransferBlob { blob: id(blob), capability: capability(VerifierKind::WriteBlob), first, count };
    let failed = |error| match error {
        BlobWriteError::Unavailable(unavailable) => unavailable,
        other => panic!("{other}"),
    };
    let mut upload = store.write_blob(&transfer, NOW).await.map_err(failed)?;
    for number in first..first + count {
        let bytes = chunk(blob, number);
        let (front, back) = bytes.split_at(K64 / 3);
        upload.write(front.to_vec(), NOW).await.map_err(failed)?;
        // The last but one of a part stays a part.
        if number + 1 < first + count || !number.is_multiple_of(3) {
            upload.write(back.to_vec(), NOW).await.map_err(failed)?;
        }
    }
    Ok(upload.finish(NOW).await.map_err(failed)?.written)
}

/// Every chunk that is said to be there is what was written.
async fn check(store: &SqliteStore, blob: u8) -> Result<(), String> {
    let Some(count) = written(store, blob).filter(|written| *written > 0) else { return Ok(()) };
    let transfer = TransferBlob { blob: id(blob), capability: capability(VerifierKind::ReadBlob), first: 0, count };
    let (_, mut download) = store.read_blob(&transfer, NOW).await.map_err(|error| error.to_string())?;
    for number in 0..count {
        let came = download.next(K64).await.map_err(|error| error.to_string())?;
        if came.is_none_or(|came| came != chunk(blob, number)) {
            return Err(format!("chunk {number} of {blob} came back otherwise"));
        }
    }
    Ok(())
}

/// How many files there are.
fn files(folder: &Path) -> usize {
    fs::read_dir(folder.join("blobs")).unwrap().count()
}

async fn work(folder: &Path) {
    let log = Log::open(folder);
    let mut store = SqliteStore::open(folder, rules(), NOW).await.unwrap();
    for blob in 1..=6 {
        make(&store, blob).await.unwrap();
        log.say(&format!("made {blob}"));
    }
    for round in 1..=6_u32 {
        let mut writing = JoinSet::new();
        for blob in (1..=6).filter(|blob| *blob < 6 || round <= 3) {
            let (store, log) = (store.clone(), log.clone());
            writing.spawn(async move {
                let there = write(&store, blob, 1 + (round + u32::from(blob)) % 4).await.unwrap();
                log.say(&format!("written {blob} {there}"));
            });
        }
        while let Some(done) = writing.join_next().await {
            done.unwrap();
        }
        if round == 3 {
            log.say("deleting 6");
            store.delete_blob(&id(6), &capability(VerifierKind::WriteBlob), NOW).await.unwrap();
            log.say("deleted 6");
            store.close().await;
            drop(store);
            store = SqliteStore::open(folder, rules(), NOW).await.unwrap();
        }
    }
    store.close().await;
}

async fn judge(image: &Path, lines: &[&str]) -> Result<(), String> {
    let (mut told, mut deleting, mut deleted) = (BTreeMap::new(), false, false);
    for line in lines {
        match line.split(' ').collect::<Vec<_>>().as_slice() {
            ["made", blob] => drop(told.insert(blob.parse::<u8>().unwrap(), 0_u32)),
            ["written", blob, count] => drop(told.insert(blob.parse().unwrap(), count.parse().unwrap())),
            ["deleting", _] => deleting = true,
            ["deleted", _] => deleted = true,
            other => panic!("{other:?}"),
        }
    }
    let store = SqliteStore::open(image, rules(), NOW).await.map_err(|error| error.to_string())?;
    for (blob, told) in told {
        match written(&store, blob) {
            None if blob == 6 && deleting => continue,
            None => return Err(format!("blob {blob} is missing")),
            Some(_) if blob == 6 && deleted => return Err("a deleted blob is back".into()),
            Some(there) if there < told => return Err(format!("of {told} chunks of {blob} {there} are there")),
            Some(_) => check(&store, blob).await?,
        }
        // And it goes on.
        write(&store, blob, COUNT).await.map_err(|error| error.to_string())?;
        check(&store, blob).await?;
    }
    let found = store.verify().await.map_err(|error| error.to_string())?;
    if !found.is_empty() {
        return Err(format!("{found:?}"));
    }
    store.close().await;
    Ok(())
}

#[test]
fn e7_chunks_that_were_told_survive_every_power_cut() {
    let name = "relay_blobs::e7_chunks_that_were_told_survive_every_power_cut";
    if is_child("relay blobs", |folder| runtime().block_on(work(folder))) {
        return;
    }
    let runtime = runtime();
    let judged = broken_cuts(name, "relay blobs", cuts() / 2, |image, lines| runtime.block_on(judge(image, lines)));
    assert_eq!(judged, (0, None));
}

/// A relay that crashed and knew no blobs, and the one that comes after it. Its log is there, so SQLite makes no file and syncs no folder:
/// nobody but us brings the name of the new folder onto stable storage.
async fn upgrade(folder: &Path) {
    let older = folder.join("older");
    let store = SqliteStore::open(&older, rules(), NOW).await.unwrap();
    make(&store, 9).await.unwrap();
    store.delete_blob(&id(9), &capability(VerifierKind::WriteBlob), NOW).await.unwrap();
    let mut copied = Vec::new();
    for name in fs::read_dir(&older).unwrap().map(|entry| entry.unwrap().file_name()) {
        // Not the index of the log, which the next one makes; and not the folder of blobs.
        if name.to_str().is_some_and(|name| name.ends_with(".sqlite") || name.ends_with("-wal")) {
            // Not `fs::copy`, whose system call the journal does not know.
            fs::write(folder.join(&name), fs::read(older.join(&name)).unwrap()).unwrap();
            File::open(folder.join(&name)).unwrap().sync_all().unwrap();
            copied.push(name);
        }
    }
    assert_eq!(copied.len(), 2, "the file and its log: {copied:?}");
    File::open(folder).unwrap().sync_all().unwrap();
    store.close().await;

    let log = Log::open(folder);
    let store = SqliteStore::open(folder, rules(), NOW).await.unwrap();
    for blob in 1..=5 {
        make(&store, blob).await.unwrap();
        log.say(&format!("made {blob}"));
        let there = write(&store, blob, 2).await.unwrap();
        log.say(&format!("written {blob} {there}"));
    }
    store.close().await;
}

#[test]
fn e7_the_folder_of_blobs_is_on_stable_storage_before_any_chunk_is_told() {
    let name = "relay_blobs::e7_the_folder_of_blobs_is_on_stable_storage_before_any_chunk_is_told";
    if is_child("relay upgrade", |folder| runtime().block_on(upgrade(folder))) {
        return;
    }
    let runtime = runtime();
    let judged = broken_cuts(name, "relay upgrade", cuts() / 2, |image, lines| {
        // Before anything was told, the copy itself may be half done.
        if lines.is_empty() { Ok(()) } else { runtime.block_on(judge(image, lines)) }
    });
    assert_eq!(judged, (0, None));
}

async fn fail(folder: &Path) {
    let mut faults = Faults::new(Path::new(&env::var_os("WAXWING_FAULT").unwrap())).unwrap();
    let store = SqliteStore::open(folder, Rules::default(), NOW).await.unwrap();
    let (mut failed, mut blob) = (0, 0_u8);
    for (kind, error) in [
        (Kind::Writes, Error::Full),
        (Kind::Writes, Error::Broken),
        (Kind::Syncs, Error::Broken),
        (Kind::Syncs, Error::Full),
        (Kind::Both, Error::Broken),
    ] {
        for after in 0..14 {
            blob += 1;
            make(&store, blob).await.unwrap();
            let told = write(&store, blob, 2).await.unwrap();
            faults.begin(kind, error, after).unwrap();
            let more = write(&store, blob, 3).await;
            failed += u32::from(more.is_err());
            let there = written(&store, blob).unwrap();
            assert!(there >= more.unwrap_or(told), "{kind:?} {error:?} after {after}");
            faults.end().unwrap();
            // Nothing was claimed that is not there, and when the disk is well it goes on.
            check(&store, blob).await.unwrap();
            while written(&store, blob).unwrap() < COUNT {
                write(&store, blob, COUNT).await.unwrap();
            }
            check(&store, blob).await.unwrap();
        }
    }
    assert!(failed > 20, "{failed} failures");
    assert_eq!(store.verify().await.unwrap(), []);
    store.close().await;
    let store = SqliteStore::open(folder, Rules::default(), NOW).await.unwrap();
    for blob in 1..=blob {
        assert_eq!(written(&store, blob), Some(COUNT));
        check(&store, blob).await.unwrap();
        store.delete_blob(&id(blob), &capability(VerifierKind::WriteBlob), NOW).await.unwrap();
    }
    store.close().await;
    assert_eq!(files(folder), 0);
}

#[test]
fn e8_a_disk_that_is_full_or_broken_claims_no_chunk_that_is_not_there() {
    let name = "relay_blobs::e8_a_disk_that_is_full_or_broken_claims_no_chunk_that_is_not_there";
    if is_child("blob faults", |folder| runtime().block_on(fail(folder))) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap().join("data");
    let orders = folder.path().join("orders");
    fs::create_dir(&root).unwrap();
    drop(Faults::new(&orders).unwrap());
    let library = faults::build_shim(folder.path()).unwrap();
    let mut child = super::run::child(name, "blob faults", &root);
    faults::preload(&mut child, &library, &root, &orders);
    let done = child.stdout(Stdio::inherit()).status().unwrap();
    assert!(done.success(), "the child failed");
}
