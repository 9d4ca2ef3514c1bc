//! How long an object is for a length of content. Implements spec/12-sealed-objects.md §12.4.
//!
//! Invariants: the size depends on the length alone, never on the content; every size fits the limit of 2^24 segments.
//! Not here: the zeros themselves ([`super::seal`], [`super::open`]).
use super::{Purpose, SealError};

/// The size of the object that holds `length` bytes of content under a secret (spec §12.4).
///
/// # Errors
/// [`SealError::TooLong`]: no object of this purpose holds so much.
pub fn sealed_size(purpose: Purpose, length: u64) -> Result<u64, SealError> {
    Plan::for_content(purpose, super::header::SECRET_HEADER, length).map(|plan| plan.size)
}

/// Into what chunks a relay stores a blob (spec §12.4, §14.8).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ChunkSize {
    /// 65,536 bytes.
    K64,
    /// 262,144 bytes.
    K256,
    /// 1,048,576 bytes.
    M1,
    /// 4,194,304 bytes.
    M4,
}

impl ChunkSize {
    /// All four, ascending.
    pub const ALL: [Self; 4] = [Self::K64, Self::K256, Self::M1, Self::M4];

    /// Bytes in a chunk.
    #[must_use]
    pub const fn bytes(self) -> u32 {
        match self {
            Self::K64 => 65_536,
            Self::K256 => 262_144,
            Self::M1 => 1_048_576,
            Self::M4 => 4_194_304,
        }
    }

    /// The chunks of a blob object of `size` bytes and their number: the inverse of the size rule.
    #[must_use]
    pub fn of_object(size: u64) -> Option<(Self, u32)> {
        let chunk = Self::for_need(size);
        let count = size.checked_div(u64::from(chunk.bytes()))?;
        let whole = count.checked_mul(u64::from(chunk.bytes()))? == size && padme(count) == count && count > 0;
        if whole { u32::try_from(count).ok().map(|count| (chunk, count)) } else { None }
    }

    fn for_need(need: u64) -> Self {
        let fits = |chunk: &Self| need.div_ceil(u64::from(chunk.bytes())) <= MOST_CHUNKS;
        Self::ALL.into_iter().find(fits).unwrap_or(Self::M4)
    }
}

/// Where the segments of one object lie.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Plan {
    header: u64,
    /// Bytes of the whole object.
    pub(super) size: u64,
    /// At least 1.
    pub(super) segments: u64,
}

impl Plan {
    /// The object that holds `length` bytes of content.
    pub(super) fn for_content(purpose: Purpose, header: usize, length: u64) -> Result<Self, SealError> {
        let header = u64::try_from(header).map_err(|_| SealError::TooLong)?;
        let bare = length.checked_add(LENGTH).and_then(|sum| sum.checked_add(header)).ok_or(SealError::TooLong)?;
        let tags = bare.div_ceil(SEGMENT.saturating_sub(TAG)).checked_mul(TAG);
        let need = tags.and_then(|tags| tags.checked_add(bare)).ok_or(SealError::TooLong)?;
        // Before rounding, so that no rounding can overflow.
        if need > MOST_BYTES {
            return Err(SealError::TooLong);
        }
        let size = Rule::of(purpose).round(need).filter(|size| *size <= MOST_BYTES).ok_or(SealError::TooLong)?;
        Self::of_size(header, size).ok_or(SealError::TooLong)
    }

    /// The object of this size, if it can hold anything.
    pub(super) fn of_size(header: u64, size: u64) -> Option<Self> {
        let plan = Self { header, size, segments: size.div_ceil(SEGMENT) };
        let fits = size <= MOST_BYTES && size >= header.checked_add(TAG)?.checked_add(LENGTH)?;
        if fits { Some(plan) } else { None }
    }

    /// Bytes of segment `index` on the wire, tag included.
    pub(super) fn segment(&self, index: u64) -> u64 {
        let whole = if self.is_last(index) { self.size.saturating_sub(index.saturating_mul(SEGMENT)) } else { SEGMENT };
        if index == 0 { whole.saturating_sub(self.header) } else { whole }
    }

    pub(super) const fn is_last(&self, index: u64) -> bool {
        index.saturating_add(1) == self.segments
    }

    /// Bytes of the plaintext stream: length, content and zeros.
    pub(super) const fn stream(&self) -> u64 {
        self.size.saturating_sub(self.header).saturating_sub(self.segments.saturating_mul(TAG))
    }
}

#[derive(Clone, Copy)]
enum Rule {
    /// Powers of two from the first to the second.
    Classes(u64, u64),
    Chunks,
    Buckets,
}

impl Rule {
    const fn of(purpose: Purpose) -> Self {
        match purpose {
            Purpose::ReachEntry => Self::Classes(1_024, 4_096),
            Purpose::Profile => Self::Classes(1_024, 16_384),
            Purpose::Change => Self::Classes(512, 16_384),
            Purpose::Snapshot => Self::Classes(4_096, 1_048_576),
            Purpose::Provisioning => Self::Classes(4_096, 65_536),
            Purpose::StoreKey => Self::Classes(256, 256),
            Purpose::Blob => Self::Chunks,
            Purpose::Backup => Self::Buckets,
        }
    }

    fn round(self, need: u64) -> Option<u64> {
        match self {
            Self::Classes(least, most) => {
                Some(need.checked_next_power_of_two()?.max(least)).filter(|size| *size <= most)
            }
            Self::Chunks => {
                let chunk = u64::from(ChunkSize::for_need(need).bytes());
                padme(need.div_ceil(chunk)).checked_mul(chunk)
            }
            Self::Buckets => padme(need.div_ceil(BUCKET)).checked_mul(BUCKET),
        }
    }
}

/// Padmé (spec §12.4): keeps the leading bits of `count`, rounded up, so that the cost stays below 12%.
fn padme(count: u64) -> u64 {
    let Some(exponent) = count.checked_ilog2().filter(|exponent| *exponent >= 2) else { return count };
    let kept = exponent.ilog2().saturating_add(1);
    let step = 1_u64.checked_shl(exponent.saturating_sub(kept)).unwrap_or(1);
    count.div_ceil(step).saturating_mul(step)
}

/// A full segment on the wire, tag included; the first one includes the header.
pub(super) const SEGMENT: u64 = 65_536;
/// The tag of AES-GCM.
pub(super) const TAG: u64 = 16;
/// The content's length at the start of the stream.
pub(super) const LENGTH: u64 = 8;
/// 2^24 segments.
const MOST_BYTES: u64 = 1 << 40;
/// A blob has at most so many chunks before the next chunk size is taken.
const MOST_CHUNKS: u64 = 64;
/// The unit of a backup's size.
const BUCKET: u64 = 262_144;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "the test's own numbers")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sealed::header::SECRET_HEADER;

    #[test]
    fn padme_keeps_the_published_values() {
        // Nikitin et al. 2019, §4: ten bits of length keep four, so 1,001 becomes 1,024 and 513 becomes 544.
        for (count, padded) in [(1, 1), (3, 3), (4, 4), (8, 8), (9, 10), (513, 544), (1_001, 1_024), (1_025, 1_088)] {
            assert_eq!(padme(count), padded, "{count}");
        }
    }

    #[test]
    fn limits_are_exact() {
        for (purpose, most) in [(Purpose::ReachEntry, 4_096), (Purpose::Change, 16_384)] {
            let room = most - 65 - 16 - 8;
            assert_eq!(sealed_size(purpose, room), Ok(most));
            assert_eq!(sealed_size(purpose, room + 1), Err(SealError::TooLong));
        }
        let room = (1 << 20) - 65 - 16 * 16 - 8;
        assert_eq!(sealed_size(Purpose::Snapshot, room), Ok(1 << 20));
        assert_eq!(sealed_size(Purpose::Snapshot, room + 1), Err(SealError::TooLong));
        assert_eq!(sealed_size(Purpose::Blob, u64::MAX), Err(SealError::TooLong));
        assert_eq!(sealed_size(Purpose::Blob, 1 << 40), Err(SealError::TooLong));
    }

    proptest! {
        #[test]
        fn d3_every_size_is_a_class_and_costs_little(length in 0_u64..1 << 38) {
            let plan = Plan::for_content(Purpose::Blob, SECRET_HEADER, length).unwrap();
            prop_assert!(plan.stream() >= length + LENGTH);
            prop_assert!(ChunkSize::of_object(plan.size).is_some(), "{}", plan.size);
            // Padmé's 12% and at most one chunk in 17.
            prop_assert!(length < 1 << 20 || plan.size <= length + length / 5);
            let sum: u64 = (0..plan.segments.min(3)).map(|index| plan.segment(index)).sum();
            prop_assert!(plan.segments > 3 || sum + 65 == plan.size);
        }

        #[test]
        fn longer_content_is_never_a_shorter_object(length in 0_u64..1 << 30, more in 0_u64..1 << 20) {
            for purpose in [Purpose::Blob, Purpose::Backup] {
                prop_assert!(sealed_size(purpose, length)? <= sealed_size(purpose, length + more)?);
            }
        }
    }
}
