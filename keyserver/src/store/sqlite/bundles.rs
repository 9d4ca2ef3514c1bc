//! Handing out prekeys. Implements spec/19-keyserver.md §19.6.4.
//!
//! ```text
//! account with its devices ─▶ decide ─▶ bodies ─▶ counters of devices        fetch by fetch, in the caller's transaction
//! ```
//! Invariants: a key is handed out by moving its device's counter, in the transaction that read the counter. Counters move last:
//! a fetch that is answered with an error has changed nothing. The body of a key that was handed out stays until the device's
//! next upload sweeps it away, so that a fetch writes one small row for each device and nothing else. The one-time keys that are
//! handed out together are neighbours.
//! Here SQLite is called directly and not through another thread: a fetch reads ten rows, and each that crosses costs more
//! than finding it.
use rusqlite::{Connection, Error, Row, Statement};
use waxwing_wire::id::{AccountId, DeviceId};

use super::{
    found::{Bytes, Found, FoundBundle, Piece},
    number::{AccountRow, DeviceRow, Slot},
};
use crate::store::{BundlesError, Take, Unavailable};

/// Whose bundles, and whether keys are used up for them.
pub(super) struct Wanted {
    pub(super) account: AccountId,
    /// Empty: all.
    pub(super) devices: Vec<DeviceId>,
    pub(super) take: Take,
}

/// What fetches are made of, prepared once for a connection.
pub(super) struct Statements<'c> {
    account: Statement<'c>,
    advance: Statement<'c>,
    advance_all: Statement<'c>,
    bodies: Statement<'c>,
}

struct Account {
    row: AccountRow,
    is_final: bool,
    recovery_key: [u8; 32],
    statement: Piece,
    manifest: Piece,
    /// Ascending by id.
    devices: Vec<Device>,
}

/// A device as it stands before a fetch.
struct Device {
    row: DeviceRow,
    id: DeviceId,
    signed: Option<Piece>,
    has_last_resort: bool,
    one_time: (i64, i64),
    kyber: (i64, i64),
}

/// Which keys of a device a fetch gets.
struct Plan {
    row: DeviceRow,
    device: DeviceId,
    signed: Piece,
    one_time: Option<i64>,
    /// None: the last resort.
    kyber: Option<i64>,
    /// Where its counters stand after that.
    next: (i64, i64),
}

/// What a fetch gets.
struct Plans {
    each: Vec<Plan>,
    /// A key of either kind from every device of the account.
    are_alike: bool,
}

impl<'c> Statements<'c> {
    pub(super) fn prepare(connection: &'c Connection) -> Result<Self, Error> {
        Ok(Self {
            account: connection.prepare(ACCOUNT)?,
            advance: connection.prepare(ADVANCE)?,
            advance_all: connection.prepare(ADVANCE_ALL)?,
            bodies: connection.prepare(BODIES)?,
        })
    }

    /// Decides and reads a fetch within the caller's transaction.
    pub(super) fn fetch(&mut self, wanted: &Wanted) -> Result<Result<Found, BundlesError>, Error> {
        let mut bytes = Bytes::default();
        let Some(account) = self.account(&wanted.account, &mut bytes)? else { return Ok(Err(BundlesError::NoAccount)) };
        if account.is_final {
            return Ok(Err(BundlesError::Deleted));
        }
        let Account { row, recovery_key, statement, manifest, devices, .. } = account;
        let Some(plans) = Plans::of(devices, wanted) else { return Ok(Err(BundlesError::NoPrekeys)) };
        let mut bundles = Vec::with_capacity(plans.each.len());
        for plan in &plans.each {
            let Some(bundle) = self.bundle(plan, &mut bytes)? else {
                // Damage: nobody is handed half a bundle.
                tracing::error!("a prekey that should be there is not");
                return Ok(Err(BundlesError::Unavailable(Unavailable)));
            };
            bundles.push(bundle);
        }
        self.advance(row, &plans)?;
        Ok(Ok(Found { recovery_key, statement, manifest, bundles, bytes }))
    }

    fn account(&mut self, account: &AccountId, bytes: &mut Bytes) -> Result<Option<Account>, Error> {
        let mut rows = self.account.query([account.as_bytes().as_slice()])?;
        let mut found = None;
        while let Some(row) = rows.next()? {
            let account = match &mut found {
                Some(account) => account,
                none => none.insert(Account::read(row, bytes)?),
            };
            account.devices.extend(Device::read(row, bytes)?);
        }
        if let Some(Account { devices, .. }) = &mut found {
            devices.sort_unstable_by_key(|device| device.id);
        }
        Ok(found)
    }

    fn advance(&mut self, account: AccountRow, plans: &Plans) -> Result<(), Error> {
        if plans.are_alike {
            self.advance_all.execute([account.first_device(), account.last_device()])?;
            return Ok(());
        }
        for plan in plans.each.iter().filter(|plan| plan.one_time.is_some() || plan.kyber.is_some()) {
            let (one_time, kyber) = plan.next;
            self.advance.execute([plan.row.0, one_time, kyber])?;
        }
        Ok(())
    }

    /// None: a body is missing.
    fn bundle(&mut self, plan: &Plan, bytes: &mut Bytes) -> Result<Option<FoundBundle>, Error> {
        let Plan { row, device, signed, one_time, kyber, .. } = *plan;
        let place = one_time.map(|counter| row.prekey(Slot::OneTime(counter)));
        let kyber_place = row.prekey(kyber.map_or(Slot::LastResort, Slot::Kyber));
        let (one_time, kyber_body) = match place {
            // Neighbours, as they are unless one kind ran out before the other.
            Some(place) if place.saturating_add(1) == kyber_place => self.bodies(place, kyber_place, bytes)?,
            Some(place) => (self.bodies(place, place, bytes)?.0, self.bodies(kyber_place, kyber_place, bytes)?.0),
            None => (None, self.bodies(kyber_place, kyber_place, bytes)?.0),
        };
        if one_time.is_some() != place.is_some() {
            return Ok(None);
        }
        let last_resort = kyber.is_none();
        Ok(kyber_body.map(|kyber| FoundBundle { device, signed, one_time, kyber, last_resort }))
    }

    /// The bodies of a place or of two neighbours.
    fn bodies(&mut self, first: i64, last: i64, bytes: &mut Bytes) -> Result<(Option<Piece>, Option<Piece>), Error> {
        let mut rows = self.bodies.query([first, last])?;
        let (mut one, mut other) = (None, None);
        while let Some(row) = rows.next()? {
            let place: i64 = row.get(0)?;
            *(if place == first { &mut one } else { &mut other }) = Some(bytes.add(row, 1)?);
        }
        Ok((one, other))
    }
}

impl Account {
    /// Without its devices, each of which has a row of its own.
    fn read(row: &Row<'_>, bytes: &mut Bytes) -> Result<Self, Error> {
        Ok(Self {
            row: AccountRow(row.get(0)?),
            is_final: row.get(1)?,
            recovery_key: row.get(2)?,
            statement: bytes.add(row, 3)?,
            manifest: bytes.add(row, 4)?,
            devices: Vec::with_capacity(USUAL_DEVICES),
        })
    }
}

impl Device {
    /// None: the account has none.
    fn read(row: &Row<'_>, bytes: &mut Bytes) -> Result<Option<Self>, Error> {
        let Some(number) = row.get(5)? else { return Ok(None) };
        let id: i64 = row.get(6)?;
        let known = u32::try_from(id).ok().and_then(|id| DeviceId::try_from(id).ok());
        Ok(Some(Self {
            row: DeviceRow(number),
            id: known.ok_or(Error::IntegralValueOutOfRange(6, id))?,
            signed: bytes.add_some(row, 7)?,
            has_last_resort: row.get(8)?,
            one_time: (row.get(9)?, row.get(10)?),
            kyber: (row.get(11)?, row.get(12)?),
        }))
    }

    /// None: it has not uploaded what a bundle needs.
    fn plan(self, take: Take) -> Option<Plan> {
        let left = |(next, end): (i64, i64)| Some(next).filter(|next| take == Take::OneTime && *next < end);
        let (one_time, kyber) = (left(self.one_time), left(self.kyber));
        let signed = self.signed.filter(|_| kyber.is_some() || self.has_last_resort)?;
        let after = |taken: Option<i64>, next: i64| taken.map_or(next, |counter| counter.saturating_add(1));
        let next = (after(one_time, self.one_time.0), after(kyber, self.kyber.0));
        Some(Plan { row: self.row, device: self.id, signed, one_time, kyber, next })
    }
}

impl Plans {
    /// None: a device that is wanted is not listed, or none has what a bundle needs.
    fn of(mut devices: Vec<Device>, wanted: &Wanted) -> Option<Self> {
        let listed = devices.len();
        if wanted.devices.iter().any(|asked| !devices.iter().any(|device| device.id == *asked)) {
            return None;
        }
        devices.retain(|device| wanted.devices.is_empty() || wanted.devices.contains(&device.id));
        let each: Vec<_> = devices.into_iter().filter_map(|device| device.plan(wanted.take)).collect();
        let are_alike = each.len() == listed && each.iter().all(|plan| plan.one_time.is_some() && plan.kyber.is_some());
        Some(Self { each, are_alike }).filter(|plans| !plans.each.is_empty())
    }
}

/// As many as people have.
const USUAL_DEVICES: usize = 4;

/// A row for each device; one without, if there are none.
const ACCOUNT: &str = "SELECT account.number, account.final, account.recovery_key, statement.body, manifest.body, \
     device.number, device.id, signed_prekey.body, device.last_resort IS NOT NULL, one_time_next, one_time_end, kyber_next, \
     kyber_end FROM account \
     JOIN statement ON statement.account = account.number AND statement.generation = account.generation \
     JOIN manifest ON manifest.number = account.manifest \
     LEFT JOIN device ON device.number BETWEEN account.number * 16 AND account.number * 16 + 15 \
     LEFT JOIN signed_prekey ON signed_prekey.device = device.number WHERE account.id = ?";

const ADVANCE: &str = "UPDATE device SET one_time_next = ?2, kyber_next = ?3 WHERE number = ?1";

/// For all devices of an account alike. `OR FAIL`, because an error undoes the whole transaction anyway: by default, SQLite copies
/// the pages that such a statement changes, so as to undo it alone.
const ADVANCE_ALL: &str = "UPDATE OR FAIL device SET one_time_next = one_time_next + 1, kyber_next = kyber_next + 1 \
     WHERE number BETWEEN ? AND ?";

const BODIES: &str = "SELECT number, body FROM prekey WHERE number BETWEEN ? AND ?";
