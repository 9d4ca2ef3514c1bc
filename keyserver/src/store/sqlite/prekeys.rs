//! Prekeys in. Implements spec/19-keyserver.md §19.6.1 to §19.6.3.
use sqlx::{AssertSqlSafe, Sqlite, SqliteConnection, query::Query, sqlite::SqliteArguments};
use waxwing_wire::{
    keyserver::{PrekeyIds, PrekeyState},
    prekey::{Prekey, PrekeyKind},
    signer::Signer,
};

use super::{
    Done, account,
    number::{Columns as _, DeviceRow, Slot, damaged},
};
use crate::store::{
    Batch, DeviceError, Unavailable, UploadError,
    check::{self, IdSpace},
};

/// What a batch writes, roughly.
pub(super) fn weight(batch: &Batch) -> usize {
    batch.prekeys.iter().fold(8_192, |sum, prekey| {
        let bytes = prekey.facts().key.len().saturating_add(512);
        sum.saturating_add(bytes)
    })
}

/// A device's row: which key is next of each one-time kind, which is to be stored next.
struct Stock {
    device: DeviceRow,
    signed: Option<u32>,
    /// None: as it is.
    new_signed: Option<Vec<u8>>,
    last_resort: Option<u32>,
    one_time: (i64, i64),
    kyber: (i64, i64),
    last_batch: Option<Vec<u8>>,
}

pub(super) async fn upload(connection: &mut SqliteConnection, batch: Batch) -> Done<PrekeyState, UploadError> {
    let Some((_, device)) = account::listed(connection, batch.device).await? else {
        return Ok(Err(UploadError::NotListed));
    };
    let mut stock = Stock::read(connection, device).await?;
    if batch.prekeys.is_empty() || stock.last_batch.as_deref() == Some(batch.hash.as_slice()) {
        return Ok(Ok(stock.ids(connection).await?.state()));
    }
    let Some(ids) = check::ids(&batch.prekeys) else { return Ok(Err(UploadError::IdUsed)) };
    let ids = super::number::json(ids.iter().map(|(space, id)| (i64::from(*id) << 2) | space_number(*space)));
    let used = sqlx::query(USED).bind(device.0).bind(ids.clone()).fetch_one(&mut *connection).await?;
    if used.number(0)? != 0 {
        return Ok(Err(UploadError::IdUsed));
    }
    if !stock.has_room(&batch) {
        return Ok(Err(UploadError::TooMany));
    }
    stock.sweep(connection).await?;
    sqlx::query(USE_IDS).bind(device.0).bind(ids).execute(&mut *connection).await?;
    let mut rows: Vec<_> =
        batch.prekeys.iter().filter_map(|prekey| stock.place(prekey).map(|place| (place, prekey))).collect();
    // In the order of the table, so that its pages fill one after the other.
    rows.sort_unstable_by_key(|(place, _)| *place);
    insert(connection, &rows).await?;
    stock.last_batch = Some(batch.hash.to_vec());
    stock.write(connection).await?;
    Ok(Ok(stock.ids(connection).await?.state()))
}

pub(super) async fn ids(connection: &mut SqliteConnection, device: Signer) -> Done<PrekeyIds, DeviceError> {
    use sqlx::Connection as _;
    // One snapshot for counters and keys.
    let mut snapshot = connection.begin().await?;
    let Some((_, device)) = account::listed(&mut snapshot, device).await? else {
        return Ok(Err(DeviceError::NotListed));
    };
    let stock = Stock::read(&mut snapshot, device).await?;
    Ok(Ok(stock.ids(&mut snapshot).await?))
}

impl Stock {
    async fn read(connection: &mut SqliteConnection, device: DeviceRow) -> Result<Self, sqlx::Error> {
        let row = sqlx::query(STOCK).bind(device.0).fetch_one(connection).await?;
        Ok(Self {
            device,
            signed: row.maybe_small(0)?,
            new_signed: None,
            last_resort: row.maybe_small(1)?,
            one_time: (row.number(2)?, row.number(3)?),
            kyber: (row.number(4)?, row.number(5)?),
            last_batch: sqlx::Row::try_get(&row, 6)?,
        })
    }

    fn has_room(&self, batch: &Batch) -> bool {
        let most = i64::from(batch.most).min(i64::try_from(PrekeyIds::MOST).unwrap_or(i64::MAX));
        let fits = |(next, end): (i64, i64), kind| {
            let added = batch.prekeys.iter().filter(|prekey| prekey.facts().kind == kind).count();
            let added = i64::try_from(added).unwrap_or(i64::MAX);
            added == 0 || end.saturating_sub(next).saturating_add(added) <= most
        };
        fits(self.one_time, PrekeyKind::OneTimeX25519) && fits(self.kyber, PrekeyKind::OneTimeKyber1024)
    }

    /// Deletes keys that were handed out: their rows are neighbours of those that are about to be written.
    async fn sweep(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        self.of_its_one_time_keys(SWEEP).execute(connection).await?;
        Ok(())
    }

    /// A statement about the one-time keys in the order they are handed out: the device's rows, and for each kind the next and how
    /// many there are.
    fn of_its_one_time_keys(&self, sql: &'static str) -> Query<'static, Sqlite, SqliteArguments> {
        let query = sqlx::query(sql).bind(self.device.first_prekey()).bind(self.device.last_prekey());
        [self.one_time, self.kyber]
            .into_iter()
            .fold(query, |query, (next, end)| query.bind(next).bind(end.saturating_sub(next)))
    }

    /// Where a new prekey goes: a row among the others; none for the signed one.
    fn place(&mut self, prekey: &Prekey) -> Option<i64> {
        let facts = prekey.facts();
        let slot = match facts.kind {
            PrekeyKind::SignedX25519 => {
                self.signed = Some(facts.id);
                self.new_signed = Some(prekey.encode());
                return None;
            }
            PrekeyKind::LastResortKyber1024 => {
                self.last_resort = Some(facts.id);
                Slot::LastResort
            }
            PrekeyKind::OneTimeX25519 => Slot::OneTime(count(&mut self.one_time.1)),
            PrekeyKind::OneTimeKyber1024 => Slot::Kyber(count(&mut self.kyber.1)),
        };
        Some(self.device.prekey(slot))
    }

    async fn write(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let update = sqlx::query(UPDATE_STOCK).bind(self.device.0).bind(self.signed).bind(self.last_resort);
        let update = update.bind(self.one_time.1).bind(self.kyber.1).bind(self.last_batch.clone());
        update.execute(&mut *connection).await?;
        if let Some(body) = &self.new_signed {
            let replace = sqlx::query("INSERT OR REPLACE INTO signed_prekey (device, body) VALUES (?, ?)");
            replace.bind(self.device.0).bind(body.as_slice()).execute(connection).await?;
        }
        Ok(())
    }

    /// The ids of what would be handed out: all in one row, because a row costs more than what is in it.
    async fn ids(&self, connection: &mut SqliteConnection) -> Result<PrekeyIds, sqlx::Error> {
        let row = self.of_its_one_time_keys(IDS).fetch_one(connection).await?;
        let ids = |column| {
            let list: Option<String> = sqlx::Row::try_get(&row, column)?;
            let ids = list.as_deref().unwrap_or_default().split_terminator(',').map(str::parse);
            ids.collect::<Result<Vec<u32>, _>>().map_err(|error| damaged(column, error))
        };
        check::prekey_ids(self.signed, self.last_resort, ids(0)?, ids(1)?)
            .map_err(|error: Unavailable| damaged(0, error))
    }
}

/// The next counter.
fn count(end: &mut i64) -> i64 {
    let counter = *end;
    *end = end.saturating_add(1);
    counter
}

/// Several rows a statement, in sizes that are powers of two, so that few statements are ever prepared.
async fn insert(connection: &mut SqliteConnection, mut rows: &[(i64, &Prekey)]) -> Result<(), sqlx::Error> {
    while !rows.is_empty() {
        let most = 1_usize.checked_shl(rows.len().ilog2()).unwrap_or(1).min(MOST_ROWS);
        let (now, later) = rows.split_at(most.min(rows.len()));
        let values = vec!["(?,?,?)"; now.len()].join(",");
        let sql = format!("INSERT OR REPLACE INTO prekey (number, id, body) VALUES {values}");
        // The text holds nothing but question marks.
        let mut insert = sqlx::query(AssertSqlSafe(sql));
        for (number, prekey) in now {
            insert = insert.bind(*number).bind(i64::from(prekey.facts().id)).bind(prekey.encode());
        }
        insert.execute(&mut *connection).await?;
        rows = later;
    }
    Ok(())
}

const fn space_number(space: IdSpace) -> i64 {
    match space {
        IdSpace::Signed => 0,
        IdSpace::OneTime => 1,
        IdSpace::Kyber => 2,
    }
}

const MOST_ROWS: usize = 64;

const STOCK: &str = "SELECT signed, last_resort, one_time_next, one_time_end, kyber_next, kyber_end, batch \
     FROM device WHERE number = ?";

const UPDATE_STOCK: &str = "UPDATE device SET signed = ?2, last_resort = ?3, one_time_end = ?4, kyber_end = ?5, batch = ?6 \
     WHERE number = ?1";

/// Ids come as id << 2 | space.
const USED: &str = "SELECT EXISTS (SELECT 1 FROM json_each(?2) AS asked JOIN prekey_id AS known \
     ON known.device = ?1 AND known.space = (asked.value & 3) AND known.id = (asked.value >> 2))";

const USE_IDS: &str = "INSERT INTO prekey_id (device, space, id) SELECT ?1, value & 3, value >> 2 FROM json_each(?2)";

/// A key is alive if its counter, counted from the next one and modulo 2^24, is below how many there are.
const SWEEP: &str = "DELETE FROM prekey WHERE number BETWEEN ?1 AND ?2 AND CASE number & 3 \
     WHEN 1 THEN ((number >> 2) - ?3 & 16777215) >= ?4 WHEN 2 THEN ((number >> 2) - ?5 & 16777215) >= ?6 ELSE 0 END";

const IDS: &str = "SELECT \
     group_concat(id) FILTER (WHERE number & 3 = 1 AND ((number >> 2) - ?3 & 16777215) < ?4), \
     group_concat(id) FILTER (WHERE number & 3 = 2 AND ((number >> 2) - ?5 & 16777215) < ?6) \
     FROM prekey WHERE number BETWEEN ?1 AND ?2";
