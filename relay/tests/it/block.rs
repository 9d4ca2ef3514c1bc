//! Spec §17.1.5: what an operator blocks.
use std::sync::Arc;

use waxwing_relay::store::{
    CreateError, MailboxError, MemoryStore, PutError, Rules, SqliteStore, Store, UnblockError, Watcher,
};

use crate::scene::{DAY, Ear, Heard, NOW, Owner, after, put};

const ALICE: Owner = Owner(1);
const BOB: Owner = Owner(2);

/// Both stores have these two beyond the trait.
macro_rules! block {
    ($store:expr) => {{
        let store = $store;
        ALICE.with_contacts(&store).await;
        ALICE.put(&store, 1).await;
        let ear = Arc::new(Ear::default());
        let watcher: Arc<dyn Watcher> = ear.clone();
        store.watch(&ALICE.mailbox(), 0, watcher, NOW).await.unwrap();
        assert_eq!(store.unblock(&ALICE.mailbox()).await, Err(UnblockError::NotBlocked));
        for mailbox in [ALICE.mailbox(), BOB.mailbox(), ALICE.mailbox()] {
            assert_eq!(store.block(&mailbox).await, Ok(()), "also one that is not there, and again");
        }
        assert_eq!(ear.heard(), [Heard::Ended]);
        store
    }};
}

async fn assert_blocked(store: &impl Store) {
    for owner in [ALICE, BOB] {
        assert_eq!(store.owner_key(&owner.mailbox()), None);
        assert_eq!(put(store, owner.envelope(2), NOW).await, Err(PutError::Refused));
        let close = store.close_mailbox(&owner.mailbox(), owner.close_hash(), NOW).await;
        assert_eq!(close, Err(MailboxError::Refused), "its capability is none any more");
        // Not for 60 days: for good.
        let later = after(100_000 * DAY);
        while store.expire(later).await.unwrap() {}
        assert_eq!(store.create_mailbox(owner.new_mailbox(), later).await, Err(CreateError::Taken));
    }
    assert_eq!(store.stats().mailboxes, 0);
}

#[tokio::test]
async fn a_blocked_mailbox_is_gone_and_cannot_be_made_until_it_is_unblocked() {
    let store = block!(MemoryStore::new(Rules::default()));
    assert_blocked(&store).await;
    store.unblock(&ALICE.mailbox()).await.unwrap();
    ALICE.with_contacts(&store).await;
    assert_eq!(ALICE.numbers(&store, NOW).await, [0_u64; 0]);
}

#[tokio::test]
async fn it_stays_so_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let store = block!(SqliteStore::open(folder.path(), Rules::default(), NOW).await.unwrap());
    assert_blocked(&store).await;
    store.close().await;
    let store = SqliteStore::open(folder.path(), Rules::default(), NOW).await.unwrap();
    assert_blocked(&store).await;
    store.unblock(&BOB.mailbox()).await.unwrap();
    store.close().await;
    let store = SqliteStore::open(folder.path(), Rules::default(), NOW).await.unwrap();
    BOB.with_contacts(&store).await;
    assert_eq!(store.create_mailbox(ALICE.new_mailbox(), NOW).await, Err(CreateError::Taken));
    // One that its owner closed, and then the operator blocked.
    store.close_mailbox(&BOB.mailbox(), BOB.close_hash(), NOW).await.unwrap();
    assert_eq!(store.unblock(&BOB.mailbox()).await, Err(UnblockError::NotBlocked));
    store.block(&BOB.mailbox()).await.unwrap();
    assert_blocked(&store).await;
    store.close().await;
}
