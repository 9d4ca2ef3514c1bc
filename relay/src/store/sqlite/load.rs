//! Reading what waits, when a store is opened. Implements spec/17-relay.md §17.4 and §17.7.
//!
//! ```text
//! places ──halves──▶ a connection each ──4,096 rows──▶ one row: a list of each column
//! ```
//! Handing a row over costs ten times what finding it does; so many are handed over as one, and by as many threads as there are halves.
//! Not here: the bodies, which nobody reads before somebody asks for them.
use std::path::Path;

use sqlx::{Connection as _, Row as _, SqliteConnection, sqlite::SqliteRow};
use waxwing_wire::{id::DeliveryId, padding::EnvelopeSize, relay::LaneNumber, time::Timestamp};

use super::{
    open::{OpenError, broken, options},
    rows, statements,
};
use crate::ledger::Pool;

/// A row of an envelope without its header.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct EnvelopeRow {
    pub(super) place: u64,
    pub(super) mailbox: u64,
    pub(super) sequence: u64,
    pub(super) lane: LaneNumber,
    pub(super) pool: Pool,
    pub(super) size: EnvelopeSize,
    pub(super) ends: Timestamp,
    pub(super) delivery: DeliveryId,
    pub(super) identity: [u8; 16],
    pub(super) back: u16,
}

/// All of them, by place. Nobody may write meanwhile.
pub(super) async fn envelopes(file: &Path) -> Result<Vec<EnvelopeRow>, OpenError> {
    let mut connection = SqliteConnection::connect_with(&options(file)).await?;
    let ends = sqlx::query(statements::load::PLACES).fetch_one(&mut connection).await?;
    let (Some(first), Some(last)) = (ends.try_get::<Option<i64>, _>(0)?, ends.try_get::<Option<i64>, _>(1)?) else {
        return Ok(Vec::new());
    };
    let middle = first.midpoint(last);
    let path = file.to_owned();
    // Tasks, because taking the lists apart costs as much as making them.
    let upper = tokio::spawn(async move { half(&path, middle, last).await });
    let lower = within(&mut connection, first.saturating_sub(1), middle).await;
    let (upper, mut lower) = (upper.await.map_err(broken)??, lower?);
    connection.close().await?;
    lower.extend(upper);
    Ok(lower)
}

async fn half(file: &Path, above: i64, last: i64) -> Result<Vec<EnvelopeRow>, OpenError> {
    let mut connection = SqliteConnection::connect_with(&options(file)).await?;
    let read = within(&mut connection, above, last).await;
    connection.close().await?;
    read
}

/// Those above one place, up to another.
async fn within(connection: &mut SqliteConnection, mut above: i64, last: i64) -> Result<Vec<EnvelopeRow>, OpenError> {
    let mut all = Vec::new();
    while above < last {
        let query = sqlx::query(statements::load::ENVELOPES).bind(above).bind(last).bind(AT_ONCE);
        let lists = query.fetch_one(&mut *connection).await?;
        let Some(newest) = lists.try_get::<Option<i64>, _>(0)? else { break };
        let begins = all.len();
        unpack(&lists, &mut all)?;
        let unpacked = all.get_mut(begins..).unwrap_or_default();
        // Nothing promises the order in which SQL makes a list.
        unpacked.sort_by_key(|row| row.place);
        above = newest;
    }
    Ok(all)
}

fn unpack(lists: &SqliteRow, all: &mut Vec<EnvelopeRow>) -> Result<(), OpenError> {
    let count = usize::try_from(lists.try_get::<i64, _>(1)?).map_err(broken)?;
    let (mut places, mut mailboxes, mut sequences) = (numbers(lists, 2)?, numbers(lists, 3)?, numbers(lists, 4)?);
    let (mut ends, mut bodies, mut kinds) = (numbers(lists, 5)?, numbers(lists, 6)?, numbers(lists, 7)?);
    let (deliveries, none) = lists.try_get::<&[u8], _>(8)?.as_chunks::<16>();
    let (identities, no_more) = lists.try_get::<&[u8], _>(9)?.as_chunks::<16>();
    if deliveries.len() != count || identities.len() != count || !none.is_empty() || !no_more.is_empty() {
        return Err(broken("an identity"));
    }
    all.reserve(count);
    for (delivery, identity) in deliveries.iter().zip(identities) {
        let (place, kind) = (places.next()?, kinds.next()?);
        let back = place.checked_sub(bodies.next()?).and_then(|back| u16::try_from(back).ok());
        let byte = |shift: u32| u8::try_from(kind >> shift & 0xff).map_err(broken);
        all.push(EnvelopeRow {
            place,
            mailbox: mailboxes.next()?,
            sequence: sequences.next()?,
            lane: LaneNumber(u32::try_from(kind >> 16).map_err(broken)?),
            pool: Pool::of_number(byte(8)?).ok_or_else(|| broken("pool"))?,
            size: rows::size_of_number(byte(0)?).ok_or_else(|| broken("size"))?,
            ends: Timestamp(ends.next()?),
            delivery: DeliveryId::from_bytes(*delivery),
            identity: *identity,
            back: back.ok_or_else(|| broken("body"))?,
        });
    }
    Ok(())
}

pub(super) struct Numbers<'r>(std::str::Split<'r, char>);

pub(super) fn numbers(lists: &SqliteRow, column: usize) -> Result<Numbers<'_>, OpenError> {
    Ok(Numbers(lists.try_get::<&str, _>(column)?.split(',')))
}

impl Numbers<'_> {
    pub(super) fn next(&mut self) -> Result<u64, OpenError> {
        self.0.next().ok_or_else(|| broken("a list is short"))?.parse().map_err(broken)
    }
}

/// The same of a column that may be absent: then it is an empty text.
pub(super) struct PerhapsNumbers<'r>(std::str::Split<'r, char>);

pub(super) fn perhaps_numbers(lists: &SqliteRow, column: usize) -> Result<PerhapsNumbers<'_>, OpenError> {
    Ok(PerhapsNumbers(lists.try_get::<&str, _>(column)?.split(',')))
}

impl PerhapsNumbers<'_> {
    pub(super) fn next(&mut self) -> Result<Option<u64>, OpenError> {
        let text = self.0.next().ok_or_else(|| broken("a list is short"))?;
        if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(broken) }
    }
}

/// Rows handed over as one: some 300 kB.
const AT_ONCE: u32 = 4_096;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "small numbers")]
mod tests {
    use sqlx::Executor as _;

    use super::*;
    use crate::store::sqlite::open::migrator;

    /// Every byte there is among them, so that nothing of a list is taken for text.
    fn row(number: u64) -> EnvelopeRow {
        let place = if number < 5_000 { number } else { number * 1_000 };
        EnvelopeRow {
            place,
            mailbox: number % 7,
            sequence: (9 << 32) | number,
            lane: LaneNumber(u32::MAX - u32::try_from(number).unwrap()),
            pool: Pool::Strangers,
            size: EnvelopeSize::B8192,
            ends: Timestamp(1_800_000_000_000 + number),
            delivery: DeliveryId::from_bytes(core::array::from_fn(|at| {
                (number * 17).to_le_bytes()[0].wrapping_add(at.to_le_bytes()[0])
            })),
            identity: [number.to_le_bytes()[0]; 16],
            back: u16::try_from(number % 3).unwrap().min(u16::try_from(place).unwrap_or(u16::MAX)),
        }
    }

    #[tokio::test]
    async fn what_was_written_is_read_by_place_whatever_its_bytes_and_gaps() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("store");
        let mut connection = SqliteConnection::connect_with(&options(&file)).await.unwrap();
        migrator().run(&mut connection).await.unwrap();
        assert_eq!(envelopes(&file).await.unwrap(), []);
        let expected: Vec<_> = (1..=20_000).map(row).collect();
        for count in [1, 2, 4_096, 4_097, 20_000] {
            connection.execute("DELETE FROM envelope; BEGIN").await.unwrap();
            for row in &expected[..count] {
                let query = sqlx::query(
                    "INSERT INTO envelope (place, mailbox, sequence, lane, pool, size, ends, delivery, identity, body) \
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                );
                let number = |number: u64| i64::try_from(number).unwrap();
                let query = query.bind(number(row.place)).bind(number(row.mailbox)).bind(number(row.sequence));
                let query = query.bind(row.lane.0).bind(row.pool.number()).bind(rows::size_number(row.size));
                let query = query.bind(number(row.ends.0)).bind(row.delivery.as_bytes().as_slice());
                let query = query.bind(row.identity.as_slice()).bind(number(row.place - u64::from(row.back)));
                query.execute(&mut connection).await.unwrap();
            }
            connection.execute("COMMIT").await.unwrap();
            assert!(envelopes(&file).await.unwrap() == expected[..count], "{count} rows");
        }
    }

    #[tokio::test]
    async fn a_damaged_row_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("store");
        let mut connection = SqliteConnection::connect_with(&options(&file)).await.unwrap();
        migrator().run(&mut connection).await.unwrap();
        let good = "INSERT INTO envelope (place, mailbox, sequence, lane, pool, size, ends, delivery, identity, body) \
                    VALUES (9, 1, 1, 1, 1, 1, 1, zeroblob(16), zeroblob(16), 9)";
        connection.execute(good).await.unwrap();
        assert_eq!(envelopes(&file).await.unwrap().len(), 1);
        for damage in [
            "mailbox = -1",
            "lane = -1",
            "lane = 1 << 33",
            "pool = 200",
            "size = 200",
            "body = 10",
            "body = -70000",
            "ends = -1",
            "delivery = x'00'",
            "identity = zeroblob(32)",
        ] {
            connection.execute("DELETE FROM envelope").await.unwrap();
            connection.execute(good).await.unwrap();
            connection.execute(sqlx::AssertSqlSafe(format!("UPDATE envelope SET {damage}"))).await.unwrap();
            assert!(matches!(envelopes(&file).await, Err(OpenError::Broken(_))), "{damage}");
        }
    }
}
