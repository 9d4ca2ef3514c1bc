//! Reads everything and checks every rule that stored things obey. Implements `verify` of spec/19-keyserver.md §19.9.
//!
//! Invariants: findings say where, by row, and never whose.
use sqlx::{Connection as _, SqliteConnection};
use waxwing_wire::{
    history,
    id::{AccountId, DeviceId},
    keys::ServerPublicKey,
    keyserver::{AccountObjects, History, VerifiedAccount},
    listing::ListingIn,
    manifest::Manifest,
    name::Name,
    prekey::{PrekeyIn, PrekeyKind},
    reach::ReachRecordIn,
    time::Timestamp,
};

use super::number::{AccountRow, Columns as _, DeviceRow, KIND_KYBER, KIND_LAST_RESORT, KIND_ONE_TIME};
use crate::store::Finding;

pub(super) async fn everything(
    connection: &mut SqliteConnection,
    server: &ServerPublicKey,
) -> Result<Vec<Finding>, sqlx::Error> {
    let mut snapshot = connection.begin().await?;
    let mut findings = Findings(Vec::new());
    let integrity = sqlx::query("PRAGMA integrity_check").fetch_all(&mut *snapshot).await?;
    for row in &integrity {
        let said = row.text(0)?;
        if said != "ok" {
            findings.add("file", 0, said);
        }
    }
    let mut after = 0;
    loop {
        let rows = sqlx::query(ACCOUNTS).bind(after).fetch_all(&mut *snapshot).await?;
        let Some(last) = rows.last() else { break };
        after = last.number(0)?;
        for row in &rows {
            let number = AccountRow(row.number(0)?);
            let objects =
                AccountObjects { recovery_key: row.fixed(2)?, statement: row.bytes(3)?, manifest: row.bytes(4)? };
            match objects.verify(&row.account_id(1)?, LATE) {
                Err(error) => findings.add("account", number.0, error.to_string()),
                Ok(account) => one(&mut snapshot, number, row.account_id(1)?, &account, server, &mut findings).await?,
            }
        }
    }
    for (place, what, query) in STRAYS {
        for row in sqlx::query(*query).fetch_all(&mut *snapshot).await? {
            findings.add(place, row.number(0)?, (*what).into());
        }
    }
    Ok(findings.0)
}

struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, table: &str, row: i64, what: String) {
        self.0.push(Finding { place: format!("{table} {row}"), what });
    }
}

async fn one(
    connection: &mut SqliteConnection,
    row: AccountRow,
    id: AccountId,
    account: &VerifiedAccount,
    server: &ServerPublicKey,
    findings: &mut Findings,
) -> Result<(), sqlx::Error> {
    contents(connection, row, account, findings).await?;
    let listed: Vec<_> = account.manifest.content().devices().iter().map(waxwing_wire::manifest::Device::id).collect();
    let rows =
        sqlx::query(DEVICES).bind(row.first_device()).bind(row.last_device()).fetch_all(&mut *connection).await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        let (device, id) = (DeviceRow(row.number(0)?), row.device(1)?);
        found.push(id);
        if !listed.contains(&id) {
            findings.add("device", device.0, "the manifest does not list it".into());
            continue;
        }
        prekeys(connection, row, (device, id), &account.manifest, findings).await?;
        reach(connection, (device, id), &account.manifest, findings).await?;
    }
    found.sort_unstable();
    if found != listed {
        findings.add("account", row.0, "its devices are not those of its manifest".into());
    }
    names(connection, row, id, &account.manifest, server, findings).await
}

async fn contents(
    connection: &mut SqliteConnection,
    row: AccountRow,
    account: &VerifiedAccount,
    findings: &mut Findings,
) -> Result<(), sqlx::Error> {
    let rows = sqlx::query("SELECT body FROM statement WHERE account = ? ORDER BY generation").bind(row.0);
    let statements: Result<Vec<_>, _> =
        rows.fetch_all(&mut *connection).await?.iter().map(|row| row.bytes(0)).collect();
    let rows = sqlx::query("SELECT body, content FROM manifest WHERE account = ? ORDER BY generation, sequence");
    let rows = rows.bind(row.0).fetch_all(connection).await?;
    let manifests: Result<Vec<_>, _> = rows.iter().map(|row| row.bytes(0)).collect();
    let history = History { statements: statements?, manifests: manifests?, more: false };
    let manifests = match history.verify(&account.recovery_key, LATE) {
        Ok(manifests) => manifests,
        Err(error) => {
            findings.add("account", row.0, error.to_string());
            return Ok(());
        }
    };
    for (index, manifest) in manifests.iter().enumerate() {
        if rows.get(index).map(|row| row.content(1)).transpose()? != Some(manifest.content_hash()) {
            findings.add("account", row.0, "a content's hash is not its hash".into());
        }
        let before = index.checked_sub(1).and_then(|before| manifests.get(before));
        let follows = before.is_none_or(|before| history::step(Some(before), manifest).is_ok());
        if !follows {
            findings.add("account", row.0, format!("content {index} does not follow the one before it"));
        }
    }
    if manifests.last() != Some(&account.manifest) {
        findings.add("account", row.0, "the current manifest is not the newest".into());
    }
    Ok(())
}

async fn prekeys(
    connection: &mut SqliteConnection,
    stock: &sqlx::sqlite::SqliteRow,
    (device, id): (DeviceRow, DeviceId),
    manifest: &Manifest,
    findings: &mut Findings,
) -> Result<(), sqlx::Error> {
    let rows = sqlx::query("SELECT number, id, body FROM prekey WHERE number BETWEEN ? AND ?");
    let rows = rows.bind(device.first_prekey()).bind(device.last_prekey()).fetch_all(connection).await?;
    let (mut one_time, mut kyber) = (0_i64, 0_i64);
    for row in &rows {
        let number = row.number(0)?;
        let kind = match number & 3 {
            KIND_ONE_TIME => PrekeyKind::OneTimeX25519,
            KIND_KYBER => PrekeyKind::OneTimeKyber1024,
            KIND_LAST_RESORT => PrekeyKind::LastResortKyber1024,
            _ => PrekeyKind::SignedX25519,
        };
        let alive = |next: i64, end: i64| {
            let ahead = (number >> 2).wrapping_sub(next) & super::number::COUNTER_MASK;
            i64::from(ahead < end.saturating_sub(next))
        };
        match kind {
            PrekeyKind::OneTimeX25519 => one_time = one_time.saturating_add(alive(stock.number(4)?, stock.number(5)?)),
            PrekeyKind::OneTimeKyber1024 => kyber = kyber.saturating_add(alive(stock.number(6)?, stock.number(7)?)),
            PrekeyKind::LastResortKyber1024 if stock.maybe_small(3)? == Some(row.small(1)?) => {}
            _ => findings.add("prekey", number, "it is not the one that its device names".into()),
        }
        prekey(("prekey", number), &row.bytes(2)?, (kind, row.small(1)?, id), manifest, findings);
    }
    let signed: Option<Vec<u8>> = sqlx::Row::try_get(stock, 8)?;
    match (stock.maybe_small(2)?, signed) {
        (None, None) => {}
        (Some(signed), Some(body)) => {
            let place = (PrekeyKind::SignedX25519, signed, id);
            prekey(("signed prekey of device", device.0), &body, place, manifest, findings);
        }
        _ => findings.add("device", device.0, "its signed prekey is not the one that it names".into()),
    }
    let counted =
        (stock.number(5)?.saturating_sub(stock.number(4)?), stock.number(7)?.saturating_sub(stock.number(6)?));
    if counted != (one_time, kyber) {
        findings.add("device", device.0, "one-time keys are missing".into());
    }
    Ok(())
}

fn prekey(
    (table, row): (&str, i64),
    body: &[u8],
    place: (PrekeyKind, u32, DeviceId),
    manifest: &Manifest,
    findings: &mut Findings,
) {
    match PrekeyIn::decode(body).and_then(|prekey| prekey.verify(manifest)) {
        Err(error) => findings.add(table, row, error.to_string()),
        Ok(prekey) => {
            let facts = prekey.facts();
            if (facts.kind, facts.id, prekey.signer().device) != place {
                findings.add(table, row, "it stands in another's place".into());
            }
        }
    }
}

async fn reach(
    connection: &mut SqliteConnection,
    (device, id): (DeviceRow, DeviceId),
    manifest: &Manifest,
    findings: &mut Findings,
) -> Result<(), sqlx::Error> {
    let rows = sqlx::query("SELECT reach_key, number, body FROM reach WHERE device = ?").bind(device.0);
    for row in rows.fetch_all(connection).await? {
        let record = ReachRecordIn::decode(&row.bytes(2)?).and_then(|record| record.verify(manifest));
        match record {
            Err(error) => findings.add("reach of device", device.0, error.to_string()),
            Ok(record) => {
                let place = (record.signer().device, record.reach_key(), record.number());
                if place != (id, row.small(0)?, row.small(1)?) {
                    findings.add("reach of device", device.0, "it stands in another's place".into());
                }
            }
        }
    }
    Ok(())
}

async fn names(
    connection: &mut SqliteConnection,
    account: AccountRow,
    id: AccountId,
    manifest: &Manifest,
    server: &ServerPublicKey,
    findings: &mut Findings,
) -> Result<(), sqlx::Error> {
    let rows = sqlx::query("SELECT name, skeleton, listing FROM name WHERE account = ?").bind(account.0);
    for row in rows.fetch_all(connection).await? {
        let Ok(name) = row.text(0)?.parse::<Name>() else {
            findings.add("a name of account", account.0, "it is no name".into());
            continue;
        };
        if name.skeleton().as_str() != row.text(1)? {
            findings.add("a name of account", account.0, "it has another skeleton".into());
        }
        let listing: Option<Vec<u8>> = sqlx::Row::try_get(&row, 2)?;
        let Some(listing) = listing else { continue };
        let listing = ListingIn::decode(&listing).and_then(|listing| listing.verify(&name, server, manifest));
        if listing.is_ok_and(|listing| listing.signer().account == id) {
            continue;
        }
        findings.add("a listing of account", account.0, "it does not verify".into());
    }
    Ok(())
}

/// What was stored was not from the future when it came.
const LATE: Timestamp = Timestamp(u64::MAX);

const ACCOUNTS: &str = "SELECT account.number, account.id, account.recovery_key, statement.body, manifest.body FROM account \
     LEFT JOIN statement ON statement.account = account.number AND statement.generation = account.generation \
     LEFT JOIN manifest ON manifest.number = account.manifest \
     WHERE account.number > ? ORDER BY account.number LIMIT 100";

const DEVICES: &str = "SELECT number, id, signed, last_resort, one_time_next, one_time_end, kyber_next, kyber_end, \
     signed_prekey.body FROM device LEFT JOIN signed_prekey ON signed_prekey.device = number WHERE number BETWEEN ? AND ?";

/// Rows that hang from nothing, and ids that were forgotten.
const STRAYS: &[(&str, &str, &str)] = &[
    (
        "prekey",
        "its device is not there",
        "SELECT number FROM prekey WHERE NOT EXISTS (SELECT 1 FROM device WHERE device.number = prekey.number >> 26)",
    ),
    (
        "prekey",
        "its id is not among those used",
        "SELECT number FROM prekey WHERE NOT EXISTS (SELECT 1 FROM prekey_id WHERE prekey_id.device = prekey.number >> 26 \
             AND prekey_id.id = prekey.id AND prekey_id.space = min(prekey.number & 3, 2))",
    ),
    (
        "device",
        "its signed prekey's id is not among those used",
        "SELECT number FROM device WHERE signed IS NOT NULL AND NOT EXISTS (SELECT 1 FROM prekey_id \
             WHERE prekey_id.device = device.number AND prekey_id.id = device.signed AND prekey_id.space = 0)",
    ),
    (
        "device",
        "its account is not there",
        "SELECT number FROM device WHERE NOT EXISTS (SELECT 1 FROM account WHERE account.number = device.number >> 4)",
    ),
    (
        "signed_prekey of device",
        "its device is not there",
        "SELECT device FROM signed_prekey WHERE NOT EXISTS (SELECT 1 FROM device WHERE device.number = signed_prekey.device)",
    ),
    (
        "prekey_id of device",
        "its device is not there",
        "SELECT DISTINCT prekey_id.device FROM prekey_id \
             WHERE NOT EXISTS (SELECT 1 FROM device WHERE device.number = prekey_id.device)",
    ),
    (
        "reach of device",
        "its device is not there",
        "SELECT DISTINCT reach.device FROM reach \
             WHERE NOT EXISTS (SELECT 1 FROM device WHERE device.number = reach.device)",
    ),
    (
        "manifest",
        "its account is not there",
        "SELECT number FROM manifest WHERE NOT EXISTS (SELECT 1 FROM account WHERE account.number = manifest.account)",
    ),
    (
        "change",
        "it does not follow the one before it",
        "SELECT number FROM (SELECT number, at, row_number() OVER (ORDER BY number) AS place, \
             lag(at) OVER (ORDER BY number) AS before FROM change) WHERE number <> place OR at < before",
    ),
    (
        "invitation",
        "it hangs below none",
        "SELECT one.number FROM invitation AS one WHERE one.below IS NOT NULL \
             AND NOT EXISTS (SELECT 1 FROM invitation WHERE invitation.number = one.below)",
    ),
];
