//! B14: session and group messages, and what identity keys sign, are told apart by their bytes (spec §0.2, §4.1, §1.8).

use waxwing_protocol::{
    DecodeError, IdentityKey, IdentityKeyPair, SenderKey, SenderKeyDistributionMessage, SenderKeyMessage, Session,
    SignalMessage, SignedPrekey, SignedPrekeyId, Suite,
};

use crate::group::{GROUP, seal};
use crate::party::{Kyber, OneTime, Party, first_message, ordinary_message, rng};

/// ATTACKS B14: no message of a session is one of a group, or the reverse, in either suite.
#[test]
fn b14_session_and_group_messages_are_never_taken_for_one_another() {
    let rng = &mut rng(15);
    let mut key = SenderKey::generate(GROUP, rng);
    let distribution = key.distribution_message();
    let group = seal(&mut key, b"to the group", rng);
    assert!(SignalMessage::decode(group.as_bytes()).is_err());
    assert!(SignalMessage::decode(distribution.as_bytes()).is_err());
    assert!(SenderKeyMessage::decode(distribution.as_bytes()).is_err());
    assert!(SenderKeyDistributionMessage::decode(group.as_bytes()).is_err());
    for suite in [Suite::X3dh, Suite::Pqxdh] {
        let (alice, bob) = (Party::new(1, rng), Party::new(2, rng));
        let mut at_alice = alice.initiate(&bob, suite, OneTime::With, rng);
        let first = first_message(&mut at_alice, b"pairwise");
        let mut at_bob = Session::new();
        let _ = bob.accept(&mut at_bob, &alice, &first, Kyber::OneTime, rng).unwrap().commit();
        let answer = ordinary_message(&mut at_bob, b"pairwise");
        for bytes in [first.as_bytes(), answer.as_bytes()] {
            // Also with the version byte of a group message.
            let mut as_group = bytes.to_vec();
            as_group[0] = 0x33;
            for bytes in [bytes, &as_group] {
                assert!(SenderKeyMessage::decode(bytes).is_err());
                assert!(SenderKeyDistributionMessage::decode(bytes).is_err());
            }
        }
        // Whatever version byte it wears, a group message has no ratchet key: also when the signature is cut to a MAC.
        let mut as_signal = group.as_bytes().to_vec();
        as_signal[0] = suite.version() << 4 | 4;
        assert!(SignalMessage::decode(&as_signal).is_err());
        as_signal.truncate(as_signal.len() - 56);
        let refused = SignalMessage::decode(&as_signal);
        assert!(matches!(refused, Err(DecodeError::PublicKey { field: "ratchet_key", .. })), "{refused:?}");
    }
}

/// ATTACKS B14: a signed prekey's signature over a key is no acknowledgement of it as another identity, and the reverse.
#[test]
fn b14_a_prekey_signature_and_an_alternate_identity_s_are_never_taken_for_one_another() {
    let rng = &mut rng(5);
    let identity = IdentityKeyPair::generate(rng);
    let prekey = SignedPrekey::generate(SignedPrekeyId(1), &identity, rng);
    let as_identity = IdentityKey::parse(&prekey.public_key().to_bytes()).unwrap();
    assert!(identity.public_key().verify_alternate_identity(&as_identity, prekey.signature()).is_err());
    let signature = identity.sign_alternate_identity(&as_identity, rng);
    assert!(identity.public_key().verify_alternate_identity(&as_identity, &signature).is_ok());
    assert!(SignedPrekey::restore(SignedPrekeyId(1), &prekey.private_key(), signature, &identity).is_err());
}
