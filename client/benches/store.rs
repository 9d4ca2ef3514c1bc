//! What a client's store costs: saving, paging, finding, opening, and the disk it takes.
//!
//! `WAXWING_MESSAGES=1000000 cargo bench --workspace --bench store -- client`; 50,000 unless said otherwise.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    missing_docs,
    reason = "a benchmark: a panic is the report, and ratios are for people"
)]
mod texts;

use std::{
    collections::HashMap,
    fs,
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

use criterion::{BatchSize, Criterion};
use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use tokio::runtime::Runtime;
use waxwing_client::store::{EncryptedStore, Protection, Search, Unlock};
use waxwing_engine::{
    State,
    store::{Batch, Record, Store as _, StoredMessage, Table, Write},
};
use waxwing_wire::{
    content::{Body, ChainHash, Content, Conversation, MessageId, Text},
    id::{AccountId, DeviceId, Generation, Sequence},
    manifest::{ContentHash, ManifestReference},
    sealed::{Parameters, Passphrase},
    time::Timestamp,
};

use self::texts::{Script, Texts};

const OWN: AccountId = AccountId::from_bytes([0xa1; 32]);
const PEERS: u64 = 50;
const BEGAN: u64 = 1_700_000_000_000;

fn main() {
    let messages = std::env::var("WAXWING_MESSAGES").map_or(50_000, |text| text.parse().unwrap());
    let runtime = Runtime::new().unwrap();
    let mut criterion =
        Criterion::default().sample_size(20).measurement_time(Duration::from_secs(4)).configure_from_args();
    for script in [Script::Latin, Script::Chinese] {
        // The second one only says what another script costs.
        let messages = if script == Script::Latin { messages } else { messages / 5 };
        let folder = tempfile::tempdir().unwrap();
        let mut world = World::new(script);
        runtime.block_on(fill(folder.path(), &mut world, messages));
        let name = |what: &str| format!("client store, {messages} {script:?}: {what}");
        reading(&mut criterion, &runtime, folder.path(), &name, script);
        if script == Script::Latin {
            saving(&mut criterion, &runtime, folder.path(), &name, &mut world);
        }
    }
    opening(&mut criterion, &runtime);
    criterion.final_summary();
}

/// Makes messages as an engine stores them.
struct World {
    texts: Texts,
    number: u64,
    /// How many contents each device has in a conversation.
    counts: HashMap<(AccountId, AccountId), u64>,
}

impl World {
    fn new(script: Script) -> Self {
        Self { texts: Texts::new(script), number: 0, counts: HashMap::new() }
    }

    fn message(&mut self) -> StoredMessage {
        self.number += 1;
        let text = self.texts.text();
        let mut id = [0; 16];
        self.texts.rng.fill_bytes(&mut id);
        let id = MessageId::from_bytes(id);
        let conversation = peer(self.texts.zipf(PEERS as f64));
        let is_own = self.texts.rng.next_u64().is_multiple_of(2);
        let (author, reader) = if is_own { (OWN, conversation) } else { (conversation, OWN) };
        let sent = Timestamp(BEGAN + self.number * 40_000 + self.texts.rng.next_u64() % 30_000);
        let sequence = self.counts.entry((conversation, author)).or_insert(0);
        *sequence += 1;
        let body = Text { text: text.clone(), mentions: Vec::new(), attachments: Vec::new(), view_once: false };
        let content = Content {
            id,
            sent,
            sequence: *sequence,
            // As an engine stores it.
            previous: ChainHash::NONE,
            conversation: Conversation::Account(reader),
            own_manifest: manifest(author, self.number),
            your_manifest: Some(manifest(reader, self.number)),
            expires_after: 0,
            reply_to: None,
            fallback: String::new(),
            body: Body::Text(body),
            identity: None,
            extensions: Vec::new(),
        };
        let content = content.encode().unwrap();
        StoredMessage {
            conversation,
            id,
            author,
            device: DeviceId::MIN,
            sequence: *sequence,
            sent,
            stored: Timestamp(BEGAN + self.number * 40_000 + 31_000),
            state: State::Delivered,
            text,
            content,
        }
    }

    /// As the engine saves a message that came: the session it was opened with, its id, itself.
    fn batch(&mut self) -> Batch {
        let message = self.message();
        let peer = message.conversation.as_bytes().to_vec();
        let mut session = vec![0; 3_000];
        self.texts.rng.fill_bytes(&mut session);
        let put = |table, key: Vec<u8>, value: Vec<u8>| Write::Put(Record { table, key, value: value.into() });
        let seen = [message.author.as_bytes().as_slice(), message.id.as_bytes()].concat();
        let writes = [put(Table::Session, peer, session), put(Table::Seen, seen, vec![0; 8]), Write::Message(message)];
        writes.into_iter().collect()
    }
}

fn peer(number: u64) -> AccountId {
    let mut id = [0; 32];
    ChaCha20Rng::seed_from_u64(number).fill_bytes(&mut id);
    AccountId::from_bytes(id)
}

/// An account's manifest changes with a device, or when it is renewed: here each 5,000 messages of all.
fn manifest(of: AccountId, number: u64) -> ManifestReference {
    let sequence = (number / 5_000) as u32;
    let mut content_hash = *of.as_bytes();
    content_hash[..4].copy_from_slice(&sequence.to_be_bytes());
    let content = ContentHash::from_bytes(content_hash);
    ManifestReference { generation: Generation(0), sequence: Sequence(sequence), content }
}

async fn fill(path: &Path, world: &mut World, messages: u64) {
    let mut store = EncryptedStore::create(path, Protection::None).await.unwrap();
    let (begun, mut texts, mut contents, mut left) = (Instant::now(), 0, 0, messages);
    while left > 0 {
        let some = left.min(1_000);
        let all: Vec<_> = (0..some).map(|_| world.message()).collect();
        texts += all.iter().map(|message| message.text.len()).sum::<usize>();
        contents += all.iter().map(|message| message.content.len()).sum::<usize>();
        store.save(&all.into_iter().map(Write::Message).collect::<Batch>()).await.unwrap();
        left -= some;
    }
    let took = begun.elapsed();
    store.close().await.unwrap();
    let size = fs::metadata(path.join("store.db")).unwrap().len();
    let ratio = |bytes: usize| size as f64 / bytes as f64;
    println!(
        "{messages} messages in {:?}: {took:.1?}, {:.0} a second in batches of 1,000",
        world.texts.script,
        messages as f64 / took.as_secs_f64()
    );
    println!("  texts {texts} bytes ({} each), contents {contents}; database {size}", texts / messages as usize);
    println!("  database / texts {:.2}, database / contents {:.2}", ratio(texts), ratio(contents));
}

fn reading(criterion: &mut Criterion, runtime: &Runtime, path: &Path, name: &dyn Fn(&str) -> String, script: Script) {
    let open = || EncryptedStore::open(path, Unlock::None);
    criterion.bench_function(&name("open, raw key, and load"), |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                let mut store = open().await.unwrap();
                black_box(store.load().await.unwrap());
                store.close().await.unwrap();
            });
        });
    });
    let store = runtime.block_on(open()).unwrap();
    let reader = store.reader();
    let peer = peer(1);
    let newest = runtime.block_on(reader.page(&peer, None, 1)).unwrap()[0].clone();
    let middle =
        waxwing_engine::store::Position { sent: Timestamp(BEGAN + (newest.sent.0 - BEGAN) / 2), ..newest.position() };
    criterion.bench_function(&name("newest page of 50"), |bencher| {
        bencher.iter(|| runtime.block_on(reader.page(&peer, None, 50)).unwrap());
    });
    criterion.bench_function(&name("page of 50 in the middle"), |bencher| {
        bencher.iter(|| runtime.block_on(reader.page(&peer, Some(middle), 50)).unwrap());
    });
    criterion.bench_function(&name("unread in all"), |bencher| {
        bencher.iter(|| runtime.block_on(reader.unread_in_all()).unwrap());
    });
    let search = |query| Search { query, conversation: None, from: None, since: None, before: None, limit: 50 };
    let queries: &[(&str, &str)] = match script {
        Script::Latin => &[
            ("rare word", "quiashnorel"),
            ("one letter", "l"),
            ("two letters", "lo"),
            ("three letters", "kal"),
            ("four letters", "kalo"),
            ("two words", "mika stersomi"),
            ("two beginnings", "lo mi"),
            ("words in a row", "\"mika lo\""),
            ("words in a row and a beginning", "\"lo mi\" st"),
        ],
        Script::Chinese => {
            &[("three characters", "丢两一"), ("two characters", "丢两"), ("one character, absent", "鿿")]
        }
    };
    for (what, query) in queries {
        let hits = runtime.block_on(reader.search(search(query))).unwrap().len();
        criterion.bench_function(&name(&format!("search, {what} ({hits} hits)")), |bencher| {
            bencher.iter(|| runtime.block_on(reader.search(search(query))).unwrap());
        });
    }
    // The one that is written to least, of those that there are.
    let least = self::peer(PEERS - 1);
    let queries: &[(&str, &str)] = if script == Script::Latin {
        &[("a beginning", "lo"), ("a rare word", "quiashnorel"), ("a rare and a common word", "lo quiashnorel")]
    } else {
        &[]
    };
    for (what, query) in queries {
        let narrow = Search { conversation: Some(least), ..search(query) };
        let hits = runtime.block_on(reader.search(narrow)).unwrap().len();
        criterion.bench_function(&name(&format!("search in one conversation, {what} ({hits} hits)")), |bencher| {
            bencher.iter(|| runtime.block_on(reader.search(narrow)).unwrap());
        });
    }
    runtime.block_on(store.close()).unwrap();
}

fn saving(criterion: &mut Criterion, runtime: &Runtime, path: &Path, name: &dyn Fn(&str) -> String, world: &mut World) {
    let mut store = runtime.block_on(EncryptedStore::open(path, Unlock::None)).unwrap();
    criterion.bench_function(&name("save a message that came"), |bencher| {
        bencher.iter_batched(
            || world.batch(),
            |batch| runtime.block_on(store.save(&batch)).unwrap(),
            BatchSize::SmallInput,
        );
    });
    runtime.block_on(store.close()).unwrap();
    // The yardstick: what one sync of the disk costs.
    let file = fs::File::create(path.join("yardstick")).unwrap();
    criterion.bench_function("client store, yardstick: write 4 KiB and sync", |bencher| {
        use std::os::unix::fs::FileExt as _;
        let mut at = 0;
        bencher.iter(|| {
            at += 4_096;
            file.write_all_at(&[1; 4_096], at).unwrap();
            file.sync_data().unwrap();
        });
    });
}

fn opening(criterion: &mut Criterion, runtime: &Runtime) {
    let folder = tempfile::tempdir().unwrap();
    let word = || Passphrase::new(b"correct horse").unwrap();
    let protection = Protection::Passphrase(word(), Parameters::default());
    let store = runtime.block_on(EncryptedStore::create(folder.path(), protection)).unwrap();
    runtime.block_on(store.close()).unwrap();
    criterion.bench_function("client store: open with a passphrase, Argon2id as usual", |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                let store = EncryptedStore::open(folder.path(), Unlock::Passphrase(word())).await.unwrap();
                store.close().await.unwrap();
            });
        });
    });
}
