//! Blocks are full, agree with the indexes, and lose what is deleted.
use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use waxwing_engine::{
    State,
    store::{Batch, Store as _, StoredMessage, Write},
};
use waxwing_wire::{
    content::MessageId,
    id::{AccountId, DeviceId},
    time::Timestamp,
};

use super::*;
use crate::store::{EncryptedStore, Finding, Protection, Search, StoreError};

fn text(number: i64, text: &str) -> Text<'_> {
    Text { number, conversation: 1, stored: number, text: text.into() }
}

fn message(conversation: AccountId, number: u64, text: &str) -> Write {
    Write::Message(StoredMessage {
        conversation,
        id: MessageId::from_bytes((u128::from(number) + 1).to_be_bytes()),
        author: conversation,
        device: DeviceId::MIN,
        sequence: number,
        sent: Timestamp(number),
        stored: Timestamp(number),
        state: State::Delivered,
        text: text.to_owned(),
        content: Vec::new(),
    })
}

const PEER: AccountId = AccountId::from_bytes([0xb0; 32]);

async fn with(texts: impl IntoIterator<Item = String>) -> (tempfile::TempDir, EncryptedStore) {
    let folder = tempfile::tempdir().unwrap();
    let mut store = EncryptedStore::create(folder.path(), Protection::None).await.unwrap();
    let batch: Batch = texts.into_iter().zip(0..).map(|(text, number)| message(PEER, number, &text)).collect();
    store.save(&batch).await.unwrap();
    (folder, store)
}

#[test]
fn a_block_is_full_when_it_is_long_enough_and_takes_a_quarter_of_a_page() {
    let short: Vec<Text<'_>> = (0..31).map(|number| text(number, "short")).collect();
    assert!(next(&short).is_none(), "it is not enough yet");
    let enough: Vec<Text<'_>> = (0..40).map(|number| text(number, "short")).collect();
    let (block, rest) = next(&enough).unwrap();
    assert_eq!((block.first, block.last, block.oldest, rest.len()), (0, 31, 0, 8));
    // One long text does not push what came before it into blocks of their own, and nothing is lost.
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let long: String = (0..9_000).filter_map(|_| char::from_u32(33 + rng.next_u32() % 90)).collect();
    let mut texts: Vec<Text<'_>> = (0..20).map(|number| text(number, "short")).collect();
    texts.push(text(20, &long));
    let (block, rest) = next(&texts).unwrap();
    assert_eq!((block.last, rest.len()), (19, 1));
    assert_eq!(next(rest).map(|(block, rest)| (block.first, block.last, rest.len())), Some((20, 20, 0)));
    // However dense the texts are.
    let mut line = |_: u32| (0..200).filter_map(|_| char::from_u32(33 + rng.next_u32() % 90)).collect();
    let lines: Vec<String> = (0..200).map(&mut line).collect();
    let mut left: &[Text<'_>] = &lines.iter().zip(0..).map(|(line, number)| text(number, line)).collect::<Vec<_>>();
    let mut sizes = Vec::new();
    while let Some((block, rest)) = next(left) {
        sizes.push(block.bytes.len());
        left = rest;
    }
    assert!(sizes.iter().all(|size| (QUARTER * 3 / 4..=QUARTER).contains(size)), "{sizes:?}");
}

/// Not a word of what was deleted is left, in no table of the indexes either.
#[tokio::test]
async fn what_is_deleted_is_in_no_block_and_no_index() {
    let texts = (0..200).map(|number| format!("word{number}x common 世界第{number}号"));
    let (_folder, mut store) = with(texts).await;
    // Every second one, by hand: retention deletes what is oldest.
    let connection = store.writer.connection().await.unwrap();
    let numbers: Vec<i64> = (1..=200).filter(|number| number % 2 == 0).collect();
    remove(connection, &numbers).await.unwrap();
    let terms = ["message_words", "message_grams"]
        .map(|table| format!("CREATE VIRTUAL TABLE temp.{table}_terms USING fts5vocab (main, {table}, row)"));
    for create in terms {
        sqlx::query(sqlx::AssertSqlSafe(create)).execute(&mut *connection).await.unwrap();
    }
    let words = "SELECT term FROM temp.message_words_terms UNION ALL SELECT term FROM temp.message_grams_terms";
    let words: HashSet<String> =
        sqlx::query_scalar(words).fetch_all(&mut *connection).await.unwrap().into_iter().collect();
    let blocks: Vec<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT first, bytes FROM block").fetch_all(&mut *connection).await.unwrap();
    let blocks: Vec<Block> = blocks.iter().map(|(first, bytes)| Block::unpack(*first, bytes).unwrap()).collect();
    let loose: Vec<String> = sqlx::query_scalar("SELECT text FROM loose").fetch_all(connection).await.unwrap();
    store.writer.settle(Ok(())).unwrap();
    assert!(blocks.len() > 3 && words.contains("common"));
    for number in 0..200_i64 {
        let (word, is_gone) = (format!("word{number}x"), number % 2 == 1);
        let in_block = blocks.iter().any(|block| block.iter().any(|(_, text)| text.contains(&word)));
        let is_loose = loose.iter().any(|text| text.contains(&word));
        assert_eq!(in_block || is_loose, !is_gone, "{word}");
        assert_eq!(words.contains(&word), in_block, "{word}");
    }
    assert_eq!(store.check().await.unwrap(), []);
    let page = store.page(&PEER, None, 500).await.unwrap();
    assert!(page.iter().rev().map(|message| message.sequence).eq((0..200).step_by(2)));
}

#[tokio::test]
async fn a_nul_in_a_text_hides_nothing_of_those_after_it() {
    let texts = (0..40).map(|number| if number == 3 { "世界\0人".into() } else { format!("世界第{number}号") });
    let (_folder, mut store) = with(texts).await;
    assert_eq!(store.check().await.unwrap(), []);
    for number in (0..40).filter(|number| *number != 3) {
        let query = format!("界第{number}号");
        let search = Search { query: &query, conversation: None, from: None, since: None, before: None, limit: 9 };
        let hits = store.reader().search(search).await.unwrap();
        assert_eq!(hits.iter().map(|hit| hit.message.sequence).collect::<Vec<_>>(), [number], "{query}");
    }
}

/// What is not as it was written is found, each by its name.
#[tokio::test]
async fn a_check_finds_texts_and_indexes_that_do_not_agree() {
    let texts = |what: &str, is_well: bool| (what.to_owned(), if is_well { vec![] } else { vec![Finding::Text] });
    let search = |what: &str| (what.to_owned(), vec![Finding::Search]);
    let words = "word3x common 世界第3号";
    for (spoil, expected) in [
        texts("UPDATE block SET bytes = substr(bytes, 1, length(bytes) - 1) WHERE first = 1", false),
        texts("DELETE FROM block WHERE first = 1", false),
        texts("UPDATE block SET oldest = oldest + 1 WHERE first = 1", false),
        texts("UPDATE block SET unspaced = 0 WHERE first = 1", false),
        texts("UPDATE block SET last = last - 1 WHERE first = 1", false),
        texts("DELETE FROM loose", false),
        texts("DELETE FROM message WHERE number = 3", false),
        search("INSERT INTO message_words (rowid, text, place) VALUES (1, 'foreign', '')"),
        search("INSERT INTO message_words (rowid, text, place) VALUES (2, 'common', '')"),
        search(&format!(
            "INSERT INTO message_words (message_words, rowid, text, place) VALUES ('delete', 1, '{words}', '')"
        )),
        search("INSERT INTO message_grams (rowid, text) VALUES (1, 'foreign')"),
        texts("UPDATE message SET state = 4", true),
    ] {
        let all = (0..100).map(|number| format!("word{number}x common 世界第{number}号"));
        let (_folder, mut store) = with(all).await;
        assert_eq!(store.check().await.unwrap(), []);
        let connection = store.writer.connection().await.unwrap();
        let changed = sqlx::query(sqlx::AssertSqlSafe(spoil.as_str())).execute(connection).await.unwrap();
        store.writer.settle(Ok(())).unwrap();
        assert!(changed.rows_affected() > 0, "{spoil}");
        let mut findings = store.check().await.unwrap();
        findings.retain(|finding| expected.is_empty() || expected.contains(finding));
        findings.dedup();
        assert_eq!(findings, expected, "{spoil}");
    }
}

/// A block that does not unpack hides its own messages, and a repair keeps all others.
#[tokio::test]
async fn a_block_that_does_not_unpack_loses_its_texts_only() {
    let (folder, mut store) = with((0..300).map(|number| format!("word{number}x common"))).await;
    let connection = store.writer.connection().await.unwrap();
    let (first, last): (i64, i64) = sqlx::query_as("SELECT first, last FROM block ORDER BY first LIMIT 1 OFFSET 1")
        .fetch_one(&mut *connection)
        .await
        .unwrap();
    let spoil = sqlx::query("UPDATE block SET bytes = x'01ffffff7f00' WHERE first = ?").bind(first);
    spoil.execute(connection).await.unwrap();
    store.writer.settle(Ok(())).unwrap();
    let mut hidden = Vec::new();
    for (number, row) in (0..300_u64).zip(1..) {
        match store.message(&PEER, &MessageId::from_bytes((u128::from(number) + 1).to_be_bytes())).await {
            Ok(message) => assert_eq!(message.unwrap().text, format!("word{number}x common")),
            Err(error) => {
                assert_eq!(error, StoreError::Damaged);
                hidden.push(row);
            }
        }
    }
    assert!(hidden.iter().copied().eq(first..=last));
    let (lost, left) = (hidden.len(), 300 - hidden.len());
    let search = Search { query: "word299x", conversation: None, from: None, since: None, before: None, limit: 9 };
    assert_eq!(store.reader().search(search).await.unwrap().len(), 1, "what is in no damaged block is found");
    store.close().await.unwrap();
    let salvage = EncryptedStore::repair(folder.path(), crate::store::Unlock::None).await.unwrap();
    let counted = [salvage.messages, salvage.messages_lost].map(|count| usize::try_from(count).unwrap());
    assert_eq!(counted, [left, lost]);
    let mut store = EncryptedStore::open(folder.path(), crate::store::Unlock::None).await.unwrap();
    assert_eq!(store.check().await.unwrap(), []);
    assert_eq!(store.page(&PEER, None, 500).await.unwrap().len(), left);
    let hits = store.reader().search(Search { query: "common", limit: 500, ..search }).await.unwrap();
    assert_eq!(hits.len(), left);
}

/// Among 6,400 conversations two have one place in the index.
#[tokio::test]
async fn a_place_in_the_index_is_not_taken_for_a_conversation() {
    let ids = [0xb0_u8, 0xca, 0xda].map(|byte| AccountId::from_bytes([byte; 32]));
    let numbers = [1, 1 + PLACES, 2];
    assert_eq!(place(numbers[0]), place(numbers[1]));
    assert_ne!(place(numbers[0]), place(numbers[2]));
    let folder = tempfile::tempdir().unwrap();
    let mut store = EncryptedStore::create(folder.path(), Protection::None).await.unwrap();
    let connection = store.writer.connection().await.unwrap();
    for (id, number) in ids.iter().zip(numbers) {
        let add = sqlx::query("INSERT INTO account (number, id) VALUES (?1, ?2)");
        add.bind(number).bind(id.as_bytes().as_slice()).execute(&mut *connection).await.unwrap();
    }
    store.writer.settle(Ok(())).unwrap();
    // The last one writes what stands for the first one's conversation. Each conversation has a block of its own, and a loose text.
    let texts = ["hello one".to_owned(), "hello two".to_owned(), format!("hello three {}", place(numbers[0]))];
    for (id, text) in ids.iter().zip(&texts) {
        store.save(&(0..32).map(|number| message(*id, number, text)).collect()).await.unwrap();
    }
    store.save(&ids.iter().zip(&texts).map(|(id, text)| message(*id, 40, text)).collect()).await.unwrap();
    for (id, text) in ids.iter().zip(&texts) {
        let search = Search { query: "hel", conversation: Some(*id), from: None, since: None, before: None, limit: 99 };
        let hits = store.reader().search(search).await.unwrap();
        assert_eq!(hits.len(), 33);
        assert!(hits.iter().all(|hit| hit.message.text == *text && hit.message.conversation == *id));
        assert_eq!(hits[0].snippet.found, [core::ops::Range { start: 0, end: 5 }], "the place is no part of the text");
    }
}
