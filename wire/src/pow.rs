//! Proof of work, the price of a stranger's put and of an account or mailbox without an invitation. Implements
//! spec/14-relay-messages.md §14.4.
//!
//! ```text
//! SHA-256(label ‖ 0x00 ‖ kind ‖ challenge[32] ‖ subject[48] ‖ nonce[8]) begins with `difficulty` zero bits
//! ```
//! Invariants: a proof serves one subject and one challenge; verifying is one hash; solving stops where it is told to, and
//! goes on from there.
//! Not here: how long a challenge lives and how often it may serve (the server's).
use core::ops::Range;

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::{id::AccountId, id::MailboxId, label, padding::EnvelopeHash};

/// What has to be solved.
#[derive(Clone, Debug)]
pub struct Puzzle {
    /// The hash of all but the nonce: the first block is compressed once.
    state: Sha256,
    difficulty: Difficulty,
}

impl Puzzle {
    /// A put by the strangers' lane: bound to mailbox and envelope.
    #[must_use]
    pub fn put(challenge: &Challenge, mailbox: &MailboxId, envelope: &EnvelopeHash, difficulty: Difficulty) -> Self {
        Self::new(Kind::Put, challenge, mailbox.as_bytes(), envelope.as_bytes(), difficulty)
    }

    /// A new mailbox.
    #[must_use]
    pub fn mailbox(challenge: &Challenge, mailbox: &MailboxId, difficulty: Difficulty) -> Self {
        Self::new(Kind::Mailbox, challenge, mailbox.as_bytes(), &[0; 32], difficulty)
    }

    /// A new register or blob, by its 16-byte id.
    #[must_use]
    pub fn storage(challenge: &Challenge, id: &[u8; 16], difficulty: Difficulty) -> Self {
        Self::new(Kind::Storage, challenge, id, &[0; 32], difficulty)
    }

    /// A new account, or a name for one.
    #[must_use]
    pub fn account(challenge: &Challenge, account: &AccountId, difficulty: Difficulty) -> Self {
        Self::new(Kind::Account, challenge, &[0; 16], account.as_bytes(), difficulty)
    }

    fn new(kind: Kind, challenge: &Challenge, first: &[u8; 16], second: &[u8; 32], difficulty: Difficulty) -> Self {
        let state = Sha256::new()
            .chain_update(label::PROOF_OF_WORK.0)
            .chain_update([0, kind.byte()])
            .chain_update(challenge.0)
            .chain_update(first)
            .chain_update(second);
        Self { state, difficulty }
    }

    /// The first nonce in `nonces` that solves it; none if there is none, and then the search goes on with the next range.
    #[must_use]
    pub fn solve(&self, nonces: Range<u64>) -> Option<Nonce> {
        nonces.map(Nonce).find(|nonce| self.verify(*nonce).is_ok())
    }

    /// Whether `nonce` solves it: one hash.
    ///
    /// # Errors
    /// [`WorkError`]: solve it, at the difficulty announced now.
    pub fn verify(&self, nonce: Nonce) -> Result<(), WorkError> {
        let hash: [u8; 32] = self.state.clone().chain_update(nonce.0.to_be_bytes()).finalize().into();
        if leading_zeros(&hash) >= u32::from(self.difficulty.0) { Ok(()) } else { Err(WorkError) }
    }
}

/// How many leading zero bits are asked for: 2^n hashes on average. 0 to 40.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Difficulty(u8);

impl Difficulty {
    /// About a second on one core that has SHA instructions (spec §14.4 says how that was measured).
    pub const DEFAULT: Self = Self(24);
    /// More than this nobody has to solve: a client refuses a server that asks for it.
    pub const MAX: Self = Self(40);

    /// The number of bits.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }
}

impl TryFrom<u32> for Difficulty {
    type Error = WorkError;

    fn try_from(bits: u32) -> Result<Self, WorkError> {
        u8::try_from(bits).ok().map(Self).filter(|difficulty| *difficulty <= Self::MAX).ok_or(WorkError)
    }
}

/// A server's random 32 bytes, announced with their end. Public.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Challenge([u8; 32]);

impl Challenge {
    /// Takes the bytes as they are.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A number that solves a puzzle.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Nonce(pub u64);

/// The proof is not one at this difficulty, for this subject and challenge (spec §14.4).
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("§14.4: not a proof of the work asked for")]
pub struct WorkError;

#[derive(Clone, Copy)]
enum Kind {
    Put,
    Mailbox,
    Storage,
    Account,
}

impl Kind {
    const fn byte(self) -> u8 {
        match self {
            Self::Put => 1,
            Self::Mailbox => 2,
            Self::Storage => 3,
            Self::Account => 4,
        }
    }
}

fn leading_zeros(hash: &[u8; 32]) -> u32 {
    let zeros = hash.iter().take_while(|byte| **byte == 0).count();
    let whole = u32::try_from(zeros).unwrap_or(u32::MAX).saturating_mul(8);
    whole.saturating_add(hash.get(zeros).map_or(0, |byte| byte.leading_zeros()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn puzzle(bits: u8) -> Puzzle {
        let mailbox = MailboxId::from_bytes([1; 16]);
        Puzzle::put(&Challenge([2; 32]), &mailbox, &EnvelopeHash::from_bytes([3; 32]), Difficulty(bits))
    }

    #[test]
    fn a_solution_verifies_and_serves_nothing_else() {
        let nonce = puzzle(12).solve(0..1 << 20).unwrap();
        assert_eq!(puzzle(12).verify(nonce), Ok(()));
        let mailbox = MailboxId::from_bytes([1; 16]);
        let hash = EnvelopeHash::from_bytes([3; 32]);
        let others = [
            Puzzle::put(&Challenge([9; 32]), &mailbox, &hash, Difficulty(12)),
            Puzzle::put(&Challenge([2; 32]), &MailboxId::from_bytes([9; 16]), &hash, Difficulty(12)),
            Puzzle::put(&Challenge([2; 32]), &mailbox, &EnvelopeHash::from_bytes([9; 32]), Difficulty(12)),
            Puzzle::mailbox(&Challenge([2; 32]), &mailbox, Difficulty(12)),
            Puzzle::storage(&Challenge([2; 32]), &[1; 16], Difficulty(12)),
        ];
        assert!(others.iter().all(|other| other.verify(nonce) == Err(WorkError)));
        assert!(puzzle(40).verify(nonce).is_err());
    }

    #[test]
    fn a_search_in_pieces_finds_what_a_search_in_one_finds() {
        let whole = puzzle(12).solve(0..1 << 20);
        let mut pieces = (0..1 << 10).map(|piece| piece * 1_000..(piece + 1) * 1_000);
        assert_eq!(pieces.find_map(|piece| puzzle(12).solve(piece)), whole);
        assert_eq!(puzzle(40).solve(0..1_000), None);
    }

    #[test]
    fn bits_are_counted_from_the_first() {
        let mut hash = [0; 32];
        assert_eq!(leading_zeros(&hash), 256);
        hash[2] = 0x1f;
        assert_eq!(leading_zeros(&hash), 19);
        hash[0] = 0x80;
        assert_eq!(leading_zeros(&hash), 0);
    }

    #[test]
    fn a_difficulty_beyond_the_ceiling_is_none() {
        assert!(Difficulty::try_from(41).is_err());
        assert!(Difficulty::try_from(256 + 5).is_err());
        assert_eq!(Difficulty::try_from(40), Ok(Difficulty::MAX));
    }
}
