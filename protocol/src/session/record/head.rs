//! The head: version ‖ next serial[4] ‖ count of current[1] ‖ [serial[4]] ‖ count of archived[1] ‖ serials[4], newest
//! first (spec §5.9).

use alloc::vec::Vec;

use super::super::MAX_ARCHIVED;
use super::super::delta::{RecordKey, Write};
use super::super::error::RecordError;
use super::HEAD;
use super::codec::{Reader, Writer};

pub(super) struct Head {
    pub(super) next_serial: u32,
    pub(super) current: Option<u32>,
    pub(super) archived: Vec<u32>,
}

pub(super) fn write(next_serial: u32, current: Option<u32>, archived: impl Iterator<Item = u32>) -> Write {
    let archived: Vec<u32> = archived.take(MAX_ARCHIVED).collect();
    let mut writer = Writer::new(192);
    writer.u32(next_serial);
    writer.u8(current.is_some().into());
    if let Some(serial) = current {
        writer.u32(serial);
    }
    writer.u8(u8::try_from(archived.len()).unwrap_or(u8::MAX));
    for serial in archived {
        writer.u32(serial);
    }
    Write { key: key(), value: Some(writer.finish()) }
}

pub(super) fn key() -> RecordKey {
    RecordKey::from_parts(HEAD, &[])
}

pub(super) fn read(record: &[u8]) -> Result<Head, RecordError> {
    let mut reader = Reader::new(record)?;
    let next_serial = reader.u32()?;
    let current = match reader.u8()? {
        0 => None,
        1 => Some(reader.u32()?),
        _ => return Err(RecordError::Malformed),
    };
    let count = usize::from(reader.u8()?);
    if count > MAX_ARCHIVED {
        return Err(RecordError::Malformed);
    }
    let archived = (0..count).map(|_| reader.u32()).collect::<Result<Vec<_>, _>>()?;
    reader.finish()?;
    let head = Head { next_serial, current, archived };
    if head.is_consistent() { Ok(head) } else { Err(RecordError::Malformed) }
}

impl Head {
    pub(super) fn serials(&self) -> impl Iterator<Item = u32> {
        self.current.iter().chain(&self.archived).copied()
    }

    /// Every serial is below the next one and stands once.
    fn is_consistent(&self) -> bool {
        let mut serials: Vec<u32> = self.serials().collect();
        let count = serials.len();
        serials.sort_unstable();
        serials.dedup();
        serials.len() == count && serials.last().is_none_or(|last| *last < self.next_serial)
    }
}
