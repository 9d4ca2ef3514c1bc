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

mod error;
mod framing;
mod plaintext;
mod prekey;
mod proto;
mod sender_key;
mod signal;

pub use self::error::DecodeError;
pub use self::framing::MAX_MESSAGE_LEN;
pub use self::plaintext::{DecryptionErrorMessage, PlaintextContent};
pub(crate) use self::prekey::PreKeyParts;
pub use self::prekey::PreKeySignalMessage;
pub use self::sender_key::{DistributionId, SenderKeyDistributionMessage, SenderKeyMessage};
pub use self::signal::SignalMessage;
pub(crate) use self::signal::SignalParts;

/// What [`Session::seal`](crate::Session::seal) makes: an ordinary message, or one that also starts the session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CiphertextMessage {
    /// The peer has not answered yet: it needs what the agreement needs. Type 3 of the official library.
    PreKey(PreKeySignalMessage),
    /// An ordinary message. Type 2 of the official library.
    Signal(SignalMessage),
}

impl CiphertextMessage {
    /// The bytes that travel. They do not say which kind they are: the envelope must.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::PreKey(message) => message.as_bytes(),
            Self::Signal(message) => message.as_bytes(),
        }
    }
}
