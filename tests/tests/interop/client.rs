//! The client and the driver themselves: what goes wrong is told apart, and a batch is what its single calls are.

use libtest_mimic::Failed;
use serde_json::{Value, json};

use waxwing_tests::peer::{
    Bytes, Ciphertext, MessageType, PartyOptions, PeerError, PrekeyKind,
    Version::{self, V0_72_1, V0_103_0},
};

use crate::stage::{self, Agreement, Pair, Proof, alice, bob};

pub(crate) const TRIALS: &[Proof] = &[
    ("client::errors_say_whose_they_are", errors),
    ("client::a_batch_goes_on_after_an_error", batch),
    ("client::a_party_comes_back_with_its_keys_and_records", restart),
];

fn errors() -> Result<(), Failed> {
    for version in Version::ALL {
        let peer = stage::peer(version);
        assert!(matches!(peer.call::<Value>("nonsense", json!({})), Err(PeerError::Request(_))));
        assert!(matches!(peer.call::<Value>("agree", json!({ "private": "0" })), Err(PeerError::Request(_))));
        assert!(matches!(peer.call::<u8>("info", json!({})), Err(PeerError::Garbled(_))));
        assert!(matches!(peer.agree(&[1; 32], &[5; 3]), Err(PeerError::Library(_))));

        let pair = Pair::new(&peer, &peer)?;
        assert!(matches!(peer.create_party(&PartyOptions::new("initiator", alice())), Err(PeerError::Request(_))));
        let x3dh = pair.agree(Agreement::X3DH);
        assert_eq!(matches!(x3dh, Err(PeerError::Unsupported(_))), version != V0_72_1, "{x3dh:?}");

        for kind in [PrekeyKind::OneTime, PrekeyKind::Signed, PrekeyKind::Kyber] {
            pair.agree(Agreement::PQXDH)?;
            let first = pair.send(b"first")?;
            let kept = pair.responder.export_prekey(kind, 1)?;
            pair.responder.remove_prekey(kind, 1)?;
            assert!(matches!(pair.answer_of(&first), Err(PeerError::Store(_))), "{version} without {kind:?}");
            assert_eq!(pair.responder.import_prekey(kind, &kept.record)?, kept);
        }
    }
    let refused = stage::peer(V0_103_0).verify_mac(&[], &[], &[], &[]);
    assert!(matches!(refused, Err(PeerError::Unsupported(_))));
    Ok(())
}

fn batch() -> Result<(), Failed> {
    for version in Version::ALL {
        let peer = stage::peer(version);
        let pair = Pair::established(&peer, &peer, Agreement::PQXDH)?;
        let plaintexts: Vec<Bytes> = (0..50_u8).map(|n| vec![n; usize::from(n)].into()).collect();
        let mut messages = pair.initiator.encrypt_all(&bob(), &plaintexts)?;
        messages.insert(20, Ciphertext { kind: MessageType::Whisper, body: [0x44; 20].into() });
        let mut opened = pair.responder.decrypt_all(&alice(), &messages)?;
        assert!(matches!(opened.remove(20), Err(PeerError::Library(_))));
        let opened: Vec<_> = opened.into_iter().map(|one| one.map(|one| one.plaintext)).collect::<Result<_, _>>()?;
        assert_eq!(opened, plaintexts);
    }
    Ok(())
}

/// Everything that a recorded transcript needs comes out, and makes the same party elsewhere.
fn restart() -> Result<(), Failed> {
    for version in Version::ALL {
        let peer = stage::peer(version);
        let pair = Pair::with_session(&peer, &peer, Agreement::PQXDH)?;
        let first = pair.send(b"first")?;
        let old = pair.responder.info().clone();
        let again = peer.create_party(&PartyOptions {
            registration_id: Some(old.registration_id),
            identity_private: Some(old.identity_private.clone()),
            ..PartyOptions::new("again", bob())
        })?;
        assert_eq!(again.info().identity_key_pair, old.identity_key_pair);
        for kind in [PrekeyKind::OneTime, PrekeyKind::Signed, PrekeyKind::Kyber] {
            again.import_prekey(kind, &pair.responder.export_prekey(kind, 1)?.record)?;
        }
        assert_eq!(&*again.decrypt(&alice(), &first)?.plaintext, b"first", "{version}");

        let record = again.export_session(&alice())?;
        pair.responder.import_session(&alice(), &record)?;
        assert_eq!(pair.responder_session()?, record);
        assert_eq!(&*pair.answer_of(&pair.send(b"second")?)?.plaintext, b"second");
    }
    Ok(())
}
