//! Spec §17.11.3: invitations in a tree.
use std::path::Path;

use sqlx::{Connection as _, Executor as _, SqliteConnection, sqlite::SqliteConnectOptions};
use waxwing_relay::store::{
    CreateError, Invitation, InvitationState, InviteError, InviteId, NewMailbox, Rules, SqliteStore, Store,
};

use crate::scene::{NOW, Owner};

async fn open(folder: &Path) -> SqliteStore {
    SqliteStore::open(folder, Rules::default(), NOW).await.unwrap()
}

async fn mint(store: &SqliteStore, hash: u8, below: Option<u64>) -> Result<u64, InviteError> {
    store.mint([hash; 32], below.map(InviteId)).await.map(|id| id.0)
}

async fn join(store: &SqliteStore, owner: u8, hash: u8) -> Result<(), CreateError> {
    let new = NewMailbox { invite: Some([hash; 32]), ..Owner(owner).new_mailbox() };
    store.create_mailbox(new, NOW).await
}

fn list(store: &SqliteStore) -> Vec<(u64, Option<u64>, InvitationState)> {
    let all = store.invitations().into_iter();
    all.map(|Invitation { id, below, state }| (id.0, below.map(|below| below.0), state)).collect()
}

use InvitationState::{Open, Revoked, Spent};

#[tokio::test]
async fn whoever_is_revoked_takes_all_below_along_that_have_not_served() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).await;
    for (hash, below) in [(1, None), (2, Some(1)), (3, Some(2)), (4, Some(2)), (5, None), (6, Some(5)), (7, Some(1))] {
        assert_eq!(mint(&store, hash, below).await, Ok(hash.into()));
    }
    assert_eq!(mint(&store, 9, Some(77)).await, Err(InviteError::Absent));
    assert_eq!(mint(&store, 3, None).await, Ok(3), "the same again is the same");
    join(&store, 1, 2).await.unwrap();
    join(&store, 2, 4).await.unwrap();
    assert_eq!(store.stats().open_invitations, 5);
    let before = [
        (1, None, Open),
        (2, Some(1), Spent),
        (3, Some(2), Open),
        (4, Some(2), Spent),
        (5, None, Open),
        (6, Some(5), Open),
        (7, Some(1), Open),
    ];
    for _ in 0..2 {
        assert_eq!(list(&store), before);
        store.close().await;
        store = open(folder.path()).await;
    }
    // One that served: what hangs below it ends.
    assert_eq!(store.revoke(InviteId(2)).await, Ok(1));
    assert_eq!(store.revoke(InviteId(2)).await, Ok(0), "once is enough");
    assert_eq!(store.revoke(InviteId(77)).await, Err(InviteError::Absent));
    for _ in 0..2 {
        let mut after = before;
        after[2].2 = Revoked;
        assert_eq!(list(&store), after);
        assert_eq!(join(&store, 3, 3).await, Err(CreateError::Invite));
        assert_eq!(mint(&store, 9, Some(2)).await, Err(InviteError::Revoked), "nothing hangs below it any more");
        assert_eq!(mint(&store, 9, Some(3)).await, Err(InviteError::Revoked));
        store.close().await;
        store = open(folder.path()).await;
    }
    assert_eq!(store.revoke(InviteId(1)).await, Ok(2), "itself and 7");
    assert_eq!(join(&store, 3, 6).await, Ok(()), "another tree stands");
    assert_eq!(mint(&store, 8, Some(6)).await, Ok(8));
    store.close().await;
}

#[tokio::test]
async fn d3_nothing_is_left_of_what_one_served_for() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    mint(&store, 1, None).await.unwrap();
    join(&store, 1, 1).await.unwrap();
    store.close().await;
    let mut raw = raw(folder.path()).await;
    let row: (i64, Option<Vec<u8>>, Option<i64>, i64, i64) =
        sqlx::query_as("SELECT number, hash, below, state, barred FROM invitation").fetch_one(&mut raw).await.unwrap();
    assert_eq!(row, (1, None, None, 2, 0));
}

#[tokio::test]
async fn invitations_of_an_older_store_still_serve() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).await.close().await;
    let mut raw = raw(folder.path()).await;
    for text in [
        "DROP TABLE invitation",
        "CREATE TABLE invite (hash BLOB NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID",
        "INSERT INTO invite VALUES (unhex(replace(hex(zeroblob(32)), '00', '02'))), (unhex(replace(hex(zeroblob(32)), '00', '01')))",
        "DELETE FROM _sqlx_migrations WHERE version = 4",
    ] {
        raw.execute(text).await.unwrap();
    }
    raw.close().await.unwrap();
    let store = open(folder.path()).await;
    assert_eq!(list(&store), [(1, None, Open), (2, None, Open)]);
    for number in 1..=2 {
        assert_eq!(join(&store, number, number).await, Ok(()));
        assert_eq!(join(&store, number + 10, number).await, Err(CreateError::Invite));
    }
    store.close().await;
}

async fn raw(folder: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(folder.join("mailboxes.sqlite"));
    SqliteConnection::connect_with(&options).await.unwrap()
}
