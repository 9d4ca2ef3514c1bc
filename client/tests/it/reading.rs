//! Pages, counts, search, export.
use waxwing_client::store::{EncryptedStore, Hit, Search};
use waxwing_engine::{
    State,
    store::{Store as _, StoredMessage, Write},
};
use waxwing_wire::{id::AccountId, time::Timestamp};

use crate::scene::{ALICE, BOB, CAROL, create, message, open, save};

async fn with(texts: &[&str]) -> (tempfile::TempDir, EncryptedStore) {
    let folder = tempfile::tempdir().unwrap();
    let mut store = create(folder.path()).await;
    let writes = texts.iter().zip(1..).map(|(text, number)| Write::Message(message(number, text)));
    save(&mut store, writes).await;
    (folder, store)
}

/// No message.
const NONE: [u64; 0] = [];

const fn search(query: &str) -> Search<'_> {
    Search { query, conversation: None, from: None, since: None, before: None, limit: 100 }
}

async fn found(store: &EncryptedStore, query: &str) -> Vec<u64> {
    let hits = store.reader().search(search(query)).await.unwrap();
    hits.iter().map(|hit| hit.message.sequence).collect()
}

#[tokio::test]
async fn words_are_found_by_their_beginnings_whatever_case_and_accents() {
    let (_folder, store) =
        with(&["The café opens at nine", "a CAFE in the garden", "carpet", "no words: :-) ☺", ""]).await;
    assert_eq!(found(&store, "cafe").await, [2, 1], "the last stored first");
    assert_eq!(found(&store, "Café").await, [2, 1]);
    assert_eq!(found(&store, "car").await, [3], "by its beginning");
    assert_eq!(found(&store, "arpet").await, NONE, "but not by its end");
    assert_eq!(found(&store, "garden caf").await, [2], "all words, in any order");
    assert_eq!(found(&store, "\"opens at\"").await, [1]);
    assert_eq!(found(&store, "\"at opens\"").await, NONE, "in this order");
    assert_eq!(found(&store, "\"open\"").await, NONE, "whole words");
    for nothing in ["", "   ", "☺", "\"\"", "absent", "caf NOT"] {
        assert_eq!(found(&store, nothing).await, NONE, "{nothing:?}");
    }
    // Nothing a person types is a syntax error.
    for odd in ["\"", "a\"b", "(", "a AND", "NEAR(", "text:", "*", "^a", "a\0b", "'; DROP TABLE message; --", "{a}:"] {
        found(&store, odd).await;
    }
}

#[tokio::test]
async fn scripts_without_spaces_are_found_by_any_characters_in_a_row() {
    let (_folder, store) = with(&[
        "我们明天在上海火车站见面",
        "上海",
        "这个Waxwing项目用Rust写的",
        "今日は東京タワーに行きました",
        "plain words 100%",
        "พรุ่งนี้เจอกันที่สถานี",
        "내일 서울역에서 만나요",
    ])
    .await;
    assert_eq!(found(&store, "火车站").await, [1], "three characters");
    assert_eq!(found(&store, "上海").await, [2, 1], "two");
    assert_eq!(found(&store, "海").await, [2, 1], "one");
    assert_eq!(found(&store, "上海 见面").await, [1], "both");
    assert_eq!(found(&store, "火车站 上海").await, [1], "three and two");
    assert_eq!(found(&store, "rust").await, [3], "a word among them");
    assert_eq!(found(&store, "Waxwing 写").await, [3]);
    assert_eq!(found(&store, "タワー").await, [4]);
    assert_eq!(found(&store, "สถานี").await, [6]);
    assert_eq!(found(&store, "서울역").await, [7]);
    assert_eq!(found(&store, "海%车").await, NONE, "no wildcard");
    assert_eq!(found(&store, "北京").await, NONE);
}

#[tokio::test]
async fn a_search_is_narrowed_and_continued() {
    let (_folder, mut store) = with(&["garden one", "garden two", "garden three", "上海一", "上海二"]).await;
    let carols = StoredMessage { conversation: CAROL, author: CAROL, ..message(6, "garden four 上海三") };
    let own = StoredMessage { author: ALICE, ..message(7, "my garden 上海四") };
    save(&mut store, [Write::Message(carols), Write::Message(own)]).await;
    let reader = store.reader();
    let numbers = |hits: &[Hit]| hits.iter().map(|hit| hit.message.sequence).collect::<Vec<_>>();
    for (query, bobs, carols, alices, late) in [
        ("garden", vec![7, 3, 2, 1], vec![6], vec![7], vec![7, 6, 3]),
        ("上海", vec![7, 5, 4], vec![6], vec![7], vec![7, 6, 5, 4]),
    ] {
        let all = search(query);
        let of = |conversation| Search { conversation: Some(conversation), ..all };
        assert_eq!(numbers(&reader.search(of(BOB)).await.unwrap()), bobs, "{query}");
        assert_eq!(numbers(&reader.search(of(CAROL)).await.unwrap()), carols);
        assert_eq!(numbers(&reader.search(of(AccountId::from_bytes([9; 32]))).await.unwrap()), NONE);
        let from = Search { from: Some(ALICE), ..all };
        assert_eq!(numbers(&reader.search(from).await.unwrap()), alices);
        let since = Search { since: Some(Timestamp(1_000_003)), ..all };
        assert_eq!(numbers(&reader.search(since).await.unwrap()), late);
        // Page by page it is the same.
        let whole = numbers(&reader.search(all).await.unwrap());
        let (mut pages, mut last) = (Vec::new(), None);
        loop {
            let page = reader.search(Search { before: last.as_ref(), limit: 2, ..all }).await.unwrap();
            assert!(page.len() <= 2);
            pages.extend(numbers(&page));
            last = page.into_iter().last();
            if last.is_none() {
                break;
            }
        }
        assert_eq!(pages, whole);
    }
}

#[tokio::test]
async fn a_hit_says_where() {
    let long = format!("{} the needle is here {}", "hay ".repeat(100), "straw ".repeat(100));
    let (_folder, store) = with(&[&long, "那个针在这里"]).await;
    let hits = store.reader().search(search("NEEDLE")).await.unwrap();
    let snippet = &hits[0].snippet;
    assert!(snippet.text.chars().count() < 120 && snippet.text.contains("the needle is"), "{}", snippet.text);
    assert_eq!(&snippet.text[snippet.found[0].clone()], "needle");
    let hits = store.reader().search(search("针在")).await.unwrap();
    assert_eq!(&hits[0].snippet.text[hits[0].snippet.found[0].clone()], "针在");
}

#[tokio::test]
async fn pages_go_both_ways_and_a_place_is_shown_in_its_context() {
    let (_folder, mut store) = with(&["x"; 20]).await;
    // Written at one moment by both: by the author's id, then.
    let tie = |author| Write::Message(StoredMessage { author, sent: Timestamp(1_000_021), ..message(21, "tie") });
    save(&mut store, [tie(BOB), tie(ALICE)]).await;
    let reader = store.reader();
    let numbers = |page: &[StoredMessage]| page.iter().map(|message| message.sequence).collect::<Vec<_>>();
    let newest = reader.page(&BOB, None, 2).await.unwrap();
    assert_eq!(newest.iter().map(|message| message.author).collect::<Vec<_>>(), [BOB, ALICE]);
    let place = message(10, "x").position();
    assert_eq!(numbers(&reader.page(&BOB, Some(place), 3).await.unwrap()), [9, 8, 7]);
    assert_eq!(numbers(&reader.page_after(&BOB, place, 3).await.unwrap()), [11, 12, 13]);
    let around = reader.around(&BOB, place, 2).await.unwrap();
    assert_eq!((numbers(&around.before), numbers(&around.from)), (vec![9, 8], vec![10, 11, 12]));
    // Forward from the oldest, two at a time, is backward reversed.
    let (mut forward, mut last) =
        (numbers(&reader.around(&BOB, message(1, "x").position(), 0).await.unwrap().from), place);
    assert_eq!(forward, [1]);
    last = waxwing_engine::store::Position { sent: Timestamp(1_000_001), sequence: 1, ..last };
    loop {
        let page = reader.page_after(&BOB, last, 2).await.unwrap();
        let Some(end) = page.last() else { break };
        last = end.position();
        forward.extend(numbers(&page));
    }
    let mut backward = numbers(&reader.page(&BOB, None, 100).await.unwrap());
    backward.reverse();
    assert_eq!(forward, backward);
    assert_eq!(reader.page(&CAROL, Some(place), 3).await.unwrap(), []);
}

#[tokio::test]
async fn numbers_that_no_clock_shows_do_no_harm() {
    let (folder, mut store) = with(&[]).await;
    let endless = StoredMessage {
        sent: Timestamp(u64::MAX),
        stored: Timestamp(u64::MAX),
        sequence: u64::MAX,
        ..message(1, "from the end of time")
    };
    save(&mut store, [Write::Message(endless.clone()), Write::Message(message(2, "now"))]).await;
    store.close().await.unwrap();
    let mut store = open(folder.path()).await;
    let page = store.page(&BOB, None, 10).await.unwrap();
    assert_eq!(page.iter().map(|message| message.text.as_str()).collect::<Vec<_>>(), ["from the end of time", "now"]);
    assert_eq!(page[0].sent, Timestamp(i64::MAX as u64), "as late as there is");
    assert_eq!(store.page(&BOB, Some(endless.position()), 10).await.unwrap().len(), 1);
    let read = Write::Read { conversation: BOB, device: endless.device, sequence: u64::MAX };
    save(&mut store, [read]).await;
    assert_eq!(store.unread_in_all().await.unwrap(), 0);
}

#[tokio::test]
async fn two_ids_that_begin_alike_are_two_accounts() {
    let (_folder, mut store) = with(&[]).await;
    let mut twin = *BOB.as_bytes();
    twin[31] ^= 1;
    let twin = AccountId::from_bytes(twin);
    let theirs = StoredMessage { conversation: twin, author: twin, ..message(1, "twin") };
    save(&mut store, [Write::Message(message(1, "bob")), Write::Message(theirs.clone())]).await;
    assert_eq!(store.page(&twin, None, 10).await.unwrap(), [theirs]);
    assert_eq!(store.page(&BOB, None, 10).await.unwrap(), [message(1, "bob")]);
    assert_eq!((store.unread(&twin).await.unwrap(), store.unread_in_all().await.unwrap()), (1, 2));
}

#[tokio::test]
async fn an_export_has_every_message_and_no_secret() {
    let texts: Vec<String> = (0..1_100).map(|number| format!("text \"{number}\"\nof two lines")).collect();
    let (_folder, mut store) = with(&texts.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let own = StoredMessage { author: ALICE, state: State::Delivered, ..message(5_000, "mine") };
    let read = Write::Read { conversation: BOB, device: own.device, sequence: 7 };
    let secret = crate::scene::record(waxwing_engine::store::Table::Session, b"SECRETKEY", b"SECRETVALUE");
    save(&mut store, [Write::Message(own), read, secret]).await;
    let mut out = Vec::new();
    assert_eq!(store.reader().export(&mut out).await.unwrap(), 1_102);
    let text = String::from_utf8(out).unwrap();
    assert!(!text.contains("SECRET"));
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 1_102);
    assert_eq!(lines[0]["text"], texts[0].as_str());
    assert_eq!(lines[0]["conversation"], BOB.to_string());
    assert_eq!(lines[1_100]["state"], "delivered");
    assert_eq!(
        lines[1_101],
        serde_json::json!({ "type": "read", "conversation": BOB.to_string(), "device": 1, "sequence": 7 })
    );
    // What it is written to may be full as well.
    let mut small = [0; 100];
    let error = store.reader().export(&mut small.as_mut_slice()).await;
    assert!(matches!(error, Err(waxwing_client::store::StoreError::Export(_))), "{error:?}");
}
