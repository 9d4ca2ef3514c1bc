//! The suite that every store passes (`waxwing_engine::store::conformance`).
use std::path::Path;

use waxwing_client::store::{EncryptedStore, OpenError, Protection, Unlock};
use waxwing_engine::store::conformance::conforms;

#[tokio::test]
async fn the_encrypted_store_conforms() {
    let folder = tempfile::tempdir().unwrap();
    conforms(|name| {
        let path = folder.path().join(name);
        async move { open_or_create(&path).await }
    })
    .await;
}

async fn open_or_create(path: &Path) -> EncryptedStore {
    match EncryptedStore::open(path, Unlock::None).await {
        Err(OpenError::NotAProfile) => EncryptedStore::create(path, Protection::None).await.unwrap(),
        opened => opened.unwrap(),
    }
}
