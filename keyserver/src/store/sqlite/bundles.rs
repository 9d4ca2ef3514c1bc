//! Handing out prekeys, many fetches at once. Implements spec/19-keyserver.md §19.6.4.
//!
//! ```text
//! accounts of all fetches ─▶ their devices ─▶ decide, fetch by fetch ─▶ counters of devices ─▶ bodies
//! ```
//! Invariants: a key is handed out by moving its device's counter, in the transaction that read the counter; the same few
//! statements serve one fetch and a thousand. The body of a key that was handed out stays until the device's next upload
//! sweeps it away, so that a fetch writes one small row for each device and nothing else.
use std::collections::{HashMap, HashSet};

use sqlx::{Connection as _, SqliteConnection};
use tokio::sync::oneshot;
use waxwing_wire::{
    id::{AccountId, DeviceId},
    keyserver::{AccountObjects, Bundle, Bundles},
};

use super::{
    number::{AccountRow, DeviceRow, Slot, damaged, json},
    packed::{Packed as _, Unreadable},
    writer::FetchJob,
};
use crate::store::{BundlesError, Take};

type Answer = (oneshot::Sender<Result<Bundles, BundlesError>>, Result<Bundles, BundlesError>);

/// Tells everybody; only after the commit.
pub(super) fn answer(answers: Vec<Answer>) {
    for (to, result) in answers {
        // Whoever went away has lost the keys that were meant for them.
        let _ = to.send(result);
    }
}

/// Decides and reads all of `jobs` within the caller's transaction.
pub(super) async fn fetch(connection: &mut SqliteConnection, jobs: Vec<FetchJob>) -> Result<Vec<Answer>, sqlx::Error> {
    let accounts = accounts(connection, &jobs).await?;
    let mut devices = devices(connection, accounts.values()).await?;
    let mut moved = HashSet::new();
    let planned: Vec<_> = jobs.iter().map(|job| plan(job, &accounts, &mut devices, &mut moved)).collect();
    move_counters(connection, &devices, &moved).await?;
    let bodies = bodies(connection, &planned).await?;
    let results = planned.into_iter().map(|plan| plan.and_then(|plan| plan.fill(&bodies)));
    Ok(jobs.into_iter().map(|job| job.answer).zip(results).collect())
}

/// Reads one fetch that uses nothing up: in a transaction of its own, so that manifest and bundles are from one point in time.
pub(super) async fn look(connection: &mut SqliteConnection, job: FetchJob) -> Result<Vec<Answer>, sqlx::Error> {
    let mut snapshot = connection.begin().await?;
    let answers = fetch(&mut snapshot, vec![job]).await?;
    snapshot.commit().await?;
    Ok(answers)
}

struct Account {
    row: AccountRow,
    is_final: bool,
    objects: AccountObjects,
}

async fn accounts(
    connection: &mut SqliteConnection,
    jobs: &[FetchJob],
) -> Result<HashMap<AccountId, Account>, sqlx::Error> {
    let wanted: HashSet<_> = jobs.iter().map(|job| job.account).collect();
    let mut list = String::with_capacity(wanted.len().saturating_mul(67).saturating_add(2));
    for account in wanted {
        list.push_str(if list.is_empty() { "[\"" } else { ",\"" });
        account.as_bytes().iter().for_each(|byte| {
            use std::fmt::Write as _;
            let _ = write!(list, "{byte:02x}");
        });
        list.push('"');
    }
    list.push(']');
    let row = sqlx::query(ACCOUNTS).bind(list).fetch_one(connection).await?;
    let [number, is_final, statement, manifest] = [0, 1, 2, 3].map(|column| row.numbers(column));
    let (mut number, mut is_final, mut statement, mut manifest) = (number?, is_final?, statement?, manifest?);
    let mut bytes = row.pieces(4)?;
    let mut accounts = HashMap::with_capacity(jobs.len());
    while let Some(row) = number.next()? {
        let id = AccountId::from_bytes(bytes.fixed()?);
        let objects = AccountObjects {
            recovery_key: bytes.fixed()?,
            statement: bytes.piece(statement.one()?)?,
            manifest: bytes.piece(manifest.one()?)?,
        };
        accounts.insert(id, Account { row: AccountRow(row), is_final: is_final.one()? != 0, objects });
    }
    Ok(accounts)
}

/// A device as it stands while fetches are decided.
struct Device {
    row: DeviceRow,
    id: DeviceId,
    has_signed: bool,
    has_last_resort: bool,
    one_time: (i64, i64),
    kyber: (i64, i64),
}

async fn devices(
    connection: &mut SqliteConnection,
    accounts: impl Iterator<Item = &Account>,
) -> Result<HashMap<AccountRow, Vec<Device>>, sqlx::Error> {
    let list = json(accounts.filter(|account| !account.is_final).map(|account| account.row.0));
    let row = sqlx::query(DEVICES).bind(list).fetch_one(connection).await?;
    // A number in each row of the table; nine for each device.
    let mut numbers = row.numbers(0)?;
    let mut devices: HashMap<AccountRow, Vec<Device>> = HashMap::new();
    while let Some(account) = numbers.next()? {
        devices.entry(AccountRow(account)).or_default().push(Device {
            row: DeviceRow(numbers.one()?),
            id: u32::try_from(numbers.one()?)
                .ok()
                .and_then(|id| DeviceId::try_from(id).ok())
                .ok_or_else(|| damaged(0, Unreadable))?,
            has_signed: numbers.one()? != 0,
            has_last_resort: numbers.one()? != 0,
            one_time: (numbers.one()?, numbers.one()?),
            kyber: (numbers.one()?, numbers.one()?),
        });
    }
    devices.values_mut().for_each(|devices| devices.sort_unstable_by_key(|device| device.id));
    Ok(devices)
}

/// What a fetch gets, as numbers of prekeys.
struct Plan {
    account: AccountObjects,
    bundles: Vec<PlannedBundle>,
}

struct PlannedBundle {
    device: DeviceId,
    signed: i64,
    one_time: Option<i64>,
    kyber: i64,
    last_resort: bool,
}

fn plan(
    job: &FetchJob,
    accounts: &HashMap<AccountId, Account>,
    devices: &mut HashMap<AccountRow, Vec<Device>>,
    moved: &mut HashSet<DeviceRow>,
) -> Result<Plan, BundlesError> {
    let account = accounts.get(&job.account).ok_or(BundlesError::NoAccount)?;
    if account.is_final {
        return Err(BundlesError::Deleted);
    }
    let devices = devices.get_mut(&account.row).map(Vec::as_mut_slice).unwrap_or_default();
    if job.devices.iter().any(|asked| !devices.iter().any(|device| device.id == *asked)) {
        return Err(BundlesError::NoPrekeys);
    }
    let asked = devices.iter_mut().filter(|device| job.devices.is_empty() || job.devices.contains(&device.id));
    let bundles: Vec<_> = asked.filter_map(|device| device.hand_out(job.take, moved)).collect();
    if bundles.is_empty() {
        return Err(BundlesError::NoPrekeys);
    }
    Ok(Plan { account: account.objects.clone(), bundles })
}

impl Device {
    fn hand_out(&mut self, take: Take, moved: &mut HashSet<DeviceRow>) -> Option<PlannedBundle> {
        let takes = take == Take::OneTime;
        let has_kyber = takes && self.kyber.0 < self.kyber.1;
        if !self.has_signed || !(has_kyber || self.has_last_resort) {
            return None;
        }
        let (row, mut moves) = (self.row, false);
        let mut next = |(next, end): &mut (i64, i64)| {
            let counter = *next;
            let there = takes && counter < *end;
            if there {
                *next = counter.saturating_add(1);
                moves = true;
            }
            Some(counter).filter(|_| there)
        };
        let kyber = next(&mut self.kyber).map(|counter| row.prekey(Slot::Kyber(counter)));
        let one_time = next(&mut self.one_time).map(|counter| row.prekey(Slot::OneTime(counter)));
        if moves {
            moved.insert(row);
        }
        Some(PlannedBundle {
            device: self.id,
            signed: row.prekey(Slot::Signed),
            one_time,
            kyber: kyber.unwrap_or_else(|| row.prekey(Slot::LastResort)),
            last_resort: kyber.is_none(),
        })
    }
}

async fn move_counters(
    connection: &mut SqliteConnection,
    devices: &HashMap<AccountRow, Vec<Device>>,
    moved: &HashSet<DeviceRow>,
) -> Result<(), sqlx::Error> {
    if moved.is_empty() {
        return Ok(());
    }
    let moved = devices.values().flatten().filter(|device| moved.contains(&device.row));
    let mut list = String::from("[");
    for device in moved {
        use std::fmt::Write as _;
        let comma = if list.len() > 1 { "," } else { "" };
        let _ = write!(list, "{comma}[{},{},{}]", device.row.0, device.one_time.0, device.kyber.0);
    }
    list.push(']');
    sqlx::query(MOVE).bind(list).execute(connection).await?;
    Ok(())
}

async fn bodies(
    connection: &mut SqliteConnection,
    planned: &[Result<Plan, BundlesError>],
) -> Result<HashMap<i64, Vec<u8>>, sqlx::Error> {
    let bundles = planned.iter().flatten().flat_map(|plan| &plan.bundles);
    let mut wanted: Vec<_> =
        bundles.flat_map(|bundle| [Some(bundle.signed), bundle.one_time, Some(bundle.kyber)]).flatten().collect();
    wanted.sort_unstable();
    wanted.dedup();
    let row = sqlx::query(BODIES).bind(json(wanted)).fetch_one(connection).await?;
    let (mut numbers, mut lengths, mut bytes) = (row.numbers(0)?, row.numbers(1)?, row.pieces(2)?);
    let mut bodies = HashMap::new();
    while let Some(number) = numbers.next()? {
        bodies.insert(number, bytes.piece(lengths.one()?)?);
    }
    Ok(bodies)
}

impl Plan {
    /// A body that is missing is damage: nobody is handed half a bundle.
    fn fill(self, bodies: &HashMap<i64, Vec<u8>>) -> Result<Bundles, BundlesError> {
        let body = |number: i64| {
            bodies.get(&number).cloned().ok_or_else(|| {
                tracing::error!("a prekey that should be there is not");
                BundlesError::Unavailable(crate::store::Unavailable)
            })
        };
        let bundles = self.bundles.into_iter().map(|bundle| {
            let PlannedBundle { device, signed, one_time, kyber, last_resort } = bundle;
            let one_time = one_time.map(body).transpose()?;
            Ok::<_, BundlesError>(Bundle { device, signed: body(signed)?, one_time, kyber: body(kyber)?, last_resort })
        });
        Ok(Bundles { account: self.account, bundles: bundles.collect::<Result<_, _>>()? })
    }
}

/// One row for all of them: each row costs more on its way here than what is in it.
const ACCOUNTS: &str = "SELECT group_concat(account.number), group_concat(account.final), \
            group_concat(length(statement.body)), group_concat(length(manifest.body)), \
            CAST(group_concat(account.id || account.recovery_key || statement.body || manifest.body, '') AS BLOB) \
     FROM json_each(?1) AS wanted \
     JOIN account ON account.id = unhex(wanted.value) \
     JOIN statement ON statement.account = account.number AND statement.generation = account.generation \
     JOIN manifest ON manifest.number = account.manifest";

const DEVICES: &str = "SELECT group_concat(concat_ws(',', wanted.value, device.number, device.id, \
            signed IS NOT NULL, last_resort IS NOT NULL, one_time_next, one_time_end, kyber_next, kyber_end)) \
     FROM json_each(?1) AS wanted \
     JOIN device ON device.number BETWEEN wanted.value * 16 AND wanted.value * 16 + 15";

const MOVE: &str = "UPDATE device SET one_time_next = moved.one_time, kyber_next = moved.kyber \
     FROM (SELECT value ->> 0 AS number, value ->> 1 AS one_time, value ->> 2 AS kyber FROM json_each(?1)) AS moved \
     WHERE device.number = moved.number";

const BODIES: &str = "SELECT group_concat(prekey.number), group_concat(length(prekey.body)), \
            CAST(group_concat(prekey.body, '') AS BLOB) \
     FROM json_each(?1) AS wanted JOIN prekey ON prekey.number = wanted.value";
