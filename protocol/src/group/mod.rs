//! Sender keys: a group's messages, sealed once for all members. Implements spec/07-sender-keys.md.
//!
//! ```text
//!   sender                                              every other member, per sending device
//!   SenderKey ──distribution_message, pairwise────────▶ PeerSenderKeys::process
//!       │                                               newest chain first, at most 5
//!       └─seal: chain step, AES-CBC, one signature────▶ open: signature, chain step, AES-CBC
//! ```
//! As with sessions, an operation returns a guard that holds what would change: persist its `delta`, then `commit`;
//! dropping it leaves everything as it was.
//! Invariants: nothing is derived for a message before its signature was found right, and nothing changes before `commit`;
//! a message key seals or opens once; one function verifies signatures (`curve`).
//! Not here: who is a member and when keys rotate (the caller), how a distribution message reaches a member (`session`),
//! bytes of messages (`message`).

mod chain;
mod delta;
mod error;
mod message_keys;
mod open;
mod peer;
mod process;
mod record;
mod sender_key;

pub(crate) use self::chain::ReceivingChain;
pub use self::delta::GroupDelta;
pub use self::error::{GroupOpenError, GroupSealError, WrongDistribution};
pub use self::open::OpenedGroupMessage;
pub use self::peer::PeerSenderKeys;
pub(crate) use self::peer::{MAX_STATES, PeerState};
pub use self::process::{Processed, ProcessedDistribution};
pub use self::sender_key::{SealedGroupMessage, SenderKey};
