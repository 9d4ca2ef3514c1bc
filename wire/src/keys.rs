//! The keys of an account and where they come from. Implements spec/11-identity.md §11.2.
use crate::{id::AccountId, label, signature::role};

role!(
    /// The key an account is named after; verifies generation statements.
    RecoveryPublicKey,
    /// Derives from the 24 words and is kept by no device; signs generation statements only.
    RecoveryKey
);

impl RecoveryPublicKey {
    /// The account that this key is the root of all trust for: SHA-256(label ‖ 0x00 ‖ key) (spec §11.2.2).
    #[must_use]
    pub fn account_id(&self) -> AccountId {
        AccountId::from_bytes(label::ACCOUNT_ID.hash(self.as_bytes()))
    }

    /// The Montgomery form of the key, for the safety number (spec §11.2.4). 32 bytes.
    #[must_use]
    pub fn to_montgomery(&self) -> [u8; 32] {
        self.0.to_montgomery()
    }
}
