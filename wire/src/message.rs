//! From bytes to typed messages and back. Implements spec/13-frames.md §13.3.
//!
//! ```text
//! bytes ──canonical::decode, strict──▶ prost struct ──FromWire──▶ typed message
//! bytes ◀──prost── prost struct ◀──ToWire── typed message          (checked by the same table before it leaves)
//! ```
//! Invariants: prost's structs stay in this crate; what is encoded is what a decoder accepts, or an error; a decoded
//! message encodes to the same bytes.
//! Not here: which messages there are ([`crate::relay`], [`crate::keyserver`], [`crate::content`]).
use alloc::{borrow::ToOwned, string::String, vec::Vec};
use core::time::Duration;

use prost::Message;
use thiserror::Error;

use crate::{
    canonical::{self, CanonicalError, Described, Mode},
    id::{AccountId, BlobId, DeliveryId, DeviceId, Generation, MailboxId, RegisterId, Sequence},
    manifest::{ContentHash, ManifestReference},
    proto::frame as proto,
    time::Timestamp,
};

/// Why bytes are not the message they should be. Safe to log: names of ours and numbers only.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum DecodeError {
    /// The bytes are not canonical or break a ceiling (spec §10.4).
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// The bytes are a message, and a value in it is not what its section allows.
    #[error("{rule}: {field} of {message}")]
    Value {
        /// The rule of the specification.
        rule: &'static str,
        /// The message type.
        message: &'static str,
        /// The field's name.
        field: &'static str,
    },
}

/// Why a message was not encoded: a list or text in it is longer than any decoder accepts. The caller's error.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("not encodable: {0}")]
pub struct EncodeError(pub CanonicalError);

/// Decodes strictly, in the two steps of spec §13.3.
pub(crate) fn decode<P, T>(bytes: &[u8]) -> Result<T, DecodeError>
where
    P: Message + Default + Described,
    T: FromWire<P>,
{
    T::from_wire(canonical::decode::<P>(bytes, Mode::Strict)?).map_err(Broken::into_error)
}

/// Encodes, and checks the ceilings that the decoder will check.
pub(crate) fn encode<P, T>(message: &T) -> Result<Vec<u8>, EncodeError>
where
    P: Message + Default + Described,
    T: ToWire<P>,
{
    let bytes = message.to_wire().encode_to_vec();
    canonical::scan(&bytes, P::SCHEMA, Mode::Strict).map_err(EncodeError)?;
    Ok(bytes)
}

/// A value as prost has it.
pub(crate) trait ToWire<P> {
    fn to_wire(&self) -> P;
}

/// A value from what prost has.
pub(crate) trait FromWire<P>: Sized {
    fn from_wire(wire: P) -> Result<Self, Broken>;
}

/// The rule that a value breaks, and where, as soon as that is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Broken {
    cause: Cause,
    place: Option<(&'static str, &'static str)>,
}

#[derive(Clone, Copy, Debug)]
enum Cause {
    Rule(&'static str),
    Canonical(CanonicalError),
}

impl Broken {
    pub(crate) const fn rule(rule: &'static str) -> Self {
        Self { cause: Cause::Rule(rule), place: None }
    }

    /// The innermost place wins.
    pub(crate) fn at(self, message: &'static str, field: &'static str) -> Self {
        Self { place: self.place.or(Some((message, field))), ..self }
    }

    pub(crate) fn into_error(self) -> DecodeError {
        let (message, field) = self.place.unwrap_or_default();
        match self.cause {
            Cause::Rule(rule) => DecodeError::Value { rule, message, field },
            Cause::Canonical(error) => DecodeError::Canonical(error),
        }
    }
}

/// A message inside a padded part (spec §13.4).
impl From<CanonicalError> for Broken {
    fn from(error: CanonicalError) -> Self {
        Self { cause: Cause::Canonical(error), place: None }
    }
}

/// A struct whose fields have the names of the prost struct's.
macro_rules! message {
    ($name:ident = $proto:ty { $($field:ident),* $(,)? }) => {
        impl $crate::message::ToWire<$proto> for $name {
            fn to_wire(&self) -> $proto {
                type Wire = $proto;
                Wire { $($field: $crate::message::ToWire::to_wire(&self.$field)),* }
            }
        }

        impl $crate::message::FromWire<$proto> for $name {
            fn from_wire(wire: $proto) -> Result<Self, $crate::message::Broken> {
                Ok(Self {
                    $($field: $crate::message::FromWire::from_wire(wire.$field)
                        .map_err(|broken| broken.at(stringify!($name), stringify!($field)))?),*
                })
            }
        }

        $crate::message::required!($name = $proto);
    };
}
pub(crate) use message;

/// prost wraps message fields in `Option`; the scanner has seen to it that a required one is there.
macro_rules! required {
    ($name:ident = $proto:ty) => {
        impl $crate::message::ToWire<Option<$proto>> for $name {
            fn to_wire(&self) -> Option<$proto> {
                Some($crate::message::ToWire::<$proto>::to_wire(self))
            }
        }

        impl $crate::message::FromWire<Option<$proto>> for $name {
            fn from_wire(wire: Option<$proto>) -> Result<Self, $crate::message::Broken> {
                let wire = wire.ok_or($crate::message::Broken::rule("§10.4.7"))?;
                <Self as $crate::message::FromWire<$proto>>::from_wire(wire)
            }
        }
    };
}
pub(crate) use required;

/// An enum over a `oneof` whose variants have the names of prost's: `Variant(..)` carries a message, `Variant` is `Nothing`.
macro_rules! choice {
    ($name:ident = $($path:ident)::+ {
        $($unit:ident,)*
        ; $($variant:ident),* $(,)?
    }) => {
        impl $crate::message::ToWire<Option<$($path)::+>> for $name {
            fn to_wire(&self) -> Option<$($path)::+> {
                use $($path)::+ as Wire;
                Some(match self {
                    $(Self::$unit => Wire::$unit($crate::proto::frame::Nothing {}),)*
                    $(Self::$variant(value) => Wire::$variant($crate::message::ToWire::to_wire(value)),)*
                })
            }
        }

        impl $crate::message::FromWire<Option<$($path)::+>> for $name {
            fn from_wire(wire: Option<$($path)::+>) -> Result<Self, $crate::message::Broken> {
                use $($path)::+ as Wire;
                Ok(match wire.ok_or($crate::message::Broken::rule("§13.3.2"))? {
                    $(Wire::$unit(_) => Self::$unit,)*
                    $(Wire::$variant(value) => Self::$variant(
                        $crate::message::FromWire::from_wire(value)
                            .map_err(|broken| broken.at(stringify!($name), stringify!($variant)))?
                    ),)*
                })
            }
        }
    };
}
pub(crate) use choice;

/// An enum over small numbers.
macro_rules! numbered {
    ($name:ident $rule:literal { $($variant:ident = $number:literal),* $(,)? }) => {
        impl $crate::message::ToWire<u32> for $name {
            fn to_wire(&self) -> u32 {
                match self { $(Self::$variant => $number),* }
            }
        }

        impl $crate::message::FromWire<u32> for $name {
            fn from_wire(wire: u32) -> Result<Self, $crate::message::Broken> {
                match wire {
                    $($number => Ok(Self::$variant),)*
                    _ => Err($crate::message::Broken::rule($rule)),
                }
            }
        }
    };
}
pub(crate) use numbered;

/// A newtype of a fixed number of bytes that are public.
macro_rules! fixed {
    ($($name:ident),* $(,)?) => {$(
        impl $crate::message::ToWire<Vec<u8>> for $name {
            fn to_wire(&self) -> Vec<u8> {
                self.as_bytes().to_vec()
            }
        }

        impl $crate::message::FromWire<Vec<u8>> for $name {
            fn from_wire(wire: Vec<u8>) -> Result<Self, $crate::message::Broken> {
                let bytes = wire.as_slice().try_into().map_err(|_| $crate::message::Broken::rule("§10.4.8"))?;
                Ok(Self::from_bytes(bytes))
            }
        }
    )*};
}
pub(crate) use fixed;

/// A newtype of a fixed number of secret bytes: prost's copy is wiped.
macro_rules! secret {
    ($($name:ident),* $(,)?) => {$(
        impl $crate::message::ToWire<Vec<u8>> for $name {
            fn to_wire(&self) -> Vec<u8> {
                self.expose().to_vec()
            }
        }

        impl $crate::message::FromWire<Vec<u8>> for $name {
            fn from_wire(wire: Vec<u8>) -> Result<Self, $crate::message::Broken> {
                let wire = zeroize::Zeroizing::new(wire);
                let bytes = wire.as_slice().try_into().map_err(|_| $crate::message::Broken::rule("§10.4.8"))?;
                Ok(Self::from_bytes(bytes))
            }
        }
    )*};
}
pub(crate) use secret;

/// Encodes and decodes at the top of the public API.
macro_rules! codec {
    ($($name:ident = $proto:ty),* $(,)?) => {$(
        impl $name {
            /// The canonical bytes (spec §10.4).
            ///
            /// # Errors
            /// [`EncodeError`](crate::message::EncodeError): a part is longer than its ceiling.
            pub fn encode(&self) -> Result<Vec<u8>, $crate::message::EncodeError> {
                $crate::message::encode::<$proto, Self>(self)
            }

            /// Decodes canonical bytes; nothing is built from others.
            ///
            /// # Errors
            /// [`DecodeError`](crate::message::DecodeError), naming the rule that is broken.
            pub fn decode(bytes: &[u8]) -> Result<Self, $crate::message::DecodeError> {
                $crate::message::decode::<$proto, Self>(bytes)
            }
        }
    )*};
}
pub(crate) use codec;

/// Values that prost has as we have them.
macro_rules! plain {
    ($($name:ty),* $(,)?) => {$(
        impl ToWire<$name> for $name {
            fn to_wire(&self) -> $name {
                self.clone()
            }
        }

        impl FromWire<$name> for $name {
            fn from_wire(wire: $name) -> Result<Self, Broken> {
                Ok(wire)
            }
        }
    )*};
}
plain!(u32, u64, bool, String, Vec<u8>);

impl<T: ToWire<P>, P> ToWire<Option<P>> for Option<T> {
    fn to_wire(&self) -> Option<P> {
        self.as_ref().map(ToWire::to_wire)
    }
}

impl<T: FromWire<P>, P> FromWire<Option<P>> for Option<T> {
    fn from_wire(wire: Option<P>) -> Result<Self, Broken> {
        wire.map(T::from_wire).transpose()
    }
}

impl<T: ToWire<P>, P> ToWire<Vec<P>> for Vec<T> {
    fn to_wire(&self) -> Vec<P> {
        self.iter().map(ToWire::to_wire).collect()
    }
}

impl<T: FromWire<P>, P> FromWire<Vec<P>> for Vec<T> {
    fn from_wire(wire: Vec<P>) -> Result<Self, Broken> {
        wire.into_iter().map(T::from_wire).collect()
    }
}

impl<const N: usize> ToWire<Vec<u8>> for [u8; N] {
    fn to_wire(&self) -> Vec<u8> {
        self.as_slice().to_owned()
    }
}

impl<const N: usize> FromWire<Vec<u8>> for [u8; N] {
    fn from_wire(wire: Vec<u8>) -> Result<Self, Broken> {
        wire.as_slice().try_into().map_err(|_| Broken::rule("§10.4.8"))
    }
}

impl ToWire<u64> for Timestamp {
    fn to_wire(&self) -> u64 {
        self.0
    }
}

impl FromWire<u64> for Timestamp {
    fn from_wire(wire: u64) -> Result<Self, Broken> {
        Ok(Self(wire))
    }
}

impl ToWire<u64> for Duration {
    fn to_wire(&self) -> u64 {
        u64::try_from(self.as_millis()).unwrap_or(u64::MAX)
    }
}

impl FromWire<u64> for Duration {
    fn from_wire(wire: u64) -> Result<Self, Broken> {
        Ok(Self::from_millis(wire))
    }
}

impl ToWire<u32> for DeviceId {
    fn to_wire(&self) -> u32 {
        self.value().into()
    }
}

impl FromWire<u32> for DeviceId {
    fn from_wire(wire: u32) -> Result<Self, Broken> {
        Self::try_from(wire).map_err(|_| Broken::rule("§10.3.4"))
    }
}

macro_rules! id {
    ($($name:ident),*) => {$(
        impl ToWire<Vec<u8>> for $name {
            fn to_wire(&self) -> Vec<u8> {
                self.as_bytes().to_vec()
            }
        }

        impl FromWire<Vec<u8>> for $name {
            fn from_wire(wire: Vec<u8>) -> Result<Self, Broken> {
                Self::try_from(wire.as_slice()).map_err(|_| Broken::rule("§10.4.8"))
            }
        }
    )*};
}
id!(AccountId, BlobId, DeliveryId, MailboxId, RegisterId);

impl ToWire<Option<proto::ManifestReference>> for ManifestReference {
    fn to_wire(&self) -> Option<proto::ManifestReference> {
        let Self { generation, sequence, content } = self;
        let content = content.as_bytes().to_vec();
        Some(proto::ManifestReference { generation: generation.0, sequence: sequence.0, content })
    }
}

impl FromWire<Option<proto::ManifestReference>> for ManifestReference {
    fn from_wire(wire: Option<proto::ManifestReference>) -> Result<Self, Broken> {
        let proto::ManifestReference { generation, sequence, content } = wire.ok_or(Broken::rule("§10.4.7"))?;
        let content = ContentHash::try_from(content.as_slice()).map_err(|_| Broken::rule("§10.4.8"))?;
        Ok(Self { generation: Generation(generation), sequence: Sequence(sequence), content })
    }
}
