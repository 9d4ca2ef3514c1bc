//! What stands in which column. Implements spec/17-relay.md §17.7.
use std::collections::BTreeMap;

use sqlx::{
    Arguments as _, Encode, Executor as _, Row as _, SqlSafeStr as _, SqlStr, Type,
    sqlite::{Sqlite, SqliteArguments, SqliteConnection},
};
use waxwing_wire::{
    padding::EnvelopeSize,
    relay::{EntryKind, LaneKind, LaneNumber},
    sealed::ChunkSize,
};

use super::statements;
use crate::{
    ledger::{LaneChange, LaneRow},
    store::{
        blobs::{self, Recorded},
        disk::{Change, Closed, Content, Insert},
        mailbox::Mailbox,
        mailboxes::identity,
        registers::{Verifiers, Version},
    },
};

/// A statement with its values.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) text: SqlStr,
    pub(super) arguments: SqliteArguments,
}

/// Binds values one after another.
struct Binding(Result<SqliteArguments, sqlx::Error>);

impl Binding {
    fn new() -> Self {
        Self(Ok(SqliteArguments::default()))
    }

    fn bind<'q>(mut self, value: impl Encode<'q, Sqlite> + Type<Sqlite>) -> Self {
        if let Ok(arguments) = &mut self.0
            && let Err(error) = arguments.add(value)
        {
            self.0 = Err(sqlx::Error::Encode(error));
        }
        self
    }

    fn number(self, number: u64) -> Self {
        match i64::try_from(number) {
            Ok(number) => self.bind(number),
            Err(error) => Self(Err(sqlx::Error::Encode(error.into()))),
        }
    }

    fn to(self, text: &'static str) -> Result<Bound, sqlx::Error> {
        Ok(Bound { text: text.into_sql_str(), arguments: self.0? })
    }
}

/// The statements of a change, in their order.
pub(super) fn of_change(change: &Change) -> Result<Vec<Bound>, sqlx::Error> {
    let bind = Binding::new;
    match change {
        Change::Create { mailbox, invite } => {
            let mut all = of_mailbox(mailbox)?;
            if let Some(invite) = invite {
                all.push(bind().number(invite.0).to(statements::SPEND_INVITE)?);
            }
            Ok(all)
        }
        Change::Import { mailbox, next_lane, lanes } => {
            let mut all = of_mailbox(mailbox)?;
            all.push(bind().bind(*next_lane).number(mailbox.number).to(statements::NEXT_LANE)?);
            for lane in lanes {
                all.push(of_lane(mailbox.number, lane)?);
            }
            Ok(all)
        }
        Change::Lanes { mailbox, change } => of_lanes(*mailbox, change),
        Change::Remove { mailbox, closed } => {
            let mut all = vec![
                bind().number(*mailbox).to(statements::REMOVE_MAILBOX)?,
                bind().number(*mailbox).to(statements::REMOVE_LANES)?,
            ];
            if let Some(closed) = closed {
                all.push(of_closed(closed)?);
            }
            Ok(all)
        }
        Change::Close(closed) => Ok(vec![of_closed(closed)?]),
        Change::ForgetClosed { mailbox } => {
            Ok(vec![bind().bind(mailbox.as_bytes().as_slice()).to(statements::FORGET_CLOSED)?])
        }
        Change::CreateRegister { register, version, invite } => {
            let Verifiers { write, read, seal } = &register.verifiers;
            let row = bind().number(register.number).bind(register.id.as_bytes().as_slice());
            let row = row.bind(write.as_bytes().as_slice()).bind(read.as_bytes().as_slice());
            let row = row.bind(seal.as_bytes().as_slice()).bind(register.first.as_bytes().as_slice());
            let mut all = vec![row.to(statements::CREATE_REGISTER)?, of_version(version)?];
            if let Some(invite) = invite {
                all.push(bind().number(invite.0).to(statements::SPEND_INVITE)?);
            }
            Ok(all)
        }
        Change::WriteRegister { version } => {
            let evict = bind().number(version.register).number(version.keep_from).to(statements::EVICT)?;
            Ok(vec![of_version(version)?, evict])
        }
        Change::DeleteRegister { register } => Ok(vec![
            bind().number(*register).to(statements::DELETE_REGISTER)?,
            bind().number(*register).to(statements::DELETE_VERSIONS)?,
        ]),
        Change::CreateBlob { blob, invite } => {
            let (state, blobs::Verifiers { write, read }) = (blob.state(), &blob.verifiers);
            let row = bind().number(blob.number).bind(blob.id.as_bytes().as_slice());
            let row = row.bind(write.as_bytes().as_slice()).bind(read.as_bytes().as_slice());
            let row = row.bind(chunk_number(blob.chunk)).bind(blob.count).bind(state.written);
            let mut all = vec![row.number(state.ends.as_millis()).to(statements::CREATE_BLOB)?];
            if let Some(invite) = invite {
                all.push(bind().number(invite.0).to(statements::SPEND_INVITE)?);
            }
            Ok(all)
        }
        Change::RecordBlob(Recorded { blob, written, ends }) => {
            let row = bind().bind(*written).number(ends.as_millis()).number(*blob);
            Ok(vec![row.to(statements::RECORD_BLOB)?])
        }
        Change::DeleteBlob { blob } => Ok(vec![bind().number(*blob).to(statements::DELETE_BLOB)?]),
        Change::Mint { id, hash, below } => {
            let below = below.map(|below| i64::try_from(below.0).unwrap_or(i64::MAX));
            Ok(vec![bind().number(id.0).bind(hash.as_slice()).bind(below).to(statements::MINT)?])
        }
        Change::Revoke { tree } => {
            let numbers: Vec<_> = tree.iter().map(|id| id.0.to_string()).collect();
            Ok(vec![bind().bind(format!("[{}]", numbers.join(","))).to(statements::REVOKE)?])
        }
    }
}

/// A new row, in place of what was known of a closed one.
fn of_mailbox(mailbox: &Mailbox) -> Result<Vec<Bound>, sqlx::Error> {
    let row = Binding::new().number(mailbox.number).bind(mailbox.owner_key.as_slice());
    let row = row.bind(mailbox.close_hash.as_slice()).number(mailbox.born).to(statements::CREATE_MAILBOX)?;
    let forget = Binding::new().bind(mailbox.id.as_bytes().as_slice()).to(statements::FORGET_CLOSED)?;
    Ok(vec![forget, row])
}

fn of_closed(Closed { mailbox, close_hash, until }: &Closed) -> Result<Bound, sqlx::Error> {
    let row = Binding::new().bind(mailbox.as_bytes().as_slice()).bind(close_hash.as_slice());
    row.number(until.as_millis()).to(statements::CLOSE)
}

fn of_version(version: &Version) -> Result<Bound, sqlx::Error> {
    let row = Binding::new().number(version.register).number(version.version);
    let row = row.bind(entry_kind_number(version.entry.kind())).bind(version.before.as_bytes().as_slice());
    row.bind(version.hash.as_bytes().as_slice()).bind(version.entry.sealed()).to(statements::WRITE_REGISTER)
}

fn of_lanes(mailbox: u64, change: &LaneChange) -> Result<Vec<Bound>, sqlx::Error> {
    let LaneChange { answer: _, next, added, ends, gone } = change;
    let bind = Binding::new;
    let mut all = vec![bind().bind(*next).number(mailbox).to(statements::NEXT_LANE)?];
    if let Some((LaneNumber(lane), ends)) = ends {
        all.push(bind().number(ends.as_millis()).number(mailbox).bind(*lane).to(statements::END_LANE)?);
    }
    if let Some(added) = added {
        all.push(of_lane(mailbox, added)?);
    }
    for LaneNumber(lane) in gone {
        all.push(bind().number(mailbox).bind(*lane).to(statements::REMOVE_LANE)?);
    }
    Ok(all)
}

fn of_lane(mailbox: u64, lane: &LaneRow) -> Result<Bound, sqlx::Error> {
    let LaneRow { number, kind, lineage, hash, ends, admitted } = lane;
    let row = Binding::new().number(mailbox).bind(number.0).bind(kind_number(*kind)).bind(lineage.pool.number());
    let row = row.bind(lineage.parent.map(|parent| parent.0)).bind(lineage.halvings);
    let row = row.bind(hash.as_bytes().as_slice());
    let ends = ends.map(|ends| i64::try_from(ends.as_millis()).unwrap_or(i64::MAX));
    row.bind(ends).bind(*admitted).to(statements::ADD_LANE)
}

/// What introduction tokens have admitted with these envelopes.
pub(super) fn of_tokens(inserts: &[(u64, &Insert)]) -> Result<Vec<Bound>, sqlx::Error> {
    let mut admitted = BTreeMap::new();
    for (_, insert) in inserts {
        if let Some(count) = insert.admitted {
            admitted.insert((insert.mailbox.number, insert.lane.0), count);
        }
    }
    let bound = |((mailbox, lane), count): ((u64, u32), u32)| {
        Binding::new().bind(count).number(mailbox).bind(lane).to(statements::TOKEN_ADMITTED)
    };
    admitted.into_iter().map(bound).collect()
}

pub(super) fn bind_body(arguments: &mut SqliteArguments, place: u64, bytes: &[u8]) -> Result<(), sqlx::Error> {
    number(arguments, place)?;
    add(arguments, bytes)
}

pub(super) fn bind_envelope(arguments: &mut SqliteArguments, place: u64, insert: &Insert) -> Result<(), sqlx::Error> {
    number(arguments, place)?;
    number(arguments, insert.mailbox.number)?;
    number(arguments, insert.sequence)?;
    add(arguments, insert.lane.0)?;
    add(arguments, insert.pool.number())?;
    add(arguments, size_number(insert.content.size()))?;
    number(arguments, insert.ends.as_millis())?;
    add(arguments, insert.delivery.as_bytes().as_slice())?;
    add(arguments, identity(&insert.hash).as_slice())?;
    match &insert.content {
        Content::Whole(_) => {
            add(arguments, None::<&[u8]>)?;
            number(arguments, place)
        }
        Content::Part { header, body, .. } => {
            add(arguments, header.as_bytes().as_slice())?;
            number(arguments, *body)
        }
    }
}

/// Leaves so many values out.
pub(super) fn bind_nothing(arguments: &mut SqliteArguments, count: usize) -> Result<(), sqlx::Error> {
    for _ in 0..count {
        add(arguments, None::<i64>)?;
    }
    Ok(())
}

pub(super) const fn kind_number(kind: LaneKind) -> u8 {
    match kind {
        LaneKind::Contacts => 1,
        LaneKind::Groups => 2,
        LaneKind::Own => 3,
        LaneKind::Introduction => 4,
        LaneKind::Split => 5,
        LaneKind::Strangers => 6,
    }
}

pub(super) fn kind_of_number(number: u8) -> Option<LaneKind> {
    const ALL: [LaneKind; 5] =
        [LaneKind::Contacts, LaneKind::Groups, LaneKind::Own, LaneKind::Introduction, LaneKind::Split];
    ALL.into_iter().find(|kind| kind_number(*kind) == number)
}

pub(super) const fn entry_kind_number(kind: EntryKind) -> u8 {
    match kind {
        EntryKind::Change => 1,
        EntryKind::Snapshot => 2,
        EntryKind::Last => 3,
    }
}

pub(super) fn entry_kind_of_number(number: u8) -> Option<EntryKind> {
    [EntryKind::Change, EntryKind::Snapshot, EntryKind::Last]
        .into_iter()
        .find(|kind| entry_kind_number(*kind) == number)
}

/// 1 to 4, ascending, as on the wire.
pub(super) fn chunk_number(chunk: ChunkSize) -> u8 {
    let index = ChunkSize::ALL.into_iter().position(|one| one == chunk).unwrap_or_default();
    u8::try_from(index).unwrap_or_default().saturating_add(1)
}

pub(super) fn chunk_of_number(number: u8) -> Option<ChunkSize> {
    ChunkSize::ALL.get(usize::from(number).checked_sub(1)?).copied()
}

/// 1 to 6, ascending.
pub(super) fn size_number(size: EnvelopeSize) -> u8 {
    let index = EnvelopeSize::ALL.into_iter().position(|one| one == size).unwrap_or_default();
    u8::try_from(index).unwrap_or_default().saturating_add(1)
}

pub(super) fn size_of_number(number: u8) -> Option<EnvelopeSize> {
    EnvelopeSize::ALL.get(usize::from(number).checked_sub(1)?).copied()
}

fn number(arguments: &mut SqliteArguments, number: u64) -> Result<(), sqlx::Error> {
    let number = i64::try_from(number).map_err(|error| sqlx::Error::Encode(error.into()))?;
    add(arguments, number)
}

fn add<'q>(arguments: &mut SqliteArguments, value: impl Encode<'q, Sqlite> + Type<Sqlite>) -> Result<(), sqlx::Error> {
    arguments.add(value).map_err(sqlx::Error::Encode)
}

/// The number of each blob, ascending, and the bytes of its chunks.
pub(super) async fn blobs(connection: &mut SqliteConnection) -> Result<Vec<(u64, u64)>, sqlx::Error> {
    let rows = connection.fetch_all(statements::check::BLOBS).await?;
    let parsed = rows.iter().map(|row| {
        let unsigned = |column| {
            let number = u64::try_from(row.try_get::<i64, _>(column)?);
            number.map_err(|error| sqlx::Error::Decode(error.into()))
        };
        let chunk = chunk_of_number(row.try_get(1)?).ok_or_else(|| sqlx::Error::Decode("no chunk size".into()))?;
        Ok((unsigned(0)?, u64::from(chunk.bytes()).saturating_mul(unsigned(2)?)))
    });
    parsed.collect()
}
