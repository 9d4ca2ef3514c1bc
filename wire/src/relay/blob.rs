//! Blobs: large sealed objects in chunks. Implements spec/14-relay-messages.md §14.8.
//!
//! ```text
//! blob stream, writing: kind[1] ‖ frame(WriteBlob) ‖ chunk ‖ chunk …          ◀── frame(BlobState)
//! blob stream, reading: kind[1] ‖ frame(ReadBlob)                             ◀── frame(BlobState) ‖ chunk ‖ chunk …
//! ```
//! Invariants: chunks have one size and are written in order, so `written` is all there is to resume by.
use super::{Capability, Verifier};
use crate::{
    frame::Admission,
    id::BlobId,
    message::{self, Broken, FromWire, ToWire},
    proto::relay as proto,
    sealed::ChunkSize,
    time::Timestamp,
};

/// Creates a blob without chunks. Again with the same values: the same.
#[derive(Debug, Eq, PartialEq)]
pub struct CreateBlob {
    /// Random.
    pub blob: BlobId,
    /// Size of every chunk.
    pub chunk: ChunkSize,
    /// How many chunks there will be: 1 to 262,144.
    pub count: u32,
    /// For writing and deleting.
    pub write_verifier: Verifier,
    /// For reading.
    pub read_verifier: Verifier,
    /// By what right.
    pub admission: Admission,
}
message::message!(CreateBlob = proto::CreateBlob { blob, chunk, count, write_verifier, read_verifier, admission });

/// Asks how much of a blob is there.
#[derive(Debug, Eq, PartialEq)]
pub struct BlobStatus {
    /// Which.
    pub blob: BlobId,
    /// The write or the read capability.
    pub capability: Capability,
}
message::message!(BlobStatus = proto::BlobStatus { blob, capability });

/// Ends a blob.
#[derive(Debug, Eq, PartialEq)]
pub struct DeleteBlob {
    /// Which.
    pub blob: BlobId,
    /// The write capability.
    pub capability: Capability,
}
message::message!(DeleteBlob = proto::DeleteBlob { blob, capability });

/// Announces chunks that follow without frames.
#[derive(Debug, Eq, PartialEq)]
pub struct TransferBlob {
    /// Which.
    pub blob: BlobId,
    /// The write or the read capability.
    pub capability: Capability,
    /// The first chunk, from 0; for writing, the first that is not there yet.
    pub first: u32,
    /// How many.
    pub count: u32,
}
message::message!(TransferBlob = proto::TransferBlob { blob, capability, first, count });

/// How much of a blob is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BlobState {
    /// Size of every chunk.
    pub chunk: ChunkSize,
    /// How many there will be.
    pub count: u32,
    /// How many are on stable storage, from the first on.
    pub written: u32,
    /// When the relay forgets it.
    pub ends: Timestamp,
}

impl ToWire<proto::BlobState> for BlobState {
    fn to_wire(&self) -> proto::BlobState {
        let Self { chunk, count, written, ends } = self;
        proto::BlobState { chunk: chunk.to_wire(), count: *count, written: *written, ends: ends.to_wire() }
    }
}

impl FromWire<proto::BlobState> for BlobState {
    fn from_wire(wire: proto::BlobState) -> Result<Self, Broken> {
        if wire.written > wire.count {
            return Err(Broken::rule("§14.8.3").at("BlobState", "written"));
        }
        let chunk = FromWire::from_wire(wire.chunk).map_err(|broken| broken.at("BlobState", "chunk"))?;
        Ok(Self { chunk, count: wire.count, written: wire.written, ends: FromWire::from_wire(wire.ends)? })
    }
}

message::numbered!(ChunkSize "§14.8.1" { K64 = 1, K256 = 2, M1 = 3, M4 = 4 });
