//! Between own devices, and what groups put into messages. Implements spec/16-content.md §16.7.
use alloc::vec::Vec;
use core::fmt;

use super::{Conversation, GroupId};
use crate::{
    id::{AccountId, DeviceId},
    message,
    proto::content as proto,
};

/// A content as this device sent it to somebody else: own devices only, refused from anybody else.
#[derive(Clone, Eq, PartialEq)]
pub struct SentCopy {
    /// An encoded [`Content`](super::Content), which is decoded by itself; no copy of a copy.
    pub content: Vec<u8>,
}
message::message!(SentCopy = proto::SentCopy { content });

impl fmt::Debug for SentCopy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SentCopy({})", self.content.len())
    }
}

/// How far was read: own devices only. Merged by the highest sequence for each device that wrote.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReadMarkers {
    /// At most 256.
    pub markers: Vec<ReadMarker>,
}
message::message!(ReadMarkers = proto::ReadMarkers { markers });

/// Everything of one writing device up to here was read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReadMarker {
    /// Where.
    pub conversation: Conversation,
    /// Whose messages.
    pub author: AccountId,
    /// From which device of theirs.
    pub device: DeviceId,
    /// [`Content::sequence`](super::Content::sequence) of the last one.
    pub sequence: u64,
}
message::message!(ReadMarker = proto::ReadMarker { conversation, author, device, sequence });

/// Sender keys, invitations and checkpoints of a group; opaque here.
#[derive(Clone, Eq, PartialEq)]
pub struct GroupPart {
    /// Which group.
    pub group: GroupId,
    /// What it is: 1 to 255, by the group documents.
    pub part: u32,
    /// At most 57,200 bytes.
    pub inside: Vec<u8>,
}
message::message!(GroupPart = proto::GroupPart { group, part, inside });

impl fmt::Debug for GroupPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, part, inside: _ } = self;
        f.debug_struct("GroupPart").field("group", group).field("part", part).finish_non_exhaustive()
    }
}
