//! Capabilities and what a relay stores of them. Implements spec/14-relay-messages.md §14.7 and §14.8.
//!
//! Invariants: a relay's store opens nothing; a capability of one kind or place is none of another.
use alloc::{boxed::Box, vec::Vec};
use core::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{
    label::{self, Label},
    message,
};

/// 32 secret bytes: whoever shows them may.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Capability(Box<[u8; 32]>);

impl Capability {
    /// Takes the bytes as they are.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Box::new(bytes))
    }

    /// The bytes, for the request that shows them.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// What the relay stores of it, for this kind and the 16-byte id of a register or blob.
    #[must_use]
    pub fn verifier(&self, kind: VerifierKind, id: &[u8; 16]) -> Verifier {
        let mut content = zeroize::Zeroizing::new([0; 48]);
        content.iter_mut().zip(id.iter().chain(self.0.iter())).for_each(|(target, part)| *target = *part);
        Verifier(kind.label().hash(content.as_slice()))
    }
}

impl PartialEq for Capability {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}

impl Eq for Capability {}

impl fmt::Debug for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Capability(..)")
    }
}

/// What a capability is for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum VerifierKind {
    /// Writes changes of a register.
    WriteRegister,
    /// Reads a register.
    ReadRegister,
    /// Writes snapshots and the last version of a register, and deletes it.
    SealRegister,
    /// Writes and deletes a blob.
    WriteBlob,
    /// Reads a blob.
    ReadBlob,
}

impl VerifierKind {
    const fn label(self) -> Label {
        match self {
            Self::WriteRegister => label::REGISTER_WRITE_VERIFIER,
            Self::ReadRegister => label::REGISTER_READ_VERIFIER,
            Self::SealRegister => label::REGISTER_SEAL_VERIFIER,
            Self::WriteBlob => label::BLOB_WRITE_VERIFIER,
            Self::ReadBlob => label::BLOB_READ_VERIFIER,
        }
    }
}

/// SHA-256(label of the kind ‖ 0x00 ‖ id ‖ capability). Public: it opens nothing.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Verifier([u8; 32]);

impl Verifier {
    /// Takes the bytes as they are.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether a capability is the one. Constant time.
    #[must_use]
    pub fn admits(&self, capability: &Capability, kind: VerifierKind, id: &[u8; 16]) -> bool {
        capability.verifier(kind, id).0.ct_eq(&self.0).into()
    }
}

message::secret!(Capability);
message::fixed!(Verifier);
