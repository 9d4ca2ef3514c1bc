//! The memory that makes a last-resort Kyber prekey safe against replayed first messages (spec §2.4).
//!
//! A one-time prekey can answer one first message because it is gone afterwards. A last-resort key stays, so its owner
//! must remember what it answered, for as long as the key exists; otherwise the same first message opens again and again
//! (X3DH §4.2, PQXDH §4.2; ATTACKS A5).

use alloc::collections::BTreeSet;

use thiserror::Error;

use super::private::{KyberPrekeyId, SignedPrekeyId};
use crate::curve::{BaseKey, PublicKeyError};

/// A prekey that stays after it answered.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum LastResortKey {
    /// With PQXDH: the Kyber prekey that is handed out when no one-time ones are left.
    Kyber(KyberPrekeyId),
    /// With X3DH and no one-time prekey: the signed prekey itself.
    Signed(SignedPrekeyId),
}

/// That a last-resort prekey answered this first message. Store it with the session; see [`LastResortUses`].
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct LastResortUse {
    pub(crate) key: LastResortKey,
    pub(crate) signed_prekey_id: SignedPrekeyId,
    pub(crate) base_key: BaseKey,
}

/// Bytes from storage are no [`LastResortUse`]: the storage is damaged.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum LastResortUseError {
    /// Not exactly 42 bytes that begin with 0 or 1.
    #[error("a last-resort use is not 42 bytes that begin with 0 or 1")]
    Format,
    /// The base key inside does not parse.
    #[error("base key: {0}")]
    BaseKey(#[from] PublicKeyError),
}

impl LastResortUse {
    /// Which key it was: when that key's private half is deleted, its uses may be too.
    #[must_use]
    pub const fn key(&self) -> LastResortKey {
        self.key
    }

    /// 42 bytes: kind (0 Kyber, 1 signed) ‖ key id (4, big-endian) ‖ signed prekey id (4) ‖ base key (33). A unique key
    /// for a table.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 42] {
        let (kind, id) = match self.key {
            LastResortKey::Kyber(id) => (0, id.0),
            LastResortKey::Signed(id) => (1, id.0),
        };
        let mut bytes = [kind; 42];
        let [_, rest @ ..] = &mut bytes;
        let (ids, base_key) = rest.split_at_mut(8);
        let (key_id, signed) = ids.split_at_mut(4);
        key_id.copy_from_slice(&id.to_be_bytes());
        signed.copy_from_slice(&self.signed_prekey_id.0.to_be_bytes());
        base_key.copy_from_slice(&self.base_key.to_bytes());
        bytes
    }

    /// Restores what [`Self::to_bytes`] gave.
    ///
    /// # Errors
    /// [`LastResortUseError`]: the storage is damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LastResortUseError> {
        let bytes: &[u8; 42] = bytes.try_into().map_err(|_| LastResortUseError::Format)?;
        let [kind, a, b, c, d, e, f, g, h, base_key @ ..] = bytes;
        let id = u32::from_be_bytes([*a, *b, *c, *d]);
        let key = match kind {
            0 => LastResortKey::Kyber(KyberPrekeyId(id)),
            1 => LastResortKey::Signed(SignedPrekeyId(id)),
            _ => return Err(LastResortUseError::Format),
        };
        let signed_prekey_id = SignedPrekeyId(u32::from_be_bytes([*e, *f, *g, *h]));
        Ok(Self { key, signed_prekey_id, base_key: BaseKey::parse(base_key)? })
    }
}

/// All uses of the last-resort prekeys that still exist, or those that a database holds of the one message in hand.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LastResortUses(BTreeSet<LastResortUse>);

impl LastResortUses {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeSet::new())
    }

    /// Whether this first message was answered before.
    #[must_use]
    pub fn contains(&self, last_resort_use: &LastResortUse) -> bool {
        self.0.contains(last_resort_use)
    }

    /// Remembers one.
    pub fn insert(&mut self, last_resort_use: LastResortUse) {
        self.0.insert(last_resort_use);
    }

    /// Forgets the uses of a key whose private half is deleted.
    pub fn forget(&mut self, key: LastResortKey) {
        self.0.retain(|last_resort_use| last_resort_use.key != key);
    }

    /// What to store.
    pub fn iter(&self) -> impl Iterator<Item = &LastResortUse> {
        self.0.iter()
    }
}

impl FromIterator<LastResortUse> for LastResortUses {
    fn from_iter<T: IntoIterator<Item = LastResortUse>>(uses: T) -> Self {
        Self(uses.into_iter().collect())
    }
}
