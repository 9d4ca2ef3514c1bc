//! A10 as a bundle meets it: a second signature for the same prekey made from a good one. The scheme's own edge cases stand
//! in protocol/src/curve/xeddsa/tests/.

use num_bigint::BigUint;
use waxwing_protocol::BundleError;

use crate::initiator::xeddsa_sign;
use crate::party::{Party, rng};

#[test]
fn a10_no_multiple_of_the_group_order_can_be_added_to_a_prekey_signature() {
    let l = (BigUint::from(1_u8) << 252) + BigUint::parse_bytes(b"14def9dea2f79cd65812631a5cf5d3ed", 16).unwrap();
    for seed in 0..8 {
        let party = Party::new(2, &mut rng(seed));
        let honest = party.published();
        for multiple in 1_u8..8 {
            let shift = |signature: &[u8]| {
                let sign = signature[63] & 0x80;
                let mut s = signature[32..].to_vec();
                s[31] &= 0x7F;
                let shifted: BigUint = BigUint::from_bytes_le(&s) + &l * multiple;
                let mut s = shifted.to_bytes_le();
                s.resize(32, 0);
                s[31] |= sign;
                [&signature[..32], &s].concat()
            };
            let mut bundle = honest.clone();
            bundle.signed_prekey_signature = shift(&bundle.signed_prekey_signature);
            assert_eq!(bundle.bundle_in().verify().unwrap_err(), BundleError::SignedPrekeySignature, "{multiple}");
            let mut bundle = honest.clone();
            let kyber = bundle.kyber_prekey.as_mut().unwrap();
            kyber.2 = shift(&kyber.2);
            assert_eq!(bundle.bundle_in().verify().unwrap_err(), BundleError::KyberPrekeySignature, "{multiple}");
        }
    }
}

/// Both sign bits occur, are carried, and cannot be exchanged; a signer that is not ours is believed like ours.
#[test]
fn a10_the_sign_bit_is_part_of_the_signature() {
    let mut signs = [0, 0];
    for seed in 0..16 {
        let party = Party::new(2, &mut rng(seed));
        let mut bundle = party.published();
        bundle.signed_prekey_signature = xeddsa_sign(&party.identity.private_key(), &bundle.signed_prekey).into();
        assert!(bundle.bundle_in().verify().is_ok());
        signs[usize::from(bundle.signed_prekey_signature[63] >> 7)] += 1;
        bundle.signed_prekey_signature[63] ^= 0x80;
        assert_eq!(bundle.bundle_in().verify().unwrap_err(), BundleError::SignedPrekeySignature);
    }
    assert!(signs[0] > 0 && signs[1] > 0, "{signs:?}");
}
