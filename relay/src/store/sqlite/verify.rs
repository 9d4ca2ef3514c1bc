//! Reads everything and compares it with itself and with memory, beside the store's work. Implements `verify` of spec/17-relay.md §17.19.4.
//!
//! ```text
//! memory ──▶ snapshot of the file ──▶ memory again         in memory both times, and written: must be in the file
//!                    └─ in the file, and not in memory afterwards ──▶ what waits to be deleted is deleted ──▶ still there: a leak
//! ```
//! Invariants: findings say where, by this store's numbers, and never whose; nothing is changed.
use std::collections::HashMap;

use futures_util::TryStreamExt as _;
use sqlx::{Connection as _, Executor as _, Row as _, SqliteConnection, sqlite::SqliteRow};
use waxwing_wire::{
    id::RegisterId,
    padding::{Envelope, EnvelopeHeader, SharedPart},
    relay::{RegisterEntry, VersionHash},
};

use super::{SqliteStore, rows, statements::check};
use crate::{
    ledger::Usage,
    store::{
        Unavailable,
        disk::{Disk as _, Urgency},
        lock,
        mailbox::Mailbox,
        mailboxes::identity,
    },
};

/// Something stored that breaks a rule. Safe to log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// The table, and the number of the row's key.
    pub place: String,
    /// What is wrong there.
    pub what: String,
}

impl SqliteStore {
    /// Checks the file and what is in it: SQLite's own structure, each envelope's bytes against its hash, size and body, the chain of each
    /// register, rows that hang from nothing, each ledger's counts against what it holds, and what it holds against the rows. Reads every byte of
    /// the store.
    ///
    /// # Errors
    /// [`Unavailable`]: the file cannot be read, with the reason in the log.
    pub async fn verify(&self) -> Result<Vec<Finding>, Unavailable> {
        let checked = self.check().await.map_err(|error| {
            tracing::error!(%error, "the store could not be read");
            Unavailable
        });
        let (mut findings, strays) = checked?;
        if !strays.envelopes.is_empty() || !strays.bodies.is_empty() {
            self.swept().await?;
            let leaks = self.leaks(&strays, &mut findings).await;
            leaks.map_err(|_| Unavailable)?;
        }
        self.leaked_files(&strays, &mut findings).await?;
        Ok(findings.0)
    }

    async fn check(&self) -> Result<(Findings, Strays), sqlx::Error> {
        let mut findings = Findings::default();
        let before = self.held(&mut findings);
        // Files of the rows that are read stay, and what is written meanwhile only makes them longer.
        let _hold = self.shared.disk.files.hold();
        let mut connection = self.reading().await?;
        let mut snapshot = connection.begin().await?;
        // The snapshot is of this read.
        for row in snapshot.fetch_all(check::INTEGRITY).await? {
            let said: String = row.try_get(0)?;
            if said != "ok" {
                findings.add("file", 0, said);
            }
        }
        // Whatever does not count was found before.
        let after = self.held(&mut Findings::default());
        let (mut strays, rows) = envelopes(&mut snapshot, &after, &mut findings).await?;
        for (place, held) in &before {
            if held.written && after.contains_key(place) && !rows.contains_key(place) {
                findings.add("envelope", *place, format!("mailbox {} has it, and it is not there", held.row.mailbox));
            }
        }
        registers(&mut snapshot, &mut findings).await?;
        strays.files = self.files(&mut snapshot, &mut findings).await?;
        for (table, what, query) in check::STRAYS {
            for row in snapshot.fetch_all(*query).await? {
                findings.add(table, unsigned(&row, 0)?, (*what).into());
            }
        }
        drop(snapshot);
        connection.close().await?;
        Ok((findings, strays))
    }

    /// What memory says, by place.
    fn held(&self, findings: &mut Findings) -> HashMap<u64, Known> {
        let mut all = HashMap::new();
        // These first: one that is there a moment later is among the others then.
        let arriving: Vec<_> = lock(&self.shared.arriving).values().cloned().collect();
        for mailbox in arriving {
            known(&mailbox, Written::Perhaps, &mut all);
        }
        self.shared.directory.each_live(|mailbox| {
            let (counted, used) = known(mailbox, Written::UnlessPending, &mut all);
            if counted != used {
                findings.add("mailbox", mailbox.number, "its ledger does not count what it holds".into());
            }
        });
        all
    }

    /// Waits until nothing waits to be deleted. More comes meanwhile; what waited before is gone.
    async fn swept(&self) -> Result<(), Unavailable> {
        for _ in 0..MOST_SWEEPS {
            self.shared.disk.forget(Vec::new(), Urgency::Now).await?;
            if self.shared.disk.queue.owes_nothing() {
                break;
            }
        }
        // Behind the transaction that took the last of it.
        self.shared.disk.forget(Vec::new(), Urgency::Now).await
    }

    /// Each blob's file has what its row says. Numbers of files without a row: made or removed just now, or nobody's.
    async fn files(&self, snapshot: &mut SqliteConnection, findings: &mut Findings) -> Result<Vec<u64>, sqlx::Error> {
        let rows = rows::blobs(snapshot).await?;
        let lengths = self
            .shared
            .disk
            .files
            .lengths()
            .await
            .map_err(|Unavailable| sqlx::Error::Io(std::io::Error::other("the folder of blobs cannot be read")))?;
        let (mut known, mut strays) = (HashMap::new(), Vec::new());
        for (number, length) in lengths {
            match number {
                Some(number) if rows.binary_search_by_key(&number, |(number, _)| *number).is_ok() => {
                    known.insert(number, length);
                }
                Some(number) => strays.push(number),
                None => findings.add("blob", 0, "there is a file that has no blob's name".into()),
            }
        }
        for (number, bytes) in rows {
            if known.get(&number).copied().unwrap_or(0) < bytes {
                findings.add("blob", number, "its file is shorter than its chunks".into());
            }
        }
        Ok(strays)
    }

    /// Of files without a row, those that still have none in memory either, and are still there.
    async fn leaked_files(&self, strays: &Strays, findings: &mut Findings) -> Result<(), Unavailable> {
        if strays.files.is_empty() {
            return Ok(());
        }
        let files = &self.shared.disk.files;
        files.removed().await;
        let left = files.lengths().await?;
        let blobs: Vec<_> = self.shared.blobs.all().iter().map(|blob| blob.number).collect();
        for number in &strays.files {
            if left.iter().any(|(of, _)| *of == Some(*number)) && !blobs.contains(number) {
                findings.add("blob", *number, "there is a file and no such blob".into());
            }
        }
        Ok(())
    }

    async fn leaks(&self, strays: &Strays, findings: &mut Findings) -> Result<(), sqlx::Error> {
        let mut connection = self.reading().await?;
        let kinds = [
            ("envelope", "no mailbox has it", check::ENVELOPES_STILL, &strays.envelopes),
            ("body", "no envelope has it", check::BODIES_STILL, &strays.bodies),
        ];
        for (table, what, query, places) in kinds {
            for places in places.chunks(AT_ONCE) {
                let places: Vec<_> = places.iter().map(u64::to_string).collect();
                let rows = sqlx::query(query).bind(format!("[{}]", places.join(",")));
                for row in rows.fetch_all(&mut connection).await? {
                    findings.add(table, unsigned(&row, 0)?, what.into());
                }
            }
        }
        connection.close().await
    }
}

/// Whether what a ledger holds is in the file.
#[derive(Clone, Copy)]
enum Written {
    /// It is, unless it is pending.
    UnlessPending,
    /// The mailbox is being imported: nobody was promised anything.
    Perhaps,
}

/// Adds what a mailbox holds to `all`; what that is in all, and what its ledger says that it is.
fn known(mailbox: &Mailbox, written: Written, all: &mut HashMap<u64, Known>) -> (Usage, Usage) {
    let inner = mailbox.lock();
    let mut counted = Usage::default();
    for held in inner.ledger.held_after(0) {
        counted.add(held.size);
        let (size, body) = (rows::size_number(held.size), held.place.saturating_sub(held.back.into()));
        let row = Row { mailbox: mailbox.number, sequence: held.sequence, body, size };
        let written = match written {
            Written::UnlessPending => inner.pending(held.sequence).is_none(),
            Written::Perhaps => false,
        };
        all.insert(held.place, Known { row, written });
    }
    (counted, inner.ledger.usage())
}

/// An envelope's row, as far as memory has it.
#[derive(Clone, Copy, Eq, PartialEq)]
struct Row {
    mailbox: u64,
    sequence: u64,
    body: u64,
    size: u8,
}

/// What memory says of an envelope.
struct Known {
    row: Row,
    /// On stable storage, as far as memory has heard.
    written: bool,
}

/// Places in the file that nobody refers to: leaks, or about to be deleted.
#[derive(Default)]
struct Strays {
    envelopes: Vec<u64>,
    bodies: Vec<u64>,
    files: Vec<u64>,
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, table: &str, number: u64, what: String) {
        self.0.push(Finding { place: format!("{table} {number}"), what });
    }
}

/// Each envelope of the file alone and beside what memory says; what memory does not know; and the bodies of all of them, by place.
async fn envelopes(
    snapshot: &mut SqliteConnection,
    after: &HashMap<u64, Known>,
    findings: &mut Findings,
) -> Result<(Strays, HashMap<u64, u64>), sqlx::Error> {
    let (mut strays, mut bodies) = (Strays::default(), HashMap::new());
    let mut rows = snapshot.fetch(check::ENVELOPES);
    while let Some(row) = rows.try_next().await? {
        let place = unsigned(&row, 0)?;
        let size: u8 = row.try_get(3)?;
        let found = Row { mailbox: unsigned(&row, 1)?, sequence: unsigned(&row, 2)?, body: unsigned(&row, 4)?, size };
        bodies.insert(place, found.body);
        if let Err(what) = whole(&row, size) {
            findings.add("envelope", place, what.into());
        }
        match after.get(&place) {
            Some(held) if held.row != found => findings.add("envelope", place, "memory says otherwise".into()),
            Some(_) => {}
            None => strays.envelopes.push(place),
        }
    }
    drop(rows);
    let mut used: Vec<_> = bodies.values().copied().collect();
    used.sort_unstable();
    let mut rows = snapshot.fetch(check::BODIES);
    while let Some(row) = rows.try_next().await? {
        let place = unsigned(&row, 0)?;
        if used.binary_search(&place).is_err() {
            strays.bodies.push(place);
        }
    }
    Ok((strays, bodies))
}

/// Whether an envelope's bytes are those that were put.
fn whole(row: &SqliteRow, size: u8) -> Result<(), &'static str> {
    let damaged = |_| "a column is damaged";
    let bytes: Option<Vec<u8>> = row.try_get(7).map_err(damaged)?;
    let bytes = bytes.ok_or("its body is not there")?;
    let no_envelope = "it has no envelope's length";
    let header: Option<&[u8]> = row.try_get(6).map_err(damaged)?;
    let envelope = match header {
        None => Envelope::new(bytes).map_err(|_| no_envelope)?,
        Some(header) => {
            let header = header.try_into().map_err(|_| no_envelope)?;
            Envelope::of_parts(&EnvelopeHeader::from_bytes(header), &SharedPart::new(bytes).map_err(|_| no_envelope)?)
        }
    };
    if rows::size_number(envelope.size()) != size {
        return Err("it has another size");
    }
    let stored: &[u8] = row.try_get(5).map_err(damaged)?;
    if identity(&envelope.hash()) != stored { Err("its hash is another") } else { Ok(()) }
}

/// The chain of each register.
async fn registers(snapshot: &mut SqliteConnection, findings: &mut Findings) -> Result<(), sqlx::Error> {
    let mut rows = snapshot.fetch(check::VERSIONS);
    let mut newest: Option<(u64, u64, VersionHash)> = None;
    while let Some(row) = rows.try_next().await? {
        let (register, version) = (unsigned(&row, 0)?, unsigned(&row, 1)?);
        let Some((before, hash)) = link(&row, version) else {
            findings.add("register", register, format!("version {version} is not what its hash says"));
            continue;
        };
        if let Some((of, last, expected)) = newest
            && of == register
            && (last.checked_add(1) != Some(version) || expected != before)
        {
            findings.add("register", register, format!("version {version} does not follow the one before it"));
        }
        newest = Some((register, version, hash));
    }
    Ok(())
}

/// The hashes before and after a version; none if they do not fit it.
fn link(row: &SqliteRow, version: u64) -> Option<(VersionHash, VersionHash)> {
    let kind = rows::entry_kind_of_number(row.try_get(3).ok()?)?;
    let hash = |column| Some(VersionHash::from_bytes(row.try_get::<&[u8], _>(column).ok()?.try_into().ok()?));
    let (before, after) = (hash(4)?, hash(5)?);
    let id = RegisterId::from_bytes(row.try_get::<&[u8], _>(2).ok()?.try_into().ok()?);
    let entry = RegisterEntry::new(kind, row.try_get(6).ok()?)?;
    (before.next(&id, version, &entry) == after).then_some((before, after))
}

fn unsigned(row: &SqliteRow, column: usize) -> Result<u64, sqlx::Error> {
    u64::try_from(row.try_get::<i64, _>(column)?).map_err(|error| sqlx::Error::Decode(error.into()))
}

const MOST_SWEEPS: u32 = 10_000;
const AT_ONCE: usize = 1_000;
