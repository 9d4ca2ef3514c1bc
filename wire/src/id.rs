//! Identifiers. Implements spec/10-wire-conventions.md §10.1 and §10.3.
//!
//! ```text
//! account id  wxa-…   32 bytes, SHA-256 of the recovery key      service id: its first 16 bytes as a UUID
//! mailbox     wxm-…      16 bytes      delivery  wxd-…  16      blob  wxb-…  16      register  wxr-…  16
//! ```
//! Invariants: an identifier has one text form; ids are public, so they compare, hash and print.
//! Not here: keys (`keys`), how an account id is derived from one (`keys`), delivery keys (`delivery`).
use alloc::vec::Vec;
use core::fmt;

use thiserror::Error;

use crate::base32;

/// Defines a public identifier of fixed size with a text form `prefix-base32`.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $size:literal, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name([u8; $size]);

        impl $name {
            /// Size in bytes.
            pub const SIZE: usize = $size;
            /// What its text form begins with.
            pub const PREFIX: &'static str = $prefix;

            /// Takes the bytes as they are.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; $size]) -> Self {
                Self(bytes)
            }

            /// The bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $size] {
                &self.0
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = $crate::id::IdError;

            fn try_from(bytes: &[u8]) -> Result<Self, $crate::id::IdError> {
                <[u8; $size]>::try_from(bytes).map(Self).map_err(|_| $crate::id::IdError::Length)
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, "{}{}", $prefix, $crate::base32::encode(&self.0))
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, "{self}")
            }
        }

        impl core::str::FromStr for $name {
            type Err = $crate::id::IdError;

            fn from_str(text: &str) -> Result<Self, $crate::id::IdError> {
                Self::try_from($crate::id::bytes_of(text, $prefix)?.as_slice())
            }
        }
    };
}
pub(crate) use id;

id!(
    /// An account: SHA-256 over its recovery public key (spec §11.2). 32 bytes.
    AccountId, 32, "wxa-"
);
id!(
    /// A mailbox on a relay. 16 bytes.
    MailboxId, 16, "wxm-"
);
id!(
    /// Names one put, chosen at random by the sender. 16 bytes.
    DeliveryId, 16, "wxd-"
);
id!(
    /// A blob on a relay. 16 bytes.
    BlobId, 16, "wxb-"
);
id!(
    /// A register on a relay. 16 bytes.
    RegisterId, 16, "wxr-"
);

impl AccountId {
    /// The UUID that stands for this account in Signal's structures (spec §11.2.3).
    #[must_use]
    pub fn service_id(&self) -> ServiceId {
        let mut bytes = [0; 16];
        for (target, source) in bytes.iter_mut().zip(self.0) {
            *target = source;
        }
        let [.., _, _, version, _, variant, _, _, _, _, _, _, _] = &mut bytes;
        // RFC 9562: version nibble 8 (free form), variant bits 10.
        *version = (*version & 0x0f) | 0x80;
        *variant = (*variant & 0x3f) | 0x80;
        ServiceId(bytes)
    }
}

/// A service id in Signal's structures: the UUID made of an account id. 16 bytes.
///
/// Two accounts may share one by malice (122 bits are kept); stores key by [`AccountId`] and refuse a second contact with the
/// same service id.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ServiceId([u8; 16]);

impl ServiceId {
    /// The bytes of the UUID.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A device of an account, 1 to 127, never reused within a generation (spec §11.5).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct DeviceId(u8);

impl DeviceId {
    /// The smallest.
    pub const MIN: Self = Self(1);
    /// The largest.
    pub const MAX: Self = Self(127);

    /// The number, 1 to 127.
    #[must_use]
    pub const fn value(self) -> u8 {
        self.0
    }

    /// The next id, or none after 127.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        Self::try_from(u32::from(self.0).saturating_add(1)).ok()
    }
}

impl TryFrom<u32> for DeviceId {
    type Error = IdError;

    fn try_from(value: u32) -> Result<Self, IdError> {
        match u8::try_from(value) {
            Ok(value @ 1..=127) => Ok(Self(value)),
            _ => Err(IdError::Range),
        }
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// How often an account was begun anew from its words; creation is 0 (spec §11.4).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Generation(pub u32);

impl Generation {
    /// The one after this, or none at the end of numbers.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

/// The place of a manifest's content in its generation, from 0 (spec §11.5).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Sequence(pub u32);

impl Sequence {
    /// The one after this, or none at the end of numbers.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

/// Why bytes, a number or a text is no identifier (spec §10.3).
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum IdError {
    /// The wrong number of bytes.
    #[error("§10.3.1: an identifier has the wrong length")]
    Length,
    /// The text begins with another prefix: an identifier of another kind, or none.
    #[error("§10.3.2: the text is not an identifier of this kind")]
    Prefix,
    /// The rest of the text is not canonical base32.
    #[error("§10.3.3: the text is not lower-case base32")]
    Text,
    /// A number outside its range.
    #[error("§10.3.4: the number is outside its range")]
    Range,
}

pub(crate) fn bytes_of(text: &str, prefix: &str) -> Result<Vec<u8>, IdError> {
    let digits = text.strip_prefix(prefix).ok_or(IdError::Prefix)?;
    // The longest identifier is 32 bytes: 52 characters. Nothing longer is looked at.
    if digits.len() > 52 { Err(IdError::Length) } else { base32::decode(digits).ok_or(IdError::Text) }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_service_id_is_the_beginning_of_the_account_id_as_a_version_8_uuid() {
        assert_eq!(AccountId::from_bytes([0xff; 32]).service_id().to_string(), "ffffffff-ffff-8fff-bfff-ffffffffffff");
        assert_eq!(AccountId::from_bytes([0; 32]).service_id().to_string(), "00000000-0000-8000-8000-000000000000");
    }

    #[test]
    fn text_of_another_kind_or_shape_is_refused() {
        let text = MailboxId::from_bytes([7; 16]).to_string();
        assert_eq!(text.parse::<BlobId>(), Err(IdError::Prefix));
        assert_eq!(text.to_uppercase().parse::<MailboxId>(), Err(IdError::Prefix));
        assert_eq!(text[..text.len() - 1].parse::<MailboxId>(), Err(IdError::Text));
        assert_eq!(text[..text.len() - 2].parse::<MailboxId>(), Err(IdError::Length));
        assert_eq!(format!("{text}a").parse::<MailboxId>(), Err(IdError::Text));
        assert_eq!(format!("wxm-{}", "a".repeat(1_000)).parse::<MailboxId>(), Err(IdError::Length));
    }

    #[test]
    fn device_ids_are_1_to_127() {
        assert_eq!(DeviceId::try_from(0), Err(IdError::Range));
        assert_eq!(DeviceId::try_from(128), Err(IdError::Range));
        assert_eq!(DeviceId::try_from(256 + 1), Err(IdError::Range));
        assert_eq!(DeviceId::try_from(127), Ok(DeviceId::MAX));
        assert_eq!(DeviceId::MAX.next(), None);
        assert_eq!(DeviceId::MIN.next().map(DeviceId::value), Some(2));
    }

    proptest! {
        #[test]
        fn text_is_the_inverse_of_bytes(account: [u8; 32], mailbox: [u8; 16]) {
            let (account, mailbox) = (AccountId::from_bytes(account), MailboxId::from_bytes(mailbox));
            prop_assert_eq!(account.to_string().parse(), Ok(account));
            prop_assert_eq!(mailbox.to_string().parse(), Ok(mailbox));
        }
    }
}
