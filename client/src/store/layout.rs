//! The database's tables, and how an older database gets them. Implements spec/21-client-store.md §21.3.
//!
//! Invariants: one change of layout a file; all of them in one transaction, after a copy; a database that this program does not know
//! is not touched.
use sqlx::{
    Connection as _, SqliteConnection,
    migrate::{Migration, MigrationType, Migrator},
};

use super::{OpenError, packing, statements};

/// One for each statement that is run once and kept for ever; the second word is for the person who reads the table.
pub(super) const LAYOUTS: &[Layout] = &[
    (1, "tables", include_str!("migrations/0001_tables.sql")),
    (2, "search", include_str!("migrations/0002_search.sql")),
    (3, "events", include_str!("migrations/0003_events.sql")),
    (4, "epoch", include_str!("migrations/0004_epoch.sql")),
    (5, "beginnings", include_str!("migrations/0005_beginnings.sql")),
    (6, "smaller", include_str!("migrations/0006_smaller.sql")),
    (7, "blocks", include_str!("migrations/0007_blocks.sql")),
];

/// The first that says how far the profile has come.
pub(super) const EPOCH: i64 = 4;
/// The first with texts in blocks. SQL leaves all of them loose; code packs them.
const BLOCKS: i64 = 7;

/// Number, name, SQL.
pub(super) type Layout = (i64, &'static str, &'static str);

/// The layouts as sqlx takes them.
pub(super) fn migrator(layouts: &[Layout]) -> Migrator {
    let migrations = layouts.iter().map(|(number, name, sql)| {
        let sql = sqlx::SqlSafeStr::into_sql_str(*sql);
        Migration::new(*number, (*name).into(), MigrationType::Simple, sql, false)
    });
    Migrator::with_migrations(migrations.collect())
}

/// Which layout a database has, if this program knows it and it is whole. Only reads.
pub(super) async fn known(connection: &mut SqliteConnection, layouts: &[Layout]) -> Result<i64, OpenError> {
    let application: i64 = sqlx::query_scalar(statements::APPLICATION).fetch_one(&mut *connection).await?;
    if application != APPLICATION {
        return Err(OpenError::Damaged);
    }
    let applied: Vec<(i64, bool, Vec<u8>)> =
        sqlx::query_as(statements::APPLIED).fetch_all(&mut *connection).await.map_err(OpenError::from)?;
    let newest = layouts.last().map(|(number, ..)| *number).unwrap_or_default();
    if let Some((found, ..)) = applied.last().filter(|(number, ..)| *number > newest) {
        return Err(OpenError::Newer { found: *found, known: newest });
    }
    let expected = migrator(layouts);
    for ((number, done, checksum), migration) in applied.iter().zip(expected.iter()) {
        if !done || *number != migration.version || *checksum != *migration.checksum {
            return Err(OpenError::HalfMigrated(*number));
        }
    }
    applied.last().map(|(number, ..)| *number).ok_or(OpenError::Damaged)
}

/// Brings a database to the newest layout, whole or not at all.
pub(super) async fn migrate(connection: &mut SqliteConnection, layouts: &[Layout]) -> Result<(), OpenError> {
    let mut transaction = connection.begin_with(statements::BEGIN).await?;
    sqlx::query(statements::SET_APPLICATION).execute(&mut *transaction).await?;
    migrator(layouts).run(&mut *transaction).await.map_err(refused)?;
    if layouts.last().is_some_and(|(newest, ..)| *newest >= BLOCKS) {
        packing::settle(&mut transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}

fn refused(error: sqlx::migrate::MigrateError) -> OpenError {
    use sqlx::migrate::MigrateError;
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
        MigrateError::VersionMismatch(number) | MigrateError::Dirty(number) | MigrateError::VersionMissing(number) => {
            OpenError::HalfMigrated(number)
        }
        _ => OpenError::Damaged,
    }
}

/// "wxw1": a file of ours, whatever its layout.
const APPLICATION: i64 = 0x7778_7731;

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use waxwing_engine::store::{Batch, Record, SecretBytes, Store as _, StoredMessage, Table, Write};

    use super::*;
    use crate::store::{
        EncryptedStore, Profile, Protection, Search, Unlock,
        folder::{self, DATABASE, Folder},
        frame, open, write,
    };

    /// Profiles that this or an older program made, by their layouts; each with the messages of [`messages`].
    const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    const BROKEN: &[Layout] = &[
        LAYOUTS[0],
        LAYOUTS[1],
        LAYOUTS[2],
        LAYOUTS[3],
        LAYOUTS[4],
        LAYOUTS[5],
        LAYOUTS[6],
        (8, "broken", "CREATE TABLE new (a INTEGER) STRICT; SELECT * FROM absent;"),
    ];
    const LATER: &[Layout] = &[
        LAYOUTS[0],
        LAYOUTS[1],
        LAYOUTS[2],
        LAYOUTS[3],
        LAYOUTS[4],
        LAYOUTS[5],
        LAYOUTS[6],
        (8, "later", "CREATE TABLE new (a INTEGER) STRICT;"),
    ];

    fn messages() -> Vec<StoredMessage> {
        use waxwing_wire::{
            content::MessageId,
            id::{AccountId, DeviceId},
            time::Timestamp,
        };
        let texts = ["hello from an older version", "世界你好", "last"];
        let message = |(text, number): (&str, u8)| StoredMessage {
            conversation: AccountId::from_bytes([0xb0; 32]),
            id: MessageId::from_bytes([number; 16]),
            author: AccountId::from_bytes([if number == 3 { 0xa1 } else { 0xb0 }; 32]),
            device: DeviceId::MIN,
            sequence: number.into(),
            sent: Timestamp(1_000 + u64::from(number)),
            stored: Timestamp(2_000 + u64::from(number)),
            state: waxwing_engine::State::Delivered,
            text: text.into(),
            content: format!("before {text} after").into(),
        };
        texts.into_iter().zip(1..).map(message).collect()
    }

    /// So that there is a block: what was written to somebody else.
    fn more() -> Vec<StoredMessage> {
        let message = |number: u8| {
            let [.., mut message] = <[StoredMessage; 3]>::try_from(messages()).unwrap();
            message.conversation = waxwing_wire::id::AccountId::from_bytes([0xca; 32]);
            message.id = waxwing_wire::content::MessageId::from_bytes([number; 16]);
            message.sequence = number.into();
            message.text = format!("number {number}");
            message.content = format!("before number {number} after").into();
            message
        };
        (1..=40).map(message).collect()
    }

    fn copy(name: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in ["key", DATABASE] {
            fs::copy(Path::new(GOLDEN).join(name).join(file), folder.path().join(file)).unwrap();
        }
        folder
    }

    fn database(folder: &Path) -> Vec<u8> {
        fs::read(folder.join(DATABASE)).unwrap()
    }

    async fn open_with(path: &Path, layouts: &[Layout]) -> Result<EncryptedStore, OpenError> {
        let (folder, key) = open::unlock_folder(&path.into(), Unlock::None).await?;
        EncryptedStore::unlocked(folder, &key, layouts).await
    }

    /// `cargo test --workspace golden_profile_is_made -- --ignored` makes the profile of the newest layout.
    #[tokio::test]
    #[ignore = "makes what the other tests read"]
    async fn a_golden_profile_is_made() {
        for (layout, ..) in LAYOUTS {
            let path = Path::new(GOLDEN).join(layout.to_string());
            if path.exists() {
                continue;
            }
            let layouts = &LAYOUTS[..usize::try_from(*layout).unwrap()];
            EncryptedStore::create(&path, Protection::None).await.unwrap().close().await.unwrap();
            let (folder, key) = open::unlock_folder(&Profile::new(&path), Unlock::None).await.unwrap();
            folder.empty(DATABASE).unwrap();
            let mut connection = open::connect(&folder, DATABASE, &key).await.unwrap();
            migrate(&mut connection, layouts).await.unwrap();
            let more = if *layout < BLOCKS { Vec::new() } else { more() };
            let batch: Batch = messages().into_iter().chain(more).map(Write::Message).collect();
            write::save(&mut connection, &batch, &[]).await.unwrap();
            connection.close().await.unwrap();
            fs::remove_file(path.join("lock")).unwrap();
        }
    }

    #[tokio::test]
    async fn every_older_layout_becomes_the_newest_with_everything_in_it() {
        for (layout, ..) in LAYOUTS {
            let folder = copy(&layout.to_string());
            let before = database(folder.path());
            let mut store = open_with(folder.path(), LAYOUTS).await.unwrap();
            let mut expected = messages();
            expected.reverse();
            assert_eq!(store.page(&expected[0].conversation, None, 10).await.unwrap(), expected, "layout {layout}");
            assert_eq!(store.unread_in_all().await.unwrap(), 2);
            let mut expected = if *layout < BLOCKS { Vec::new() } else { more() };
            expected.reverse();
            assert_eq!(store.page(&more()[0].conversation, None, 50).await.unwrap(), expected, "layout {layout}");
            for (query, number) in [("older", 1), ("世界你", 2), ("世界", 2), ("last", 3)] {
                let search = Search { query, conversation: None, from: None, since: None, before: None, limit: 9 };
                let hits = store.reader().search(search).await.unwrap();
                let numbers: Vec<_> = hits.iter().map(|hit| hit.message.sequence).collect();
                assert_eq!(numbers, [number], "layout {layout}: {query}");
            }
            assert_eq!(store.check().await.unwrap(), []);
            let saved = folder.path().join(folder::copy_name(*layout));
            if *layout == LAYOUTS.last().unwrap().0 {
                assert!(!saved.exists(), "no copy without a change");
            } else {
                assert!(fs::read(&saved).unwrap() == before, "the copy is what was there");
            }
            store.close().await.unwrap();
            // The second time it opens, the copy has served.
            open_with(folder.path(), LAYOUTS).await.unwrap().close().await.unwrap();
            assert!(!saved.exists());
        }
    }

    #[tokio::test]
    async fn b5_an_older_layout_that_was_put_back_is_read_as_the_newest() {
        let (folder, state) = (copy("4"), tempfile::tempdir().unwrap());
        let profile = || Profile::new(folder.path()).noted_in(state.path().join("saves"));
        let old = copy("4");
        for number in 0..2 {
            let (held, key) = open::unlock_folder(&profile(), Unlock::None).await.unwrap();
            let mut store = EncryptedStore::unlocked(held, &key, &LAYOUTS[..4]).await.unwrap();
            fs::copy(folder.path().join(DATABASE), old.path().join(DATABASE)).unwrap();
            let record = Record { table: Table::Session, key: vec![number], value: SecretBytes::new(vec![number]) };
            store.save(&[Write::Put(record)].into_iter().collect()).await.unwrap();
            store.close().await.unwrap();
        }
        fs::copy(old.path().join(DATABASE), folder.path().join(DATABASE)).unwrap();
        let before = database(folder.path());
        assert_eq!(EncryptedStore::open(profile(), Unlock::None).await.err(), Some(OpenError::PutBack));
        assert!(database(folder.path()) == before, "a refusal changes nothing");
        let archive = EncryptedStore::open_archive(profile(), Unlock::None).await.unwrap();
        for (query, number) in [("older", 1), ("世界", 2), ("la", 3)] {
            let search = Search { query, conversation: None, from: None, since: None, before: None, limit: 9 };
            let hits = archive.reader().search(search).await.unwrap();
            assert_eq!(hits.iter().map(|hit| hit.message.sequence).collect::<Vec<_>>(), [number], "{query}");
        }
        archive.close().await;
        assert!(fs::read(folder.path().join(folder::copy_name(4))).unwrap() == before, "the copy is what was there");
        assert_eq!(EncryptedStore::open(profile(), Unlock::None).await.err(), Some(OpenError::PutBack));
    }

    /// Thousands of messages of layout 6, with gaps between their numbers, and contents with the hash of the one before.
    #[tokio::test]
    async fn a_long_history_is_packed_when_it_gets_blocks() {
        let folder = copy("6");
        let (held, key) = open::unlock_folder(&folder.path().into(), Unlock::None).await.unwrap();
        let mut connection = open::connect(&held, DATABASE, &key).await.unwrap();
        let chained = frame::tests::stored(&frame::tests::content(2, "chained"));
        let parts = frame::take_apart(&chained).unwrap();
        assert_eq!(parts.rest.len(), 32);
        let add = sqlx::query("INSERT INTO frame (number, bytes, uses) VALUES (9, ?, 0)").bind(parts.frame);
        add.execute(&mut connection).await.unwrap();
        let add = "INSERT INTO message (conversation, author, side, id, device, sequence, sent, waited, state, unspaced, text, frame, rest, cut) ";
        let history = "WITH RECURSIVE history (n) AS (SELECT 100 UNION ALL SELECT n + 1 FROM history WHERE n < 3001) \
             SELECT number, number, 1, CAST(printf('%016d', n) AS BLOB), 1, n, n, 5, 5, n % 3 = 0, \
             printf('old%dx %s', n, iif(n % 3 = 0, '世界', 'common')), 0, x'0102', 0 \
             FROM history CROSS JOIN account WHERE account.id = ?";
        let chain = "SELECT number, number, 1, ?2, ?3, ?4, ?5, 0, 5, 0, 'chained', 9, ?6, 0 FROM account WHERE id = ?1";
        let peer = messages()[0].conversation;
        let add_history = sqlx::query(sqlx::AssertSqlSafe([add, history].concat())).bind(peer.as_bytes().as_slice());
        add_history.execute(&mut connection).await.unwrap();
        let add_chained = sqlx::query(sqlx::AssertSqlSafe([add, chain].concat())).bind(peer.as_bytes().as_slice());
        let add_chained = add_chained.bind(chained.id.as_bytes().as_slice()).bind(chained.device.value());
        let add_chained = add_chained.bind(i64::try_from(chained.sequence).unwrap());
        let add_chained = add_chained.bind(i64::try_from(chained.sent.0).unwrap()).bind(parts.rest);
        add_chained.execute(&mut connection).await.unwrap();
        sqlx::query("DELETE FROM message WHERE number % 5 = 0").execute(&mut connection).await.unwrap();
        let texts = "SELECT text FROM message ORDER BY sent DESC, side DESC, device DESC, sequence DESC";
        let texts: Vec<String> = sqlx::query_scalar(texts).fetch_all(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        drop(held);

        let mut store = open_with(folder.path(), LAYOUTS).await.unwrap();
        assert_eq!(store.check().await.unwrap(), []);
        let page = store.page(&peer, None, 5_000).await.unwrap();
        assert!(page.len() > 2_000 && page.iter().map(|message| &message.text).eq(&texts));
        let hashless = frame::tests::stored(&waxwing_wire::content::Content {
            previous: waxwing_wire::content::ChainHash::NONE,
            ..frame::tests::content(2, "chained")
        });
        assert_eq!(page[0].content, hashless.content, "nobody reads that hash again");
        for (query, hits) in [("old1234x", 1), ("\"old1239x\" 世界", 1), ("chained", 1), ("old1234x common", 1)] {
            let search = Search { query, conversation: None, from: None, since: None, before: None, limit: 9 };
            assert_eq!(store.reader().search(search).await.unwrap().len(), hits, "{query}");
        }
        let connection = store.writer.connection().await.unwrap();
        let (loose, blocks): (i64, i64) =
            sqlx::query_as("SELECT (SELECT count(*) FROM loose), (SELECT count(*) FROM block)")
                .fetch_one(connection)
                .await
                .unwrap();
        assert!(loose < 32 && blocks > 70, "{loose} are loose beside {blocks} blocks");
    }

    #[tokio::test]
    async fn a_change_of_layout_that_fails_changes_nothing_and_leaves_a_copy() {
        let folder = copy("7");
        let before = database(folder.path());
        assert!(open_with(folder.path(), BROKEN).await.is_err());
        assert!(fs::read(folder.path().join(folder::copy_name(7))).unwrap() == before);
        let mut store = open_with(folder.path(), LAYOUTS).await.unwrap();
        assert_eq!(store.page(&messages()[0].conversation, None, 10).await.unwrap().len(), 3);
        assert_eq!(store.check().await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_newer_layout_is_refused_by_name() {
        let folder = copy("7");
        open_with(folder.path(), LATER).await.unwrap().close().await.unwrap();
        let before = database(folder.path());
        let refused = open_with(folder.path(), LAYOUTS).await.err();
        assert_eq!(refused, Some(OpenError::Newer { found: 8, known: 7 }));
        assert!(database(folder.path()) == before);
        assert!(folder.path().join(folder::copy_name(7)).exists(), "a refusal keeps the copy");
        open_with(folder.path(), LATER).await.unwrap();
    }

    #[tokio::test]
    async fn a_layout_that_is_half_there_is_refused() {
        for spoil in [
            "UPDATE _sqlx_migrations SET success = 0 WHERE version = 7",
            "UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 7",
        ] {
            let folder = copy("7");
            {
                let (held, key): (Folder, _) = open::unlock_folder(&folder.path().into(), Unlock::None).await.unwrap();
                let mut connection = open::connect(&held, DATABASE, &key).await.unwrap();
                sqlx::query(spoil).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
            let before = database(folder.path());
            assert_eq!(open_with(folder.path(), LAYOUTS).await.err(), Some(OpenError::HalfMigrated(7)), "{spoil}");
            assert!(database(folder.path()) == before);
        }
    }
}
