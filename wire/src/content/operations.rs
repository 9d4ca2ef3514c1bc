//! What changes or answers other messages. Implements spec/16-content.md §16.5.
//!
//! Invariants: a target is named by author and id, and whether the sender may is the reader's to check; of two operations by
//! one author on one target the higher revision counts, so that order of arrival does not matter.
use alloc::{string::String, vec::Vec};

use super::{ContentError, MessageReference, Text};
use crate::{message, proto::content as proto};

/// An emoji on a message; one of each author's on each message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reaction {
    /// On what.
    pub target: MessageReference,
    /// At most 64 bytes.
    pub emoji: String,
    /// Takes it away again.
    pub remove: bool,
}
message::message!(Reaction = proto::Reaction { target, emoji, remove });

/// Another text in the place of one's own.
#[derive(Debug, Eq, PartialEq)]
pub struct Edit {
    /// Of what.
    pub target: MessageReference,
    /// From 1.
    pub revision: u32,
    /// What it says now.
    pub text: Text,
}
message::message!(Edit = proto::Edit { target, revision, text });

/// Takes one's own message back; an admin's in a group is the group documents'.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Delete {
    /// Which.
    pub target: MessageReference,
}
message::message!(Delete = proto::Delete { target });

/// The conversation's disappearing timer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timer {
    /// 0: messages stay. At most a year.
    pub seconds: u32,
    /// Of two the higher counts, then the longer time.
    pub revision: u32,
}
message::message!(Timer = proto::Timer { seconds, revision });

/// A place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Location {
    /// A geo URI (RFC 5870), at most 256 bytes; not checked here.
    pub geo: String,
}
message::message!(Location = proto::Location { geo });

/// A question with answers to choose from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Poll {
    /// At most 512 bytes.
    pub question: String,
    /// At most 16, of at most 256 bytes.
    pub options: Vec<String>,
    /// Whether more than one may be chosen.
    pub several: bool,
}
message::message!(Poll = proto::Poll { question, options, several });

/// An answer to a poll.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Vote {
    /// The poll.
    pub target: MessageReference,
    /// Of two the higher counts.
    pub revision: u32,
    /// Indexes of options; none takes the vote back.
    pub options: Vec<u32>,
}
message::message!(Vote = proto::Vote { target, revision, options });

impl Edit {
    pub(super) fn check(&self) -> Result<(), ContentError> {
        self.text.check()
    }
}

/// Bodies whose table says everything.
macro_rules! plain {
    ($($name:ty),* $(,)?) => {$(
        impl $name {
            #[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "as the bodies that have something to check")]
            pub(super) const fn check(&self) -> Result<(), ContentError> {
                Ok(())
            }
        }
    )*};
}
plain!(
    Reaction,
    Delete,
    Timer,
    Location,
    Poll,
    Vote,
    super::Receipt,
    super::Typing,
    super::Resend,
    super::ReadMarkers,
    super::SentCopy,
    super::PassedOn,
    super::ContactCopy,
    super::OwnLinks,
    super::GroupPart,
    super::ProfileKey,
    super::Introduction,
);
