//! Making an object, in pieces. Implements spec/12-sealed-objects.md §12.4 and §12.5.
//!
//! Invariants: the announced length is what is sealed, or the end is an error; plaintext that waits for its segment to fill
//! is wiped.
use alloc::vec::Vec;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{
    ObjectSecret, Parameters, Passphrase, Purpose, SealError,
    header::{Header, PASSPHRASE_HEADER, Place, SECRET_HEADER},
    size::Plan,
    stream::Stream,
};

/// Seals content that is given in pieces of any size.
pub struct Sealer {
    stream: Stream,
    header: Option<Header>,
    /// The beginning of the next segment's plaintext.
    waiting: Zeroizing<Vec<u8>>,
    content: u64,
    zeros: u64,
}

/// Whether [`Sealer::finish`] is done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "call finish until it is done"]
pub enum Progress {
    /// There are more segments of padding; call again.
    More,
    /// The object is whole.
    Done,
}

impl Sealer {
    /// Starts an object that will hold exactly `length` bytes.
    ///
    /// # Errors
    /// [`SealError::TooLong`], [`SealError::Context`].
    pub fn new(
        secret: &ObjectSecret,
        purpose: Purpose,
        context: &[u8],
        length: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, SealError> {
        let plan = Plan::for_content(purpose, SECRET_HEADER, length)?;
        let (header, stream) = Header::create(secret, Place { purpose, context }, plan, rng)?;
        Ok(Self::start(header, stream, length))
    }

    /// Starts an object under a passphrase; its context is empty. Computes Argon2id.
    ///
    /// # Errors
    /// [`SealError::TooLong`]; [`SealError::Parameters`] if the memory is not to be had.
    pub fn with_passphrase(
        passphrase: &Passphrase,
        parameters: Parameters,
        purpose: Purpose,
        length: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, SealError> {
        let plan = Plan::for_content(purpose, PASSPHRASE_HEADER, length)?;
        let place = Place { purpose, context: &[] };
        let (header, stream) = Header::create_with_passphrase(passphrase, parameters, place, plan, rng)?;
        Ok(Self::start(header, stream, length))
    }

    fn start(header: Header, stream: Stream, length: u64) -> Self {
        let mut waiting = Zeroizing::new(Vec::new());
        waiting.extend_from_slice(&length.to_be_bytes());
        let zeros = stream.plan().stream().saturating_sub(super::size::LENGTH).saturating_sub(length);
        Self { stream, header: Some(header), waiting, content: length, zeros }
    }

    /// Bytes of the finished object.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.stream.plan().size
    }

    /// Takes the next piece of content and appends what became ready to `out`.
    ///
    /// # Errors
    /// [`SealError::Length`]: more than announced; nothing of this piece was taken.
    pub fn update(&mut self, content: &[u8], out: &mut Vec<u8>) -> Result<(), SealError> {
        let length = u64::try_from(content.len()).map_err(|_| SealError::Length)?;
        self.content = self.content.checked_sub(length).ok_or(SealError::Length)?;
        self.feed(content, out)
    }

    /// Ends the content and appends the padding to `out`, at most 1 MiB in one call.
    ///
    /// # Errors
    /// [`SealError::Length`]: less than announced; the object is void.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<Progress, SealError> {
        if self.content != 0 {
            return Err(SealError::Length);
        }
        for _ in 0..ROUNDS {
            if self.zeros == 0 {
                break;
            }
            let some = usize::try_from(self.zeros).map_or(ZEROS.len(), |zeros| zeros.min(ZEROS.len()));
            self.feed(ZEROS.get(..some).unwrap_or_default(), out)?;
            self.zeros = self.zeros.saturating_sub(u64::try_from(some).unwrap_or(u64::MAX));
        }
        Ok(if self.zeros == 0 { Progress::Done } else { Progress::More })
    }

    pub(super) fn whole(mut self, content: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut out = Vec::with_capacity(usize::try_from(self.size()).map_err(|_| SealError::TooLong)?);
        self.update(content, &mut out)?;
        while self.finish(&mut out)? == Progress::More {}
        Ok(out)
    }

    fn feed(&mut self, mut plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), SealError> {
        if let Some(header) = self.header.take() {
            out.extend_from_slice(&header.encode());
        }
        while let Some(room) = self.stream.next_segment().map(|segment| segment.saturating_sub(TAG)) {
            if self.waiting.is_empty()
                && let Some((segment, rest)) = plaintext.split_at_checked(room)
            {
                Self::segment(&mut self.stream, segment, out)?;
                plaintext = rest;
                continue;
            }
            let missing = room.saturating_sub(self.waiting.len());
            let some = missing.min(plaintext.len());
            let (piece, rest) = plaintext.split_at_checked(some).ok_or(SealError::Length)?;
            // At once for a whole segment, so that growing leaves no copies behind.
            self.waiting.reserve_exact(missing);
            self.waiting.extend_from_slice(piece);
            plaintext = rest;
            if self.waiting.len() < room {
                return Ok(());
            }
            Self::segment(&mut self.stream, &self.waiting, out)?;
            self.waiting.clear();
        }
        if plaintext.is_empty() { Ok(()) } else { Err(SealError::Length) }
    }

    fn segment(stream: &mut Stream, plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), SealError> {
        let start = out.len();
        out.extend_from_slice(plaintext);
        let target = out.get_mut(start..).ok_or(SealError::Length)?;
        let tag = stream.seal(target).map_err(|_| SealError::Length)?;
        out.extend_from_slice(&tag);
        Ok(())
    }
}

impl core::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { stream: _, header: _, waiting: _, content, zeros } = self;
        f.debug_struct("Sealer").field("content_left", content).field("zeros_left", zeros).finish_non_exhaustive()
    }
}

const TAG: usize = 16;
static ZEROS: [u8; 65_536] = [0; 65_536];
const ROUNDS: usize = 16;
