//! Public keys, one type per role (spec §1.2).
//!
//! All are 33 bytes on the wire: 0x05 ‖ u. They differ in what they may be used for and in how strictly they are parsed.

use core::fmt;

use thiserror::Error;

use super::point::{Point, is_canonical};

/// Why bytes are no public key. Safe to log: it holds no part of them.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum PublicKeyError {
    /// Not exactly 33 bytes for Curve25519, or 1,569 for Kyber1024 (spec §1.2, §1.6).
    #[error("a public key has {got} bytes instead of {expected}")]
    Length {
        /// The size this kind of key has.
        expected: usize,
        /// The size that came.
        got: usize,
    },
    /// The first byte names another kind of key (spec §1.2): 0x05 is Curve25519, 0x08 Kyber1024.
    #[error("a public key has type {got:#04x} instead of {expected:#04x}")]
    KeyType {
        /// The type byte of this kind of key.
        expected: u8,
        /// The type byte that came.
        got: u8,
    },
    /// A second encoding of a value that has a shorter one: two names for one key (spec §1.2, §1.6).
    #[error("a public key is not canonically encoded")]
    NonCanonical,
    /// The coordinate belongs to the curve's twist (spec §1.2).
    #[error("a public key is not on the curve")]
    NotOnCurve,
    /// One of the few points that agree on a constant with everybody (spec §1.2).
    #[error("a public key has small order")]
    SmallOrder,
    /// A point outside the prime-order subgroup, where uniqueness is required (spec §1.2).
    #[error("a public key is not in the prime-order subgroup")]
    MixedOrder,
}

/// The type byte of Curve25519 keys.
const CURVE25519: u8 = 0x05;

/// A u-coordinate whose form is checked and whose point is not decoded: what a message carries until it is known whether
/// the key is one we hold already, and what a session keeps. Comparing it costs nothing; [`Self::point`] a square root.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct EncodedKey([u8; 32]);

impl EncodedKey {
    /// From 33 bytes.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, PublicKeyError> {
        let encoded: &[u8; 33] =
            bytes.try_into().map_err(|_| PublicKeyError::Length { expected: 33, got: bytes.len() })?;
        let [key_type, u @ ..] = *encoded;
        if key_type != CURVE25519 {
            return Err(PublicKeyError::KeyType { expected: CURVE25519, got: key_type });
        }
        Self::from_u(&u)
    }

    /// From the 32 bytes behind the type byte.
    pub(crate) fn from_u(u: &[u8; 32]) -> Result<Self, PublicKeyError> {
        if is_canonical(u) { Ok(Self(*u)) } else { Err(PublicKeyError::NonCanonical) }
    }

    pub(crate) fn point(&self) -> Result<Point, PublicKeyError> {
        Point::parse(&self.0)
    }

    pub(crate) const fn from_point(point: &Point) -> Self {
        Self(*point.as_bytes())
    }

    /// From a u-coordinate that was computed.
    pub(super) const fn from_canonical(u: [u8; 32]) -> Self {
        Self(u)
    }

    pub(crate) const fn as_u(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn to_bytes(self) -> [u8; 33] {
        let mut bytes = [CURVE25519; 33];
        let [_, u @ ..] = &mut bytes;
        *u = self.0;
        bytes
    }
}

impl fmt::Debug for EncodedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in &self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// A key with its point, where it is about to be computed with: decoding happens once.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) struct Decoded<K> {
    pub(crate) key: K,
    pub(crate) point: Point,
}

impl<K: fmt::Debug> fmt::Debug for Decoded<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.key.fmt(f)
    }
}

/// Declares a role. `unique`: others rely on there being one encoding per agreement, so it must be torsion-free;
/// `authenticated`: a MAC or signature over the bytes makes that unnecessary.
macro_rules! public_key {
    (@check unique, $point:expr) => { $point.require_torsion_free() };
    (@check authenticated, $point:expr) => { Ok::<_, $crate::curve::PublicKeyError>($point) };
    ($(#[$doc:meta])* $name:ident, $strictness:ident) => {
        $(#[$doc])*
        ///
        /// 33 bytes: 0x05 ‖ u-coordinate (spec §1.2).
        #[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name($crate::curve::EncodedKey);

        impl $name {
            /// Parses exactly 33 bytes (spec §1.2).
            ///
            /// # Errors
            /// Any [`PublicKeyError`](crate::PublicKeyError); the peer is at fault, or whoever handed the key on.
            pub fn parse(bytes: &[u8]) -> Result<Self, $crate::curve::PublicKeyError> {
                Self::decode(bytes).map(|decoded| decoded.key)
            }

            /// The 33 bytes that [`Self::parse`] takes.
            #[must_use]
            pub fn to_bytes(&self) -> [u8; 33] {
                self.0.to_bytes()
            }

            /// As [`Self::parse`], keeping the point.
            pub(crate) fn decode(bytes: &[u8]) -> Result<$crate::curve::Decoded<Self>, $crate::curve::PublicKeyError> {
                let point = $crate::curve::EncodedKey::parse(bytes)?.point()?;
                let point = $crate::curve::public_key!(@check $strictness, point)?;
                Ok($crate::curve::Decoded { key: Self::from_point(&point), point })
            }

            #[allow(dead_code, reason = "not every role needs it")]
            pub(crate) const fn from_point(point: &$crate::curve::Point) -> Self {
                Self($crate::curve::EncodedKey::from_point(point))
            }

            /// From our own storage: the form is checked, the rest was when the key came.
            #[allow(dead_code, reason = "not every role needs it")]
            pub(crate) const fn from_stored(encoded: $crate::curve::EncodedKey) -> Self {
                Self(encoded)
            }

            #[allow(dead_code, reason = "not every role needs it")]
            pub(crate) const fn encoded(&self) -> $crate::curve::EncodedKey {
                self.0
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, "{}({:?})", stringify!($name), self.0)
            }
        }
    };
}
pub(crate) use public_key;

public_key! {
    /// A device's long-term key: what a person verifies, and what signs prekeys.
    IdentityKey, unique
}
public_key! {
    /// A prekey's public half: signed or one-time, published so that sessions can start while its owner is away.
    PrekeyPublic, unique
}
public_key! {
    /// An initiator's ephemeral key (X3DH's EK): made for one agreement, names the session afterwards.
    BaseKey, unique
}
public_key! {
    /// A Double Ratchet key: the header's `ratchet_key`.
    RatchetKey, authenticated
}
