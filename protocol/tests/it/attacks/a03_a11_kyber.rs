//! A3 and A11 as a peer meets them: another Kyber prekey, a tampered ciphertext and a malformed key. (The formal models of
//! A3 and the timing of A11 wait; spec/90-attacks.md says for what.)

use waxwing_protocol::{
    AcceptError, BundleError, KyberPrekey, KyberPrekeyId, OpenError, PreKeySignalMessage, PublicKeyError, RespondError,
    Suite,
};

use crate::initiator::xeddsa_sign;
use crate::party::{Kyber, OneTime, Party, Published, first_message, rng};
use crate::proto::{Framed, last_bytes};

/// The id of the prekey is not authenticated: an altered one leads to another key, and the message does not open.
#[test]
fn a3_a_first_message_under_another_kyber_prekey_of_the_same_owner_does_not_open() {
    let rng = &mut rng(1);
    let (alice, mut bob) = (Party::new(1, rng), Party::new(2, rng));
    let message = first_message(&mut alice.initiate(&bob, Suite::Pqxdh, OneTime::With, rng), b"hello");
    let other = KyberPrekey::generate(KyberPrekeyId(777), &bob.identity, rng);
    let renamed = Framed::read(message.as_bytes(), 0).unwrap().with_varint(7, other.id().0).write();
    let renamed = PreKeySignalMessage::decode(&renamed).unwrap();

    // The responder that has only the first key notices the id, the one that has the other loads it.
    let wrong_id = RespondError::KyberPrekey { expected: Some(KyberPrekeyId(777)) };
    let refused = bob.join(&alice, &renamed, Kyber::LastResort, rng).unwrap_err();
    assert_eq!(refused, AcceptError::Respond(wrong_id));
    let honest = std::mem::replace(&mut bob.kyber, other);
    let refused = bob.join(&alice, &renamed, Kyber::LastResort, rng).unwrap_err();
    assert_eq!(refused, AcceptError::Open(OpenError::Forged));

    bob.kyber = honest;
    assert_eq!(bob.join(&alice, &message, Kyber::OneTime, rng).unwrap().1, b"hello");
}

/// Implicit rejection: the same error as for every forgery, whichever byte was touched.
#[test]
fn a11_a_tampered_ciphertext_fails_only_where_every_forgery_does() {
    let rng = &mut rng(1);
    let (alice, bob) = (Party::new(1, rng), Party::new(2, rng));
    let message = first_message(&mut alice.initiate(&bob, Suite::Pqxdh, OneTime::With, rng), b"hello");
    let framed = Framed::read(message.as_bytes(), 0).unwrap();
    let ciphertext = last_bytes(&framed.fields, 8);
    for position in (1..ciphertext.len()).step_by(13) {
        let mut tampered = ciphertext.to_vec();
        tampered[position] ^= 0x40;
        let tampered = PreKeySignalMessage::decode(&framed.with(8, &tampered).write()).unwrap();
        let refused = bob.join(&alice, &tampered, Kyber::OneTime, rng).unwrap_err();
        assert_eq!(refused, AcceptError::Open(OpenError::Forged), "byte {position}");
    }
    assert_eq!(bob.join(&alice, &message, Kyber::OneTime, rng).unwrap().1, b"hello");
}

#[test]
fn a11_a_bundle_with_an_unreduced_kyber_key_is_refused_with_a_good_signature() {
    let party = Party::new(2, &mut rng(1));
    let honest = party.published();
    let (id, key, _) = honest.kyber_prekey.clone().unwrap();
    for pair in 0..512 {
        // Two coefficients of 12 bits in three bytes: 0xFFF is 4095.
        let mut key = key.clone();
        key[1 + 3 * pair..][..3].copy_from_slice(&[0xFF; 3]);
        let signature = xeddsa_sign(&party.identity.private_key(), &key).into();
        let bundle = Published { kyber_prekey: Some((id, key, signature)), ..honest.clone() };
        let error = BundleError::KyberPrekey(PublicKeyError::NonCanonical);
        assert_eq!(bundle.bundle_in().verify().unwrap_err(), error, "coefficients {} and the next", 2 * pair);
    }
}
