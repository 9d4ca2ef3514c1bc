//! Draws from the generator that is lent.
use core::time::Duration;

use rand_core::CryptoRng;

/// N random bytes.
pub(crate) fn bytes<const N: usize>(rng: &mut impl CryptoRng) -> [u8; N] {
    let mut bytes = [0; N];
    rng.fill_bytes(&mut bytes);
    bytes
}

/// A number below `bound`; 0 if that is 0. The bias of the remainder is below 2^-32 for the bounds in use.
pub(crate) fn below(bound: u64, rng: &mut impl CryptoRng) -> u64 {
    rng.next_u64().checked_rem(bound).unwrap_or(0)
}

/// A time between two, in milliseconds.
pub(crate) fn between((least, most): (Duration, Duration), rng: &mut impl CryptoRng) -> Duration {
    let span = most.saturating_sub(least).as_millis();
    let span = u64::try_from(span).unwrap_or(u64::MAX);
    least.saturating_add(Duration::from_millis(below(span.saturating_add(1), rng)))
}
