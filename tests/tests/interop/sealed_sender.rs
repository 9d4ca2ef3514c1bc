//! Sealed sender, safety numbers and decryption errors between versions.

use libtest_mimic::Failed;

use waxwing_tests::peer::{
    Address, Bytes, FingerprintInput, KeyPair, MessageType, Party, Peer, SenderCertificateRequest, UsmcOptions, Version,
};

use crate::{
    stage::{self, Agreement, Pair, Proof, refused},
    witness::SignalMessage,
};

pub(crate) const TRIALS: &[Proof] = &[
    ("sealed_sender::every_version_opens_every_other_s_version_1_messages", version_1),
    ("sealed_sender::every_version_opens_every_other_s_version_2_messages", version_2),
    ("sealed_sender::a_certificate_is_valid_under_its_root_until_it_expires", certificates),
    ("sealed_sender::a_wrong_root_or_an_expired_certificate_is_refused", refusals),
    ("sealed_sender::the_sent_form_names_recipients_devices_and_excluded", sent_form),
    ("sealed_sender::plaintext_content_carries_a_decryption_error", decryption_errors),
    ("sealed_sender::safety_numbers_agree_between_versions", safety_numbers),
];

const EXPIRES: u64 = 31_337;

/// A trust root, and the certificate of a server that certifies a party.
struct Authority {
    root: KeyPair,
    server: KeyPair,
    certificate: Bytes,
}

impl Authority {
    fn new(peer: &Peer) -> Result<Self, Failed> {
        let (root, server) = (peer.generate_key_pair()?, peer.generate_key_pair()?);
        let certificate = peer.server_certificate(5, &server.public, &root.private)?;
        Ok(Self { root, server, certificate })
    }

    fn certify(&self, party: &Party<'_>) -> Result<Bytes, Failed> {
        let Address { name: uuid, device } = party.address();
        Ok(party.peer().sender_certificate(&SenderCertificateRequest {
            uuid,
            e164: None,
            device,
            key: party.info().identity_public.clone(),
            expires: EXPIRES,
            server_certificate: self.certificate.clone(),
            server_private: self.server.private.clone(),
        })?)
    }

    fn options(&self, party: &Party<'_>) -> Result<UsmcOptions, Failed> {
        Ok(UsmcOptions { certificate: self.certify(party)?, hint: 1, group_id: Some([1, 2, 3].into()) })
    }
}

/// Pairings that can hold a session.
const PAIRINGS: [(Version, Version); 7] = [
    (Version::V0_72_1, Version::V0_72_1),
    (Version::V0_72_1, Version::V0_90_0),
    (Version::V0_90_0, Version::V0_72_1),
    (Version::V0_90_0, Version::V0_90_0),
    (Version::V0_90_0, Version::V0_103_0),
    (Version::V0_103_0, Version::V0_90_0),
    (Version::V0_103_0, Version::V0_103_0),
];

fn version_1() -> Result<(), Failed> {
    for (initiator, responder) in PAIRINGS {
        let (here, there) = (stage::peer(initiator), stage::peer(responder));
        here.reset()?;
        there.reset()?;
        let authority = Authority::new(&here)?;
        let pair = Pair::with_session(&here, &there, Agreement::PQXDH)?;
        let usmc =
            pair.initiator.encrypt_usmc(&pair.responder.address(), b"sealed", &authority.options(&pair.initiator)?)?;
        let sealed = pair.initiator.seal(&pair.responder.address(), &usmc)?;
        assert_eq!(sealed[0], 0x11);
        assert_eq!(pair.responder.open_usmc(&sealed)?, usmc);
        let opened = pair.responder.open_sealed(&sealed, &authority.root.public, EXPIRES)?;
        assert_eq!((&*opened.plaintext, opened.uuid.as_str()), (b"sealed".as_slice(), stage::ALICE));
        assert_eq!((opened.device, opened.e164), (1, None));
    }
    Ok(())
}

fn version_2() -> Result<(), Failed> {
    for (initiator, responder) in PAIRINGS {
        let (here, there) = (stage::peer(initiator), stage::peer(responder));
        here.reset()?;
        there.reset()?;
        let authority = Authority::new(&here)?;
        let pair = Pair::with_session(&here, &there, Agreement::PQXDH)?;
        let (remote, options) = (pair.responder.address(), authority.options(&pair.initiator)?);
        let usmc = pair.initiator.encrypt_usmc(&remote, b"sealed", &options)?;
        let sent = pair.initiator.seal_multi(std::slice::from_ref(&remote), &[], &usmc)?;
        assert_eq!(sent[0], 0x23);
        let received = there.received_by_single(&sent)?;
        assert_eq!(received[0], 0x22);
        assert_eq!(pair.responder.open_usmc(&received)?, usmc);
        let inner = there.decode_usmc(&usmc)?;
        assert_eq!((inner.kind, inner.hint, inner.group_id), (MessageType::PreKey, 1, options.group_id));
        assert_eq!(inner.certificate, options.certificate);
        let message = waxwing_tests::peer::Ciphertext { kind: inner.kind, body: inner.contents };
        assert_eq!(&*pair.answer_of(&message)?.plaintext, b"sealed");

        // One flipped bit anywhere is noticed.
        for at in [1, 33, 49, 81, received.len() - 1] {
            let mut forged = received.to_vec();
            forged[at] ^= 1;
            assert!(pair.responder.open_usmc(&forged.into()).is_err(), "byte {at}");
        }
    }
    Ok(())
}

fn certificates() -> Result<(), Failed> {
    for (issuer, validator) in Version::ALL.into_iter().flat_map(|a| Version::ALL.map(|b| (a, b))) {
        let (here, there) = (stage::peer(issuer), stage::peer(validator));
        here.reset()?;
        let authority = Authority::new(&here)?;
        let pair = Pair::new(&here, &here)?;
        let certificate = authority.certify(&pair.initiator)?;
        let other = there.generate_key_pair()?.public;
        let valid = |root: &Bytes, time| there.validate_certificate(&certificate, std::slice::from_ref(root), time);
        assert!(valid(&authority.root.public, EXPIRES)?);
        assert!(!valid(&authority.root.public, EXPIRES + 1)?);
        assert!(!valid(&other, EXPIRES)?);
        if validator != Version::V0_72_1 {
            assert!(there.validate_certificate(&certificate, &[other, authority.root.public.clone()], EXPIRES)?);
        }
        let fields = there.decode_sender_certificate(&certificate)?;
        assert_eq!((fields.uuid.as_str(), fields.device, fields.expires), (stage::ALICE, 1, EXPIRES));
        assert_eq!((fields.e164, fields.key), (None, pair.initiator.info().identity_public.clone()));
        assert_eq!(fields.server_certificate, authority.certificate);
        let server = there.decode_server_certificate(&authority.certificate)?;
        assert_eq!((server.key_id, server.key), (5, authority.server.public.clone()));
        assert!(there.verify(&authority.root.public, &server.certificate, &server.signature)?);
        assert!(there.verify(&authority.server.public, &fields.certificate, &fields.signature)?);
    }
    Ok(())
}

fn refusals() -> Result<(), Failed> {
    for version in Version::ALL {
        let peer = stage::peer(version);
        let authority = Authority::new(&peer)?;
        let pair = Pair::with_session(&peer, &peer, Agreement::PQXDH)?;
        let options = authority.options(&pair.initiator)?;
        let usmc = pair.initiator.encrypt_usmc(&pair.responder.address(), b"sealed", &options)?;
        let sealed = pair.initiator.seal(&pair.responder.address(), &usmc)?;
        let wrong = peer.generate_key_pair()?.public;
        refused(pair.responder.open_sealed(&sealed, &wrong, EXPIRES), "trust root")?;
        refused(pair.responder.open_sealed(&sealed, &authority.root.public, EXPIRES + 1), "trust root")?;
        assert!(pair.responder_session().is_err(), "a refused certificate makes a session");
        pair.responder.open_sealed(&sealed, &authority.root.public, EXPIRES)?;
    }
    Ok(())
}

fn sent_form() -> Result<(), Failed> {
    for version in Version::ALL {
        let peer = stage::peer(version);
        let authority = Authority::new(&peer)?;
        let pair = Pair::with_session(&peer, &peer, Agreement::PQXDH)?;
        let excluded = "11111111-2222-4333-8444-555555555555".to_owned();
        let (remote, options) = (pair.responder.address(), authority.options(&pair.initiator)?);
        let usmc = pair.initiator.encrypt_usmc(&remote, b"sealed", &options)?;
        let sent = pair.initiator.seal_multi(std::slice::from_ref(&remote), std::slice::from_ref(&excluded), &usmc)?;
        let fields = peer.decode_sent(&sent)?;
        assert_eq!(fields.excluded, [excluded]);
        let [recipient] = fields.recipients.try_into().unwrap();
        assert_eq!((recipient.service_id.as_str(), recipient.devices.as_slice()), (stage::BOB, [2].as_slice()));
        assert_eq!(recipient.registration_ids, [pair.responder.info().registration_id]);
        assert_eq!(pair.responder.open_usmc(&recipient.received)?, usmc);
    }
    Ok(())
}

fn decryption_errors() -> Result<(), Failed> {
    for version in Version::ALL {
        let peer = stage::peer(version);
        let authority = Authority::new(&peer)?;
        let pair = Pair::established(&peer, &peer, Agreement::PQXDH)?;
        let lost = pair.send(b"lost")?;
        let fields = serde_json::json!({ "original": lost.body, "type": lost.kind, "timestamp": 1_700_000_000_000_u64,
            "device": 1 });
        let error = peer.construct("decryption_error", fields)?;
        let content = peer.construct("plaintext", serde_json::json!({ "message": error }))?;
        assert_eq!((content.first(), content.last()), (Some(&0xC0), Some(&0x80)));
        let read = peer.extract_decryption_error(&peer.plaintext_body(&content)?)?;
        assert_eq!(read, peer.decode_decryption_error(&error)?);
        assert_eq!((read.timestamp, read.device), (1_700_000_000_000, 1));
        let ratchet_key = read.ratchet_key.unwrap();
        assert_eq!(SignalMessage::of(&lost).fields.bytes(1), Some(&*ratchet_key));
        assert!(pair.initiator.ratchet_key_matches(&pair.responder.address(), &ratchet_key)?);
        assert!(!pair.responder.ratchet_key_matches(&pair.initiator.address(), &ratchet_key)?);

        let usmc = peer.plaintext_usmc(&content, &authority.options(&pair.responder)?)?;
        let sealed = pair.responder.seal(&pair.initiator.address(), &usmc)?;
        let inner = peer.decode_usmc(&pair.initiator.open_usmc(&sealed)?)?;
        assert_eq!((inner.kind, inner.contents), (MessageType::Plaintext, content));
    }
    Ok(())
}

fn safety_numbers() -> Result<(), Failed> {
    let keys = stage::peer(Version::V0_72_1);
    let (ours, theirs) = (keys.generate_key_pair()?.public, keys.generate_key_pair()?.public);
    let input = FingerprintInput {
        iterations: 5200,
        version: 2,
        local_id: b"ours".into(),
        local_key: ours,
        remote_id: b"theirs".into(),
        remote_key: theirs,
    };
    let FingerprintInput { local_id, local_key, remote_id, remote_key, .. } = input.clone();
    let mirrored = FingerprintInput {
        local_id: remote_id,
        local_key: remote_key,
        remote_id: local_id,
        remote_key: local_key,
        ..input.clone()
    };
    let reference = keys.fingerprint(&input)?;
    for version in Version::ALL {
        let peer = stage::peer(version);
        assert_eq!(peer.fingerprint(&input)?, reference, "{version}");
        let there = peer.fingerprint(&mirrored)?;
        assert_eq!(there.display, reference.display);
        assert!(peer.compare_fingerprints(&reference.scannable, &there.scannable)?);
        assert!(!peer.compare_fingerprints(&reference.scannable, &reference.scannable)?);
    }
    Ok(())
}
