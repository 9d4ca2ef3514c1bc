//! Message formats. Implements spec/04-messages.md.
//!
//! ```text
//! SignalMessage                  version ‖ protobuf ‖ MAC[8]
//! PreKeySignalMessage            version ‖ protobuf            (carries a SignalMessage)
//! SenderKeyMessage               version ‖ protobuf ‖ signature[64]
//! SenderKeyDistributionMessage   version ‖ protobuf
//! PlaintextContent               0xC0 ‖ protobuf ‖ 0x80        (carries a DecryptionErrorMessage)
//! ```
//! Invariants: nothing longer than [`MAX_MESSAGE_LEN`] is parsed; what we emit is byte for byte what Signal's official
//! library emits from the same values; a decoded message keeps the bytes that its MAC or signature covers.
//! Not here: keys and authenticity (`session`).

use alloc::vec::Vec;

mod error;
pub(crate) mod framing;
mod plaintext;
mod prekey;
mod proto;
mod sender_key;
mod signal;

pub use self::error::DecodeError;
pub use self::framing::MAX_MESSAGE_LEN;
pub use self::plaintext::{DecryptionErrorMessage, OriginalMessage, PlaintextContent};
pub use self::prekey::PreKeySignalMessage;
pub(crate) use self::prekey::{PreKeyParts, PreKeyWrapper, wrap};
pub use self::sender_key::{DistributionId, SenderKeyDistributionMessage, SenderKeyMessage};
pub use self::signal::SignalMessage;
#[cfg(feature = "hazmat")]
pub(crate) use self::signal::macs_are_equal;
pub(crate) use self::signal::{SignalParts, seal};

/// Which of the two formats of a session's messages it is. The bytes do not say it: the envelope must.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum MessageKind {
    /// A [`PreKeySignalMessage`]: the peer has not answered yet. Type 3 of the official library.
    PreKey,
    /// A [`SignalMessage`]. Type 2 of the official library.
    Signal,
}

/// What [`Session::seal`](crate::Session::seal) makes: bytes to send, and which kind they are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CiphertextMessage {
    pub(crate) kind: MessageKind,
    pub(crate) bytes: Vec<u8>,
}

impl CiphertextMessage {
    /// What the envelope must say.
    #[must_use]
    pub const fn kind(&self) -> MessageKind {
        self.kind
    }

    /// The bytes that travel.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes that travel.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}
