//! Sender keys between versions.

use libtest_mimic::Failed;

use waxwing_tests::peer::{Address, MessageType, PartyOptions, Peer, PeerError, Version};

use crate::{
    stage::{self, Proof, alice, bob, refused},
    witness::{self, Field, Fields},
};

pub(crate) const TRIALS: &[Proof] = &[
    ("groups::every_version_reads_every_other_s_group_messages_in_any_order", across_versions),
    ("groups::a_late_joiner_reads_nothing_older_than_its_distribution_message", late_joiner),
    ("groups::the_parts_of_group_messages_are_where_the_sheet_says", layout),
    ("groups::25000_skipped_group_messages_open_and_25001_do_not", jump),
    ("groups::a_sender_key_record_survives_export_and_import", records),
];

const DISTRIBUTION: &str = "d1d1d1d1-7000-11eb-b32a-33b8a8a487a6";

fn across_versions() -> Result<(), Failed> {
    for (sender, receiver) in Version::ALL.into_iter().flat_map(|a| Version::ALL.map(|b| (a, b))) {
        let (here, there) = (stage::peer(sender), stage::peer(receiver));
        here.reset()?;
        there.reset()?;
        let alice = here.create_party(&PartyOptions::new("alice", alice()))?;
        let bob = there.create_party(&PartyOptions::new("bob", bob()))?;
        bob.process_distribution(&alice.address(), &alice.distribute(DISTRIBUTION)?)?;
        let messages: Vec<_> =
            (0..5_u8).map(|n| alice.group_encrypt(DISTRIBUTION, &[n; 40])).collect::<Result<_, _>>()?;
        for n in [3_u8, 0, 4, 1, 2] {
            let message = &messages[usize::from(n)];
            assert_eq!(message.kind, MessageType::SenderKey);
            assert_eq!(&*bob.group_decrypt(&alice.address(), &message.body)?, &[n; 40], "{sender} to {receiver}");
            let again = bob.group_decrypt(&alice.address(), &message.body);
            assert!(again.as_ref().is_err_and(PeerError::is_duplicate), "{again:?}");
        }
        let mut forged = messages[0].body.to_vec();
        *forged.last_mut().unwrap() ^= 1;
        assert!(bob.group_decrypt(&alice.address(), &forged).is_err());
    }
    Ok(())
}

fn late_joiner() -> Result<(), Failed> {
    for version in Version::ALL {
        let peer = stage::peer(version);
        let alice = peer.create_party(&PartyOptions::new("alice", alice()))?;
        let bob = peer.create_party(&PartyOptions::new("bob", bob()))?;
        alice.distribute(DISTRIBUTION)?;
        let early = alice.group_encrypt(DISTRIBUTION, b"early")?;
        alice.group_skip(DISTRIBUTION, 2)?;
        let distribution = alice.distribute(DISTRIBUTION)?;
        assert_eq!(peer.decode_distribution_message(&distribution)?.iteration, 3);
        bob.process_distribution(&alice.address(), &distribution)?;
        let refused = bob.group_decrypt(&alice.address(), &early.body);
        assert!(refused.as_ref().is_err_and(PeerError::is_duplicate), "{refused:?}");
        let now = alice.group_encrypt(DISTRIBUTION, b"now")?;
        assert_eq!(&*bob.group_decrypt(&alice.address(), &now.body)?, b"now");
    }
    Ok(())
}

fn layout() -> Result<(), Failed> {
    for version in Version::ALL {
        let peer = stage::peer(version);
        let alice = peer.create_party(&PartyOptions::new("alice", alice()))?;
        let distribution = alice.distribute(DISTRIBUTION)?;
        let message = alice.group_encrypt(DISTRIBUTION, b"text")?;
        assert_eq!((distribution[0], message.body[0]), (0x33, 0x33));

        let state = Fields::parse(&distribution[1..]);
        assert_eq!(state.numbers(), [1, 2, 3, 4, 5]);
        assert_eq!(hex::encode(state.bytes(1).unwrap()), DISTRIBUTION.replace('-', ""));
        assert!(state.number(2).unwrap() < 1 << 31, "a chain id has 31 bits");
        let (chain_key, signing_key): (&[u8; 32], _) = (state.bytes(4).unwrap().try_into()?, state.bytes(5).unwrap());

        let (signed, signature) = message.body.split_last_chunk::<64>().unwrap();
        let fields = Fields::parse(&signed[1..]);
        assert_eq!(fields.numbers(), [1, 2, 3, 4]);
        assert_eq!((fields.number(2), fields.number(3)), (state.number(2), Some(0)));
        assert!(peer.verify(signing_key, signed, signature)?);
        assert!(peer.verify_sender_key_signature(&message.body, signing_key)?);

        // The record holds what remains: the chain one step on, and the signing pair.
        let record = alice.export_sender_key(&alice.address(), DISTRIBUTION)?;
        let stored = Fields::parse(&record).nested(1).unwrap();
        let chain = stored.nested(2).unwrap();
        assert_eq!(chain.number(1), Some(1));
        assert_eq!(chain.bytes(2), Some(witness::next_chain_key(chain_key).as_slice()));
        let pair = peer.key_pair(stored.nested(3).unwrap().bytes(2).unwrap())?;
        assert_eq!(&*pair.public, signing_key);
        assert_eq!(stored.0.iter().find(|(number, _)| *number == 5), Some(&(5, Field::Number(3))));
    }
    Ok(())
}

fn jump() -> Result<(), Failed> {
    for version in Version::ALL {
        let peer = stage::peer(version);
        let alice = peer.create_party(&PartyOptions::new("alice", alice()))?;
        let bob = peer.create_party(&PartyOptions::new("bob", bob()))?;
        bob.process_distribution(&alice.address(), &alice.distribute(DISTRIBUTION)?)?;
        alice.group_skip(DISTRIBUTION, 25_000)?;
        let reachable = alice.group_encrypt(DISTRIBUTION, b"reachable")?;
        let too_far = alice.group_encrypt(DISTRIBUTION, b"too far")?;
        refused(bob.group_decrypt(&alice.address(), &too_far.body), "message from too far into the future")?;
        assert_eq!(&*bob.group_decrypt(&alice.address(), &reachable.body)?, b"reachable");
    }
    Ok(())
}

fn records() -> Result<(), Failed> {
    let read = |peer: &Peer, sender: &Address| -> Result<(), Failed> {
        let alice = peer.create_party(&PartyOptions::new("alice", sender.clone()))?;
        let bob = peer.create_party(&PartyOptions::new("bob", bob()))?;
        bob.process_distribution(sender, &alice.distribute(DISTRIBUTION)?)?;
        let message = alice.group_encrypt(DISTRIBUTION, b"text")?;
        let record = bob.export_sender_key(sender, DISTRIBUTION)?;
        bob.group_decrypt(sender, &message.body)?;
        bob.import_sender_key(sender, DISTRIBUTION, &record)?;
        assert_eq!(&*bob.group_decrypt(sender, &message.body)?, b"text", "the old record opens it again");
        Ok(())
    };
    Version::ALL.into_iter().try_for_each(|version| read(&stage::peer(version), &alice()))
}
