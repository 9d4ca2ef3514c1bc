//! The quota and who has which part of it. Implements spec/17-relay.md §17.2.2.
use waxwing_wire::{padding::EnvelopeSize, relay::LaneKind};

/// What a mailbox holds at most.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Quota {
    /// Bytes of envelopes.
    pub bytes: u64,
    /// Envelopes.
    pub envelopes: u32,
}

impl Default for Quota {
    /// 64 MiB and 20,000 envelopes.
    fn default() -> Self {
        Self { bytes: 64 << 20, envelopes: 20_000 }
    }
}

impl Quota {
    /// What is kept free for a pool, whatever the others do.
    #[must_use]
    pub fn share(&self, pool: Pool) -> Usage {
        let percent = pool.percent();
        let envelopes = u64::from(self.envelopes).saturating_mul(percent) / 100;
        let most = if pool == Pool::Strangers { STRANGERS } else { u32::MAX };
        Usage {
            envelopes: u32::try_from(envelopes).unwrap_or(u32::MAX).min(most),
            bytes: (self.bytes / 100)
                .saturating_mul(percent)
                .saturating_add((self.bytes % 100).saturating_mul(percent) / 100),
        }
    }
}

/// Lanes that share a part of the quota.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Pool {
    /// The contacts' key, its splits, and contacts' keys that are ending: 40%.
    Contacts,
    /// Likewise for groups: 35%.
    Groups,
    /// Likewise for own devices: 15%.
    Own,
    /// Introduction tokens: 5%, each an eighth of it.
    Tokens,
    /// Those who pay by work: 5%, and at most 256 envelopes.
    Strangers,
}

impl Pool {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Contacts, Self::Groups, Self::Own, Self::Tokens, Self::Strangers];

    /// The pool of a lane that is no split.
    #[must_use]
    pub const fn of(kind: LaneKind) -> Option<Self> {
        match kind {
            LaneKind::Contacts => Some(Self::Contacts),
            LaneKind::Groups => Some(Self::Groups),
            LaneKind::Own => Some(Self::Own),
            LaneKind::Introduction => Some(Self::Tokens),
            LaneKind::Strangers => Some(Self::Strangers),
            LaneKind::Split => None,
        }
    }

    /// As a store writes it.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Contacts => 1,
            Self::Groups => 2,
            Self::Own => 3,
            Self::Tokens => 4,
            Self::Strangers => 5,
        }
    }

    /// As a store wrote it.
    #[must_use]
    pub fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|pool| pool.number() == number)
    }

    const fn percent(self) -> u64 {
        match self {
            Self::Contacts => 40,
            Self::Groups => 35,
            Self::Own => 15,
            Self::Tokens | Self::Strangers => 5,
        }
    }
}

/// An amount of envelopes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Usage {
    /// How many.
    pub envelopes: u32,
    /// Their bytes.
    pub bytes: u64,
}

impl Usage {
    /// One more.
    pub fn add(&mut self, size: EnvelopeSize) {
        self.envelopes = self.envelopes.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes(size));
    }

    /// One less.
    pub fn remove(&mut self, size: EnvelopeSize) {
        self.envelopes = self.envelopes.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes(size));
    }

    /// Whether one more stays within `most`.
    #[must_use]
    pub fn admits(&self, size: EnvelopeSize, most: &Self) -> bool {
        self.envelopes < most.envelopes && self.bytes.saturating_add(bytes(size)) <= most.bytes
    }

    /// Halved so often.
    #[must_use]
    pub fn halved(&self, times: u8) -> Self {
        let times = u32::from(times);
        Self {
            envelopes: self.envelopes.checked_shr(times).unwrap_or_default(),
            bytes: self.bytes.checked_shr(times).unwrap_or_default(),
        }
    }

    /// The smaller of each.
    #[must_use]
    pub fn min(&self, other: &Self) -> Self {
        Self { envelopes: self.envelopes.min(other.envelopes), bytes: self.bytes.min(other.bytes) }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.envelopes = self.envelopes.saturating_add(other.envelopes);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    pub(super) fn part(&mut self, other: &Self) {
        self.envelopes = self.envelopes.saturating_sub(other.envelopes);
        self.bytes = self.bytes.saturating_sub(other.bytes);
    }
}

fn bytes(size: EnvelopeSize) -> u64 {
    u64::try_from(size.bytes()).unwrap_or(u64::MAX)
}

const STRANGERS: u32 = 256;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "small numbers")]
mod tests {
    use super::*;

    #[test]
    fn shares_are_flows_numbers_and_add_up_to_the_quota() {
        let quota = Quota::default();
        let envelopes = Pool::ALL.map(|pool| quota.share(pool).envelopes);
        assert_eq!(envelopes, [8_000, 7_000, 3_000, 1_000, 256]);
        let bytes: u64 = Pool::ALL.iter().map(|pool| quota.share(*pool).bytes).sum();
        assert!(bytes <= quota.bytes && quota.bytes - bytes < 100);
        assert_eq!(quota.share(Pool::Contacts).bytes, quota.bytes * 40 / 100);
    }

    #[test]
    fn pools_have_the_numbers_they_are_stored_by() {
        assert!(Pool::ALL.iter().all(|pool| Pool::of_number(pool.number()) == Some(*pool)));
        assert_eq!(Pool::of_number(0), None);
    }
}
