//! Frames on a long-lived stream. Implements spec/13-frames.md §13.1 and §13.2.
//!
//! ```text
//! stream = kind[1] ‖ frame ‖ frame ‖ …        frame = length[4] ‖ payload[length]
//! ```
//! Invariants: a length is compared with the ceiling before anything is reserved for it, and memory grows with the bytes that
//! came, never with the bytes that were announced; after an error a decoder stays at it.
//! Not here: what a payload means ([`crate::relay`], [`crate::keyserver`]), streams and their tasks (`waxwing-net`).
use alloc::vec::Vec;

use thiserror::Error;

mod admission;
mod error;
pub(crate) mod padded;

pub use admission::{Admission, InviteToken, Price, Work};
pub use error::{ErrorCode, ServerError};

/// What a stream is for: its first byte (spec §13.1).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum StreamKind {
    /// Requests, replies, live deliveries.
    Control,
    /// Deliveries that had waited, so that they do not stand before live ones.
    Backlog,
    /// Chunks of one blob: one request, its reply, and bytes without frames.
    Blob,
}

impl StreamKind {
    /// The byte.
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Self::Control => 1,
            Self::Backlog => 2,
            Self::Blob => 3,
        }
    }

    /// The kind that a byte means.
    #[must_use]
    pub const fn of_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Control),
            2 => Some(Self::Backlog),
            3 => Some(Self::Blob),
            _ => None,
        }
    }
}

/// The most bytes that a payload may have (spec §13.2).
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Ceiling(u32);

impl Ceiling {
    /// Relay, control and backlog: 1,114,112 bytes.
    pub const RELAY: Self = Self(1_114_112);
    /// The frames of a blob stream, which carry no chunk: 1,024 bytes.
    pub const BLOB: Self = Self(1_024);
    /// Key server: 262,144 bytes.
    pub const KEYSERVER: Self = Self(262_144);

    /// Bytes.
    #[must_use]
    pub const fn bytes(self) -> u32 {
        self.0
    }
}

/// Cuts a stream into frames, whatever pieces it arrives in.
#[derive(Debug)]
pub struct FrameDecoder {
    ceiling: Ceiling,
    buffer: Vec<u8>,
    /// Bytes at the beginning of `buffer` that were handed out.
    taken: usize,
    failed: Option<FrameError>,
}

impl FrameDecoder {
    /// A decoder for a stream with this ceiling.
    #[must_use]
    pub const fn new(ceiling: Ceiling) -> Self {
        Self { ceiling, buffer: Vec::new(), taken: 0, failed: None }
    }

    /// Takes the next bytes of the stream. Drain [`Self::next_frame`] before the next call: what waits here is at most one
    /// unfinished frame and these bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        self.buffer.drain(..self.taken.min(self.buffer.len()));
        self.taken = 0;
        if self.buffer.is_empty() && self.buffer.capacity() > KEPT {
            // One long frame shall not hold its memory for the life of the connection.
            self.buffer = Vec::new();
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole payload; none until more bytes came.
    ///
    /// # Errors
    /// [`FrameError`]: close the stream; nothing more comes out of it.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let waiting = self.buffer.get(self.taken..).unwrap_or_default();
        let Some((length, rest)) = waiting.split_first_chunk::<PREFIX>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length);
        if let Err(error) = self.ceiling.admits(length) {
            self.failed = Some(error);
            self.buffer = Vec::new();
            return Err(error);
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if rest.len() < length {
            return Ok(None);
        }
        let start = self.taken.saturating_add(PREFIX);
        self.taken = start.saturating_add(length);
        Ok(self.buffer.get(start..self.taken))
    }

    /// Whether [`Self::next_frame`] would give a payload.
    ///
    /// # Errors
    /// As it would.
    pub fn has_frame(&mut self) -> Result<bool, FrameError> {
        let taken = self.taken;
        let found = self.next_frame()?.is_some();
        self.taken = taken;
        Ok(found)
    }

    /// What follows the last frame: the first bytes of a chunk on a blob stream. The decoder is used up.
    #[must_use]
    pub fn into_rest(mut self) -> Vec<u8> {
        self.buffer.drain(..self.taken.min(self.buffer.len()));
        self.buffer
    }

    /// Whether the stream may end here: no frame is unfinished.
    #[must_use]
    pub fn is_between_frames(&self) -> bool {
        self.failed.is_none() && self.taken == self.buffer.len()
    }
}

/// Gathers frames into one buffer, so that one write carries many (spec §13.2).
#[derive(Debug)]
pub struct FrameEncoder {
    ceiling: Ceiling,
    buffer: Vec<u8>,
}

impl FrameEncoder {
    /// How full a buffer should be before it is written although more frames wait.
    pub const FULL: usize = 65_536;

    /// An encoder for a stream with this ceiling.
    #[must_use]
    pub const fn new(ceiling: Ceiling) -> Self {
        Self { ceiling, buffer: Vec::new() }
    }

    /// Appends a frame.
    ///
    /// # Errors
    /// [`FrameError`]: the payload is empty or above the ceiling; nothing was appended.
    pub fn push(&mut self, payload: &[u8]) -> Result<(), FrameError> {
        self.push_length(payload.len())?;
        self.buffer.extend_from_slice(payload);
        Ok(())
    }

    /// Appends the beginning of a frame whose payload is written apart, right after this.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn push_length(&mut self, payload: usize) -> Result<(), FrameError> {
        let length = u32::try_from(payload).map_err(|_| FrameError::TooLong { length: u32::MAX })?;
        self.ceiling.admits(length)?;
        self.buffer.extend_from_slice(&length.to_be_bytes());
        Ok(())
    }

    /// Whether it is time to write.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.buffer.len() >= Self::FULL
    }

    /// What is to be written.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// Takes what is to be written and keeps no memory; an encoder that rests costs nothing.
    #[must_use]
    pub fn take(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.buffer)
    }

    /// Forgets what was written and keeps a buffer of usual size.
    pub fn clear(&mut self) {
        self.buffer.clear();
        self.buffer.shrink_to(Self::FULL.saturating_mul(2));
    }
}

impl Ceiling {
    const fn admits(self, length: u32) -> Result<(), FrameError> {
        match length {
            0 => Err(FrameError::Empty),
            _ if length > self.0 => Err(FrameError::TooLong { length }),
            _ => Ok(()),
        }
    }
}

/// Why a stream was given up (spec §13.2). Safe to log.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum FrameError {
    /// A frame without a payload.
    #[error("§13.2.1: an empty frame")]
    Empty,
    /// A frame above the stream's ceiling. Nothing was reserved for it.
    #[error("§13.2.2: a frame of {length} bytes is above the ceiling")]
    TooLong {
        /// What its prefix says.
        length: u32,
    },
}

const PREFIX: usize = 4;
/// A buffer that is empty keeps at most this much memory.
const KEPT: usize = 131_072;

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn drain(decoder: &mut FrameDecoder) -> Result<Vec<Vec<u8>>, FrameError> {
        let mut frames = Vec::new();
        while let Some(frame) = decoder.next_frame()? {
            frames.push(frame.to_vec());
        }
        Ok(frames)
    }

    #[test]
    fn frames_come_out_as_they_went_in_whatever_the_pieces() {
        let payloads: Vec<Vec<u8>> = [1, 2, 3, 500, 70_000, 1].map(|length| vec![7; length]).to_vec();
        let mut encoder = FrameEncoder::new(Ceiling::RELAY);
        payloads.iter().for_each(|payload| encoder.push(payload).unwrap());
        assert!(encoder.is_full());
        for piece in [1, 3, 4, 5, 1_000, 100_000] {
            let (mut decoder, mut frames) = (FrameDecoder::new(Ceiling::RELAY), Vec::new());
            for bytes in encoder.bytes().chunks(piece) {
                decoder.feed(bytes);
                frames.extend(drain(&mut decoder).unwrap());
            }
            assert_eq!(frames, payloads, "pieces of {piece}");
            assert!(decoder.is_between_frames());
        }
        let written = encoder.bytes().to_vec();
        assert_eq!(encoder.take(), written);
        assert!(encoder.bytes().is_empty() && !encoder.is_full());
        encoder.push(&[7]).unwrap();
        encoder.clear();
        assert!(encoder.bytes().is_empty());
    }

    #[test]
    fn e5_a_length_above_the_ceiling_is_refused_at_its_fourth_byte_and_for_ever() {
        let mut decoder = FrameDecoder::new(Ceiling::BLOB);
        decoder.feed(&[0, 0, 4]);
        assert_eq!(decoder.next_frame(), Ok(None));
        decoder.feed(&[1]);
        assert_eq!(decoder.next_frame(), Err(FrameError::TooLong { length: 1_025 }));
        decoder.feed(&[0, 0, 0, 1, 7]);
        assert_eq!(decoder.next_frame(), Err(FrameError::TooLong { length: 1_025 }));
        assert!(!decoder.is_between_frames());
        let mut empty = FrameDecoder::new(Ceiling::BLOB);
        empty.feed(&[0, 0, 0, 0]);
        assert_eq!(empty.next_frame(), Err(FrameError::Empty));
        let mut encoder = FrameEncoder::new(Ceiling::BLOB);
        assert_eq!(encoder.push(&[0; 1_025]), Err(FrameError::TooLong { length: 1_025 }));
        assert_eq!(encoder.push(&[]), Err(FrameError::Empty));
        assert!(encoder.bytes().is_empty());
    }

    #[test]
    fn e5_memory_follows_what_came_not_what_was_announced() {
        let mut decoder = FrameDecoder::new(Ceiling::RELAY);
        decoder.feed(&1_114_112_u32.to_be_bytes());
        assert_eq!(decoder.next_frame(), Ok(None));
        assert!(decoder.buffer.capacity() < 64);
        decoder.feed(&vec![7; 1_114_112]);
        assert_eq!(decoder.next_frame().unwrap().map(<[u8]>::len), Some(1_114_112));
        decoder.feed(&[]);
        assert_eq!(decoder.buffer.capacity(), 0, "a long frame's memory is given back");
    }

    #[test]
    fn what_follows_the_last_frame_of_a_blob_stream_is_kept() {
        let mut decoder = FrameDecoder::new(Ceiling::BLOB);
        decoder.feed(&[0, 0, 0]);
        assert_eq!(decoder.has_frame(), Ok(false));
        decoder.feed(&[1, 9, 1, 2, 3]);
        assert_eq!(decoder.has_frame(), Ok(true), "and looking takes nothing");
        assert_eq!(decoder.next_frame(), Ok(Some(&[9][..])));
        assert_eq!(decoder.into_rest(), [1, 2, 3]);
    }
}
