//! Names and listings. Implements spec/19-keyserver.md §19.4.
//!
//! Invariants: the skeleton is the primary key, so that two names that look alike cannot stand beside each other.
use sqlx::SqliteConnection;
use waxwing_wire::{listing::Listing, name::Name, signer::Signer, time::Timestamp};

use super::{
    Done, account, change, invitation,
    number::{AccountRow, Columns as _, DeviceRow, damaged, millis},
};
use crate::store::{ChangeKind, ClaimError, ListingError, NewName, OwnError, REST};

pub(super) async fn claim(connection: &mut SqliteConnection, claim: NewName, now: Timestamp) -> Done<(), ClaimError> {
    let NewName { name, account, most, invite } = claim;
    let alive = sqlx::query("SELECT number FROM account WHERE id = ? AND final = 0");
    let alive = alive.bind(account.as_bytes().as_slice()).fetch_optional(&mut *connection).await?;
    let Some(account) = alive.map(|row| row.number(0)).transpose()?.map(AccountRow) else {
        return Ok(Err(ClaimError::NoAccount));
    };
    let held = sqlx::query(HELD).bind(name.skeleton().as_str().to_owned()).bind(millis(now));
    let held = held.fetch_optional(&mut *connection).await?;
    let was_its_own = match &held {
        None => false,
        Some(row) if row.number(1)? != account.0 || row.text(0)? != name.as_str() => {
            return Ok(Err(ClaimError::Taken));
        }
        Some(row) if row.maybe_number(2)?.is_none() => return Ok(Ok(())),
        Some(_) => true,
    };
    let holds = sqlx::query(HOLDS).bind(account.0).bind(millis(now)).fetch_one(&mut *connection).await?;
    if !was_its_own && holds.number(0)? >= i64::from(most) {
        return Ok(Err(ClaimError::Quota));
    }
    if let Some(hash) = invite
        && !invitation::spend(connection, &hash).await?
    {
        return Ok(Err(ClaimError::Invite));
    }
    let skeleton = name.skeleton().as_str().to_owned();
    if was_its_own {
        let wake = sqlx::query("UPDATE name SET rests_until = NULL WHERE skeleton = ?");
        wake.bind(skeleton).execute(&mut *connection).await?;
    } else {
        let insert = sqlx::query("INSERT OR REPLACE INTO name (skeleton, name, account) VALUES (?, ?, ?)");
        insert.bind(skeleton).bind(name.to_string()).bind(account.0).execute(&mut *connection).await?;
    }
    change::log(connection, account, &ChangeKind::NameClaimed(name), now).await?;
    Ok(Ok(()))
}

pub(super) async fn release(
    connection: &mut SqliteConnection,
    by: Signer,
    name: Name,
    now: Timestamp,
) -> Done<(), OwnError> {
    let (account, _) = match own(connection, by, &name).await? {
        Ok(rows) => rows,
        Err(error) => return Ok(Err(error)),
    };
    let rest = sqlx::query("UPDATE name SET rests_until = ?, listing = NULL, listing_device = NULL WHERE skeleton = ?");
    let rest = rest.bind(millis(now.saturating_add(REST))).bind(name.skeleton().as_str().to_owned());
    rest.execute(&mut *connection).await?;
    change::log(connection, account, &ChangeKind::NameReleased(name), now).await?;
    Ok(Ok(()))
}

/// A listing in the parts that a row has: what it opens is a secret of its readers, and stays inside the bytes.
pub(super) struct NewListing {
    name: Name,
    signer: Signer,
    number: u32,
    bytes: Vec<u8>,
}

impl NewListing {
    pub(super) fn of(listing: &Listing) -> Self {
        let (name, signer) = (*listing.name(), listing.signer());
        Self { name, signer, number: listing.number(), bytes: listing.encode() }
    }
}

pub(super) async fn list(connection: &mut SqliteConnection, listing: NewListing) -> Done<(), ListingError> {
    let NewListing { name, signer, number, bytes } = listing;
    let device = match own(connection, signer, &name).await? {
        Ok((_, device)) => device,
        Err(error) => return Ok(Err(crate::store::check::listing_error(error))),
    };
    let show = sqlx::query(SHOW).bind(name.skeleton().as_str().to_owned()).bind(bytes).bind(device.0);
    let show = show.bind(i64::from(signer.generation.0)).bind(i64::from(number)).execute(connection).await?;
    Ok(if show.rows_affected() == 1 { Ok(()) } else { Err(ListingError::Stale) })
}

pub(super) async fn unlist(connection: &mut SqliteConnection, by: Signer, name: Name) -> Done<(), OwnError> {
    if let Err(error) = own(connection, by, &name).await? {
        return Ok(Err(error));
    }
    let hide = sqlx::query("UPDATE name SET listing = NULL, listing_device = NULL WHERE skeleton = ?");
    hide.bind(name.skeleton().as_str().to_owned()).execute(connection).await?;
    Ok(Ok(()))
}

pub(super) async fn lookup(connection: &mut SqliteConnection, name: &Name) -> Result<Option<Vec<u8>>, sqlx::Error> {
    let query = sqlx::query("SELECT listing FROM name WHERE skeleton = ? AND name = ?");
    let query = query.bind(name.skeleton().as_str().to_owned()).bind(name.to_string());
    let listing: Option<Option<_>> =
        query.fetch_optional(connection).await?.map(|row| sqlx::Row::try_get(&row, 0)).transpose()?;
    Ok(listing.flatten())
}

pub(super) async fn expire<E>(connection: &mut SqliteConnection, now: Timestamp) -> Done<(), E> {
    sqlx::query("DELETE FROM name WHERE rests_until <= ?").bind(millis(now)).execute(connection).await?;
    Ok(Ok(()))
}

/// The names of a deleted account rest.
pub(super) async fn rest_all(
    connection: &mut SqliteConnection,
    account: AccountRow,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let query = sqlx::query("SELECT name FROM name WHERE account = ? AND rests_until IS NULL ORDER BY name");
    let rows = query.bind(account.0).fetch_all(&mut *connection).await?;
    for row in &rows {
        let name = row.text(0)?.parse().map_err(|error| damaged(0, error))?;
        change::log(connection, account, &ChangeKind::NameReleased(name), now).await?;
    }
    let rest = sqlx::query("UPDATE name SET rests_until = ? WHERE account = ? AND rests_until IS NULL");
    rest.bind(millis(now.saturating_add(REST))).bind(account.0).execute(connection).await?;
    Ok(())
}

/// Takes away the listings that a device signed.
pub(super) async fn void_listings(connection: &mut SqliteConnection, device: DeviceRow) -> Result<(), sqlx::Error> {
    let void = sqlx::query(
        "UPDATE name SET listing = NULL, listing_device = NULL WHERE account = ?1 >> 4 AND listing_device = ?1",
    );
    void.bind(device.0).execute(connection).await?;
    Ok(())
}

/// The rows of the asking account and device, if the name is the account's.
async fn own(connection: &mut SqliteConnection, by: Signer, name: &Name) -> Done<(AccountRow, DeviceRow), OwnError> {
    let Some((account, device)) = account::listed(connection, by).await? else {
        return Ok(Err(OwnError::NotListed));
    };
    let query =
        sqlx::query("SELECT 1 FROM name WHERE skeleton = ? AND name = ? AND account = ? AND rests_until IS NULL");
    let query = query.bind(name.skeleton().as_str().to_owned()).bind(name.to_string()).bind(account.0);
    let has = query.fetch_optional(connection).await?.is_some();
    Ok(if has { Ok((account, device)) } else { Err(OwnError::NotYours) })
}

const HELD: &str = "SELECT name, account, rests_until FROM name \
     WHERE skeleton = ?1 AND (rests_until IS NULL OR rests_until > ?2)";

const HOLDS: &str = "SELECT count(*) FROM name WHERE account = ?1 AND (rests_until IS NULL OR rests_until > ?2)";

const SHOW: &str = "UPDATE name \
     SET listing = ?2, listing_device = ?3, newest_generation = ?4, newest_number = ?5 \
     WHERE skeleton = ?1 AND (newest_generation IS NULL OR (newest_generation, newest_number) < (?4, ?5))";
