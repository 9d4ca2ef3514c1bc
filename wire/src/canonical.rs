//! The scanner that every byte from outside passes before prost sees it. Implements spec/10-wire-conventions.md §10.4.
//!
//! ```text
//! bytes ──scan(table, mode)──▶ canonical, bounded, known ──prost──▶ private struct ──parse──▶ typed value
//!              │ allocates nothing, looks at each byte once
//!              └──▶ CanonicalError: which rule, where
//! ```
//! Invariants: what passes in `Mode::Strict` is exactly what prost would write again, so one value has one encoding;
//! what passes in `Mode::SignedBody` may besides hold unknown fields numbered below 1000, which travel on with the signed
//! bytes. Lengths and counts are checked before anything is built from them.
//! Not here: what the values mean (each message's own `parse`), signatures ([`crate::signature`]).
use core::fmt;

use prost::Message;
use thiserror::Error;

/// Decodes `bytes` as `M` after the scan: the one way from bytes to a prost value in this crate.
///
/// # Errors
/// The first rule of spec §10.4 that the bytes break. Nothing has been allocated then.
pub(crate) fn decode<M: Message + Default + Described>(bytes: &[u8], mode: Mode) -> Result<M, CanonicalError> {
    scan(bytes, M::SCHEMA, mode)?;
    // The scan leaves prost nothing to object to; if it did all the same, the bytes are refused, never trusted.
    M::decode(bytes).map_err(|_| CanonicalError::Type { message: M::SCHEMA.name, field: 0 })
}

/// Checks `bytes` against a table without building anything.
pub(crate) fn scan(bytes: &[u8], schema: &'static Schema, mode: Mode) -> Result<(), CanonicalError> {
    if bytes.len() > schema.size {
        return Err(CanonicalError::TooLong { message: schema.name, field: 0 });
    }
    message(bytes, schema, mode, MAX_DEPTH)
}

/// What happens to fields that the table does not know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mode {
    /// Bytes under a signature: unknown fields below 1000 are allowed, critical ones refuse the object.
    SignedBody,
    /// Everything else of ours: any unknown field is refused.
    Strict,
}

/// Why bytes were refused before they were decoded (spec §10.4). Safe to log: names of our tables and numbers only.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum CanonicalError {
    /// The bytes end inside a field.
    #[error("§10.4.1: {message} ends inside a field")]
    Truncated {
        /// The message type.
        message: &'static str,
    },
    /// A varint is longer than it must be, or does not fit 64 bits.
    #[error("§10.4.2: {message} has a varint that is not minimal")]
    Varint {
        /// The message type.
        message: &'static str,
    },
    /// Field numbers do not ascend.
    #[error("§10.4.3: field {field} of {message} is out of order")]
    Order {
        /// The message type.
        message: &'static str,
        /// The field's number.
        field: u32,
    },
    /// A field that may stand once stands twice, or two members of one choice are present.
    #[error("§10.4.4: field {field} of {message} is a duplicate")]
    Duplicate {
        /// The message type.
        message: &'static str,
        /// The field's number.
        field: u32,
    },
    /// The wire type is not the field's, or is one we never use, or text is not UTF-8.
    #[error("§10.4.5: field {field} of {message} has the wrong type")]
    Type {
        /// The message type.
        message: &'static str,
        /// The field's number, 0 if none could be read.
        field: u32,
    },
    /// A default value that must not be written is written.
    #[error("§10.4.6: field {field} of {message} spells out a default")]
    Default {
        /// The message type.
        message: &'static str,
        /// The field's number.
        field: u32,
    },
    /// A field that must be there is missing.
    #[error("§10.4.7: field {field} of {message} is missing")]
    Missing {
        /// The message type.
        message: &'static str,
        /// The field's number.
        field: u32,
    },
    /// A length or number is outside what the field allows.
    #[error("§10.4.8: field {field} of {message} is too long, too short or too large")]
    TooLong {
        /// The message type.
        message: &'static str,
        /// The field's number, 0 for the message itself.
        field: u32,
    },
    /// A repeated field has more elements than allowed.
    #[error("§10.4.9: field {field} of {message} has too many elements")]
    TooMany {
        /// The message type.
        message: &'static str,
        /// The field's number.
        field: u32,
    },
    /// A critical field (from 1000) that this version does not know: the object is from a newer version; update.
    #[error("§10.4.10: {message} has the unknown critical field {field}")]
    Critical {
        /// The message type.
        message: &'static str,
        /// The field's number.
        field: u32,
    },
    /// An unknown field where none is allowed.
    #[error("§10.4.11: {message} has the unknown field {field}")]
    Unknown {
        /// The message type.
        message: &'static str,
        /// The field's number.
        field: u32,
    },
    /// Messages are nested deeper than allowed.
    #[error("§10.4.12: {message} is nested too deep")]
    Depth {
        /// The message type.
        message: &'static str,
    },
}

/// Links a prost type to its table; implemented by generated code only.
pub(crate) trait Described {
    const SCHEMA: &'static Schema;
}

/// What the scanner knows of a message type; written by build.rs from the .proto files.
pub(crate) struct Schema {
    pub(crate) name: &'static str,
    /// Most bytes of one encoded message.
    pub(crate) size: usize,
    /// Ascending by number.
    pub(crate) fields: &'static [Field],
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schema({})", self.name)
    }
}

#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) number: u32,
    pub(crate) kind: Kind,
    pub(crate) presence: Presence,
}

#[derive(Debug)]
pub(crate) enum Kind {
    /// bool, uint32, uint64; repeated ones are packed.
    Varint {
        top: u64,
    },
    Bytes {
        min: usize,
        max: usize,
    },
    Text {
        max: usize,
    },
    Message {
        max: usize,
        schema: &'static Schema,
    },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Presence {
    /// Absent means the default, which is therefore never written.
    Implicit,
    /// As `Implicit`, and the default is no value of this field.
    Required,
    /// `optional` and message fields.
    Explicit,
    /// A message field that must be there.
    RequiredExplicit,
    /// Of the members of one group at most one is present.
    #[allow(dead_code, reason = "constructed by generated tables, as far as a message has a choice")]
    OneOf {
        group: usize,
    },
    Repeated {
        count: usize,
    },
}

fn message(bytes: &[u8], schema: &'static Schema, mode: Mode, depth: u8) -> Result<(), CanonicalError> {
    let name = schema.name;
    let depth = depth.checked_sub(1).ok_or(CanonicalError::Depth { message: name })?;
    let mut reader = Reader { rest: bytes, message: name };
    let mut seen = Seen { last: 0, elements: 0, groups: 0, next: 0 };
    while !reader.rest.is_empty() {
        let (number, wire) = reader.key()?;
        let repeats = number == seen.last;
        if number < seen.last {
            return Err(CanonicalError::Order { message: name, field: number });
        }
        match seen.find(schema, number)? {
            Some(field) => {
                seen.count(name, field, repeats)?;
                reader.known(field, wire, mode, depth)?;
            }
            None if number >= FIRST_CRITICAL => return Err(CanonicalError::Critical { message: name, field: number }),
            None if mode == Mode::Strict => return Err(CanonicalError::Unknown { message: name, field: number }),
            None => reader.skip(number, wire)?,
        }
        seen.last = number;
    }
    seen.find(schema, u32::MAX).map(|_| ())
}

/// What has been read of one message: enough to see order, duplicates and absence without storing fields.
struct Seen {
    last: u32,
    elements: usize,
    groups: u64,
    /// Index of the first table row that has not been passed.
    next: usize,
}

impl Seen {
    /// Moves through the table up to `number`; a required field that is passed over is missing.
    fn find(&mut self, schema: &'static Schema, number: u32) -> Result<Option<&'static Field>, CanonicalError> {
        while let Some(field) = schema.fields.get(self.next).filter(|field| field.number <= number) {
            if field.number == number {
                return Ok(Some(field));
            }
            let absent = field.number != self.last;
            if absent && matches!(field.presence, Presence::Required | Presence::RequiredExplicit) {
                return Err(CanonicalError::Missing { message: schema.name, field: field.number });
            }
            self.next = self.next.saturating_add(1);
        }
        Ok(None)
    }

    fn count(&mut self, message: &'static str, field: &Field, repeats: bool) -> Result<(), CanonicalError> {
        let duplicate = CanonicalError::Duplicate { message, field: field.number };
        self.elements = if repeats { self.elements.saturating_add(1) } else { 1 };
        match field.presence {
            Presence::Repeated { count } if self.elements > count => {
                return Err(CanonicalError::TooMany { message, field: field.number });
            }
            // A packed field is one element of the encoding; its numbers are counted where they are read.
            Presence::Repeated { .. } if repeats && matches!(field.kind, Kind::Varint { .. }) => return Err(duplicate),
            Presence::Repeated { .. } => {}
            _ if repeats => return Err(duplicate),
            Presence::OneOf { group } => {
                let bit = u32::try_from(group).ok().and_then(|group| 1u64.checked_shl(group)).unwrap_or(0);
                if bit == 0 || self.groups & bit != 0 {
                    return Err(duplicate);
                }
                self.groups |= bit;
            }
            _ => {}
        }
        Ok(())
    }
}

struct Reader<'b> {
    rest: &'b [u8],
    message: &'static str,
}

impl<'b> Reader<'b> {
    fn key(&mut self) -> Result<(u32, u64), CanonicalError> {
        let key = self.varint()?;
        let wrong = CanonicalError::Type { message: self.message, field: 0 };
        let number = u32::try_from(key >> 3).map_err(|_| wrong)?;
        if number == 0 || number > MAX_FIELD { Err(wrong) } else { Ok((number, key & 7)) }
    }

    fn known(&mut self, field: &Field, wire: u64, mode: Mode, depth: u8) -> Result<(), CanonicalError> {
        let (message, number) = (self.message, field.number);
        let packed = matches!(field.presence, Presence::Repeated { .. }) && matches!(field.kind, Kind::Varint { .. });
        let expected = if matches!(field.kind, Kind::Varint { .. }) && !packed { VARINT } else { LEN };
        if wire != expected {
            return Err(CanonicalError::Type { message, field: number });
        }
        let too_long = CanonicalError::TooLong { message, field: number };
        let may_be_default = !matches!(field.presence, Presence::Implicit | Presence::Required);
        match field.kind {
            Kind::Varint { top } if packed => {
                let Presence::Repeated { count } = field.presence else { return Ok(()) };
                let mut numbers = Reader { rest: self.length_delimited()?, message };
                if numbers.rest.is_empty() {
                    return Err(CanonicalError::Default { message, field: number });
                }
                let mut read = 0usize;
                while !numbers.rest.is_empty() {
                    read = read.saturating_add(1);
                    if read > count {
                        return Err(CanonicalError::TooMany { message, field: number });
                    }
                    if numbers.varint()? > top {
                        return Err(too_long);
                    }
                }
            }
            Kind::Varint { top } => {
                let value = self.varint()?;
                if value > top {
                    return Err(too_long);
                }
                if value == 0 && !may_be_default {
                    return Err(CanonicalError::Default { message, field: number });
                }
            }
            Kind::Bytes { min, max } => self.sized(min, max, may_be_default, number).map(|_| ())?,
            Kind::Text { max } => {
                let text = self.sized(0, max, may_be_default, number)?;
                core::str::from_utf8(text).map_err(|_| CanonicalError::Type { message, field: number })?;
            }
            Kind::Message { max, schema } => {
                let inner = self.sized(0, max.min(schema.size), true, number)?;
                self::message(inner, schema, mode, depth)?;
            }
        }
        Ok(())
    }

    fn sized(&mut self, min: usize, max: usize, empty: bool, field: u32) -> Result<&'b [u8], CanonicalError> {
        let message = self.message;
        let bytes = self.length_delimited()?;
        if bytes.is_empty() && !empty {
            return Err(CanonicalError::Default { message, field });
        }
        if bytes.len() < min || bytes.len() > max {
            return Err(CanonicalError::TooLong { message, field });
        }
        Ok(bytes)
    }

    /// Passes over an unknown field. Groups (wire types 3 and 4) are nobody's: proto3 has none.
    fn skip(&mut self, field: u32, wire: u64) -> Result<(), CanonicalError> {
        match wire {
            VARINT => self.varint().map(|_| ()),
            FIXED64 => self.take(8).map(|_| ()),
            FIXED32 => self.take(4).map(|_| ()),
            LEN => self.length_delimited().map(|_| ()),
            _ => Err(CanonicalError::Type { message: self.message, field }),
        }
    }

    fn length_delimited(&mut self) -> Result<&'b [u8], CanonicalError> {
        let length = self.varint()?;
        let length = usize::try_from(length).map_err(|_| CanonicalError::Truncated { message: self.message })?;
        self.take(length)
    }

    fn take(&mut self, length: usize) -> Result<&'b [u8], CanonicalError> {
        let (taken, rest) =
            self.rest.split_at_checked(length).ok_or(CanonicalError::Truncated { message: self.message })?;
        self.rest = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, CanonicalError> {
        let not_minimal = CanonicalError::Varint { message: self.message };
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.rest.split_first().ok_or(CanonicalError::Truncated { message: self.message })?;
            self.rest = rest;
            let bits = u64::from(byte & 0x7f);
            let shifted = bits << shift;
            if shifted >> shift != bits {
                return Err(not_minimal);
            }
            value |= shifted;
            if byte & 0x80 == 0 {
                return if byte == 0 && shift != 0 { Err(not_minimal) } else { Ok(value) };
            }
        }
        Err(not_minimal)
    }
}

/// From this number on, a field that is not understood refuses the object (spec §10.4.10).
const FIRST_CRITICAL: u32 = 1000;
/// The largest field number protobuf allows.
const MAX_FIELD: u32 = (1 << 29) - 1;
/// Deepest nesting of messages, the outermost included (spec §10.4.12).
const MAX_DEPTH: u8 = 8;

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LEN: u64 = 2;
const FIXED32: u64 = 5;

#[cfg(test)]
mod tests;
