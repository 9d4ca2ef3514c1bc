//! Profiles: who opens them, with what, and what a refusal leaves behind.
use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use waxwing_client::store::{EncryptedStore, OpenError, Protection, Unlock};
use waxwing_engine::store::{Store as _, Table, Write};

use crate::scene::{BOB, create, files, message, open, passphrase, protected, record, save};

async fn refused(path: &Path, unlock: Unlock) -> OpenError {
    let before = if path.is_dir() { files(path) } else { Default::default() };
    let error = EncryptedStore::open(path, unlock).await.expect_err("it is refused");
    let mut after = if path.is_dir() { files(path) } else { Default::default() };
    // Says which pages a journal has, and is made anew by whoever looks into it.
    after.remove("store.db-shm");
    let mut before = before;
    before.remove("store.db-shm");
    assert!(before == after, "a refusal changes nothing: {:?}, {:?}", before.keys(), after.keys());
    error
}

#[tokio::test]
async fn a_passphrase_opens_and_another_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = EncryptedStore::create(folder.path(), protected("correct horse")).await.unwrap();
    save(&mut store, [record(Table::Account, b"", b"alice")]).await;
    store.close().await.unwrap();
    let wrong = Unlock::Passphrase(passphrase("correct house"));
    assert_eq!(refused(folder.path(), wrong).await, OpenError::WrongPassphrase);
    assert_eq!(refused(folder.path(), Unlock::None).await, OpenError::PassphraseNeeded);
    let right = Unlock::Passphrase(passphrase("correct horse"));
    let mut store = EncryptedStore::open(folder.path(), right).await.unwrap();
    assert_eq!(store.load().await.unwrap().len(), 1);
}

#[tokio::test]
async fn another_passphrase_touches_no_database() {
    let folder = tempfile::tempdir().unwrap();
    EncryptedStore::create(folder.path(), protected("old")).await.unwrap().close().await.unwrap();
    let before = files(folder.path());
    let unlock = |text: &str| Unlock::Passphrase(passphrase(text));
    let wrong = EncryptedStore::change_protection(folder.path(), unlock("odd"), protected("new")).await;
    assert_eq!(wrong, Err(OpenError::WrongPassphrase));
    assert_eq!(files(folder.path()), before);
    EncryptedStore::change_protection(folder.path(), unlock("old"), protected("new")).await.unwrap();
    let after = files(folder.path());
    assert_eq!(after["store.db"], before["store.db"]);
    assert_ne!(after["key"], before["key"]);
    assert_eq!(after.keys().collect::<Vec<_>>(), ["key", "lock", "store.db"], "and leaves no other file");
    assert_eq!(refused(folder.path(), unlock("old")).await, OpenError::WrongPassphrase);
    EncryptedStore::open(folder.path(), unlock("new")).await.unwrap().close().await.unwrap();
    // And to none, for a program that starts unattended.
    EncryptedStore::change_protection(folder.path(), unlock("new"), Protection::None).await.unwrap();
    open(folder.path()).await.close().await.unwrap();
}

#[tokio::test]
async fn what_is_no_profile_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(refused(folder.path(), Unlock::None).await, OpenError::NotAProfile, "an empty folder");
    assert_eq!(refused(&folder.path().join("absent"), Unlock::None).await, OpenError::NotAProfile);
    assert!(!folder.path().join("absent").exists());
    fs::write(folder.path().join("notes"), "text").unwrap();
    assert_eq!(refused(&folder.path().join("notes"), Unlock::None).await, OpenError::NotAProfile, "a file");
    fs::write(folder.path().join("key"), "another program's key").unwrap();
    let error = EncryptedStore::open(folder.path(), Unlock::None).await.err();
    assert_eq!(error, Some(OpenError::NotAProfile), "another program's folder");
    assert_eq!(fs::read(folder.path().join("key")).unwrap(), b"another program's key");
    assert_eq!(EncryptedStore::create(folder.path(), Protection::None).await.err(), Some(OpenError::Exists));
}

#[tokio::test]
async fn a_profile_is_made_once() {
    let folder = tempfile::tempdir().unwrap();
    create(folder.path()).await.close().await.unwrap();
    let before = files(folder.path());
    assert_eq!(EncryptedStore::create(folder.path(), Protection::None).await.err(), Some(OpenError::Exists));
    assert_eq!(files(folder.path()), before);
}

#[tokio::test]
async fn a_profile_is_open_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = create(folder.path()).await;
    assert_eq!(EncryptedStore::open(folder.path(), Unlock::None).await.err(), Some(OpenError::Locked));
    let change = EncryptedStore::change_protection(folder.path(), Unlock::None, protected("new")).await;
    assert_eq!(change, Err(OpenError::Locked));
    store.close().await.unwrap();
    open(folder.path()).await.close().await.unwrap();
}

#[tokio::test]
async fn damage_is_told_from_a_wrong_passphrase() {
    let folder = tempfile::tempdir().unwrap();
    EncryptedStore::create(folder.path(), protected("word")).await.unwrap().close().await.unwrap();
    let whole = files(folder.path());
    let (key, database) = (folder.path().join("key"), folder.path().join("store.db"));
    let unlock = || Unlock::Passphrase(passphrase("word"));
    let path = folder.path();
    for at in [11, 12, 13, 14, 20, 60, 100, 200, whole["key"].len() - 1] {
        let mut bytes = whole["key"].clone();
        bytes[at] ^= 1;
        fs::write(&key, bytes).unwrap();
        let expected = if at == 11 { OpenError::NewerKey(0) } else { OpenError::KeyDamaged };
        assert_eq!(refused(path, unlock()).await, expected, "byte {at} of the key file");
    }
    for length in [0, 5, 12, 13, 44, 200] {
        fs::write(&key, &whole["key"][..length]).unwrap();
        let error = refused(path, unlock()).await;
        assert!(matches!(error, OpenError::KeyDamaged | OpenError::NotAProfile), "{length} bytes: {error}");
    }
    fs::write(&key, &whole["key"]).unwrap();
    let mut altered = whole["store.db"].clone();
    altered[100] ^= 1;
    fs::write(&database, &altered).unwrap();
    assert_eq!(refused(path, unlock()).await, OpenError::Damaged, "the first page");
    altered[0] ^= 1;
    fs::write(&database, &altered).unwrap();
    assert_eq!(refused(path, unlock()).await, OpenError::Foreign, "the salt");
    fs::write(&database, b"short").unwrap();
    assert_eq!(refused(path, unlock()).await, OpenError::Damaged, "cut short");
    fs::write(&database, b"SQLite format 3\0 of another program, in the clear").unwrap();
    assert_eq!(refused(path, unlock()).await, OpenError::Foreign);
    fs::remove_file(&database).unwrap();
    assert_eq!(refused(path, unlock()).await, OpenError::NoDatabase);
    fs::write(&database, &whole["store.db"]).unwrap();
    EncryptedStore::open(path, unlock()).await.unwrap();
}

#[tokio::test]
async fn another_profiles_database_is_foreign() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    create(one.path()).await.close().await.unwrap();
    create(two.path()).await.close().await.unwrap();
    fs::copy(two.path().join("store.db"), one.path().join("store.db")).unwrap();
    assert_eq!(refused(one.path(), Unlock::None).await, OpenError::Foreign);
}

#[tokio::test]
async fn nobody_but_the_owner_reads_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("profile");
    let mut store = create(&path).await;
    save(&mut store, [Write::Message(message(1, "hello"))]).await;
    let reader = store.reader();
    assert_eq!(reader.page(&BOB, None, 1).await.unwrap().len(), 1);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    let names: Vec<_> = files(&path).into_keys().collect();
    assert_eq!(names, ["key", "lock", "store.db", "store.db-shm", "store.db-wal"]);
    for name in names {
        assert_eq!(mode(&path.join(&name)), 0o600, "{name}");
    }
    store.close().await.unwrap();
    for name in ["", "key", "store.db"] {
        fs::set_permissions(path.join(name), fs::Permissions::from_mode(0o777)).unwrap();
    }
    let _store = open(&path).await;
    assert_eq!([mode(&path), mode(&path.join("key")), mode(&path.join("store.db"))], [0o700, 0o600, 0o600]);
}
