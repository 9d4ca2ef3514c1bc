//! A lane in a file, and the rules that lanes of one mailbox keep (spec §17.2).
use waxwing_wire::{
    delivery::LaneHash,
    relay::{LaneKind, LaneNumber},
    time::Timestamp,
};

use super::{FileError, MOST_LANES};
use crate::ledger::{LaneRow, Lineage, Pool};

/// Bytes of a lane.
pub(super) const SIZE: usize = 55;

pub(super) fn encode(row: &LaneRow, out: &mut Vec<u8>) {
    let LaneRow { number, kind, lineage: Lineage { pool, parent, halvings }, hash, ends, admitted } = row;
    out.extend(number.0.to_be_bytes());
    out.extend([kind_number(*kind), pool.number()]);
    out.extend(parent.map_or(0, |parent| parent.0).to_be_bytes());
    out.push(*halvings);
    out.extend(hash.as_bytes());
    out.extend(ends.map_or(0, Timestamp::as_millis).to_be_bytes());
    out.extend(admitted.to_be_bytes());
}

pub(super) fn decode(bytes: &[u8; SIZE]) -> Result<LaneRow, FileError> {
    let (number, rest) = four(bytes);
    let (&[kind, pool], rest) = rest.split_first_chunk().ok_or(FileError::Length)?;
    let (parent, rest) = four(rest);
    let (&[halvings], rest) = rest.split_first_chunk().ok_or(FileError::Length)?;
    let (hash, rest) = rest.split_first_chunk().ok_or(FileError::Length)?;
    let (ends, rest) = rest.split_first_chunk().ok_or(FileError::Length)?;
    let (admitted, _) = four(rest);
    let ends = u64::from_be_bytes(*ends);
    Ok(LaneRow {
        number: LaneNumber(number),
        kind: kind_of_number(kind).ok_or(FileError::Rule("a lane is of no kind"))?,
        lineage: Lineage {
            pool: Pool::of_number(pool).ok_or(FileError::Rule("a lane has no share"))?,
            parent: (parent != 0).then_some(LaneNumber(parent)),
            halvings,
        },
        hash: LaneHash::from_bytes(*hash),
        ends: (ends != 0).then_some(Timestamp(ends)),
        admitted,
    })
}

/// What holds of the lanes of every mailbox.
pub(super) fn check(lanes: &[LaneRow], next: u32) -> Result<(), FileError> {
    if lanes.len() > MOST_LANES {
        return Err(FileError::Rule("there are too many lanes"));
    }
    let mut before = LaneNumber::STRANGERS;
    for (index, lane) in lanes.iter().enumerate() {
        if lane.number <= before || lane.number.0 >= next {
            return Err(FileError::Rule("the numbers of lanes do not ascend"));
        }
        before = lane.number;
        check_lineage(lane, lanes)?;
        let earlier = lanes.get(..index).unwrap_or_default();
        if earlier.iter().any(|other| other.hash == lane.hash) {
            return Err(FileError::Rule("two lanes have one key"));
        }
        let is_live = |one: &LaneRow| one.ends.is_none() && one.kind == lane.kind;
        if lane.kind != LaneKind::Split && is_live(lane) && earlier.iter().any(is_live) {
            return Err(FileError::Rule("an audience has two keys"));
        }
    }
    Ok(())
}

fn check_lineage(lane: &LaneRow, lanes: &[LaneRow]) -> Result<(), FileError> {
    const WRONG: FileError = FileError::Rule("a lane has another's share");
    let Lineage { pool, parent, halvings } = lane.lineage;
    let fits = match (lane.kind, parent) {
        (LaneKind::Split, Some(number)) => {
            let audience = matches!(pool, Pool::Contacts | Pool::Groups | Pool::Own);
            // What it splits may have ended and be gone.
            let parent = lanes.iter().find(|other| other.number == number).map(|parent| parent.lineage);
            let below = parent.is_none_or(|up| up.pool == pool && up.halvings.checked_add(1) == Some(halvings));
            audience && below && halvings > 0 && number < lane.number
        }
        (LaneKind::Introduction, None) => pool == Pool::Tokens && halvings == TOKENS && lane.ends.is_some(),
        (kind, None) => Pool::of(kind) == Some(pool) && halvings == 0,
        (_, Some(_)) => false,
    };
    if fits { Ok(()) } else { Err(WRONG) }
}

fn four(bytes: &[u8]) -> (u32, &[u8]) {
    bytes.split_first_chunk().map_or((0, &[]), |(number, rest)| (u32::from_be_bytes(*number), rest))
}

fn kind_number(kind: LaneKind) -> u8 {
    let index = KINDS.iter().position(|one| *one == kind).unwrap_or(KINDS.len());
    u8::try_from(index).unwrap_or(u8::MAX).saturating_add(1)
}

fn kind_of_number(number: u8) -> Option<LaneKind> {
    KINDS.get(usize::from(number).checked_sub(1)?).copied()
}

/// 1 to 5.
const KINDS: [LaneKind; 5] =
    [LaneKind::Contacts, LaneKind::Groups, LaneKind::Own, LaneKind::Introduction, LaneKind::Split];
/// An introduction token has an eighth of its pool.
const TOKENS: u8 = 3;
