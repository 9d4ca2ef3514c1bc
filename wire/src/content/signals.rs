//! Small messages between devices that nobody reads. Implements spec/16-content.md §16.6.
use alloc::vec::Vec;

use super::MessageId;
use crate::{message, proto::content as proto};

/// What became of messages, by the account that got them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Receipt {
    /// What.
    pub state: ReceiptState,
    /// Of which of your messages. At most 100.
    pub ids: Vec<MessageId>,
}
message::message!(Receipt = proto::Receipt { state, ids });

/// What a receipt says.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ReceiptState {
    /// A device has it.
    Delivered,
    /// It was on a screen.
    Read,
    /// A view-once was opened.
    Viewed,
}
message::numbered!(ReceiptState "§16.6.1" { Delivered = 1, Read = 2, Viewed = 3 });

/// Somebody types, or stopped. Always put online-only.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Typing {
    /// Stopped.
    pub stopped: bool,
}
message::message!(Typing = proto::Typing { stopped });

/// Messages could not be opened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Resend {
    /// Those whose names are known, at most 100; none: begin a new session.
    pub ids: Vec<MessageId>,
}
message::message!(Resend = proto::Resend { ids });
