//! Reading mailboxes and their lanes, when a store is opened. Implements spec/17-relay.md §17.4 and §17.7.
//!
//! As [`super::load`] reads what waits: the rows of some thousand mailboxes are handed over as one, a list of each column, because handing over costs
//! far more than finding.
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};
use waxwing_wire::{delivery::LaneHash, relay::LaneNumber, time::Timestamp};

use super::{
    load::{numbers, perhaps_numbers},
    open::{OpenError, broken},
    rows, statements,
};
use crate::ledger::{LaneRow, Lineage, Pool};

/// A row of a mailbox.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct MailboxRow {
    pub(super) number: u64,
    pub(super) owner_key: [u8; 32],
    pub(super) close_hash: [u8; 32],
    pub(super) born: u64,
    pub(super) next_lane: u32,
}

/// All mailboxes.
pub(super) async fn mailboxes(connection: &mut SqliteConnection) -> Result<Vec<MailboxRow>, OpenError> {
    in_lists(connection, statements::load::MAILBOXES, unpack_mailboxes).await
}

/// All lanes, each with the number of its mailbox.
pub(super) async fn lanes(connection: &mut SqliteConnection) -> Result<Vec<(u64, LaneRow)>, OpenError> {
    in_lists(connection, statements::load::LANES, unpack_lanes).await
}

async fn in_lists<T>(
    connection: &mut SqliteConnection,
    text: &'static str,
    unpack: fn(&SqliteRow, usize, &mut Vec<T>) -> Result<(), OpenError>,
) -> Result<Vec<T>, OpenError> {
    let (mut all, mut above) = (Vec::new(), i64::MIN);
    loop {
        let lists = sqlx::query(text).bind(above).fetch_one(&mut *connection).await?;
        let Some(newest) = lists.try_get::<Option<i64>, _>(0)? else { return Ok(all) };
        let count = usize::try_from(lists.try_get::<i64, _>(1)?).map_err(broken)?;
        all.reserve(count);
        unpack(&lists, count, &mut all)?;
        above = newest;
    }
}

fn unpack_mailboxes(lists: &SqliteRow, count: usize, all: &mut Vec<MailboxRow>) -> Result<(), OpenError> {
    let (mut number, mut born, mut next_lane) = (numbers(lists, 2)?, numbers(lists, 3)?, numbers(lists, 4)?);
    let (keys, hashes) = (hashes(lists, 5, count)?, hashes(lists, 6, count)?);
    for (owner_key, close_hash) in keys.iter().zip(hashes) {
        all.push(MailboxRow {
            number: number.next()?,
            owner_key: *owner_key,
            close_hash: *close_hash,
            born: born.next()?,
            next_lane: number_of(next_lane.next()?)?,
        });
    }
    Ok(())
}

fn unpack_lanes(lists: &SqliteRow, count: usize, all: &mut Vec<(u64, LaneRow)>) -> Result<(), OpenError> {
    let (mut mailbox, mut number, mut kind) = (numbers(lists, 2)?, numbers(lists, 3)?, numbers(lists, 4)?);
    let (mut pool, mut halvings, mut admitted) = (numbers(lists, 5)?, numbers(lists, 6)?, numbers(lists, 7)?);
    let (mut parent, mut ends) = (perhaps_numbers(lists, 8)?, perhaps_numbers(lists, 9)?);
    for hash in hashes(lists, 10, count)? {
        let lineage = Lineage {
            pool: Pool::of_number(number_of(pool.next()?)?).ok_or_else(|| broken("pool"))?,
            parent: parent.next()?.map(number_of).transpose()?.map(LaneNumber),
            halvings: number_of(halvings.next()?)?,
        };
        let lane = LaneRow {
            number: LaneNumber(number_of(number.next()?)?),
            kind: rows::kind_of_number(number_of(kind.next()?)?).ok_or_else(|| broken("kind"))?,
            lineage,
            hash: LaneHash::from_bytes(*hash),
            ends: ends.next()?.map(Timestamp),
            admitted: number_of(admitted.next()?)?,
        };
        all.push((mailbox.next()?, lane));
    }
    Ok(())
}

fn number_of<T: TryFrom<u64>>(number: u64) -> Result<T, OpenError> {
    T::try_from(number).map_err(|_| broken("a number out of range"))
}

/// One for each row.
fn hashes(lists: &SqliteRow, column: usize, count: usize) -> Result<&[[u8; 32]], OpenError> {
    let (hashes, rest) = lists.try_get::<&[u8], _>(column)?.as_chunks::<32>();
    if hashes.len() == count && rest.is_empty() { Ok(hashes) } else { Err(broken("a hash")) }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "small numbers")]
mod tests {
    use sqlx::{Connection as _, Executor as _};
    use waxwing_wire::relay::LaneKind;

    use super::*;
    use crate::store::sqlite::open::migrator;

    async fn empty() -> SqliteConnection {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        migrator().run(&mut connection).await.unwrap();
        connection
    }

    /// Every byte is among them, and numbers have gaps, small ones and one that would be long to walk through.
    fn mailbox(number: u64) -> MailboxRow {
        let bytes = |salt: u8| core::array::from_fn(|at| (number * 31).to_le_bytes()[at % 2].wrapping_add(salt));
        let place = if number < 9_000 { number * 3 } else { number * 1_000_000_000_000 };
        let (born, next_lane) = (number % 5, u32::MAX - u32::try_from(number).unwrap());
        MailboxRow { number: place, owner_key: bytes(1), close_hash: bytes(2), born, next_lane }
    }

    fn lane(number: u32) -> LaneRow {
        let split = number.is_multiple_of(2);
        let lineage = Lineage {
            pool: if split { Pool::Own } else { Pool::Tokens },
            parent: split.then_some(LaneNumber(number - 1)),
            halvings: u8::try_from(number % 200).unwrap(),
        };
        let kind = if split { LaneKind::Split } else { LaneKind::Introduction };
        let ends = (!split).then_some(Timestamp(1_800_000_000_000 + u64::from(number)));
        let hash = LaneHash::from_bytes([u8::try_from(number % 256).unwrap(); 32]);
        LaneRow { number: LaneNumber(number), kind, lineage, hash, ends, admitted: number * 7 }
    }

    async fn write_mailbox(connection: &mut SqliteConnection, row: &MailboxRow) {
        let query =
            sqlx::query("INSERT INTO mailbox (number, owner_key, close_hash, born, next_lane) VALUES (?, ?, ?, ?, ?)");
        let query = query.bind(i64::try_from(row.number).unwrap()).bind(row.owner_key.as_slice());
        let query = query.bind(row.close_hash.as_slice()).bind(i64::try_from(row.born).unwrap()).bind(row.next_lane);
        query.execute(connection).await.unwrap();
    }

    async fn write_lane(connection: &mut SqliteConnection, mailbox: u64, row: &LaneRow) {
        let query = sqlx::query(
            "INSERT INTO lane (mailbox, number, kind, pool, parent, halvings, hash, ends, admitted) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        );
        let query = query.bind(i64::try_from(mailbox).unwrap()).bind(row.number.0).bind(rows::kind_number(row.kind));
        let query = query.bind(row.lineage.pool.number()).bind(row.lineage.parent.map(|parent| parent.0));
        let query = query.bind(row.lineage.halvings).bind(row.hash.as_bytes().as_slice());
        let query = query.bind(row.ends.map(|ends| i64::try_from(ends.0).unwrap())).bind(row.admitted);
        query.execute(connection).await.unwrap();
    }

    #[tokio::test]
    async fn mailboxes_and_lanes_are_read_as_they_were_written() {
        let mut connection = empty().await;
        assert_eq!(mailboxes(&mut connection).await.unwrap(), []);
        assert_eq!(lanes(&mut connection).await.unwrap(), []);
        connection.execute("BEGIN").await.unwrap();
        let expected: Vec<_> = (1..=9_003).map(mailbox).collect();
        let mut expected_lanes = Vec::new();
        for (at, row) in expected.iter().enumerate() {
            write_mailbox(&mut connection, row).await;
            for number in 1..=u32::try_from(at % 4).unwrap() {
                let lane = lane(number + u32::try_from(at % 250).unwrap());
                write_lane(&mut connection, row.number, &lane).await;
                expected_lanes.push((row.number, lane));
            }
        }
        connection.execute("COMMIT").await.unwrap();
        let mut read = mailboxes(&mut connection).await.unwrap();
        read.sort_by_key(|row| row.number);
        assert!(read == expected);
        let mut read = lanes(&mut connection).await.unwrap();
        read.sort_by_key(|(mailbox, lane)| (*mailbox, lane.number));
        assert!(read == expected_lanes);
    }

    #[tokio::test]
    async fn a_damaged_row_is_an_error() {
        let mut connection = empty().await;
        write_mailbox(&mut connection, &mailbox(1)).await;
        write_lane(&mut connection, 3, &lane(1)).await;
        for (table, damages) in [
            (
                "mailbox",
                &["number = -1", "owner_key = x'00'", "close_hash = zeroblob(64)", "born = -1", "next_lane = 1 << 33"]
                    [..],
            ),
            (
                "lane",
                &[
                    "mailbox = -1",
                    "number = 1 << 33",
                    "kind = 200",
                    "kind = 1 << 20",
                    "pool = 9",
                    "parent = -1",
                    "halvings = 256",
                    "hash = zeroblob(31)",
                    "ends = -1",
                    "admitted = -1",
                ],
            ),
        ] {
            for damage in damages {
                connection.execute("SAVEPOINT before").await.unwrap();
                connection.execute(sqlx::AssertSqlSafe(format!("UPDATE {table} SET {damage}"))).await.unwrap();
                let damaged = mailboxes(&mut connection).await.is_err() || lanes(&mut connection).await.is_err();
                assert!(damaged, "{damage}");
                connection.execute("ROLLBACK TO before").await.unwrap();
            }
        }
        assert!(mailboxes(&mut connection).await.is_ok() && lanes(&mut connection).await.is_ok());
    }
}
