//! Handing out prekeys. Implements spec/19-keyserver.md §19.6.4.
//!
//! ```text
//! account ─▶ its devices ─▶ decide ─▶ counters of devices ─▶ bodies        fetch by fetch, in the caller's transaction
//! ```
//! Invariants: a key is handed out by moving its device's counter, in the transaction that read the counter. The body of a key
//! that was handed out stays until the device's next upload sweeps it away, so that a fetch writes one small row for each
//! device and nothing else. The one-time keys that are handed out together are neighbours.
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
    devices: Statement<'c>,
    advance: Statement<'c>,
    bodies: Statement<'c>,
}

struct Account {
    row: AccountRow,
    is_final: bool,
    recovery_key: [u8; 32],
    statement: Piece,
    manifest: Piece,
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

impl<'c> Statements<'c> {
    pub(super) fn prepare(connection: &'c Connection) -> Result<Self, Error> {
        Ok(Self {
            account: connection.prepare(ACCOUNT)?,
            devices: connection.prepare(DEVICES)?,
            advance: connection.prepare(ADVANCE)?,
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
        let mut devices = self.devices(account.row, &mut bytes)?;
        if wanted.devices.iter().any(|asked| !devices.iter().any(|device| device.id == *asked)) {
            return Ok(Err(BundlesError::NoPrekeys));
        }
        devices.retain(|device| wanted.devices.is_empty() || wanted.devices.contains(&device.id));
        let plans: Vec<_> = devices.into_iter().filter_map(|device| device.plan(wanted.take)).collect();
        if plans.is_empty() {
            return Ok(Err(BundlesError::NoPrekeys));
        }
        for plan in &plans {
            self.advance(plan)?;
        }
        let mut bundles = Vec::with_capacity(plans.len());
        for plan in plans {
            let Some(bundle) = self.bundle(plan, &mut bytes)? else {
                // Damage: nobody is handed half a bundle.
                tracing::error!("a prekey that should be there is not");
                return Ok(Err(BundlesError::Unavailable(Unavailable)));
            };
            bundles.push(bundle);
        }
        let Account { recovery_key, statement, manifest, .. } = account;
        Ok(Ok(Found { recovery_key, statement, manifest, bundles, bytes }))
    }

    fn account(&mut self, account: &AccountId, bytes: &mut Bytes) -> Result<Option<Account>, Error> {
        let mut rows = self.account.query([account.as_bytes().as_slice()])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        Ok(Some(Account {
            row: AccountRow(row.get(0)?),
            is_final: row.get(1)?,
            recovery_key: row.get(2)?,
            statement: bytes.add(row, 3)?,
            manifest: bytes.add(row, 4)?,
        }))
    }

    /// Ascending by id.
    fn devices(&mut self, account: AccountRow, bytes: &mut Bytes) -> Result<Vec<Device>, Error> {
        let mut rows = self.devices.query([account.first_device(), account.last_device()])?;
        let mut devices = Vec::with_capacity(USUAL_DEVICES);
        while let Some(row) = rows.next()? {
            devices.push(Device::read(row, bytes)?);
        }
        devices.sort_unstable_by_key(|device| device.id);
        Ok(devices)
    }

    fn advance(&mut self, plan: &Plan) -> Result<(), Error> {
        if plan.one_time.is_some() || plan.kyber.is_some() {
            let (one_time, kyber) = plan.next;
            self.advance.execute([plan.row.0, one_time, kyber])?;
        }
        Ok(())
    }

    /// None: a body is missing.
    fn bundle(&mut self, plan: Plan, bytes: &mut Bytes) -> Result<Option<FoundBundle>, Error> {
        let Plan { row, device, signed, one_time, kyber, .. } = plan;
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

impl Device {
    fn read(row: &Row<'_>, bytes: &mut Bytes) -> Result<Self, Error> {
        let id: i64 = row.get(1)?;
        let known = u32::try_from(id).ok().and_then(|id| DeviceId::try_from(id).ok());
        Ok(Self {
            row: DeviceRow(row.get(0)?),
            id: known.ok_or(Error::IntegralValueOutOfRange(1, id))?,
            signed: bytes.add_some(row, 2)?,
            has_last_resort: row.get(3)?,
            one_time: (row.get(4)?, row.get(5)?),
            kyber: (row.get(6)?, row.get(7)?),
        })
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

/// As many as people have.
const USUAL_DEVICES: usize = 4;

const ACCOUNT: &str = "SELECT account.number, account.final, account.recovery_key, statement.body, manifest.body FROM account \
     JOIN statement ON statement.account = account.number AND statement.generation = account.generation \
     JOIN manifest ON manifest.number = account.manifest WHERE account.id = ?";

const DEVICES: &str = "SELECT number, id, signed_prekey.body, last_resort IS NOT NULL, one_time_next, one_time_end, kyber_next, \
     kyber_end FROM device LEFT JOIN signed_prekey ON signed_prekey.device = number WHERE number BETWEEN ? AND ?";

const ADVANCE: &str = "UPDATE device SET one_time_next = ?2, kyber_next = ?3 WHERE number = ?1";

const BODIES: &str = "SELECT number, body FROM prekey WHERE number BETWEEN ? AND ?";
