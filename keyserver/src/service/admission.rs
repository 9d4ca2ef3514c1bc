//! By what right something is given. Implements spec/13-frames.md §13.6 and spec/19-keyserver.md §19.8.
//!
//! Invariants: a challenge is a function of the store's secret and the hour, so that nothing is kept for it and all processes on
//! a store announce the same; an invitation is spent by the store, in the transaction that gives what it pays for.
use std::time::Duration;

use sha2::{Digest, Sha256};
use waxwing_wire::{
    frame::{Admission, ErrorCode, InviteToken, Price, Work},
    id::AccountId,
    pow::{Challenge, Difficulty, Puzzle},
    time::Timestamp,
};

/// Which ways of admission there are. The default: invitations only.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AdmissionSettings {
    /// Anybody.
    pub open: bool,
    /// Holders of an invitation.
    pub invites: bool,
    /// Whoever works that much.
    pub work: Option<Difficulty>,
}

impl Default for AdmissionSettings {
    fn default() -> Self {
        Self { open: false, invites: true, work: None }
    }
}

/// What admission costs beyond what was checked here: the invitation that the store has to spend.
pub(super) type Invite = Option<[u8; 32]>;

impl AdmissionSettings {
    /// Whether `admission` is a way in for `account`. `included` says whether its own admission pays for this.
    pub(super) fn admit(
        self,
        admission: &Admission,
        account: &AccountId,
        included: bool,
        (challenges, now): (&Challenges, Timestamp),
    ) -> Result<Invite, ErrorCode> {
        match admission {
            Admission::Open if self.open => Ok(None),
            Admission::Owner if included => Ok(None),
            Admission::Invite(token) if self.invites => Ok(Some(invite_hash(token))),
            Admission::Work(Work { challenge, nonce }) => {
                let difficulty = self.work.ok_or(ErrorCode::NotAdmitted)?;
                let puzzle = Puzzle::account(challenge, account, difficulty);
                let good = challenges.accept(challenge, now) && puzzle.verify(*nonce).is_ok();
                if good { Ok(None) } else { Err(ErrorCode::WorkRequired) }
            }
            Admission::Open | Admission::Owner | Admission::Invite(_) => Err(ErrorCode::NotAdmitted),
        }
    }

    /// What `info` announces.
    pub(super) fn price(self, challenges: &Challenges, now: Timestamp) -> Price {
        let (challenge, ends) = challenges.at(now);
        // Nobody puts anything into a mailbox here: spec §15.1 says 0.
        let strangers = Difficulty::try_from(0).unwrap_or(Difficulty::DEFAULT);
        Price { challenge, ends, open: self.open, invites: self.invites, admission: self.work, strangers }
    }
}

/// What a store keeps of an invitation: SHA-256 over its 16 bytes.
#[must_use]
pub fn invite_hash(token: &InviteToken) -> [u8; 32] {
    Sha256::digest(token.expose()).into()
}

/// One challenge an hour, for everybody.
pub(super) struct Challenges {
    secret: [u8; 32],
}

impl Challenges {
    pub(super) const fn new(secret: [u8; 32]) -> Self {
        Self { secret }
    }

    /// The challenge of this hour and its end.
    fn at(&self, now: Timestamp) -> (Challenge, Timestamp) {
        let hour = now.as_millis().checked_div(HOUR).unwrap_or(0);
        (self.of(hour), Timestamp(hour.saturating_add(1).saturating_mul(HOUR)))
    }

    /// This hour's, and the last one's for five minutes (spec §13.6).
    fn accept(&self, challenge: &Challenge, now: Timestamp) -> bool {
        let before = now.saturating_sub(GRACE);
        *challenge == self.at(now).0 || *challenge == self.at(before).0
    }

    /// Both inputs have a fixed length, so that a plain hash with a secret in front is a MAC.
    fn of(&self, hour: u64) -> Challenge {
        let hash = Sha256::new().chain_update(self.secret).chain_update(hour.to_be_bytes());
        Challenge::from_bytes(hash.finalize().into())
    }
}

impl std::fmt::Debug for Challenges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Challenges(..)")
    }
}

/// Milliseconds.
const HOUR: u64 = 3_600_000;
const GRACE: Duration = Duration::from_secs(300);

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a panic is the report")]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_lasts_its_hour_and_five_minutes_and_no_other_server_knows_it() {
        let challenges = Challenges::new([7; 32]);
        let start = Timestamp(400_000 * HOUR);
        let (challenge, ends) = challenges.at(start);
        assert_eq!(ends, start.saturating_add(Duration::from_millis(HOUR)));
        for after in [0, 1_800_000, HOUR - 1, HOUR, HOUR + 299_999] {
            assert!(challenges.accept(&challenge, start.saturating_add(Duration::from_millis(after))), "{after}");
        }
        for after in [HOUR + 300_000, 2 * HOUR] {
            assert!(!challenges.accept(&challenge, start.saturating_add(Duration::from_millis(after))), "{after}");
        }
        assert!(!challenges.accept(&challenge, start.saturating_sub(Duration::from_millis(1))), "not before its hour");
        assert_ne!(Challenges::new([8; 32]).at(start).0, challenge);
    }
}
