//! By what right something is given. Implements spec/13-frames.md §13.6 and spec/17-relay.md §17.11.
//!
//! Invariants: a challenge is a function of a secret and the hour, so that nothing is kept for it; an invitation is spent by the
//! store, in the transaction that makes what it pays for.
use std::{fmt, time::Duration};

use sha2::{Digest, Sha256};
use waxwing_wire::{
    frame::{Admission, ErrorCode, InviteToken, Price, Work},
    id::MailboxId,
    padding::EnvelopeHash,
    pow::{Challenge, Difficulty, Puzzle},
    time::Timestamp,
};

/// Which ways of admission there are. The default: invitations only; strangers work for about a second.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AdmissionSettings {
    /// Anybody.
    pub open: bool,
    /// Holders of an invitation.
    pub invites: bool,
    /// Whoever works that much.
    pub work: Option<Difficulty>,
    /// What a put by the strangers' lane costs.
    pub strangers: Difficulty,
}

impl Default for AdmissionSettings {
    fn default() -> Self {
        Self { open: false, invites: true, work: None, strangers: Difficulty::DEFAULT }
    }
}

/// What admission costs beyond what was checked here: the hash of an invitation that the store has to spend.
pub(crate) type Invite = Option<[u8; 32]>;

impl AdmissionSettings {
    /// Whether `admission` is a way in for a new mailbox.
    ///
    /// `Owner` is none: a mailbox has an owner of its own, and a new one is nobody's yet.
    pub(crate) fn admit(
        self,
        admission: &Admission,
        mailbox: &MailboxId,
        challenges: &Challenges,
        now: Timestamp,
    ) -> Result<Invite, ErrorCode> {
        let puzzle = |challenge: &Challenge, difficulty| Puzzle::mailbox(challenge, mailbox, difficulty);
        self.admit_by(admission, puzzle, challenges, now)
    }

    /// The same for a new register or blob, by its id. `Owner` is not decided here.
    pub(crate) fn admit_storage(
        self,
        admission: &Admission,
        id: &[u8; 16],
        challenges: &Challenges,
        now: Timestamp,
    ) -> Result<Invite, ErrorCode> {
        let puzzle = |challenge: &Challenge, difficulty| Puzzle::storage(challenge, id, difficulty);
        self.admit_by(admission, puzzle, challenges, now)
    }

    fn admit_by(
        self,
        admission: &Admission,
        puzzle: impl Fn(&Challenge, Difficulty) -> Puzzle,
        challenges: &Challenges,
        now: Timestamp,
    ) -> Result<Invite, ErrorCode> {
        match admission {
            Admission::Open if self.open => Ok(None),
            Admission::Invite(token) if self.invites => Ok(Some(invite_hash(token))),
            Admission::Work(work) => {
                let difficulty = self.work.ok_or(ErrorCode::NotAdmitted)?;
                challenges.check(work, &puzzle(&work.challenge, difficulty), now).map(|()| None)
            }
            Admission::Open | Admission::Owner | Admission::Invite(_) => Err(ErrorCode::NotAdmitted),
        }
    }

    /// Whether a stranger worked enough for this envelope.
    pub(crate) fn stranger(
        self,
        work: &Work,
        (mailbox, hash): (&MailboxId, &EnvelopeHash),
        challenges: &Challenges,
        now: Timestamp,
    ) -> Result<(), ErrorCode> {
        challenges.check(work, &Puzzle::put(&work.challenge, mailbox, hash, self.strangers), now)
    }

    /// What `info` announces.
    pub(crate) fn price(self, challenges: &Challenges, now: Timestamp) -> Price {
        let Self { open, invites, work: admission, strangers } = self;
        let (challenge, ends) = challenges.at(now);
        Price { challenge, ends, open, invites, admission, strangers }
    }
}

/// What a store keeps of an invitation: SHA-256 over its 16 bytes.
#[must_use]
pub fn invite_hash(token: &InviteToken) -> [u8; 32] {
    Sha256::digest(token.expose()).into()
}

/// One challenge an hour, for everybody.
pub(crate) struct Challenges {
    secret: [u8; 32],
}

impl Challenges {
    pub(crate) const fn new(secret: [u8; 32]) -> Self {
        Self { secret }
    }

    /// The challenge of this hour and its end.
    fn at(&self, now: Timestamp) -> (Challenge, Timestamp) {
        let hour = now.as_millis().checked_div(HOUR).unwrap_or(0);
        (self.of(hour), Timestamp(hour.saturating_add(1).saturating_mul(HOUR)))
    }

    /// This hour's, and the last one's for five minutes; then one hash for the nonce.
    fn check(&self, work: &Work, puzzle: &Puzzle, now: Timestamp) -> Result<(), ErrorCode> {
        let before = now.saturating_sub(GRACE);
        let current = work.challenge == self.at(now).0 || work.challenge == self.at(before).0;
        if current && puzzle.verify(work.nonce).is_ok() { Ok(()) } else { Err(ErrorCode::WorkRequired) }
    }

    /// Both inputs have a fixed length, so that a plain hash with a secret in front is a MAC.
    fn of(&self, hour: u64) -> Challenge {
        let hash = Sha256::new().chain_update(self.secret).chain_update(hour.to_be_bytes());
        Challenge::from_bytes(hash.finalize().into())
    }
}

impl fmt::Debug for Challenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Challenges(..)")
    }
}

/// Milliseconds.
const HOUR: u64 = 3_600_000;
const GRACE: Duration = Duration::from_secs(300);

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "a panic is the report")]
mod tests {
    use super::*;

    fn solved(challenges: &Challenges, now: Timestamp, bits: u32) -> (Work, Puzzle) {
        let challenge = challenges.at(now).0;
        let mailbox = MailboxId::from_bytes([1; 16]);
        let puzzle = Puzzle::mailbox(&challenge, &mailbox, Difficulty::try_from(bits).unwrap());
        (Work { challenge, nonce: puzzle.solve(0..1 << 20).unwrap() }, puzzle)
    }

    #[test]
    fn a_challenge_serves_its_hour_and_five_minutes_and_no_other_relay_takes_it() {
        let challenges = Challenges::new([7; 32]);
        let start = Timestamp(400_000 * HOUR);
        let (work, puzzle) = solved(&challenges, start, 8);
        assert_eq!(challenges.at(start).1, start.saturating_add(Duration::from_millis(HOUR)));
        for after in [0, 1_800_000, HOUR - 1, HOUR, HOUR + 299_999] {
            let now = start.saturating_add(Duration::from_millis(after));
            assert_eq!(challenges.check(&work, &puzzle, now), Ok(()), "{after}");
        }
        for now in [Timestamp(400_001 * HOUR + 300_000), Timestamp(400_002 * HOUR), Timestamp(start.0 - 1)] {
            assert_eq!(challenges.check(&work, &puzzle, now), Err(ErrorCode::WorkRequired), "{now:?}");
        }
        assert!(Challenges::new([8; 32]).check(&work, &puzzle, start).is_err());
    }

    #[test]
    fn only_the_offered_ways_lead_in() {
        let (challenges, now, mailbox) = (Challenges::new([7; 32]), Timestamp(HOUR), MailboxId::from_bytes([1; 16]));
        let shut = AdmissionSettings { open: false, invites: false, work: None, strangers: Difficulty::DEFAULT };
        let eight = Difficulty::try_from(8).unwrap();
        let work = || Admission::Work(solved(&challenges, now, 8).0);
        let invite = || Admission::Invite(InviteToken::from_bytes([5; 16]));
        let admit = |settings: AdmissionSettings, way: &Admission| settings.admit(way, &mailbox, &challenges, now);
        for way in [Admission::Open, Admission::Owner, invite(), work()] {
            assert_eq!(admit(shut, &way), Err(ErrorCode::NotAdmitted), "{way:?}");
        }
        assert_eq!(admit(AdmissionSettings { open: true, ..shut }, &Admission::Open), Ok(None));
        assert_eq!(admit(AdmissionSettings { work: Some(eight), ..shut }, &work()), Ok(None));
        let harder = AdmissionSettings { work: Some(Difficulty::MAX), ..shut };
        assert_eq!(admit(harder, &work()), Err(ErrorCode::WorkRequired));
        let hash = admit(AdmissionSettings { invites: true, ..shut }, &invite());
        assert_eq!(hash, Ok(Some(invite_hash(&InviteToken::from_bytes([5; 16])))));
    }
}
