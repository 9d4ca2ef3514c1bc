//! What the caller must persist before it commits (spec §5.9).

use alloc::vec::Vec;
use core::fmt;

use zeroize::Zeroizing;

use crate::agreement::Consumed;
use crate::curve::IdentityKey;

/// Names one record of a session: up to 13 bytes, opaque, stable. Prefix it with whatever names the session.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RecordKey {
    bytes: [u8; 13],
    len: u8,
}

impl RecordKey {
    pub(crate) fn from_parts(kind: u8, numbers: &[u32]) -> Self {
        let mut key = Self { bytes: [0; 13], len: 1 };
        let encoded = core::iter::once(kind).chain(numbers.iter().flat_map(|number| number.to_be_bytes()));
        for (slot, (byte, len)) in key.bytes.iter_mut().zip(encoded.zip(1..)) {
            (*slot, key.len) = (byte, len);
        }
        key
    }

    /// The key's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len.into()).unwrap_or_default()
    }
}

impl AsRef<[u8]> for RecordKey {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// What the operation found out about the peer's identity.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum IdentityEvent {
    /// It is the one we knew.
    Unchanged,
    /// There was no session: this is the first identity we see here. Compare it with what else is known of the person.
    First(IdentityKey),
    /// It is another than in the state before: a reinstallation, or an attack. Ask the person before committing.
    Changed {
        /// Of the state before.
        from: IdentityKey,
        /// Of this message or bundle.
        to: IdentityKey,
    },
}

/// What must be on disk, in one transaction, before `commit` and before anything leaves because of it.
#[derive(Debug)]
#[must_use = "apply it in one transaction"]
pub struct Delta {
    pub(super) writes: Vec<Write>,
    pub(super) consumed: Consumed,
    pub(super) identity: IdentityEvent,
}

pub(crate) struct Write {
    pub(crate) key: RecordKey,
    /// None deletes.
    pub(crate) value: Option<Zeroizing<Vec<u8>>>,
}

impl Delta {
    /// The records to put (`Some`) and to delete (`None`), each key at most once. Values are secret: store them encrypted.
    ///
    /// An ordinary message writes one record of some 400 to 700 bytes.
    pub fn writes(&self) -> impl Iterator<Item = (RecordKey, Option<&[u8]>)> {
        self.writes.iter().map(|write| (write.key, write.value.as_ref().map(|value| value.as_slice())))
    }

    /// Prekeys to delete and uses to remember: not empty after [`Session::accept`](crate::Session::accept) only.
    pub const fn consumed(&self) -> Consumed {
        self.consumed
    }

    /// What this says about who the peer is.
    #[must_use]
    pub const fn identity(&self) -> IdentityEvent {
        self.identity
    }
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordKey(")?;
        for byte in self.as_bytes() {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}

impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, value } = self;
        write!(f, "{key:?}: {:?} bytes", value.as_ref().map(|value| value.len()))
    }
}
