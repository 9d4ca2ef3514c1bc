//! Writing a mailbox's file.
use std::io::{self, Write};

use sha2::{Digest as _, Sha256};
use waxwing_wire::padding::EnvelopeSize;

use super::{BLOCKED, CLOSED, END, Head, LIVE, LiveHead, MORE, NAME, Parcel, VERSION, lanes};

/// Writes one file, front to back. Without [`Self::finish`] it is none.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    digest: Sha256,
    is_live: bool,
}

impl<W: Write> Writer<W> {
    /// Writes the head.
    ///
    /// # Errors
    /// What `out` says.
    pub fn new(out: W, head: &Head) -> io::Result<Self> {
        let mut bytes = NAME.to_vec();
        bytes.extend(VERSION.to_be_bytes());
        match head {
            Head::Live(LiveHead { owner_key, close_hash, newest, next_lane, lanes }) => {
                bytes.push(LIVE);
                bytes.extend(owner_key);
                bytes.extend(close_hash);
                bytes.extend(newest.to_be_bytes());
                bytes.extend(next_lane.to_be_bytes());
                bytes.push(u8::try_from(lanes.len()).map_err(io::Error::other)?);
                lanes.iter().for_each(|lane| lanes::encode(lane, &mut bytes));
            }
            Head::Blocked(mailbox) => {
                bytes.push(BLOCKED);
                bytes.extend(mailbox.as_bytes());
            }
            Head::Closed { mailbox, close_hash, until } => {
                bytes.push(CLOSED);
                bytes.extend(mailbox.as_bytes());
                bytes.extend(close_hash);
                bytes.extend(until.as_millis().to_be_bytes());
            }
        }
        let mut writer = Self { out, digest: Sha256::new(), is_live: matches!(head, Head::Live(_)) };
        writer.all(&bytes)?;
        Ok(writer)
    }

    /// Writes the next envelope of a mailbox that is live; they come in the order of their numbers.
    ///
    /// # Errors
    /// What `out` says.
    pub fn envelope(&mut self, parcel: &Parcel) -> io::Result<()> {
        let Parcel { sequence, lane, pool, ends, delivery, envelope } = parcel;
        let mut bytes = vec![MORE];
        bytes.extend(sequence.to_be_bytes());
        bytes.extend(lane.0.to_be_bytes());
        bytes.extend([pool.number(), size_number(envelope.size())]);
        bytes.extend(ends.as_millis().to_be_bytes());
        bytes.extend(delivery.as_bytes());
        self.all(&bytes)?;
        self.all(envelope.as_bytes())
    }

    /// Writes the end and the digest, and gives `out` back, for the caller to sync.
    ///
    /// # Errors
    /// What `out` says.
    pub fn finish(mut self) -> io::Result<W> {
        if self.is_live {
            self.all(&[END])?;
        }
        let digest = self.digest.clone().finalize();
        self.out.write_all(&digest)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.digest.update(bytes);
        self.out.write_all(bytes)
    }
}

/// 1 to 6, ascending.
fn size_number(size: EnvelopeSize) -> u8 {
    let index = EnvelopeSize::ALL.into_iter().position(|one| one == size).unwrap_or_default();
    u8::try_from(index).unwrap_or_default().saturating_add(1)
}
