//! F8: nothing of a person's is on the disk in the clear, whatever file, whenever one looks. F11: nor in the log.
use std::{
    fs,
    io::Write,
    path::Path,
    sync::{Arc, Mutex},
};

use waxwing_client::store::{EncryptedStore, Search, Unlock};
use waxwing_engine::store::{StoredMessage, Table, Write as Change};
use waxwing_wire::{id::AccountId, time::Timestamp};

use crate::scene::{ALICE, BOB, create, files, message, open, protected, record, save};

const WORD: &str = "Kirschblütenzweig";
const NAME: &str = "Rumpelstilzchen Meier";

/// What must not be found: texts in the encodings that databases use, and ids as bytes and as text.
fn planted() -> Vec<(String, Vec<u8>)> {
    let mut all = vec![];
    for text in [WORD, NAME, "Kirsch", "kirschbluten", "message_words", "SQLite format 3", "CREATE TABLE"] {
        all.push((text.to_owned(), text.as_bytes().to_vec()));
        all.push((format!("{text} in UTF-16"), text.encode_utf16().flat_map(u16::to_le_bytes).collect()));
    }
    for account in [ALICE, BOB] {
        all.push((account.to_string(), account.as_bytes().to_vec()));
        all.push((account.to_string(), account.to_string().into_bytes()));
    }
    all.push(("a secret".into(), SECRET.to_vec()));
    all.push(("half a secret".into(), SECRET[..16].to_vec()));
    all
}

const SECRET: &[u8; 32] = b"\x01\x02 a chain key of 32 bytes....\xff\xfe";

fn holds(bytes: &[u8], wanted: &[u8]) -> bool {
    memchr::memmem::find(bytes, wanted).is_some()
}

fn look(folder: &Path, when: &str) -> usize {
    let files = files(folder);
    for (name, bytes) in &files {
        for (what, wanted) in planted() {
            assert!(!holds(bytes, &wanted), "{when}: {what} is in {name}");
        }
    }
    files.values().map(Vec::len).sum()
}

fn writes(number: u64) -> Vec<Change> {
    let text = format!("Der {WORD} blüht, sagt {NAME}. 世界你好");
    let own = StoredMessage { author: ALICE, ..message(number + 1_000, WORD) };
    vec![
        Change::Message(message(number, &text)),
        Change::Message(own),
        record(Table::Contact, BOB.as_bytes(), NAME.as_bytes()),
        record(Table::Session, &number.to_be_bytes(), SECRET),
    ]
}

#[tokio::test]
async fn f8_nothing_is_on_the_disk_in_the_clear() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = create(folder.path()).await;
    look(folder.path(), "after it was made");
    for number in 1..=120 {
        save(&mut store, writes(number)).await;
        if number % 60 == 1 {
            assert!(files(folder.path()).contains_key("store.db-wal"), "there is a journal to look into");
            look(folder.path(), "while it is written");
        }
    }
    let reader = store.reader();
    let search = |query| Search { query, conversation: None, from: None, since: None, before: None, limit: 500 };
    assert_eq!(reader.search(search(WORD)).await.unwrap().len(), 240, "the search's indexes are there");
    assert_eq!(reader.search(search("世界你")).await.unwrap().len(), 120);
    assert!(reader.search(search("界")).await.unwrap().len() == 120 && store.check().await.unwrap().is_empty());
    assert_eq!(store.forget_before(Timestamp(2_000_100), None).await.unwrap(), 99);
    look(folder.path(), "after something was deleted");
    store.close().await.unwrap();
    let size = look(folder.path(), "after it was closed");
    assert!(size > 140 * WORD.len(), "{size} bytes hold it all");
    let readable = fs::read(folder.path().join("key")).unwrap();
    EncryptedStore::repair(folder.path(), Unlock::None).await.unwrap();
    assert!(files(folder.path()).contains_key("store.db.damaged"));
    look(folder.path(), "after a repair");
    EncryptedStore::change_protection(folder.path(), Unlock::None, protected(NAME)).await.unwrap();
    let key = fs::read(folder.path().join("key")).unwrap();
    assert!(!holds(&key, NAME.as_bytes()) && !holds(&key, &readable[13..45]), "the key lies under the passphrase");
    look(folder.path(), "under a passphrase");
}

#[test]
fn what_is_planted_is_found_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("leak"), format!("…{WORD}…")).unwrap();
    assert!(std::panic::catch_unwind(|| look(folder.path(), "now")).is_err());
}

/// Everything that is logged in this process, at every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn f11_neither_key_nor_content_is_logged() {
    let log = Log::default();
    let sink = log.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || sink.clone());
    // For every thread, since sqlx works on threads of its own.
    let _ = tracing::subscriber::set_global_default(subscriber.finish());
    tracing::info!("the log is on");
    let folder = tempfile::tempdir().unwrap();
    let mut store = create(folder.path()).await;
    save(&mut store, writes(1)).await;
    store.close().await.unwrap();
    let store = open(folder.path()).await;
    let debug = format!("{store:?}");
    store.close().await.unwrap();
    let key = fs::read(folder.path().join("key")).unwrap()[13..13 + 48].to_vec();
    let digits: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let log = log.0.lock().unwrap();
    assert!(holds(&log, b"the log is on"), "the log is on");
    for bytes in [log.as_slice(), debug.as_bytes()] {
        assert!(!holds(bytes, digits.as_bytes()) && !holds(bytes, &digits.as_bytes()[..32]), "the key");
        assert!(!holds(bytes, digits.to_uppercase().as_bytes()) && !holds(bytes, WORD.as_bytes()));
    }
    assert_eq!(AccountId::SIZE, 32);
}
