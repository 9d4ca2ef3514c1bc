//! People, messages and profiles that tests share.
use std::{collections::BTreeMap, fs, path::Path};

use waxwing_client::store::{EncryptedStore, Protection, Unlock};
use waxwing_engine::{
    State,
    store::{Batch, Record, Store as _, StoredMessage, Table, Write},
};
use waxwing_wire::{
    content::MessageId,
    id::{AccountId, DeviceId},
    sealed::{Parameters, Passphrase},
    time::Timestamp,
};

pub(crate) const ALICE: AccountId = AccountId::from_bytes([0xa1; 32]);
pub(crate) const BOB: AccountId = AccountId::from_bytes([0xb0; 32]);
pub(crate) const CAROL: AccountId = AccountId::from_bytes([0xca; 32]);

pub(crate) async fn create(path: &Path) -> EncryptedStore {
    EncryptedStore::create(path, Protection::None).await.unwrap()
}

pub(crate) async fn open(path: &Path) -> EncryptedStore {
    EncryptedStore::open(path, Unlock::None).await.unwrap()
}

pub(crate) fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text.as_bytes()).unwrap()
}

/// As cheap as the floor allows: tests are not attacked.
pub(crate) fn protected(text: &str) -> Protection {
    Protection::Passphrase(passphrase(text), Parameters::new(65_536, 3, 1).unwrap())
}

pub(crate) fn record(table: Table, key: &[u8], value: &[u8]) -> Write {
    Write::Put(Record { table, key: key.to_vec(), value: value.to_vec().into() })
}

/// Bob's message with this number to Alice.
pub(crate) fn message(number: u64, text: &str) -> StoredMessage {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    StoredMessage {
        conversation: BOB,
        id: MessageId::from_bytes(id),
        author: BOB,
        device: DeviceId::MIN,
        sequence: number,
        sent: Timestamp(1_000_000 + number),
        stored: Timestamp(2_000_000 + number),
        state: State::Queued,
        text: text.into(),
        content: [b"\x0a\x10before", text.as_bytes(), b"after"].concat(),
    }
}

pub(crate) async fn save(store: &mut EncryptedStore, writes: impl IntoIterator<Item = Write>) {
    store.save(&writes.into_iter().collect::<Batch>()).await.unwrap();
}

/// Every file of a folder with its bytes.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap())).collect()
}
