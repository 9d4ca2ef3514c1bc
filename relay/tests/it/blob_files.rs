//! Spec §17.9.4: what blobs are in a folder, and what a folder is after a crash.
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use sqlx::{Connection as _, Executor as _, SqliteConnection, sqlite::SqliteConnectOptions};
use waxwing_relay::store::{
    BlobError, BlobReadError, BlobWriteError, Blobs, Rules, SqliteStore, Store as _, Unavailable, Uploading as _,
};
use waxwing_wire::sealed::ChunkSize;

use crate::{
    conformance::blobs::{READ, WRITE, bytes, capability, id, new, read, state, transfer, written},
    scene::{DAY, NOW, after},
};

const K64: u64 = 65_536;

async fn open(folder: &Path) -> SqliteStore {
    SqliteStore::open(folder, Rules::default(), NOW).await.unwrap()
}

/// Name and length of each file of a blob.
fn files(folder: &Path) -> BTreeMap<String, u64> {
    let entries = fs::read_dir(folder.join("blobs")).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().len())).collect()
}

/// The one file there is.
fn file(folder: &Path) -> PathBuf {
    let names: Vec<_> = files(folder).into_keys().collect();
    assert_eq!(names.len(), 1);
    folder.join("blobs").join(&names[0])
}

async fn raw(folder: &Path, text: &'static str) {
    let file = folder.join("mailboxes.sqlite");
    let mut raw = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(file)).await.unwrap();
    raw.execute(text).await.unwrap();
    raw.close().await.unwrap();
}

#[tokio::test]
async fn d3_a_blob_takes_its_chunks_and_a_row_and_nobody_else_may_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    for (number, count) in [(1, 4), (2, 2), (3, 1)] {
        store.create_blob(new(number, ChunkSize::K64, count), NOW).await.unwrap();
    }
    assert_eq!(files(folder.path()), BTreeMap::new(), "without a chunk there is no file");
    written(&store, 1, 0, 3).await;
    written(&store, 2, 0, 2).await;
    // A part of a chunk is kept by nobody.
    let mut upload = store.write_blob(&transfer(1, WRITE, 3, 1), NOW).await.unwrap();
    upload.write(bytes(0, 1_000), NOW).await.unwrap();
    assert_eq!(upload.finish(NOW).await.unwrap().written, 3);
    let lengths: Vec<_> = files(folder.path()).into_values().collect();
    assert_eq!(lengths, [3 * K64, 2 * K64]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.path().join("blobs")), 0o700);
    for name in files(folder.path()).keys() {
        assert_eq!(mode(&folder.path().join("blobs").join(name)), 0o600);
        assert!(name.parse::<u64>().is_ok(), "a name is a number of this store: {name}");
    }
    let before = fs::metadata(folder.path().join("blobs/2")).unwrap().accessed().unwrap();
    assert!(read(&store, 2, 0, 2, 65_536).await.unwrap() == bytes(0, 2 * 65_536));
    let accessed = fs::metadata(folder.path().join("blobs/2")).unwrap().accessed().unwrap();
    assert_eq!(accessed, before, "reading leaves no time behind");
    store.close().await;
}

#[tokio::test]
async fn what_was_written_is_there_after_a_restart_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    store.create_blob(new(1, ChunkSize::K64, 4), NOW).await.unwrap();
    let before = written(&store, 1, 0, 2).await;
    store.close().await;
    let closed = store.write_blob(&transfer(1, WRITE, 2, 1), NOW).await;
    assert_eq!(closed.map(drop).unwrap_err(), BlobWriteError::Unavailable(Unavailable), "the folder may be another's");
    let store = open(folder.path()).await;
    assert_eq!(state(&store, 1, NOW), Ok(before));
    assert_eq!((store.stats().blobs, store.stats().blob_bytes), (1, 2 * K64));
    assert_eq!(written(&store, 1, 2, 2).await.written, 4);
    assert!(read(&store, 1, 0, 4, 65_536).await.unwrap() == bytes(0, 4 * 65_536));
    // It ends by the same clock.
    while store.expire(after(30 * DAY)).await.unwrap() {}
    assert_eq!(state(&store, 1, NOW), Err(BlobError::Refused));
    store.close().await;
    assert_eq!(files(folder.path()), BTreeMap::new());
}

#[tokio::test]
async fn an_upload_keeps_the_folder_until_it_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    store.create_blob(new(1, ChunkSize::K64, 4), NOW).await.unwrap();
    let upload = store.write_blob(&transfer(1, WRITE, 0, 4), NOW).await.unwrap();
    store.close().await;
    assert!(SqliteStore::open(folder.path(), Rules::default(), NOW).await.is_err(), "it may still write");
    drop(upload);
    open(folder.path()).await.close().await;
}

#[tokio::test]
async fn whatever_is_no_blobs_is_removed_when_the_store_opens() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    store.create_blob(new(1, ChunkSize::K64, 4), NOW).await.unwrap();
    written(&store, 1, 0, 2).await;
    store.close().await;
    let kept = file(folder.path());
    // An upload that was cut off; a removal that was; names that nobody gave.
    fs::write(&kept, [bytes(0, 2 * 65_536), vec![9; 70_000]].concat()).unwrap();
    for name in ["77", "077", "+1", "stray", "18446744073709551616"] {
        fs::write(folder.path().join("blobs").join(name), b"stray").unwrap();
    }
    let store = open(folder.path()).await;
    assert_eq!(files(folder.path()).into_values().collect::<Vec<_>>(), [2 * K64]);
    assert_eq!(written(&store, 1, 2, 2).await.written, 4);
    assert!(read(&store, 1, 0, 4, 65_536).await.unwrap() == bytes(0, 4 * 65_536));
    store.close().await;
    // The row went and the file did not.
    raw(folder.path(), "DELETE FROM blob").await;
    open(folder.path()).await.close().await;
    assert_eq!(files(folder.path()), BTreeMap::new());
}

#[tokio::test]
async fn a_chunk_that_is_not_there_is_not_claimed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    store.create_blob(new(1, ChunkSize::K64, 4), NOW).await.unwrap();
    written(&store, 1, 0, 4).await;
    store.close().await;
    // A disk that lies, or somebody's hand.
    fs::File::options().write(true).open(file(folder.path())).unwrap().set_len(2 * K64 + 5).unwrap();
    let store = open(folder.path()).await;
    assert_eq!(state(&store, 1, NOW).unwrap().written, 2);
    assert_eq!(store.stats().blob_bytes, 2 * K64);
    assert_eq!(read(&store, 1, 0, 3, 65_536).await, Err(BlobReadError::Incomplete));
    let found = store.verify().await.unwrap();
    assert!(found.len() == 1 && found[0].what == "its file is shorter than its chunks", "{found:?}");
    assert_eq!(written(&store, 1, 2, 2).await.written, 4, "and can be written again");
    assert!(read(&store, 1, 0, 4, 65_536).await.unwrap() == bytes(0, 4 * 65_536));
    assert_eq!(store.verify().await.unwrap(), []);
    store.close().await;
    fs::remove_file(file(folder.path())).unwrap();
    let store = open(folder.path()).await;
    assert_eq!(state(&store, 1, NOW).unwrap().written, 0);
    store.close().await;
}

#[tokio::test]
async fn verify_finds_files_that_are_nobodys_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    for number in 1..=2 {
        store.create_blob(new(number, ChunkSize::K64, 4), NOW).await.unwrap();
        written(&store, number, 0, 2).await;
    }
    let mut upload = store.write_blob(&transfer(1, WRITE, 2, 2), NOW).await.unwrap();
    upload.write(bytes(0, 70_000), NOW).await.unwrap();
    assert_eq!(store.verify().await.unwrap(), [], "what is being written is longer than its row says");
    upload.finish(NOW).await.unwrap();
    store.delete_blob(&id(2), &capability(WRITE), NOW).await.unwrap();
    assert_eq!(store.verify().await.unwrap(), []);
    for name in ["77", "stray"] {
        fs::write(folder.path().join("blobs").join(name), b"stray").unwrap();
    }
    let found = store.verify().await.unwrap();
    let mut found: Vec<_> = found.iter().map(|one| format!("{}: {}", one.place, one.what)).collect();
    found.sort_unstable();
    assert_eq!(found, ["blob 0: there is a file that has no blob's name", "blob 77: there is a file and no such blob"]);
    store.close().await;
}

#[tokio::test]
async fn a_copy_has_the_chunks_that_its_rows_speak_of_whatever_is_deleted_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let (data, copy) = (folder.path().join("data"), folder.path().join("copy"));
    fs::create_dir(&copy).unwrap();
    let store = open(&data).await;
    for number in 1..=3 {
        store.create_blob(new(number, ChunkSize::K64, 40), NOW).await.unwrap();
    }
    written(&store, 1, 0, 40).await;
    written(&store, 2, 0, 2).await;
    let mut upload = store.write_blob(&transfer(2, WRITE, 2, 2), NOW).await.unwrap();
    upload.write(bytes(0, 70_000), NOW).await.unwrap();
    let (blob, capability) = (id(1), capability(WRITE));
    let (copied, deleted) = tokio::join!(store.copy_to(&copy), store.delete_blob(&blob, &capability, NOW));
    assert_eq!((copied, deleted), (Ok(()), Ok(())));
    drop(upload);
    store.close().await;
    let store = open(&copy).await;
    assert_eq!(store.verify().await.unwrap(), []);
    assert!(read(&store, 2, 0, 2, 65_536).await.unwrap() == bytes(0, 2 * 65_536));
    if state(&store, 1, NOW).is_ok() {
        assert!(read(&store, 1, 0, 40, 65_536).await.unwrap() == bytes(0, 40 * 65_536));
    }
    assert_eq!(store.blob_state(&id(3), &crate::conformance::blobs::capability(READ), NOW).unwrap().written, 0);
    store.close().await;
}
