//! A4: a message believed to be from, or for, somebody else. Both identity keys are in the agreement and under every MAC, both
//! addresses under the MAC of first messages. (Key transparency comes with the key server.)

use waxwing_protocol::{
    AcceptError, DeviceAddress, DeviceId, LocalDevice, OpenError, Opened, PreKeySignalMessage, PrivatePrekeys,
    ServiceId, ServiceIdKind, Session, SessionAddresses, SignedPrekey, Suite,
};

use crate::initiator::xeddsa_sign;
use crate::party::{Kyber, NOW, OneTime, Party, Published, first_message, open, rng};
use crate::proto::Framed;

const FORGED: AcceptError = AcceptError::Open(OpenError::Forged);

fn accept(
    local: LocalDevice<'_>,
    prekeys: PrivatePrekeys<'_>,
    message: &PreKeySignalMessage,
) -> Result<Vec<u8>, AcceptError> {
    let mut session = Session::new();
    let opened = match message.suite() {
        Suite::X3dh => session.accept_without_post_quantum_secrecy(local, prekeys, message, &mut rng(9)),
        _ => session.accept(local, prekeys, message, &mut rng(9)),
    };
    opened.map(Opened::commit)
}

/// A to B, claimed to be from anybody, answered with anybody's identity key: only the truth opens.
#[test]
fn a4_of_all_claims_about_sender_and_recipient_only_the_true_one_opens() {
    for suite in [Suite::X3dh, Suite::Pqxdh] {
        for one_time in [OneTime::With, OneTime::Without] {
            let rng = &mut rng(1);
            let parties = [1, 2, 3].map(|name| Party::new(name, rng));
            for (a, b) in [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)] {
                let (sender, recipient) = (&parties[a], &parties[b]);
                let message = first_message(&mut sender.initiate(recipient, suite, one_time, rng), b"hello");
                let framed = Framed::read(message.as_bytes(), 0).unwrap();
                for (c, claimed) in parties.iter().enumerate() {
                    let bytes = framed.with(3, claimed.identity.public_key().to_bytes()).write();
                    let message = PreKeySignalMessage::decode(&bytes).unwrap();
                    for (d, responder) in parties.iter().enumerate() {
                        let local = LocalDevice { identity: &responder.identity, ..recipient.local(sender) };
                        let opened = accept(local, recipient.prekeys_for(&message, Kyber::OneTime), &message);
                        let expected = if (c, d) == (a, b) { Ok(b"hello".to_vec()) } else { Err(FORGED) };
                        assert_eq!(opened, expected, "{suite:?} {a} to {b}: from {c}, for {d}");
                    }
                }
            }
        }
    }
}

/// Unknown key share: C presents B's prekeys as its own, signed by C. The initiator believes C, and then B does not open
/// what was meant for C, and C cannot.
#[test]
fn a4_a_message_for_a_thief_of_prekeys_opens_at_nobody() {
    let rng = &mut rng(2);
    let (alice, bob, mut carol) = (Party::new(1, rng), Party::new(2, rng), Party::new(3, rng));
    let signature = |message: &[u8]| xeddsa_sign(&carol.identity.private_key(), message).to_vec();
    let stolen = bob.published();
    let (id, kyber, _) = stolen.kyber_prekey.clone().unwrap();
    let resigned = Published {
        identity_key: carol.identity.public_key().to_bytes().into(),
        signed_prekey_signature: signature(&stolen.signed_prekey),
        kyber_prekey: Some((id, kyber.clone(), signature(&kyber))),
        ..stolen
    };
    // This much the bundle allows: whom a prekey belongs to is its signer's word.
    let bundle = resigned.bundle_in().verify().unwrap();
    let mut session = Session::new();
    session.initiate(alice.local(&carol), &bundle, NOW, rng).unwrap().commit();
    let message = first_message(&mut session, b"for carol");

    let at_bob = accept(bob.local(&alice), bob.prekeys_for(&message, Kyber::OneTime), &message);
    assert_eq!(at_bob, Err(FORGED));
    // C renames its own keys to the ids that the message asks for.
    carol.one_time = waxwing_protocol::OneTimePrekey::restore(bob.one_time.id(), &carol.one_time.private_key());
    let private = carol.signed.private_key();
    carol.signed =
        SignedPrekey::restore(bob.signed.id(), &private, *carol.signed.signature(), &carol.identity).unwrap();
    let (secret, signature) = (carol.kyber.secret_key().to_bytes(), *carol.kyber.signature());
    carol.kyber = waxwing_protocol::KyberPrekey::restore(bob.kyber.id(), &secret, signature, &carol.identity).unwrap();
    let at_carol = accept(carol.local(&alice), carol.prekeys_for(&message, Kyber::OneTime), &message);
    assert_eq!(at_carol, Err(FORGED));
}

#[test]
fn a4_a_first_message_delivered_to_or_from_another_address_is_refused() {
    let rng = &mut rng(3);
    let (alice, bob) = (Party::new(1, rng), Party::new(2, rng));
    let message = first_message(&mut alice.initiate(&bob, Suite::Pqxdh, OneTime::With, rng), b"hello");
    let prekeys = bob.prekeys_for(&message, Kyber::OneTime);
    let truth = SessionAddresses { local: bob.address, remote: alice.address };
    let at = |addresses| accept(LocalDevice { addresses, ..bob.local(&alice) }, prekeys, &message);
    assert_eq!(at(Some(truth)), Ok(b"hello".to_vec()));

    let wrong = [
        DeviceAddress { service_id: ServiceId::aci([9; 16]), ..alice.address },
        DeviceAddress { device_id: DeviceId::new(2).unwrap(), ..alice.address },
        DeviceAddress {
            service_id: ServiceId { kind: ServiceIdKind::Pni, ..alice.address.service_id },
            ..alice.address
        },
    ];
    for wrong in wrong {
        assert_eq!(at(Some(SessionAddresses { remote: wrong, ..truth })), Err(FORGED), "from {wrong:?}");
        assert_eq!(at(Some(SessionAddresses { local: wrong, ..truth })), Err(FORGED), "to {wrong:?}");
    }
    let reflected = SessionAddresses { local: truth.remote, remote: truth.local };
    assert_eq!(at(Some(reflected)), Err(FORGED));
    // Whoever has no addresses cannot compare; the keys still bind.
    assert_eq!(at(None), Ok(b"hello".to_vec()));
}

/// Reflection: an initiator's own message comes back to it.
#[test]
fn a4_a_message_reflected_to_its_sender_is_refused() {
    let rng = &mut rng(4);
    let (alice, bob) = (Party::new(1, rng), Party::new(2, rng));
    let mut session = alice.initiate(&bob, Suite::Pqxdh, OneTime::With, rng);
    let message = first_message(&mut session, b"hello");
    assert_eq!(open(&mut session, message.message(), rng).unwrap_err(), OpenError::Forged);
    let (mut at_bob, _) = bob.join(&alice, &message, Kyber::OneTime, rng).unwrap();
    let answer = crate::party::ordinary_message(&mut at_bob, b"answer");
    assert_eq!(open(&mut at_bob, &answer, rng).unwrap_err(), OpenError::Forged);
    assert_eq!(open(&mut session, &answer, rng).unwrap(), b"answer");
}
