//! A2: a signature over a prekey of one kind, presented for the other kind. The signed bytes of the two kinds are disjoint.

use proptest::prelude::*;
use waxwing_protocol::{BundleError, KyberPublicKey, PrekeyPublic, PublicKeyError};

use crate::initiator::xeddsa_sign;
use crate::party::{Party, Published, rng};

#[test]
fn a2_a_prekey_in_the_slot_of_the_other_kind_is_refused_with_its_own_good_signature() {
    let party = Party::new(2, &mut rng(1));
    let honest = party.published();
    let (id, kyber, kyber_signature) = honest.kyber_prekey.clone().unwrap();
    let (curve, curve_signature) = (honest.signed_prekey.clone(), honest.signed_prekey_signature.clone());

    let in_signed_slot = Published { signed_prekey: kyber, signed_prekey_signature: kyber_signature, ..honest.clone() };
    let error = BundleError::SignedPrekey(PublicKeyError::Length { expected: 33, got: 1569 });
    assert_eq!(in_signed_slot.bundle_in().verify().unwrap_err(), error);

    let in_kyber_slot = Published { kyber_prekey: Some((id, curve, curve_signature)), ..honest };
    let error = BundleError::KyberPrekey(PublicKeyError::Length { expected: 1569, got: 33 });
    assert_eq!(in_kyber_slot.bundle_in().verify().unwrap_err(), error);
}

/// Even if the owner were brought to sign bytes that are a key of neither kind.
#[test]
fn a2_a_good_signature_over_a_key_with_the_other_type_byte_is_refused() {
    let party = Party::new(2, &mut rng(1));
    let private = party.identity.private_key();
    let honest = party.published();

    let mut retyped = honest.signed_prekey.clone();
    retyped[0] = 0x08;
    let signature = xeddsa_sign(&private, &retyped).into();
    let bundle = Published { signed_prekey: retyped, signed_prekey_signature: signature, ..honest.clone() };
    let error = BundleError::SignedPrekey(PublicKeyError::KeyType { expected: 0x05, got: 0x08 });
    assert_eq!(bundle.bundle_in().verify().unwrap_err(), error);

    let (id, mut retyped, _) = honest.kyber_prekey.clone().unwrap();
    retyped[0] = 0x05;
    let signature = xeddsa_sign(&private, &retyped).into();
    let bundle = Published { kyber_prekey: Some((id, retyped, signature)), ..honest };
    let error = BundleError::KyberPrekey(PublicKeyError::KeyType { expected: 0x08, got: 0x05 });
    assert_eq!(bundle.bundle_in().verify().unwrap_err(), error);
}

#[test]
fn a2_no_bytes_of_any_length_are_a_key_of_both_kinds() {
    let party = Party::new(2, &mut rng(1));
    let honest = [party.published().signed_prekey, party.published().kyber_prekey.unwrap().1];
    for (seed, key_type) in honest.iter().flat_map(|seed| [(seed, 0x05), (seed, 0x08)]) {
        let (mut as_curve, mut as_kyber) = (0, 0);
        for len in 0..=3200 {
            let mut bytes: Vec<u8> = seed.iter().copied().cycle().take(len).collect();
            if let Some(first) = bytes.first_mut() {
                *first = key_type;
            }
            as_curve += usize::from(PrekeyPublic::parse(&bytes).is_ok());
            as_kyber += usize::from(KyberPublicKey::parse(&bytes).is_ok());
            assert!(PrekeyPublic::parse(&bytes).is_err() || KyberPublicKey::parse(&bytes).is_err(), "{len} bytes");
        }
        assert!(as_curve <= usize::from(key_type == 0x05) && as_kyber <= usize::from(key_type == 0x08));
    }
}

proptest! {
    #![proptest_config(crate::cases(256))]

    #[test]
    fn a2_no_random_bytes_are_a_key_of_both_kinds(bytes: Vec<u8>, key_type in prop_oneof![Just(5_u8), Just(8)], u: [u8; 32]) {
        for bytes in [bytes, [&[key_type][..], &u].concat()] {
            prop_assert!(PrekeyPublic::parse(&bytes).is_err() || KyberPublicKey::parse(&bytes).is_err());
        }
    }
}
