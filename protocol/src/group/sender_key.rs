//! Our own sender key: what this device seals a group's messages with (spec §7.1, §7.3).

use alloc::vec::Vec;
use core::fmt;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::delta::GroupDelta;
use super::error::GroupSealError;
use super::message_keys::GroupMessageKeys;
use super::record;
use crate::curve::{KeyPair, VerifyingKey};
use crate::message::{DistributionId, MAX_MESSAGE_LEN, SenderKeyDistributionMessage, SenderKeyMessage};
use crate::ratchet::ChainKey;

/// Room for everything but the ciphertext: ids, signature and framing.
const OVERHEAD: usize = 256;

/// One device's key for its messages to one group (spec §7.1).
///
/// Whoever has its [distribution message](Self::distribution_message) reads everything that is sealed from then on; so
/// when a member leaves or a device is revoked, generate another one. It heals from no compromise by itself: replace it
/// now and then.
pub struct SenderKey {
    pub(super) distribution_id: DistributionId,
    pub(super) chain_id: u32,
    pub(super) chain_key: ChainKey,
    pub(super) signing: KeyPair,
}

/// A message that was sealed and a sender key that has not moved yet.
#[must_use = "persist the delta, then commit and send; drop to leave the sender key unchanged"]
#[derive(Debug)]
pub struct SealedGroupMessage<'k> {
    sender_key: &'k mut SenderKey,
    chain_key: ChainKey,
    message: SenderKeyMessage,
}

impl SenderKey {
    /// Makes one under `distribution_id`, which the group's members look it up by. Draws 68 random bytes. Persist its
    /// [`Self::records`] before anybody gets its distribution message.
    #[must_use]
    pub fn generate(distribution_id: DistributionId, rng: &mut impl CryptoRng) -> Self {
        // 31 bits: some of the official library's older storage was signed.
        let chain_id = rng.next_u32() >> 1;
        let mut chain_key = Zeroizing::new([0; 32]);
        rng.fill_bytes(chain_key.as_mut());
        Self { distribution_id, chain_id, chain_key: ChainKey::new(&chain_key, 0), signing: KeyPair::generate(rng) }
    }

    pub(crate) fn from_parts(
        distribution_id: DistributionId,
        chain_id: u32,
        chain_key: ChainKey,
        signing: KeyPair,
    ) -> Self {
        Self { distribution_id, chain_id, chain_key, signing }
    }

    /// What every member's device must get, each inside its pairwise session, to read what is sealed from now on, and
    /// nothing older.
    #[must_use]
    pub fn distribution_message(&self) -> SenderKeyDistributionMessage {
        let signing_key = VerifyingKey::new(self.signing.public());
        SenderKeyDistributionMessage::new(self.distribution_id, self.chain_id, &self.chain_key, signing_key)
    }

    /// Seals `plaintext` for the group (spec §7.3). Dropping the result leaves the sender key as it was.
    ///
    /// The ciphertext is 1 to 16 bytes longer, the message some 95 bytes more than that. It hides content, not length: pad
    /// `plaintext` first if its length says something. The signature proves to every member, and to whoever a member
    /// shows it, that this sender key made the message: group messages cannot be denied as pairwise ones can. Draws 64
    /// random bytes.
    ///
    /// # Errors
    /// [`GroupSealError`] says whether to generate a new sender key.
    pub fn seal(
        &mut self,
        plaintext: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<SealedGroupMessage<'_>, GroupSealError> {
        if plaintext.len() > MAX_MESSAGE_LEN.saturating_sub(OVERHEAD) {
            return Err(GroupSealError::TooLong { got: plaintext.len() });
        }
        let next = self.chain_key.next()?;
        let ciphertext = GroupMessageKeys::derive(&self.chain_key.message_seed()).encrypt(plaintext);
        let (distribution_id, chain_id, iteration) = (self.distribution_id, self.chain_id, self.chain_key.index());
        let message = SenderKeyMessage::new(distribution_id, chain_id, iteration, ciphertext, |signed| {
            self.signing.sign(&[signed], rng)
        });
        Ok(SealedGroupMessage { sender_key: self, chain_key: next, message })
    }

    /// What the group's members look it up by.
    #[must_use]
    pub const fn distribution_id(&self) -> DistributionId {
        self.distribution_id
    }

    /// Its random name within the distribution id, 31 bits.
    #[must_use]
    pub const fn chain_id(&self) -> u32 {
        self.chain_id
    }

    /// The number of the next message: how many were sealed. A measure of when to replace the key.
    #[must_use]
    pub const fn iteration(&self) -> u32 {
        self.chain_key.index()
    }
}

impl SealedGroupMessage<'_> {
    /// What must be on disk before the message leaves: otherwise a restart would use its key again.
    pub fn delta(&self) -> GroupDelta {
        GroupDelta { writes: Vec::from([record::own(self.sender_key, &self.chain_key)]) }
    }

    /// Moves the sender key on, and hands out what to send.
    #[must_use = "send the message"]
    pub fn commit(self) -> SenderKeyMessage {
        self.sender_key.chain_key = self.chain_key;
        self.message
    }
}

impl fmt::Debug for SenderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { distribution_id: _, chain_id, chain_key, signing: _ } = self;
        f.debug_struct("SenderKey").field("chain_id", chain_id).field("chain_key", chain_key).finish_non_exhaustive()
    }
}
