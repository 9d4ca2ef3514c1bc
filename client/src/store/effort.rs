//! Tests: reading costs no more in a long history than in a short one. Time says little on a busy machine; SQLite counts its steps.
#![allow(
    clippy::as_conversions,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "a test: a panic is the report"
)]
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use sqlx::{AssertSqlSafe, Connection as _, SqlSafeStr as _, SqlStr, SqliteConnection, sqlite::SqliteArguments};
use waxwing_engine::{
    State,
    store::{StoredMessage, Write},
};
use waxwing_wire::{
    content::MessageId,
    id::{AccountId, DeviceId},
    time::Timestamp,
};

use super::{
    layout::{LAYOUTS, migrator},
    statements,
    statements::find,
    write,
};

const OWN: AccountId = AccountId::from_bytes([0xa1; 32]);
const PEER: AccountId = AccountId::from_bytes([0xb0; 32]);
const OTHER: AccountId = AccountId::from_bytes([0xca; 32]);
const SHORT: u64 = 400;
/// As many loose texts as after the short one.
const LONG: u64 = 9 * SHORT;

/// Two conversations in turns; everything that was read before the last few.
fn message(number: u64) -> StoredMessage {
    let conversation = if number.is_multiple_of(2) { PEER } else { OTHER };
    let words = ["garden", "gate", "plain", "上海火车站", "carpet"];
    let text = format!("{} {} {number}", words[(number % 5) as usize], words[(number / 5 % 5) as usize]);
    StoredMessage {
        conversation,
        id: MessageId::from_bytes((u128::from(number) * 0x9e37_79b9_7f4a_7c15).to_le_bytes()),
        author: if number.is_multiple_of(3) { OWN } else { conversation },
        device: DeviceId::MIN,
        sequence: number,
        sent: Timestamp(1_000 + number),
        stored: Timestamp(2_000 + number),
        state: State::Delivered,
        content: text.clone().into_bytes(),
        text,
    }
}

async fn with(messages: u64) -> SqliteConnection {
    let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    migrator(LAYOUTS).run(&mut connection).await.unwrap();
    for first in (1..=messages).step_by(200) {
        let batch = (first..first + 200).map(|number| Write::Message(message(number))).collect();
        write::save(&mut connection, &batch, &[]).await.unwrap();
    }
    let read = |conversation| Write::Read { conversation, device: DeviceId::MIN, sequence: messages - 20 };
    write::save(&mut connection, &[read(PEER), read(OTHER)].into_iter().collect(), &[]).await.unwrap();
    connection
}

/// Steps of SQLite's machine, in tens, and how many rows came.
async fn effort(connection: &mut SqliteConnection, statement: SqlStr, arguments: SqliteArguments) -> (u64, usize) {
    let steps = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&steps);
    connection.lock_handle().await.unwrap().set_progress_handler(10, move || {
        counted.fetch_add(1, Ordering::Relaxed);
        true
    });
    let rows = sqlx::query_with(statement, arguments).fetch_all(&mut *connection).await.unwrap().len();
    connection.lock_handle().await.unwrap().remove_progress_handler();
    (steps.load(Ordering::Relaxed), rows)
}

/// Every statement that a screen waits for, or that comes with each message, on a history of so many.
fn asked(messages: u64) -> Vec<(&'static str, SqlStr, SqliteArguments)> {
    let middle = (1_000 + messages / 2) as i64;
    let end = i64::MAX;
    macro_rules! asked {
        ($name:literal, $statement:expr $(, $value:expr)*) => {{
            #[allow(unused_mut, reason = "some have none")]
            let mut arguments = SqliteArguments::default();
            $(sqlx::Arguments::add(&mut arguments, $value).unwrap();)*
            ($name, $statement.into_sql_str(), arguments)
        }};
    }
    let (peer, nobody) = (PEER.as_bytes().to_vec(), None::<i64>);
    let id = message(messages / 2).id.as_bytes().to_vec();
    vec![
        asked!("newest page", statements::PAGE, peer.clone(), 20),
        asked!("page before", statements::PAGE_BEFORE, peer.clone(), 20, middle, 1, 1, 1),
        asked!("page after", statements::PAGE_AFTER, peer.clone(), 20, middle, 1, 1, 1),
        asked!("page from", statements::PAGE_FROM, peer.clone(), 20, middle, 1, 1, 1),
        asked!("message", statements::MESSAGE, peer.clone(), id.clone()),
        asked!("state", statements::STATE, peer.clone(), id, 6),
        asked!("unread", statements::UNREAD, peer),
        asked!("unread in all", statements::UNREAD_IN_ALL),
        asked!("nothing to forget", statements::OLD, 2_000, 500),
        asked!("nothing loose to forget", statements::OLD_LOOSE, 2_000, 500),
        asked!("newest", statements::NEWEST),
        asked!("loose", find::LOOSE, end, nobody, nobody, 0),
        asked!("word", find::WORDS, "\"garden\"", end, nobody, nobody, 0, 5),
        asked!("beginning", find::WORDS, "\"g\" *", end, nobody, nobody, 0, 5),
        asked!("words", find::WORDS, "\"ga\" * AND \"plain\"", end, nobody, nobody, 0, 5),
        asked!("word in one", find::WORDS, "\"gate\" AND \"\u{e002}\"", end, 2, nobody, 0, 5),
        asked!("word by one", find::WORDS, "\"gate\"", end, nobody, 2, 1_500, 5),
        asked!("grams", find::GRAMS, "\"火车站\"", end, nobody, nobody, 0, 5),
        asked!("characters", find::UNSPACED, None::<&str>, end, nobody, nobody, 0, 5),
        asked!("hits", find::MESSAGES, "[17,300,301]"),
    ]
}

async fn efforts(connection: &mut SqliteConnection, messages: u64) -> Vec<(&'static str, u64, usize)> {
    let mut efforts = Vec::new();
    for (name, statement, arguments) in asked(messages) {
        let (steps, rows) = effort(connection, statement, arguments).await;
        efforts.push((name, steps, rows));
    }
    efforts
}

/// Those that cost more in a long history; by a tenth more, since trees are deeper.
fn dearer<'n>(short: &[(&'n str, u64, usize)], long: &[(&'n str, u64, usize)]) -> Vec<&'n str> {
    let pairs = short.iter().zip(long);
    pairs.filter(|((_, few, _), (_, many, _))| *many > few + few / 10 + 10).map(|((name, ..), _)| *name).collect()
}

#[tokio::test]
async fn nothing_that_a_screen_waits_for_costs_more_in_a_long_history() {
    let (mut few, mut many) = (with(SHORT).await, with(LONG).await);
    let (short, long) = (efforts(&mut few, SHORT).await, efforts(&mut many, LONG).await);
    for ((name, _, rows), (_, _, other)) in short.iter().zip(&long) {
        let finds = !["state", "nothing to forget", "nothing loose to forget"].contains(name);
        assert_eq!((rows, *rows > 0), (other, finds), "{name} finds the same in both");
    }
    assert_eq!(dearer(&short, &long), [""; 0], "{short:?} {long:?}");
    // Without its index each costs more: it would be noticed.
    for (index, expected) in [
        ("message_position", vec!["newest page", "page before", "page after", "page from"]),
        ("message_unread", vec!["unread", "unread in all"]),
    ] {
        for connection in [&mut few, &mut many] {
            let drop = AssertSqlSafe(format!("DROP INDEX {index}"));
            sqlx::query(drop).execute(&mut *connection).await.unwrap();
        }
        let (short, long) = (efforts(&mut few, SHORT).await, efforts(&mut many, LONG).await);
        let found = dearer(&short, &long);
        assert!(expected.iter().all(|name| found.contains(name)), "without {index}: {found:?}");
    }
}
