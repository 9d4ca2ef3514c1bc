//! Safety numbers equal, digit for digit and byte for byte; alternate identities acknowledged both ways.

use libtest_mimic::Failed;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use waxwing_protocol::{
    CompareError, Fingerprint, FingerprintVersion, IdentityKey, IdentityKeyPair, Iterations, SafetyNumber,
    ScannableFingerprint, Signature,
};
use waxwing_tests::peer::{Bytes, FingerprintInput, Version};

use super::{Boxed, expect};
use crate::stage;

pub(super) fn trials() -> Vec<(String, Boxed)> {
    let mut trials: Vec<(String, Boxed)> = Vec::new();
    for version in Version::ALL {
        let name = format!("waxwing::safety_numbers::{version}");
        trials.push((name.clone(), Box::new(move || safety_numbers(&name, version))));
        let name = format!("waxwing::alternate_identities::{version}");
        trials.push((name.clone(), Box::new(move || alternate_identities(&name, version))));
    }
    trials
}

fn safety_numbers(name: &str, version: Version) -> Result<(), Failed> {
    let peer = stage::peer(version);
    stage::runs(name, |seed| {
        let rng = &mut ChaCha20Rng::seed_from_u64(seed);
        let mut side = || {
            let mut id = vec![0; rng.next_u32() as usize % 50];
            rng.fill_bytes(&mut id);
            (*IdentityKeyPair::generate(rng).public_key(), id)
        };
        let (local, remote) = (side(), side());
        let count = if seed.is_multiple_of(3) { 5_200 } else { 2 + rng.next_u32() % 3_000 };
        let iterations = Iterations::new(count).expect("in range");
        let kind = if seed.is_multiple_of(2) { FingerprintVersion::AccountId } else { FingerprintVersion::PhoneNumber };
        let of = |(key, id): &(IdentityKey, Vec<u8>)| Fingerprint::new(key, id, iterations);
        let ours = SafetyNumber { version: kind, local: of(&local), remote: of(&remote) };
        let input = |local: &(IdentityKey, Vec<u8>), remote: &(IdentityKey, Vec<u8>)| FingerprintInput {
            iterations: count,
            version: kind.number(),
            local_id: local.1.clone().into(),
            local_key: local.0.to_bytes().into(),
            remote_id: remote.1.clone().into(),
            remote_key: remote.0.to_bytes().into(),
        };
        let same_side = peer.fingerprint(&input(&local, &remote))?;
        let other_side = peer.fingerprint(&input(&remote, &local))?;
        expect(ours.display() == same_side.display && ours.display() == other_side.display, "the digits are equal")?;
        let scannable = ours.scannable().encode();
        expect(*same_side.scannable == *scannable, "the codes are equal")?;

        // Each scans the other, its own code, and a code with a changed byte.
        let scanned = ScannableFingerprint::decode(&other_side.scannable)?;
        expect(ours.compare(&scanned) == Ok(()), "we accept the library's code")?;
        expect(peer.compare_fingerprints(&other_side.scannable, &scannable)?, "the library accepts ours")?;
        let own = ScannableFingerprint::decode(&same_side.scannable)?;
        expect(ours.compare(&own) == Err(CompareError::Different), "one's own code is refused by us")?;
        expect(!peer.compare_fingerprints(&same_side.scannable, &scannable)?, "and by the library")?;
        let mut changed = other_side.scannable.to_vec();
        let at = 6 + rng.next_u32() as usize % 32;
        changed[at] ^= 1;
        let scanned = ScannableFingerprint::decode(&changed)?;
        expect(ours.compare(&scanned) == Err(CompareError::Different), "a changed byte is noticed by us")?;
        expect(!peer.compare_fingerprints(&scannable, &changed)?, "and by the library")
    })
}

fn alternate_identities(name: &str, version: Version) -> Result<(), Failed> {
    let peer = stage::peer(version);
    stage::runs(name, |seed| {
        let rng = &mut ChaCha20Rng::seed_from_u64(seed);
        let (one, other) = (IdentityKeyPair::generate(rng), IdentityKeyPair::generate(rng));
        let (public, acknowledged) = (one.public_key().to_bytes(), other.public_key().to_bytes());
        let ours = one.sign_alternate_identity(other.public_key(), rng);
        expect(peer.verify_alternate_identity(&public, &acknowledged, ours.as_bytes())?, "the library verifies ours")?;
        let reverse = peer.verify_alternate_identity(&acknowledged, &public, ours.as_bytes())?;
        expect(!reverse, "not in the other direction")?;
        let theirs: Bytes = peer.sign_alternate_identity(one.private_key().as_slice(), &acknowledged)?;
        let theirs = Signature::from_bytes((&*theirs).try_into()?);
        expect(one.public_key().verify_alternate_identity(other.public_key(), &theirs).is_ok(), "we verify theirs")?;
        let reverse = other.public_key().verify_alternate_identity(one.public_key(), &theirs);
        expect(reverse.is_err(), "not in the other direction")
    })
}
