//! Safety numbers (spec §9).

use proptest::prelude::*;
use waxwing_protocol::{
    CompareError, Fingerprint, FingerprintVersion, IdentityKey, IdentityKeyPair, Iterations, IterationsError,
    PublicKeyError, SafetyNumber, ScannableFingerprint,
};

use crate::cases;
use crate::party::rng;

fn pair_of(seed: u64, iterations: Iterations) -> (Fingerprint, Fingerprint) {
    let rng = &mut rng(seed);
    let [alice, bob] = [b"alice", b"bobby"]
        .map(|id| Fingerprint::new(IdentityKeyPair::generate(rng).public_key(), &id[..], iterations));
    (alice, bob)
}

fn number(local: Fingerprint, remote: Fingerprint) -> SafetyNumber {
    SafetyNumber { version: FingerprintVersion::AccountId, local, remote }
}

#[test]
fn both_sides_see_the_same_60_digits_and_each_other_s_code_matches() {
    let (alice, bob) = pair_of(1, Iterations::STANDARD);
    let (at_alice, at_bob) = (number(alice, bob), number(bob, alice));
    let shown = at_alice.display();
    assert_eq!(shown, at_bob.display());
    assert!(shown.len() == 60 && shown.bytes().all(|digit| digit.is_ascii_digit()), "{shown}");
    let scanned = ScannableFingerprint::decode(&at_bob.scannable().encode()).unwrap();
    assert_eq!(at_alice.scannable().encode().len(), 74);
    assert_eq!(at_alice.compare(&scanned), Ok(()));
    assert_eq!(at_alice.compare(&at_alice.scannable()), Err(CompareError::Different), "one's own code is no answer");
}

#[test]
fn a_code_of_another_version_says_nothing_about_the_keys() {
    let (alice, bob) = pair_of(2, Iterations::new(2).unwrap());
    let older = SafetyNumber { version: FingerprintVersion::PhoneNumber, ..number(bob, alice) };
    let refused = number(alice, bob).compare(&older.scannable());
    assert_eq!(refused, Err(CompareError::Version { ours: 2, theirs: 1 }));
    let mut future = older.scannable().encode();
    future[1] = 77;
    let future = ScannableFingerprint::decode(&future).unwrap();
    assert_eq!(number(alice, bob).compare(&future), Err(CompareError::Version { ours: 2, theirs: 77 }));
}

#[test]
fn any_changed_byte_of_the_code_is_noticed() {
    let (alice, bob) = pair_of(3, Iterations::new(2).unwrap());
    let code = number(bob, alice).scannable().encode();
    for bit in 0..code.len() * 8 {
        let mut changed = code.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let compared = ScannableFingerprint::decode(&changed).map(|scanned| number(alice, bob).compare(&scanned));
        assert_ne!(compared, Ok(Ok(())), "bit {bit}");
    }
    for len in 0..code.len() {
        assert!(ScannableFingerprint::decode(&code[..len]).is_err());
    }
    assert!(ScannableFingerprint::decode(&vec![0; 10_000]).is_err());
}

#[test]
fn iterations_are_2_to_a_million() {
    for got in [0, 1, 1_000_001, u32::MAX] {
        assert_eq!(Iterations::new(got), Err(IterationsError { got }));
    }
    assert_eq!(Iterations::new(5_200).unwrap(), Iterations::STANDARD);
    assert!(Iterations::new(2).is_ok() && Iterations::new(1_000_000).is_ok());
}

/// The Montgomery form of an Ed25519 key is the X25519 key of the same scalar (RFC 7748 §4.1).
#[test]
fn the_montgomery_form_of_an_ed25519_key_is_the_x25519_key_of_its_scalar() {
    for seed in 0..32u8 {
        let signing = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
        let scalar = signing.to_scalar_bytes();
        let expected = x25519_dalek::PublicKey::from(&x25519_dalek::StaticSecret::from(scalar));
        let key = IdentityKey::from_ed25519(signing.verifying_key().as_bytes()).unwrap();
        assert_eq!(key.to_bytes()[1..], *expected.as_bytes());
        assert_eq!(IdentityKey::parse(&key.to_bytes()), Ok(key));
    }
}

#[test]
fn ed25519_keys_that_name_nobody_are_refused() {
    let mut identity = [0; 32];
    identity[0] = 1;
    assert_eq!(IdentityKey::from_ed25519(&identity), Err(PublicKeyError::SmallOrder));
    // y = p + 1: the identity again, not reduced.
    let mut high = [0xFF; 32];
    (high[0], high[31]) = (0xEE, 0x7F);
    assert_eq!(IdentityKey::from_ed25519(&high), Err(PublicKeyError::NonCanonical));
    let not_on_curve = (0..255u8).map(|low| {
        let mut y = [0; 32];
        (y[0], y[5]) = (low, 1);
        IdentityKey::from_ed25519(&y)
    });
    let outcomes: Vec<_> = not_on_curve.collect();
    assert!(outcomes.contains(&Err(PublicKeyError::NotOnCurve)));
    assert!(outcomes.contains(&Err(PublicKeyError::MixedOrder)));
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn another_key_another_id_or_another_count_gives_another_number(
        seed in any::<u64>(), id in prop::collection::vec(any::<u8>(), 0..40), iterations in 2..50u32
    ) {
        let rng = &mut rng(seed);
        let (key, other) = (IdentityKeyPair::generate(rng), IdentityKeyPair::generate(rng));
        let count = Iterations::new(iterations).unwrap();
        let this = Fingerprint::new(key.public_key(), &id, count);
        prop_assert_eq!(this, Fingerprint::from_bytes(*this.as_bytes()));
        prop_assert_ne!(this, Fingerprint::new(other.public_key(), &id, count));
        let mut longer = id.clone();
        longer.push(0);
        prop_assert_ne!(this, Fingerprint::new(key.public_key(), &longer, count));
        prop_assert_ne!(this, Fingerprint::new(key.public_key(), &id, Iterations::new(iterations + 1).unwrap()));
    }

    #[test]
    fn arbitrary_codes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        if let Ok(code) = ScannableFingerprint::decode(&bytes) {
            prop_assert_eq!(ScannableFingerprint::decode(&code.encode()), Ok(code));
        }
    }
}
