//! Accounts, manifests, histories. Implements spec/19-keyserver.md §19.2.
use sqlx::SqliteConnection;
use waxwing_wire::{
    id::{AccountId, DeviceId, Generation, Sequence},
    keyserver::AccountObjects,
    manifest::Manifest,
    signer::Signer,
    time::Timestamp,
};

use super::{
    Done, change, invitation, name,
    number::{AccountRow, Columns as _, DeviceRow, json},
};
use crate::store::{
    ChangeKind, CreateError, MAX_CONTENTS, NewAccount, NewManifest, PublishError, StoredAccount, StoredHistory,
    StoredManifest,
};

pub(super) async fn create(
    connection: &mut SqliteConnection,
    account: NewAccount,
    now: Timestamp,
) -> Done<(), CreateError> {
    let NewAccount { recovery_key, statement, manifest, invite } = account;
    let id = recovery_key.account_id();
    if let Some(known) = read(connection, &id).await? {
        return Ok(if known.objects.manifest == manifest.encode() { Ok(()) } else { Err(CreateError::Taken) });
    }
    if let Some(hash) = invite
        && !invitation::spend(connection, &hash).await?
    {
        return Ok(Err(CreateError::Invite));
    }
    let generation = i64::from(statement.generation().0);
    let insert = sqlx::query(
        "INSERT INTO account (id, recovery_key, version, generation, final, manifest) VALUES (?, ?, 0, ?, 0, 0)",
    );
    let insert = insert.bind(id.as_bytes().as_slice()).bind(recovery_key.as_bytes().as_slice()).bind(generation);
    let row = AccountRow(insert.execute(&mut *connection).await?.last_insert_rowid());
    add_statement(connection, row, generation, statement.encode()).await?;
    make_current(connection, row, &manifest).await?;
    match_devices(connection, row, &manifest, BeforeDevices::Kept).await?;
    change::log(connection, row, &content_change(&manifest), now).await?;
    Ok(Ok(()))
}

pub(super) async fn read(
    connection: &mut SqliteConnection,
    account: &AccountId,
) -> Result<Option<StoredAccount>, sqlx::Error> {
    let row = sqlx::query(READ).bind(account.as_bytes().as_slice()).fetch_optional(connection).await?;
    let Some(row) = row else { return Ok(None) };
    let objects = AccountObjects { recovery_key: row.fixed(1)?, statement: row.bytes(2)?, manifest: row.bytes(3)? };
    Ok(Some(StoredAccount { version: row.count(0)?, objects }))
}

pub(super) async fn publish(
    connection: &mut SqliteConnection,
    step: NewManifest,
    now: Timestamp,
) -> Done<(), PublishError> {
    let NewManifest { version, statement, manifest } = step;
    let content = manifest.content();
    let known = sqlx::query(CURRENT).bind(content.account_id().as_bytes().as_slice());
    let Some(known) = known.fetch_optional(&mut *connection).await? else { return Ok(Err(PublishError::Conflict)) };
    if known.count(1)? != version {
        return Ok(Err(PublishError::Conflict));
    }
    let row = AccountRow(known.number(0)?);
    if known.content(4)? == manifest.content_hash() {
        let renew = sqlx::query("UPDATE manifest SET body = ? WHERE number = ?");
        renew.bind(manifest.encode()).bind(known.number(3)?).execute(&mut *connection).await?;
        let count = sqlx::query("UPDATE account SET version = version + 1 WHERE number = ?");
        count.bind(row.0).execute(&mut *connection).await?;
        return Ok(Ok(()));
    }
    let generation = i64::from(content.generation().0);
    if let Some(statement) = statement {
        add_statement(connection, row, generation, statement.encode()).await?;
    }
    make_current(connection, row, &manifest).await?;
    prune(connection, row).await?;
    let before = if known.number(2)? == generation { BeforeDevices::Kept } else { BeforeDevices::OfAnotherGeneration };
    match_devices(connection, row, &manifest, before).await?;
    change::log(connection, row, &content_change(&manifest), now).await?;
    if content.is_final() {
        name::rest_all(connection, row, now).await?;
    }
    Ok(Ok(()))
}

pub(super) async fn history(
    connection: &mut SqliteConnection,
    account: &AccountId,
    (generation, sequence): (Generation, Sequence),
    most: u32,
) -> Result<Option<StoredHistory>, sqlx::Error> {
    let row = sqlx::query("SELECT number FROM account WHERE id = ?").bind(account.as_bytes().as_slice());
    let Some(row) = row.fetch_optional(&mut *connection).await? else { return Ok(None) };
    let row = row.number(0)?;
    let query = sqlx::query(HISTORY).bind(row).bind(i64::from(generation.0)).bind(i64::from(sequence.0));
    let rows = query.bind(i64::from(most)).fetch_all(&mut *connection).await?;
    let manifests = rows.iter().map(|row| {
        let (generation, sequence) = (Generation(row.small(0)?), Sequence(row.small(1)?));
        Ok::<_, sqlx::Error>(StoredManifest { generation, sequence, content: row.content(2)?, bytes: row.bytes(3)? })
    });
    let manifests: Vec<_> = manifests.collect::<Result<_, _>>()?;
    let generations = json(manifests.iter().map(|manifest| i64::from(manifest.generation.0)));
    let rows = sqlx::query(STATEMENTS).bind(row).bind(generations).fetch_all(connection).await?;
    let statements = rows.iter().map(|row| Ok::<_, sqlx::Error>((Generation(row.small(0)?), row.bytes(1)?)));
    Ok(Some(StoredHistory { statements: statements.collect::<Result<_, _>>()?, manifests }))
}

/// The rows of an account and of a device that its current manifest lists; none if it does not.
pub(super) async fn listed(
    connection: &mut SqliteConnection,
    device: Signer,
) -> Result<Option<(AccountRow, DeviceRow)>, sqlx::Error> {
    let query = sqlx::query(LISTED).bind(device.account.as_bytes().as_slice()).bind(i64::from(device.generation.0));
    let row = query.bind(i64::from(device.device.value())).fetch_optional(connection).await?;
    row.map(|row| Ok((AccountRow(row.number(0)?), DeviceRow(row.number(1)?)))).transpose()
}

async fn add_statement(
    connection: &mut SqliteConnection,
    account: AccountRow,
    generation: i64,
    body: Vec<u8>,
) -> Result<(), sqlx::Error> {
    let insert = sqlx::query("INSERT OR REPLACE INTO statement (account, generation, body) VALUES (?, ?, ?)");
    insert.bind(account.0).bind(generation).bind(body).execute(connection).await?;
    Ok(())
}

async fn make_current(
    connection: &mut SqliteConnection,
    account: AccountRow,
    manifest: &Manifest,
) -> Result<(), sqlx::Error> {
    let content = manifest.content();
    let generation = i64::from(content.generation().0);
    let insert =
        sqlx::query("INSERT INTO manifest (account, generation, sequence, content, body) VALUES (?, ?, ?, ?, ?)");
    let insert = insert.bind(account.0).bind(generation).bind(i64::from(content.sequence().0));
    let insert = insert.bind(manifest.content_hash().as_bytes().as_slice()).bind(manifest.encode());
    let number = insert.execute(&mut *connection).await?.last_insert_rowid();
    let update = sqlx::query(
        "UPDATE account SET version = version + 1, generation = ?, final = ?, manifest = ? WHERE number = ?",
    );
    let update = update.bind(generation).bind(i64::from(content.is_final())).bind(number).bind(account.0);
    update.execute(connection).await?;
    Ok(())
}

/// Forgets the oldest contents beyond what is kept, and statements that nothing needs.
async fn prune(connection: &mut SqliteConnection, account: AccountRow) -> Result<(), sqlx::Error> {
    let pruned = sqlx::query(PRUNE).bind(account.0).bind(i64::from(MAX_CONTENTS)).execute(&mut *connection).await?;
    if pruned.rows_affected() > 0 {
        sqlx::query(PRUNE_STATEMENTS).bind(account.0).execute(connection).await?;
    }
    Ok(())
}

/// What the devices that stand in the store are to a new manifest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum BeforeDevices {
    Kept,
    OfAnotherGeneration,
}

/// Makes the places in the store those of the devices that `manifest` lists, each with what it has.
async fn match_devices(
    connection: &mut SqliteConnection,
    account: AccountRow,
    manifest: &Manifest,
    before: BeforeDevices,
) -> Result<(), sqlx::Error> {
    let query = sqlx::query("SELECT number, id FROM device WHERE number BETWEEN ? AND ?");
    let rows = query.bind(account.first_device()).bind(account.last_device()).fetch_all(&mut *connection).await?;
    let mut known: Vec<(DeviceRow, DeviceId)> = Vec::with_capacity(rows.len());
    for row in &rows {
        let (row, id) = (DeviceRow(row.number(0)?), row.device(1)?);
        if before == BeforeDevices::Kept && manifest.device(id).is_some() {
            known.push((row, id));
        } else {
            forget(connection, row).await?;
        }
    }
    let taken: Vec<_> = known.iter().map(|(row, _)| *row).collect();
    let listed = manifest.content().devices().iter().map(waxwing_wire::manifest::Device::id);
    let new = listed.filter(|device| !known.iter().any(|(_, id)| id == device));
    for (device, row) in new.zip(account.free(&taken)) {
        let insert = sqlx::query(
            "INSERT INTO device (number, id, one_time_next, one_time_end, kyber_next, kyber_end) VALUES (?, ?, 0, 0, 0, 0)",
        );
        insert.bind(row.0).bind(i64::from(device.value())).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Takes a device's place away, with everything in it.
async fn forget(connection: &mut SqliteConnection, device: DeviceRow) -> Result<(), sqlx::Error> {
    let prekeys = sqlx::query("DELETE FROM prekey WHERE number BETWEEN ? AND ?");
    prekeys.bind(device.first_prekey()).bind(device.last_prekey()).execute(&mut *connection).await?;
    for delete in [
        "DELETE FROM signed_prekey WHERE device = ?",
        "DELETE FROM prekey_id WHERE device = ?",
        "DELETE FROM reach WHERE device = ?",
        "DELETE FROM device WHERE number = ?",
    ] {
        sqlx::query(delete).bind(device.0).execute(&mut *connection).await?;
    }
    name::void_listings(connection, device).await
}

fn content_change(manifest: &Manifest) -> ChangeKind {
    let reference = manifest.reference();
    ChangeKind::Content { generation: reference.generation, sequence: reference.sequence, content: reference.content }
}

const READ: &str = "SELECT account.version, account.recovery_key, statement.body, manifest.body FROM account \
     JOIN statement ON statement.account = account.number AND statement.generation = account.generation \
     JOIN manifest ON manifest.number = account.manifest \
     WHERE account.id = ?";

const CURRENT: &str = "SELECT account.number, account.version, account.generation, account.manifest, manifest.content \
     FROM account JOIN manifest ON manifest.number = account.manifest WHERE account.id = ?";

const HISTORY: &str = "SELECT generation, sequence, content, body FROM manifest \
     WHERE account = ?1 AND (generation, sequence) >= (?2, ?3) ORDER BY generation, sequence LIMIT ?4";

const STATEMENTS: &str = "SELECT generation, body FROM statement \
     WHERE account = ?1 AND generation IN (SELECT value FROM json_each(?2)) ORDER BY generation";

const LISTED: &str = "SELECT account.number, device.number FROM account \
     JOIN device ON device.number BETWEEN account.number * 16 AND account.number * 16 + 15 \
     WHERE account.id = ?1 AND account.generation = ?2 AND device.id = ?3";

const PRUNE: &str = "DELETE FROM manifest WHERE number IN (SELECT number FROM manifest WHERE account = ?1 \
     ORDER BY generation DESC, sequence DESC LIMIT -1 OFFSET ?2)";

const PRUNE_STATEMENTS: &str = "DELETE FROM statement WHERE account = ?1 \
     AND generation < (SELECT min(generation) FROM manifest WHERE account = ?1)";
