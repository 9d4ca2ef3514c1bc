//! What two people compare. Implements spec/20-client.md §20.7.7 and spec/09-safety-numbers.md.
use core::fmt;

use thiserror::Error;
use waxwing_protocol::{
    CompareError, Fingerprint, FingerprintVersion, IdentityKey, Iterations, SafetyNumber as Compared,
    ScannableFingerprint,
};
use waxwing_wire::keys::RecoveryPublicKey;

/// The safety number of two accounts: both see the same, and it never changes. Nothing of it is secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SafetyNumber(Compared);

/// What came of comparing with what was scanned.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum ScanError {
    /// It is no safety number's code.
    #[error("this is not the code of a safety number")]
    NotASafetyNumber,
    /// It is of another version: whoever has the lower one must update.
    #[error("the code is of version {theirs}, ours is {ours}")]
    Version {
        /// Ours.
        ours: u32,
        /// As scanned.
        theirs: u32,
    },
    /// It is of other accounts: do not talk until it is clear why.
    #[error("the safety numbers are different")]
    Different,
}

impl SafetyNumber {
    /// None if one of the keys has no form that a fingerprint takes, which nobody's has that was verified.
    pub(crate) fn between(own: &RecoveryPublicKey, theirs: &RecoveryPublicKey) -> Option<Self> {
        let fingerprint = |key: &RecoveryPublicKey| {
            let identity = IdentityKey::from_ed25519(key.as_bytes()).ok()?;
            Some(Fingerprint::new(&identity, key.account_id().as_bytes(), Iterations::STANDARD))
        };
        let (local, remote) = (fingerprint(own)?, fingerprint(theirs)?);
        Some(Self(Compared { version: FingerprintVersion::AccountId, local, remote }))
    }

    /// The 60 digits, to be read aloud.
    #[must_use]
    pub fn digits(&self) -> String {
        self.0.display()
    }

    /// For the code on the screen, which the other side scans.
    #[must_use]
    pub fn scannable(&self) -> Vec<u8> {
        self.0.scannable().encode()
    }

    /// Compares with what was scanned from the other's screen.
    ///
    /// # Errors
    /// [`ScanError`], unless both are about the same two accounts.
    pub fn compare(&self, scanned: &[u8]) -> Result<(), ScanError> {
        let scanned = ScannableFingerprint::decode(scanned).map_err(|_| ScanError::NotASafetyNumber)?;
        self.0.compare(&scanned).map_err(|error| match error {
            CompareError::Version { ours, theirs } => ScanError::Version { ours, theirs },
            _ => ScanError::Different,
        })
    }
}

/// In 12 groups of five digits.
impl fmt::Display for SafetyNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, digit) in self.digits().chars().enumerate() {
            if place > 0 && place.checked_rem(5) == Some(0) {
                f.write_str(" ")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}
