//! How rows are numbered, and numbers that SQLite has as 64 bits with a sign.
use sqlx::{Row as _, sqlite::SqliteRow};
use waxwing_wire::{
    id::{AccountId, DeviceId},
    manifest::ContentHash,
    time::Timestamp,
};

/// An account's row.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct AccountRow(pub(super) i64);

/// A device's row: account × 16 + place.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct DeviceRow(pub(super) i64);

/// What stands in the last two bits of a prekey's number, and for one-time keys in those before. 0 is free.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Slot {
    OneTime(i64),
    Kyber(i64),
    LastResort,
}

impl AccountRow {
    pub(super) const fn first_device(self) -> i64 {
        self.0.saturating_mul(PLACES)
    }

    pub(super) const fn last_device(self) -> i64 {
        self.first_device().saturating_add(PLACES.saturating_sub(1))
    }

    /// The devices' rows that are free, given those that are not.
    pub(super) fn free(self, taken: &[DeviceRow]) -> impl Iterator<Item = DeviceRow> {
        (self.first_device()..=self.last_device()).map(DeviceRow).filter(|row| !taken.contains(row))
    }
}

impl DeviceRow {
    pub(super) const fn first_prekey(self) -> i64 {
        self.0.saturating_mul(1 << 26)
    }

    pub(super) const fn last_prekey(self) -> i64 {
        self.first_prekey().saturating_add((1 << 26) - 1)
    }

    pub(super) const fn prekey(self, slot: Slot) -> i64 {
        let (kind, counter) = match slot {
            Slot::OneTime(counter) => (KIND_ONE_TIME, counter),
            Slot::Kyber(counter) => (KIND_KYBER, counter),
            Slot::LastResort => (KIND_LAST_RESORT, 0),
        };
        // A counter's low 24 bits are enough: at most 200 are alive.
        self.first_prekey().saturating_add((counter & COUNTER_MASK) << 2).saturating_add(kind)
    }
}

pub(super) const KIND_ONE_TIME: i64 = 1;
pub(super) const KIND_KYBER: i64 = 2;
pub(super) const KIND_LAST_RESORT: i64 = 3;
pub(super) const COUNTER_MASK: i64 = (1 << 24) - 1;
const PLACES: i64 = 16;

/// A row's columns as what they are; a value that cannot be one of ours is an error of the database.
pub(super) trait Columns {
    fn number(&self, column: usize) -> Result<i64, sqlx::Error>;
    fn maybe_number(&self, column: usize) -> Result<Option<i64>, sqlx::Error>;
    fn small(&self, column: usize) -> Result<u32, sqlx::Error>;
    fn maybe_small(&self, column: usize) -> Result<Option<u32>, sqlx::Error>;
    fn count(&self, column: usize) -> Result<u64, sqlx::Error>;
    fn bytes(&self, column: usize) -> Result<Vec<u8>, sqlx::Error>;
    fn fixed<const N: usize>(&self, column: usize) -> Result<[u8; N], sqlx::Error>;
    fn text(&self, column: usize) -> Result<String, sqlx::Error>;

    fn account_id(&self, column: usize) -> Result<AccountId, sqlx::Error> {
        Ok(AccountId::from_bytes(self.fixed(column)?))
    }

    fn content(&self, column: usize) -> Result<ContentHash, sqlx::Error> {
        Ok(ContentHash::from_bytes(self.fixed(column)?))
    }

    fn device(&self, column: usize) -> Result<DeviceId, sqlx::Error> {
        DeviceId::try_from(self.small(column)?).map_err(|error| damaged(column, error))
    }
}

impl Columns for SqliteRow {
    fn number(&self, column: usize) -> Result<i64, sqlx::Error> {
        self.try_get(column)
    }

    fn maybe_number(&self, column: usize) -> Result<Option<i64>, sqlx::Error> {
        self.try_get(column)
    }

    fn small(&self, column: usize) -> Result<u32, sqlx::Error> {
        u32::try_from(self.number(column)?).map_err(|error| damaged(column, error))
    }

    fn maybe_small(&self, column: usize) -> Result<Option<u32>, sqlx::Error> {
        let number = self.maybe_number(column)?;
        number.map(u32::try_from).transpose().map_err(|error| damaged(column, error))
    }

    fn count(&self, column: usize) -> Result<u64, sqlx::Error> {
        u64::try_from(self.number(column)?).map_err(|error| damaged(column, error))
    }

    fn bytes(&self, column: usize) -> Result<Vec<u8>, sqlx::Error> {
        self.try_get(column)
    }

    fn fixed<const N: usize>(&self, column: usize) -> Result<[u8; N], sqlx::Error> {
        self.try_get::<&[u8], _>(column)?.try_into().map_err(|error| damaged(column, error))
    }

    fn text(&self, column: usize) -> Result<String, sqlx::Error> {
        self.try_get(column)
    }
}

/// What stands in a column cannot have been written by us.
pub(super) fn damaged(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_string(), source: Box::new(error) }
}

/// The time as SQLite has it.
pub(super) fn millis(time: Timestamp) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// A list of numbers for `json_each`.
pub(super) fn json(numbers: impl IntoIterator<Item = i64>) -> String {
    use std::fmt::Write as _;
    let mut list = String::from("[");
    for number in numbers {
        let comma = if list.len() > 1 { "," } else { "" };
        let _ = write!(list, "{comma}{number}");
    }
    list.push(']');
    list
}
