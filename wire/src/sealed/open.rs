//! Reading an object, in pieces. Implements spec/12-sealed-objects.md §12.4 and §12.5.
//!
//! Invariants: only bytes of authenticated segments leave; after an error nothing more does; an object is whole only when
//! [`Opener::finish`] says so.
use alloc::vec::Vec;

use zeroize::{Zeroize, Zeroizing};

use super::{
    ObjectSecret, OpenError, Passphrase, Purpose,
    header::{Header, Place},
    size::{LENGTH, Plan},
    stream::Stream,
};

/// Opens an object whose segments are given in pieces of any size.
pub struct Opener {
    stream: Stream,
    purpose: Purpose,
    header: usize,
    /// The beginning of the next segment, still sealed.
    waiting: Vec<u8>,
    /// Content that has not been handed out yet; none before segment 0 told.
    content: Option<u64>,
    failed: Option<OpenError>,
}

impl Opener {
    /// Starts an object of `size` bytes, header included, whose header has been parsed. Compares the commitment.
    ///
    /// # Errors
    /// [`OpenError::Commitment`]; [`OpenError::TooLong`] for a size that no object has; [`OpenError::UnknownFormat`] for a
    /// passphrase object.
    pub fn new(
        header: &Header,
        secret: &ObjectSecret,
        purpose: Purpose,
        context: &[u8],
        size: u64,
    ) -> Result<Self, OpenError> {
        let plan = plan(header, size)?;
        let stream = header.unlock(secret, Place { purpose, context }, plan)?;
        Ok(Self::start(header, stream, purpose))
    }

    /// As [`Self::new`], for an object under a passphrase. Computes Argon2id with the header's parameters.
    ///
    /// # Errors
    /// As [`Self::new`]; [`OpenError::Parameters`] if the memory is not to be had.
    pub fn with_passphrase(
        header: &Header,
        passphrase: &Passphrase,
        purpose: Purpose,
        size: u64,
    ) -> Result<Self, OpenError> {
        let plan = plan(header, size)?;
        let stream = header.unlock_with_passphrase(passphrase, Place { purpose, context: &[] }, plan)?;
        Ok(Self::start(header, stream, purpose))
    }

    fn start(header: &Header, stream: Stream, purpose: Purpose) -> Self {
        Self { stream, purpose, header: header.size(), waiting: Vec::new(), content: None, failed: None }
    }

    /// Takes the next piece of the object (the header is not given again) and appends authenticated content to `out`.
    ///
    /// # Errors
    /// [`OpenError::Forged`], [`OpenError::Padding`]. What was appended by earlier calls stays authentic; the object is
    /// refused, and every further call says the same.
    pub fn update(&mut self, sealed: &[u8], out: &mut Vec<u8>) -> Result<(), OpenError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let start = out.len();
        self.feed(sealed, out).inspect_err(|error| {
            // What this call appended goes again: the caller got an error, and shall not find half an answer.
            out.get_mut(start..).unwrap_or_default().zeroize();
            out.truncate(start);
            self.failed = Some(*error);
        })
    }

    /// Says whether the object is whole.
    ///
    /// # Errors
    /// [`OpenError::Forged`]: it is cut short.
    pub fn finish(self) -> Result<(), OpenError> {
        match (self.failed, self.stream.next_segment()) {
            (Some(error), _) => Err(error),
            (None, Some(_)) => Err(OpenError::Forged),
            (None, None) => Ok(()),
        }
    }

    pub(super) fn whole(mut self, segments: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        // No more than the caller's own bytes, whatever the object claims.
        let mut out = Zeroizing::new(Vec::with_capacity(segments.len()));
        self.update(segments, &mut out)?;
        self.finish()?;
        Ok(out)
    }

    fn feed(&mut self, mut sealed: &[u8], out: &mut Vec<u8>) -> Result<(), OpenError> {
        while !sealed.is_empty() {
            let size = self.stream.next_segment().ok_or(OpenError::Forged)?;
            if self.waiting.is_empty()
                && let Some((segment, rest)) = sealed.split_at_checked(size)
            {
                self.segment(segment, out)?;
                sealed = rest;
                continue;
            }
            let some = size.saturating_sub(self.waiting.len()).min(sealed.len());
            let (piece, rest) = sealed.split_at_checked(some).ok_or(OpenError::Forged)?;
            self.waiting.extend_from_slice(piece);
            sealed = rest;
            if self.waiting.len() == size {
                let segment = core::mem::take(&mut self.waiting);
                self.segment(&segment, out)?;
                self.waiting = segment;
                self.waiting.clear();
            }
        }
        Ok(())
    }

    fn segment(&mut self, segment: &[u8], out: &mut Vec<u8>) -> Result<(), OpenError> {
        let (ciphertext, tag) = segment.split_last_chunk::<16>().ok_or(OpenError::Forged)?;
        let start = out.len();
        out.extend_from_slice(ciphertext);
        let target = out.get_mut(start..).ok_or(OpenError::Forged)?;
        self.stream.open(target, tag).map_err(|_| OpenError::Forged)?;
        if self.content.is_none() {
            let (&length, _) = target.split_first_chunk().ok_or(OpenError::Padding)?;
            self.content = Some(self.admit(u64::from_be_bytes(length))?);
            out.drain(start..start.saturating_add(length.len()));
        }
        self.keep_content(start, out)
    }

    /// The content's length, if an object of this size is the one form of a content that long.
    fn admit(&self, length: u64) -> Result<u64, OpenError> {
        let plan = Plan::for_content(self.purpose, self.header, length).map_err(|_| OpenError::Padding)?;
        if plan == *self.stream.plan() { Ok(length) } else { Err(OpenError::Padding) }
    }

    /// Cuts the zeros off what was appended from `start` on.
    fn keep_content(&mut self, start: usize, out: &mut Vec<u8>) -> Result<(), OpenError> {
        let appended = out.get(start..).unwrap_or_default();
        let left = self.content.unwrap_or_default();
        let content = usize::try_from(left).unwrap_or(usize::MAX).min(appended.len());
        let zeros = appended.get(content..).unwrap_or_default();
        if zeros.iter().fold(0, |seen, byte| seen | byte) != 0 {
            return Err(OpenError::Padding);
        }
        self.content = Some(left.saturating_sub(u64::try_from(content).unwrap_or(u64::MAX)));
        out.truncate(start.saturating_add(content));
        Ok(())
    }
}

impl core::fmt::Debug for Opener {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { stream: _, purpose, header: _, waiting: _, content: _, failed } = self;
        f.debug_struct("Opener").field("purpose", purpose).field("failed", failed).finish_non_exhaustive()
    }
}

fn plan(header: &Header, size: u64) -> Result<Plan, OpenError> {
    let header = u64::try_from(header.size()).map_err(|_| OpenError::TooLong)?;
    debug_assert!(header > LENGTH);
    Plan::of_size(header, size).ok_or(OpenError::TooLong)
}
