//! Reading a mailbox's file, whoever wrote it.
use std::{
    collections::HashSet,
    io::{self, Read},
};

use sha2::{Digest as _, Sha256};
use waxwing_wire::{
    id::{DeliveryId, MailboxId},
    padding::{Envelope, EnvelopeSize},
    relay::LaneNumber,
    time::Timestamp,
};

use super::{
    BLOCKED, CLOSED, END, FileError, Head, LIVE, LiveHead, MORE, MOST_LANES, NAME, Parcel, VERSION,
    lanes::{self, SIZE},
};
use crate::ledger::{LaneRow, Pool, Quota, Usage};

/// Reads one file, front to back; every rule of spec §17.25.2 has been looked at by the end of it. Memory: one envelope, and 16 bytes for each that
/// was read.
#[derive(Debug)]
pub struct Reader<R> {
    input: Hashed<R>,
    most: Quota,
    used: Usage,
    /// Of a mailbox that is live: what its envelopes must fit.
    live: Option<Rules>,
    ended: bool,
}

#[derive(Debug)]
struct Rules {
    newest: u64,
    next_lane: u32,
    lanes: Vec<LaneRow>,
    last: u64,
    deliveries: HashSet<[u8; 16]>,
}

impl<R: Read> Reader<R> {
    /// Reads the head of a file. A mailbox with more in it than `most` is not read.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn open(input: R, most: Quota) -> Result<(Head, Self), FileError> {
        let mut input = Hashed { input, digest: Sha256::new() };
        if input.bytes::<16>().map_err(foreign)? != *NAME {
            return Err(FileError::Foreign);
        }
        let version = u32::from_be_bytes(input.bytes()?);
        if version != VERSION {
            return Err(FileError::Version(version));
        }
        let head = match input.bytes()? {
            [LIVE] => Head::Live(live(&mut input)?),
            [BLOCKED] => Head::Blocked(MailboxId::from_bytes(input.bytes()?)),
            [CLOSED] => Head::Closed {
                mailbox: MailboxId::from_bytes(input.bytes()?),
                close_hash: input.bytes()?,
                until: Timestamp(u64::from_be_bytes(input.bytes()?)),
            },
            _ => return Err(FileError::Rule("a mailbox is in no state")),
        };
        let live = match &head {
            Head::Live(LiveHead { newest, next_lane, lanes, .. }) => Some(Rules {
                newest: *newest,
                next_lane: *next_lane,
                lanes: lanes.clone(),
                last: 0,
                deliveries: HashSet::new(),
            }),
            Head::Blocked(_) | Head::Closed { .. } => None,
        };
        Ok((head, Self { input, most, used: Usage::default(), live, ended: false }))
    }

    /// The next envelope; none when the file has ended and its digest holds.
    ///
    /// # Errors
    /// [`FileError`]; then nothing of the file is to be believed.
    #[allow(clippy::should_implement_trait, reason = "an iterator's errors can be overlooked")]
    pub fn next(&mut self) -> Result<Option<Parcel>, FileError> {
        if self.ended {
            return Ok(None);
        }
        let Some(rules) = &mut self.live else { return self.end() };
        match self.input.bytes()? {
            [END] => self.end(),
            [MORE] => {
                let label = Label::read(&mut self.input)?;
                rules.check(&label)?;
                self.used.add(label.size);
                if self.used.envelopes > self.most.envelopes || self.used.bytes > self.most.bytes {
                    return Err(FileError::Quota);
                }
                let mut bytes = vec![0; label.size.bytes()];
                self.input.fill(&mut bytes)?;
                let envelope = Envelope::new(bytes).map_err(|_| FileError::Rule(SIZE_OF_NONE))?;
                let Label { sequence, lane, pool, size: _, ends, delivery } = label;
                Ok(Some(Parcel { sequence, lane, pool, ends, delivery, envelope }))
            }
            _ => Err(FileError::Rule("what follows is no envelope")),
        }
    }

    fn end(&mut self) -> Result<Option<Parcel>, FileError> {
        let digest = <[u8; 32]>::from(self.input.digest.clone().finalize());
        if self.input.bytes::<32>()? != digest {
            return Err(FileError::Damaged);
        }
        match self.input.input.read(&mut [0]) {
            Ok(0) => {
                self.ended = true;
                Ok(None)
            }
            Ok(_) => Err(FileError::Length),
            Err(error) => Err(FileError::Disk(error)),
        }
    }
}

fn live(input: &mut Hashed<impl Read>) -> Result<LiveHead, FileError> {
    let (owner_key, close_hash) = (input.bytes()?, input.bytes()?);
    let (newest, next_lane) = (u64::from_be_bytes(input.bytes()?), u32::from_be_bytes(input.bytes()?));
    let [count] = input.bytes()?;
    if usize::from(count) > MOST_LANES {
        return Err(FileError::Rule("there are too many lanes"));
    }
    let mut rows = Vec::with_capacity(MOST_LANES);
    for _ in 0..count {
        rows.push(lanes::decode(&input.bytes::<SIZE>()?)?);
    }
    if next_lane == 0 {
        return Err(FileError::Rule("the strangers' lane has a number"));
    }
    lanes::check(&rows, next_lane)?;
    Ok(LiveHead { owner_key, close_hash, newest, next_lane, lanes: rows })
}

/// What stands before an envelope's bytes.
struct Label {
    sequence: u64,
    lane: LaneNumber,
    pool: Pool,
    size: EnvelopeSize,
    ends: Timestamp,
    delivery: DeliveryId,
}

impl Label {
    fn read(input: &mut Hashed<impl Read>) -> Result<Self, FileError> {
        let sequence = u64::from_be_bytes(input.bytes()?);
        let lane = LaneNumber(u32::from_be_bytes(input.bytes()?));
        let [pool, size] = input.bytes()?;
        Ok(Self {
            sequence,
            lane,
            pool: Pool::of_number(pool).ok_or(FileError::Rule("an envelope counts against no share"))?,
            size: size_of_number(size).ok_or(FileError::Rule(SIZE_OF_NONE))?,
            ends: Timestamp(u64::from_be_bytes(input.bytes()?)),
            delivery: DeliveryId::from_bytes(input.bytes()?),
        })
    }
}

impl Rules {
    fn check(&mut self, label: &Label) -> Result<(), FileError> {
        if label.sequence <= self.last || label.sequence > self.newest {
            return Err(FileError::Rule("the numbers of envelopes do not ascend"));
        }
        self.last = label.sequence;
        // A lane that has ended is gone, and what came by it counts on against the share.
        let stands = self.lanes.iter().find(|lane| lane.number == label.lane).map(|lane| lane.lineage.pool);
        let stands = if label.lane == LaneNumber::STRANGERS { Some(Pool::Strangers) } else { stands };
        if label.lane.0 >= self.next_lane || stands.is_some_and(|pool| pool != label.pool) {
            return Err(FileError::Rule("an envelope came by another's lane"));
        }
        if !self.deliveries.insert(*label.delivery.as_bytes()) {
            return Err(FileError::Rule("two envelopes have one delivery id"));
        }
        Ok(())
    }
}

/// What was read is in the digest.
#[derive(Debug)]
struct Hashed<R> {
    input: R,
    digest: Sha256,
}

impl<R: Read> Hashed<R> {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], FileError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), FileError> {
        self.input.read_exact(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => FileError::Length,
            _ => FileError::Disk(error),
        })?;
        self.digest.update(bytes);
        Ok(())
    }
}

/// Too short for a name is foreign, too.
fn foreign(error: FileError) -> FileError {
    if let FileError::Length = error { FileError::Foreign } else { error }
}

fn size_of_number(number: u8) -> Option<EnvelopeSize> {
    EnvelopeSize::ALL.get(usize::from(number).checked_sub(1)?).copied()
}

const SIZE_OF_NONE: &str = "an envelope has no envelope's size";
