//! Deleting what is old; damage, and what is salvaged of it.
use std::{fs, path::Path};

use waxwing_client::store::{EncryptedStore, Finding, OpenError, Search, StoreError, Unlock};
use waxwing_engine::{
    State,
    store::{Store as _, StoredMessage, Table, Write},
};
use waxwing_wire::time::Timestamp;

use crate::scene::{ALICE, BOB, CAROL, create, files, message, open, record, save};

const PAGE: usize = 4_096;

async fn filled(path: &Path, messages: u64) -> EncryptedStore {
    let mut store = create(path).await;
    let text = |number| format!("message number {number}, with some more words that fill its page");
    for first in (1..=messages).step_by(200) {
        let writes = (first..first + 200).map(|number| Write::Message(message(number, &text(number))));
        save(&mut store, writes).await;
    }
    save(&mut store, (0_u8..50).map(|number| record(Table::Session, &[number], &[number; 1_000]))).await;
    store
}

#[tokio::test]
async fn what_is_old_is_deleted_and_its_words_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = filled(folder.path(), 1_200).await;
    let queued = StoredMessage { author: ALICE, ..message(5_000, "still to be sent") };
    let sent = StoredMessage { author: ALICE, state: State::Sent, ..message(5_001, "sent") };
    let carols = StoredMessage { conversation: CAROL, author: CAROL, ..message(5_002, "Carol's") };
    let old = |message| Write::Message(StoredMessage { stored: Timestamp(5), ..message });
    save(&mut store, [old(queued), old(sent), old(carols)]).await;
    assert_eq!(store.forget_before(Timestamp(2_001_001), Some(&BOB)).await.unwrap(), 1_001);
    assert_eq!(store.page(&CAROL, None, 10).await.unwrap().len(), 1, "in one conversation only");
    assert_eq!(store.forget_before(Timestamp(2_001_001), None).await.unwrap(), 1);
    let left = store.page(&BOB, None, 10_000).await.unwrap();
    assert_eq!(left.len(), 201, "the newest, and what is still to be sent");
    assert_eq!(left[0].text, "still to be sent");
    assert!(left[1..].iter().all(|message| message.sequence > 1_000));
    let words = |query| Search { query, conversation: None, from: None, since: None, before: None, limit: 10 };
    let reader = store.reader();
    assert_eq!(reader.search(words("\"number 7\"")).await.unwrap(), []);
    assert_eq!(reader.search(words("\"number 1100\"")).await.unwrap().len(), 1);
    assert_eq!(store.unread(&BOB).await.unwrap(), 200, "unread is what is there");
    assert_eq!(store.check().await.unwrap(), []);
    assert_eq!(store.forget_before(Timestamp(2_001_001), None).await.unwrap(), 0);
    assert_eq!(fs::metadata(folder.path().join("store.db-wal")).unwrap().len(), 0, "the journal is folded in");
}

/// Overwrites a byte in the middle of a page.
fn damage(path: &Path, page: usize) {
    let file = path.join("store.db");
    let mut bytes = fs::read(&file).unwrap();
    bytes[page * PAGE + 2_000] ^= 0xff;
    fs::write(&file, bytes).unwrap();
}

#[tokio::test]
async fn a_check_finds_a_page_that_was_changed() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = filled(folder.path(), 1_000).await;
    assert_eq!(store.check().await.unwrap(), []);
    store.close().await.unwrap();
    let pages = files(folder.path())["store.db"].len() / PAGE;
    damage(folder.path(), pages / 2);
    let mut store = open(folder.path()).await;
    let findings = store.check().await.unwrap();
    assert!(findings.iter().any(|finding| matches!(finding, Finding::Page(_))), "{findings:?}");
    assert!(
        matches!(findings[0], Finding::Page(ref text) if text.contains(&format!("{}", pages / 2 + 1))),
        "{findings:?}"
    );
}

#[tokio::test]
async fn a_repair_salvages_what_reads() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path(), 600).await.close().await.unwrap();
    let whole = files(folder.path())["store.db"].clone();
    let (mut worst, mut found, mut nameless) = (0, 0, 0);
    // Whatever page it is, but the few with the tables' names.
    for page in (1..whole.len() / PAGE).step_by(4) {
        fs::write(folder.path().join("store.db"), &whole).unwrap();
        damage(folder.path(), page);
        let salvage = match EncryptedStore::repair(folder.path(), Unlock::None).await {
            Ok(salvage) => salvage,
            Err(error) => {
                assert_eq!(error, OpenError::Damaged);
                nameless += 1;
                continue;
            }
        };
        let mut store = open(folder.path()).await;
        assert_eq!(store.check().await.unwrap(), [], "page {page}: what was salvaged is whole");
        let messages = store.page(&BOB, None, 5_000).await.unwrap();
        assert_eq!(messages.len() as u64, salvage.messages);
        assert!(messages.iter().all(|message| message.text.contains(&format!("number {},", message.sequence))));
        let rootless = |read, lost| read == 0 && lost > 0;
        let (read, lost) = (salvage.messages, salvage.messages_lost);
        assert!(read + lost >= 600 || rootless(read, lost), "page {page}: {salvage:?}");
        assert!(read > 300 || rootless(read, lost), "page {page}: {salvage:?}");
        assert_eq!(salvage.records, store.load().await.unwrap().len() as u64);
        let (read, lost) = (salvage.records, salvage.records_lost);
        assert!(read + lost >= 50 || rootless(read, lost), "page {page}: {salvage:?}");
        worst = worst.max(salvage.messages_lost);
        found += u64::from(salvage.messages_lost + salvage.records_lost > 0);
        store.close().await.unwrap();
        assert!(files(folder.path()).contains_key("store.db.damaged"), "the damaged one is kept");
    }
    assert!(nameless <= 2, "{nameless}");
    assert!(found > 5, "some pages held rows: {found}");
    println!("{found} pages held rows; at worst {worst} messages were lost");
}

#[tokio::test]
async fn a_repair_of_what_does_not_read_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path(), 200).await.close().await.unwrap();
    damage(folder.path(), 0);
    let before = files(folder.path());
    assert_eq!(EncryptedStore::repair(folder.path(), Unlock::None).await, Err(OpenError::Damaged));
    assert_eq!(files(folder.path()), before);
}

#[tokio::test]
async fn a_repair_needs_no_salt_and_reads_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(folder.path(), 400).await;
    // Without being closed: everything is in the journal.
    let copy = tempfile::tempdir().unwrap();
    for (name, bytes) in files(folder.path()) {
        fs::write(copy.path().join(name), bytes).unwrap();
    }
    store.close().await.unwrap();
    assert!(files(copy.path())["store.db-wal"].len() > 100_000);
    let mut bytes = fs::read(copy.path().join("store.db")).unwrap();
    bytes[..16].fill(0);
    fs::write(copy.path().join("store.db"), bytes).unwrap();
    let opened = EncryptedStore::open(copy.path(), Unlock::None).await.err();
    assert_eq!(opened, Some(OpenError::Foreign));
    let salvage = EncryptedStore::repair(copy.path(), Unlock::None).await.unwrap();
    assert_eq!((salvage.messages, salvage.messages_lost, salvage.records), (400, 0, 50));
    assert_eq!(open(copy.path()).await.page(&BOB, None, 1_000).await.unwrap().len(), 400);
}

#[tokio::test]
async fn reading_damage_is_an_error_that_says_so() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path(), 1_000).await.close().await.unwrap();
    let pages = files(folder.path())["store.db"].len() / PAGE;
    for page in 1..pages {
        damage(folder.path(), page);
    }
    match EncryptedStore::open(folder.path(), Unlock::None).await {
        Err(error) => assert_eq!(error, OpenError::Damaged),
        Ok(mut store) => assert_eq!(store.page(&BOB, None, 10).await, Err(StoreError::Damaged)),
    }
}

#[tokio::test]
async fn a_damaged_page_hides_only_what_is_on_it() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path(), 600).await.close().await.unwrap();
    let pages = files(folder.path())["store.db"].len() / PAGE;
    let (mut hidden, mut needed_by_all) = (0, 0);
    for page in (pages / 3..pages).step_by(2) {
        damage(folder.path(), page);
        let store = match EncryptedStore::open(folder.path(), Unlock::None).await {
            Ok(store) => store,
            Err(error) => {
                assert_eq!(error, OpenError::Damaged, "a page that says how far the profile is");
                needed_by_all += 1;
                damage(folder.path(), page);
                continue;
            }
        };
        let (mut read, mut damaged) = (0, 0);
        for number in 1..=600 {
            match store.reader().message(&BOB, &message(number, "").id).await {
                Ok(found) => read += u64::from(found.is_some_and(|message| message.sequence == number)),
                Err(error) => {
                    assert_eq!(error, StoreError::Damaged);
                    damaged += 1;
                }
            }
        }
        assert_eq!(read + damaged, 600);
        assert!(damaged <= 200 || damaged == 600, "page {page} hides {damaged}");
        if damaged == 600 {
            needed_by_all += 1;
        } else {
            hidden += damaged;
        }
        store.close().await.unwrap();
        // The same again heals it.
        damage(folder.path(), page);
    }
    assert!(hidden > 0, "some pages held messages");
    assert!(needed_by_all <= 3, "what all messages need, as accounts and frames, is on few pages: {needed_by_all}");
}

#[tokio::test]
async fn a_profile_of_any_layout_is_repaired() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for layout in 1..=7 {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files(&golden.join(layout.to_string())) {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        let before = open_copy(&golden.join(layout.to_string())).await;
        let salvage = EncryptedStore::repair(folder.path(), Unlock::None).await.unwrap();
        // The newest has a block, of what was written to somebody else.
        let all = if layout < 7 { 3 } else { 43 };
        assert_eq!((salvage.messages, salvage.messages_lost, salvage.markers), (all, 0, 1), "layout {layout}");
        let mut store = open(folder.path()).await;
        assert_eq!(store.page(&BOB, None, 9).await.unwrap(), before, "layout {layout}");
        assert_eq!(store.check().await.unwrap(), []);
    }
}

/// What a profile has that is opened without a repair.
async fn open_copy(golden: &Path) -> Vec<StoredMessage> {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files(golden) {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    open(folder.path()).await.page(&BOB, None, 9).await.unwrap()
}
