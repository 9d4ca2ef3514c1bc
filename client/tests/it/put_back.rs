//! B5: a profile that is older than what this machine has had of it is not gone on with.
use std::fs;

use waxwing_client::store::{EncryptedStore, OpenError, Profile, Protection, Unlock};
use waxwing_engine::store::{Store as _, Table, Write};

use crate::scene::{BOB, files, message, record, save};

struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn profile(&self, name: &str) -> Profile {
        Profile::new(self.folder.path().join(name)).noted_in(self.folder.path().join("state/saves"))
    }

    async fn create(&self, name: &str) -> EncryptedStore {
        EncryptedStore::create(self.profile(name), Protection::None).await.unwrap()
    }

    async fn open(&self, name: &str) -> Result<EncryptedStore, OpenError> {
        EncryptedStore::open(self.profile(name), Unlock::None).await
    }

    fn copy(&self, from: &str, to: &str) {
        let to = self.folder.path().join(to);
        let _ = fs::remove_dir_all(&to);
        fs::create_dir(&to).unwrap();
        for (name, bytes) in files(&self.folder.path().join(from)) {
            fs::write(to.join(name), bytes).unwrap();
        }
    }

    fn files(&self, name: &str) -> std::collections::BTreeMap<String, Vec<u8>> {
        files(&self.folder.path().join(name))
    }
}

async fn step(store: &mut EncryptedStore, number: u64) {
    let ratchet = record(Table::Session, b"bob", &number.to_be_bytes());
    save(store, [ratchet, Write::Message(message(number, "hello"))]).await;
}

#[tokio::test]
async fn b5_a_folder_that_was_put_back_is_refused_and_its_messages_can_be_had() {
    let scene = Scene::new();
    let mut store = scene.create("alice").await;
    step(&mut store, 1).await;
    store.close().await.unwrap();
    scene.copy("alice", "backup");
    let mut store = scene.open("alice").await.unwrap();
    step(&mut store, 2).await;
    store.close().await.unwrap();
    scene.copy("alice", "newest");

    scene.copy("backup", "alice");
    let before = scene.files("alice");
    assert_eq!(scene.open("alice").await.err(), Some(OpenError::PutBack));
    assert!(scene.files("alice") == before, "a refusal changes nothing");
    let archive = EncryptedStore::open_archive(scene.profile("alice"), Unlock::None).await.unwrap();
    let mut exported = Vec::new();
    assert_eq!(archive.reader().export(&mut exported).await.unwrap(), 2, "a message and a marker");
    assert_eq!(archive.reader().page(&BOB, None, 9).await.unwrap(), [message(1, "hello")]);
    archive.close().await;
    assert_eq!(scene.open("alice").await.err(), Some(OpenError::PutBack), "as often as it is tried");

    // The newest state is none that was put back, wherever it lies.
    scene.copy("newest", "alice");
    let store = scene.open("alice").await.unwrap();
    store.close().await.unwrap();
}

/// Copied while it was at work, and put back after its program was killed.
#[tokio::test]
async fn b5_a_copy_of_a_profile_at_work_is_refused_after_one_more_save() {
    let scene = Scene::new();
    let mut store = scene.create("alice").await;
    for number in 1..=5 {
        step(&mut store, number).await;
    }
    scene.copy("alice", "backup");
    step(&mut store, 6).await;
    // As a process that ends at once.
    drop(store);
    scene.copy("backup", "alice");
    assert_eq!(scene.open("alice").await.err(), Some(OpenError::PutBack));
}

/// A second copy beside the first, under another name.
#[tokio::test]
async fn b5_of_two_copies_one_is_open_and_only_the_one_that_went_on_opens_again() {
    let scene = Scene::new();
    let mut store = scene.create("alice").await;
    step(&mut store, 1).await;
    scene.copy("alice", "again");
    assert_eq!(scene.open("again").await.err(), Some(OpenError::Locked), "the first one is open");
    step(&mut store, 2).await;
    store.close().await.unwrap();
    assert_eq!(scene.open("again").await.err(), Some(OpenError::PutBack));
    scene.open("alice").await.unwrap().close().await.unwrap();
}

/// SQLite passes over a journal's end that does not read, as after a power cut: what was saved there may have been sent.
#[tokio::test]
async fn b5_a_journal_that_lost_its_end_is_noticed() {
    let scene = Scene::new();
    let mut store = scene.create("alice").await;
    for number in 1..=3 {
        step(&mut store, number).await;
    }
    scene.copy("alice", "cut");
    store.close().await.unwrap();
    let journal = scene.folder.path().join("cut/store.db-wal");
    let bytes = fs::read(&journal).unwrap();
    fs::write(&journal, &bytes[..bytes.len() - 100]).unwrap();
    assert_eq!(scene.open("cut").await.err(), Some(OpenError::PutBack));
}

/// What is there without a note, or with half of one, opens: moved to another machine, or after a power cut.
#[tokio::test]
async fn a_profile_without_a_note_opens() {
    let scene = Scene::new();
    let mut store = scene.create("alice").await;
    step(&mut store, 1).await;
    store.close().await.unwrap();
    let state = scene.folder.path().join("state/saves");
    let note = |text: Option<&str>| {
        let path = fs::read_dir(&state).unwrap().next().unwrap().unwrap().path();
        match text {
            Some(text) => fs::write(path, text).unwrap(),
            None => fs::remove_file(path).unwrap(),
        }
    };
    for text in [Some(""), Some("0000000000000"), Some("\u{e9}"), None] {
        note(text);
        let mut store = scene.open("alice").await.unwrap();
        step(&mut store, 2).await;
        store.close().await.unwrap();
    }
    note(Some("00000000000000000099\n"));
    assert_eq!(scene.open("alice").await.err(), Some(OpenError::PutBack));
    // Nobody is forced to have notes.
    let plain = EncryptedStore::open(scene.folder.path().join("alice").as_path(), Unlock::None).await.unwrap();
    plain.close().await.unwrap();
}

/// A failed save does not count, a repair goes on counting, and the note says nothing of whose it is.
#[tokio::test]
async fn the_note_is_as_far_as_the_database() {
    let scene = Scene::new();
    let mut store = scene.create("alice").await;
    for number in 1..=3 {
        step(&mut store, number).await;
    }
    store.save(&waxwing_engine::store::Batch::new()).await.unwrap();
    store.close().await.unwrap();
    let notes = scene.files("state/saves");
    let (name, text) = notes.first_key_value().unwrap();
    assert_eq!(text, b"00000000000000000003\n", "an empty batch is none");
    assert_eq!(name.len(), "0123456789abcdef0123456789abcdef.saves".len());
    scene.copy("alice", "old");
    EncryptedStore::repair(scene.profile("alice"), Unlock::None).await.unwrap();
    let mut store = scene.open("alice").await.unwrap();
    step(&mut store, 4).await;
    store.close().await.unwrap();
    assert_eq!(scene.open("old").await.err(), Some(OpenError::PutBack));
    assert_eq!(scene.files("state/saves").len(), 1, "it is the same profile");
}

#[tokio::test]
async fn notes_that_cannot_be_made_are_said() {
    let scene = Scene::new();
    fs::write(scene.folder.path().join("file"), "").unwrap();
    let profile = Profile::new(scene.folder.path().join("alice")).noted_in(scene.folder.path().join("file"));
    let refused = EncryptedStore::create(profile, Protection::None).await.err();
    assert!(matches!(refused, Some(OpenError::Io(_))), "{refused:?}");
    assert!(!scene.folder.path().join("alice").exists());
}
