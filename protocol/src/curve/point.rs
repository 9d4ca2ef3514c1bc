//! A checked point of Curve25519, with its Edwards form kept (spec §1.2).
//!
//! The Edwards form makes an agreement cheaper than the Montgomery ladder (0.6 of it, same output bytes) and serves
//! signature verification without a square root, at 160 bytes more in memory and none on the wire.

use core::fmt;
use core::hash::{Hash, Hasher};

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::montgomery::MontgomeryPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::Identity;
use subtle::{Choice, ConditionallyNegatable};

use super::public::PublicKeyError;

/// A point given by its u-coordinate: canonical, on the curve (not its twist), of large order.
#[derive(Clone, Copy)]
pub(crate) struct Point {
    u: [u8; 32],
    /// The one of the two Edwards points above `u` whose x-coordinate is even ("sign bit 0").
    edwards: EdwardsPoint,
}

impl Point {
    /// Decodes a u-coordinate. What a ratchet key must satisfy; see [`Self::require_torsion_free`] for the others.
    pub(crate) fn parse(u: &[u8; 32]) -> Result<Self, PublicKeyError> {
        if !is_canonical(u) {
            return Err(PublicKeyError::NonCanonical);
        }
        let edwards = MontgomeryPoint(*u).to_edwards(0).ok_or(PublicKeyError::NotOnCurve)?;
        if edwards.is_small_order() {
            return Err(PublicKeyError::SmallOrder);
        }
        Ok(Self { u: *u, edwards })
    }

    /// Decodes a compressed Edwards point, whose sign is then forgotten (RFC 8032 §5.1.3, RFC 7748 §4.1).
    pub(crate) fn parse_edwards(encoding: &[u8; 32]) -> Result<Self, PublicKeyError> {
        let mut edwards = CompressedEdwardsY(*encoding).decompress().ok_or(PublicKeyError::NotOnCurve)?;
        if edwards.compress().to_bytes() != *encoding {
            return Err(PublicKeyError::NonCanonical);
        }
        if edwards.is_small_order() {
            return Err(PublicKeyError::SmallOrder);
        }
        let [.., last] = encoding;
        edwards.conditional_negate(Choice::from(last >> 7));
        Ok(Self::from_edwards(edwards))
    }

    /// The point of a key pair of our own, whose Edwards form is known.
    pub(super) fn from_edwards(edwards: EdwardsPoint) -> Self {
        Self { u: edwards.to_montgomery().to_bytes(), edwards }
    }

    /// Refuses points outside the prime-order subgroup, so that no second encoding leads to the same agreements.
    ///
    /// Computes (l - 1)P in variable time (the point is public) and compares it with -P; about two thirds of the cost
    /// of the constant-time check.
    pub(crate) fn require_torsion_free(self) -> Result<Self, PublicKeyError> {
        let minus_one = -Scalar::ONE;
        let multiple = EdwardsPoint::vartime_double_scalar_mul_basepoint(&minus_one, &self.edwards, &Scalar::ZERO);
        if (multiple + self.edwards) == EdwardsPoint::identity() { Ok(self) } else { Err(PublicKeyError::MixedOrder) }
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        &self.u
    }

    pub(super) const fn edwards(&self) -> &EdwardsPoint {
        &self.edwards
    }
}

/// u < 2^255 - 19 with the unused high bit clear. Variable time: the bytes are public.
pub(crate) fn is_canonical(u: &[u8; 32]) -> bool {
    let [low, middle @ .., high] = u;
    let is_at_least_p = *high == 0x7F && *low >= 0xED && middle.iter().all(|byte| *byte == 0xFF);
    *high <= 0x7F && !is_at_least_p
}

impl PartialEq for Point {
    fn eq(&self, other: &Self) -> bool {
        self.u == other.u
    }
}

impl Eq for Point {}

impl Hash for Point {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.u.hash(state);
    }
}

impl PartialOrd for Point {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Point {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.u.cmp(&other.u)
    }
}

impl fmt::Debug for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in &self.u {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}
