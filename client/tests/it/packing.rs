//! Texts in blocks: whatever is written, deleted and asked, what is read is what was written, and what was deleted is nowhere.
//!
//! `WAXWING_ROUNDS=1000 cargo test --workspace --test it packing` for more; a failure prints its seed.
use std::collections::BTreeMap;

use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use waxwing_client::store::{EncryptedStore, Search};
use waxwing_engine::{
    State,
    store::{Store as _, StoredMessage, Write},
};
use waxwing_wire::{id::AccountId, time::Timestamp};

use crate::scene::{ALICE, BOB, CAROL, create, message, open, save};

const EVERYBODY: [AccountId; 2] = [BOB, CAROL];

fn search(query: &str) -> Search<'_> {
    Search { query, conversation: None, from: None, since: None, before: None, limit: 10_000 }
}

async fn found(store: &EncryptedStore, query: &str) -> Vec<u64> {
    let hits = store.reader().search(search(query)).await.unwrap();
    hits.into_iter().rev().map(|hit| hit.message.sequence).collect()
}

/// Everything of both conversations, by its number.
async fn all(store: &mut EncryptedStore) -> BTreeMap<u64, StoredMessage> {
    let mut all = BTreeMap::new();
    for peer in EVERYBODY {
        let page = store.page(&peer, None, usize::MAX).await.unwrap();
        all.extend(page.into_iter().map(|message| (message.sequence, message)));
    }
    all
}

/// Texts of all kinds and lengths; each has a word of its own.
fn text(rng: &mut ChaCha20Rng, number: u64) -> String {
    let kind = rng.next_u64() % 12;
    let filling = match kind {
        0 => String::new(),
        1 => "long ".repeat(300),
        2 => "世界你好".repeat(usize::try_from(rng.next_u64() % 40).unwrap()),
        3 => "\0 nul \u{fdd0}marked\u{fdd1} \u{e001}\u{e002}\n".to_owned(),
        // Nothing that could be compressed.
        4 => (0..200).map(|_| char::from_u32(0x100 + (rng.next_u64() % 0x500) as u32).unwrap()).collect(),
        5 if number.is_multiple_of(40) => "sixty-four thousand bytes ".repeat(2_600),
        _ => "hello ".repeat(usize::try_from(rng.next_u64() % 20).unwrap()),
    };
    format!("{filling} own{number}x all")
}

struct World {
    store: EncryptedStore,
    rng: ChaCha20Rng,
    expected: BTreeMap<u64, StoredMessage>,
    gone: Vec<u64>,
    next: u64,
}

impl World {
    fn below(&mut self, most: u64) -> u64 {
        self.rng.next_u64() % most
    }

    async fn write(&mut self, many: u64) {
        let mut writes = Vec::new();
        for _ in 0..many {
            let number = self.next;
            self.next += 1;
            let conversation = EVERYBODY[usize::try_from(self.below(2)).unwrap()];
            let author = [conversation, ALICE][usize::try_from(self.below(2)).unwrap()];
            let text = text(&mut self.rng, number);
            let stored = Timestamp(2_000_000 + self.below(1_000));
            let message = StoredMessage { conversation, author, stored, state: State::Sent, ..message(number, &text) };
            writes.push(Write::Message(message.clone()));
            if self.below(5) == 0 {
                // It comes twice.
                writes.push(Write::Message(StoredMessage { text: "another text".into(), ..message.clone() }));
            }
            self.expected.insert(number, message);
        }
        save(&mut self.store, writes).await;
    }

    /// Messages from anywhere among others, and sometimes the newest.
    async fn forget(&mut self) {
        let moment = Timestamp(2_000_000 + self.below(1_000));
        let peer = [None, Some(BOB), Some(CAROL)][usize::try_from(self.below(3)).unwrap()];
        let forgotten = self.store.forget_before(moment, peer.as_ref()).await.unwrap();
        let is_meant =
            |message: &StoredMessage| message.stored < moment && peer.is_none_or(|peer| peer == message.conversation);
        let gone: Vec<u64> = self.expected.values().filter(|one| is_meant(one)).map(|one| one.sequence).collect();
        assert_eq!(forgotten, gone.len() as u64);
        gone.iter().for_each(|number| drop(self.expected.remove(number)));
        self.gone.extend(gone);
    }

    async fn compare(&mut self) {
        assert!(all(&mut self.store).await == self.expected, "what was written is what is read");
        assert_eq!(self.store.check().await.unwrap(), []);
        let numbers: Vec<u64> = self.expected.keys().copied().collect();
        assert_eq!(found(&self.store, "all").await, numbers);
        for _ in 0..6 {
            let place = self.below(numbers.len().max(1) as u64);
            if let Some(number) = numbers.get(usize::try_from(place).unwrap()) {
                assert_eq!(found(&self.store, &format!("own{number}x")).await, [*number]);
            }
            if !self.gone.is_empty() {
                let place = self.below(self.gone.len() as u64);
                let number = self.gone[usize::try_from(place).unwrap()];
                assert_eq!(found(&self.store, &format!("own{number}x")).await, [0; 0], "{number} was deleted");
            }
        }
        let mut lines = Vec::new();
        store_export(&self.store, &mut lines).await;
        let texts: Vec<String> = lines.iter().filter_map(|line| Some(line["text"].as_str()?.to_owned())).collect();
        assert!(texts.iter().eq(self.expected.values().map(|message| &message.text)), "the export has the same");
    }
}

async fn store_export(store: &EncryptedStore, lines: &mut Vec<serde_json::Value>) {
    let mut out = Vec::new();
    store.reader().export(&mut out).await.unwrap();
    lines.extend(
        out.split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap()),
    );
}

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |value| value.parse().unwrap())
}

#[tokio::test]
async fn whatever_is_written_and_deleted_is_there_or_nowhere() {
    let (rounds, seed) = (variable("WAXWING_ROUNDS", 30), variable("WAXWING_SEED", 1));
    println!("WAXWING_SEED={seed}");
    let folder = tempfile::tempdir().unwrap();
    let rng = ChaCha20Rng::seed_from_u64(seed);
    let (expected, gone) = (BTreeMap::new(), Vec::new());
    let mut world = World { store: create(folder.path()).await, rng, expected, gone, next: 1 };
    for round in 0..rounds {
        // One by one, some, and many together.
        match world.below(6) {
            0 => world.forget().await,
            1 => world.write(300).await,
            2 => world.write(40).await,
            _ => {
                for _ in 0..world.below(40) {
                    world.write(1).await;
                }
            }
        }
        if round % 4 == 3 {
            world.compare().await;
        }
        if round % 16 == 15 {
            world.store.close().await.unwrap();
            world.store = open(folder.path()).await;
        }
    }
    world.compare().await;
    assert!(world.gone.len() > 50 && world.expected.len() > 50, "there is something of each");
}

/// A number of a deleted message may be given again; its text is not.
#[tokio::test]
async fn the_newest_messages_are_deleted_and_others_come() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = create(folder.path()).await;
    for round in 0..6 {
        // The first of each block stay, or nothing does, or all but the first go.
        let from = 1_000 * (round + 1);
        let old = |number: u64| match round % 3 {
            0 => number % 100 > 40,
            1 => true,
            _ => !number.is_multiple_of(32),
        };
        let stored = |number| Timestamp(if old(number) { 1 } else { 10 });
        let texts = (from..from + 100).map(|number| {
            Write::Message(StoredMessage {
                stored: stored(number),
                state: State::Sent,
                ..message(number, &format!("round{round} own{number}x"))
            })
        });
        save(&mut store, texts).await;
        let gone = (from..from + 100).filter(|number| old(*number)).count();
        assert_eq!(store.forget_before(Timestamp(5), None).await.unwrap(), gone as u64);
        assert_eq!(store.check().await.unwrap(), []);
        let kept: Vec<u64> = (from..from + 100).filter(|number| !old(*number)).collect();
        assert_eq!(found(&store, &format!("round{round}")).await, kept);
        for number in from..from + 100 {
            let expected: Vec<u64> = if old(number) { vec![] } else { vec![number] };
            assert_eq!(found(&store, &format!("own{number}x")).await, expected);
        }
    }
    let texts = all(&mut store).await;
    assert!(texts.iter().all(|(number, message)| message.text.ends_with(&format!(" own{number}x"))));
}

/// Its words are in one block: a message does not match by another's.
#[tokio::test]
async fn a_message_is_not_found_by_the_words_of_those_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = create(folder.path()).await;
    let texts = (1..=2_000).map(|number: u64| {
        let text = match number % 4 {
            0 => "garden",
            1 => "gate",
            2 => "gar den",
            _ => "上海",
        };
        let conversation = if number.is_multiple_of(7) { CAROL } else { BOB };
        Write::Message(StoredMessage { conversation, author: conversation, ..message(number, text) })
    });
    save(&mut store, texts).await;
    for query in ["garden gate", "\"gate gar\"", "\"den garden\"", "\"garden gate\"", "海上", "海garden", "上海 gate"]
    {
        assert_eq!(found(&store, query).await, [0; 0], "{query:?}: in no message, and over the end of many");
    }
    assert_eq!(found(&store, "\"gar den\"").await.len(), 500);
    assert_eq!(found(&store, "海").await.len(), 500);
    let narrow = Search { conversation: Some(CAROL), ..search("gate") };
    let hits = store.reader().search(narrow).await.unwrap();
    assert!(hits.len() > 60 && hits.iter().all(|hit| hit.message.conversation == CAROL && hit.message.text == "gate"));
}

/// NUL ends a text for some of SQLite's functions, and marks of snippets and places of conversations are characters like others.
#[tokio::test]
async fn whatever_stands_before_it_a_word_is_found() {
    for odd in
        ["a\0lotus 世界人", "\u{fdd0}lotus\u{fdd1} 世界人", "\u{e001} lotus 世界人", "\u{301}lotus\u{301}世界人\0"]
    {
        let folder = tempfile::tempdir().unwrap();
        let mut store = create(folder.path()).await;
        save(&mut store, (1..=44).map(|number| Write::Message(message(number, odd)))).await;
        let all: Vec<u64> = (1..=44).collect();
        for query in ["世界人", "lotus", "lotus 世界"] {
            assert_eq!(found(&store, query).await, all, "{query} in {odd:?}, in a block of 32 and in what is loose");
        }
        assert_eq!(store.check().await.unwrap(), []);
    }
}
