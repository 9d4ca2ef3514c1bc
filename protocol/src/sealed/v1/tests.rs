use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use super::*;
use crate::curve::PrivateKey;

#[test]
fn a_static_part_under_a_right_mac_that_is_no_identity_key_is_refused() {
    let rng = &mut ChaCha20Rng::seed_from_u64(8);
    let (recipient, ephemeral) = (KeyPair::generate(rng), KeyPair::generate(rng));
    let public = EncodedKey::from_point(ephemeral.public());
    let outer = OuterKeys::derive(&ephemeral.agree(recipient.public()).unwrap(), recipient.public(), &public);
    let mut not_a_key = [0; 33];
    not_a_key[0] = 5;
    let message = V1Message {
        ephemeral: public,
        encrypted_static: Box::new(outer.keys.encrypt(not_a_key.into()).try_into().unwrap()),
        encrypted_message: alloc::vec![0; 20],
    };
    assert_eq!(message.open(&recipient), Err(OpenError::Forged));
}

#[test]
fn encrypting_and_decrypting_are_inverse_and_every_bit_is_covered() {
    let keys = Keys { cipher: Zeroizing::new([1; 32]), mac: Zeroizing::new([2; 32]) };
    for len in [0, 1, 15, 16, 17, 33, 100] {
        let plaintext: Vec<u8> = (0..len).collect();
        let sealed = keys.encrypt(plaintext.clone());
        assert_eq!(keys.decrypt(&sealed), Some(plaintext));
        for bit in 0..sealed.len() * 8 {
            let mut forged = sealed.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(keys.decrypt(&forged), None, "{bit}");
        }
    }
    assert_eq!(keys.decrypt(&[0; 9]), None);
}

/// A recorded message is made again from what its recipient knows: the ephemeral key agrees with the recipient's on the
/// same secret from either side.
#[test]
fn recorded_messages_of_the_official_library_are_made_again_byte_for_byte() {
    let file = include_str!("../../../../spec/vectors/08-sealed-sender.json");
    let file: serde_json::Value = serde_json::from_str(file).unwrap();
    let key_of = |value: &serde_json::Value| {
        let bytes = hex::decode(value.as_str().unwrap()).unwrap();
        KeyPair::from_private(PrivateKey::from_bytes(&bytes.try_into().unwrap()))
    };
    let mut made = 0;
    for case in file["cases"].as_array().unwrap() {
        if case["form"] != "v1" || case["remake"].is_null() || case["expect"]["sender"].is_null() {
            continue;
        }
        let bytes = hex::decode(case["bytes"].as_str().unwrap()).unwrap();
        let message = V1Message::decode(&bytes[1..]).unwrap();
        let (recipient, sender) =
            (key_of(&case["recipient"]["identity_private"]), key_of(&case["remake"]["sender_private"]));
        let (_, inner) = message.open_static(&recipient).unwrap();
        let content = inner.decrypt(&message.encrypted_message).unwrap();
        let secret = recipient.agree(&message.ephemeral.point().unwrap()).unwrap();
        let outer = OuterKeys::derive(&secret, recipient.public(), &message.ephemeral);
        let again = seal_under(&outer, content, &sender, recipient.public(), &message.ephemeral).unwrap();
        assert_eq!(hex::encode(again), hex::encode(bytes), "{}", case["name"]);
        made += 1;
    }
    assert!(made >= 3, "{made} messages were made again");
}
